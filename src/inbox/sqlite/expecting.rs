//! Expectations: which are open, in memory, and their rows.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Shared;
use super::batch::{self, Decision};
use super::mailbox::Batch;
use super::writer::{Writer, in_transaction};
use crate::beckn::action::Action;
use crate::event::{Flag, Flags, OrderEvent};
use crate::inbox::Error;
use crate::inbox::expectations::{Candidate, ExpectError, Expectation, NewExpectation};
use crate::inbox::stored::time;

/// How long a callback is called late that comes after the silence was told.
const LATE_FOR: TimeDelta = TimeDelta::days(1);

/// How long one is kept after it was due.
const KEPT_FOR: TimeDelta = TimeDelta::days(7);

/// So many are kept, the newest; those that are open are kept all the same.
const KEPT: i64 = 1_000_000;

/// So many leave in a step.
const STEP: usize = 512;

/// What a row takes with its indexes: 305 bytes, measured with 200,000 of the network's ids.
const ROW_BYTES: i64 = 320;

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Request {
    /// Registers an expectation.
    Register { new: NewExpectation, answer: oneshot::Sender<Result<Arc<Expectation>, ExpectError>> },
    /// Notes that an event that is kept already has met one.
    Meet { met: Met, answer: oneshot::Sender<Result<(), Error>> },
}

impl Request {
    /// Says that nothing was written.
    pub(super) fn fail(self, error: &Error) {
        match self {
            // A caller that has gone needs no answer, here and below.
            Request::Register { answer, .. } => drop(answer.send(Err(error.clone().into()))),
            Request::Meet { answer, .. } => drop(answer.send(Err(error.clone()))),
        }
    }

    /// Says that it is durable; `registered` is `None` where there was no room.
    pub(super) fn answer(self, registered: Option<&Arc<Expectation>>) {
        match self {
            Request::Register { answer, .. } => {
                let registered = registered.map(Arc::clone).ok_or(ExpectError::TooMany);
                drop(answer.send(registered));
            }
            Request::Meet { answer, .. } => drop(answer.send(Ok(()))),
        }
    }
}

/// What a commit has written about expectations.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) met: Vec<Met>,
    /// Those whose silence is told.
    pub(super) silent: Vec<i64>,
    /// Those that were no longer waited for when their silence was to be told.
    pub(super) gone: Vec<i64>,
    /// What each request has registered, in their order.
    pub(super) requests: Vec<Option<Arc<Expectation>>>,
}

impl Writer {
    /// Writes what the requests ask for and whose silence the appends tell.
    pub(super) fn write_expectations(
        &self,
        batch: &Batch,
        decisions: &[Decision],
        met: Vec<Met>,
    ) -> rusqlite::Result<Written> {
        let connection = self.connection();
        let mut written = Written { met, ..Written::default() };
        for (append, decision) in batch.appends.iter().zip(decisions) {
            let Some(expectation) = append.silence_of else { continue };
            match *decision {
                Decision::New { seq } | Decision::Duplicate { seq, .. } => {
                    write_silence(connection, expectation, seq)?;
                    written.silent.push(expectation);
                }
                // The next look repeats it.
                Decision::DuplicateInBatch { .. } => {}
                Decision::NotTold => written.gone.push(expectation),
            }
        }
        let mut registered = 0;
        for request in &batch.requests {
            written.requests.push(match request {
                Request::Register { new, .. } if self.shared.open().has_room(registered + 1) => {
                    registered += 1;
                    let id = batch::new_id(&self.ids, new.at).uuid();
                    let seq = insert(connection, id, new)?;
                    let looked = AtomicBool::new(false);
                    Some(Arc::new(Expectation { seq, id, new: new.clone(), looked }))
                }
                Request::Register { .. } => None,
                Request::Meet { met, .. } => {
                    write_met(connection, *met)?;
                    mark_solicited(connection, met.event)?;
                    written.met.push(*met);
                    None
                }
            });
        }
        Ok(written)
    }
}

