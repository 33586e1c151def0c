//! The first half as a whole: bytes go in, and what is told, stored and handed out is looked at.
//!
//! The inbox is the real one, on the disk.

mod always_ack;
mod corpus;
mod seeds;
mod trust;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use tempfile::TempDir;

use super::trust::{Demand, Presented, Trust};
use super::{Accept as _, Intake, Posted, Refused, Rejected, Rejection};
use crate::beckn::action::Action;
use crate::beckn::answer::ErrorType;
use crate::buyer_rule::ErasedRule;
use crate::clock::Clock as _;
use crate::event::EventId;
use crate::inbox::contract::ManualClock;
use crate::inbox::reader::{Detail, Reader};
use crate::inbox::sqlite::{Options, SqliteInbox};
use crate::inbox::{Claim, Inbox as _, Outlet, Receipt};
use crate::registry::{self, Keys};
use crate::rules::Rules;
use crate::signature::Window;
use crate::trace::{Arriving, Sampling};
use crate::words::Profile;

/// The times that the settings allow by default.
const WINDOW: Window = Window { skew: 30, max_age: 86_400 };

/// Nobody's keys, for an intake that looks at no signature.
fn no_keys() -> Keys {
    Keys::open(registry::Options { pinned: Vec::new(), registry: None }).unwrap()
}

/// An intake with an inbox of its own.
struct Bench {
    intake: Intake,
    inbox: Arc<SqliteInbox>,
    clock: Arc<ManualClock>,
    directory: TempDir,
}

/// How a bench is laid out.
struct Plan {
    profile: Profile,
    rejected: Rejected,
    buyer_rules: Vec<Arc<dyn ErasedRule>>,
    /// 0 reads every event back from the disk.
    tail_events: usize,
}

impl Plan {
    fn of(profile: Profile) -> Self {
        Self { profile, rejected: Rejected::Nack, buyer_rules: Vec::new(), tail_events: 4096 }
    }
}

impl Bench {
    fn new(plan: Plan) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            min_free_bytes: 0,
            tail_events: plan.tail_events,
            poll: Duration::from_millis(5),
            ..Options::new(directory.path())
        };
        let clock = ManualClock::new();
        let inbox = SqliteInbox::open(options, Arc::<ManualClock>::clone(&clock)).unwrap();
        let intake = Intake {
            inbox: Arc::<SqliteInbox>::clone(&inbox),
            trust: Trust::new(Demand::Off, WINDOW, no_keys()),
            rules: Rules::new(plan.profile, &BTreeMap::new(), &[]).unwrap(),
            buyer_rules: plan.buyer_rules,
            deadline: Duration::from_secs(20),
            rejected: plan.rejected,
            metrics: Arc::default(),
        };
        Self { intake, inbox, clock, directory }
    }

    async fn accept(&self, route: Action, body: impl Into<Bytes>) -> Result<Receipt, Rejection> {
        let now = self.clock.now();
        let arriving = Arriving::new(Sampling::share(0.0), Instant::now(), None, None);
        let posted =
            Posted { action: route, presented: Presented::Nothing, body: body.into(), now };
        self.intake.accept(posted, &arriving).await
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.directory.path().into()).unwrap()
    }

    fn stored(&self, id: EventId) -> Detail {
        self.reader().event(id).unwrap().expect("what was accepted is on the disk")
    }

    /// Claims the next event; waits for it, at most a while.
    async fn claim(&self) -> Claim {
        let claims =
            tokio::time::timeout(Duration::from_secs(20), self.inbox.claim(Outlet(0), 1)).await;
        claims.expect("there is something to claim").unwrap().remove(0)
    }

    fn hands_out_nothing(&self) -> bool {
        self.inbox.claim(Outlet(0), 1).now_or_never().is_none()
    }
}

#[track_caller]
fn new_id(receipt: Result<Receipt, Rejection>) -> EventId {
    match receipt {
        Ok(Receipt::New { id, .. }) => id,
        other => panic!("expected a new event, got {other:?}"),
    }
}

#[track_caller]
fn refused(receipt: Result<Receipt, Rejection>) -> Refused {
    match receipt {
        Err(Rejection::Refused(refused, _body)) => *refused,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// What a seller is told, and why, in one line: `rule code type path`.
fn told(refused: &Refused) -> String {
    let Refused { cause, code, error_type, path, .. } = refused;
    format!("{cause} {code} {} {path}", ErrorType::as_str(*error_type))
}
