//! One commit: which appends are new, their rows, and the settlements that ride along.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use hashbrown::HashMap;
use rusqlite::{CachedStatement, Connection};
use uuid::timestamp::context::ContextV7;
use uuid::{Timestamp, Uuid};

use super::expecting::{self, Met, Open};
use super::mailbox::Append;
use super::originals::{Likeness, confirm};
use super::window::{Entry, Keys, Known, Window};
use crate::event::{EventId, Flag};
use crate::inbox::Standing;
use crate::inbox::outcome::{Outcome, State};
use crate::inbox::prints::{content, half};

/// What an append turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is a new event.
    New {
        /// Its place in the log.
        seq: i64,
    },
    /// It repeats an event that is durable.
    Duplicate {
        /// The original.
        of: EventId,
        /// Its place in the log.
        seq: i64,
    },
    /// It repeats an earlier append of the same batch.
    DuplicateInBatch {
        /// The original's place in the batch.
        of: usize,
    },
    /// It tells of a silence, and what was waited for has come, or is waited for no more.
    NotTold,
}

/// The new events of a batch, which the window does not know yet, by keyed fingerprints.
#[derive(Debug, Default)]
struct Overlay {
    by_body: HashMap<u128, usize>,
    latest_by_ids: HashMap<u128, usize>,
}

/// What deciding a batch needs.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) connection: &'a Connection,
    pub(super) window: &'a Window,
    pub(super) ids: &'a ContextV7,
    pub(super) now: DateTime<Utc>,
    pub(super) last_seq: i64,
    pub(super) open: &'a Mutex<Open>,
}

/// What became of the appends of a batch.
#[derive(Debug, Default)]
pub(super) struct Inserted {
    pub(super) decisions: Vec<Decision>,
    /// The expectations that new events have met.
    pub(super) met: Vec<Met>,
}

/// Decides each append, in order, and inserts the new ones; sets their ids and flags.
pub(super) fn insert(ground: &Ground<'_>, appends: &mut [Append]) -> rusqlite::Result<Inserted> {
    let mut met = Vec::new();
    let mut overlay = Overlay::default();
    // The window does not change before the commit, so it is asked for the whole batch at once.
    let keys: Vec<Keys> = appends.iter().map(keys).collect();
    let known = ground.window.find(&keys);
    let mut decisions = Vec::with_capacity(appends.len());
    let mut seq = ground.last_seq;
    let mut insert = Insert::prepare(ground.connection)?;
    for (place, known) in known.into_iter().enumerate() {
        let (earlier, rest) = appends.split_at_mut(place);
        let append = &mut rest[0];
        if let Some(expectation) = append.silence_of
            && !expecting::is_waited_for(ground.connection, expectation)?
        {
            decisions.push(Decision::NotTold);
            continue;
        }
        let (decision, reused) = match find_original(ground, known, &overlay, earlier, append)? {
            Found::Duplicate(decision) => (decision, false),
            Found::None { reused } => {
                seq += 1;
                (Decision::New { seq }, reused)
            }
        };
        if let Decision::New { seq } = decision {
            append.event.id = new_id(ground.ids, ground.now);
            append.event.seq = seq.unsigned_abs();
            if reused {
                append.event.flags.insert(Flag::IdReused);
            }
            note_met(ground, seq, append, &mut met)?;
            insert.rows(seq, append)?;
            overlay.by_body.insert(append.prints.body, place);
            if let Some(ids) = append.prints.ids {
                overlay.latest_by_ids.insert(ids, place);
            }
        }
        decisions.push(decision);
    }
    Ok(Inserted { decisions, met })
}

/// Marks a new event that the buyer app waits for, and writes what it has met.
fn note_met(
    ground: &Ground<'_>,
    seq: i64,
    append: &mut Append,
    met: &mut Vec<Met>,
) -> rusqlite::Result<()> {
    if append.record.standing == Standing::Rejected {
        return Ok(());
    }
    // Only a map is touched under this lock; it is whole after any panic.
    let open = ground.open.lock().unwrap_or_else(PoisonError::into_inner);
    let mut expected = open.met_by(&append.event, &append.seller);
    drop(open);
    expected.retain(|expectation| met.iter().all(|met| met.expectation != *expectation));
    for expectation in expected {
        append.event.flags.insert(Flag::Solicited);
        let one = Met { expectation, event: seq, at: append.event.received_at };
        expecting::write_met(ground.connection, one)?;
        met.push(one);
    }
    Ok(())
}

