//! Looking back: the narrow rows of the last minutes, the newest first.

use std::ops::ControlFlow;
use std::time::Instant;

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use crate::event::Flag;
use crate::inbox::stored::time;

/// What a look back sees of an event.
#[derive(Debug, Clone, Copy)]
pub(in crate::inbox) struct Seen<'a> {
    pub(in crate::inbox) seq: i64,
    pub(in crate::inbox) action: &'a str,
    pub(in crate::inbox) message_id: &'a str,
    pub(in crate::inbox) transaction_id: Option<&'a str>,
    pub(in crate::inbox) seller: &'a str,
    pub(in crate::inbox) received_at: DateTime<Utc>,
}

/// So many rows are looked at before the time is asked for.
const STEP: usize = 1_024;

/// Walks back to what came before `since`; returns whether it came so far. What the buyer app is
/// told of silences is nothing that came, nor is what a rule has rejected.
pub(in crate::inbox) fn back(
    connection: &Connection,
    since: DateTime<Utc>,
    deadline: Instant,
    mut see: impl FnMut(Seen<'_>) -> ControlFlow<()>,
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, action, message_id, transaction_id, seller, received_at, flags,
         standing = 1 FROM event
         ORDER BY seq DESC",
    )?;
    let mut rows = statement.query([])?;
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        let received_at = time(row.get(5)?);
        if received_at < since {
            return Ok(true);
        }
        looked_at += 1;
        if looked_at % STEP == 0 && Instant::now() >= deadline {
            return Ok(false);
        }
        let text = |column: usize| -> rusqlite::Result<Option<&str>> {
            Ok(row.get_ref(column)?.as_str_or_null().unwrap_or(None))
        };
        let Some(message_id) = text(2)? else { continue };
        if row.get::<_, u32>(6)? & Flag::Silence.bit() != 0 || row.get(7)? {
            continue;
        }
        let seen = Seen {
            seq: row.get(0)?,
            action: text(1)?.unwrap_or_default(),
            message_id,
            transaction_id: text(3)?,
            seller: text(4)?.unwrap_or_default(),
            received_at,
        };
        if see(seen).is_break() {
            return Ok(true);
        }
    }
    Ok(true)
}
