//! Reads the settings: the file first, then the environment over it; every mistake is collected.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check;
use super::entries::{Entries, HANDLER_VARIABLES, Origin};
use super::problem::{ConfigError, Place, Places, Problem, Written, line_of};
use super::routes;
use super::settings::{Config, SETTINGS};
use super::table::{Setting, VARIABLES};
use super::value::{Unfit, describe, from_text, mismatch, shown_name, unknown};
use crate::words::nearest::nearest;

impl Config {
    /// Reads the settings of a TOML text, with environment variables over them.
    ///
    /// A setting that neither names has its default. `http.listen` is overridden by
    /// `BECKN_RECEIVER_HTTP__LISTEN`: a text as it stands, anything else as TOML (a list as
    /// `["a", "b"]`, `rules.levels` as `{ "name" = "warn" }`, in place of the whole table of the
    /// file). Variables whose name does not start with `BECKN_RECEIVER_` are not looked at.
    ///
    /// # Errors
    ///
    /// Every mistake at once: what is no TOML, a name that is unknown, a value that is not
    /// allowed, two settings that do not go together.
    pub fn parse(
        text: &str,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, ConfigError> {
        let ours: BTreeMap<String, String> =
            env.into_iter().filter(|(name, text)| is_ours(name, text)).collect();
        let mut found = Found::default();
        found.file(text);
        found.environment(&ours);
        found.handlers();
        found.problems.extend(check::together(&found.config, &found.places));
        if found.problems.is_empty() {
            Ok(found.config)
        } else {
            Err(ConfigError::new(found.problems))
        }
    }
}

/// What was found so far.
#[derive(Default)]
struct Found<'a> {
    config: Config,
    entries: Entries<'a>,
    places: Places,
    problems: Vec<Problem>,
}

impl<'a> Found<'a> {
    fn file(&mut self, text: &'a str) {
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            self.table(text, "", table.get_ref());
            return;
        }
        // After a syntax error the values are guesses: only the errors are told, one a line,
        // because one slip makes the parser stumble several times.
        let mut last = 0;
        for error in errors {
            let line = line_of(text, error.span().unwrap_or_default());
            if line != last {
                self.problem(Place::File { line }, "", format!("not TOML: {}", error.message()));
            }
            last = line;
        }
    }

    fn table(&mut self, text: &'a str, prefix: &str, table: &DeTable<'a>) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            let place = |span| Place::File { line: line_of(text, span) };
            if let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) {
                self.set(setting, value, place);
            } else if name == "handlers" {
                self.entries.file(text, value);
            } else if name == "routes" {
                self.routes(value, Origin::File(text));
            } else if !is_section(&name) {
                let message = unknown("setting", nearest(&name, known_names()));
                self.problem(place(key.span()), &shown_name(&name), message);
            } else if let Some(section) = value.get_ref().as_table() {
                self.table(text, &format!("{name}."), section);
            } else {
                let message = mismatch("a table", &describe(value.get_ref()));
                self.problem(place(value.span()), &name, message);
            }
        }
    }

    fn environment(&mut self, ours: &'a BTreeMap<String, String>) {
        for (variable, text) in ours {
            let name = variable.strip_prefix(VARIABLES).unwrap_or_default();
            let place = || Place::Environment { variable: variable.clone() };
            if let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == *variable) {
                self.set(setting, &from_text(setting.is_text, text), |_| place());
            } else if let Some(rest) = name.strip_prefix(HANDLER_VARIABLES) {
                self.entries.variable(variable, rest, text);
            } else if name == "ROUTES" {
                self.routes(&from_text(false, text), Origin::Variable(variable));
            } else {
                let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
                let nearest = nearest(variable, known.iter().map(String::as_str));
                self.problem(place(), "", unknown("variable", nearest));
            }
        }
    }

    fn set(
        &mut self,
        setting: &Setting<Config>,
        value: &Spanned<DeValue<'_>>,
        place: impl Fn(Range<usize>) -> Place,
    ) {
        let read = (setting.set)(&mut self.config, value);
        let written = Written { place: place(value.span()), is_allowed: read.is_ok() };
        self.places.insert(setting.name, written);
        for Unfit { at, part, message } in read.err().unwrap_or_default() {
            let dot = if part.is_empty() { "" } else { "." };
            self.problem(place(at), &format!("{}{dot}{part}", setting.name), message);
        }
    }

    fn routes(&mut self, value: &Spanned<DeValue<'_>>, origin: Origin<'_>) {
        match routes::read(value) {
            Ok(routes) => self.config.routes = routes,
            Err(unfit) => {
                for Unfit { at, part, message } in unfit {
                    let dot = if part.is_empty() { "" } else { "." };
                    self.problem(origin.place(at), &format!("routes{dot}{part}"), message);
                }
            }
        }
    }

    /// Reads the handlers, now that the file and the environment have both been heard.
    fn handlers(&mut self) {
        let (handlers, problems) = std::mem::take(&mut self.entries).read();
        self.config.handlers = handlers;
        self.problems.extend(problems);
    }

    fn problem(&mut self, place: Place, setting: &str, message: String) {
        self.problems.push(Problem::new(place, setting, message));
    }
}

/// Returns whether a variable is meant for a receiver.
///
/// Kubernetes sets `…_SERVICE_HOST`, `…_PORT_8080_TCP_ADDR` and the like for each service whose name
/// starts with `beckn-receiver`; they say nothing about settings and must not stop the start. A
/// setting's own variable is ours, whatever it ends in.
fn is_ours(variable: &str, text: &str) -> bool {
    let Some(name) = variable.strip_prefix(VARIABLES) else { return false };
    if OF_COMMANDS.contains(&name) {
        return false;
    }
    name.contains("__")
        || SETTINGS.iter().any(|setting| setting.variable() == variable)
        || !is_of_service(&format!("_{name}"), text)
}

/// Variables that tell the commands which receiver to ask: no settings of one.
const OF_COMMANDS: [&str; 3] = ["URL", "TOKEN", "TOKEN_FILE"];

fn is_of_service(name: &str, text: &str) -> bool {
    let is_number = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    name.ends_with("_SERVICE_HOST")
        // As `tcp://10.0.0.1:8080`: a number is a person's, who meant another variable.
        || (name.ends_with("_PORT") && text.contains("://"))
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.split("_PORT_").skip(1).any(is_number)
}

fn is_section(name: &str) -> bool {
    SETTINGS
        .iter()
        .any(|setting| setting.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// Returns every section once, then every setting.
fn known_names() -> impl Iterator<Item = &'static str> {
    let mut sections: Vec<&str> = SETTINGS
        .iter()
        .filter_map(|setting| setting.name.rsplit_once('.').map(|(section, _)| section))
        .collect();
    sections.dedup();
    let named = SETTINGS.iter().map(|setting| setting.name);
    sections.into_iter().chain(named).chain(["handlers", "routes"])
}
