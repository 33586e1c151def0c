//! What a command reads: bodies and single lines, within bounds; `-` is standard input.

use std::io::Read as _;
use std::path::Path;

use super::Failure;

/// The longest file that holds one line, a key or a header's value.
const LINE_BYTES: usize = 8 * 1024;

/// Reads a body, byte for byte; `limit` is `http.body_limit_bytes`.
pub(super) fn body(file: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let name = file.display();
    let long = || format!("{name} is longer than http.body_limit_bytes, {limit} bytes");
    Ok(read(file, limit)?.ok_or_else(long)?)
}

/// Reads a file that holds one line, without the spaces around it and without comments, lines that
/// begin with `#`; `what` it holds goes into the message of a failure, the text never does.
pub(super) fn line(file: &Path, what: &str) -> Result<String, Failure> {
    let name = file.display();
    let bytes = read(file, LINE_BYTES)?
        .ok_or_else(|| format!("expected {what} in {name}, found more than {LINE_BYTES} bytes"))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| format!("expected {what} in {name}, found {}", error.utf8_error()))?;
    let is_comment = |line: &&str| text.trim().lines().count() > 1 && line.starts_with('#');
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !is_comment(line)).collect();
    if let [line] = lines[..] {
        return Ok(line.to_owned());
    }
    let found = lines.len();
    Err(format!("expected {what} in {name} on one line, found {found} lines").into())
}

/// Reads a file to its end; `None` when it is longer than `limit`.
fn read(file: &Path, limit: usize) -> Result<Option<Vec<u8>>, Failure> {
    let mut bytes = Vec::new();
    let most = limit as u64 + 1;
    let outcome = if file == Path::new("-") {
        std::io::stdin().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(most).read_to_end(&mut bytes))
    };
    outcome.map_err(|error| format!("could not read {}: {error}", file.display()))?;
    Ok((bytes.len() <= limit).then_some(bytes))
}
