//! Wakes a thread of the handlers' runtime every second.
//!
//! A tokio worker that wakes from the timer and I/O driver with a single task does not wake
//! another worker to take the driver over. If the task is a handler that then blocks, no timer
//! fires and no socket is read for any other handler, although threads are idle, until something
//! from outside wakes one of them. This is that something, so a blocked handler makes the others'
//! timers late by a second at most.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;

/// How late a timer may be.
const BEAT: Duration = Duration::from_secs(1);

/// The thread that wakes; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Pulse {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Pulse {
    /// Starts the thread.
    pub(super) fn start(runtime: Handle) -> std::io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let thread =
            std::thread::Builder::new().name("handler-pulse".to_owned()).spawn(move || {
                while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                    // Owned by nobody and over at once: only its arrival counts.
                    drop(runtime.spawn(async {}));
                }
            })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It waits for nothing but this and does not panic.
            let _ = thread.join();
        }
    }
}
