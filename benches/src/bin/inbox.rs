//! The inbox alone: appends without HTTP, so many at a time, each answered when it is durable.
//!
//! Entries are read before the clock runs, a round at a time; what is measured is from the append
//! to the receipt: fingerprints, queue, commit and sync. Nobody claims what is appended.

use std::error::Error;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use beckn_receiver::bench::{Entry, Log};
use beckn_receiver::{Action, Config};
use beckn_receiver_benches::accept::action_of;
use beckn_receiver_benches::process::cpu_time_of_this_process;
use beckn_receiver_benches::template::Template;
use bytes::Bytes;
use clap::Parser;
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::task::{JoinSet, LocalSet};

/// Appends to an inbox and prints one line of JSON.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the inbox lies; a folder that is not there yet.
    inbox: PathBuf,
    /// The callback; its name begins with its action.
    #[arg(long, default_value = "benches/payloads/on_status.json")]
    payload: PathBuf,
    /// How many wait for their receipt at the same time.
    #[arg(long, default_value_t = 64)]
    at_once: u64,
    /// How long to measure, without the reading in between.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How long to append before measuring.
    #[arg(long, default_value_t = 0.5)]
    warm_up_seconds: f64,
}

/// How many entries are read before the clock runs: some 100 MB of them.
const ROUND: u64 = 8 * 1024;

/// Makes entries, each a callback of its own.
struct Source {
    template: Template,
    action: Action,
    made: u64,
}

/// What was measured so far.
struct Measured {
    appends: u64,
    wall: Duration,
    cpu: Duration,
    latency: Histogram<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let body = std::fs::read_to_string(&arguments.payload)?;
    let action = action_of(&arguments.payload)?;
    let template = Template::new("localhost", "/", &body, None)?;
    let mut source = Source { template, action, made: 0 };
    let mut config = Config::default();
    config.inbox.path.clone_from(&arguments.inbox);
    // Nobody settles: it must not be what ends the run.
    config.inbox.unsettled_limit = usize::MAX >> 1;
    let log = Rc::new(Log::open(&config)?);
    appends(&log, &mut source, &arguments, arguments.warm_up_seconds).await?;
    let measured = appends(&log, &mut source, &arguments, arguments.seconds).await?;
    log.close().await;
    println!("{}", as_json(&measured));
    Ok(())
}

/// Appends until the clock has run for so long.
async fn appends(
    log: &Rc<Log>,
    source: &mut Source,
    arguments: &Arguments,
    seconds: f64,
) -> Result<Measured, Box<dyn Error>> {
    let latency = Histogram::new_with_bounds(1, 60_000_000, 3)?;
    let mut measured = Measured { appends: 0, wall: Duration::ZERO, cpu: Duration::ZERO, latency };
    while measured.wall.as_secs_f64() < seconds {
        let mut queues = source.entries(arguments.at_once)?;
        let (began, cpu) = (Instant::now(), cpu_time_of_this_process());
        let mut appending = JoinSet::new();
        let all = LocalSet::new();
        for queue in queues.drain(..) {
            appending.spawn_local_on(append_all(Rc::clone(log), queue), &all);
        }
        let taken = all
            .run_until(async {
                let mut taken = Vec::new();
                while let Some(ended) = appending.join_next().await {
                    taken.push(ended??);
                }
                Ok::<_, Box<dyn Error>>(taken)
            })
            .await?;
        measured.wall += began.elapsed();
        measured.cpu += cpu_time_of_this_process().saturating_sub(cpu);
        for micros in taken.into_iter().flatten() {
            measured.appends += 1;
            measured.latency.saturating_record(micros);
        }
    }
    Ok(measured)
}

/// Appends one entry after the other; returns how long each took, in microseconds.
async fn append_all(
    log: Rc<Log>,
    queue: Vec<Entry>,
) -> Result<Vec<u64>, beckn_receiver::bench::NotKept> {
    let mut taken = Vec::with_capacity(queue.len());
    for entry in queue {
        let began = Instant::now();
        log.append(entry).await?;
        taken.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    Ok(taken)
}

impl Source {
    /// Returns a round of entries, in as many queues as are to be appended at the same time.
    fn entries(&mut self, at_once: u64) -> Result<Vec<Vec<Entry>>, Box<dyn Error>> {
        let at_once = at_once.max(1);
        let each = (ROUND / at_once).max(1);
        let mut queue = || (0..each).map(|_| self.entry()).collect();
        (0..at_once).map(|_| queue()).collect()
    }

    fn entry(&mut self) -> Result<Entry, Box<dyn Error>> {
        self.made += 1;
        let body = self.template.patched_body(1, self.made % 1_000, self.made);
        Ok(Entry::parse(self.action, Bytes::copy_from_slice(body))?)
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts of one run are far below 2^52")]
fn as_json(measured: &Measured) -> serde_json::Value {
    let appends = measured.appends.max(1) as f64;
    json!({
        "rps": appends / measured.wall.as_secs_f64(),
        "cpu_us_per_request": measured.cpu.as_secs_f64() * 1e6 / appends,
        "p50_us": measured.latency.value_at_quantile(0.5),
        "p99_us": measured.latency.value_at_quantile(0.99),
        "p999_us": measured.latency.value_at_quantile(0.999),
        "max_us": measured.latency.max(),
        "acks": measured.appends,
        "seconds": measured.wall.as_secs_f64(),
    })
}
