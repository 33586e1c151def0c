//! Refused callbacks before they are at rest: what bounds them, and how they are counted.

use bytes::Bytes;

use super::Refusal;

/// Which refusals are counted together: the action or `other`, and the cause.
pub(super) type RefusalKey = (&'static str, &'static str);

/// How much is kept of a seller or a route; names of the network are shorter.
const NAME_BYTES: usize = 256;

/// How much is kept of what the seller was told.
const TEXT_BYTES: usize = 1024;

/// Cuts what came from outside, before it waits: so the queue is bounded in bytes, and the quotas
/// count by what is stored.
pub(super) fn cut(refusal: &mut Refusal, body_bytes: usize) {
    cut_text(&mut refusal.route, NAME_BYTES);
    cut_text(&mut refusal.seller, NAME_BYTES);
    cut_text(&mut refusal.path, TEXT_BYTES);
    cut_text(&mut refusal.message, TEXT_BYTES);
    // A longer one is looked for in the body.
    refusal.transaction_id.take_if(|id| id.len() > TEXT_BYTES);
    // Copied, because a slice would keep the whole body in memory while it waits.
    let kept = refusal.body.len().min(body_bytes);
    refusal.body = Bytes::copy_from_slice(&refusal.body[..kept]);
}

/// What of a refusal says that it is of a transaction: its id where the callback could be read, and
/// elsewhere a whole JSON string of the kept body. Bound are the id and what [`in_quotes`] returns,
/// in bytes.
pub(super) const OF_TRANSACTION: &str = "(transaction_id = ?1 OR (transaction_id IS NULL
     AND (instr(body, ?2) > 0 OR instr(body, ?3) > 0)))";

/// Returns an id as a JSON string, as it is and as our writer escapes it.
pub(super) fn in_quotes(id: &str) -> [String; 2] {
    [format!("\"{id}\""), serde_json::Value::from(id).to_string()]
}

fn cut_text(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        text.shrink_to_fit();
    }
}
