//! An inbox of a test, of either engine, and the ledgers beside it.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::Ledger;
use super::changes::By;
use crate::beckn::action::Action;
use crate::clock::Clock as _;
use crate::event::{EventId, OrderEvent};
use crate::inbox::contract::ManualClock;
use crate::inbox::reader::place::Place;
use crate::inbox::sqlite::{Options, SqliteInbox};
use crate::inbox::{Inbox, Outlet, Receipt, Record, Settlement, Standing};
#[cfg(feature = "postgres")]
use crate::servers::postgres::Postgres;

/// An inbox of a test. A ledger blocks, so the test is no task of a runtime: the inbox has one.
pub(super) struct Bench {
    pub(super) clock: Arc<ManualClock>,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) place: Place,
    runtime: Runtime,
    /// Dropped last.
    home: Home,
}

/// What an inbox of a test lies in.
enum Home {
    Files(#[expect(dead_code, reason = "it is removed when it is dropped")] TempDir),
    #[cfg(feature = "postgres")]
    Cluster(Postgres),
}

/// Checks an inbox in files, and one in a database where there is a server to be had.
pub(super) fn on_each_engine(check: impl Fn(&Bench)) {
    println!("in files");
    check(&Bench::in_files());
    #[cfg(feature = "postgres")]
    if let Some(bench) = Bench::in_a_database() {
        println!("in a database");
        check(&bench);
    }
}

impl Bench {
    pub(super) fn in_files() -> Self {
        let (directory, clock) = (TempDir::new().unwrap(), ManualClock::new());
        let options = Options { min_free_bytes: 0, ..Options::new(directory.path()) };
        let inbox = SqliteInbox::open(options, Arc::<ManualClock>::clone(&clock)).unwrap();
        let (place, home) = (directory.path().into(), Home::Files(directory));
        Self { clock, inbox, place, runtime: runtime(), home }
    }

    /// `None` on a machine that has no server.
    #[cfg(feature = "postgres")]
    pub(super) fn in_a_database() -> Option<Self> {
        use crate::inbox::postgres::{PostgresInbox, tests::options};
        use crate::inbox::reader::place::Database;

        let cluster = Postgres::start()?;
        let (options, clock, runtime) = (options(&cluster, "inbox"), ManualClock::new(), runtime());
        let (server, handle) = (options.server.clone(), runtime.handle().clone());
        let place = Database { server, runtime: handle }.into();
        let opening = PostgresInbox::open(options, Arc::<ManualClock>::clone(&clock));
        let inbox = runtime.block_on(opening).unwrap();
        Some(Self { clock, inbox, place, runtime, home: Home::Cluster(cluster) })
    }

    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    #[cfg(feature = "postgres")]
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(future)
    }

    /// Returns the server of an inbox in a database.
    #[cfg(feature = "postgres")]
    pub(super) fn cluster(&mut self) -> &mut Postgres {
        match &mut self.home {
            Home::Files(_) => panic!("it is in files"),
            Home::Cluster(cluster) => cluster,
        }
    }

    #[cfg(feature = "postgres")]
    pub(super) fn url(&self) -> String {
        match &self.home {
            Home::Files(_) => panic!("it is in files"),
            Home::Cluster(cluster) => cluster.url(),
        }
    }

    /// Appends an event; `None` for a duplicate.
    pub(super) async fn append(&self, mut event: OrderEvent) -> Option<EventId> {
        event.received_at = self.clock.now();
        let record = Record { message: None, error: None, standing: Standing::Pending };
        match self.inbox.append(record, Box::new(event)).await.unwrap() {
            Receipt::New { id, .. } => Some(id),
            Receipt::Duplicate { .. } => None,
        }
    }

    /// Appends an `on_status` of a transaction that tells of these states.
    pub(super) fn tell(&self, transaction: &str, state: &str, code: &str) -> EventId {
        self.clock.advance(1);
        let body = format!(
            r#"{{"context":{{"bpp_id":"seller.example","transaction_id":"{transaction}",
            "message_id":"m-{transaction}"}},"message":{{"order":{{"id":"O-{transaction}",
            "state":"{state}","fulfillments":[{{"id":"F","type":"Delivery",
            "state":{{"descriptor":{{"code":"{code}"}}}}}}]}}}}}}"#
        );
        let event = OrderEvent::parse(Action::OnStatus, body).unwrap();
        self.block_on(self.append(event)).expect("it is new")
    }

    /// Hands the next event over, and waits until what became of it is on the disk.
    pub(super) fn settle(&self, settlement: Settlement) -> EventId {
        let claim = self.block_on(self.inbox.claim(Outlet(0), 1)).unwrap().remove(0);
        let (id, ledger) = (claim.event().id, self.ledger());
        let attempts = || ledger.event(id, super::Sight::Masked).unwrap().unwrap().event.attempts;
        let before = attempts();
        self.inbox.settle(claim, settlement);
        while attempts() == before {
            std::thread::sleep(Duration::from_millis(2));
        }
        id
    }

    /// Waits for what is written a little later.
    #[track_caller]
    pub(super) fn until(&self, condition: impl Fn(&Ledger) -> bool) {
        let end = std::time::Instant::now() + Duration::from_secs(20);
        let ledger = self.ledger();
        while !condition(&ledger) {
            assert!(std::time::Instant::now() < end, "it does not come to it");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Closes the inbox: what it writes a little later is written then, or soon.
    pub(super) fn close(&self) {
        // It begins when it is asked for, on the runtime.
        self.block_on(async { self.inbox.close().await });
    }

    pub(super) fn ledger(&self) -> Ledger {
        Ledger::open(&self.place).unwrap()
    }

    pub(super) fn by(&self) -> By<'static> {
        By { who: "oncall", now: self.clock.now() }
    }

    /// Writes what an engine does not, into a database.
    #[cfg(feature = "postgres")]
    pub(super) fn write(&self, sql: &str) {
        let Place::Database(database) = &self.place else { panic!("it is in files") };
        self.block_on(crate::inbox::postgres::tests::write(&database.server, sql));
    }
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}
