//! A transaction as a picture: time runs to the right, each row is something that has states.
//!
//! Long gaps are drawn short, with a sign and their length. The template draws what is computed
//! here; everything in it stands in the table below it as well.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::render::{tone, visible};
use super::strip::span;
use crate::operations::summary::tone_of;
use crate::operations::views::{ExpectationView, TimelineEntry, TimelineView};

/// Callbacks in a picture: the newest.
const EVENTS: usize = 200;

/// Fulfilments in a picture.
const FULFILLMENTS: usize = 8;

/// Expectations in a picture: the newest.
const EXPECTATIONS: usize = 20;

/// Where the time begins, right of the names.
const LEFT: i64 = 150;
const TOP: i64 = 26;
const ROW: i64 = 34;

/// The shortest gap.
const GAP: i64 = 14;

/// The gap of the middle: as wide as lets a picture fill [`ROOM`], between these.
const MIDDLE: std::ops::RangeInclusive<i64> = 48..=124;

/// What a window of usual width has behind the names.
const ROOM: i64 = 1_000;

/// Room behind the last callback: what it says still holds.
const TAIL: i64 = 120;

/// What says that something came in another order than it happened.
const OUT_OF_LINE: [&str; 2] = ["out_of_order", "regressed"];

/// The picture.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Picture {
    width: i64,
    height: i64,
    rows: Vec<Row>,
    callbacks: Row,
    dots: Vec<Dot>,
    ticks: Vec<Tick>,
    breaks: Vec<Break>,
    expected: Vec<Bar>,
    expected_y: Option<i64>,
    /// Callbacks and fulfilments that are in the table only.
    left_out: usize,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct Row {
    name: String,
    y: i64,
    bars: Vec<Bar>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Bar {
    x: i64,
    width: i64,
    label: String,
    title: String,
    tone: &'static str,
}

/// A callback.
#[derive(Debug, PartialEq, Serialize)]
struct Dot {
    x: i64,
    id: String,
    title: String,
    progress: String,
    is_duplicated: bool,
    is_out_of_line: bool,
    has_error: bool,
}

#[derive(Debug, PartialEq, Serialize)]
struct Tick {
    x: i64,
    at: String,
    clock: String,
    day: Option<String>,
}

/// A gap that is drawn shorter than it was.
#[derive(Debug, PartialEq, Serialize)]
struct Break {
    x: i64,
    label: String,
}

/// Draws a transaction; `None` without a callback.
pub(super) fn picture(timeline: &TimelineView) -> Option<Picture> {
    let older = timeline.entries.len().saturating_sub(EVENTS);
    let entries = &timeline.entries[older..];
    let scale = Scale::of(entries)?;
    let (mut lines, hidden) = lines(entries);
    lines.retain(|line| line.states.iter().any(Option::is_some));
    let mut height = TOP;
    let mut next_y = || {
        height += ROW;
        height - ROW
    };
    let row = |line: &Line<'_>| Row {
        name: visible(&line.name, 20),
        y: next_y(),
        bars: scale.bars(&line.states),
    };
    let rows = lines.iter().map(row).collect();
    let callbacks = Row { name: "callbacks".to_owned(), y: next_y(), bars: Vec::new() };
    let newest = timeline.expectations.len().saturating_sub(EXPECTATIONS);
    let expectations = &timeline.expectations[newest..];
    let expected_y = (!expectations.is_empty()).then(next_y);
    Some(Picture {
        width: scale.end + 8,
        height: height + 16,
        rows,
        callbacks,
        dots: entries.iter().zip(&scale.points).map(|(entry, (x, _))| dot(*x, entry)).collect(),
        ticks: scale.ticks(),
        breaks: scale.breaks.iter().map(|(x, gap)| Break { x: *x, label: span(*gap) }).collect(),
        expected: expectations.iter().map(|one| scale.expected(one)).collect(),
        expected_y,
        left_out: older + hidden,
    })
}

/// Something that has a state at each callback, or none that the callback tells of.
struct Line<'a> {
    name: String,
    states: Vec<Option<&'a str>>,
}

/// Returns the order, its fulfilments and the tracking; and how many fulfilments have no place.
fn lines(entries: &[TimelineEntry]) -> (Vec<Line<'_>>, usize) {
    let of_order = |entry: &'_ TimelineEntry| entry.tracking.is_none();
    let order =
        entries.iter().map(|entry| entry.event.state.as_deref().filter(|_| of_order(entry)));
    let mut lines = vec![Line { name: "order".to_owned(), states: order.collect() }];
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut hidden = std::collections::BTreeSet::new();
    for (number, entry) in entries.iter().enumerate() {
        for one in &entry.fulfillments {
            let id = one.id.as_deref().unwrap_or("");
            if !places.contains_key(id) && places.len() >= FULFILLMENTS {
                hidden.insert(id);
                continue;
            }
            let place = *places.entry(id).or_insert_with(|| {
                let kind = one.kind.as_deref().unwrap_or("fulfilment");
                let name = format!("{kind} {id}").trim_end().to_owned();
                lines.push(Line { name, states: vec![None; entries.len()] });
                lines.len() - 1
            });
            lines[place].states[number] = one.state.as_deref();
        }
    }
    let tracking = entries.iter().map(|entry| entry.tracking.as_deref());
    lines.push(Line { name: "tracking".to_owned(), states: tracking.collect() });
    (lines, hidden.len())
}

