//! What was published on a channel and has no word of the broker's yet.
//!
//! The broker names a message only by its number on the channel, so numbering and sending are one
//! step under one lock. It returns an unroutable message before it confirms it, whole and without
//! the number: the message id says which one it was.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amqprs::callbacks::{ChannelCallback, ConnectionCallback};
use amqprs::channel::Channel;
use amqprs::connection::Connection;
use amqprs::{Ack, BasicProperties, Cancel, Close, CloseChannel, Nack, Return};
use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::words::Outside;

/// AMQP's code for what cannot be done as things stand.
const PRECONDITION_FAILED: u16 = 406;

/// The broker's word on a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// In every queue that it belongs to.
    Kept,
    /// No queue is bound for it.
    Unroutable,
    /// A queue could not take it.
    Refused,
    /// Its body is longer than this many bytes, and the broker takes none that is.
    TooLarge(usize),
}

/// The messages of a channel that wait for the broker's word; shared by those who publish and by
/// the client's tasks, which hear the broker.
#[derive(Debug, Default)]
pub(super) struct Unconfirmed(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last_tag: u64,
    waiting: BTreeMap<u64, Waiting>,
    /// Set when no further word can come.
    closed: bool,
    /// What the broker said when it closed the channel or the connection; the first word counts.
    why: Option<String>,
}

#[derive(Debug)]
struct Waiting {
    message_id: String,
    /// How long its body is.
    bytes: usize,
    is_returned: bool,
    verdict: oneshot::Sender<Verdict>,
    /// Given back with the verdict, also when nobody waits for that any more.
    _room: OwnedSemaphorePermit,
}

impl Unconfirmed {
    /// Sends a message as the next one of the channel; the verdict comes by the receiver, whose
    /// sender is dropped when the channel ends before. `None`: it could not be sent.
    ///
    /// `send` may not wait: it runs under the lock.
    pub(super) fn publish(
        &self,
        (message_id, bytes): (String, usize),
        room: OwnedSemaphorePermit,
        send: impl FnOnce() -> bool,
    ) -> Option<oneshot::Receiver<Verdict>> {
        let mut state = self.state();
        if state.closed || !send() {
            return None;
        }
        state.last_tag += 1;
        let tag = state.last_tag;
        let (verdict, waits) = oneshot::channel();
        let waiting = Waiting { message_id, bytes, is_returned: false, verdict, _room: room };
        state.waiting.insert(tag, waiting);
        Some(waits)
    }

    /// Notes that a message came back. When an earlier attempt of the same event still waits, the
    /// older one is meant: the broker answers in the order of publishing.
    fn returned(&self, message_id: &str) {
        let mut state = self.state();
        let same =
            |waiting: &&mut Waiting| waiting.message_id == message_id && !waiting.is_returned;
        if let Some(waiting) = state.waiting.values_mut().find(same) {
            waiting.is_returned = true;
        }
    }

    /// Takes the broker's word on the message with this number, or on all up to it (0: all).
    fn settle(&self, tag: u64, all_before: bool, is_taken: bool) {
        let mut state = self.state();
        let settled = if all_before {
            let next = if tag == 0 { u64::MAX } else { tag.saturating_add(1) };
            let later = state.waiting.split_off(&next);
            std::mem::replace(&mut state.waiting, later)
        } else {
            state.waiting.remove_entry(&tag).into_iter().collect()
        };
        for waiting in settled.into_values() {
            let verdict = match (is_taken, waiting.is_returned) {
                (false, _) => Verdict::Refused,
                (true, true) => Verdict::Unroutable,
                (true, false) => Verdict::Kept,
            };
            // An attempt that was given up no longer listens.
            let _ = waiting.verdict.send(verdict);
        }
    }

    /// Settles what is larger than the broker takes. It closes the channel at the first such
    /// message and does not number it, but it says its limit: by that the others, which only have
    /// to come again, are told apart.
    fn refuse_larger(&self, limit: usize) {
        let mut state = self.state();
        let larger = state.waiting.extract_if(.., |_, waiting| waiting.bytes > limit);
        for (_, waiting) in larger {
            let _ = waiting.verdict.send(Verdict::TooLarge(limit));
        }
    }

