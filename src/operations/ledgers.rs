//! A few ledgers for a server: each look has one for itself, on a thread that may block.
//!
//! # Constraints
//! - What looks gives way to what answers sellers: a look has a thread of its own kind
//!   ([`priority`]). With free cores that costs nothing; without, a page comes later, and not an ACK.
//! - What writes does not give way, nor what somebody waits for who holds a callback up: who holds
//!   the inbox's write lock and does not run stops the ACKs.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::Ledger;
use crate::inbox::reader::{self, place::Place};
use crate::priority;

/// So many looks at a time, and so many of what does not give way: more would only wait for the
/// same disk and the same cores, which the ACKs need.
const AT_A_TIME: usize = 2;

/// What a thread does with the ledger that it keeps.
type Job = Box<dyn FnOnce(&mut Option<Ledger>) + Send>;

/// Opens ledgers when they are needed and keeps them.
#[derive(Debug)]
pub(crate) struct Ledgers {
    place: Place,
    /// Threads that give way and have nothing to do; each ends when its sender is dropped.
    threads: Mutex<Vec<Sender<Job>>>,
    looks: Arc<Semaphore>,
    idle: Mutex<Vec<Ledger>>,
    at_once: Arc<Semaphore>,
}

impl Ledgers {
    /// Makes ledgers of an inbox; none is opened yet.
    pub(crate) fn new(place: Place) -> Arc<Self> {
        Arc::new(Self {
            place,
            threads: Mutex::default(),
            looks: Arc::new(Semaphore::new(AT_A_TIME)),
            idle: Mutex::default(),
            at_once: Arc::new(Semaphore::new(AT_A_TIME)),
        })
    }

    /// Looks into the inbox, when nothing else needs the cores; waits for its turn.
    ///
    /// # Cancel safety
    /// Dropped, a look that has begun ends by itself; it is bounded.
    pub(crate) async fn look<T: Send + 'static>(
        self: &Arc<Self>,
        look: impl FnOnce(&Ledger) -> Result<T, reader::Error> + Send + 'static,
    ) -> Result<T, reader::Error> {
        let place = turn(&self.looks).await;
        let idle = locked(&self.threads).pop();
        let Some(thread) = idle.or_else(start) else {
            return self.at_once(look).await;
        };
        let (tell, told) = oneshot::channel();
        let (ledgers, back) = (Arc::clone(self), thread.clone());
        let job: Job = Box::new(move |kept| {
            // Nobody is told who has hung up.
            let _ = tell.send(ledgers.use_one(kept, look));
            locked(&ledgers.threads).push(back);
            // Held by the look, not by who waits for it: a client that hangs up frees no place
            // while its walk through the log goes on.
            drop(place);
        });
        // A thread that has ended drops the job, and with it who would tell.
        let _ = thread.send(job);
        told.await.expect("a look does not panic")
    }

    /// Reads or writes for somebody who cannot wait until the cores are free; waits for its turn.
    ///
    /// # Cancel safety
    /// As [`look`](Self::look).
    pub(crate) async fn at_once<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&Ledger) -> Result<T, reader::Error> + Send + 'static,
    ) -> Result<T, reader::Error> {
        let place = turn(&self.at_once).await;
        let ledgers = Arc::clone(self);
        let acted = tokio::task::spawn_blocking(move || {
            let _place = place;
            let mut kept = locked(&ledgers.idle).pop();
            let acted = ledgers.use_one(&mut kept, act);
            locked(&ledgers.idle).extend(kept);
            acted
        });
        acted.await.expect("it does not panic and is not aborted")
    }

    /// Uses the ledger that is kept, or a new one; after an error, or when its connection was lost,
    /// the next use begins with a new connection.
    fn use_one<T>(
        &self,
        kept: &mut Option<Ledger>,
        act: impl FnOnce(&Ledger) -> Result<T, reader::Error>,
    ) -> Result<T, reader::Error> {
        let ledger = match kept.take().filter(|ledger| !ledger.is_lost()) {
            Some(ledger) => ledger,
            None => Ledger::open(&self.place)?,
        };
        let done = act(&ledger)?;
        *kept = Some(ledger);
        Ok(done)
    }
}

async fn turn(places: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(places).acquire_owned().await.expect("it is never closed")
}

/// Starts a thread that gives way; `None` where there can be no more threads.
fn start() -> Option<Sender<Job>> {
    let (sender, jobs) = channel::<Job>();
    let run = move || {
        priority::yield_to_others();
        let mut kept = None;
        while let Ok(job) = jobs.recv() {
            job(&mut kept);
        }
    };
    match std::thread::Builder::new().name("ledger".to_owned()).spawn(run) {
        Ok(_detached) => Some(sender),
        Err(error) => {
            tracing::warn!(%error, "no thread for a look; it does not give way");
            None
        }
    }
}

fn locked<T>(list: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    // Only a list is touched under it; it is whole after any panic.
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::{AT_A_TIME, Ledgers};
    use crate::inbox::contract::ManualClock;
    use crate::inbox::sqlite::{Options, SqliteInbox};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_hangs_up_frees_no_place_while_his_look_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { min_free_bytes: 0, ..Options::new(directory.path()) };
        let _inbox = SqliteInbox::open(options, ManualClock::new()).unwrap();
        let ledgers = Ledgers::new(directory.path().into());
        let begun = Arc::<AtomicUsize>::default();
        let mut ends = Vec::new();
        for _ in 0..AT_A_TIME {
            let (end, ended) = mpsc::channel::<()>();
            let (ledgers, counted) = (Arc::clone(&ledgers), Arc::clone(&begun));
            let look = tokio::spawn(async move {
                ledgers
                    .look(move |_| {
                        counted.fetch_add(1, Ordering::SeqCst);
                        // Ends when the test lets it.
                        let _ = ended.recv();
                        Ok(())
                    })
                    .await
            });
            while begun.load(Ordering::SeqCst) <= ends.len() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            look.abort();
            ends.push(end);
        }
        let third = ledgers.look(crate::operations::Ledger::status);
        let mut third = Box::pin(third);
        tokio::time::timeout(Duration::from_millis(50), &mut third).await.unwrap_err();
        ends.pop();
        third.await.unwrap();
    }
}
