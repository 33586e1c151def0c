//! Decides for each key whether what is known will do, asks the registry where not, and lets all
//! who need one subscriber wait for one lookup.
//!
//! # Constraints
//! - At most one lookup a subscriber is under way. It is a task of its own, owned here: a caller
//!   that goes away stops nobody's.
//! - A lookup that ends without an outcome, by a panic or with its runtime, leaves nobody waiting
//!   and its subscriber free to be asked for again.
//! - A hit on a fresh key takes the lock only to read.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::budget::{Asker, Budget};
use super::cache::{Cache, Limits, REST, Refetch, Standing};
use super::http::{self, Client};
use super::missing::{did_not_answer, not_asked_again, unknown_key, unknown_subscriber};
use super::record::{Found, Reading, pick};
use super::{Again, Missing, OpenError, RegistryOptions};
use crate::metrics::{KeyFrom, Lookup, Metrics};
use crate::signature::Key;
use crate::words::{KeyId, Outside, Seldom};

/// The longest subscriber id that is looked up, in bytes. Real ones have at most about 100.
const SUBSCRIBER_BYTES: usize = 1_024;

/// How often a caller waits for a lookup that others began before it is told to come again.
const ROUNDS: usize = 3;

/// What came of a lookup.
#[derive(Debug, Clone)]
enum Outcome {
    Found(Arc<[Arc<Key>]>),
    NotThere,
    Failed,
}

/// A lookup that is under way; `None` until it has ended.
type Flight = watch::Receiver<Option<Outcome>>;

/// Looks keys up and keeps them.
#[derive(Debug)]
pub(super) struct Lookups {
    shared: Arc<Shared>,
    /// Ends the lookups when this is dropped.
    tasks: Mutex<JoinSet<()>>,
}

/// What a lookup's task needs.
#[derive(Debug)]
struct Shared {
    client: Client,
    metrics: Arc<Metrics>,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    cache: Cache,
    budget: Budget,
    flights: HashMap<String, Flight>,
    failures: Seldom,
    refusals: Seldom,
    turned_away: Seldom,
    metrics: Arc<Metrics>,
}

/// What to do for a caller.
enum Decision {
    Answer(Result<Arc<Key>, Missing>),
    /// Wait for a lookup; `is_own` when it began for this caller, and so after it came.
    Wait {
        flight: Flight,
        is_own: bool,
    },
}

impl Decision {
    /// Returns where the key comes from, as the metrics say it.
    fn key_from(&self) -> KeyFrom {
        match self {
            Self::Answer(Ok(_)) => KeyFrom::Cache,
            Self::Answer(Err(_)) => KeyFrom::Nowhere,
            Self::Wait { .. } => KeyFrom::Registry,
        }
    }
}

