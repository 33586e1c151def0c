//! Threads that give way to those that answer sellers.

/// How nice the threads are that only look or tell: beside a thread that answers sellers, one of
/// them gets about a tenth of a core, and all of a core that nobody else wants.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Lets the calling thread, for good, give way to others. Where the system knows priorities only of
/// whole processes, nothing happens.
///
/// Whoever calls it must own the thread: no thread may take its priority back.
pub(crate) fn yield_to_others() {
    // Linux takes "this process" for the calling thread. It refuses nobody to be nicer.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "a thread could not be made to give way");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{NICE, yield_to_others};

    #[test]
    fn only_the_thread_that_asks_gives_way() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        std::thread::spawn(move || {
            yield_to_others();
            assert_eq!(nice(), NICE);
        })
        .join()
        .unwrap();
        assert_eq!(nice(), before);
    }
}
