//! Refused callbacks, each with what its cause means and what the seller has to change.

use super::views::{RefusalPage, RefusalView};
use super::{Ledger, PAGE_LIMIT, Sight, mask};
use crate::inbox::reader;
use crate::inbox::reader::refusals::{KeptRefusal, RefusalFilter};
use crate::rules;
use crate::words::Cause;

impl Ledger {
    /// Returns a page of the refusals that match, the newest first; `before` goes on behind an
    /// earlier page.
    pub(crate) fn refusals(
        &self,
        filter: &RefusalFilter,
        before: Option<i64>,
        limit: usize,
        sight: Sight,
    ) -> Result<RefusalPage, reader::Error> {
        let limit = limit.clamp(1, PAGE_LIMIT);
        let refusals = self.reader.refusals_before(filter, before, limit)?;
        let last = refusals.last().map(|refusal| refusal.seq);
        let next = last.filter(|_| refusals.len() == limit).map(|place| place.to_string());
        let refusals = refusals.into_iter().map(|refusal| view(refusal, sight)).collect();
        Ok(RefusalPage { refusals, next })
    }

    /// Returns one refusal.
    pub(crate) fn refusal(
        &self,
        seq: i64,
        sight: Sight,
    ) -> Result<Option<RefusalView>, reader::Error> {
        let filter = RefusalFilter::default();
        let found = self.reader.refusals_before(&filter, Some(seq.saturating_add(1)), 1)?;
        Ok(found.into_iter().find(|refusal| refusal.seq == seq).map(|one| view(one, sight)))
    }
}

fn view(refusal: KeptRefusal, sight: Sight) -> RefusalView {
    let (meaning, mend) = explain(&refusal.cause);
    let (cause, path, message) = (refusal.cause, refusal.path, refusal.message);
    let (path, message, body) = match sight {
        Sight::Bodies => (path, message, Some(String::from_utf8_lossy(&refusal.body).into_owned())),
        Sight::Masked => (mask::path(&path), mask::message(&cause, &path, &message), None),
    };
    RefusalView {
        seq: refusal.seq.unsigned_abs(),
        at: refusal.at,
        route: sight.code(&refusal.route),
        seller: refusal.seller,
        verified: refusal.verified,
        cause,
        path,
        message,
        status: refusal.status,
        meaning,
        mend,
        body_bytes: refusal.body_bytes,
        body,
    }
}

/// Returns what a cause means, and what to tell the seller.
fn explain(cause: &str) -> (String, String) {
    if let Some(cause) = Cause::ALL.iter().find(|known| known.as_str() == cause) {
        return (cause.what().to_owned(), cause.mend().to_owned());
    }
    if let Some(rule) = rules::find(cause) {
        let mend = format!("Send what the rule asks for. It is from: {}.", rule.source);
        return (format!("Expected: {}.", rule.what), mend);
    }
    let (meaning, mend) = match cause {
        "http.path" => (
            "The path does not end in the name of a callback.",
            "Post to our bap_uri with the action at its end, as /on_status.",
        ),
        "http.method" => ("The method is not POST.", "Post the callback."),
        "http.encoding" => (
            "The body is compressed, which the signature does not cover.",
            "Send the body as it was signed, without Content-Encoding.",
        ),
        "http.body_too_long" => (
            "The body is longer than `http.body_limit_bytes`.",
            "Send less, or agree on a larger limit.",
        ),
        rules::MALFORMED => (
            "The body is not one JSON object in UTF-8.",
            "Send the callback as one JSON object; where it ends to be one is in the message that \
             the seller was told.",
        ),
        _ => (
            "A rule of the buyer's own refused it.",
            "What was expected is in the message that the seller was told.",
        ),
    };
    (meaning.to_owned(), mend.to_owned())
}
