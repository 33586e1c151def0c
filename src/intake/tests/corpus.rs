//! Real bodies through the whole first half: what is `ACKed` is on the disk, byte for byte.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use super::{Bench, Plan, new_id, refused, told};
use crate::beckn::action::Action;
use crate::beckn::tests::shared;
use crate::event::{EventId, Flag};
use crate::inbox::{Inbox as _, Receipt};
use crate::intake::Rejection;
use crate::words::Profile;

/// A file of the corpus; its folder says which callback it is.
struct Real {
    file: String,
    /// `None` for what is posted to the wrong route.
    route: Option<Action>,
    is_json: bool,
    /// The first line with a mistake, as another parser saw it.
    mistake: Option<usize>,
    /// The first mistake may be a trailing comma, which is read over here.
    may_be_comma: bool,
    bytes: Vec<u8>,
}

/// Opening an inbox waits for the disk: so many are opened side by side.
const LANES: usize = 4;

const OURS: [Action; 3] = [Action::OnStatus, Action::OnUpdate, Action::OnTrack];

fn corpus() -> Option<Vec<Real>> {
    let folder = shared("corpus")?;
    let index = fs::read_to_string(folder.join("index.csv")).unwrap();
    let real = |row: &str| {
        let mut columns = row.split(',');
        let file = columns.next().unwrap().to_owned();
        let kind = columns.next().unwrap();
        let is_json = columns.nth(2).unwrap() == "y";
        let mistake = row.split_once(": line ").and_then(|(_, rest)| rest.split_once(' '));
        Real {
            route: OURS.into_iter().find(|action| action.as_str() == kind),
            is_json,
            mistake: mistake.filter(|_| !is_json).map(|(line, _)| line.parse().unwrap()),
            may_be_comma: row.contains("Expecting property name"),
            bytes: fs::read(folder.join(&file)).unwrap(),
            file,
        }
    };
    Some(index.lines().skip(1).map(real).collect())
}

fn standard() -> Bench {
    Bench::new(Plan::of(Profile::Standard))
}

/// What makes two callbacks one, read by a parser that is not ours.
#[derive(Debug, PartialEq)]
struct Identity {
    ids: Vec<Option<String>>,
    message: serde_json::Value,
    error: serde_json::Value,
}

/// Action, seller, bap, transaction and message.
type Ids = (Action, Vec<Option<String>>);

impl Identity {
    fn of(bytes: &[u8]) -> Self {
        let mut body: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let id = |names: [&str; 2]| {
            let found = names.iter().find_map(|name| body["context"].get(name));
            found.map(ToString::to_string)
        };
        let ids = [
            ["bpp_id", "bppId"],
            ["bap_id", "bapId"],
            ["transaction_id", "transactionId"],
            ["message_id", "messageId"],
        ];
        let ids = ids.map(id).to_vec();
        Self { ids, message: body["message"].take(), error: body["error"].take() }
    }
}

#[track_caller]
fn check_verdicts(verdicts: &BTreeMap<String, usize>, expected: &[(&str, usize)]) {
    let expected = expected.iter().map(|(verdict, count)| ((*verdict).to_owned(), *count));
    assert_eq!(verdicts, &expected.collect());
}

/// The 857 that are JSON and on their own routes: 833 are complete, 8 carry another payload.
#[track_caller]
fn check_all(verdicts: &BTreeMap<String, usize>) {
    let expected = [
        ("accepted", 833),
        ("accepted, another payload", 8),
        ("context.action 20006 CONTEXT-ERROR /context/action", 1),
        ("context.transaction_id 20006 CONTEXT-ERROR /context/transaction_id", 5),
        ("payload.present 20006 JSON-SCHEMA-ERROR /message", 1),
        ("payload.present 20006 JSON-SCHEMA-ERROR /message/order", 9),
    ];
    check_verdicts(verdicts, &expected);
}

fn verdict(bench: &Bench, result: Result<EventId, Rejection>) -> String {
    let Ok(id) = result else {
        return told(&refused(result.map(|of| Receipt::Duplicate { of })));
    };
    let other = bench.stored(id).summary.flags.contains(Flag::OtherPayload);
    if other { "accepted, another payload".to_owned() } else { "accepted".to_owned() }
}

#[tokio::test]
async fn real_bodies_in_one_inbox_are_kept_as_sent_or_repeat_what_is_kept() {
    let Some(corpus) = corpus() else { return };
    let bench = standard();
    let mut verdicts = BTreeMap::<String, usize>::new();
    let mut originals: HashMap<EventId, &Real> = HashMap::new();
    let mut sent: HashMap<(Action, &[u8]), EventId> = HashMap::new();
    let mut latest: HashMap<Ids, &Real> = HashMap::new();
    let mut duplicates = 0;
    for real in corpus.iter().filter(|real| real.is_json) {
        let Some(route) = real.route else { continue };
        let result = match bench.accept(route, real.bytes.clone()).await {
            Ok(Receipt::New { id, .. }) => {
                assert_eq!(bench.stored(id).body, real.bytes, "{}", real.file);
                let before = sent.insert((route, &real.bytes), id);
                assert_eq!(before, None, "{} was sent before", real.file);
                let identity = Identity::of(&real.bytes);
                let before = latest.insert((route, identity.ids.clone()), real);
                let other = before.is_none_or(|real| identity != Identity::of(&real.bytes));
                assert!(other, "{} repeats what it follows", real.file);
                originals.insert(id, real);
                Ok(id)
            }
            Ok(Receipt::Duplicate { of }) => {
                let original = originals[&of];
                println!("{} repeats {}", real.file, original.file);
                assert_eq!(original.route, real.route, "{}", real.file);
                assert_eq!(Identity::of(&real.bytes), Identity::of(&original.bytes));
                duplicates += 1;
                Ok(of)
            }
            Err(rejection) => Err(rejection),
        };
        *verdicts.entry(verdict(&bench, result)).or_default() += 1;
    }
    println!("{} events, {duplicates} duplicates", originals.len());
    check_all(&verdicts);
    assert_eq!(bench.inbox.depth().unsettled, originals.len() as u64);
    assert_eq!(originals.len() + duplicates, 841);
}