impl Shared {
    pub(super) fn open(&self) -> MutexGuard<'_, Open> {
        // Only maps are touched under this lock; they are whole after any panic.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what a commit has written.
    pub(super) fn publish_expectations(&self, written: &Written) {
        let registered = written.requests.iter().flatten();
        let told = [&written.silent, &written.gone];
        if written.met.is_empty()
            && written.requests.is_empty()
            && told.iter().all(|of| of.is_empty())
        {
            return;
        }
        let mut open = self.open();
        written.gone.iter().for_each(|seq| open.remove(*seq));
        written.met.iter().for_each(|met| open.remove(met.expectation));
        written.silent.iter().for_each(|seq| open.silence(*seq));
        registered.clone().for_each(|expectation| open.insert(Arc::clone(expectation)));
        self.counts.add(registered.count(), written.met.len(), written.silent.len());
    }
}

/// An expectation and the event that has met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Met {
    pub(super) expectation: i64,
    pub(super) event: i64,
    pub(super) at: DateTime<Utc>,
}

/// The expectations that nothing has met, those that ended in silence not long ago among them.
#[derive(Debug)]
pub(super) struct Open {
    by_seq: HashMap<i64, Arc<Expectation>>,
    by_message: HashMap<String, Vec<i64>>,
    due: BTreeSet<(DateTime<Utc>, i64)>,
    /// Those that ended in silence, the oldest first.
    silent: VecDeque<i64>,
    limit: usize,
}

impl Open {
    /// Reads what is open.
    pub(super) fn load(
        connection: &Connection,
        limit: usize,
        now: DateTime<Utc>,
    ) -> rusqlite::Result<Self> {
        let mut open = Self {
            by_seq: HashMap::new(),
            by_message: HashMap::new(),
            due: BTreeSet::new(),
            silent: VecDeque::new(),
            limit,
        };
        let mut statement = connection.prepare(
            "SELECT seq, id, action, message_id, transaction_id, bap_id, bpp_id, domain,
             registered_by, registered_at, due_at, silent_seq IS NOT NULL FROM expectation
             WHERE met_seq IS NULL AND (silent_seq IS NULL OR due_at > ?1) ORDER BY due_at",
        )?;
        let mut rows = statement.query([(now - LATE_FOR).timestamp_micros()])?;
        while let Some(row) = rows.next()? {
            // An action that this version does not know cannot be met by it either.
            let Some(action) = Action::from_name(&row.get::<_, String>(2)?) else { continue };
            let seq = row.get(0)?;
            let new = NewExpectation {
                action,
                message_id: row.get(3)?,
                transaction_id: row.get(4)?,
                bap_id: row.get(5)?,
                bpp_id: row.get(6)?,
                domain: row.get(7)?,
                by: row.get(8)?,
                at: time(row.get(9)?),
                due_at: time(row.get(10)?),
            };
            let (id, looked) = (Uuid::from_bytes(row.get(1)?), AtomicBool::new(false));
            open.insert(Arc::new(Expectation { seq, id, new, looked }));
            if row.get(11)? {
                open.silence(seq);
            }
        }
        Ok(open)
    }

    /// Returns whether so many more may be opened.
    pub(super) fn has_room(&self, more: usize) -> bool {
        self.due.len() + more <= self.limit
    }

    /// Returns how many nothing has met and whose silence was not told.
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    pub(super) fn insert(&mut self, expectation: Arc<Expectation>) {
        let seq = expectation.seq;
        let of_message = self.by_message.entry(expectation.new.message_id.clone()).or_default();
        of_message.push(seq);
        self.due.insert((expectation.new.due_at, seq));
        self.by_seq.insert(seq, expectation);
    }

    /// Returns those that an event meets.
    pub(super) fn met_by(&self, event: &OrderEvent, seller: &str) -> Vec<i64> {
        if self.by_seq.is_empty() || event.flags.contains(Flag::Silence) {
            return Vec::new();
        }
        let context = &event.context;
        let Some(message_id) = context.message_id.as_deref() else { return Vec::new() };
        let candidate = Candidate {
            action: event.action.as_str(),
            message_id,
            transaction_id: context.transaction_id.as_deref(),
            seller,
        };
        let of_message = self.by_message.get(message_id).map(Vec::as_slice).unwrap_or_default();
        let met = |seq: &&i64| self.by_seq[*seq].new.is_met_by(candidate);
        of_message.iter().filter(met).copied().collect()
    }

