//! What settings demand of each other, and of the network that the receiver stands in.

use std::net::SocketAddr;

use super::entries::{HANDLERS_LIMIT, unfit};
use super::problem::{ConfigError, Place, Places, Problem};
use super::routes::ROUTES_LIMIT;
use super::settings::{Config, SETTINGS};
use super::value::mismatch;
use super::words::{RegistryApi, SignatureMode};
use crate::words::Level;

/// The receiver would take unsigned callbacks from whoever reaches it, and nobody said so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "http.listen is {listen}, which is not loopback, and signature.mode is \"{mode}\": whoever \
     reaches it could post unsigned callbacks. Either have every callback signed \
     (signature.mode = \"required\" with subscriber_ids and registry.url or signature.pinned_keys), \
     or say that unsigned ones are meant (signature.allow_unsigned = true, or \
     BECKN_RECEIVER_SIGNATURE__ALLOW_UNSIGNED=true), or listen on loopback \
     (http.listen = \"127.0.0.1:{port}\")",
    mode = mode.as_str(),
    port = listen.port()
)]
pub struct Exposed {
    listen: SocketAddr,
    mode: SignatureMode,
}

impl Config {
    /// Checks settings that a program made or changed, as [`Config::parse`] checks those of a file.
    ///
    /// # Errors
    ///
    /// Every value that is not allowed, and every two that do not go together.
    pub fn check(&self) -> Result<(), ConfigError> {
        let single = SETTINGS.iter().filter_map(|setting| {
            let message = (setting.unfit)(self)?;
            Some(Problem::new(Place::Program, setting.name, message))
        });
        let handlers = self.handlers.iter().flat_map(|(name, handler)| unfit(name, handler));
        let routes =
            self.routes.iter().enumerate().filter_map(|(place, route)| {
                Some((format!("routes.{}", place + 1), route.unfit()?))
            });
        let named = handlers.chain(routes).chain(too_many(self));
        let problems: Vec<Problem> = single
            .chain(named.map(|(name, message)| Problem::new(Place::Program, name, message)))
            .chain(together(self, &Places::new()))
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(ConfigError::new(problems)) }
    }

    /// Checks that unsigned callbacks come from this machine only, unless the settings allow them
    /// from anywhere.
    ///
    /// # Errors
    ///
    /// [`Exposed`] if `http.listen` is not loopback, `signature.mode` is not `required`, and
    /// `signature.allow_unsigned` is not set.
    pub fn check_exposure(&self) -> Result<(), Exposed> {
        let (listen, mode) = (self.http.listen, self.signature.mode);
        // Canonical, because `::ffff:127.0.0.1` is loopback too.
        let is_decided = listen.ip().to_canonical().is_loopback()
            || mode == SignatureMode::Required
            || self.signature.allow_unsigned;
        if is_decided { Ok(()) } else { Err(Exposed { listen, mode }) }
    }
}

/// Says which list is longer than a file could make it.
fn too_many(config: &Config) -> impl Iterator<Item = (String, String)> {
    let lists = [
        ("handlers", config.handlers.len(), HANDLERS_LIMIT),
        ("routes", config.routes.len(), ROUTES_LIMIT),
    ];
    lists.into_iter().filter(|(_, length, limit)| length > limit).map(|(name, length, limit)| {
        (name.to_owned(), mismatch(&format!("at most {limit} {name}"), &length.to_string()))
    })
}

/// A demand that one setting has on another.
struct Demand {
    setting: &'static str,
    /// Says it, to go between "expected" and the name of the other.
    expected: &'static str,
    other: &'static str,
    holds: fn(&Config) -> bool,
}