fn dot(x: i64, entry: &TimelineEntry) -> Dot {
    let event = &entry.event;
    let mut title =
        format!("{} {}", event.action, event.received_at.format("%Y-%m-%d %H:%M:%S UTC"));
    for word in event.state.iter().chain(&event.flags) {
        title.push_str(", ");
        title.push_str(word);
    }
    if event.duplicates > 0 {
        title.push_str(", came again");
    }
    if let Some(code) = &entry.error_code {
        title.push_str(", error ");
        title.push_str(code);
    }
    Dot {
        x,
        id: event.id.clone(),
        title: visible(&title, 300),
        progress: event.progress.clone(),
        is_duplicated: event.duplicates > 0,
        is_out_of_line: event.flags.iter().any(|flag| OUT_OF_LINE.contains(&flag.as_str())),
        has_error: entry.error_code.is_some(),
    }
}

/// Where moments lie.
struct Scale {
    /// Of each callback.
    points: Vec<(i64, DateTime<Utc>)>,
    breaks: Vec<(i64, TimeDelta)>,
    end: i64,
}

impl Scale {
    fn of(entries: &[TimelineEntry]) -> Option<Self> {
        let first = entries.first()?.event.received_at;
        // A clock that was set back does not turn the picture round.
        let gap = |pair: &[TimelineEntry]| {
            let [one, other] = pair else { return TimeDelta::zero() };
            (other.event.received_at - one.event.received_at).max(TimeDelta::zero())
        };
        let gaps: Vec<TimeDelta> = entries.windows(2).map(gap).collect();
        let count = i64::try_from(gaps.len().max(1)).unwrap_or(i64::MAX);
        let wide = (ROOM / count).clamp(*MIDDLE.start(), *MIDDLE.end());
        let longest = wide * 5 / 2;
        let mut sorted = gaps.clone();
        sorted.sort();
        let middle = sorted.get(sorted.len() / 2).map_or(1, TimeDelta::num_milliseconds).max(1);
        let mut points = vec![(LEFT + 12, first)];
        let mut breaks = Vec::new();
        for (gap, entry) in gaps.into_iter().zip(&entries[1..]) {
            let before = points.last().map_or(LEFT, |(x, _)| *x);
            let wanted = gap.num_milliseconds().saturating_mul(wide) / middle;
            let width = wanted.clamp(GAP, longest);
            if wanted > longest * 2 {
                breaks.push((before + width / 2, gap));
            }
            points.push((before + width, entry.event.received_at));
        }
        let end = points.last()?.0 + TAIL;
        Some(Self { points, breaks, end })
    }

    /// Returns where a moment lies: between the callbacks beside it.
    fn x(&self, at: DateTime<Utc>) -> i64 {
        let Some(next) = self.points.iter().position(|(_, moment)| *moment >= at) else {
            return self.end - TAIL / 2;
        };
        let (right, after) = self.points[next];
        let Some((left, before)) = next.checked_sub(1).map(|one| self.points[one]) else {
            return LEFT;
        };
        let (whole, part) = ((after - before).num_milliseconds(), (at - before).num_milliseconds());
        left + (right - left) * part / whole.max(1)
    }

    /// Returns the bars of a row: one for each time that a state held.
    fn bars(&self, states: &[Option<&str>]) -> Vec<Bar> {
        let mut said: Vec<(i64, &str, &DateTime<Utc>)> = Vec::new();
        for (state, (x, at)) in states.iter().zip(&self.points) {
            if let Some(state) = state
                && said.last().is_none_or(|(_, last, _)| last != state)
            {
                said.push((*x, state, at));
            }
        }
        let ends = said.iter().skip(1).map(|(x, ..)| *x).chain([self.end]);
        let bar = |((x, state, at), end): (&(i64, &str, &DateTime<Utc>), i64)| {
            let width = end - x - 2;
            let title =
                format!("{} since {}", visible(state, 200), at.format("%Y-%m-%d %H:%M:%S UTC"));
            Bar { x: *x, width, label: label(state, width), title, tone: tone(tone_of(state)) }
        };
        said.iter().zip(ends).map(bar).collect()
    }

    fn ticks(&self) -> Vec<Tick> {
        let (mut ticks, mut free, mut day) = (Vec::new(), i64::MIN, None);
        for (x, at) in &self.points {
            let today = at.date_naive();
            if *x < free {
                continue;
            }
            free = x + 64;
            let is_new = day.replace(today) != Some(today);
            ticks.push(Tick {
                x: *x,
                at: at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
                clock: at.format("%H:%M:%S").to_string(),
                day: is_new.then(|| at.format("%d %b").to_string()),
            });
        }
        ticks
    }

    fn expected(&self, one: &ExpectationView) -> Bar {
        let x = self.x(one.registered_at);
        let end = self.x(one.met_at.unwrap_or(one.due_at)).max(x + 6);
        let tone = match one.status.as_str() {
            "met" => "good",
            "silent" => "bad",
            "late" => "warn",
            _ => "begun",
        };
        let title = format!("expected {}: {}", visible(&one.action, 40), one.status);
        Bar { x, width: end - x, label: label(&one.action, end - x), title, tone }
    }
}

/// Returns as much of a text as a bar has room for.
fn label(text: &str, width: i64) -> String {
    // Letters of the picture's size are at most 7 wide.
    let room = usize::try_from((width - 10) / 7).unwrap_or(0);
    if room < 3 {
        return String::new();
    }
    let fits = text.chars().nth(room).is_none();
    visible(text, if fits { room } else { room - 1 })
}
