//! How a token is written that lets its holder in: `name|read,bodies,act|token`.

use std::fmt;
use std::ops::RangeInclusive;

/// How long a token is: 32 characters that nobody can guess, and no more than a header holds.
const CHARACTERS: RangeInclusive<usize> = 32..=512;

/// The name under which requests without a token are known; no token may have it.
const RESERVED: &str = "loopback";

/// A token as it is written, with its name and what it permits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenLine<'a> {
    /// Stands in the audit and the log.
    pub(crate) name: &'a str,
    pub(crate) read: bool,
    pub(crate) bodies: bool,
    pub(crate) act: bool,
    /// Never shown.
    pub(crate) token: &'a str,
}

impl<'a> TokenLine<'a> {
    /// What a text must be, to go after "expected".
    pub(crate) const FORM: &'static str = "\"name|permissions|token\": a name of up to 32 letters, \
        digits, - and _, one or more of read, bodies, act, and 32 to 512 visible ASCII characters";

    /// Reads a line. `None`: it is none.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(3, '|');
        let (name, permissions, token) = (parts.next()?, parts.next()?, parts.next()?);
        let is_name = (1..=32).contains(&name.len())
            && name != RESERVED
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let is_token =
            CHARACTERS.contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
        let mut line = Self { name, read: false, bodies: false, act: false, token };
        for permission in permissions.split(',') {
            match permission.trim() {
                "read" => line.read = true,
                "bodies" => line.bodies = true,
                "act" => line.act = true,
                _ => return None,
            }
        }
        (is_name && is_token).then_some(line)
    }
}

impl fmt::Debug for TokenLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenLine({}, hidden)", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::TokenLine;

    const TOKEN: &str = "0123456789abcdef0123456789abcd|=";

    #[test]
    fn a_line_has_a_name_permissions_and_a_long_token() {
        let text = format!("on-call|read, act|{TOKEN}");
        let line = TokenLine::parse(&text).unwrap();
        assert_eq!((line.name, line.token), ("on-call", TOKEN));
        assert_eq!((line.read, line.bodies, line.act), (true, false, true));
        assert!(!format!("{line:?}").contains(TOKEN));
    }

    #[test]
    fn what_is_short_nameless_or_permits_nothing_is_no_line() {
        for bad in [
            format!("oncall|read|{}", &TOKEN[1..]),
            format!("|read|{TOKEN}"),
            format!("loopback|read|{TOKEN}"),
            format!("a b|read|{TOKEN}"),
            format!("oncall||{TOKEN}"),
            format!("oncall|root|{TOKEN}"),
            format!("oncall|{TOKEN}"),
            format!("oncall|read|{TOKEN} é"),
        ] {
            assert_eq!(TokenLine::parse(&bad), None, "{bad}");
        }
    }
}
