//! Which handler takes which events: `[[routes]]`.

use toml::Spanned;
use toml::de::DeValue;

use super::forms::HANDLER_NAME;
use super::value::{Unfit, Value, mismatch, quoted, shown_name, unknown};
use crate::beckn::action::Action;
use crate::words::Glob;
use crate::words::nearest::nearest;

/// A route: its handler takes the events that fit in every respect that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// The handler's name.
    pub handler: String,
    /// The action fits one of these; empty: any action, and likewise below.
    pub action: Vec<Glob>,
    /// The domain.
    pub domain: Vec<Glob>,
    /// The buyer app.
    pub bap_id: Vec<Glob>,
    /// The seller app.
    pub bpp_id: Vec<Glob>,
}

/// The names of a route's settings.
const NAMES: [&str; 5] = ["handler", "action", "domain", "bap_id", "bpp_id"];

/// More than anyone writes by hand; each event is compared with all of them.
pub(super) const ROUTES_LIMIT: usize = 1_000;

/// How many patterns one respect may have.
const GLOBS_LIMIT: usize = 1_000;

impl Route {
    /// Makes the route of a handler; at least one respect has to be set.
    pub fn to(handler: impl Into<String>) -> Self {
        Self { handler: handler.into(), ..Self::default() }
    }

    /// Returns each respect by its name.
    pub fn respects(&self) -> [(&'static str, &[Glob]); 4] {
        [
            ("action", &self.action),
            ("domain", &self.domain),
            ("bap_id", &self.bap_id),
            ("bpp_id", &self.bpp_id),
        ]
    }

    /// Says what is wrong with a route that a program made.
    pub(super) fn unfit(&self) -> Option<String> {
        if !(HANDLER_NAME.fits)(&self.handler) {
            return Some(mismatch(HANDLER_NAME.expected, &shown_name(&self.handler)));
        }
        self.respects().iter().all(|(_, globs)| globs.is_empty()).then(|| TAKES_ALL.to_owned())
    }
}

const TAKES_ALL: &str = "expected action, domain, bap_id or bpp_id, found none of them: what takes \
    every event is dispatch.handler";

/// Reads the list of routes, or says all that is wrong with it.
pub(super) fn read(value: &Spanned<DeValue<'_>>) -> Result<Vec<Route>, Vec<Unfit>> {
    let tables = value.get_ref().as_array().filter(|tables| tables.len() <= ROUTES_LIMIT);
    let Some(tables) = tables else {
        let expected = format!("at most {ROUTES_LIMIT} tables [[routes]]");
        return Err(vec![Unfit::new(value, &expected)]);
    };
    let (mut routes, mut wrong) = (Vec::new(), Vec::new());
    for (place, table) in tables.iter().enumerate() {
        match read_route(table) {
            Ok(route) => routes.push(route),
            Err(unfit) => wrong.extend(unfit.into_iter().map(|unfit| in_route(place, unfit))),
        }
    }
    if wrong.is_empty() { Ok(routes) } else { Err(wrong) }
}

/// Names the route, from 1, as `route` counts them.
fn in_route(place: usize, unfit: Unfit) -> Unfit {
    let dot = if unfit.part.is_empty() { "" } else { "." };
    Unfit { part: format!("{}{dot}{}", place + 1, unfit.part), ..unfit }
}

fn read_route(value: &Spanned<DeValue<'_>>) -> Result<Route, Vec<Unfit>> {
    let Some(table) = value.get_ref().as_table() else {
        return Err(vec![Unfit::new(value, "a table")]);
    };
    let (mut route, mut wrong) = (Route::default(), Vec::new());
    for (key, value) in table {
        let name: &str = key.get_ref();
        let read = match name {
            "handler" => String::read(value, HANDLER_NAME).map(|handler| route.handler = handler),
            "action" => read_actions(value).map(|globs| route.action = globs),
            "domain" => read_globs(value).map(|globs| route.domain = globs),
            "bap_id" => read_globs(value).map(|globs| route.bap_id = globs),
            "bpp_id" => read_globs(value).map(|globs| route.bpp_id = globs),
            _ => {
                let message = unknown("setting of a route", nearest(name, NAMES));
                Err(vec![Unfit { at: key.span(), part: String::new(), message }])
            }
        };
        let part = shown_name(name);
        wrong.extend(
            read.err().into_iter().flatten().map(|unfit| Unfit { part: part.clone(), ..unfit }),
        );
    }
    if wrong.is_empty() && route.handler.is_empty() {
        wrong.push(Unfit::new(value, "a handler"));
    }
    if wrong.is_empty()
        && let Some(message) = route.unfit()
    {
        wrong.push(Unfit { at: value.span(), part: String::new(), message });
    }
    if wrong.is_empty() { Ok(route) } else { Err(wrong) }
}

/// Reads patterns of actions: one that no callback's name fits is a slip.
fn read_actions(value: &Spanned<DeValue<'_>>) -> Result<Vec<Glob>, Vec<Unfit>> {
    let globs = read_globs(value)?;
    let names = Action::ALL.map(Action::as_str);
    let slip = globs.iter().find(|glob| !names.iter().any(|name| glob.matches(name)));
    match slip.map(Glob::as_str) {
        None => Ok(globs),
        Some(slip) => {
            let nearest = nearest(slip, names).unwrap_or("on_status");
            let expected = format!("a callback's name, the nearest is {nearest}");
            let message = mismatch(&expected, &quoted(slip));
            Err(vec![Unfit { at: value.span(), part: String::new(), message }])
        }
    }
}

/// Reads one pattern, or a list of them.
fn read_globs(value: &Spanned<DeValue<'_>>) -> Result<Vec<Glob>, Vec<Unfit>> {
    let items = match value.get_ref().as_array() {
        Some(items) if (1..=GLOBS_LIMIT).contains(&items.len()) => items.iter().collect(),
        Some(_) => {
            return Err(vec![Unfit::new(value, &format!("1 to {GLOBS_LIMIT} patterns"))]);
        }
        None => vec![value],
    };
    let (mut globs, mut wrong) = (Vec::new(), Vec::new());
    for item in items {
        match item.get_ref().as_str().and_then(Glob::parse) {
            Some(glob) => globs.push(glob),
            None => wrong.push(Unfit::new(item, Glob::FORM)),
        }
    }
    if wrong.is_empty() { Ok(globs) } else { Err(wrong) }
}
