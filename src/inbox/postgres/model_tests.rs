//! The model test, over two receivers on one database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::connect::connect;
use super::tests::{open, options};
use super::{Options, PostgresInbox, settling};
use crate::event::EventId;
use crate::inbox::Inbox as _;
use crate::inbox::contract::{Bench, ManualClock, cases};
use crate::inbox::model::{self, Engine, step};
use crate::servers::postgres::Postgres;

struct TwoReceivers {
    options: Options,
    clock: Arc<ManualClock>,
    receivers: Vec<(Arc<PostgresInbox>, Bench)>,
}

impl TwoReceivers {
    async fn new(options: Options, clock: &Arc<ManualClock>) -> Self {
        let mut receivers = Vec::new();
        for _ in 0..2 {
            receivers.push(open(options.clone(), clock).await);
        }
        Self { options, clock: Arc::clone(clock), receivers }
    }

    async fn execute(&self, sql: &str) -> u64 {
        let client = connect(&self.options.server).await.unwrap();
        client.execute(sql, &[]).await.unwrap()
    }
}

impl Engine for TwoReceivers {
    fn receivers(&self) -> usize {
        self.receivers.len()
    }

    fn bench(&self, receiver: usize) -> &Bench {
        &self.receivers[receiver].1
    }

    async fn fail_next(&mut self, _receiver: usize, _kept: bool) {
        // Every connection of every receiver, wherever it is.
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
        )
        .await;
    }

    async fn settled(&self, receiver: usize) {
        settling::flush(&self.receivers[receiver].0.shared).await;
    }

    async fn replay(&self, id: EventId, now: DateTime<Utc>) -> bool {
        let id = id.uuid().simple();
        let now = now.timestamp_micros();
        let asked = self
            .execute(&format!(
                "INSERT INTO replay_request SELECT seq, {now} FROM event WHERE id = '\\x{id}'"
            ))
            .await;
        asked == 1
    }

    async fn reopen(&mut self, receiver: usize, clean: bool) {
        if clean {
            self.receivers[receiver].0.close().await;
        } else {
            self.receivers[receiver].0.abandon();
        }
        self.receivers[receiver] = open(self.options.clone(), &self.clock).await;
    }
}

#[test]
fn every_event_is_delivered_in_order_by_two_receivers() {
    let Some(cluster) = Postgres::start() else { return };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let number = AtomicU32::new(0);
    let config = Config { cases: cases(24), failure_persistence: None, ..Config::default() };
    let steps = prop::collection::vec(step(), 1..40);
    let ran = TestRunner::new(config).run(&steps, |steps| {
        let schema = format!("model_{}", number.fetch_add(1, Ordering::Relaxed));
        // What a killed one had is taken over soon.
        let options = Options {
            lease: Duration::from_secs(1),
            poll: Duration::from_millis(10),
            ..options(&cluster, &schema)
        };
        let clock = ManualClock::new();
        runtime.block_on(async {
            let engine = TwoReceivers::new(options, &clock).await;
            model::run(engine, clock, steps).await;
        });
        Ok(())
    });
    ran.unwrap();
}
