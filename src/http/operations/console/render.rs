//! Templates, and the few filters that write markup.
//!
//! Every filter here escapes what it is given. Text of a callback is shown with its control
//! characters and the marks that reorder or hide text written out, and cut, with the rest in its
//! `title`.

use std::fmt::Write as _;
use std::sync::LazyLock;

use chrono::{DateTime, SecondsFormat, Utc};
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, HtmlEscape, UndefinedBehavior};
use serde::Serialize;

use crate::event::Flag;
use crate::operations::summary::{Tone, tone_of};
use crate::words::is_plain;

macro_rules! templates {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("templates/", $name)))),+]
    };
}

const TEMPLATES: &[(&str, &str)] = templates![
    "frame.html",
    "trouble.html",
    "login.html",
    "rows.html",
    "events.html",
    "event.html",
    "summary.html",
    "transaction.html",
    "picture.html",
    "order.html",
    "refusals.html",
    "refusal.html",
    "dead_letters.html",
    "sellers.html",
    "seller.html",
    "handlers.html",
    "expectations.html",
    "expectation_rows.html",
    "erase.html",
    "find.html",
    "audit.html",
];

static PAGES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    pages.set_undefined_behavior(UndefinedBehavior::Strict);
    pages.set_auto_escape_callback(|_name| AutoEscape::Html);
    pages.add_filter("text", text);
    pages.add_filter("time", time);
    pages.add_filter("state", state);
    pages.add_filter("chip", chip);
    pages.add_filter("flag", flag);
    pages.add_filter("link", link);
    pages.add_filter("seller", seller);
    pages.add_filter("segment", |value: &str| segment(value));
    pages.add_filter("count", count);
    pages.add_filter("plural", |count: u64, one: &str, many: &str| {
        format!("{} {}", thousands(count), if count == 1 { one } else { many })
    });
    for (name, source) in TEMPLATES {
        pages.add_template(name, source).expect("the templates in the binary are well-formed");
    }
    pages
});

/// Renders a template; `None` is a bug, and in the log.
pub(super) fn render<T: Serialize>(name: &'static str, context: &T) -> Option<String> {
    let made = PAGES.get_template(name).and_then(|page| page.render(Value::from(Serde(context))));
    match made {
        Ok(text) => Some(text),
        Err(error) => {
            // Not the error's own chain: what a page is made of stays out of the log.
            let (kind, line) = (error.kind(), error.line());
            tracing::error!(template = name, ?kind, line, "a page of the console was not made");
            None
        }
    }
}

/// Characters of a text that are shown where nothing else is said.
const SHOWN: usize = 160;

/// Characters of a text in its `title`.
const TITLE: usize = 1_000;

/// Returns a text with what would disturb a page written out, cut after `most` characters.
pub(super) fn visible(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for (place, character) in text.chars().enumerate() {
        if place == most {
            shown.push('…');
            break;
        }
        // Indian scripts are written with the joiners; they reorder nothing.
        if is_plain(character) || matches!(character, '\u{200c}' | '\u{200d}' | '\n' | '\t') {
            shown.push(character);
        } else {
            // Writing to a String does not fail.
            let _ = write!(shown, "{}", character.escape_unicode());
        }
    }
    shown
}

/// Returns a text for between tags and in quotes.
pub(super) fn escaped(text: &str) -> String {
    HtmlEscape(text).to_string()
}

const NOTHING: &str = r#"<span class="none">–</span>"#;

/// A text of a callback: `{{ seller|text(40) }}`.
fn text(value: &Value, most: Option<usize>) -> Value {
    Value::from_safe_string(said(value).map_or_else(|| NOTHING.to_owned(), |it| span(&it, most)))
}

fn said(value: &Value) -> Option<String> {
    if value.is_none() || value.is_undefined() {
        return None;
    }
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    (!text.is_empty()).then_some(text)
}

