//! What the file and the environment say of handlers, put together before they are read: which
//! settings a handler has depends on its `kind`, which may stand in the other of the two.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use super::forms::HANDLER_NAME;
use super::handlers::{Forward, Handler, HandlerKind};
use super::problem::{Place, Problem, line_of};
use super::table::VARIABLES;
use super::value::{Unfit, describe, from_text, mismatch, quoted, shown_name, unknown};
use crate::words::nearest::nearest;

/// What the name of a variable of a handler starts with.
pub(super) const HANDLER_VARIABLES: &str = "HANDLERS__";

/// More than anyone names; each has a loop of its own.
pub(super) const HANDLERS_LIMIT: usize = 100;

/// A value of a handler's setting, and where it stands.
struct Entry<'a> {
    value: Spanned<DeValue<'a>>,
    origin: Origin<'a>,
}

/// Where a value stands.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    /// In this text of the file.
    File(&'a str),
    /// In this variable.
    Variable(&'a str),
}

impl Origin<'_> {
    /// Returns the place of a part of the value.
    pub(super) fn place(self, span: Range<usize>) -> Place {
        match self {
            Origin::File(text) => Place::File { line: line_of(text, span) },
            Origin::Variable(variable) => Place::Environment { variable: variable.to_owned() },
        }
    }
}

/// The handlers as they are written: by name, then by setting.
#[derive(Default)]
pub(super) struct Entries<'a> {
    handlers: BTreeMap<String, BTreeMap<String, Entry<'a>>>,
    /// Where each is written first.
    places: BTreeMap<String, Place>,
    problems: Vec<Problem>,
}

impl<'a> Entries<'a> {
    /// Takes the table `[handlers]` of the file.
    pub(super) fn file(&mut self, text: &'a str, value: &Spanned<DeValue<'a>>) {
        let origin = Origin::File(text);
        let Some(table) = value.get_ref().as_table() else {
            let message = mismatch("a table", &describe(value.get_ref()));
            self.problem(origin.place(value.span()), "handlers", message);
            return;
        };
        for (key, value) in table {
            let name: &str = key.get_ref();
            let place = origin.place(key.span());
            if !(HANDLER_NAME.fits)(name) {
                self.problem(place, "handlers", mismatch(HANDLER_NAME.expected, &quoted(name)));
            } else if let Some(settings) = value.get_ref().as_table() {
                self.places.insert(name.to_owned(), place);
                let handler = self.handlers.entry(name.to_owned()).or_default();
                for (key, value) in settings {
                    let entry = Entry { value: value.clone(), origin };
                    handler.insert(key.get_ref().to_string(), entry);
                }
            } else {
                let message = mismatch("a table", &describe(value.get_ref()));
                self.problem(place, &format!("handlers.{name}"), message);
            }
        }
    }

    /// Takes a variable such as `BECKN_RECEIVER_HANDLERS__APP__URL`, whose name goes on with `rest`
    /// after `HANDLERS__`.
    pub(super) fn variable(&mut self, variable: &'a str, rest: &str, text: &'a str) {
        let place = Place::Environment { variable: variable.to_owned() };
        let parts = rest.split_once("__").filter(|(_, key)| !key.contains("__"));
        let Some((name, key)) = parts.map(|(name, key)| (name.to_lowercase(), key.to_lowercase()))
        else {
            let expected = format!("{VARIABLES}{HANDLER_VARIABLES}, a name, __ and a setting");
            self.problem(place, "", mismatch(&expected, "this variable"));
            return;
        };
        if !(HANDLER_NAME.fits)(&name) {
            self.problem(place, "", mismatch(HANDLER_NAME.expected, &quoted(&name)));
            return;
        }
        let upper = format!("{VARIABLES}{HANDLER_VARIABLES}{}", rest.to_ascii_uppercase());
        if variable != upper {
            // Two spellings of one setting would hide one another.
            self.problem(place, "", unknown("variable", Some(&upper)));
            return;
        }
        let value = from_text(is_text(&key), text);
        let entry = Entry { value, origin: Origin::Variable(variable) };
        self.places.entry(name.clone()).or_insert(place);
        self.handlers.entry(name).or_default().insert(key, entry);
    }

    /// Reads the handlers; what is wrong with them is in the second list.
    pub(super) fn read(mut self) -> (BTreeMap<String, Handler>, Vec<Problem>) {
        let mut handlers = BTreeMap::new();
        for (name, settings) in std::mem::take(&mut self.handlers) {
            if let Some(handler) = self.read_handler(&name, settings) {
                handlers.insert(name, handler);
            }
        }
        if handlers.len() > HANDLERS_LIMIT
            && let Some(place) = self.places.values().next_back().cloned()
        {
            let expected = format!("at most {HANDLERS_LIMIT} handlers");
            self.problem(place, "handlers", mismatch(&expected, &handlers.len().to_string()));
        }
        (handlers, self.problems)
    }

