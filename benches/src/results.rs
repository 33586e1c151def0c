//! What the rounds of `benches/run` measured, and what is made of it: a median over the rounds,
//! with the smallest and the largest beside it, and ratios within each round.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One measurement of one round, a line of what `benches/run` writes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measurement {
    /// The round, from 1.
    pub round: u32,
    /// What was measured, as `unsigned-64`.
    pub what: String,
    /// What the program that measured it printed.
    pub figures: Map<String, Value>,
}

/// A median and what lies around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The smallest value.
    pub smallest: f64,
    /// The largest value.
    pub largest: f64,
}

impl Spread {
    /// Returns the spread of these values; `None` of none.
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let (smallest, largest) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Spread { median, smallest, largest })
    }
}

/// Something that is measured, and what it is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// What is measured.
    pub what: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// What it is compared with in the same round.
    pub against: Option<&'static str>,
}

/// What a signed callback costs at the least: the floor, a digest and one strict verification.
pub const LIMIT: &str = "limit";
/// The p99 that an open loop is to stay below: four syncs and two milliseconds.
pub const BOUND: &str = "bound";

const fn kind(what: &'static str, against: Option<&'static str>, title: &'static str) -> Kind {
    Kind { what, title, against }
}

/// Everything that `benches/run` compares, in the order of the report.
pub const KINDS: [Kind; 21] = [
    kind("floor-64", None, "axum floor"),
    kind("floor-256", None, "axum floor, 256 connections"),
    kind("floor-ret11", None, "axum floor, RET11 order"),
    kind("floor-track", None, "axum floor, on_track"),
    kind("hyper-64", Some("floor-64"), "raw hyper"),
    kind("middleware-64", Some("floor-64"), "HTTP side alone"),
    kind("unsigned-64", Some("floor-64"), "durable ACK"),
    kind("unsigned-256", Some("floor-256"), "durable ACK, 256 connections"),
    kind("ret11-64", Some("floor-ret11"), "durable ACK, RET11 order"),
    kind("track-64", Some("floor-track"), "durable ACK, on_track"),
    kind("signed-64", Some("unsigned-64"), "signed durable ACK"),
    kind("signed-64", Some(LIMIT), "signed durable ACK"),
    kind("dispatch-off-64", None, "durable ACK, handler paused"),
    kind("unsigned-64", Some("dispatch-off-64"), "durable ACK"),
    kind("floor-open", None, "axum floor, open loop at the same rate"),
    kind("open-64", Some("floor-open"), "durable ACK, open loop at half the rate"),
    kind("unsigned-1024", None, "durable ACK, 1,024 connections"),
    kind("slow-1024", Some("unsigned-1024"), "1,024 connections, syncs 2 ms longer"),
    kind("inbox-64", None, "append alone, 64 at a time"),
    kind("inbox-256", None, "append alone, 256 at a time"),
    kind("inbox-1024", None, "append alone, 1,024 at a time"),
];

/// What came of one kind; a figure that was not measured is `None`.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// See [`Kind::what`].
    pub what: &'static str,
    /// See [`Kind::title`].
    pub title: &'static str,
    /// See [`Kind::against`].
    pub against: Option<&'static str>,
    /// The CPU time of what it is compared with, to its own: less CPU is better, so more is better
    /// here.
    pub cpu_ratio: Option<Spread>,
    /// Its rate to that of what it is compared with.
    pub rate_ratio: Option<Spread>,
    /// CPU time of the server's process for each request, in microseconds.
    pub cpu_us: Option<Spread>,
    /// Answers a second.
    pub rps: Option<Spread>,
    /// Latencies in microseconds.
    pub p50_us: Option<Spread>,
    /// See `p50_us`.
    pub p99_us: Option<Spread>,
    /// See `p50_us`.
    pub p999_us: Option<Spread>,
    /// See `p50_us`.
    pub max_us: Option<Spread>,
}

/// The rounds, by what was measured.
#[derive(Debug, Clone, Default)]
pub struct Rounds(BTreeMap<String, BTreeMap<u32, Map<String, Value>>>);

const CPU: &str = "cpu_us_per_request";
const RATE: &str = "rps";

impl Rounds {
    /// Sorts the measurements, and adds what is computed from several of a round.
    pub fn new(measurements: &[Measurement]) -> Rounds {
        let mut rounds = Rounds::default();
        for Measurement { round, what, figures } in measurements {
            rounds.0.entry(what.clone()).or_default().insert(*round, figures.clone());
        }
        for round in measurements.iter().map(|measured| measured.round) {
            let signature = rounds.figure("signature", round, "digest_and_verify_ns");
            if let Some((floor, signature)) = rounds.figure("floor-64", round, CPU).zip(signature) {
                let cpu = floor + signature / 1e3;
                rounds.add(LIMIT, round, &[(CPU, cpu), (RATE, 1e6 / cpu)]);
            }
            if let Some(sync) = rounds.figure("sync", round, "fdatasync_p99_us") {
                rounds.add(BOUND, round, &[("p99_us", 4.0 * sync + 2_000.0)]);
            }
        }
        rounds
    }

