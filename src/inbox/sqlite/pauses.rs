//! Pauses: an operator says that a handler gets nothing for now; it holds across restarts.

use rusqlite::Connection;

/// Takes note of which handlers there are; one that is paused keeps its row although it is gone,
/// so that it is still paused when it comes back.
pub(super) fn register(connection: &Connection, names: &[String]) -> rusqlite::Result<()> {
    let kept: Vec<(String, Option<i64>)> = all(connection)?;
    for (name, paused_at) in &kept {
        if paused_at.is_none() && !names.contains(name) {
            connection.execute("DELETE FROM handler WHERE name = ?1", [name])?;
        }
    }
    for name in names {
        connection.execute("INSERT OR IGNORE INTO handler VALUES (?1, NULL)", [name])?;
    }
    Ok(())
}

/// Returns which of the handlers are paused, in the order of `names`.
pub(super) fn paused(connection: &Connection, names: &[String]) -> rusqlite::Result<Vec<bool>> {
    let kept = all(connection)?;
    let is_paused =
        |name: &String| kept.iter().any(|(kept, paused_at)| kept == name && paused_at.is_some());
    Ok(names.iter().map(is_paused).collect())
}

fn all(connection: &Connection) -> rusqlite::Result<Vec<(String, Option<i64>)>> {
    connection
        .prepare_cached("SELECT name, paused_at FROM handler")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}
