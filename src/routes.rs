//! Which handler takes an event, and why.

use crate::config::{Config, Route};
use crate::event::Address;
use crate::words::Glob;

/// The routes of the settings, and the handlers that they lead to.
#[derive(Debug, Clone)]
pub(crate) struct Routes {
    routes: Vec<(Route, usize)>,
    /// The names of the handlers that anything leads to; the first is the default.
    handlers: Vec<String>,
}

/// The settings lead to a handler that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{setting}: there is no handler called `{name}`; there {}: {}",
    if known.len() == 1 { "is" } else { "are" },
    known.join(", ")
)]
pub struct UnknownHandler {
    setting: String,
    name: String,
    known: Vec<String>,
}

impl Routes {
    /// Reads the routes of the settings; `known` are the names of all handlers that there are.
    pub(crate) fn new(config: &Config, known: &[&str]) -> Result<Self, UnknownHandler> {
        let unknown = |setting: String, name: &str| UnknownHandler {
            setting,
            name: name.to_owned(),
            known: known.iter().map(ToString::to_string).collect(),
        };
        let default = &config.dispatch.handler;
        if !known.contains(&default.as_str()) {
            return Err(unknown("dispatch.handler".to_owned(), default));
        }
        let mut handlers = vec![default.clone()];
        let mut routes = Vec::with_capacity(config.routes.len());
        for (place, route) in config.routes.iter().enumerate() {
            if !known.contains(&route.handler.as_str()) {
                return Err(unknown(format!("routes.{}.handler", place + 1), &route.handler));
            }
            let found = handlers.iter().position(|name| *name == route.handler);
            let handler = found.unwrap_or_else(|| {
                handlers.push(route.handler.clone());
                handlers.len() - 1
            });
            routes.push((route.clone(), handler));
        }
        Ok(Self { routes, handlers })
    }

    /// Returns the names of the handlers that anything leads to, the default first.
    pub(crate) fn handlers(&self) -> &[String] {
        &self.handlers
    }

    /// Returns the place in [`Routes::handlers`] of the one that takes an event.
    pub(crate) fn choose(&self, address: &Address<'_>) -> usize {
        let fits = |(route, _): &&(Route, usize)| {
            route.respects().iter().all(|(name, globs)| fits(globs, respect(address, name)))
        };
        self.routes.iter().find(fits).map_or(0, |(_, handler)| *handler)
    }

    /// Says for each route, up to the one that takes the event, how it compares.
    #[cfg(any(feature = "cli", test))]
    pub(crate) fn explain<'a>(&'a self, address: &Address<'a>) -> Explanation<'a> {
        let mut looked_at = Vec::new();
        for (route, handler) in &self.routes {
            let compared = compare(route, address);
            let takes = compared.iter().all(|compared| compared.by.is_some());
            looked_at.push(LookedAt { handler: &route.handler, compared });
            if takes {
                return Explanation {
                    looked_at,
                    taken_by: &self.handlers[*handler],
                    by_route: true,
                };
            }
        }
        Explanation { looked_at, taken_by: &self.handlers[0], by_route: false }
    }
}

/// Returns what of an event a respect of a route is compared with.
fn respect<'a>(address: &Address<'a>, name: &str) -> Option<&'a str> {
    match name {
        "action" => Some(address.action),
        "domain" => address.domain,
        "bap_id" => address.bap_id,
        _ => address.bpp_id,
    }
}

/// What an event does not have fits only a route that does not ask for it.
fn fits(globs: &[Glob], value: Option<&str>) -> bool {
    globs.is_empty() || value.is_some_and(|value| globs.iter().any(|glob| glob.matches(value)))
}

/// Which handler takes an event, and what was compared on the way.
#[cfg(any(feature = "cli", test))]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Explanation<'a> {
    /// The routes in their order; when a route takes the event it is the last.
    pub(crate) looked_at: Vec<LookedAt<'a>>,
    /// The name of the handler.
    pub(crate) taken_by: &'a str,
    /// Whether a route leads to it; else it is the default.
    pub(crate) by_route: bool,
}

/// A route, and how it compares.
#[cfg(any(feature = "cli", test))]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LookedAt<'a> {
    /// The name of its handler.
    pub(crate) handler: &'a str,
    /// Each respect that it names.
    pub(crate) compared: Vec<Compared<'a>>,
}

