//! CPU time: of another process, from `/proc`, of this one, and of a thread of it.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::time::ClockId;

/// Linux counts the times in `/proc/<pid>/stat` in hundredths of a second, on every architecture
/// that Rust runs on (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// Returns the CPU time that a process has used, user and system, all threads.
///
/// # Errors
/// When there is no such process, or no `/proc`.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    ticks(&stat).map(|ticks| TICK * ticks).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Returns the CPU time that this thread has used: another clock than the wall's where others use
/// the machine as well.
///
/// # Panics
/// Never: a time that was used is not negative.
pub fn cpu_time_of_this_thread() -> Duration {
    used(ClockId::ThreadCPUTime)
}

/// Returns the CPU time that this process has used, user and system, all threads.
///
/// # Panics
/// Never: a time that was used is not negative.
pub fn cpu_time_of_this_process() -> Duration {
    used(ClockId::ProcessCPUTime)
}

fn used(clock: ClockId) -> Duration {
    let time = rustix::time::clock_gettime(clock);
    time.try_into().expect("a time that was used is not negative")
}

fn ticks(stat: &str) -> Option<u32> {
    // The second field is the name in brackets, which may hold blanks and brackets itself.
    let (_, fields) = stat.rsplit_once(") ")?;
    // utime and stime are fields 14 and 15 of the line, so 12 and 13 after the name.
    let mut times = fields.split(' ').skip(11).map(str::parse::<u32>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::time::Duration;

    use super::{cpu_time, cpu_time_of_this_thread, ticks};

    #[test]
    fn user_and_system_time_are_read_behind_any_name() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 70 5 0 0 20 0 1 0 999";
        assert_eq!(ticks(&format!("42 (floor) {rest}")), Some(75));
        assert_eq!(ticks(&format!("42 (a ) b) {rest}")), Some(75));
        assert_eq!(ticks("42 (floor) S 1"), None);
    }

    #[test]
    fn a_thread_that_computes_uses_time_and_one_that_sleeps_does_not() {
        let used = |work: fn()| {
            let before = cpu_time_of_this_thread();
            work();
            cpu_time_of_this_thread().saturating_sub(before)
        };
        let computing = used(|| {
            black_box((0..10_000_000_u64).fold(0, |sum, number| black_box(sum ^ number)));
        });
        let sleeping = used(|| std::thread::sleep(Duration::from_millis(20)));
        assert!(computing > Duration::ZERO);
        assert!(sleeping < Duration::from_millis(20), "{sleeping:?}");
    }

    #[test]
    fn a_process_without_an_entry_is_an_error() {
        assert!(cpu_time(std::process::id()).is_ok());
        assert!(cpu_time(u32::MAX).is_err());
    }
}