impl Shared {
    fn write(&self) -> RwLockWriteGuard<'_, State> {
        // No section leaves the state in pieces; a panic in one is no reason to stop all.
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lookups {
    pub(super) fn open(options: &RegistryOptions) -> Result<Self, OpenError> {
        let client = Client::open(options)?;
        let limits = Limits {
            fresh: options.fresh,
            stale: options.stale.max(options.fresh),
            negative: options.negative,
            subscribers: options.subscribers,
        };
        let state = State {
            cache: Cache::new(limits),
            budget: Budget::new(options.lookups_per_minute),
            flights: HashMap::new(),
            failures: Seldom::default(),
            refusals: Seldom::default(),
            turned_away: Seldom::default(),
            metrics: Arc::clone(&options.metrics),
        };
        let metrics = Arc::clone(&options.metrics);
        let shared = Arc::new(Shared { client, metrics, state: RwLock::new(state) });
        Ok(Self { shared, tasks: Mutex::default() })
    }

    /// See [`super::Keys::key`].
    pub(super) async fn key(&self, id: &KeyId, now: DateTime<Utc>) -> Result<Arc<Key>, Missing> {
        for round in 0..ROUNDS {
            let decision = self.decide(id, now);
            if round == 0 {
                self.shared.metrics.key_asked(decision.key_from());
            }
            let (flight, is_own) = match decision {
                Decision::Answer(answer) => return answer,
                Decision::Wait { flight, is_own } => (flight, is_own),
            };
            match landed(flight).await {
                Some(Outcome::Found(keys)) => {
                    if let Some(key) = pick(&keys, id.unique_key()) {
                        return Ok(Arc::clone(key));
                    }
                    if is_own {
                        self.shared.write().cache.miss(id, now);
                        return Err(unknown_key(id));
                    }
                    // That lookup may have been answered before this key was registered.
                }
                Some(Outcome::NotThere) => return Err(unknown_subscriber(id)),
                Some(Outcome::Failed) => {
                    let stale = self.shared.write().cache.stale(id, now);
                    return stale.ok_or_else(|| did_not_answer(REST));
                }
                None => return Err(did_not_answer(Duration::from_secs(1))),
            }
        }
        Err(did_not_answer(Duration::from_secs(1)))
    }

    fn decide(&self, id: &KeyId, now: DateTime<Utc>) -> Decision {
        if id.subscriber().len() > SUBSCRIBER_BYTES {
            return Decision::Answer(Err(unknown_subscriber(id)));
        }
        let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        let standing = state.cache.standing(id, now);
        drop(state);
        if let Standing::Fresh(key) = standing {
            return Decision::Answer(Ok(key));
        }
        self.decide_anew(id, now)
    }

    /// Decides where more than a look may be needed, on what is known once nobody else decides.
    fn decide_anew(&self, id: &KeyId, now: DateTime<Utc>) -> Decision {
        let mut state = self.shared.write();
        let subscriber = id.subscriber();
        match state.cache.standing(id, now) {
            Standing::Fresh(key) => Decision::Answer(Ok(key)),
            Standing::Aging(key) => {
                let may = state.under_way(subscriber).is_none()
                    && state.cache.resting(subscriber, now).is_none()
                    && state.budget.take(Asker::Known, now).is_ok();
                if may {
                    self.begin(&mut state, subscriber, now);
                }
                Decision::Answer(Ok(key))
            }
            Standing::Old => {
                let may = state.cache.resting(subscriber, now).map_or(Ok(Asker::Known), Err);
                self.wait_or(&mut state, id, now, may)
            }
            Standing::NoSuchKey => self.refetch(&mut state, id, now),
            Standing::NotThere => Decision::Answer(Err(unknown_subscriber(id))),
            Standing::Resting(rest) => Decision::Answer(Err(did_not_answer(rest))),
            Standing::Unknown => self.wait_or(&mut state, id, now, Ok(Asker::Unknown(subscriber))),
        }
    }

    fn refetch(&self, state: &mut State, id: &KeyId, now: DateTime<Utc>) -> Decision {
        let may = match state.cache.refetch(id, now) {
            Refetch::Allowed => Ok(Asker::Refetch),
            Refetch::Missed => return Decision::Answer(Err(unknown_key(id))),
            Refetch::NotBefore(rest) => {
                let is_slot_spent = state.under_way(id.subscriber()).is_none()
                    && state.cache.resting(id.subscriber(), now).is_none();
                if is_slot_spent {
                    return Decision::Answer(Err(not_asked_again(rest)));
                }
                Err(rest)
            }
        };
        let decision = self.wait_or(state, id, now, may);
        if let Decision::Wait { is_own: true, .. } = decision {
            state.cache.begin_refetch(id.subscriber(), now);
        }
        decision
    }

    /// Waits for a lookup: one that is under way, else a new one, unless it may not begin before
    /// some time or the budget is spent. Then what is known serves while it is not stale, but only
    /// if the last lookup failed: strangers who spend the budget must not make a revoked key last.
    fn wait_or(
        &self,
        state: &mut State,
        id: &KeyId,
        now: DateTime<Utc>,
        may: Result<Asker<'_>, Duration>,
    ) -> Decision {
        if let Some(flight) = state.under_way(id.subscriber()) {
            return Decision::Wait { flight, is_own: false };
        }
        let begins = may.map_err(did_not_answer).and_then(|asker| state.take(asker, now));
        if let Err(missing) = begins {
            return Decision::Answer(state.cache.stale(id, now).ok_or(missing));
        }
        let flight = self.begin(state, id.subscriber(), now);
        Decision::Wait { flight, is_own: true }
    }

    /// Begins a lookup.
    fn begin(&self, state: &mut State, subscriber: &str, now: DateTime<Utc>) -> Flight {
        let (sender, flight) = watch::channel(None);
        // What ended without an outcome is still listed.
        state.flights.retain(|_subscriber, flight| is_under_way(flight));
        state.flights.insert(subscriber.to_owned(), flight.clone());
        let (shared, subscriber) = (Arc::clone(&self.shared), subscriber.to_owned());
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(ended) = tasks.try_join_next() {
            if ended.is_err_and(|error| error.is_panic()) {
                tracing::error!("a lookup ended by a panic");
            }
        }
        tasks.spawn(async move {
            let answer = shared.client.look_up(&subscriber, now).await;
            let outcome = shared.land(&subscriber, answer, now);
            // Nobody may be waiting any more.
            sender.send_replace(Some(outcome));
        });
        flight
    }

    /// See [`super::Keys::changed`].
    pub(super) async fn changed(&self, id: &KeyId, tried: &Key, now: DateTime<Utc>) -> Again {
        let another = |keys: &Arc<[Arc<Key>]>| {
            pick(keys, id.unique_key()).filter(|key| ***key != *tried).map(Arc::clone)
        };
        for _round in 0..ROUNDS {
            let (flight, is_own) = match self.ask_again(id, another, now) {
                Ok(wait) => wait,
                Err(again) => return again,
            };
            match landed(flight).await {
                Some(Outcome::Found(keys)) => match another(&keys) {
                    Some(key) => return Again::Changed(key),
                    None if is_own => return Again::Same,
                    // That lookup may have been answered before the key was exchanged.
                    None => {}
                },
                Some(Outcome::NotThere) => return Again::Same,
                Some(Outcome::Failed) => return Again::NotAsked(REST),
                None => return Again::NotAsked(Duration::from_secs(1)),
            }
        }
        Again::NotAsked(Duration::from_secs(1))
    }

    /// Begins the lookup that [`Lookups::changed`] waits for, unless what is known answers.
    fn ask_again(
        &self,
        id: &KeyId,
        another: impl Fn(&Arc<[Arc<Key>]>) -> Option<Arc<Key>>,
        now: DateTime<Utc>,
    ) -> Result<(Flight, bool), Again> {
        let (mut state, subscriber) = (self.shared.write(), id.subscriber());
        if let Some(key) = state.cache.keys(subscriber).ok_or(Again::Same).map(another)? {
            return Err(Again::Changed(key));
        }
        if let Some(flight) = state.under_way(subscriber) {
            return Ok((flight, false));
        }
        if let Some(rest) = state.cache.resting(subscriber, now) {
            return Err(Again::NotAsked(rest));
        }
        let is_new = state.cache.was_looked_up_at(subscriber, now);
        if is_new || state.cache.refetch(id, now) != Refetch::Allowed {
            return Err(Again::Same);
        }
        match state.take(Asker::Refetch, now) {
            Err(Missing::Unavailable { retry_after, .. }) => Err(Again::NotAsked(retry_after)),
            Err(Missing::UnknownSubscriber { .. } | Missing::UnknownKey { .. }) => Err(Again::Same),
            Ok(()) => {
                let flight = self.begin(&mut state, subscriber, now);
                state.cache.begin_refetch(subscriber, now);
                Ok((flight, true))
            }
        }
    }

    /// See [`super::Keys::known`].
    pub(super) fn known(&self, id: &KeyId) -> Vec<Arc<Key>> {
        let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        state.cache.keys(id.subscriber()).map(|keys| keys.to_vec()).unwrap_or_default()
    }
}

/// Waits for a lookup's outcome; `None` when it ended without one.
async fn landed(mut flight: Flight) -> Option<Outcome> {
    flight.wait_for(Option::is_some).await.ok()?.clone()
}

/// Returns whether an outcome is still to come.
fn is_under_way(flight: &Flight) -> bool {
    flight.has_changed().is_ok() && flight.borrow().is_none()
}

impl State {
    fn under_way(&self, subscriber: &str) -> Option<Flight> {
        self.flights.get(subscriber).filter(|flight| is_under_way(flight)).cloned()
    }

