//! Events that come late are marked, once, and stay marked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use super::{POLICY, callee, open};
use crate::beckn::action::Action;
use crate::clock::Clock as _;
use crate::dispatch::{Dispatcher, Options};
use crate::event::{EventId, OrderEvent};
use crate::handler::{HandlerError, OrderEventHandler};
use crate::inbox::contract::ManualClock;
use crate::inbox::reader::Reader;
use crate::inbox::reader::replays::request_replay;
use crate::inbox::reader::selection::Filter;
use crate::inbox::sqlite::SqliteInbox;
use crate::inbox::{Inbox, Receipt, Record, Standing};
use crate::metrics::Metrics;

/// Takes each event at its second attempt, and notes what it has seen.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<(EventId, u32, u32, String)>>);

impl OrderEventHandler for Arc<Notes> {
    async fn handle(&self, event: &OrderEvent) -> Result<(), HandlerError> {
        let seen = (event.id, event.replay, event.attempt, event.flags.to_string());
        self.0.lock().unwrap().push(seen);
        if event.attempt == 1 {
            return Err(HandlerError::transient("again").retry_after(Duration::ZERO));
        }
        Ok(())
    }
}

/// One life of a receiver's second half.
struct Life {
    inbox: Arc<SqliteInbox>,
    clock: Arc<ManualClock>,
    notes: Arc<Notes>,
    dispatcher: Dispatcher,
}

impl Life {
    fn begin(directory: &TempDir, tail_events: usize) -> Self {
        let clock = ManualClock::new();
        let inbox = open(directory, tail_events, &clock);
        let notes = Arc::<Notes>::default();
        let options = Options {
            attempt_timeout: Duration::from_secs(30),
            sampling: crate::trace::Sampling::share(1.0),
            drain_timeout: Duration::from_secs(5),
            retry: POLICY,
        };
        let dispatcher = Dispatcher::start(
            Arc::clone(&inbox) as Arc<dyn Inbox>,
            vec![callee(Arc::clone(&notes))],
            Arc::<ManualClock>::clone(&clock),
            options,
            &Metrics::default(),
        )
        .unwrap();
        Self { inbox, clock, notes, dispatcher }
    }

    async fn tell(&self, state: &str, code: &str, updated_at: &str) -> EventId {
        let body = format!(
            r#"{{"context":{{"bpp_id":"seller.example","transaction_id":"t","message_id":"m-{code}"}},
            "message":{{"order":{{"id":"o1","state":"{state}","updated_at":"{updated_at}",
            "fulfillments":[{{"id":"F1","state":{{"descriptor":{{"code":"{code}"}}}}}}]}}}}}}"#
        );
        let mut event = OrderEvent::parse(Action::OnStatus, body).unwrap();
        event.received_at = self.clock.now();
        let record = Record { message: None, error: None, standing: Standing::Pending };
        match self.inbox.append(record, Box::new(event)).await.unwrap() {
            Receipt::New { id, .. } => id,
            receipt @ Receipt::Duplicate { .. } => panic!("{receipt:?}"),
        }
    }

    /// Waits until the handler was called so often; the clock runs meanwhile.
    async fn seen(&self, calls: usize) -> Vec<(EventId, u32, u32, String)> {
        let waiting = async {
            loop {
                let seen = self.notes.0.lock().unwrap().clone();
                if seen.len() >= calls {
                    return seen;
                }
                self.clock.advance(1);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it is called")
    }

    async fn end(self) {
        self.dispatcher.shutdown().await;
        self.inbox.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_event_is_marked_at_each_attempt_after_a_restart_and_at_a_replay() {
    for tail_events in [0, 100] {
        let directory = tempfile::tempdir().unwrap();
        let life = Life::begin(&directory, tail_events);
        let first = life.tell("In-progress", "Order-picked-up", "2027-01-02T10:00:00Z").await;
        let late = life.tell("Accepted", "Packed", "2027-01-02T09:00:00Z").await;
        let call = |id, replay, attempt, flags: &str| (id, replay, attempt, flags.to_owned());
        let both = "out_of_order,regressed";
        let expected = [
            call(first, 0, 1, ""),
            call(first, 0, 2, ""),
            call(late, 0, 1, both),
            call(late, 0, 2, both),
        ];
        assert_eq!(life.seen(4).await, expected, "with a tail of {tail_events}");
        life.end().await;

        let life = Life::begin(&directory, tail_events);
        let back = life.tell("In-progress", "Agent-assigned", "2027-01-02T10:00:00Z").await;
        assert_eq!(life.seen(2).await[0], call(back, 0, 1, "regressed"));
        request_replay(directory.path(), late, life.clock.now()).unwrap();
        assert_eq!(life.seen(3).await[2], call(late, 1, 1, both));
        life.end().await;
        let flag = Some(crate::event::Flag::Regressed);
        let reader = Reader::open(&directory.path().into()).unwrap();
        let marked = reader.events(&Filter { flag, ..Filter::default() }, 10).unwrap();
        assert_eq!(marked.iter().map(|one| one.id).collect::<Vec<_>>(), [back, late]);
    }
}
