//! What goes wrong around an inbox, and that nothing is lost or stuck by it.

use std::time::Duration;

use super::Options;
use super::faults::Fault;
use super::tests::{open, options, refusal};
use crate::clock::Clock as _;
use crate::event::Flag;
use crate::inbox::contract::{ManualClock, SAMPLE, new_id};
use crate::inbox::reader::{Reader, request_replay};
use crate::inbox::{Error, Inbox, Standing};

#[tokio::test]
async fn a_rejected_body_that_is_no_json_can_be_replayed() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory);
    let clock = ManualClock::new();
    let (inbox, bench) = open(&options, &clock);
    let (mut record, mut event) = SAMPLE.callback(clock.now());
    record.standing = Standing::Rejected;
    record.message = None;
    event.flags.insert(Flag::Rejected);
    event.body = bytes::Bytes::from_static(b"{\"context\":");
    let body = event.body.clone();
    let id = new_id(inbox.append(record, event).await);
    request_replay(&options.path, id, clock.now()).unwrap();
    let claim = bench.claim(1).await.remove(0);
    assert_eq!((claim.event().id, &claim.event().body), (id, &body));
}

#[tokio::test]
async fn a_refusal_takes_no_more_room_than_its_bounds_however_long_its_texts_are() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { refusals_per_seller_and_cause: 3, ..options(&directory) };
    let (inbox, _bench) = open(&options, &ManualClock::new());
    let long = "é".repeat(900);
    for _ in 0..10 {
        let mut refusal = refusal(&format!("s{long}"), false, "context.bpp_id");
        refusal.path.clone_from(&long);
        refusal.message.clone_from(&long);
        inbox.refuse(refusal);
    }
    inbox.close().await;
    let kept = Reader::open(&options.path).unwrap().refusals(100).unwrap();
    assert_eq!(kept.len(), 3, "the quota of a seller with a long name");
    let lengths = [&kept[0].seller, &kept[0].path, &kept[0].message].map(String::len);
    assert_eq!(lengths, [255, 1024, 1024], "cut between characters");
}

#[tokio::test]
async fn a_panic_of_the_writer_ends_the_inbox_and_nobody_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let (inbox, bench) = open(&options(&directory), &ManualClock::new());
    inbox.shared.faults.plant(Fault::Panic);
    let everyone = async {
        let (receipt, claims) = tokio::join!(bench.append(SAMPLE), inbox.claim(1));
        receipt.unwrap_err();
        claims.unwrap_err();
        inbox.failed().await;
        inbox.close().await;
    };
    tokio::time::timeout(Duration::from_secs(20), everyone).await.expect("nobody hangs");
    assert!(matches!(inbox.trouble(), Some(Error::Engine(_))));
    assert!(matches!(bench.append(SAMPLE).await, Err(Error::Engine(_))));
}
