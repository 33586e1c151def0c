//! A few ledgers for a server: each look has one for itself, on a thread that may block.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::Ledger;
use crate::inbox::reader;

/// So many looks at a time: more would only wait for the same disk and the same cores, which the
/// ACKs need.
const AT_A_TIME: usize = 2;

/// Opens ledgers when they are needed and keeps them.
#[derive(Debug)]
pub(crate) struct Ledgers {
    directory: PathBuf,
    idle: Mutex<Vec<Ledger>>,
    places: Arc<Semaphore>,
}

impl Ledgers {
    /// Makes ledgers of the inbox in `directory`; none is opened yet.
    pub(crate) fn new(directory: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            directory,
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(AT_A_TIME)),
        })
    }

    /// Looks into the inbox; waits for its turn.
    ///
    /// # Cancel safety
    /// Dropped, a look that has begun ends by itself; it is bounded.
    pub(crate) async fn look<T: Send + 'static>(
        self: &Arc<Self>,
        look: impl FnOnce(&Ledger) -> Result<T, reader::Error> + Send + 'static,
    ) -> Result<T, reader::Error> {
        let ledgers = Arc::clone(self);
        let places = Arc::clone(&self.places);
        let place = places.acquire_owned().await.expect("it is never closed");
        let looked = tokio::task::spawn_blocking(move || {
            // Held by the look, not by who waits for it: a client that hangs up frees no place
            // while its walk through the log goes on.
            let _place = place;
            let ledger = match ledgers.idle().pop() {
                Some(ledger) => ledger,
                None => Ledger::open(&ledgers.directory)?,
            };
            let seen = look(&ledger)?;
            // After an error the next look begins with a new connection.
            ledgers.idle().push(ledger);
            Ok(seen)
        });
        looked.await.expect("a look does not panic and is not aborted")
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Ledger>> {
        // Only a list is touched under it; it is whole after any panic.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        let ledgers = Ledgers::new(directory.path().to_owned());
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