    fn add(&mut self, what: &str, round: u32, figures: &[(&str, f64)]) {
        let figures = figures.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
        self.0.entry(what.to_owned()).or_default().insert(round, figures.collect());
    }

    fn figure(&self, what: &str, round: u32, name: &str) -> Option<f64> {
        self.0.get(what)?.get(&round)?.get(name)?.as_f64()
    }

    /// Returns a figure over all rounds.
    pub fn spread(&self, what: &str, name: &str) -> Option<Spread> {
        let rounds = self.0.get(what)?.values();
        Spread::of(rounds.filter_map(|figures| figures.get(name)?.as_f64()).collect())
    }

    /// Returns the ratio of a figure to the same one of something else, within each round.
    pub fn ratio(&self, name: &str, of: &str, to: &str) -> Option<Spread> {
        let rounds = self.0.get(of)?.keys();
        let ratio =
            |round: &u32| Some(self.figure(of, *round, name)? / self.figure(to, *round, name)?);
        // A CPU time of 0 is one that is too short to be counted.
        Spread::of(rounds.filter_map(ratio).filter(|ratio| ratio.is_finite()).collect())
    }

    /// Returns the rows of what was measured.
    pub fn rows(&self) -> Vec<Row> {
        let measured = |name: &str| self.0.contains_key(name);
        let kinds = KINDS.iter().filter(|kind| measured(kind.what));
        kinds.filter(|kind| kind.against.is_none_or(measured)).map(|kind| self.row(kind)).collect()
    }

    fn row(&self, &Kind { what, title, against }: &Kind) -> Row {
        let of = |name| self.spread(what, name);
        Row {
            what,
            title,
            against,
            cpu_ratio: against.and_then(|against| self.ratio(CPU, against, what)),
            rate_ratio: against.and_then(|against| self.ratio(RATE, what, against)),
            cpu_us: of(CPU),
            rps: of(RATE),
            p50_us: of("p50_us"),
            p99_us: of("p99_us"),
            p999_us: of("p999_us"),
            max_us: of("max_us"),
        }
    }
}

/// Returns what something is called, where rows name it.
pub fn title_of(what: &str) -> &str {
    match what {
        LIMIT => "floor, digest and verification",
        BOUND => "four syncs and 2 ms",
        "floor-256" | "floor-ret11" | "floor-track" => "axum floor with the same",
        "floor-open" => "axum floor at the same rate",
        "unsigned-1024" => "the same without",
        "dispatch-off-64" => "the handler paused",
        _ => KINDS.iter().find(|kind| kind.what == what).map_or(what, |kind| kind.title),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{LIMIT, Measurement, Rounds, Spread};

    fn measured(round: u32, what: &str, figures: &serde_json::Value) -> Measurement {
        let line = json!({ "round": round, "what": what, "figures": figures });
        serde_json::from_value(line).unwrap()
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let spread = |values: &[f64]| Spread::of(values.to_vec());
        assert_eq!(spread(&[]), None);
        let expected = Spread { median: 2.0, smallest: 1.0, largest: 9.0 };
        assert_eq!(spread(&[9.0, 1.0, 2.0]), Some(expected));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 9.0]).unwrap().median.to_bits(), 3.0_f64.to_bits());
    }

    #[test]
    fn ratios_are_of_the_same_round_and_less_cpu_is_more() {
        let rounds = Rounds::new(&[
            measured(1, "floor-64", &json!({"rps": 100.0, "cpu_us_per_request": 10.0})),
            measured(1, "unsigned-64", &json!({"rps": 20.0, "cpu_us_per_request": 40.0})),
            measured(2, "floor-64", &json!({"rps": 50.0, "cpu_us_per_request": 20.0})),
            measured(2, "unsigned-64", &json!({"rps": 20.0, "cpu_us_per_request": 40.0})),
        ]);
        let rows = rounds.rows();
        let row = rows.iter().find(|row| row.what == "unsigned-64").unwrap();
        assert_eq!(row.rate_ratio.map(|ratio| (ratio.smallest, ratio.largest)), Some((0.2, 0.4)));
        assert_eq!(row.cpu_ratio.map(|ratio| (ratio.smallest, ratio.largest)), Some((0.25, 0.5)));
    }

    #[test]
    fn the_limit_is_made_of_three_measurements_and_what_is_missing_is_left_out() {
        let floor = measured(1, "floor-64", &json!({"rps": 100.0, "cpu_us_per_request": 10.0}));
        let signature = measured(1, "signature", &json!({"digest_and_verify_ns": 40_000.0}));
        let rounds = Rounds::new(&[floor, signature]);
        assert_eq!(rounds.spread(LIMIT, "cpu_us_per_request").map(|cpu| cpu.median), Some(50.0));
        assert_eq!(rounds.rows().len(), 1);
    }
}
