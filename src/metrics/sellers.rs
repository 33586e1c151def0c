//! The counts of each seller: bounded, because whoever posts chooses the name.
//!
//! Unverified names have at most half of the room, so that however many are invented, sellers whose
//! signature was verified have the other half. None is pushed out: a counter that goes away and
//! comes back is not one. Who finds no room is counted as `other`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::words::Answer;
use crate::words::Outside;

/// A longer name is counted as `other`: none of the network's is.
const NAME_BYTES: usize = 300;

/// Who finds no room.
const OTHER: &str = "other";

/// What is counted of sellers.
pub(super) struct Sellers {
    callbacks: IntCounterVec,
    last: IntGaugeVec,
    limit: usize,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    sellers: HashMap<String, Seller>,
    unverified: usize,
}

struct Seller {
    answers: [Option<IntCounter>; Answer::ALL.len()],
    last: Option<IntGauge>,
}

/// A callback of a seller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FromSeller<'a> {
    /// The name, as an event's `seller` says it.
    pub(crate) seller: &'a str,
    /// Whether its signature was verified.
    pub(crate) verified: bool,
    /// How it was answered.
    pub(crate) answer: Answer,
}

impl Sellers {
    pub(super) fn new(callbacks: IntCounterVec, last: IntGaugeVec, limit: usize) -> Self {
        Self { callbacks, last, limit, known: Mutex::default() }
    }

    /// Counts a callback; `kept_at` is when it was kept, in seconds since 1970, if it was.
    pub(super) fn count(&self, callback: FromSeller<'_>, kept_at: Option<i64>) {
        let FromSeller { seller, verified, answer } = callback;
        // Only counts are touched under it; they are whole after any panic.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.sellers.contains_key(seller) && !self.has_room(&known, seller, verified) {
            self.callbacks.with_label_values(&[OTHER, answer.as_str()]).inc();
            return;
        }
        let Known { sellers, unverified } = &mut *known;
        // Looked up first: a name that is known is not copied.
        if !sellers.contains_key(seller) {
            *unverified += usize::from(!verified);
            let answers = [const { None }; Answer::ALL.len()];
            sellers.insert(seller.to_owned(), Seller { answers, last: None });
        }
        let Some(entry) = sellers.get_mut(seller) else { return };
        let label = || Outside(seller).to_string();
        entry.answers[answer as usize]
            .get_or_insert_with(|| {
                self.callbacks.with_label_values(&[label().as_str(), answer.as_str()])
            })
            .inc();
        if let Some(at) = kept_at {
            entry
                .last
                .get_or_insert_with(|| self.last.with_label_values(&[label().as_str()]))
                .set(at);
        }
    }

    fn has_room(&self, known: &Known, seller: &str, verified: bool) -> bool {
        seller.len() <= NAME_BYTES
            && known.sellers.len() < self.limit
            && (verified || known.unverified < self.limit / 2)
    }
}