    /// Takes a lookup out of the budget, or says that it is spent.
    fn take(&mut self, asker: Asker<'_>, now: DateTime<Utc>) -> Result<(), Missing> {
        self.budget.take(asker, now).map_err(|retry_after| {
            self.metrics.looked_up(Lookup::OverBudget);
            if let Some(left_out) = self.turned_away.say(now) {
                tracing::warn!(
                    left_out,
                    "more keys are asked for than `registry.lookups_per_minute` allows"
                );
            }
            let message = "too many keys have to be looked up now".to_owned();
            Missing::Unavailable { retry_after, message }
        })
    }
}

impl Shared {
    /// Takes in what came of a lookup that began at `now`.
    fn land(
        &self,
        subscriber: &str,
        answer: Result<Reading, http::Error>,
        now: DateTime<Utc>,
    ) -> Outcome {
        let mut state = self.write();
        state.flights.remove(subscriber);
        self.metrics.looked_up(match &answer {
            Ok(Reading::Found(_)) => Lookup::Found,
            Ok(Reading::NotThere) => Lookup::Unknown,
            Err(_) => Lookup::Failed,
        });
        let outcome = self.take_in(&mut state, subscriber, answer, now);
        self.metrics.cached_subscribers(state.cache.subscribers());
        outcome
    }

