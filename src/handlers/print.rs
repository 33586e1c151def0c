//! Prints one line an event: for trying the receiver out, and for pipes.

use std::fmt;
use std::io::Write as _;

use chrono::SecondsFormat;

use crate::event::OrderEvent;
use crate::handler::{HandlerError, OrderEventHandler};
use crate::words::Outside;

/// Prints each event to standard output as one line: time, action, seller, order id, state,
/// verified or not, flags, event id. Never the body.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Print;

impl OrderEventHandler for Print {
    /// Prints the line.
    ///
    /// # Errors
    /// Standard output cannot be written; the event comes again.
    async fn handle(&self, event: &OrderEvent) -> Result<(), HandlerError> {
        writeln!(std::io::stdout().lock(), "{}", Line(event))?;
        Ok(())
    }
}

/// The line of an event.
struct Line<'a>(&'a OrderEvent);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.0;
        write!(
            f,
            "{} {} {} order={} state={} {} flags={} event={}",
            event.received_at.to_rfc3339_opts(SecondsFormat::Millis, true),
            event.action,
            Quoted(event.context.bpp_id.as_deref()),
            Quoted(event.order_id()),
            Quoted(event.state()),
            if event.sender.is_some() { "verified" } else { "unverified" },
            Flags(event),
            event.delivery_id(),
        )
    }
}

/// A value that may be absent or hold blanks.
struct Quoted<'a>(Option<&'a str>);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("-"),
            Some(text) if text.contains([' ', '"']) => {
                write!(f, "\"{}\"", Outside(&text.replace('"', "'")))
            }
            Some(text) => write!(f, "{}", Outside(text)),
        }
    }
}

/// The flags, then how many warnings and oddities there are; `-` for none of all.
struct Flags<'a>(&'a OrderEvent);

impl fmt::Display for Flags<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.0;
        let mut words: Vec<String> =
            event.flags.iter().map(|flag| flag.as_str().to_owned()).collect();
        words.extend(event.error.is_some().then(|| "error".to_owned()));
        words.extend((event.attempt > 1).then(|| format!("attempt:{}", event.attempt)));
        words.extend(
            (!event.warnings.is_empty()).then(|| format!("warnings:{}", event.warnings.len())),
        );
        words.extend(
            (!event.oddities.is_empty()).then(|| format!("oddities:{}", event.oddities.len())),
        );
        f.write_str(if words.is_empty() { "-" } else { "" })?;
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::Line;
    use crate::beckn::action::Action;
    use crate::event::OrderEvent;

    #[test]
    fn a_line_names_the_order_and_nothing_personal() {
        let body = r#"{"context":{"bpp_id":"seller.example","transaction_id":"t"},
            "message":{"order":{"id":"O-1","state":"Out for \"delivery\"",
            "billing":{"name":"Asha Rao","phone":"9800000000"}}}}"#;
        let event = OrderEvent::parse(Action::OnStatus, body).unwrap();
        assert_eq!(
            Line(&event).to_string(),
            format!(
                "1970-01-01T00:00:00.000Z on_status seller.example order=O-1 \
                 state=\"Out for 'delivery'\" unverified flags=- event={}",
                event.id
            )
        );
    }

    #[test]
    fn a_line_cannot_be_broken_by_a_seller() {
        let body = r#"{"context":{"bpp_id":"a\nb"},"message":{"order":{"id":"x\u001b[2J"}}}"#;
        let event = OrderEvent::parse(Action::OnUpdate, body).unwrap();
        let line = Line(&event).to_string();
        assert!(!line.contains(['\n', '\u{1b}']), "{line}");
    }
}
