//! What the writer notes beside the log: how often events came again, and what came of each seller.
//!
//! It costs a callback a look into a map. It is written a little later, between the batches; what
//! was noted since is lost in a crash. What finds no room is counted in its seller's tally, or under
//! no name, and nowhere else.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;

/// How long a quarter of an hour is, in microseconds.
const QUARTER: i64 = 15 * 60 * 1_000_000;

/// So many sellers have a tally of their own in a quarter; the others share the one without a name.
pub(super) const SELLERS: usize = 1_000;

/// Names that nobody has verified take at most this part of them.
const UNVERIFIED_SELLERS: usize = SELLERS / 2;

/// So many events that came again wait to be written.
const REPETITIONS: usize = 16_384;

/// How much is kept of a seller's name; names of the network are shorter.
const NAME_BYTES: usize = 256;

/// How long tallies are kept.
const KEPT_DAYS: i64 = 7;

/// How many looks at the house go by between two writes: each costs a sync of the disk.
const LOOKS: u32 = 5;

/// What came of a seller since the last write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) verified: bool,
    pub(super) accepted: u64,
    pub(super) duplicates: u64,
    pub(super) refused: u64,
    /// Of the refused: by their signature.
    pub(super) untrusted: u64,
    pub(super) oddities: u64,
    pub(super) last_at: i64,
}

impl Tally {
    fn is_empty(&self) -> bool {
        self.accepted + self.duplicates + self.refused == 0
    }

    fn add(&mut self, other: Tally) {
        self.verified |= other.verified;
        self.accepted += other.accepted;
        self.duplicates += other.duplicates;
        self.refused += other.refused;
        self.untrusted += other.untrusted;
        self.oddities += other.oddities;
        self.last_at = self.last_at.max(other.last_at);
    }
}

/// The tallies of sellers, as many as there is room for.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    by_seller: HashMap<Box<str>, Tally>,
    unverified: usize,
}

impl Tallies {
    /// Adds to a seller's tally.
    pub(super) fn add(&mut self, seller: &str, tally: Tally) {
        let name = &seller[..seller.floor_char_boundary(NAME_BYTES)];
        if let Some(known) = self.by_seller.get_mut(name) {
            known.add(tally);
            return;
        }
        let has_room = self.by_seller.len() < SELLERS
            && (tally.verified || self.unverified < UNVERIFIED_SELLERS);
        let name = if has_room { name } else { "" };
        if has_room && !tally.verified {
            self.unverified += 1;
        }
        self.by_seller.entry(name.into()).or_default().add(tally);
    }

    /// Takes the tallies; the sellers keep their places.
    fn take(&mut self) -> Vec<(Box<str>, Tally)> {
        let full = self.by_seller.iter_mut().filter(|(_, tally)| !tally.is_empty());
        full.map(|(seller, tally)| {
            let verified = tally.verified;
            (seller.clone(), std::mem::replace(tally, Tally { verified, ..Tally::default() }))
        })
        .collect()
    }

    /// Adds all of another's.
    fn merge(&mut self, other: Tallies) {
        for (seller, tally) in other.by_seller {
            self.add(&seller, tally);
        }
    }
}

/// How often an event came again.
#[derive(Debug, Clone, Copy)]
struct Repetition {
    times: u64,
    last_at: i64,
}

/// What is noted and not written yet.
#[derive(Debug, Default)]
pub(super) struct Notes {
    repetitions: HashMap<i64, Repetition>,
    quarter: i64,
    tallies: Tallies,
    /// Of the quarter before, when it ended between two writes.
    before: Option<(i64, Tallies)>,
    written_at: Option<Instant>,
}

impl Notes {
    /// Notes that an event came again.
    pub(super) fn repeat(&mut self, of: i64, now: DateTime<Utc>) {
        let last_at = now.timestamp_micros();
        if let Some(known) = self.repetitions.get_mut(&of) {
            known.times += 1;
            known.last_at = last_at;
        } else if self.repetitions.len() < REPETITIONS {
            self.repetitions.insert(of, Repetition { times: 1, last_at });
        }
    }

    /// Adds to the tally of a seller in the quarter of an hour that is now.
    pub(super) fn tally(&mut self, seller: &str, tally: Tally, now: DateTime<Utc>) {
        self.turn(now);
        self.tallies.add(seller, Tally { last_at: now.timestamp_micros(), ..tally });
    }

    /// Adds what was refused.
    pub(super) fn merge(&mut self, refused: Tallies, now: DateTime<Utc>) {
        self.turn(now);
        self.tallies.merge(refused);
    }

    fn turn(&mut self, now: DateTime<Utc>) {
        let quarter = quarter_of(now);
        if quarter == self.quarter {
            return;
        }
        let ended = std::mem::take(&mut self.tallies);
        let (before, mut kept) = self.before.take().unwrap_or((self.quarter, Tallies::default()));
        // Two ends between two writes: the disk fails, or the clock jumps. Bounded is enough then.
        kept.merge(ended);
        self.before = Some((before.max(self.quarter), kept));
        self.quarter = quarter;
    }