    fn take_in(
        &self,
        state: &mut State,
        subscriber: &str,
        answer: Result<Reading, http::Error>,
        now: DateTime<Utc>,
    ) -> Outcome {
        match answer {
            Ok(Reading::Found(Found { keys, skipped })) => {
                if let Some((why, records)) = skipped {
                    tracing::warn!(
                        subscriber = %Outside(subscriber),
                        records,
                        "records of a subscriber are not used, the first because {why}"
                    );
                }
                state.cache.found(subscriber, Arc::clone(&keys), now);
                Outcome::Found(keys)
            }
            Ok(Reading::NotThere) => {
                state.cache.not_there(subscriber, now);
                Outcome::NotThere
            }
            Err(error) => {
                state.cache.failed(subscriber, now);
                self.tell(state, subscriber, &error, now);
                Outcome::Failed
            }
        }
    }

    fn tell(&self, state: &mut State, subscriber: &str, error: &http::Error, now: DateTime<Utc>) {
        let registry = self.client.host();
        if let http::Error::OurSignature(_) = error {
            if let Some(left_out) = state.refusals.say(now) {
                let ours = self.client.signer().map(|id| id.to_string()).unwrap_or_default();
                tracing::error!(
                    registry,
                    subscriber = %Outside(&ours),
                    left_out,
                    "{error}: no key can be looked up until our subscriber id, unique key id and \
                     private key are those that are registered there"
                );
            }
        } else if let Some(left_out) = state.failures.say(now) {
            tracing::warn!(
                registry,
                subscriber = %Outside(subscriber),
                left_out,
                "a subscriber could not be looked up: {}",
                causes(error)
            );
        }
    }
}

/// An error and its causes; what lies below ours may quote what was received.
fn causes(error: &http::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {}", Outside(&error.to_string()));
        cause = error.source();
    }
    text
}
