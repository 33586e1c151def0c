//! The threads of the inbox: started with guards, so that nobody waits for one that panicked.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::Shared;
use super::open_error::OpenError;
use crate::inbox::Error;

/// A thread of ours has panicked.
#[derive(Debug, thiserror::Error)]
#[error("a thread of the inbox panicked")]
struct Panicked;

/// Gives the inbox up when the thread that holds it panics.
#[derive(Debug)]
struct PanicGuard(Arc<Shared>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a thread of the inbox panicked: the inbox is given up");
            let shared = &self.0;
            shared.mailbox.fail(&Error::Engine(Arc::new(Panicked)));
            shared.lanes.close();
            shared.failed.send_replace(true);
        }
    }
}

/// Says that the writer has ended, however it did.
#[derive(Debug)]
struct EndGuard(Arc<Shared>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.ended.send_replace(true);
    }
}

/// Starts the loader.
pub(super) fn start_loader(
    shared: &Arc<Shared>,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let guard = PanicGuard(Arc::clone(shared));
    start("inbox-loader", move || {
        // Named, or it would be dropped at once.
        let _guard = guard;
        run();
    })
}

/// Starts the writer; its end is the inbox's end.
pub(super) fn start_writer(
    shared: &Arc<Shared>,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let end = EndGuard(Arc::clone(shared));
    let guard = PanicGuard(Arc::clone(shared));
    start("inbox-writer", move || {
        // Dropped last, so that whoever waits for the end finds the inbox given up.
        let _end = end;
        let _guard = guard;
        run();
    })
}

fn start(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|source| OpenError::Thread { source })
}