    /// Returns whether there is something to be written and it is time for it.
    pub(super) fn are_due(&self, poll: Duration) -> bool {
        self.written_at.is_none_or(|at| at.elapsed() >= poll * LOOKS)
    }

    /// Writes what was noted.
    pub(super) fn write(
        &mut self,
        connection: &Connection,
        now: DateTime<Utc>,
    ) -> rusqlite::Result<()> {
        self.written_at = Some(Instant::now());
        self.turn(now);
        let mut rows: Vec<(i64, Box<str>, Tally)> = Vec::new();
        if let Some((quarter, mut tallies)) = self.before.take() {
            rows.extend(tallies.take().into_iter().map(|(name, tally)| (quarter, name, tally)));
        }
        let quarter = self.quarter;
        rows.extend(self.tallies.take().into_iter().map(|(name, tally)| (quarter, name, tally)));
        let repetitions = std::mem::take(&mut self.repetitions);
        if rows.is_empty() && repetitions.is_empty() {
            return Ok(());
        }
        // What fails here is lost: it is best effort, and trying again would let it grow.
        let transaction = connection.unchecked_transaction()?;
        write_tallies(&transaction, &rows)?;
        write_repetitions(&transaction, &repetitions)?;
        let oldest = quarter_of(now - TimeDelta::days(KEPT_DAYS));
        transaction
            .prepare_cached("DELETE FROM seller_tally WHERE quarter < ?1")?
            .execute([oldest])?;
        transaction.commit()
    }
}

fn write_tallies(connection: &Connection, rows: &[(i64, Box<str>, Tally)]) -> rusqlite::Result<()> {
    let mut write = connection.prepare_cached(
        "INSERT INTO seller_tally (quarter, seller, verified, accepted, duplicates, refused,
         untrusted, oddities, last_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (quarter, seller) DO UPDATE SET verified = verified | ?3,
         accepted = accepted + ?4, duplicates = duplicates + ?5, refused = refused + ?6,
         untrusted = untrusted + ?7, oddities = oddities + ?8, last_at = max(last_at, ?9)",
    )?;
    for (quarter, seller, tally) in rows {
        write.execute(rusqlite::params![
            quarter,
            seller,
            tally.verified,
            tally.accepted,
            tally.duplicates,
            tally.refused,
            tally.untrusted,
            tally.oddities,
            tally.last_at,
        ])?;
    }
    Ok(())
}

fn write_repetitions(
    connection: &Connection,
    repetitions: &HashMap<i64, Repetition>,
) -> rusqlite::Result<()> {
    // Retention may have taken the original away since.
    let mut write = connection.prepare_cached(
        "INSERT INTO repetition (seq, times, last_at)
         SELECT ?1, ?2, ?3 FROM event WHERE seq = ?1
         ON CONFLICT (seq) DO UPDATE SET times = times + ?2, last_at = ?3",
    )?;
    for (seq, Repetition { times, last_at }) in repetitions {
        write.execute((seq, times, last_at))?;
    }
    Ok(())
}

/// Returns when the quarter of an hour begins in which `at` lies.
pub(in crate::inbox) fn quarter_of(at: DateTime<Utc>) -> i64 {
    let micros = at.timestamp_micros();
    micros - micros.rem_euclid(QUARTER)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::{Notes, SELLERS, Tally, UNVERIFIED_SELLERS};
    use crate::inbox::sqlite::schema;

    #[test]
    fn invented_names_leave_room_for_verified_sellers() {
        let directory = tempfile::tempdir().unwrap();
        let file = schema::open_writer(&directory.path().join(schema::FILE)).unwrap();
        let now = DateTime::UNIX_EPOCH;
        let mut notes = Notes::default();
        for number in 0..3 * SELLERS {
            let invented = Tally { refused: 1, ..Tally::default() };
            notes.tally(&format!("unverified:{number}"), invented, now);
        }
        for number in 0..UNVERIFIED_SELLERS {
            let accepted = Tally { verified: true, accepted: 1, ..Tally::default() };
            notes.tally(&format!("seller-{number}"), accepted, now);
        }
        notes.write(&file, now).unwrap();
        let count = |sql: &str| -> usize { file.query_row(sql, [], |row| row.get(0)).unwrap() };
        let of = "SELECT count(*) FROM seller_tally WHERE";
        assert_eq!(count(&format!("{of} verified AND seller <> ''")), UNVERIFIED_SELLERS - 1);
        assert_eq!(count(&format!("{of} NOT verified AND seller <> ''")), UNVERIFIED_SELLERS);
        let sum = "SELECT sum(refused) FROM seller_tally";
        assert_eq!(count(sum), 3 * SELLERS, "none is lost");
    }
}
