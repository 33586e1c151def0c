//! The last states of orders, so that an event that comes late is marked before it is handed over.
//!
//! It is best effort and refuses nothing: 65,536 orders are remembered, in 16 MiB at most, those
//! that were told of last. A lane hands out one event at a time, so that each is judged by all before it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::beckn::callback::Payload;
use crate::beckn::states::{Judgement, Known, Told};
use crate::event::{Flag, Flags, OrderEvent};
use crate::inbox::{Claim, Found, Inbox, StatesAtRest, ToldBefore};

/// So many orders are remembered.
const ORDERS: usize = 65_536;

/// They take about so many bytes: one may tell of 32 fulfilments.
const BYTES: usize = 16 << 20;

/// What an order takes besides its texts, in both maps.
const ENTRY_BYTES: usize = size_of::<Entry>() + 2 * size_of::<Key>() + size_of::<i64>();

/// How long a start waits for what the last process knew; later it is taken up all the same.
const WARM_UP: Duration = Duration::from_secs(1);

/// An order of a lane.
type Key = (u64, Box<str>);

/// What is remembered of orders.
#[derive(Debug, Default)]
pub(super) struct States(Mutex<Orders>);

#[derive(Debug, Default)]
struct Orders {
    known: HashMap<Key, Entry>,
    /// By when they were told of last.
    oldest: BTreeMap<i64, Key>,
    turn: i64,
    /// What the entries take, about.
    bytes: usize,
}

#[derive(Debug, Default)]
struct Entry {
    turn: i64,
    known: Known,
    /// The event that was judged last, and how: it may come again before it is settled.
    last: Option<(u64, Judgement)>,
}

impl States {
    /// Reads what earlier processes were told. Handing over waits for it, a second at most.
    pub(super) async fn warm_up(&self, inbox: &dyn Inbox) {
        let at_rest = match tokio::time::timeout(WARM_UP, inbox.states(ORDERS)).await {
            Ok(Ok(at_rest)) => at_rest,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the last states of orders could not be read");
                return;
            }
            Err(_elapsed) => {
                tracing::info!("reading the last states of orders takes long: going on without");
                return;
            }
        };
        let mut orders = self.lock();
        for StatesAtRest { lane, out_of_order, states } in at_rest {
            // What is not ours to read says nothing.
            let Ok(told) = serde_json::from_str::<Told>(&states) else { continue };
            if !out_of_order {
                orders.precede((lane, told.order_id.as_str().into()), &told);
            }
        }
    }

    /// Judges the event of a claim before its first attempt, and marks it; at a later attempt it
    /// is marked as it was, for what was found may not be on the disk yet from where it was read.
    pub(super) fn judge(&self, claim: &mut Claim) {
        let event = claim.event();
        // A replay keeps what was found at the arrival.
        if event.replay > 0 {
            return;
        }
        let Some(told) = told(event) else { return };
        let key = (claim.lane(), told.order_id.as_str().into());
        let (seq, is_first) = (event.seq, event.attempt == 1);
        let mut orders = self.lock();
        if is_first {
            orders.catch_up(claim.lane(), claim.told_before());
        }
        let judgement =
            if is_first { Some(orders.judge(key, seq, &told)) } else { orders.last(&key, seq) };
        drop(orders);
        let Some(Judgement { out_of_order, regressed }) = judgement else { return };
        let mut flags = Flags::default();
        if out_of_order {
            flags.insert(Flag::OutOfOrder);
        }
        if regressed {
            flags.insert(Flag::Regressed);
        }
        let states = serde_json::to_string(&told).expect("texts and numbers can be written");
        claim.find(Found { flags, states });
    }

    fn lock(&self) -> MutexGuard<'_, Orders> {
        // It only serves to mark events; after a panic it is as good as before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(event: &OrderEvent) -> Option<Told> {
    match &event.payload {
        Payload::Order(order) => Told::of(order, &event.context),
        Payload::Contract(_) | Payload::Tracking(_) | Payload::None => None,
    }
}