    fn note(&self, code: u16, text: &str) {
        self.state().why.get_or_insert_with(|| format!("{code} {}", brief(text)));
    }

    fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.waiting.clear();
    }

    /// Returns whether no further word can come.
    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Returns what the broker said when it closed the channel or the connection.
    pub(super) fn why(&self) -> Option<String> {
        self.state().why.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two changes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a broker's text without the long start that names the exchange again: of `…: received
/// 'topic' but current is 'direct'` what follows the colon.
fn brief(text: &str) -> String {
    match text.rsplit_once(": ") {
        Some((start, end)) => {
            let kind = start.split(" - ").next().unwrap_or_default();
            format!("{}: {}", Outside(kind), Outside(end))
        }
        None => Outside(text).to_string(),
    }
}

/// Returns the most bytes that the broker takes, if it closes the channel because a body is longer:
/// `PRECONDITION_FAILED - message size 9 is larger than configured max size 8`.
fn size_limit(code: u16, text: &str) -> Option<usize> {
    let said = text.strip_prefix("PRECONDITION_FAILED - message size ")?;
    let (_, limit) = said.rsplit_once(" max size ")?;
    if code == PRECONDITION_FAILED { limit.parse().ok() } else { None }
}

/// Hears what the broker says on the channel; the client drops it when the channel has ended.
pub(super) struct OnChannel(pub(super) Arc<Unconfirmed>);

impl Drop for OnChannel {
    fn drop(&mut self) {
        self.0.close();
    }
}

type Heard<T> = Result<T, amqprs::error::Error>;

#[async_trait]
impl ChannelCallback for OnChannel {
    async fn close(&mut self, _: &Channel, close: CloseChannel) -> Heard<()> {
        let (code, text) = (close.reply_code(), close.reply_text());
        self.0.note(code, text);
        if let Some(limit) = size_limit(code, text) {
            self.0.refuse_larger(limit);
        }
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Heard<()> {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Heard<bool> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        self.0.settle(ack.delivery_tag(), ack.mutiple(), true);
    }

    async fn publish_nack(&mut self, _: &Channel, nack: Nack) {
        self.0.settle(nack.delivery_tag(), nack.multiple(), false);
    }

    async fn publish_return(
        &mut self,
        _: &Channel,
        _: Return,
        properties: BasicProperties,
        _body: Vec<u8>,
    ) {
        if let Some(message_id) = properties.message_id() {
            self.0.returned(message_id);
        }
    }
}

/// Hears why the broker closes the whole connection.
pub(super) struct OnConnection(pub(super) Arc<Unconfirmed>);

#[async_trait]
impl ConnectionCallback for OnConnection {
    async fn close(&mut self, _: &Connection, close: Close) -> Heard<()> {
        self.0.note(close.reply_code(), close.reply_text());
        Ok(())
    }

    async fn blocked(&mut self, _: &Connection, _: String) {}

    async fn unblocked(&mut self, _: &Connection) {}

    async fn secret_updated(&mut self, _: &Connection) {}
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;
    use tokio::sync::oneshot::Receiver;
    use tokio::sync::oneshot::error::TryRecvError;

    use super::{Unconfirmed, Verdict, brief, size_limit};

    fn publish(unconfirmed: &Unconfirmed, room: &Arc<Semaphore>, id: &str) -> Receiver<Verdict> {
        let room = Arc::clone(room).try_acquire_owned().unwrap();
        unconfirmed.publish((id.to_owned(), 10), room, || true).unwrap()
    }

    #[test]
    fn one_word_settles_every_message_before_it_and_a_return_only_its_own() {
        let (unconfirmed, room) = (Unconfirmed::default(), Arc::new(Semaphore::new(4)));
        let mut waits = ["a", "b", "c", "d"].map(|id| publish(&unconfirmed, &room, id));
        unconfirmed.returned("b");
        unconfirmed.settle(3, true, true);
        let [a, b, c, d] = &mut waits;
        assert_eq!(a.try_recv(), Ok(Verdict::Kept));
        assert_eq!(b.try_recv(), Ok(Verdict::Unroutable));
        assert_eq!(c.try_recv(), Ok(Verdict::Kept));
        assert_eq!(d.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(room.available_permits(), 3);
        unconfirmed.settle(4, false, false);
        assert_eq!(d.try_recv(), Ok(Verdict::Refused));
        assert_eq!(room.available_permits(), 4);
    }

    #[test]
    fn a_return_means_the_older_of_two_attempts() {
        let (unconfirmed, room) = (Unconfirmed::default(), Arc::new(Semaphore::new(2)));
        let mut older = publish(&unconfirmed, &room, "a");
        let mut newer = publish(&unconfirmed, &room, "a");
        unconfirmed.returned("a");
        unconfirmed.settle(1, false, true);
        unconfirmed.settle(2, false, true);
        assert_eq!(older.try_recv(), Ok(Verdict::Unroutable));
        assert_eq!(newer.try_recv(), Ok(Verdict::Kept));
    }

    #[test]
    fn what_is_not_sent_takes_no_number_and_an_ended_channel_answers_nobody() {
        let (unconfirmed, room) = (Unconfirmed::default(), Arc::new(Semaphore::new(2)));
        let permit = Arc::clone(&room).try_acquire_owned().unwrap();
        assert!(unconfirmed.publish(("a".to_owned(), 10), permit, || false).is_none());
        let mut first = publish(&unconfirmed, &room, "b");
        unconfirmed.settle(1, false, true);
        assert_eq!(first.try_recv(), Ok(Verdict::Kept));
        let mut second = publish(&unconfirmed, &room, "c");
        unconfirmed.note(320, "CONNECTION_FORCED - broker forced connection closure");
        unconfirmed.close();
        assert_eq!(second.try_recv(), Err(TryRecvError::Closed));
        assert!(unconfirmed.is_closed());
        assert!(unconfirmed.why().is_some_and(|why| why.starts_with("320 CONNECTION_FORCED")));
        let permit = Arc::clone(&room).try_acquire_owned().unwrap();
        assert!(unconfirmed.publish(("d".to_owned(), 10), permit, || true).is_none());
        assert_eq!(room.available_permits(), 2);
    }

    #[test]
    fn only_the_brokers_own_words_are_a_limit() {
        let text = "PRECONDITION_FAILED - message size 11 is larger than configured max size 10";
        assert_eq!(size_limit(406, text), Some(10));
        assert_eq!(size_limit(404, text), None);
        for text in ["PRECONDITION_FAILED - message size 11", "NOT_FOUND - a max size 10"] {
            assert_eq!(size_limit(406, text), None, "{text}");
        }
    }

    #[test]
    fn only_what_is_over_the_limit_is_too_large() {
        let (unconfirmed, room) = (Unconfirmed::default(), Arc::new(Semaphore::new(2)));
        let mut fits = publish(&unconfirmed, &room, "a");
        let permit = Arc::clone(&room).try_acquire_owned().unwrap();
        let larger = unconfirmed.publish(("b".to_owned(), 11), permit, || true);
        unconfirmed.refuse_larger(10);
        assert_eq!(larger.unwrap().try_recv(), Ok(Verdict::TooLarge(10)));
        assert_eq!(fits.try_recv(), Err(TryRecvError::Empty));
        unconfirmed.close();
        assert_eq!(fits.try_recv(), Err(TryRecvError::Closed));
    }

    #[test]
    fn a_brokers_text_is_cut_to_what_it_says() {
        let text = "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'a' in vhost '/': \
            received 'topic' but current is 'direct'";
        assert_eq!(brief(text), "PRECONDITION_FAILED: received 'topic' but current is 'direct'");
        assert_eq!(brief("NOT_FOUND - a\nb"), "NOT_FOUND - a\\u{a}b");
    }
}
