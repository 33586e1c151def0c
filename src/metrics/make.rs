//! Makes metrics and registers them.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use super::families::Family;

/// Counters by names that are known when they are made, and one for every other name.
pub(super) struct ByName {
    known: Vec<(&'static str, IntCounter)>,
    other: IntCounter,
}

impl ByName {
    pub(super) fn count(&self, name: &str) {
        match self.known.binary_search_by_key(&name, |(known, _)| known) {
            Ok(place) => self.known[place].1.inc(),
            Err(_) => self.other.inc(),
        }
    }
}

/// Makes metrics and registers them.
pub(super) struct Maker<'a>(pub(super) &'a Registry);

impl Maker<'_> {
    fn register<M: prometheus::core::Collector + Clone + 'static>(
        &self,
        made: prometheus::Result<M>,
    ) -> M {
        let metric = made.expect("the names and labels of `families` are good ones");
        self.0.register(Box::new(metric.clone())).expect("no two of `families` share a name");
        metric
    }

    pub(super) fn counter(&self, family: &Family) -> IntCounter {
        self.register(IntCounter::with_opts(opts(family)))
    }

    pub(super) fn counters(&self, family: &Family) -> IntCounterVec {
        self.register(IntCounterVec::new(opts(family), family.labels))
    }

    pub(super) fn gauge(&self, family: &Family) -> IntGauge {
        self.register(IntGauge::with_opts(opts(family)))
    }

    pub(super) fn gauges(&self, family: &Family) -> IntGaugeVec {
        self.register(IntGaugeVec::new(opts(family), family.labels))
    }

    pub(super) fn histogram(&self, family: &Family, buckets: &[f64]) -> Histogram {
        let opts = HistogramOpts::from(opts(family)).buckets(buckets.to_vec());
        self.register(Histogram::with_opts(opts))
    }

    pub(super) fn histograms(&self, family: &Family, buckets: &[f64]) -> HistogramVec {
        let opts = HistogramOpts::from(opts(family)).buckets(buckets.to_vec());
        self.register(HistogramVec::new(opts, family.labels))
    }

    pub(super) fn each(&self, family: &Family, texts: &[&str]) -> Vec<IntCounter> {
        let counters = self.counters(family);
        texts.iter().map(|text| counters.with_label_values(&[*text])).collect()
    }

    pub(super) fn by_name(
        &self,
        family: &Family,
        names: impl Iterator<Item = &'static str>,
    ) -> ByName {
        let counters = self.counters(family);
        let mut known: Vec<_> =
            names.map(|name| (name, counters.with_label_values(&[name]))).collect();
        known.sort_by_key(|(name, _)| *name);
        ByName { known, other: counters.with_label_values(&[BUYER]) }
    }
}

/// The cause of a refusal by a rule of the buyer's, whose names are its own.
const BUYER: &str = "buyer";

fn opts(family: &Family) -> Opts {
    Opts::new(family.name, family.help)
}
