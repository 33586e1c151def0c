//! The duplicate window at rest: packed rows, so that a start reads 40 bytes an event.
//!
//! A pack is written along in a commit when enough entries wait; the newest entries, not packed
//! yet, are read from the narrow rows.

use rusqlite::{Connection, OptionalExtension};

use super::prints::half;
use super::window::{ENTRY_BYTES, Entry, Window};

/// How many entries a pack holds: 160 KiB, written once per about 16 MB of bodies.
pub(super) const PACK_ENTRIES: usize = 4096;

/// Reads the window as it is on the disk; returns it and the last seq that is packed.
pub(super) fn load(
    connection: &Connection,
    mut window: Window,
    now: i64,
    limit: usize,
) -> rusqlite::Result<(Window, i64)> {
    // Newest first, as many as the window holds.
    let count = i64::try_from(limit.div_ceil(PACK_ENTRIES) + 1).unwrap_or(i64::MAX);
    let packs = connection
        .prepare_cached(
            "SELECT entries FROM window_pack WHERE newest_at >= ?1
             ORDER BY first_seq DESC LIMIT ?2",
        )?
        .query_map((window.horizon(now), count), |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<Vec<u8>>>>()?;
    let packed_to = connection
        .prepare_cached("SELECT last_seq FROM window_pack ORDER BY first_seq DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    window.reserve(packs.len() * PACK_ENTRIES);
    for pack in packs.iter().rev() {
        for bytes in pack.as_chunks::<ENTRY_BYTES>().0 {
            window.push(Entry::from_bytes(bytes), now);
        }
    }
    load_unpacked(connection, &mut window, packed_to, now)?;
    Ok((window, packed_to))
}

fn load_unpacked(
    connection: &Connection,
    window: &mut Window,
    packed_to: i64,
    now: i64,
) -> rusqlite::Result<()> {
    let mut newest = connection.prepare_cached(
        "SELECT seq, received_at, body_print, ids_print, content_print FROM event
         WHERE seq > ?1 ORDER BY seq",
    )?;
    let mut rows = newest.query([packed_to])?;
    while let Some(row) = rows.next()? {
        let print = |column: usize| row.get(column).map(|bytes| half(u128::from_le_bytes(bytes)));
        let ids: Option<[u8; 16]> = row.get(3)?;
        let entry = Entry {
            seq: row.get(0)?,
            received_at: row.get(1)?,
            body: print(2)?,
            ids: ids.map_or(0, |bytes| half(u128::from_le_bytes(bytes))),
            content: print(4)?,
        };
        window.push(entry, now);
    }
    Ok(())
}

/// Writes a pack when enough entries wait; returns the last seq that then is packed.
pub(super) fn write(
    connection: &Connection,
    window: &Window,
    packed_to: i64,
) -> rusqlite::Result<i64> {
    let unpacked = window.after(packed_to);
    if unpacked.len() < PACK_ENTRIES {
        return Ok(packed_to);
    }
    let entries: Vec<Entry> = unpacked.take(PACK_ENTRIES).copied().collect();
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
