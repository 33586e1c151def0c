//! Tells the handler of callbacks that were expected and did not come.
//!
//! A silence is an event of the inbox's own. Its content follows from the expectation alone, so
//! that one that is told again, after a crash, repeats the first and is not delivered twice.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{SecondsFormat, TimeDelta};
use serde::Serialize;

use crate::clock::Clock;
use crate::event::{Flag, OrderEvent};
use crate::inbox::expectations::{Expectation, Expecting};
use crate::inbox::{Error, Record, Standing};

/// How late a silence may be told.
const LOOK: TimeDelta = TimeDelta::seconds(1);

/// How long it rests after a failure.
const REST: TimeDelta = TimeDelta::seconds(5);

/// The code for a callback that did not come in time, by ONDC's list for buyer apps.
const TIMEOUT: &str = "20009";

/// Tells of silences until it is dropped.
///
/// # Cancel safety
/// What was not told is told by the next process.
pub(super) async fn tell(inbox: Arc<dyn Expecting>, clock: Arc<dyn Clock>) {
    if let Err(error) = inbox.look_for_expected().await {
        tracing::warn!(%error, "what came for expectations could not be looked for yet");
    }
    let mut fails = false;
    loop {
        let now = clock.now();
        let wait = match tell_overdue(&*inbox, &*clock).await {
            Ok(overdue) => {
                fails = false;
                // There may be more.
                if overdue == 0 { LOOK } else { TimeDelta::zero() }
            }
            Err(Error::Closed) => return,
            Err(error) => {
                // Once until it works again: a disk may be full for hours.
                if !std::mem::replace(&mut fails, true) {
                    tracing::warn!(%error, "silences cannot be told for now");
                }
                REST
            }
        };
        let next = inbox.next_silence().filter(|due_at| *due_at > now && wait == LOOK);
        clock.sleep_until(next.map_or(now + wait, |due_at| due_at.min(now + wait))).await;
    }
}

/// Tells of some silences; returns how many were due.
async fn tell_overdue(inbox: &dyn Expecting, clock: &dyn Clock) -> Result<usize, Error> {
    let overdue = inbox.overdue(clock.now()).await?;
    for expectation in &overdue {
        let event = silence(expectation, clock);
        let record = Record { message: None, error: None, standing: Standing::Pending };
        if inbox.tell_silence(expectation, record, event).await?.is_none() {
            continue;
        }
        let (id, action) = (expectation.id, expectation.new.action);
        tracing::warn!(
            expectation.id = %id, action = action.as_str(),
            "an expected {} did not come in time", action.as_str()
        );
    }
    Ok(overdue.len())
}

/// Returns the event of a silence.
fn silence(expectation: &Expectation, clock: &dyn Clock) -> Box<OrderEvent> {
    let event = OrderEvent::parse(expectation.new.action, body(expectation));
    let mut event = event.expect("what we write can be read");
    event.received_at = clock.now();
    event.flags.insert(Flag::Silence);
    Box::new(event)
}

#[derive(Serialize)]
struct Body<'a> {
    context: Context<'a>,
    error: Said,
}

#[derive(Serialize)]
struct Context<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bap_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bpp_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<&'a str>,
    message_id: &'a str,
    timestamp: String,
}

#[derive(Serialize)]
struct Said {
    r#type: &'static str,
    code: &'static str,
    message: String,
}

