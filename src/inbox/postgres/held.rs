//! What this receiver has out, and the leases of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::connect::{EngineError, Link};
use super::{Shared, lock};
use crate::inbox::Ticket;
use crate::inbox::outcome::Progress;

/// A lease is renewed so often before it would end.
const RENEWALS: u32 = 3;

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

    /// Lets go of those that were to be renewed and are another receiver's.
    fn keep(&self, asked: &[i64], ours: &[i64]) {
        let mut held = lock(&self.0);
        for lane in asked.iter().filter(|lane| !ours.contains(lane)) {
            held.remove(&lane.cast_unsigned());
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
        match renew_these(&mut link, &shared, &lanes).await {
            Ok(ours) => shared.held.keep(&lanes, &ours),
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
