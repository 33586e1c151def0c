//! How a value of each kind is read from TOML, bounded, and shown in a message.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::words::Choice;
use crate::words::{Outside, Template, holds_key, holds_secret};

/// A type that a setting can have.
pub(super) trait Value: Sized {
    /// What is allowed beside the type itself.
    type Form: Copy;

    /// Whether an environment variable holds the text itself; otherwise it holds TOML.
    const IS_TEXT: bool = false;

    /// Reads an allowed value, or says all that is wrong with it.
    fn read(value: &Spanned<DeValue<'_>>, form: Self::Form) -> Result<Self, Vec<Unfit>>;

    /// Returns whether the value is allowed.
    fn fits(&self, form: Self::Form) -> bool;

    /// Says what is allowed, to go after "expected".
    fn expected(form: Self::Form) -> String;

    /// Returns the value as TOML would write it, cut where it is long.
    fn shown(&self, form: Self::Form) -> String;
}

/// Returns what was read from `value`, if it is of the right type and allowed.
pub(super) fn fit<T: Value>(
    value: &Spanned<DeValue<'_>>,
    form: T::Form,
    read: Option<T>,
) -> Result<T, Vec<Unfit>> {
    read.filter(|read| read.fits(form)).ok_or_else(|| vec![Unfit::new(value, &T::expected(form))])
}

/// A value, or a part of one, that is not allowed.
#[derive(Debug)]
pub(super) struct Unfit {
    /// Where it is written, in bytes.
    pub(super) at: Range<usize>,
    /// The name of the part, below the setting's; empty for the whole value.
    pub(super) part: String,
    /// What was expected and what was found.
    pub(super) message: String,
}

impl Unfit {
    /// Makes the mistake of a value that is wrong as a whole.
    pub(super) fn new(value: &Spanned<DeValue<'_>>, expected: &str) -> Self {
        let found = describe(value.get_ref());
        Self { at: value.span(), part: String::new(), message: mismatch(expected, &found) }
    }
}

/// Returns the message of a value that is not what was expected.
pub(super) fn mismatch(expected: &str, found: &str) -> String {
    format!("expected {expected}, found {found}")
}

/// Returns what a TOML value is, for a message.
pub(super) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => Outside(&number.to_string()).to_string(),
        DeValue::Float(number) => Outside(number.as_str()).to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// Returns a text in quotes, cut, and escaped so that it cannot forge a second line; one that may
/// hold a secret, put where none belongs, is not repeated.
pub(super) fn quoted(text: &str) -> String {
    if holds_key(text) {
        "a text that holds what may be a private key (not shown)".to_owned()
    } else if holds_secret(text) {
        "a text that holds what may be a webhook secret (not shown)".to_owned()
    } else if text.split_once("://").is_some_and(|(_, rest)| rest.contains('@')) {
        "a URL with a user or a password (not shown)".to_owned()
    } else if text.contains('@') {
        "a text that may hold a user or a password (not shown)".to_owned()
    } else if text.split_once("://").is_some_and(|(_, rest)| rest.contains(['?', '#'])) {
        // Hooks have their token there.
        "a URL with a query (not shown)".to_owned()
    } else {
        format!("\"{}\"", Outside(text))
    }
}

/// Reads an integer of any base; `None` for another type and for what does not fit 64 bits.
fn integer(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

impl Value for bool {
    type Form = ();

    fn read(value: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Unfit>> {
        fit(value, (), value.get_ref().as_bool())
    }

    fn fits(&self, (): ()) -> bool {
        true
    }

    fn expected((): ()) -> String {
        "true or false".to_owned()
    }

    fn shown(&self, (): ()) -> String {
        self.to_string()
    }
}

/// The ranges that an integer may lie in, both ends included.
pub(super) type Ranges = &'static [(u64, u64)];

fn within(ranges: Ranges, number: u64) -> bool {
    ranges.iter().any(|(from, to)| (*from..=*to).contains(&number))
}

fn shown_ranges(ranges: &[(u64, u64)]) -> String {
    let shown = ranges.iter().map(|(from, to)| {
        if from == to { from.to_string() } else { format!("an integer from {from} to {to}") }
    });
    shown.collect::<Vec<_>>().join(" or ")
}

macro_rules! integers {
    ($($Type:ty),+) => { $(
        impl Value for $Type {
            type Form = Ranges;

            fn read(value: &Spanned<DeValue<'_>>, form: Ranges) -> Result<Self, Vec<Unfit>> {
                let number = integer(value.get_ref());
                fit(value, form, number.and_then(|number| Self::try_from(number).ok()))
            }

            fn fits(&self, ranges: Ranges) -> bool {
                u64::try_from(*self).is_ok_and(|number| within(ranges, number))
            }

            fn expected(ranges: Ranges) -> String {
                shown_ranges(ranges)
            }

            fn shown(&self, _: Ranges) -> String {
                self.to_string()
            }
        }
    )+ };
}

// `try_from` is the one spelling that all four widths have.
#[allow(clippy::unnecessary_fallible_conversions)]
mod integers {
    use super::{DeValue, Ranges, Spanned, Unfit, Value, fit, integer, shown_ranges, within};

    integers!(u16, u32, u64, usize);
}

/// A part of a whole.
#[derive(Clone, Copy)]
pub(super) struct Share;

impl Value for f64 {
    type Form = Share;

    fn read(value: &Spanned<DeValue<'_>>, form: Share) -> Result<Self, Vec<Unfit>> {
        let number = match value.get_ref() {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) => number.as_str().parse().ok(),
            _ => None,
        };
        fit(value, form, number)
    }

    fn fits(&self, _: Share) -> bool {
        (0.0..=1.0).contains(self)
    }

    fn expected(_: Share) -> String {
        "a number from 0 to 1".to_owned()
    }

    fn shown(&self, _: Share) -> String {
        // With its point: an integer is another type in TOML.
        format!("{self:?}")
    }
}

/// The unit and the range of a duration; the unit is part of the setting's name.
#[derive(Clone, Copy)]
pub(super) struct Time {
    millis: u64,
    from: u64,
    to: u64,
}

impl Time {
    /// Allows `from..=to` milliseconds.
    pub(super) const fn ms(from: u64, to: u64) -> Self {
        Self { millis: 1, from, to }
    }

    /// Allows `from..=to` seconds.
    pub(super) const fn seconds(from: u64, to: u64) -> Self {
        Self { millis: 1_000, from, to }
    }

    /// Allows `from..=to` hours.
    pub(super) const fn hours(from: u64, to: u64) -> Self {
        Self { millis: 3_600_000, from, to }
    }
}

impl Value for Duration {
    type Form = Time;

    fn read(value: &Spanned<DeValue<'_>>, form: Time) -> Result<Self, Vec<Unfit>> {
        let millis = integer(value.get_ref()).and_then(|number| number.checked_mul(form.millis));
        fit(value, form, millis.map(Self::from_millis))
    }

    fn fits(&self, form: Time) -> bool {
        let bound = |number: u64| Self::from_millis(number.saturating_mul(form.millis));
        (bound(form.from)..=bound(form.to)).contains(self)
    }

    fn expected(form: Time) -> String {
        shown_ranges(&[(form.from, form.to)])
    }

    fn shown(&self, form: Time) -> String {
        (self.as_millis() / u128::from(form.millis)).to_string()
    }
}

/// What a text must look like.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// Says it, to go after "expected".
    pub(super) expected: &'static str,
    /// Returns whether a text does.
    pub(super) fits: fn(&str) -> bool,
}

impl Value for String {
    type Form = Form;