/// Returns the next id.
pub(super) fn new_id(ids: &ContextV7, now: DateTime<Utc>) -> EventId {
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    let nanos = now.timestamp_subsec_nanos();
    EventId::new(Uuid::new_v7(Timestamp::from_unix(ids, seconds, nanos)))
}

enum Found {
    Duplicate(Decision),
    None { reused: bool },
}

fn find_original(
    ground: &Ground<'_>,
    known: Known,
    overlay: &Overlay,
    earlier: &[Append],
    append: &Append,
) -> rusqlite::Result<Found> {
    let prints = &append.prints;
    let standing = append.record.standing;
    if let Some(of) = overlay.by_body.get(&prints.body).copied()
        && same_body(&earlier[of], append)
        && repeats(standing, earlier[of].record.standing)
    {
        return Ok(Found::Duplicate(Decision::DuplicateInBatch { of }));
    }
    if let Some(entry) = known.body
        && let Some((of, original)) = confirm(ground.connection, entry.seq, append, Likeness::Body)?
        && repeats(standing, original)
    {
        return Ok(Found::Duplicate(Decision::Duplicate { of, seq: entry.seq }));
    }
    let Some(ids) = prints.ids else { return Ok(Found::None { reused: false }) };
    if let Some(of) = overlay.latest_by_ids.get(&ids).copied()
        && same_ids(&earlier[of], append)
    {
        return Ok(if !same_content(&earlier[of], append) {
            Found::None { reused: true }
        } else if repeats(standing, earlier[of].record.standing) {
            Found::Duplicate(Decision::DuplicateInBatch { of })
        } else {
            Found::None { reused: false }
        });
    }
    let Some(entry) = known.ids else { return Ok(Found::None { reused: false }) };
    // Other states under one id are everyday: another fingerprint needs no look at the disk.
    if entry.content != half(prints.content) {
        return Ok(Found::None { reused: true });
    }
    Ok(match confirm(ground.connection, entry.seq, append, Likeness::Content)? {
        Some((of, original)) if repeats(standing, original) => {
            Found::Duplicate(Decision::Duplicate { of, seq: entry.seq })
        }
        Some(_) => Found::None { reused: false },
        None => Found::None { reused: true },
    })
}

/// Returns whether an append of this standing repeats an original that is like it. A rejected
/// original was never delivered: what is accepted now must be.
fn repeats(append: Standing, original: Standing) -> bool {
    match (append, original) {
        (Standing::Pending, Standing::Rejected) => false,
        (Standing::Pending, Standing::Pending) | (Standing::Rejected, _) => true,
    }
}

fn same_body(one: &Append, other: &Append) -> bool {
    one.event.action == other.event.action
        && one.seller == other.seller
        && one.event.body == other.event.body
}

fn same_ids(one: &Append, other: &Append) -> bool {
    let ids = |append: &Append| {
        let context = &append.event.context;
        [context.bap_id.clone(), context.transaction_id.clone(), context.message_id.clone()]
    };
    one.event.action == other.event.action && one.seller == other.seller && ids(one) == ids(other)
}

fn same_content(one: &Append, other: &Append) -> bool {
    content_of(one) == content_of(other)
}

pub(super) fn content_of(append: &Append) -> [Option<&[u8]>; 2] {
    content(&append.event.body, append.record.message.as_ref(), append.record.error.as_ref())
}

/// The statements by which a new event is kept; looked up once for a batch.
struct Insert<'a> {
    body: CachedStatement<'a>,
    event: CachedStatement<'a>,
}

