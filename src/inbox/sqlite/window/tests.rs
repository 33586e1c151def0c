//! The window by itself: what it knows does not depend on whether its tables are built.

use proptest::prelude::*;

use super::{Entry, Keys, Window};

fn entry(seq: i64, body: u64, ids: u64) -> Entry {
    Entry { seq, received_at: seq, body, ids, content: body }
}

fn by_body(window: &Window, body: u64) -> Option<i64> {
    window.find(&[Keys { body, ids: 0 }])[0].body.map(|entry| entry.seq)
}

fn by_ids(window: &Window, ids: u64) -> Option<i64> {
    window.find(&[Keys { body: u64::MAX, ids }])[0].ids.map(|entry| entry.seq)
}

/// Waits for the thread that builds the tables, and takes them over.
fn take_over(window: &mut Window) {
    while window.unindexed.is_some() {
        window.take_over_tables();
        std::thread::yield_now();
    }
}

#[test]
fn the_latest_under_an_id_is_found_until_it_falls_out() {
    let mut window = Window::new(3, 1);
    window.push(entry(1, 10, 7), 1);
    window.push(entry(2, 11, 7), 2);
    assert_eq!(by_ids(&window, 7), Some(2));
    assert_eq!(by_body(&window, 10), Some(1));
    window.push(entry(3, 12, 0), 3);
    window.push(entry(4, 13, 0), 4);
    assert_eq!(by_body(&window, 10), None, "the fourth pushed the first out");
    assert_eq!(by_ids(&window, 7), Some(2));
    assert_eq!(by_ids(&window, 0), None);
    assert_eq!(window.take_overflowed(), 1);
    assert_eq!(window.take_overflowed(), 0);
}

#[test]
fn what_is_too_old_leaves_without_being_counted() {
    let mut window = Window::new(3, 1);
    window.push(entry(1, 10, 7), 1);
    window.expire(86_400_000_002);
    assert_eq!((window.len(), window.take_overflowed()), (0, 0));
    assert_eq!(by_body(&window, 10), None);
}

#[test]
fn a_thousand_events_through_a_small_window_are_found_while_they_are_in_it() {
    let mut window = Window::new(64, 1);
    for seq in 1..=1000_i64 {
        let body = seq.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        window.push(entry(seq, body, body ^ 5), seq);
        let oldest = (seq - 63).max(1);
        let of = |seq: i64| seq.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        assert_eq!(by_body(&window, of(oldest)), Some(oldest));
        assert_eq!(by_body(&window, of(oldest - 1)), None);
    }
    assert_eq!(
        window.after(990).map(|entry| entry.seq).collect::<Vec<_>>(),
        (991..=1000).collect::<Vec<_>>()
    );
}

#[test]
fn what_a_start_has_read_is_found_before_its_tables_are_built_and_after() {
    let mut window = Window::new(3, 1);
    window.start_from(vec![entry(1, 10, 7), entry(2, 11, 7), entry(3, 12, 0), entry(4, 13, 8)], 4);
    window.push(entry(5, 14, 8), 5);
    let check = |window: &Window| {
        assert_eq!(window.len(), 3);
        let found = [10, 11, 12, 13, 14].map(|body| by_body(window, body));
        assert_eq!(found, [None, None, Some(3), Some(4), Some(5)]);
        assert_eq!([7, 8, 0].map(|ids| by_ids(window, ids)), [None, Some(5), None]);
    };
    assert!(window.unindexed.is_some());
    check(&window);
    take_over(&mut window);
    check(&window);
    assert_eq!(window.take_overflowed(), 1, "what had fallen out before is not counted again");
}

#[test]
fn a_window_that_is_dropped_stops_building() {
    let mut window = Window::new(1 << 20, 1);
    window.start_from((0..300_000).map(|seq| entry(seq, seq.cast_unsigned(), 0)).collect(), 0);
    drop(window);
}

#[derive(Debug, Clone)]
enum Step {
    Push { body: u64, ids: u64 },
    Wait { micros: i64 },
    TakeOver,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        // Few keys, spread over the filter's words, so that they meet.
        8 => (0..24_u64, 0..6_u64).prop_map(|(body, ids)| Step::Push { body: spread(body), ids: spread(ids) }),
        2 => (1..20_000_000_000_i64).prop_map(|micros| Step::Wait { micros }),
        1 => Just(Step::TakeOver),
    ]
}

const fn spread(key: u64) -> u64 {
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What the window is to know: the latest of what is in it.
fn check(window: &Window, log: &[Entry]) {
    let keys: Vec<Keys> =
        (0..24).map(|key| Keys { body: spread(key), ids: spread(key % 6) }).collect();
    for (keys, known) in keys.iter().zip(window.find(&keys)) {
        let latest = |wanted: &dyn Fn(&Entry) -> bool| log.iter().rfind(|entry| wanted(entry));
        assert_eq!(known.body, latest(&|entry| entry.body == keys.body).copied());
        let ids = latest(&|entry| keys.ids != 0 && entry.ids == keys.ids);
        assert_eq!(known.ids, ids.copied());
    }
    assert_eq!(window.len(), log.len());
    assert_eq!(window.oldest(), log.first().copied());
    let middle = log.get(log.len() / 2).map_or(0, |entry| entry.seq);
    let after: Vec<Entry> = log.iter().filter(|entry| entry.seq > middle).copied().collect();
    assert_eq!(window.after(middle).copied().collect::<Vec<_>>(), after);
    assert_eq!(window.count_after(middle), after.len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_window_knows_the_latest_of_what_is_in_it(
        limit in 1..40_usize,
        read in 0..60_usize,
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let age = 86_400_000_000;
        let mut now = 0;
        let mut log: Vec<Entry> = (1_u64..).zip(1_i64..).take(read).map(|(key, seq)| Entry {
            seq,
            received_at: 0,
            body: spread(key * 7 % 24),
            ids: spread(key % 6),
            content: 0,
        }).collect();
        let mut window = Window::new(limit, 1);
        window.start_from(log.clone(), now);
        let mut seq = 1000;
        let mut overflowed = 0;
        log.drain(..log.len().saturating_sub(limit));
        for step in steps {
            match step {
                Step::Push { body, ids } => {
                    seq += 1;
                    let entry = Entry { seq, received_at: now, body, ids, content: body };
                    window.push(entry, now);
                    log.push(entry);
                }
                Step::Wait { micros } => {
                    now += micros;
                    window.expire(now);
                }
                Step::TakeOver => take_over(&mut window),
            }
            log.retain(|entry| entry.received_at >= now - age);
            let excess = log.len().saturating_sub(limit);
            log.drain(..excess);
            overflowed += excess as u64;
            check(&window, &log);
        }
        prop_assert_eq!(window.take_overflowed(), overflowed);
        take_over(&mut window);
        check(&window, &log);
    }
}
