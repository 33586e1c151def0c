//! What the writer notes beside the log, as rows.

use std::collections::HashMap;

use rusqlite::Connection;

use crate::inbox::notes::{Noted, Repetition, Tally};

/// Writes what was noted.
pub(super) fn write(connection: &Connection, noted: &Noted) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    write_tallies(&transaction, &noted.tallies)?;
    write_repetitions(&transaction, &noted.repetitions)?;
    transaction
        .prepare_cached("DELETE FROM seller_tally WHERE quarter < ?1")?
        .execute([noted.oldest])?;
    transaction.commit()
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

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use crate::inbox::notes::{Notes, SELLERS, Tally, UNVERIFIED_SELLERS};
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
        super::write(&file, &notes.take(now).unwrap()).unwrap();
        let count = |sql: &str| -> usize { file.query_row(sql, [], |row| row.get(0)).unwrap() };
        let of = "SELECT count(*) FROM seller_tally WHERE";
        assert_eq!(count(&format!("{of} verified AND seller <> ''")), UNVERIFIED_SELLERS - 1);
        assert_eq!(count(&format!("{of} NOT verified AND seller <> ''")), UNVERIFIED_SELLERS);
        let sum = "SELECT sum(refused) FROM seller_tally";
        assert_eq!(count(sum), 3 * SELLERS, "none is lost");
    }
}