    const IS_TEXT: bool = true;

    fn read(value: &Spanned<DeValue<'_>>, form: Form) -> Result<Self, Vec<Unfit>> {
        fit(value, form, value.get_ref().as_str().map(str::to_owned))
    }

    fn fits(&self, form: Form) -> bool {
        (form.fits)(self)
    }

    fn expected(form: Form) -> String {
        form.expected.to_owned()
    }

    fn shown(&self, _: Form) -> String {
        quoted(self)
    }
}

impl Value for PathBuf {
    type Form = Form;

    const IS_TEXT: bool = true;

    fn read(value: &Spanned<DeValue<'_>>, form: Form) -> Result<Self, Vec<Unfit>> {
        fit(value, form, value.get_ref().as_str().map(Self::from))
    }

    fn fits(&self, form: Form) -> bool {
        (form.fits)(&self.to_string_lossy())
    }

    fn expected(form: Form) -> String {
        form.expected.to_owned()
    }

    fn shown(&self, _: Form) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl Value for Template {
    type Form = ();

    const IS_TEXT: bool = true;

    fn read(value: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Unfit>> {
        fit(value, (), value.get_ref().as_str().and_then(Self::parse))
    }

    fn fits(&self, (): ()) -> bool {
        true
    }

    fn expected((): ()) -> String {
        Self::FORM.to_owned()
    }

    fn shown(&self, (): ()) -> String {
        quoted(self.as_str())
    }
}

impl Value for SocketAddr {
    type Form = ();

    const IS_TEXT: bool = true;

    fn read(value: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Unfit>> {
        let address = value.get_ref().as_str().and_then(|text| text.parse().ok());
        fit(value, (), address)
    }

    fn fits(&self, (): ()) -> bool {
        true
    }

    fn expected((): ()) -> String {
        "an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"".to_owned()
    }

    fn shown(&self, (): ()) -> String {
        format!("\"{self}\"")
    }
}

impl<T: Choice> Value for T {
    type Form = ();

    const IS_TEXT: bool = true;

    fn read(value: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Unfit>> {
        let text = value.get_ref().as_str();
        fit(value, (), T::OFFERED.iter().copied().find(|choice| Some(choice.word()) == text))
    }

    fn fits(&self, (): ()) -> bool {
        T::OFFERED.contains(self)
    }

    fn expected((): ()) -> String {
        let words: Vec<String> = T::OFFERED.iter().map(|choice| quoted(choice.word())).collect();
        words.join(" or ")
    }

    fn shown(&self, (): ()) -> String {
        quoted(self.word())
    }
}

/// Returns a name from outside as a message shows it: as it is, or quoted where it is odd.
pub(super) fn shown_name(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !name.is_empty() && name.bytes().all(is_plain) && !holds_secret(name) {
        Outside(name).to_string()
    } else {
        quoted(name)
    }
}

/// Returns the message of a name that is not known.
pub(super) fn unknown(what: &str, nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("unknown {what}, the nearest known one is {nearest}"),
        None => format!("unknown {what}"),
    }
}

/// Returns the value of an environment variable; what is no TOML is taken as the text it is, so
/// that the setting says what it expects.
pub(super) fn from_text(is_text: bool, text: &str) -> Spanned<DeValue<'_>> {
    let as_text = || Spanned::new(0..text.len(), DeValue::String(text.into()));
    if is_text {
        return as_text();
    }
    DeValue::parse(text).unwrap_or_else(|_| as_text())
}