    fn read_handler(
        &mut self,
        name: &str,
        mut settings: BTreeMap<String, Entry<'_>>,
    ) -> Option<Handler> {
        let words = HandlerKind::WORDS.map(quoted).join(" or ");
        let Some(kind) = settings.remove("kind") else {
            let place = self.places[name].clone();
            let message = mismatch(&format!("kind = {words}"), "no kind");
            self.problem(place, &format!("handlers.{name}"), message);
            return None;
        };
        let Some(known) = kind.value.get_ref().as_str().and_then(HandlerKind::of) else {
            let message = mismatch(&words, &describe(kind.value.get_ref()));
            let place = kind.origin.place(kind.value.span());
            self.problem(place, &format!("handlers.{name}.kind"), message);
            return None;
        };
        let mut handler = Handler::new(known);
        for (key, Entry { value, origin }) in settings {
            let setting = format!("handlers.{name}.{}", shown_name(&key));
            let Some(row) = handler.settings().find(|row| row.name == key) else {
                let nearest = nearest(&key, handler.settings().map(|row| row.name));
                let what = format!("setting of a handler of kind \"{}\"", handler.kind.as_str());
                self.problem(origin.place(value.span()), &setting, unknown(&what, nearest));
                continue;
            };
            for Unfit { at, part, message } in
                (row.set)(&mut handler, &value).err().unwrap_or_default()
            {
                let dot = if part.is_empty() { "" } else { "." };
                self.problem(origin.place(at), &format!("{setting}{dot}{part}"), message);
            }
        }
        let place = self.places[name].clone();
        for (setting, message) in missing(&handler) {
            let is_said = self.problems.iter().any(|known| {
                known.setting.strip_prefix(&format!("handlers.{name}.")) == Some(setting)
            });
            if !is_said {
                self.problem(place.clone(), &format!("handlers.{name}.{setting}"), message);
            }
        }
        Some(handler)
    }

    fn problem(&mut self, place: Place, setting: &str, message: String) {
        self.problems.push(Problem::new(place, setting, message));
    }
}

/// Returns whether the variable of a setting holds the text itself, whatever the kind: the kinds
/// agree on it, which a test proves.
fn is_text(key: &str) -> bool {
    let of_a_kind = |word: &&str| {
        let handler = Handler::new(HandlerKind::of(word)?);
        handler.settings().find(|row| row.name == key).map(|row| row.is_text)
    };
    key == "kind" || HandlerKind::WORDS.iter().find_map(of_a_kind).unwrap_or(true)
}

/// Returns what a handler cannot be without, and what of it does not go together.
pub(super) fn missing(handler: &Handler) -> Vec<(&'static str, String)> {
    let both = |one: bool, other: bool| one && other;
    let mut missing = Vec::new();
    let mut demand = |holds: bool, setting: &'static str, message: &str| {
        if !holds {
            missing.push((setting, message.to_owned()));
        }
    };
    match &handler.kind {
        HandlerKind::Print => {}
        HandlerKind::Forward(forward) => {
            demand(!forward.url.is_empty(), "url", "expected where to post events, found none");
            demand(
                !both(!forward.secrets.is_empty(), !forward.secrets_file.as_os_str().is_empty()),
                "secrets_file",
                "expected either it or secrets, found both",
            );
            demand(is_signed_or_near(forward), "secrets", UNSIGNED);
        }
        HandlerKind::JetStream(nats) => {
            demand(!nats.servers.is_empty(), "servers", "expected at least one, found none");
            demand(
                !both(!nats.password.is_empty(), !nats.password_file.as_os_str().is_empty()),
                "password_file",
                "expected either it or password, found both",
            );
        }
        HandlerKind::RabbitMq(rabbit) => {
            demand(!rabbit.url.is_empty(), "url", "expected the broker's URL, found none");
            demand(
                !both(!rabbit.password.is_empty(), !rabbit.password_file.as_os_str().is_empty()),
                "password_file",
                "expected either it or password, found both",
            );
        }
    }
    missing
}

/// What is said of a handler that would send events unsigned over a network.
const UNSIGNED: &str = "expected secrets or secrets_file for a target on another machine, or \
    allow_unsigned = true beside it, found none of them: `beckn-receiver keygen --webhook` makes a \
    secret";

fn is_signed_or_near(forward: &Forward) -> bool {
    let uri = forward.url.expose().parse::<axum::http::Uri>().ok();
    let host = uri.as_ref().and_then(axum::http::Uri::host).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    let is_near =
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback());
    forward.url.is_empty()
        || is_near
        || forward.allow_unsigned
        || !forward.secrets.is_empty()
        || !forward.secrets_file.as_os_str().is_empty()
}

/// Says what is wrong with the handlers that a program made.
pub(super) fn unfit(name: &str, handler: &Handler) -> Vec<(String, String)> {
    let mut unfit = Vec::new();
    if !(HANDLER_NAME.fits)(name) {
        unfit.push(("handlers".to_owned(), mismatch(HANDLER_NAME.expected, &quoted(name))));
    }
    let wrong = handler.settings().filter_map(|row| Some((row.name, (row.unfit)(handler)?)));
    let wrong: Vec<(&str, String)> = wrong.collect();
    unfit.extend(
        missing(handler)
            .into_iter()
            .chain(wrong)
            .map(|(setting, message)| (format!("handlers.{name}.{setting}"), message)),
    );
    unfit
}