fn span(text: &str, most: Option<usize>) -> String {
    let most = most.unwrap_or(SHOWN);
    let shown = escaped(&visible(text, most));
    if text.chars().nth(most).is_none() {
        return format!(r#"<span class="outside">{shown}</span>"#);
    }
    let title = escaped(&visible(text, TITLE));
    format!(r#"<span class="outside" title="{title}">{shown}</span>"#)
}

/// A moment: UTC, which the script makes local.
fn time(value: &Value) -> Value {
    let Some(text) = said(value) else { return Value::from_safe_string(NOTHING.to_owned()) };
    let Ok(at) = DateTime::parse_from_rfc3339(&text) else { return self::text(value, None) };
    let at = at.with_timezone(&Utc);
    let (machine, person) =
        (at.to_rfc3339_opts(SecondsFormat::Millis, true), at.format("%Y-%m-%d %H:%M:%S"));
    Value::from_safe_string(format!(
        r#"<time datetime="{machine}" title="{person} UTC">{person}Z</time>"#
    ))
}

/// A state of an order or a fulfilment, in its colour.
fn state(value: &Value) -> Value {
    let Some(state) = said(value) else { return Value::from_safe_string(NOTHING.to_owned()) };
    marked(&state, tone(tone_of(&state)))
}

/// A word in a colour: `{{ event.progress|chip }}`, `{{ "silent"|chip("bad") }}`.
fn chip(value: &Value, in_tone: Option<&str>) -> Value {
    let Some(word) = said(value) else { return Value::from_safe_string(NOTHING.to_owned()) };
    let of_word = match word.as_str() {
        "done" | "met" => "good",
        "pending" | "open" => "begun",
        "dead" | "silent" => "bad",
        "rejected" | "late" => "warn",
        _ => "plain",
    };
    marked(&word, in_tone.unwrap_or(of_word))
}

/// A flag of an event, and what it means.
fn flag(value: &Value) -> Value {
    let found = Flag::ALL.into_iter().find(|flag| value.as_str() == Some(flag.as_str()));
    let Some(flag) = found else { return chip(value, None) };
    let (tone, meaning) = match flag {
        Flag::IdReused => ("plain", "same action, transaction and message id as an earlier event"),
        Flag::Repaired => ("warn", "the body was read only after a repair of its JSON"),
        Flag::OtherPayload => ("warn", "the payload is not the one of its action"),
        Flag::Rejected => ("warn", "a rule is against it; answer.always_ack ACKed it"),
        Flag::RuleSkipped => ("warn", "a rule of yours gave no answer and was passed over"),
        Flag::OutOfOrder => ("warn", "older than what the seller has told of the order before"),
        Flag::Regressed => ("bad", "a state that cannot come after the last one"),
        Flag::Solicited => ("good", "the buyer app said that it waits for it"),
        Flag::Silence => ("bad", "no callback: the one that was waited for did not come in time"),
        Flag::Erased => ("plain", "an operator had it emptied"),
    };
    let name = flag.as_str();
    let shown = name.replace('_', " ");
    Value::from_safe_string(format!(
        r#"<span class="chip tone-{tone}" data-flag="{name}" title="{meaning}">{shown}</span>"#
    ))
}

fn marked(word: &str, tone: &str) -> Value {
    let (title, shown) = (escaped(&visible(word, TITLE)), escaped(&visible(word, 40)));
    let title =
        if word.chars().nth(40).is_some() { format!(r#" title="{title}""#) } else { String::new() };
    Value::from_safe_string(format!(
        r#"<span class="chip tone-{}"{title}>{shown}</span>"#,
        escaped(tone)
    ))
}

/// Returns the name that the style has for a tone.
pub(super) const fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "plain",
        Tone::Begun => "begun",
        Tone::Going => "going",
        Tone::Good => "good",
        Tone::Bad => "bad",
    }
}

/// Longer ids are shown and not linked: an address has its bounds.
const LINKED: usize = 512;

/// An id that leads to its page: `{{ event.order_id|link("orders") }}`.
fn link(value: &Value, room: &str, most: Option<usize>) -> Value {
    let Some(id) = said(value) else { return Value::from_safe_string(NOTHING.to_owned()) };
    let shown = span(&id, most);
    // A segment of dots would be taken for a way upwards.
    if id.len() > LINKED || id.bytes().all(|byte| byte == b'.') {
        return Value::from_safe_string(shown);
    }
    let (room, id) = (escaped(room), segment(&id));
    Value::from_safe_string(format!(r#"<a class="id" href="/console/{room}/{id}">{shown}</a>"#))
}

/// A seller, or nothing for nobody: a silence may be of no seller that is known.
fn seller(value: &Value, most: Option<usize>) -> Value {
    match value.as_str() {
        Some("unverified:") => Value::from_safe_string(NOTHING.to_owned()),
        Some(_) | None => link(value, "sellers", most),
    }
}

/// Returns a text as one segment of a path, or a value of a query.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn count(value: u64) -> String {
    thousands(value)
}

/// Returns a number with its thousands apart.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_shown_and_does_nothing() {
        let hostile = "<script>alert(1)</script>\"'\u{1b}[31m\u{202e}txt";
        for made in [text(&hostile.into(), None), link(&hostile.into(), "orders", None)] {
            let made = made.to_string();
            assert!(!made.contains("<script"), "{made}");
            assert!(made.contains("&lt;script&gt;"), "{made}");
            assert!(!made.contains('\u{1b}') && !made.contains('\u{202e}'), "{made}");
            assert!(made.contains(r"\u{202e}"), "{made}");
        }
        let title = text(&format!("{}\"><b>", "x".repeat(300)).into(), Some(10)).to_string();
        assert!(title.starts_with(r#"<span class="outside" title="xxx"#), "{title}");
        assert!(!title.contains("<b>"), "{title}");
    }

    #[test]
    fn an_id_leads_to_its_page_whatever_is_in_it() {
        let made = |id: &str| link(&id.into(), "orders", None).to_string();
        assert!(made("O/1 ?#%").contains(r#"href="/console/orders/O%2F1%20%3F%23%25""#));
        assert!(!made("..").contains("href"));
        assert!(!made(&"x".repeat(10_000)).contains("href"));
        assert!(made("नमस्ते").contains("नमस्ते"));
        assert_eq!(seller(&"unverified:".into(), None).to_string(), NOTHING);
    }

    #[test]
    fn numbers_have_their_thousands_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_moment_is_utc_until_the_script_makes_it_local() {
        let made = time(&"2026-03-14T14:42:30.412+05:30".into()).to_string();
        assert_eq!(
            made,
            r#"<time datetime="2026-03-14T09:12:30.412Z" title="2026-03-14 09:12:30 UTC">2026-03-14 09:12:30Z</time>"#
        );
        assert!(time(&"<b>".into()).to_string().contains("&lt;b&gt;"));
    }
}
