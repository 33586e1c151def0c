//! Lets all who need the connection wait for one round of connecting and looking at the stream.
//!
//! A round's outcome is kept: a good one until the connection breaks or it is time to look at the
//! stream again, a bad one for a pause that doubles, so that while NATS is away an attempt fails at
//! once and NATS is asked once in a while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::Instant;

use super::error::Error;
use super::link::Link;
use super::options::Checked;
use super::stream::{Stream, Warning};

/// How long a look at the stream holds.
const LOOK: Duration = Duration::from_mins(1);

/// How long nothing is tried after the first failure, and after a look that is in doubt.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How long nothing is tried after many failures.
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// A connection, and the stream as it was looked at.
#[derive(Clone)]
pub(super) struct Ready {
    pub(super) link: Arc<Link>,
    pub(super) stream: Arc<Stream>,
}

/// How a round ended.
#[derive(Clone)]
struct Outcome {
    at: Instant,
    /// Also when the stream is not fit: the connection can be used again.
    link: Option<Arc<Link>>,
    stream: Result<Arc<Stream>, Error>,
}

type Round = Shared<BoxFuture<'static, Outcome>>;

#[derive(Default)]
struct State {
    round: Option<(Instant, Round)>,
    failures: u32,
    /// The stream may have changed since the look at it.
    in_doubt: bool,
    told: Vec<Warning>,
}

/// The rounds: one at a time.
pub(super) struct Rounds {
    checked: Arc<Checked>,
    state: Mutex<State>,
}

impl Rounds {
    pub(super) fn new(checked: Arc<Checked>) -> Self {
        Self { checked, state: Mutex::default() }
    }

    /// Returns the connection, waiting for the round that is under way.
    ///
    /// # Errors
    /// The last round found none, or a stream that is not fit.
    ///
    /// # Cancel safety
    /// Dropped, the round waits for the next one who needs it; nothing is lost.
    pub(super) async fn ready(&self) -> Result<Ready, Error> {
        let round = self.round();
        let outcome = round.await;
        let stream = outcome.stream?;
        let link = outcome.link.expect("a stream was looked at over a link");
        self.tell(&stream);
        Ok(Ready { link, stream })
    }

    /// Says that the stream is not as it was looked at: it is looked at again soon.
    pub(super) fn doubt(&self) {
        self.lock().in_doubt = true;
    }

    /// Returns the round that holds, or begins one.
    fn round(&self) -> Round {
        let mut state = self.lock();
        let now = Instant::now();
        if let Some((begun, round)) = &state.round {
            // A round that nobody polled for long, or that panicked, is given up.
            let longest = self.checked.options.ack_timeout * 4;
            let holds = match round.peek() {
                None => now - *begun < longest,
                Some(outcome) => outcome.holds(now, state.failures, state.in_doubt),
            };
            if holds {
                return round.clone();
            }
        }
        let last = state.round.take().and_then(|(_, round)| round.peek().cloned());
        let has_failed = last.as_ref().is_some_and(|outcome| outcome.stream.is_err());
        state.failures = if has_failed { state.failures.saturating_add(1) } else { 0 };
        state.in_doubt = false;
        let link = last.and_then(|outcome| outcome.link).filter(|link| link.is_up());
        let round = round(Arc::clone(&self.checked), link).boxed().shared();
        state.round = Some((now, round.clone()));
        round
    }

    /// Logs what the stream does, each thing once.
    fn tell(&self, stream: &Stream) {
        if stream.warnings.is_empty() {
            return;
        }
        let mut state = self.lock();
        for warning in &stream.warnings {
            if !state.told.iter().any(|told| told.is_like(*warning)) {
                state.told.push(*warning);
                tracing::warn!(stream = self.checked.options.stream, "{}", warning.text());
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // What is guarded is whole after each line, so a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outcome {
    /// Returns whether it still tells how things are.
    fn holds(&self, now: Instant, failures: u32, is_in_doubt: bool) -> bool {
        let age = now - self.at;
        match (&self.stream, &self.link) {
            (Err(_), _) => age < pause(failures),
            (Ok(_), Some(link)) if link.is_up() => {
                age < if is_in_doubt { FIRST_PAUSE } else { LOOK }
            }
            (Ok(_), _) => false,
        }
    }
}

/// Returns how long nothing is tried after this many failures before the last one.
fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2u32.saturating_pow(failures)).min(LAST_PAUSE)
}

/// Connects, where no link is left, and looks at the stream.
async fn round(checked: Arc<Checked>, link: Option<Arc<Link>>) -> Outcome {
    let within = checked.options.ack_timeout;
    let link = match link {
        Some(link) => Ok(link),
        None => Link::connect(&checked, Instant::now() + within).await.map(Arc::new),
    };
    let link = match link {
        Ok(link) => link,
        Err(error) => return Outcome { at: Instant::now(), link: None, stream: Err(error) },
    };
    let stream = Stream::find(&link, &checked.options, Instant::now() + within).await;
    Outcome { at: Instant::now(), link: Some(link), stream: stream.map(Arc::new) }
}

#[cfg(test)]
mod tests {
    use super::{FIRST_PAUSE, LAST_PAUSE, pause};

    #[test]
    fn the_pause_doubles_up_to_its_limit() {
        assert_eq!(pause(0), FIRST_PAUSE);
        assert_eq!(pause(2), FIRST_PAUSE * 4);
        assert_eq!(pause(5), LAST_PAUSE);
        assert_eq!(pause(u32::MAX), LAST_PAUSE);
    }
}