    /// Returns those that ask for a message id.
    pub(super) fn get(&self, seq: i64) -> Option<&Arc<Expectation>> {
        self.by_seq.get(&seq)
    }

    /// Lets go of one: it was met, or withdrawn.
    pub(super) fn remove(&mut self, seq: i64) {
        let Some(expectation) = self.by_seq.remove(&seq) else { return };
        if !self.due.remove(&(expectation.new.due_at, seq)) {
            self.silent.retain(|silent| *silent != seq);
        }
        if let Some(of_message) = self.by_message.get_mut(&expectation.new.message_id) {
            of_message.retain(|one| *one != seq);
            if of_message.is_empty() {
                self.by_message.remove(&expectation.new.message_id);
            }
        }
    }

    /// Lets go of one by its id.
    pub(super) fn forget(&mut self, id: Uuid) {
        let found = self.by_seq.values().find(|expectation| expectation.id == id);
        if let Some(seq) = found.map(|expectation| expectation.seq) {
            self.remove(seq);
        }
    }

    /// Lets go of those of a transaction.
    pub(super) fn forget_transaction(&mut self, transaction_id: &str) {
        let of_it =
            |one: &&Arc<Expectation>| one.new.transaction_id.as_deref() == Some(transaction_id);
        let seqs: Vec<i64> = self.by_seq.values().filter(of_it).map(|one| one.seq).collect();
        for seq in seqs {
            self.remove(seq);
        }
    }

    /// Takes note that its silence was told; it can still be met.
    pub(super) fn silence(&mut self, seq: i64) {
        let Some(expectation) = self.by_seq.get(&seq) else { return };
        if !self.due.remove(&(expectation.new.due_at, seq)) {
            return;
        }
        self.silent.push_back(seq);
        let oldest = self.silent.front().and_then(|seq| self.by_seq.get(seq));
        let too_old = oldest.is_some_and(|one| one.new.due_at + LATE_FOR < expectation.new.due_at);
        if (too_old || self.silent.len() > self.limit)
            && let Some(oldest) = self.silent.front().copied()
        {
            self.remove(oldest);
        }
    }

    /// Returns those whose time is over, at most `limit`.
    pub(super) fn overdue(&self, now: DateTime<Utc>, limit: usize) -> Vec<Arc<Expectation>> {
        let over = self.due.iter().take_while(|(due_at, _)| *due_at <= now);
        over.take(limit).map(|(_, seq)| Arc::clone(&self.by_seq[seq])).collect()
    }

    /// Returns those for which the log was not looked through, at most `limit`.
    pub(super) fn not_looked_for(&self, limit: usize) -> Vec<Arc<Expectation>> {
        let rest = self.by_seq.values().filter(|one| !one.looked.load(Ordering::Relaxed));
        rest.take(limit).map(Arc::clone).collect()
    }

    /// Returns when the next one is due.
    pub(super) fn next_due(&self) -> Option<DateTime<Utc>> {
        self.due.first().map(|(due_at, _)| *due_at)
    }
}

/// Writes a new expectation; returns its place.
pub(super) fn insert(
    connection: &Connection,
    id: Uuid,
    new: &NewExpectation,
) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO expectation (id, action, message_id, transaction_id, bap_id, bpp_id, domain,
             registered_at, registered_by, due_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(rusqlite::params![
            id.as_bytes(),
            new.action.as_str(),
            new.message_id,
            new.transaction_id,
            new.bap_id,
            new.bpp_id,
            new.domain,
            new.at.timestamp_micros(),
            new.by,
            new.due_at.timestamp_micros(),
        ])?;
    Ok(connection.last_insert_rowid())
}