/// A respect that a route names.
#[cfg(any(feature = "cli", test))]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Compared<'a> {
    /// The respect's name.
    pub(crate) name: &'static str,
    /// What the event has there.
    pub(crate) value: Option<&'a str>,
    /// The first pattern that it fits.
    pub(crate) by: Option<&'a str>,
    /// Every pattern.
    pub(crate) patterns: Vec<&'a str>,
}

#[cfg(any(feature = "cli", test))]
fn compare<'a>(route: &'a Route, address: &Address<'a>) -> Vec<Compared<'a>> {
    let named = route.respects().into_iter().filter(|(_, globs)| !globs.is_empty());
    named
        .map(|(name, globs)| {
            let value = respect(address, name);
            let by = value.and_then(|value| globs.iter().find(|glob| glob.matches(value)));
            let patterns = globs.iter().map(Glob::as_str).collect();
            Compared { name, value, by: by.map(Glob::as_str), patterns }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Routes, UnknownHandler};
    use crate::config::Config;
    use crate::event::Address;

    const SETTINGS: &str = r#"
        [handlers.app]
        kind = "forward"
        url = "http://127.0.0.1:3000"
        [handlers.trips]
        kind = "print"
        [[routes]]
        handler = "trips"
        domain = ["ONDC:TRV*", "mobility"]
        action = "on_*"
        [[routes]]
        handler = "app"
        bpp_id = "*.seller.example"
        [[routes]]
        handler = "trips"
        bap_id = "*"
    "#;

    fn routes(settings: &str, known: &[&str]) -> Result<Routes, UnknownHandler> {
        Routes::new(&Config::parse(settings, []).unwrap(), known)
    }

    fn address<'a>(domain: Option<&'a str>, bpp_id: Option<&'a str>) -> Address<'a> {
        Address { action: "on_status", domain, bap_id: None, bpp_id }
    }

    #[test]
    fn the_first_route_that_fits_takes_the_event_and_else_the_default() {
        let routes = routes(SETTINGS, &["print", "app", "trips"]).unwrap();
        assert_eq!(routes.handlers(), ["print", "trips", "app"]);
        let taken_by = |domain, bpp_id| {
            let address = address(domain, bpp_id);
            let name = routes.handlers()[routes.choose(&address)].as_str();
            assert_eq!(routes.explain(&address).taken_by, name, "{address:?}");
            name
        };
        assert_eq!(taken_by(Some("ONDC:TRV10"), Some("a.seller.example")), "trips");
        assert_eq!(taken_by(Some("mobility"), None), "trips");
        assert_eq!(taken_by(Some("ONDC:RET11"), Some("a.seller.example")), "app");
        assert_eq!(taken_by(None, Some("a.seller.example")), "app");
        assert_eq!(taken_by(None, Some("seller.example")), "print");
        assert_eq!(taken_by(None, None), "print", "`*` does not fit what is absent");
        let with_bap = Address { bap_id: Some(""), ..address(None, None) };
        assert_eq!(routes.choose(&with_bap), 1);
    }

    #[test]
    fn an_explanation_shows_what_was_compared() {
        let routes = routes(SETTINGS, &["print", "app", "trips"]).unwrap();
        let address = address(Some("ONDC:RET11"), Some("a.seller.example"));
        let explanation = routes.explain(&address);
        assert_eq!((explanation.taken_by, explanation.by_route), ("app", true));
        let [first, second] = &explanation.looked_at[..] else { panic!("{explanation:?}") };
        let of = |at: usize| (first.compared[at].name, first.compared[at].by);
        assert_eq!((of(0), of(1)), (("action", Some("on_*")), ("domain", None)));
        assert_eq!(first.compared[1].patterns, ["ONDC:TRV*", "mobility"]);
        assert_eq!(second.compared[0].by, Some("*.seller.example"));
    }

    #[test]
    fn a_handler_that_there_is_not_is_named_with_those_that_there_are() {
        let error = |settings: &str| routes(settings, &["print"]).unwrap_err().to_string();
        assert_eq!(
            error("dispatch.handler = \"app\""),
            "dispatch.handler: there is no handler called `app`; there is: print"
        );
        assert!(
            error(SETTINGS).starts_with("routes.1.handler: there is no handler called `trips`")
        );
    }
}