impl Orders {
    fn judge(&mut self, key: Key, seq: u64, told: &Told) -> Judgement {
        let entry = self.touch(key);
        if let Some((last, judgement)) = entry.last
            && last == seq
        {
            return judgement;
        }
        let before = entry.known.bytes();
        let judgement = entry.known.judge(told);
        entry.last = Some((seq, judgement));
        let after = entry.known.bytes();
        self.bytes = self.bytes + after - before;
        // The one that was touched is the newest: it stays.
        while self.bytes > BYTES && self.known.len() > 1 {
            self.forget_oldest();
        }
        judgement
    }

    /// Takes up what other receivers were told.
    fn catch_up(&mut self, lane: u64, told_before: &[ToldBefore]) {
        for before in told_before {
            // What is not ours to read says nothing.
            let Ok(told) = serde_json::from_str::<Told>(&before.states) else { continue };
            let key: Key = (lane, told.order_id.as_str().into());
            let seq = before.seq.0.unsigned_abs();
            let last = self.known.get(&key).and_then(|entry| entry.last);
            if last.is_none_or(|(last, _)| last < seq) {
                self.judge(key, seq, &told);
            }
        }
    }

    /// Returns how an event was judged, while nothing later of its order was.
    fn last(&self, key: &Key, seq: u64) -> Option<Judgement> {
        let (last, judgement) = self.known.get(key)?.last?;
        (last == seq).then_some(judgement)
    }

    /// Takes up what was told earlier than all that is known of the order; called with the newest
    /// first, so that the oldest is forgotten first.
    fn precede(&mut self, key: Key, told: &Told) {
        if self.bytes >= BYTES {
            return;
        }
        if let Some(entry) = self.known.get_mut(&key) {
            let before = entry.known.bytes();
            entry.known.precede(told);
            self.bytes = self.bytes + entry.known.bytes() - before;
        } else if self.known.len() < ORDERS {
            let turn = self.oldest.first_key_value().map_or(0, |(turn, _)| *turn) - 1;
            self.oldest.insert(turn, key.clone());
            let mut entry = Entry { turn, ..Entry::default() };
            entry.known.precede(told);
            self.bytes += weight(&key) + entry.known.bytes();
            self.known.insert(key, entry);
        }
    }

    fn touch(&mut self, key: Key) -> &mut Entry {
        self.turn += 1;
        if !self.known.contains_key(&key) {
            if self.known.len() >= ORDERS {
                self.forget_oldest();
            }
            self.bytes += weight(&key);
        }
        let turn = self.turn;
        let entry = self.known.entry(key.clone()).or_default();
        self.oldest.remove(&entry.turn);
        self.oldest.insert(turn, key);
        entry.turn = turn;
        entry
    }

    fn forget_oldest(&mut self) {
        let Some((_, oldest)) = self.oldest.pop_first() else { return };
        if let Some(entry) = self.known.remove(&oldest) {
            self.bytes -= weight(&oldest) + entry.known.bytes();
        }
    }
}

/// Returns what an order takes before anything is known of it.
fn weight((_, order_id): &Key) -> usize {
    ENTRY_BYTES + 2 * order_id.len()
}

#[cfg(test)]
mod tests {
    use super::{BYTES, Orders};
    use crate::beckn::states::Told;

    #[test]
    fn orders_of_many_fulfillments_are_forgotten_by_their_bytes() {
        let mut orders = Orders::default();
        let fulfillments: Vec<_> =
            (0..32).map(|number| (format!("{number:064}"), "Pending")).collect();
        let told = serde_json::json!({ "order_id": "o", "fulfillments": fulfillments });
        let told: Told = serde_json::from_value(told).unwrap();
        for number in 0..20_000 {
            orders.judge((number, "o".into()), number, &told);
            assert!(orders.bytes <= BYTES);
        }
        assert!((1_000..10_000).contains(&orders.known.len()), "{}", orders.known.len());
        assert!(orders.last(&(19_999, "o".into()), 19_999).is_some(), "the newest is known");
        while !orders.known.is_empty() {
            orders.forget_oldest();
        }
        assert_eq!(orders.bytes, 0);
    }
}
