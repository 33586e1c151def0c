//! What settings demand of each other, and of the network that the receiver stands in.

use std::net::SocketAddr;

use super::problem::{ConfigError, Place, Places, Problem};
use super::settings::{Config, SETTINGS};

/// The receiver would take unsigned callbacks from whoever reaches it, and nobody said so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "http.listen is {listen}, which is not loopback, and signatures are not verified: whoever \
     reaches it could post callbacks; listen on loopback (http.listen = \"127.0.0.1:{port}\"), or \
     say that this is meant (signature.allow_unsigned = true, or \
     BECKN_RECEIVER_SIGNATURE__ALLOW_UNSIGNED=true)",
    port = listen.port()
)]
pub struct Exposed {
    listen: SocketAddr,
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
        let problems: Vec<Problem> = single.chain(together(self, &Places::new())).collect();
        if problems.is_empty() { Ok(()) } else { Err(ConfigError::new(problems)) }
    }

    /// Checks that unsigned callbacks come from this machine only, unless the settings allow them
    /// from anywhere.
    ///
    /// # Errors
    ///
    /// [`Exposed`] if `http.listen` is not loopback and `signature.allow_unsigned` is not set.
    pub fn check_exposure(&self) -> Result<(), Exposed> {
        let listen = self.http.listen;
        // Canonical, because `::ffff:127.0.0.1` is loopback too.
        if listen.ip().to_canonical().is_loopback() || self.signature.allow_unsigned {
            Ok(())
        } else {
            Err(Exposed { listen })
        }
    }
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
    Demand {
        setting: "dispatch.retry_initial_ms",
        expected: "at most",
        other: "dispatch.retry_cap_ms",
        holds: |config| config.dispatch.retry_initial <= config.dispatch.retry_cap,
    },
];

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
