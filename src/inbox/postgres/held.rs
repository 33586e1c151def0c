//! What this receiver has out, and for how long it may.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::connect::{EngineError, Link};
use super::{Shared, lock};
use crate::inbox::Ticket;
use crate::inbox::outcome::Progress;

/// A lease is renewed so often before it would end.
const RENEWALS: u32 = 3;

/// What is left of a lease when what it is for is given up here: another receiver must find nothing
/// running.
pub(super) const MARGIN: Duration = Duration::from_secs(1);

const RENEW: &str = "WITH ours AS (
         SELECT key FROM lane WHERE key = ANY ($1) AND owner = $2 ORDER BY key FOR NO KEY UPDATE)
     UPDATE lane SET lease_until = clock_timestamp() + $3 * interval '1 millisecond'
     FROM ours WHERE lane.key = ours.key RETURNING lane.key";

/// A claim that is out.
#[derive(Debug, Clone)]
pub(super) struct Out {
    pub(super) ticket: Ticket,
    pub(super) fence: i64,
    pub(super) progress: Progress,
    /// By this clock; by the database's the lease ends later.
    pub(super) until: Instant,
}

/// The claims that are out, by their lanes.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<HashMap<u64, Out>>);

impl Held {
    /// Takes note of a claim.
    pub(super) fn insert(&self, out: Out) {
        lock(&self.0).insert(out.ticket.lane, out);
    }

    /// Returns the claim, which is out no more; `None` when it has been lost.
    pub(super) fn release(&self, ticket: Ticket) -> Option<Out> {
        let mut held = lock(&self.0);
        let is_ours = held.get(&ticket.lane).is_some_and(|out| out.ticket == ticket);
        let released = if is_ours { held.remove(&ticket.lane) } else { None };
        drop(held);
        if released.is_none() {
            tracing::warn!(
                seq = ticket.seq.0,
                "an attempt ended after its lease: it counts nothing"
            );
        }
        released
    }

    fn lanes(&self) -> Vec<i64> {
        lock(&self.0).keys().map(|lane| lane.cast_signed()).collect()
    }

    /// Notes which of the lanes that were asked for are ours for longer.
    fn renewed(&self, asked: &[i64], lanes: &[i64], until: Instant) {
        let mut held = lock(&self.0);
        for lane in asked {
            let key = lane.cast_unsigned();
            if lanes.contains(lane) {
                if let Some(out) = held.get_mut(&key) {
                    out.until = until;
                }
            } else {
                held.remove(&key);
            }
        }
    }
}

/// Renews what is out, until the task is ended.
pub(super) async fn renew(shared: Arc<Shared>) {
    let mut link = Link::new(shared.options.clone(), [RENEW]);
    loop {
        tokio::time::sleep(shared.options.lease / RENEWALS).await;
        let lanes = shared.held.lanes();
        if lanes.is_empty() {
            continue;
        }
        let asked_at = Instant::now();
        match renew_these(&mut link, &shared, &lanes).await {
            Ok(ours) => {
                let until = asked_at + shared.options.lease.saturating_sub(MARGIN);
                shared.held.renewed(&lanes, &ours, until);
            }
            Err(error) => {
                tracing::warn!(%error, lanes = lanes.len(), "leases could not be renewed");
                link.give_up();
            }
        }
    }
}

async fn renew_these(
    link: &mut Link<1>,
    shared: &Shared,
    lanes: &[i64],
) -> Result<Vec<i64>, EngineError> {
    let (client, [renew]) = link.get().await?;
    let lease = shared.options.lease.as_secs_f64() * 1e3;
    let rows = client.query(renew, &[&lanes, &&shared.owner[..], &lease]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
