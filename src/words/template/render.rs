//! Filling the places: only the handlers of brokers make names.

use std::fmt::Write as _;

use super::{Part, Place, Template, push_escaped};

impl Template {
    /// Returns how long a rendered name is at most, in bytes, when no place fills more than
    /// `limit`.
    pub(crate) fn longest(&self, limit: usize) -> usize {
        let of = |part: &Part| match part {
            Part::Text(text) => text.len(),
            Part::Place(_) => limit.max(SHORTEST),
        };
        self.parts.iter().map(of).sum()
    }

    /// Fills the places; none of them takes more than `limit` bytes, which is at least 32.
    pub(crate) fn render<'a>(
        &self,
        limit: usize,
        fill: impl Fn(Place) -> Option<&'a str>,
    ) -> String {
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Place(place) => push_token(&mut name, fill(*place), limit.max(SHORTEST)),
            }
        }
        name
    }
}

/// Room for a start that a person recognises, and a fingerprint.
const SHORTEST: usize = 32;

/// `~` and 16 hexadecimal digits.
const FINGERPRINT: usize = 17;

fn push_token(name: &mut String, value: Option<&str>, limit: usize) {
    match value {
        None | Some("") => name.push('_'),
        Some("_") => name.push_str("%5F"),
        Some(value) => {
            let start = name.len();
            push_escaped(name, value, |byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            if name.len() - start > limit {
                // Never inside an escape: its `%` is at most two bytes before the cut.
                let cut = start + limit - FINGERPRINT;
                let escape = name[cut - 2..cut].find('%').map(|at| cut - 2 + at);
                name.truncate(escape.unwrap_or(cut));
                write!(name, "~{:016x}", fingerprint(value)).expect("a text takes what is written");
            }
        }
    }
}

/// The 64-bit hash of Fowler, Noll and Vo (FNV-1a): the same in every version and process, as a
/// name that others subscribe to must be. It keeps long names apart by accident, not by an enemy.
fn fingerprint(value: &str) -> u64 {
    value.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Template;

    fn rendered(template: &str, value: Option<&str>) -> String {
        Template::parse(template).unwrap().render(64, |_| value)
    }

    #[test]
    fn what_fills_a_place_is_one_token() {
        assert_eq!(rendered("a.{bpp_id}.b", Some("seller.example")), "a.seller%2Eexample.b");
        assert_eq!(rendered("{domain}", Some("ONDC:RET11")), "ONDC%3ARET11");
        assert_eq!(rendered("{bpp_id}", Some("x/y *>é")), "x%2Fy%20%2A%3E%C3%A9");
        assert_eq!(rendered("{bpp_id}", None), "_");
        assert_eq!(rendered("{bpp_id}", Some("_")), "%5F");
    }

    proptest! {
        #[test]
        fn any_id_makes_one_bounded_token(one in any::<String>(), other in any::<String>()) {
            let template = Template::parse("x.{order_id}").unwrap();
            let token = |id: &str| template.render(64, |_| Some(id));
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-%~".contains(&byte);
            prop_assert!(token(&one)[2..].bytes().all(plain));
            prop_assert!(token(&one).len() <= template.longest(64));
            prop_assert_eq!(token(&one) == token(&other), one == other);
        }

        #[test]
        fn long_ids_are_cut_between_escapes(id in "[aé]{30,200}") {
            let token = Template::parse("{order_id}").unwrap().render(32, |_| Some(id.as_str()));
            let (start, print) = token.split_once('~').unwrap();
            prop_assert_eq!(print.len(), 16);
            prop_assert!(start.rfind('%').is_none_or(|at| at + 3 <= start.len()), "{}", token);
        }
    }
}
