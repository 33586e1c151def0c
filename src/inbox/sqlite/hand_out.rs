//! Handing out: from the heads of lanes to claims, with marks and reads where they are needed.

use std::sync::Arc;

use super::Shared;
use super::lanes::{Settled, Taken};
use super::pages::ReadError;
use crate::event::OrderEvent;
use crate::inbox::{Claim, Settlement, TakeBack};
use crate::words::Chain;

/// A taken head of a lane; dropping it puts it back.
#[derive(Debug)]
pub(super) struct Held {
    taken: Option<Taken>,
    shared: Arc<Shared>,
}

impl Held {
    /// Guards a taken head.
    pub(super) fn new(taken: Taken, shared: Arc<Shared>) -> Self {
        Self { taken: Some(taken), shared }
    }

    fn taken(&self) -> &Taken {
        self.taken.as_ref().expect("only `into_claim` and `give_up` take it, and they consume it")
    }

    fn into_claim(mut self, event: Box<OrderEvent>) -> Option<Claim> {
        let taken = self.taken.take()?;
        let mut event = event;
        event.attempt = taken.progress.attempts + 1;
        event.replay = taken.progress.replay;
        let first = taken.progress.first_attempt_at.filter(|_| taken.progress.attempts > 0);
        let home: Arc<dyn TakeBack> = Arc::<Shared>::clone(&self.shared);
        Some(Claim::new(event, taken.ticket, first, home))
    }

    fn give_up(mut self, error: &ReadError) {
        let Some(taken) = self.taken.take() else { return };
        let seq = taken.ticket.seq.0;
        let error = Chain(error).to_string();
        tracing::error!(seq, error, "an event cannot be read back: it is a dead letter");
        let now = self.shared.clock.now();
        let settlement = Settlement::Dead { error };
        self.shared
            .settle(Settled { ticket: taken.ticket, event: None, settlement, found: None }, now);
    }

    /// Lets the lane wait for a poll, so that it is not in the way of the others.
    fn postpone(mut self) {
        let Some(taken) = self.taken.take() else { return };
        let now = self.shared.clock.now();
        self.shared.postpone(taken.ticket, now, now + self.shared.poll);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.shared.put_back(taken.ticket, taken.event);
        }
    }
}

/// What of the taken heads could be handed out.
#[derive(Debug)]
pub(super) struct HandedOut {
    pub(super) claims: Vec<Claim>,
    /// Whether some were put back at the front that cannot be handed out now, but later may.
    pub(super) stuck: bool,
}

/// Makes claims of what was taken: marks first, then the events that must be read back.
///
/// # Cancel safety
/// What was taken is put back.
pub(super) async fn hand_out(shared: &Arc<Shared>, held: Vec<Held>) -> HandedOut {
    let mark = |held: &Held| {
        let taken = held.taken();
        taken.mark.clone().map(|mark| (taken.ticket.seq.0, mark))
    };
    let marks: Vec<_> = held.iter().filter_map(mark).collect();
    if !marks.is_empty() && shared.mailbox.settle_and_flush(marks).await.is_err() {
        tracing::warn!("events that a crash left behind wait: their marks could not be written");
        return HandedOut { claims: Vec::new(), stuck: true };
    }
    if held.iter().all(|held| held.taken().event.is_some()) {
        return claims(held, |_| Err(ReadError::Gone));
    }
    let pages = Arc::clone(shared);
    let read = move || claims(held, |seq| pages.pages.event(seq));
    // It fails only when the runtime ends or on a panic; either way the events were put back.
    let stuck = HandedOut { claims: Vec::new(), stuck: true };
    tokio::task::spawn_blocking(read).await.unwrap_or(stuck)
}

/// Makes claims; `read` reads what the tail did not hold.
pub(super) fn claims(
    held: Vec<Held>,
    read: impl Fn(i64) -> Result<Box<OrderEvent>, ReadError>,
) -> HandedOut {
    let mut claims = Vec::with_capacity(held.len());
    for mut held in held {
        let kept = held.taken.as_mut().and_then(|taken| taken.event.take());
        let event = match kept {
            Some(event) => Ok(event),
            None => read_back(held.taken().ticket.seq.0, &read),
        };
        match event {
            Ok(event) => claims.extend(held.into_claim(event)),
            Err(error) if error.is_permanent() => held.give_up(&error),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "an event waits: it could not be read back");
                held.postpone();
            }
        }
    }
    HandedOut { claims, stuck: false }
}

/// Reads one event back. A body that makes our parser panic would come first again and again, and
/// take with it all that is read along: so this panic is caught, and is a dead letter.
fn read_back(
    seq: i64,
    read: impl Fn(i64) -> Result<Box<OrderEvent>, ReadError>,
) -> Result<Box<OrderEvent>, ReadError> {
    // What `read` shares is a connection; one that a panic left behind only reads.
    let read = std::panic::AssertUnwindSafe(|| read(seq));
    std::panic::catch_unwind(read).unwrap_or(Err(ReadError::Panicked))
}
