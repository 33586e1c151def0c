//! Times at the edges of what is allowed.

use chrono::DateTime;

use crate::signature::{Times, Window};
use crate::words::Cause;

const NOW: i64 = 1_747_985_858;
const SKEW: i64 = 30;
const DAY: i64 = 86_400;

#[track_caller]
fn check(created: i64, expires: i64, expected: Option<Cause>) {
    let now = DateTime::from_timestamp(NOW, 0).unwrap();
    let outcome = Times { created, expires }.check(now, Window { skew: SKEW, max_age: DAY });
    assert_eq!(outcome.err().map(|untrusted| untrusted.cause), expected, "{created} to {expires}");
}

#[test]
fn the_skew_is_allowed_to_the_second() {
    check(NOW, NOW + 1, None);
    check(NOW + SKEW, NOW + 3_600, None);
    check(NOW + SKEW + 1, NOW + 3_600, Some(Cause::CreatedInFuture));
    check(NOW - 3_600, NOW, None);
    check(NOW - 3_600, NOW - SKEW, None);
    check(NOW - 3_600, NOW - SKEW - 1, Some(Cause::Expired));
}

#[test]
fn a_signature_is_old_at_the_longest_age_whatever_it_says() {
    // A real sender's `expires` of 14 digits.
    check(NOW, 17_476_427_415_000, None);
    check(NOW - DAY - SKEW, 17_476_427_415_000, None);
    check(NOW - DAY - SKEW - 1, 17_476_427_415_000, Some(Cause::Expired));
    check(NOW - DAY - SKEW - 1, i64::MAX, Some(Cause::Expired));
    check(NOW - DAY, NOW - 1, None);
}

#[test]
fn a_signature_expires_after_it_is_created() {
    check(NOW, NOW, Some(Cause::Expired));
    check(NOW, NOW - 1, Some(Cause::Expired));
    check(NOW + SKEW, NOW + SKEW, Some(Cause::Expired));
}

#[test]
fn milliseconds_are_told_from_a_clock_that_is_ahead() {
    check(NOW * 1_000, NOW * 1_000 + 3_600_000, Some(Cause::Milliseconds));
    check((NOW - 200 * DAY) * 1_000, NOW * 1_000, Some(Cause::Milliseconds));
    check((NOW + 3_600) * 1_000, i64::MAX, Some(Cause::Milliseconds));
    check(NOW * 1_000_000, i64::MAX, Some(Cause::CreatedInFuture));
    check(NOW + 2 * 366 * DAY, i64::MAX, Some(Cause::CreatedInFuture));
}

#[test]
fn no_time_overflows() {
    check(i64::MAX, i64::MAX, Some(Cause::CreatedInFuture));
    check(i64::MAX, i64::MIN, Some(Cause::CreatedInFuture));
    check(i64::MIN, i64::MAX, Some(Cause::Expired));
    check(i64::MIN, i64::MIN, Some(Cause::Expired));
    check(0, i64::MAX, Some(Cause::Expired));
    let wide = Window { skew: i64::MAX, max_age: i64::MAX };
    for now in [0, NOW, -NOW] {
        let now = DateTime::from_timestamp(now, 0).unwrap();
        for (created, expires) in [(i64::MIN, i64::MAX), (i64::MAX - 1, i64::MAX), (0, 1)] {
            assert!(Times { created, expires }.check(now, wide).is_ok(), "{created} at {now}");
        }
    }
}
