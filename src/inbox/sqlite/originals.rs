//! Originals: a hit in the duplicate window is confirmed against what is really at rest.

use std::ops::Range;

use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::batch::content_of;
use super::mailbox::Append;
use crate::event::{EventId, Flag};
use crate::inbox::Standing;
use crate::inbox::prints::content;

/// What must be equal for a duplicate.
#[derive(Debug, Clone, Copy)]
pub(super) enum Likeness {
    /// The bytes.
    Body,
    /// The ids, and what `message` and `error` hold.
    Content,
}

/// What a row says of an original, beside its body.
struct Original {
    id: [u8; 16],
    action: String,
    seller: String,
    ids: [Option<String>; 3],
    message: Option<Range<usize>>,
    error: Option<Range<usize>>,
    print: [u8; 16],
    standing: Standing,
    /// Its body and ids are gone; the fingerprints are not.
    erased: bool,
    ids_print: Option<[u8; 16]>,
}

/// Reads the original and compares the real bytes; its id and standing when it is one. Where
/// retention has taken the original away, nothing is a duplicate of it.
pub(super) fn confirm(
    connection: &Connection,
    seq: i64,
    append: &Append,
    likeness: Likeness,
) -> rusqlite::Result<Option<(EventId, Standing)>> {
    let Some(original) = read_original(connection, seq, likeness)? else { return Ok(None) };
    let print = match likeness {
        Likeness::Body => append.prints.body,
        Likeness::Content => append.prints.content,
    };
    // Memory held half of it: the other half spares the read of a body.
    if u128::from_le_bytes(original.print) != print
        || original.action != append.event.action.as_str()
        || original.seller != append.seller
    {
        return Ok(None);
    }
    let found = (EventId::new(Uuid::from_bytes(original.id)), original.standing);
    if original.erased {
        // All that is left to compare: 128 bits under a secret.
        let same = match likeness {
            Likeness::Body => true,
            Likeness::Content => original.ids_print.map(u128::from_le_bytes) == append.prints.ids,
        };
        return Ok(same.then_some(found));
    }
    let body = connection
        .prepare_cached("SELECT body FROM body WHERE seq = ?1")?
        .query_row([seq], |row| row.get::<_, Vec<u8>>(0))
        .optional()?;
    let Some(body) = body else { return Ok(None) };
    let context = &append.event.context;
    let ids = [&context.bap_id, &context.transaction_id, &context.message_id];
    let same = match likeness {
        Likeness::Body => body == append.event.body,
        Likeness::Content => {
            original.ids.iter().zip(ids).all(|(one, other)| one.as_deref() == other.as_deref())
                && content(&body, original.message.as_ref(), original.error.as_ref())
                    == content_of(append)
        }
    };
    Ok(same.then_some(found))
}

fn read_original(
    connection: &Connection,
    seq: i64,
    likeness: Likeness,
) -> rusqlite::Result<Option<Original>> {
    connection
        .prepare_cached(
            "SELECT id, action, seller, bap_id, transaction_id, message_id,
                    message_start, message_end, error_start, error_end, body_print, content_print,
                    standing, flags, ids_print
             FROM event WHERE seq = ?1",
        )?
        .query_row([seq], |row| {
            let span = |start: usize| -> rusqlite::Result<Option<Range<usize>>> {
                let span: (Option<usize>, Option<usize>) = (row.get(start)?, row.get(start + 1)?);
                Ok(span.0.zip(span.1).map(|(start, end)| start..end))
            };
            Ok(Original {
                id: row.get(0)?,
                action: row.get(1)?,
                seller: row.get(2)?,
                ids: [row.get(3)?, row.get(4)?, row.get(5)?],
                message: span(6)?,
                error: span(8)?,
                print: match likeness {
                    Likeness::Body => row.get(10)?,
                    Likeness::Content => row.get(11)?,
                },
                standing: match row.get::<_, i64>(12)? {
                    0 => Standing::Pending,
                    _ => Standing::Rejected,
                },
                erased: row.get::<_, u32>(13)? & Flag::Erased.bit() != 0,
                ids_print: row.get(14)?,
            })
        })
        .optional()
}