/// Posts a body to an inbox of its own, where a repetition, also one whose context is written
/// anew, is a duplicate of it.
async fn verdict_alone(real: &Real) -> String {
    let bench = standard();
    let route = real.route.unwrap();
    let result = match bench.accept(route, real.bytes.clone()).await {
        Ok(receipt) => {
            let id = new_id(Ok(receipt));
            assert_eq!(bench.stored(id).body, real.bytes, "{}", real.file);
            let stamped_again = [b"\n ", &real.bytes[..]].concat();
            for repetition in [real.bytes.clone(), stamped_again] {
                let receipt = bench.accept(route, repetition).await.unwrap();
                assert_eq!(receipt, Receipt::Duplicate { of: id }, "{}", real.file);
            }
            let claim = bench.claim().await;
            assert_eq!((claim.event().id, &claim.event().body[..]), (id, &real.bytes[..]));
            Ok(id)
        }
        Err(rejection) => Err(rejection),
    };
    verdict(&bench, result)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_real_body_in_an_inbox_of_its_own_is_kept_as_sent() {
    let Some(corpus) = corpus() else { return };
    let began = Instant::now();
    let corpus: Vec<Real> =
        corpus.into_iter().filter(|real| real.is_json && real.route.is_some()).collect();
    let corpus = Arc::new(corpus);
    let mut work = JoinSet::new();
    for first in 0..LANES {
        let corpus = Arc::clone(&corpus);
        work.spawn(async move {
            let mut verdicts = Vec::new();
            for real in corpus.iter().skip(first).step_by(LANES) {
                verdicts.push(verdict_alone(real).await);
            }
            verdicts
        });
    }
    let mut verdicts = BTreeMap::<String, usize>::new();
    for verdict in work.join_all().await.into_iter().flatten() {
        *verdicts.entry(verdict).or_default() += 1;
    }
    println!("{} inboxes in {:?}", corpus.len(), began.elapsed());
    check_all(&verdicts);
}

/// Returns the line and the column that a message names.
fn place(message: &str) -> (usize, usize) {
    let (_, place) = message.rsplit_once("at line ").expect("the message names a line");
    let (line, column) = place.split_once(" column ").expect("the message names a column");
    (line.parse().unwrap(), column.parse().unwrap())
}

#[tokio::test]
async fn real_bodies_on_the_wrong_route_are_refused_and_not_kept() {
    let Some(corpus) = corpus() else { return };
    let bench = standard();
    let mut verdicts = BTreeMap::<String, usize>::new();
    for real in corpus.iter().filter(|real| real.route.is_none()) {
        for route in OURS {
            let refused = refused(bench.accept(route, real.bytes.clone()).await);
            if refused.cause == crate::rules::MALFORMED {
                assert!(!real.is_json, "{}", real.file);
                check_place(real, &refused.message);
            }
            *verdicts.entry(told(&refused)).or_default() += 1;
        }
    }
    let expected = [
        ("context.action 20006 CONTEXT-ERROR /context/action", 3 * 142),
        ("json.syntax 20006 JSON-SCHEMA-ERROR ", 3 * 3),
        ("payload.callback 20006 JSON-SCHEMA-ERROR /message/ack", 3 * 6),
    ];
    check_verdicts(&verdicts, &expected);
    assert_eq!(bench.inbox.depth().unsettled, 0);
    assert!(
        bench
            .reader()
            .events(&crate::inbox::reader::selection::Filter::default(), 1)
            .unwrap()
            .is_empty()
    );
}

#[track_caller]
fn check_place(real: &Real, message: &str) {
    let (line, column) = place(message);
    let theirs = real.mistake.unwrap();
    assert!(column > 0 && line >= theirs, "{}: {message}, not {theirs}", real.file);
    assert!(line == theirs || real.may_be_comma, "{}: {message}, not {theirs}", real.file);
}

#[tokio::test]
async fn real_bodies_that_are_not_json_are_repaired_or_refused_with_their_place() {
    let Some(corpus) = corpus() else { return };
    let bench = standard();
    let mut verdicts = BTreeMap::<String, usize>::new();
    for real in corpus.iter().filter(|real| !real.is_json) {
        let Some(route) = real.route else { continue };
        let verdict = match bench.accept(route, real.bytes.clone()).await {
            Ok(Receipt::New { id, .. } | Receipt::Duplicate { of: id }) => {
                let stored = bench.stored(id);
                assert!(stored.summary.flags.contains(Flag::Repaired), "{}", real.file);
                "repaired".to_owned()
            }
            rejected => {
                let refused = refused(rejected);
                if refused.cause == crate::rules::MALFORMED {
                    check_place(real, &refused.message);
                }
                told(&refused)
            }
        };
        *verdicts.entry(verdict).or_default() += 1;
    }
    let expected = [
        ("context.present 20006 CONTEXT-ERROR /context", 1),
        ("json.syntax 20006 JSON-SCHEMA-ERROR ", 13),
        ("repaired", 7),
    ];
    check_verdicts(&verdicts, &expected);
}
