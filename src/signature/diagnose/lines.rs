//! The body with other line ends: what editors, shells and `curl -d` do to a file.

use super::OtherBody;
use crate::signature::digest;
use crate::words::Cause;

/// Returns a body changed in one way; `None` where that changes nothing.
type Change = fn(&[u8]) -> Option<Vec<u8>>;

const CHANGES: [(Cause, &str, Change); 6] = [
    (Cause::TrailingNewline, "them without the line ends at their end", |body| {
        let end = body.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'));
        let kept = end.map_or(0, |last| last + 1);
        (kept < body.len()).then(|| body[..kept].to_vec())
    }),
    (Cause::TrailingNewline, "them without the last of the line ends at their end", |body| {
        let rest = body.strip_suffix(b"\n")?;
        let kept = rest.strip_suffix(b"\r").unwrap_or(rest);
        Some(kept.to_vec())
    }),
    (Cause::TrailingNewline, "them with a line feed at the end", |body| {
        Some([body, b"\n"].concat())
    }),
    (Cause::TrailingNewline, "them with CR and LF at the end", |body| {
        Some([body, b"\r\n"].concat())
    }),
    (Cause::LineEndings, "them with LF for every CR LF", |body| {
        body.windows(2).any(|pair| pair == b"\r\n").then(|| to_lf(body))
    }),
    (Cause::LineEndings, "them with CR LF for every LF", |body| {
        body.contains(&b'\n').then(|| {
            let mut changed = Vec::with_capacity(body.len() * 2);
            for byte in to_lf(body) {
                if byte == b'\n' {
                    changed.push(b'\r');
                }
                changed.push(byte);
            }
            changed
        })
    }),
];

fn to_lf(body: &[u8]) -> Vec<u8> {
    let mut changed = Vec::with_capacity(body.len());
    for (at, byte) in body.iter().enumerate() {
        if *byte != b'\r' || body.get(at + 1) != Some(&b'\n') {
            changed.push(*byte);
        }
    }
    changed
}

/// Returns the body with other line ends.
pub(super) fn bodies(body: &[u8]) -> impl Iterator<Item = OtherBody> {
    CHANGES.into_iter().filter_map(|(cause, what, change)| {
        let digest = digest(&change(body)?);
        Some(OtherBody { cause, what: what.into(), digest })
    })
}