const DEMANDS: &[Demand] = &[
    // A body that does not fit could never be taken.
    Demand {
        setting: "http.in_flight_bytes",
        expected: "at least",
        other: "http.body_limit_bytes",
        holds: |config| config.http.in_flight_bytes >= config.http.body_limit_bytes,
    },
    // Two listeners cannot have one port; 0 is a free one each time.
    Demand {
        setting: "operations.listen",
        expected: "another address than",
        other: "http.listen",
        holds: |config| {
            config.http.listen.port() == 0 || config.operations.listen != config.http.listen
        },
    },
    // Two that differ would have one ignored.
    Demand {
        setting: "postgres.url_file",
        expected: "\"\" beside",
        other: "postgres.url",
        holds: |config| {
            config.postgres.url.is_empty() || config.postgres.url_file.as_os_str().is_empty()
        },
    },
    // A commit can take no more than what waits.
    Demand {
        setting: "inbox.batch_limit",
        expected: "at most",
        other: "inbox.queue_limit",
        holds: |config| config.inbox.batch_limit <= config.inbox.queue_limit,
    },
    // A duplicate is confirmed against the row of its original, and replayed with it.
    Demand {
        setting: "inbox.duplicate_window_days",
        expected: "at most",
        other: "inbox.retention_days",
        holds: |config| config.inbox.duplicate_window_days <= config.inbox.retention_days,
    },
    Demand {
        setting: "inbox.refusals_per_seller",
        expected: "at most",
        other: "inbox.refusals_kept",
        holds: |config| config.inbox.refusals_per_seller <= config.inbox.refusals_kept,
    },
    // A genuine callback to another buyer app could otherwise be posted to us again.
    Demand {
        setting: "subscriber_ids",
        expected: "at least one id beside",
        other: "signature.mode",
        holds: |config| !is_required(config) || !config.subscriber_ids.is_empty(),
    },
    // Nor may the rule be lowered that looks at it.
    Demand {
        setting: "rules.levels",
        expected: "\"context.bap_id\" left at \"enforce\" beside",
        other: "signature.mode",
        holds: |config| {
            let level = config.rules.levels.get("context.bap_id");
            !is_required(config) || level.is_none_or(|level| *level == Level::Enforce)
        },
    },
    // What is no longer remembered as a duplicate could otherwise be posted again.
    Demand {
        setting: "signature.max_age_hours",
        expected: "no longer than the days of",
        other: "inbox.duplicate_window_days",
        holds: |config| config.signature.max_age_hours <= 24 * config.inbox.duplicate_window_days,
    },
    // The seller would be told that its body is late.
    Demand {
        setting: "registry.timeout_ms",
        expected: "less than",
        other: "http.request_timeout_ms",
        holds: |config| {
            config.registry.url.is_empty() || config.registry.timeout < config.http.request_timeout
        },
    },
    // Every callback would be refused.
    Demand {
        setting: "registry.url",
        expected: "a URL, or signature.pinned_keys or signature.pinned_keys_file, beside",
        other: "signature.mode",
        holds: |config| {
            let signature = &config.signature;
            !is_required(config)
                || !config.registry.url.is_empty()
                || !signature.pinned_keys.is_empty()
                || !signature.pinned_keys_file.as_os_str().is_empty()
        },
    },
    Demand {
        setting: "registry.key_id",
        expected: "our own key, and registry.private_key or registry.private_key_file, beside",
        other: "registry.api",
        holds: |config| {
            let registry = &config.registry;
            let has_key = !registry.private_key.is_empty()
                || !registry.private_key_file.as_os_str().is_empty();
            registry.api != RegistryApi::OndcV2
                || registry.url.is_empty()
                || (!registry.key_id.is_empty() && has_key)
        },
    },
    Demand {
        setting: "registry.private_key_file",
        expected: "either it or",
        other: "registry.private_key",
        holds: |config| {
            config.registry.private_key.is_empty()
                || config.registry.private_key_file.as_os_str().is_empty()
        },
    },
    Demand {
        setting: "registry.cache_s",
        expected: "at most",
        other: "registry.stale_s",
        holds: |config| config.registry.cache <= config.registry.stale,
    },
    Demand {
        setting: "dispatch.retry_initial_ms",
        expected: "at most",
        other: "dispatch.retry_cap_ms",
        holds: |config| config.dispatch.retry_initial <= config.dispatch.retry_cap,
    },
];

fn is_required(config: &Config) -> bool {
    config.signature.mode == SignatureMode::Required
}

/// Returns the demands that do not hold, save those on a value that was not allowed anyway.
pub(super) fn together(config: &Config, places: &Places) -> Vec<Problem> {
    let is_allowed = |name| places.get(name).is_none_or(|written| written.is_allowed);
    let shown = |name: &str| {
        let setting = SETTINGS.iter().find(|setting| setting.name == name);
        (setting.expect("a demand is on settings of the table, see the test").shown)(config)
    };
    let mut problems = Vec::new();
    for Demand { setting, expected, other, holds } in DEMANDS {
        if holds(config) || !is_allowed(setting) || !is_allowed(other) {
            continue;
        }
        // A default is written nowhere: then the mistake is where the other setting is.
        let written = places.get(setting).or_else(|| places.get(other));
        let place = written.map_or(Place::Program, |written| written.place.clone());
        let message =
            format!("expected {expected} {other} ({}), found {}", shown(other), shown(setting));
        problems.push(Problem::new(place, *setting, message));
    }
    problems
}
