//! What a callback must satisfy before the ACK.
//!
//! Constraints: pure, `now` comes in; nothing is allocated while nothing is violated, for this
//! runs before every ACK; a callback is never refused for more than its profile says; a message
//! shows ids, times, domains, versions and codes, cut, and never a name, an address or an amount.
//!
//! Layout: [`catalogue`] names every rule with its levels and its source; [`finding`] takes note
//! of what is violated; [`context`], [`payload`], [`order`], [`tracking`] and [`ondc`] look;
//! [`format`](mod@format) and [`scope`] are what they look with. `docs/rules.md` is the catalogue
//! for people.

mod catalogue;
mod context;
mod finding;
mod format;
mod ondc;
mod order;
mod payload;
mod scope;
#[cfg(test)]
mod tests;
mod tracking;
mod unknown;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::beckn::action::Action;
use crate::beckn::callback::{Callback, Payload};
use crate::words::{Level, Profile, SubscriberId};

pub(crate) use catalogue::{CATALOGUE, Rule, find};
pub(crate) use finding::Findings;
pub use unknown::UnknownRules;

use finding::Check;
use scope::Scope;

/// The cause of what is no callback at all: not UTF-8, not JSON, not an object.
///
/// It is not in the catalogue: there is nothing to process, so no level would change anything.
pub(crate) const MALFORMED: &str = "json.syntax";

impl Rule {
    /// Returns the level of this rule in a profile.
    pub(crate) const fn level(&self, profile: Profile) -> Level {
        match profile {
            Profile::Lenient => self.lenient,
            Profile::Standard => self.standard,
            Profile::Strict => self.strict,
        }
    }
}

/// The rules as they are set: a level for each, and who we are.
#[derive(Debug)]
pub(crate) struct Rules {
    levels: [Level; CATALOGUE.len()],
    subscriber_ids: Vec<SubscriberId>,
}

impl Rules {
    /// Takes the levels of a profile and overrides some. Without subscriber ids, any `bap_id` is
    /// ours.
    ///
    /// # Errors
    ///
    /// Names every rule that is not in the catalogue, and the one that may be meant.
    pub(crate) fn new(
        profile: Profile,
        levels: &BTreeMap<String, Level>,
        subscriber_ids: &[SubscriberId],
    ) -> Result<Rules, UnknownRules> {
        unknown::check(levels.keys())?;
        let level = |rule: &Rule| *levels.get(rule.name).unwrap_or(&rule.level(profile));
        let levels = std::array::from_fn(|index| level(&CATALOGUE[index]));
        Ok(Rules { levels, subscriber_ids: subscriber_ids.to_vec() })
    }

    /// Returns what a callback on this route violates, in the order of the catalogue's parts: the
    /// text, the context, the payload top-down, ONDC's paths.
    pub(crate) fn check(&self, route: Action, callback: &Callback, now: DateTime<Utc>) -> Findings {
        let mut check = Check::new(&self.levels);
        let scope = Scope::of(&callback.context);
        payload::check_text(&mut check, route, callback);
        if context::check_presence(&mut check, callback) {
            context::check(&mut check, (route, &callback.context), scope, &self.subscriber_ids);
            context::check_times(&mut check, &callback.context, scope, now);
            context::check_origin(&mut check, &callback.context, scope);
        }
        payload::check_payload(&mut check, route, callback);
        match &callback.payload {
            Payload::Order(order) => {
                order::check(&mut check, route, order, scope);
                ondc::check_order(&mut check, route, order, scope);
            }
            Payload::Tracking(tracking) => {
                tracking::check(&mut check, tracking, scope);
                ondc::check_tracking(&mut check, route, tracking, scope);
            }
            Payload::Contract(contract) => tracking::check_contract(&mut check, contract),
            Payload::None => {}
        }
        check.into_findings()
    }
}

/// Returns whether a callback carries another payload than its route's, such as an `on_track`
/// with an order: it is accepted and flagged.
pub(crate) fn carries_another_payload(route: Action, callback: &Callback) -> bool {
    match callback.payload {
        Payload::Order(_) | Payload::Contract(_) => route == Action::OnTrack,
        Payload::Tracking(_) => route != Action::OnTrack,
        Payload::None => false,
    }
}
