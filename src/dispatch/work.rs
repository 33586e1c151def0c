//! The loop of one handler: claim when there is room, begin attempts, take note of their ends.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hashbrown::HashMap;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::Desk;
use super::attempt::{Ended, attempt};
use super::health::{Change, Failure, Health};
use super::pace::Pace;
use crate::event::EventId;
use crate::inbox::{self, Claim};

/// The attempts that are out.
#[derive(Debug, Default)]
struct Out {
    tasks: JoinSet<Ended>,
    since: HashMap<Id, Since>,
    health: Health,
}

/// Since when an attempt is out, so that one that outlives its time-out is named.
#[derive(Debug)]
struct Since {
    event: EventId,
    lane: u64,
    at: DateTime<Utc>,
    named: bool,
}

impl Out {
    fn begin(&mut self, desk: &Arc<Desk>, claim: Claim) {
        let (event, lane) = (claim.event().id, claim.lane());
        let since = Since { event, lane, at: desk.clock.now(), named: false };
        let task = self.tasks.spawn(attempt(Arc::clone(desk), claim));
        self.since.insert(task.id(), since);
    }

    /// Waits until an attempt has ended, for ever when none is out, and takes note of all that have:
    /// their places are then filled in one go.
    async fn ended(&mut self, desk: &Desk) {
        match self.tasks.join_next_with_id().await {
            Some(joined) => self.note(joined, desk),
            None => std::future::pending().await,
        }
        while let Some(joined) = self.tasks.try_join_next_with_id() {
            self.note(joined, desk);
        }
    }

    fn note(&mut self, joined: Result<(Id, Ended), JoinError>, desk: &Desk) {
        let (id, ended) = match joined {
            Ok((id, ended)) => (id, Some(ended)),
            // A panic of ours or an abort: the claim was dropped, so its event is handed back.
            Err(error) => {
                if error.is_panic() {
                    tracing::error!("an attempt ended by a panic outside its handler");
                }
                (error.id(), None)
            }
        };
        let since = self.since.remove(&id);
        let (Some(since), Some(ended)) = (since, ended) else { return };
        let change = match ended {
            Ended::Lost => return,
            Ended::Answered(at) => self.health.answered(at),
            Ended::Failed { at, unreached } => {
                self.health.failed(Failure { lane: since.lane, began: since.at, at, unreached })
            }
        };
        tell(desk, &change);
    }

    /// Names, once each, the attempts that run on although their time is over: an await would
    /// have ended them, so their handler blocks its thread.
    fn name_the_blocked(&mut self, now: DateTime<Utc>, limit: Duration) {
        for since in self.since.values_mut().filter(|since| !since.named) {
            let out = (now - since.at).to_std().unwrap_or_default();
            if out > limit + BLOCKED_AFTER {
                since.named = true;
                tracing::warn!(
                    event.id = %since.event,
                    seconds = out.as_secs(),
                    "the handler blocks its thread: its place and its transaction wait for it"
                );
            }
        }
    }
}

/// Says on the log that a handler went down or is up again.
fn tell(desk: &Desk, change: &Change) {
    let name = &desk.callee.name;
    match change {
        Change::None => {}
        Change::Down => {
            desk.metrics.down(true);
            tracing::warn!(
                handler = name,
                "handler `{name}` seems to be down: the last attempts on several transactions failed. \
             One event at a time is tried until one is taken; the others wait"
            );
        }
        Change::Up(down_for) => {
            desk.metrics.down(false);
            tracing::info!(
                handler = name,
                seconds = down_for.as_secs(),
                "handler `{name}` takes events again"
            );
        }
    }
}

/// How long after its time-out an attempt that still runs is called blocked.
const BLOCKED_AFTER: Duration = Duration::from_secs(1);

/// How often the attempts that are out are looked through.
const LOOK_THROUGH: Duration = Duration::from_secs(1);

/// Hands events to the desk's handler until it is stopped, then drains.
pub(super) async fn work(desk: Arc<Desk>, stop: CancellationToken) {
    let mut out = Out::default();
    let mut pace = Pace::new(desk.callee.rate_per_s, desk.clock.now());
    let mut look = tokio::time::interval(LOOK_THROUGH);
    // Kept until it answers: dropped whenever something else happens, a look that has to read
    // back for longer than that would begin again for ever. Places only become free meanwhile,
    // so its limit holds; but when the handler goes down there are fewer.
    let mut claiming = None;
    loop {
        let places = out.health.places(desk.callee.concurrency);
        let free = places.saturating_sub(out.tasks.len());
        if free == 0 {
            claiming = None;
        } else if claiming.is_none() {
            let plan = Plan::new(free, out.health.rest_until(), pace.as_mut(), desk.clock.now());
            claiming = Some((places, Box::pin(claim(&desk, plan))));
        } else if claiming.as_ref().is_some_and(|(planned, _)| *planned > places) {
            claiming = None;
            continue;
        }
        let claimed = async {
            match claiming.as_mut() {
                Some((_, claim)) => claim.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = out.ended(&desk), if !out.tasks.is_empty() => {}
            _ = look.tick() => {
                out.name_the_blocked(desk.clock.now(), desk.options.attempt_timeout);
            }
            claims = claimed => {
                claiming = None;
                match claims {
                    Ok(claims) => {
                        if let Some(pace) = &mut pace {
                            pace.began(claims.len());
                        }
                        for claim in claims {
                            out.begin(&desk, claim);
                        }
                    }
                    Err(inbox::Error::Closed) => break,
                    Err(error) => {
                        tracing::error!(error = %error, "could not claim events, trying again");
                        tokio::time::sleep(LOOK_THROUGH).await;
                    }
                }
            }
        }
    }
    // What it may have taken is handed back before the drain.
    drop(claiming);
    drain(out, &desk).await;
}

/// How many events to claim, and not before when.
#[derive(Debug, Clone, Copy)]
struct Plan {
    limit: usize,
    not_before: Option<DateTime<Utc>>,
}

impl Plan {
    fn new(
        free: usize,
        rest_until: Option<DateTime<Utc>>,
        pace: Option<&mut Pace>,
        now: DateTime<Utc>,
    ) -> Self {
        let (limit, next) = match pace.map(|pace| pace.allowed(now)) {
            None => (free, None),
            Some(Ok(allowed)) => (free.min(allowed), None),
            Some(Err(next)) => (1, Some(next)),
        };
        Self { limit, not_before: rest_until.max(next) }
    }
}

async fn claim(desk: &Desk, plan: Plan) -> Result<Vec<Claim>, inbox::Error> {
    if let Some(at) = plan.not_before {
        desk.clock.sleep_until(at).await;
    }
    desk.inbox.claim(desk.outlet, plan.limit).await
}

/// Waits for the attempts that are out, then aborts them: a dropped claim is handed back.
async fn drain(mut out: Out, desk: &Desk) {
    if tokio::time::timeout(desk.options.drain_timeout, all_ended(&mut out, desk)).await.is_ok() {
        return;
    }
    tracing::warn!(
        attempts = out.tasks.len(),
        "attempts outlived the drain time-out: their events are handed back"
    );
    out.tasks.abort_all();
    // Only a blocked thread is still out after this; it ends with the process.
    let _ = tokio::time::timeout(LOOK_THROUGH, all_ended(&mut out, desk)).await;
    out.tasks.detach_all();
}

async fn all_ended(out: &mut Out, desk: &Desk) {
    while !out.tasks.is_empty() {
        out.ended(desk).await;
    }
}
