//! The model test, over this engine.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use tempfile::TempDir;

use super::faults::Fault;
use super::{Options, SqliteInbox};
use crate::event::EventId;
use crate::inbox::Inbox as _;
use crate::inbox::contract::{Bench, ManualClock, cases};
use crate::inbox::model::{self, Engine, Step, step};
use crate::inbox::reader::replays::{Replay, request_replay};

struct OneReceiver {
    options: Options,
    clock: Arc<ManualClock>,
    inbox: Arc<SqliteInbox>,
    bench: Bench,
    _directory: TempDir,
}

impl OneReceiver {
    fn new(tail_events: usize, clock: &Arc<ManualClock>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            min_free_bytes: 0,
            tail_events,
            // In half of the runs what a start has read stays without tables.
            window_held: tail_events == 1,
            poll: Duration::from_millis(2),
            ..Options::new(directory.path().join("inbox"))
        };
        let (inbox, bench) = Self::open(&options, clock);
        Self { options, clock: Arc::clone(clock), inbox, bench, _directory: directory }
    }

    fn open(options: &Options, clock: &Arc<ManualClock>) -> (Arc<SqliteInbox>, Bench) {
        let clock = Arc::clone(clock);
        let inbox = SqliteInbox::open(options.clone(), Arc::<ManualClock>::clone(&clock)).unwrap();
        (Arc::clone(&inbox), Bench { inbox, clock })
    }
}

impl Engine for OneReceiver {
    fn receivers(&self) -> usize {
        1
    }

    fn bench(&self, _receiver: usize) -> &Bench {
        &self.bench
    }

    async fn fail_next(&mut self, _receiver: usize, kept: bool) {
        self.inbox.plant(if kept { Fault::Kept } else { Fault::Lost });
    }

    async fn settled(&self, _receiver: usize) {
        // A commit may fail once on the way; then the settlement rides in the next.
        while self.inbox.shared.mailbox.settle_and_flush([]).await.is_err() {}
        self.bench.wait_for(|_| self.inbox.shared.mailbox.waiting() == 0).await;
    }

    async fn replay(&self, id: EventId, now: DateTime<Utc>) -> bool {
        request_replay(&self.options.path, id, now).unwrap() == Replay::Requested
    }

    async fn reopen(&mut self, _receiver: usize, clean: bool) {
        if clean {
            self.inbox.close().await;
        }
        self.inbox.abandon();
        (self.inbox, self.bench) = Self::open(&self.options, &self.clock);
    }
}

fn run(steps: Vec<(usize, Step)>, tail_events: usize) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let clock = ManualClock::new();
    let engine = OneReceiver::new(tail_events, &clock);
    runtime.block_on(model::run(engine, clock, steps));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(48), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_is_delivered_in_order(steps in prop::collection::vec(step(), 1..40)) {
        run(steps, 4096);
    }

    #[test]
    fn every_event_is_delivered_in_order_with_a_tail_of_one(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        run(steps, 1);
    }
}
