//! What this receiver has out, and the leases of it.
//!
//! A lease is the database's; what is here is when it was asked for last. An attempt is ended a
//! little before its lease can be over, so that whoever takes the lane over has it alone.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connect::{EngineError, Link};
use super::{Shared, lock};
use crate::inbox::Ticket;
use crate::inbox::outcome::Progress;

/// A lease is renewed so often before it would end.
const RENEWALS: u32 = 3;

/// So much of a lease, one part in so many, an attempt has to end in.
const MARGIN: u32 = 8;

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
    /// Cancelled when the lease may end.
    pub(super) lost: CancellationToken,
}

/// A claim, and until when its attempt may go on.
#[derive(Debug)]
struct Lease {
    out: Out,
    until: Instant,
}

/// The claims that are out, by their lanes.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<HashMap<u64, Lease>>);

/// Returns until when an attempt may go on whose lease was asked for at `asked`.
pub(super) fn until(asked: Instant, lease: Duration) -> Instant {
    asked + lease - lease / MARGIN
}

impl Held {
    /// Takes note of a claim.
    pub(super) fn insert(&self, out: Out, until: Instant) {
        lock(&self.0).insert(out.ticket.lane, Lease { out, until });
    }

    /// Returns the claim, which is out no more; `None` when another receiver has it.
    pub(super) fn release(&self, ticket: Ticket) -> Option<Out> {
        let mut held = lock(&self.0);
        let is_ours = held.get(&ticket.lane).is_some_and(|lease| lease.out.ticket == ticket);
        let released = if is_ours { held.remove(&ticket.lane) } else { None };
        drop(held);
        if released.is_none() {
            tracing::warn!(
                seq = ticket.seq.0,
                "an attempt ended after its lease: it counts nothing"
            );
        }
        released.map(|lease| lease.out)
    }

    /// Returns the lanes with their fences.
    fn claims(&self) -> Vec<(u64, i64)> {
        lock(&self.0).iter().map(|(lane, lease)| (*lane, lease.out.fence)).collect()
    }

    /// Takes note of what was renewed, and lets go of what was to be and is ours no more. A lane
    /// that was settled meanwhile may be out again, by another claim.
    fn renewed(&self, asked: &[(u64, i64)], ours: &HashSet<i64>, until: Instant) {
        let mut held = lock(&self.0);
        for (lane, fence) in asked {
            let Some(lease) = held.get_mut(lane).filter(|lease| lease.out.fence == *fence) else {
                continue;
            };
            if ours.contains(&lane.cast_signed()) {
                lease.until = until;
            } else {
                lease.out.lost.cancel();
                held.remove(lane);
            }
        }
    }

    /// Ends the attempts whose leases may soon be over; returns when the next may be.
    fn end_overdue(&self, now: Instant) -> Option<Instant> {
        let held = lock(&self.0);
        let going_on = held.values().filter(|lease| !lease.out.lost.is_cancelled());
        let (overdue, next): (Vec<_>, Vec<_>) = going_on.partition(|lease| lease.until <= now);
        for lease in overdue {
            lease.out.lost.cancel();
        }
        next.iter().map(|lease| lease.until).min()
    }
}

/// Ends attempts whose leases are not renewed in time, until the task is ended.
pub(super) async fn watch(shared: Arc<Shared>) {
    loop {
        let now = Instant::now();
        // What is taken out meanwhile is held for longer than half of a lease.
        let look = now + shared.options.lease / 2;
        let next = shared.held.end_overdue(now).map_or(look, |next| next.min(look));
        tokio::time::sleep_until(next).await;
    }
}

/// Renews what is out, until the task is ended.
pub(super) async fn renew(shared: Arc<Shared>) {
    let mut link = Link::new(shared.options.server.clone(), [RENEW]);
    let mut failed = false;
    loop {
        let pause = if failed { link.resting() } else { shared.options.lease / RENEWALS };
        tokio::time::sleep(pause).await;
        let claims = shared.held.claims();
        if claims.is_empty() {
            continue;
        }
        let asked = Instant::now();
        // One that is answered later is of no use.
        let renewing = renew_these(&mut link, &shared, &claims);
        let renewed = tokio::time::timeout(shared.options.lease / 2, renewing).await;
        let renewed = renewed.unwrap_or_else(|_| Err(EngineError::text("it takes too long")));
        failed = renewed.is_err();
        match renewed {
            Ok(ours) => shared.held.renewed(&claims, &ours, until(asked, shared.options.lease)),
            Err(error) => {
                tracing::debug!(%error, lanes = claims.len(), "leases could not be renewed");
                shared.is_away(&error);
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
    use std::time::Duration;

    use tokio::time::Instant;
    use tokio_util::sync::CancellationToken;

    use super::{Held, Out, until};
    use crate::inbox::outcome::Progress;
    use crate::inbox::{Seq, Ticket};

    fn claim(seq: i64, fence: i64) -> Out {
        Out {
            ticket: Ticket { seq: Seq(seq), lane: 7 },
            fence,
            progress: Progress::default(),
            lost: CancellationToken::new(),
        }
    }

    #[test]
    fn a_claim_that_came_while_others_were_renewed_is_kept() {
        let held = Held::default();
        let later = Instant::now() + Duration::from_secs(9);
        held.insert(claim(1, 1), later);
        let asked = held.claims();
        let first = Ticket { seq: Seq(1), lane: 7 };
        assert!(held.release(first).is_some());
        let second = claim(2, 2);
        let lost = second.lost.clone();
        held.insert(second, later);
        held.renewed(&asked, &HashSet::new(), later);
        assert_eq!(held.claims(), [(7, 2)]);
        assert!(!lost.is_cancelled());
        held.renewed(&held.claims(), &HashSet::new(), later);
        assert!(lost.is_cancelled());
        assert!(held.release(Ticket { seq: Seq(2), lane: 7 }).is_none(), "it was lost");
    }

    #[test]
    fn an_attempt_ends_before_the_lease_that_was_asked_for_last() {
        let (held, lease) = (Held::default(), Duration::from_secs(8));
        let begun = Instant::now();
        let out = claim(1, 1);
        let lost = out.lost.clone();
        held.insert(out, until(begun, lease));
        let renewed = begun + Duration::from_secs(2);
        held.renewed(&[(7, 1)], &HashSet::from([7]), until(renewed, lease));
        assert_eq!(held.end_overdue(begun + lease), Some(renewed + Duration::from_secs(7)));
        assert!(!lost.is_cancelled());
        assert_eq!(held.end_overdue(renewed + Duration::from_secs(7)), None);
        assert!(lost.is_cancelled());
        assert!(held.release(Ticket { seq: Seq(1), lane: 7 }).is_some(), "it is handed back");
    }
}
