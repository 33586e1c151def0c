//! The duplicate window at rest: packed rows, so that a start reads 40 bytes an event.
//!
//! A pack is written along in a commit when enough entries wait; the newest entries, not packed
//! yet, are read from the narrow rows.

use rusqlite::{Connection, OptionalExtension};

use super::window::{ENTRY_BYTES, Entry, Window};
use crate::inbox::prints::half;

/// How many entries a pack holds: 160 KiB, written once per about 16 MB of bodies.
pub(super) const PACK_ENTRIES: usize = 4096;

/// Reads the window as it is on the disk into an empty one; returns it and the last seq that is
/// packed.
pub(super) fn load(
    connection: &Connection,
    mut window: Window,
    now: i64,
) -> rusqlite::Result<(Window, i64)> {
    // The newest, as many as the window holds.
    let count = i64::try_from(window.limit().div_ceil(PACK_ENTRIES) + 1).unwrap_or(i64::MAX);
    let horizon = window.horizon(now);
    let (first_seq, packs): (i64, usize) = connection
        .prepare_cached(
            "SELECT coalesce(min(first_seq), 0), count(*) FROM (
                 SELECT first_seq FROM window_pack WHERE newest_at >= ?1
                 ORDER BY first_seq DESC LIMIT ?2)",
        )?
        .query_row((horizon, count), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let packed_to = connection
        .prepare_cached("SELECT last_seq FROM window_pack ORDER BY first_seq DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    let mut entries = Window::room_for(packs * PACK_ENTRIES);
    let mut statement = connection.prepare_cached(
        "SELECT entries FROM window_pack WHERE first_seq >= ?1 AND newest_at >= ?2
         ORDER BY first_seq",
    )?;
    let mut rows = statement.query((first_seq, horizon))?;
    while let Some(row) = rows.next()? {
        let pack = row.get_ref(0)?.as_blob()?;
        entries.extend(pack.as_chunks::<ENTRY_BYTES>().0.iter().map(Entry::from_bytes));
    }
    load_unpacked(connection, &mut entries, packed_to)?;
    window.start_from(entries, now);
    Ok((window, packed_to))
}

fn load_unpacked(
    connection: &Connection,
    entries: &mut Vec<Entry>,
    packed_to: i64,
) -> rusqlite::Result<()> {
    let mut newest = connection.prepare_cached(
        "SELECT seq, received_at, body_print, ids_print, content_print FROM event
         WHERE seq > ?1 ORDER BY seq",
    )?;
    let mut rows = newest.query([packed_to])?;
    while let Some(row) = rows.next()? {
        let print = |column: usize| row.get(column).map(|bytes| half(u128::from_le_bytes(bytes)));
        let ids: Option<[u8; 16]> = row.get(3)?;
        entries.push(Entry {
            seq: row.get(0)?,
            received_at: row.get(1)?,
            body: print(2)?,
            ids: ids.map_or(0, |bytes| half(u128::from_le_bytes(bytes))),
            content: print(4)?,
        });
    }
    Ok(())
}

/// Writes a pack when enough entries wait; returns the last seq that then is packed.
pub(super) fn write(
    connection: &Connection,
    window: &Window,
    packed_to: i64,
) -> rusqlite::Result<i64> {
    if window.count_after(packed_to) < PACK_ENTRIES {
        return Ok(packed_to);
    }
    let entries: Vec<Entry> = window.after(packed_to).take(PACK_ENTRIES).copied().collect();
    let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_bytes()).collect();
    let newest_at = entries.iter().map(|entry| entry.received_at).max();
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return Ok(packed_to);
    };
    connection
        .prepare_cached("INSERT OR REPLACE INTO window_pack VALUES (?1, ?2, ?3, ?4)")?
        .execute((first.seq, last.seq, newest_at, bytes))?;
    Ok(last.seq)
}

/// Lets go of packs that are older than `horizon` or that end before `oldest_seq`, save the
/// newest, which says how far the packs go.
pub(super) fn expire(
    connection: &Connection,
    horizon: i64,
    oldest_seq: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM window_pack WHERE (newest_at < ?1 OR last_seq < ?2)
             AND first_seq < (SELECT max(first_seq) FROM window_pack)",
        )?
        .execute((horizon, oldest_seq))?;
    Ok(())
}
