//! The second half over a real inbox, with a clock that the tests drive.

mod attempts;
mod fairness;
mod model;
mod states;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use crate::beckn::action::Action;
use crate::clock::Clock as _;
use crate::dispatch::Callee;
use crate::event::OrderEvent;
use crate::handler::OrderEventHandler;
use crate::inbox::contract::ManualClock;
use crate::inbox::sqlite::{Options, SqliteInbox};
use crate::inbox::{Error, Inbox as _, Receipt, Record, Standing};
use crate::retry::Policy;

const POLICY: Policy = Policy {
    initial: Duration::from_secs(1),
    cap: Duration::from_mins(1),
    attempts: 1000,
    give_up_after: Duration::from_hours(24),
};

fn open(directory: &TempDir, tail_events: usize, clock: &Arc<ManualClock>) -> Arc<SqliteInbox> {
    let options = Options {
        min_free_bytes: 0,
        tail_events,
        poll: Duration::from_millis(2),
        ..Options::new(directory.path())
    };
    SqliteInbox::open(options, Arc::<ManualClock>::clone(clock)).unwrap()
}

/// Returns how a handler is called that may block, one event at a time.
fn callee(handler: impl OrderEventHandler) -> Callee {
    Callee {
        name: "app".to_owned(),
        handler: Arc::new(handler),
        concurrency: 1,
        rate_per_s: None,
        may_block: true,
    }
}

/// Appends the callback of the order `o<number>` in a transaction.
async fn append(
    inbox: &SqliteInbox,
    clock: &ManualClock,
    transaction: &str,
    number: usize,
) -> Result<Receipt, Error> {
    let body = format!(
        r#"{{"context":{{"bpp_id":"seller.example","transaction_id":"{transaction}",
            "message_id":"m{number}"}},"message":{{"order":{{"id":"o{number}"}}}}}}"#
    );
    let mut event = OrderEvent::parse(Action::OnStatus, Bytes::from(body)).unwrap();
    event.received_at = clock.now();
    let record = Record { message: None, error: None, standing: Standing::Pending };
    inbox.append(record, Box::new(event)).await
}
