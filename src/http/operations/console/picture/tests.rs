//! Pictures of transactions.

use super::*;
use crate::operations::views::{EventView, FulfillmentView};

fn entry(seconds: i64, state: &str, code: &str) -> TimelineEntry {
    let received_at = DateTime::from_timestamp(1_773_480_000 + seconds, 0).unwrap();
    let event = EventView {
        id: format!("event-{seconds}"),
        seq: 1,
        action: "on_status".to_owned(),
        seller: "seller.example".to_owned(),
        verified: true,
        domain: None,
        bap_id: None,
        transaction_id: None,
        message_id: None,
        order_id: None,
        state: Some(state.to_owned()),
        received_at,
        progress: "done".to_owned(),
        flags: Vec::new(),
        warnings: 0,
        replay: 0,
        attempts: 1,
        first_attempt_at: None,
        next_attempt_at: None,
        settled_at: None,
        error: None,
        duplicates: 0,
        last_duplicate_at: None,
    };
    let one = FulfillmentView {
        id: Some("F".to_owned()),
        kind: Some("Delivery".to_owned()),
        state: Some(code.to_owned()),
    };
    let fulfillments = vec![one];
    TimelineEntry { event, fulfillments, updated_at: None, tracking: None, error_code: None }
}

fn timeline(entries: Vec<TimelineEntry>) -> TimelineView {
    TimelineView {
        transaction_id: "t".to_owned(),
        sellers: Vec::new(),
        order_ids: Vec::new(),
        state: None,
        entries,
        expectations: Vec::new(),
        next: None,
    }
}

#[test]
fn a_bar_lasts_as_long_as_its_state() {
    let entries = vec![
        entry(0, "Accepted", "Pending"),
        entry(60, "In-progress", "Packed"),
        entry(120, "In-progress", "Order-picked-up"),
    ];
    let picture = picture(&timeline(entries)).unwrap();
    let names: Vec<&str> = picture.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["order", "Delivery F"]);
    assert_eq!((picture.rows[0].bars.len(), picture.rows[1].bars.len()), (2, 3));
    let under_way = &picture.rows[0].bars[1];
    assert_eq!((under_way.x, under_way.tone), (picture.dots[1].x, "going"));
    assert_eq!(under_way.x + under_way.width + 2, picture.width - 8);
}

#[test]
fn a_long_gap_is_drawn_short_and_says_so() {
    let night = 9 * 3_600;
    let entries = [0, 60, 130, night, night + 60].map(|at| entry(at, "Accepted", "Pending"));
    let picture = picture(&timeline(entries.into())).unwrap();
    assert_eq!(picture.breaks.len(), 1);
    assert_eq!(picture.breaks[0].label, "8 h");
    assert!(picture.width <= LEFT + ROOM, "{}", picture.width);
}

#[test]
fn a_picture_is_bounded_and_a_clock_that_is_set_back_does_no_harm() {
    let mut entries: Vec<_> = (0..400).map(|at| entry(-at * 7, "x", "y")).collect();
    for (number, entry) in entries.iter_mut().enumerate() {
        entry.fulfillments[0].id = Some(format!("F{number}"));
    }
    let picture = picture(&timeline(entries)).unwrap();
    assert_eq!(picture.dots.len(), EVENTS);
    assert_eq!(picture.rows.len(), 1 + FULFILLMENTS);
    assert_eq!(picture.left_out, 200 + 192);
    assert!(picture.dots.is_sorted_by_key(|dot| dot.x));
}

#[test]
fn what_is_expected_lies_between_the_callbacks() {
    let mut timeline = timeline(vec![entry(0, "a", "b"), entry(100, "a", "b")]);
    let at = |seconds| timeline.entries[0].event.received_at + TimeDelta::seconds(seconds);
    let one = ExpectationView {
        id: "e".to_owned(),
        action: "on_status".to_owned(),
        message_id: "m".to_owned(),
        transaction_id: None,
        bpp_id: None,
        registered_at: at(50),
        registered_by: "app".to_owned(),
        due_at: at(1_000),
        status: "silent".to_owned(),
        event_id: None,
        met_at: None,
    };
    timeline.expectations.push(one);
    let picture = picture(&timeline).unwrap();
    let bar = &picture.expected[0];
    assert!(picture.dots[0].x < bar.x && bar.x < picture.dots[1].x, "{bar:?}");
    assert!(picture.dots[1].x < bar.x + bar.width && bar.x + bar.width < picture.width);
    assert_eq!(bar.tone, "bad");
}
