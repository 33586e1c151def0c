//! What this receiver has out, and the leases of it.

use std::collections::{HashMap, HashSet};
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

    /// Returns the lanes with their fences.
    fn claims(&self) -> Vec<(u64, i64)> {
        lock(&self.0).iter().map(|(lane, out)| (*lane, out.fence)).collect()
    }

    /// Lets go of those that were to be renewed and are ours no more. A lane that was settled
    /// meanwhile may be out again, by another claim.
    fn keep(&self, asked: &[(u64, i64)], ours: &HashSet<i64>) {
        let mut held = lock(&self.0);
        for (lane, fence) in asked.iter().filter(|(lane, _)| !ours.contains(&lane.cast_signed())) {
            if held.get(lane).is_some_and(|out| out.fence == *fence) {
                held.remove(lane);
            }
        }
    }
}

/// Renews what is out, until the task is ended.
pub(super) async fn renew(shared: Arc<Shared>) {
    let mut link = Link::new(shared.options.clone(), [RENEW]);
    loop {
        tokio::time::sleep(shared.options.lease / RENEWALS).await;
        let claims = shared.held.claims();
        if claims.is_empty() {
            continue;
        }
        match renew_these(&mut link, &shared, &claims).await {
            Ok(ours) => shared.held.keep(&claims, &ours),
            Err(error) => {
                tracing::warn!(%error, lanes = claims.len(), "leases could not be renewed");
                link.give_up();
            }
        }
    }
}

async fn renew_these(
    link: &mut Link<1>,
    shared: &Shared,
    claims: &[(u64, i64)],
) -> Result<HashSet<i64>, EngineError> {
    let lanes: Vec<i64> = claims.iter().map(|(lane, _)| lane.cast_signed()).collect();
    let (client, [renew]) = link.get().await?;
    let lease = shared.options.lease.as_secs_f64() * 1e3;
    let rows = client.query(renew, &[&lanes, &&shared.owner[..], &lease]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Held, Out};
    use crate::inbox::outcome::Progress;
    use crate::inbox::{Seq, Ticket};

    #[test]
    fn a_claim_that_came_while_others_were_renewed_is_kept() {
        let held = Held::default();
        let claim = |seq, fence| Out {
            ticket: Ticket { seq: Seq(seq), lane: 7 },
            fence,
            progress: Progress::default(),
        };
        held.insert(claim(1, 1));
        let asked = held.claims();
        let first = Ticket { seq: Seq(1), lane: 7 };
        assert!(held.release(first).is_some());
        held.insert(claim(2, 2));
        held.keep(&asked, &HashSet::new());
        assert_eq!(held.claims(), [(7, 2)]);
        held.keep(&held.claims(), &HashSet::new());
        assert!(held.release(Ticket { seq: Seq(2), lane: 7 }).is_none(), "it was lost");
    }
}
