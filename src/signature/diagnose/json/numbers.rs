//! Numbers as JavaScript and Python write them after reading them.

/// Up to here every whole number is a double of its own, and both write it as it came.
const SAFE_DIGITS: usize = 15;

/// Returns a JSON number as `JSON.stringify` writes it; `None` for what is no number.
///
/// ECMA-262, `Number::toString`: the shortest digits, an exponent from 1e21 and below 1e-6.
pub(super) fn javascript(number: &str) -> Option<String> {
    if is_short_integer(number) {
        return Some(number.to_owned());
    }
    let Some(Decimal { sign, digits, point }) = Decimal::read(number)? else {
        return Some("null".to_owned());
    };
    let sign = if digits == "0" { "" } else { sign };
    Some(match point {
        -5..=21 => format!("{sign}{}", positional(&digits, point)),
        _ => format!("{sign}{}e{:+}", scientific(&digits), point - 1),
    })
}

/// Returns a JSON number as Python's `json.dumps` writes it; `None` for what is no number.
///
/// Integers are kept to any length; `repr` of a float has an exponent from 1e16 and below 1e-4.
pub(super) fn python(number: &str) -> Option<String> {
    if !number.contains(['.', 'e', 'E']) {
        let written = if number == "-0" { "0" } else { number };
        return (digits_of_integer(number)? > 0).then(|| written.to_owned());
    }
    let Some(Decimal { sign, digits, point }) = Decimal::read(number)? else {
        return Some(if number.starts_with('-') { "-Infinity" } else { "Infinity" }.to_owned());
    };
    Some(match point {
        -3..=16 => {
            let text = positional(&digits, point);
            let end = if text.contains('.') { "" } else { ".0" };
            format!("{sign}{text}{end}")
        }
        _ => format!("{sign}{}e{:+03}", scientific(&digits), point - 1),
    })
}

fn is_short_integer(number: &str) -> bool {
    number != "-0"
        && digits_of_integer(number).is_some_and(|count| (1..=SAFE_DIGITS).contains(&count))
}

/// Returns how many digits an integer has; `None` for another number.
fn digits_of_integer(number: &str) -> Option<usize> {
    let digits = number.strip_prefix('-').unwrap_or(number);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(digits.len())
}

/// A double: `0.digits` times ten to the power of `point`, in as few digits as tell it apart.
struct Decimal {
    sign: &'static str,
    digits: String,
    point: i32,
}

impl Decimal {
    /// Reads a number as a double; `Some(None)` for one that is beyond them, infinite.
    #[expect(clippy::option_option, reason = "no number, an infinite one, and a finite one")]
    fn read(number: &str) -> Option<Option<Self>> {
        let value: f64 = number.parse().ok()?;
        if !value.is_finite() {
            return Some(None);
        }
        let text = format!("{:e}", value.abs());
        let (digits, exponent) = text.split_once('e')?;
        let exponent: i32 = exponent.parse().ok()?;
        Some(Some(Self {
            sign: if value.is_sign_negative() { "-" } else { "" },
            digits: digits.replace('.', ""),
            point: exponent + 1,
        }))
    }
}

/// Writes digits without an exponent; the point is at most 21 places off.
fn positional(digits: &str, point: i32) -> String {
    let Ok(whole) = usize::try_from(point) else {
        let zeros = usize::try_from(-point).unwrap_or_default();
        return format!("0.{}{digits}", "0".repeat(zeros));
    };
    match digits.len() {
        _ if whole == 0 => format!("0.{digits}"),
        length if length <= whole => format!("{digits}{}", "0".repeat(whole - length)),
        _ => format!("{}.{}", &digits[..whole], &digits[whole..]),
    }
}

fn scientific(digits: &str) -> String {
    let (first, rest) = digits.split_at(1);
    if rest.is_empty() { first.to_owned() } else { format!("{first}.{rest}") }
}

#[cfg(test)]
mod tests {
    use super::{javascript, python};

    /// What Node.js and Python print, checked with them.
    #[test]
    fn numbers_are_written_as_the_two_languages_write_them() {
        for (number, in_javascript, in_python) in [
            ("0", "0", "0"),
            ("-0", "0", "0"),
            ("-0.0", "0", "-0.0"),
            ("42", "42", "42"),
            ("-42", "-42", "-42"),
            ("1.0", "1", "1.0"),
            ("1.50", "1.5", "1.5"),
            ("-12.25", "-12.25", "-12.25"),
            ("1e2", "100", "100.0"),
            ("1E-2", "0.01", "0.01"),
            ("0.1", "0.1", "0.1"),
            ("0.0001", "0.0001", "0.0001"),
            ("0.00001", "0.00001", "1e-05"),
            ("0.000001", "0.000001", "1e-06"),
            ("0.0000001", "1e-7", "1e-07"),
            ("1.25e-7", "1.25e-7", "1.25e-07"),
            ("1e15", "1000000000000000", "1000000000000000.0"),
            ("1e16", "10000000000000000", "1e+16"),
            ("1e20", "100000000000000000000", "1e+20"),
            ("1e21", "1e+21", "1e+21"),
            ("1.5e300", "1.5e+300", "1.5e+300"),
            ("1e400", "null", "Infinity"),
            ("-1e400", "null", "-Infinity"),
            ("12345678901234567890", "12345678901234567000", "12345678901234567890"),
            ("9007199254740993", "9007199254740992", "9007199254740993"),
            ("0.30000000000000004", "0.30000000000000004", "0.30000000000000004"),
            ("5e-324", "5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308", "1.7976931348623157e+308"),
        ] {
            assert_eq!(javascript(number).as_deref(), Some(in_javascript), "{number}");
            assert_eq!(python(number).as_deref(), Some(in_python), "{number}");
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "-", "--1", "1-", "1e", "e", ".", "1.2.3"] {
            assert_eq!((javascript(text), python(text)), (None, None), "{text}");
        }
    }
}