/// Writes that an event has met an expectation, the first that does.
pub(super) fn write_met(connection: &Connection, met: Met) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE expectation SET met_seq = ?2, met_at = ?3 WHERE seq = ?1 AND met_seq IS NULL",
        )?
        .execute((met.expectation, met.event, met.at.timestamp_micros()))?;
    Ok(())
}

/// Marks an event that came before it was asked for.
pub(super) fn mark_solicited(connection: &Connection, event: i64) -> rusqlite::Result<()> {
    let mut solicited = Flags::default();
    solicited.insert(Flag::Solicited);
    connection
        .prepare_cached("UPDATE event SET flags = flags | ?2 WHERE seq = ?1")?
        .execute((event, solicited.bits()))?;
    Ok(())
}

/// Writes that the silence was told by the event at `event`.
pub(super) fn write_silence(
    connection: &Connection,
    expectation: i64,
    event: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE expectation SET silent_seq = ?2 WHERE seq = ?1 AND silent_seq IS NULL",
        )?
        .execute((expectation, event))?;
    Ok(())
}

/// Returns whether nothing has met an expectation, and nobody has withdrawn it.
pub(super) fn is_waited_for(connection: &Connection, expectation: i64) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM expectation WHERE seq = ?1 AND met_seq IS NULL")?
        .exists([expectation])
}

/// Lets go of a few of those that are over: seven days after they were due, and of all but the
/// newest million; returns whether there may be more.
pub(super) fn expire(connection: &Connection, now: DateTime<Utc>) -> rusqlite::Result<bool> {
    let before = (now - KEPT_FOR).timestamp_micros();
    let aged = "SELECT seq FROM expectation WHERE (met_seq IS NOT NULL OR silent_seq IS NOT NULL)
         AND due_at < ?1 ORDER BY due_at LIMIT ?2";
    // By their places, which grow by one: no row has to be counted.
    let surplus =
        "SELECT seq FROM expectation WHERE (met_seq IS NOT NULL OR silent_seq IS NOT NULL)
         AND seq <= (SELECT max(seq) FROM expectation) - ?1 ORDER BY seq LIMIT ?2";
    let leave = |which: &str, bound: i64| -> rusqlite::Result<bool> {
        let seqs: Vec<i64> = connection
            .prepare_cached(which)?
            .query_map((bound, STEP), |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        if seqs.is_empty() {
            return Ok(false);
        }
        in_transaction(connection, || {
            let mut delete = connection.prepare_cached("DELETE FROM expectation WHERE seq = ?1")?;
            seqs.iter().try_for_each(|seq| delete.execute([seq]).map(drop))
        })?;
        Ok(seqs.len() == STEP)
    };
    Ok(leave(aged, before)? | leave(surplus, KEPT)?)
}

/// Returns about how much room they take, which is beside that of the events.
pub(super) fn bytes(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT count(*) * ?1 FROM expectation", [ROW_BYTES], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::{KEPT_FOR, STEP, expire};
    use crate::inbox::sqlite::schema;

    #[test]
    fn what_is_over_leaves_step_by_step_and_what_is_open_stays() {
        let directory = tempfile::tempdir().unwrap();
        let file = schema::open_writer(&directory.path().join(schema::FILE)).unwrap();
        // The oldest are open.
        file.execute(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
             INSERT INTO expectation (id, action, message_id, registered_at, registered_by, due_at,
             met_seq) SELECT CAST(n AS BLOB), 'on_status', 'm', 0, 'app', 0, iif(n > 600, n, NULL) FROM n",
            [600 + STEP + 1],
        )
        .unwrap();
        let kept = || -> i64 {
            file.query_row("SELECT count(*) FROM expectation", [], |row| row.get(0)).unwrap()
        };
        let due = DateTime::UNIX_EPOCH;
        assert!(!expire(&file, due + KEPT_FOR).unwrap());
        let now = due + KEPT_FOR * 2;
        assert!(expire(&file, now).unwrap());
        assert_eq!(kept(), 601);
        assert!(!expire(&file, now).unwrap());
        assert_eq!(kept(), 600);
    }
}