impl<'a> Insert<'a> {
    fn prepare(connection: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            body: connection.prepare_cached("INSERT INTO body (seq, body) VALUES (?1, ?2)")?,
            event: connection.prepare_cached(
                "INSERT INTO event VALUES
                 (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
                  ?19, ?20, ?21, ?22, ?23)",
            )?,
        })
    }

    fn rows(&mut self, seq: i64, append: &Append) -> rusqlite::Result<()> {
        let Append { event, record, seller, prints, .. } = append;
        self.body.execute((seq, event.body.as_ref()))?;
        let context = &event.context;
        let start = |span: &Option<Range<usize>>| span.as_ref().map(|span| span.start);
        let end = |span: &Option<Range<usize>>| span.as_ref().map(|span| span.end);
        self.event.execute(rusqlite::params![
            seq,
            event.id.uuid().as_bytes(),
            event.action.as_str(),
            seller,
            event.sender.is_some(),
            context.bap_id.as_deref(),
            context.transaction_id.as_deref(),
            context.message_id.as_deref(),
            event.order_id(),
            event.state(),
            event.received_at.timestamp_micros(),
            event.flags.bits(),
            crate::inbox::stored::warnings_at_rest(&event.warnings),
            start(&record.message),
            end(&record.message),
            start(&record.error),
            end(&record.error),
            prints.body.to_le_bytes(),
            prints.ids.map(u128::to_le_bytes),
            prints.content.to_le_bytes(),
            prints.lane.cast_signed(),
            match record.standing {
                Standing::Pending => 0,
                Standing::Rejected => 1,
            },
            context.domain.as_deref(),
        ])?;
        Ok(())
    }
}

/// Returns what the window finds an append by.
fn keys(append: &Append) -> Keys {
    Keys { body: half(append.prints.body), ids: append.prints.ids.map_or(0, half) }
}

/// Returns what the window holds of a new event.
pub(super) fn entry(seq: i64, append: &Append) -> Entry {
    let Keys { body, ids } = keys(append);
    Entry {
        seq,
        received_at: append.event.received_at.timestamp_micros(),
        body,
        ids,
        content: half(append.prints.content),
    }
}

/// Writes how far deliveries are.
pub(super) fn write_outcomes(
    connection: &Connection,
    outcomes: &BTreeMap<i64, Outcome>,
) -> rusqlite::Result<()> {
    // A mark or a hand-back has no error of its own and leaves the last one. What was written
    // again after a failed commit may be of a round before: it changes nothing.
    let mut write = connection.prepare_cached(
        "INSERT INTO delivery (seq, replay, state, attempts, first_attempt_at, next_at, marks, error,
         settled_at, flags, states) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (seq) DO UPDATE SET replay = ?2, state = ?3, attempts = ?4,
         first_attempt_at = ?5, next_at = ?6, marks = ?7,
         error = CASE WHEN ?3 = 0 THEN coalesce(?8, error) ELSE ?8 END, settled_at = ?9,
         flags = flags | ?10, states = coalesce(?11, states)
         WHERE excluded.replay >= delivery.replay",
    )?;
    let micros = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_micros());
    for (seq, outcome) in outcomes {
        let written = write.execute(rusqlite::params![
            seq,
            outcome.replay,
            outcome.state.number(),
            outcome.attempts,
            micros(outcome.first_attempt_at),
            micros(outcome.next_at),
            outcome.marks,
            outcome.error,
            micros(outcome.settled_at),
            outcome.found.as_ref().map_or(0, |found| found.flags.bits()),
            outcome.found.as_ref().map(|found| found.states.as_str()),
        ])?;
        if written > 0 && outcome.replay > 0 && outcome.state != State::Pending {
            connection.prepare_cached("DELETE FROM open_replay WHERE seq = ?1")?.execute([seq])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::DateTime;

    use super::{Outcome, write_outcomes};
    use crate::inbox::Settlement;
    use crate::inbox::outcome::Progress;
    use crate::inbox::sqlite::schema;

    #[test]
    fn an_outcome_of_an_earlier_round_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file = schema::open_writer(&directory.path().join(schema::FILE)).unwrap();
        let round = |replay| Progress { replay, ..Progress::default() };
        let done = |replay| Outcome::of(round(replay), 1, Settlement::Done, DateTime::UNIX_EPOCH);
        write_outcomes(&file, &BTreeMap::from([(1, Outcome::pending(round(2)))])).unwrap();
        file.execute("INSERT INTO open_replay VALUES (1)", []).unwrap();
        write_outcomes(&file, &BTreeMap::from([(1, done(1))])).unwrap();
        let kept = |sql: &str| -> i64 { file.query_row(sql, [], |row| row.get(0)).unwrap() };
        assert_eq!(kept("SELECT state FROM delivery WHERE replay = 2"), 0);
        assert_eq!(kept("SELECT count(*) FROM open_replay"), 1);
        write_outcomes(&file, &BTreeMap::from([(1, done(2))])).unwrap();
        assert_eq!(kept("SELECT state FROM delivery WHERE replay = 2"), 1);
        assert_eq!(kept("SELECT count(*) FROM open_replay"), 0);
    }
}