fn body(expectation: &Expectation) -> Bytes {
    let new = &expectation.new;
    let waited = (new.due_at - new.at).to_std().unwrap_or(Duration::ZERO).as_secs();
    let body = Body {
        context: Context {
            domain: new.domain.as_deref(),
            action: new.action.as_str(),
            bap_id: new.bap_id.as_deref(),
            bpp_id: new.bpp_id.as_deref(),
            transaction_id: new.transaction_id.as_deref(),
            message_id: &new.message_id,
            timestamp: new.due_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        },
        error: Said {
            r#type: "CORE-ERROR",
            code: TIMEOUT,
            message: format!(
                "no {} came within {waited} s (expectation {})",
                new.action.as_str(),
                expectation.id
            ),
        },
    };
    serde_json::to_vec(&body).expect("texts can be written as JSON").into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use chrono::TimeDelta;

    use super::{silence, tell};
    use crate::beckn::action::Action;
    use crate::clock::Clock as _;
    use crate::event::{Flag, OrderEvent};
    use crate::inbox::contract::ManualClock;
    use crate::inbox::expectations::{Expecting, NewExpectation};
    use crate::inbox::sqlite::faults::Fault;
    use crate::inbox::sqlite::{Options, SqliteInbox};
    use crate::inbox::{Inbox as _, Outlet, Receipt, Record, Settlement, Standing};
    use crate::operations::Ledger;

    fn open(directory: &tempfile::TempDir, clock: &Arc<ManualClock>) -> Arc<SqliteInbox> {
        let options = Options {
            min_free_bytes: 0,
            poll: Duration::from_millis(5),
            ..Options::new(directory.path())
        };
        SqliteInbox::open(options, Arc::<ManualClock>::clone(clock)).unwrap()
    }

    #[tokio::test]
    async fn a_silence_is_told_once_and_what_comes_after_it_is_late() {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::new();
        let inbox = open(&directory, &clock);
        let at = clock.now();
        let new = NewExpectation {
            action: Action::OnStatus,
            message_id: "m1".to_owned(),
            transaction_id: Some("t1".to_owned()),
            bap_id: None,
            bpp_id: Some("seller.example".to_owned()),
            domain: Some("ONDC:RET10".to_owned()),
            by: "app".to_owned(),
            at,
            due_at: at + TimeDelta::seconds(30),
        };
        let expected = inbox.expect(new).await.unwrap();
        // The process ends before the time is over; the next one tells of it.
        inbox.close().await;
        drop(inbox);
        let inbox = open(&directory, &clock);
        let telling = tokio::spawn(tell(
            Arc::clone(&inbox) as Arc<dyn Expecting>,
            Arc::<ManualClock>::clone(&clock),
        ));
        clock.advance(31);
        let waiting = inbox.claim(Outlet(0), 1);
        let claim = tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap();
        let claim = claim.unwrap().remove(0);
        let event = claim.event().clone();
        assert!(event.flags.contains(Flag::Silence) && !event.flags.contains(Flag::Solicited));
        let error = event.error.unwrap();
        assert_eq!(error.code.as_deref(), Some("20009"));
        let context = &event.context;
        assert_eq!(context.message_id.as_deref(), Some("m1"));
        assert_eq!(context.domain.as_deref(), Some("ONDC:RET10"));
        inbox.settle(claim, Settlement::Done);
        let status = || {
            let ledger = Ledger::open(&directory.path().into()).unwrap();
            ledger.expectation(expected.id).unwrap().unwrap().status
        };
        assert_eq!((status().as_str(), inbox.next_silence()), ("silent", None));
        let body = r#"{"context":{"bpp_id":"seller.example","transaction_id":"t1","message_id":"m1"},
            "message":{"order":{"id":"o1"}}}"#;
        let mut late = OrderEvent::parse(Action::OnStatus, body).unwrap();
        late.received_at = clock.now();
        let record = Record { message: None, error: None, standing: Standing::Pending };
        let receipt = inbox.append(record, Box::new(late)).await.unwrap();
        assert!(matches!(receipt, Receipt::New { .. }));
        assert_eq!(status(), "late");
        assert_eq!(inbox.expectation_counts().read(), [0, 1, 1]);
        telling.abort();
        inbox.close().await;
    }

    fn expectation(clock: &ManualClock) -> NewExpectation {
        let at = clock.now();
        NewExpectation {
            action: Action::OnStatus,
            message_id: "m1".to_owned(),
            transaction_id: None,
            bap_id: None,
            bpp_id: None,
            domain: None,
            by: "app".to_owned(),
            at,
            due_at: at + TimeDelta::seconds(30),
        }
    }

    async fn come(inbox: &SqliteInbox, clock: &ManualClock) {
        let body = r#"{"context":{"message_id":"m1","transaction_id":"t1"}}"#;
        let mut event = OrderEvent::parse(Action::OnStatus, body).unwrap();
        event.received_at = clock.now();
        let record = Record { message: None, error: None, standing: Standing::Pending };
        inbox.append(record, Box::new(event)).await.unwrap();
    }

    fn beside(directory: &tempfile::TempDir, sql: &str) {
        let file = rusqlite::Connection::open(directory.path().join("inbox.sqlite3")).unwrap();
        file.execute_batch(sql).unwrap();
    }

    #[tokio::test]
    async fn a_commit_that_fails_neither_ends_the_telling_nor_makes_a_silence_of_what_came() {
        let (directory, clock) = (tempfile::tempdir().unwrap(), ManualClock::new());
        let inbox = open(&directory, &clock);
        let id = inbox.expect(expectation(&clock)).await.unwrap().id;
        come(&inbox, &clock).await;
        inbox.close().await;
        drop(inbox);
        // As if it had come while no process knew of the expectation.
        beside(&directory, "UPDATE expectation SET met_seq = NULL, met_at = NULL");
        let inbox = open(&directory, &clock);
        clock.advance(31);
        for _ in 0..2 {
            inbox.plant(Fault::NoRoom);
        }
        let telling = tokio::spawn(tell(
            Arc::clone(&inbox) as Arc<dyn Expecting>,
            Arc::<ManualClock>::clone(&clock),
        ));
        let status =
            || Ledger::open(&directory.path().into()).unwrap().expectation(id).unwrap().unwrap();
        let met = async {
            while status().status != "met" {
                assert!(!telling.is_finished());
                clock.advance(1);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), met).await.expect("it is found");
        assert_eq!(inbox.expectation_counts().read(), [0, 1, 0]);
        telling.abort();
        inbox.close().await;
    }

    #[tokio::test]
    async fn a_silence_is_not_told_of_what_came_or_was_withdrawn_just_before() {
        let (directory, clock) = (tempfile::tempdir().unwrap(), ManualClock::new());
        let inbox = open(&directory, &clock);
        let record = || Record { message: None, error: None, standing: Standing::Pending };
        for withdrawn in [false, true] {
            inbox.expect(expectation(&clock)).await.unwrap();
            clock.advance(31);
            let overdue = inbox.overdue(clock.now()).await.unwrap().remove(0);
            if withdrawn {
                beside(&directory, "DELETE FROM expectation WHERE met_seq IS NULL");
            } else {
                come(&inbox, &clock).await;
            }
            let event = silence(&overdue, &*clock);
            assert_eq!(inbox.tell_silence(&overdue, record(), event).await.unwrap(), None);
            assert_eq!((inbox.next_silence(), inbox.depth().unsettled), (None, 1));
            // Beyond what a registering looks back at.
            clock.advance(3_600);
        }
        assert_eq!(inbox.expectation_counts().read(), [2, 1, 0]);
        inbox.close().await;
    }
}
