//! The load generator: posts a callback over and over, each under ids of its own, and checks every
//! answer.
//!
//! A closed loop: each connection posts, waits for the answer, posts again. With `--rate` an open
//! one: each callback has its time to be posted, whatever the server does, and its latency counts
//! from that time, also when no connection was free to post it. One thread, HTTP/1.1 written by
//! hand over plain sockets, so that the client costs little beside the server.

use std::cell::RefCell;
use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use beckn_receiver_benches::answer::{self, Verdict};
use beckn_receiver_benches::process;
use beckn_receiver_benches::sign::Seller;
use beckn_receiver_benches::template::Template;
use clap::Parser;
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};

/// Posts a callback over and over and reports the rate, the latency and what was answered.
#[derive(Debug, Parser)]
struct Arguments {
    /// The server; the connections are spread over them where there are several.
    #[arg(long, default_value = "127.0.0.1:8080")]
    server: Vec<SocketAddr>,
    /// The route.
    #[arg(long, default_value = "/on_status")]
    path: String,
    /// The callback; its `transaction_id` and `message_id` are replaced.
    #[arg(long, default_value = "examples/payloads/on_status_beckn_0_9.json")]
    payload: PathBuf,
    /// How many connections post at the same time.
    #[arg(long, default_value_t = 64)]
    connections: u64,
    /// Post so many callbacks a second, however long the answers take.
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// How many transactions the callbacks are spread over.
    #[arg(long, default_value_t = 1000)]
    transactions: u64,
    /// How long to measure.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// How long to post before measuring.
    #[arg(long, default_value_t = 1.0)]
    warm_up_seconds: f64,
    /// The server's process, to report its CPU time for each request; that of all where there are
    /// several.
    #[arg(long)]
    pid: Vec<u32>,
    /// A file with the seller's key in base64: every callback is signed, before the clock starts.
    #[arg(long, value_name = "KEYFILE", requires = "key_id")]
    sign: Option<PathBuf>,
    /// Whose key it is, `subscriber id|unique key id`.
    #[arg(long)]
    key_id: Option<String>,
    /// How many callbacks are signed; when they do not last until the end, the run fails.
    #[arg(long, default_value_t = 100_000)]
    presigned: u64,
    /// Print the key as a receiver pins it, and post nothing.
    #[arg(long, requires = "sign")]
    pinned_key: bool,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// What the connections share; one thread, so a `RefCell` is enough.
struct Shared {
    run: u64,
    transactions: u64,
    posted: u64,
    /// The signatures of the callbacks to come; `None` when they are not signed.
    presigned: Option<Vec<String>>,
    until: Instant,
    counts: Counts,
}

/// The times at which the callbacks of an open loop are to be posted.
struct Pace {
    first: Instant,
    interval: Duration,
    /// One for each callback whose time has come.
    turns: Semaphore,
}

/// What was answered since the measurement began.
struct Counts {
    acks: u64,
    nacks: u64,
    others: u64,
    latency: Histogram<u64>,
}

impl Counts {
    fn new() -> Result<Counts, hdrhistogram::CreationError> {
        // Microseconds up to a minute, to three digits.
        let latency = Histogram::new_with_bounds(1, 60_000_000, 3)?;
        Ok(Counts { acks: 0, nacks: 0, others: 0, latency })
    }

    fn add(&mut self, verdict: Verdict, latency: Duration) {
        match verdict {
            Verdict::Ack => self.acks += 1,
            Verdict::Nack => self.nacks += 1,
            Verdict::Other => self.others += 1,
        }
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency.saturating_record(micros);
    }

    fn answers(&self) -> u64 {
        self.acks + self.nacks + self.others
    }
}

/// One measurement.
struct Report {
    counts: Counts,
    broken: usize,
    elapsed: Duration,
    cpu: Option<Duration>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if arguments.pinned_key {
        println!("{}", seller(&arguments)?.ok_or("there is no key")?.pinned());
        return Ok(());
    }
    let report = LocalSet::new().run_until(measure(&arguments)).await?;
    if arguments.json {
        println!("{}", as_json(&report));
    } else {
        print!("{}", as_text(&report));
    }
    if report.broken > 0 || report.counts.acks != report.counts.answers() {
        return Err("not every callback was answered with an ACK".into());
    }
    if report.counts.acks == 0 {
        return Err("no callback was answered".into());
    }
    Ok(())
}

async fn measure(arguments: &Arguments) -> Result<Report, Box<dyn Error>> {
    let body = fs::read_to_string(&arguments.payload)?;
    let seller = seller(arguments)?;
    let template = |server: &SocketAddr| {
        Template::new(&server.to_string(), &arguments.path, &body, seller.as_ref())
    };
    let templates = arguments.server.iter().map(template).collect::<Result<Vec<_>, _>>()?;
    // Two runs against one inbox must not repeat their ids.
    let run = u64::try_from(SystemTime::UNIX_EPOCH.elapsed()?.as_micros())?;
    let transactions = arguments.transactions.max(1);
    let presigned = seller.as_ref().map(|seller| {
        let mut template = templates[0].clone();
        let mut sign = |message| {
            seller.sign_in_base64(template.patched_body(run, message % transactions, message))
        };
        (1..=arguments.presigned).map(&mut sign).collect()
    });
    let streams = connect(arguments).await?;
    let begin = Instant::now() + Duration::from_secs_f64(arguments.warm_up_seconds);
    let shared = Rc::new(RefCell::new(Shared {
        run,
        transactions,
        posted: 0,
        presigned,
        until: begin + Duration::from_secs_f64(arguments.seconds),
        counts: Counts::new()?,
    }));
    let mut connections = JoinSet::new();
    let pace = arguments.rate.map(|rate| Rc::new(Pace::new(rate)));
    if let Some(pace) = &pace {
        let until = shared.borrow().until;
        connections.spawn_local(Rc::clone(pace).keep(until, arguments.connections));
    }
    for (stream, template) in streams.into_iter().zip(templates.iter().cycle()) {
        let (template, shared, pace) = (template.clone(), Rc::clone(&shared), pace.clone());
        connections.spawn_local(post_until_the_end(stream, template, shared, pace));
    }
    let awake = tokio::task::spawn_local(stay_awake());
    tokio::time::sleep_until(begin.into()).await;
    shared.borrow_mut().counts = Counts::new()?;
    let (started, cpu_before) = (Instant::now(), cpu_time(arguments)?);
    let mut broken = 0;
    while let Some(connection) = connections.join_next().await {
        if let Err(error) = connection? {
            broken += 1;
            eprintln!("a connection broke: {error}");
        }
    }
    awake.abort();
    let elapsed = started.elapsed();
    let cpu =
        cpu_time(arguments)?.zip(cpu_before).map(|(after, before)| after.saturating_sub(before));
    let counts = std::mem::replace(&mut shared.borrow_mut().counts, Counts::new()?);
    Ok(Report { counts, broken, elapsed, cpu })
}

/// Keeps the client's core awake: who wakes a core that sleeps pays for it, more on a virtual machine
/// than for the whole answer, and a seller's core is not the server's to wake. A server that is fast
/// enough to keep the client busy would not pay it, so that the slower one would seem slower yet.
async fn stay_awake() {
    loop {
        tokio::task::yield_now().await;
    }
}

/// Opens the connections. Many at once may have to knock twice, a second later, so the clock starts
/// when all are open.
async fn connect(arguments: &Arguments) -> std::io::Result<Vec<TcpStream>> {
    let mut streams = Vec::new();
    let places = usize::try_from(arguments.connections).unwrap_or(usize::MAX);
    for server in arguments.server.iter().cycle().take(places) {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    Ok(streams)
}

fn seller(arguments: &Arguments) -> Result<Option<Seller>, Box<dyn Error>> {
    let given = arguments.sign.as_deref().zip(arguments.key_id.as_deref());
    given.map(|(file, key_id)| Seller::read(file, key_id)).transpose()
}

/// Reads the rate of an open loop.
fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|error| format!("{error}"))?;
    let possible = (0.001..=1e6).contains(&rate);
    possible.then_some(rate).ok_or_else(|| "expected 0.001 to 1000000".to_owned())
}

/// Returns `None` where no process was named.
fn cpu_time(arguments: &Arguments) -> std::io::Result<Option<Duration>> {
    let times = arguments.pid.iter().copied().map(process::cpu_time);
    let all = times.sum::<std::io::Result<Duration>>()?;
    Ok((!arguments.pid.is_empty()).then_some(all))
}

async fn post_until_the_end(
    mut stream: TcpStream,
    mut template: Template,
    shared: Rc<RefCell<Shared>>,
    pace: Option<Rc<Pace>>,
) -> Result<(), String> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        if let Some(pace) = &pace {
            pace.turns.acquire().await.map_err(|error| error.to_string())?.forget();
        }
        let started;
        let request = {
            let mut shared = shared.borrow_mut();
            shared.posted += 1;
            let (run, message) = (shared.run, shared.posted);
            started = pace.as_ref().map_or_else(Instant::now, |pace| pace.due(message));
            if started >= shared.until {
                return Ok(());
            }
            let transaction = message % shared.transactions;
            match &shared.presigned {
                None => template.patched(run, transaction, message),
                Some(signatures) => {
                    let signature = usize::try_from(message - 1).ok();
                    let signature = signature.and_then(|index| signatures.get(index));
                    let signature = signature.ok_or("all that was signed is posted")?;
                    template.signed(run, transaction, message, signature)
                }
            }
        };
        stream.write_all(request).await.map_err(|error| error.to_string())?;
        let verdict = read_answer(&mut stream, &mut buffer).await?;
        shared.borrow_mut().counts.add(verdict, started.elapsed());
    }
}

impl Pace {
    fn new(rate: f64) -> Pace {
        let interval = Duration::from_secs_f64(rate.recip());
        Pace { first: Instant::now(), interval, turns: Semaphore::new(0) }
    }

    /// Returns when the callback of this number is to be posted; the first has the number 1.
    fn due(&self, number: u64) -> Instant {
        let nanos = u128::from(number - 1) * self.interval.as_nanos();
        self.first + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Lets the callbacks go, each at its time, and at the end every connection.
    async fn keep(self: Rc<Self>, until: Instant, connections: u64) -> Result<(), String> {
        let mut number = 1;
        while self.due(number) < until {
            let early = self.due(number).saturating_duration_since(Instant::now());
            if early.is_zero() {
                self.turns.add_permits(1);
                number += 1;
            } else if early > COARSE {
                tokio::time::sleep(early.saturating_sub(COARSE)).await;
            } else {
                // The client has a core to itself; the sockets are looked at in between.
                tokio::task::yield_now().await;
            }
        }
        let connections = usize::try_from(connections).map_err(|error| error.to_string())?;
        self.turns.add_permits(connections);
        Ok(())
    }
}

/// The runtime's timer counts in milliseconds, too coarse for a latency.
const COARSE: Duration = Duration::from_millis(2);

/// Reads one answer; there is never more than one, since nothing is posted before it came.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<Verdict, String> {
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..]).await.map_err(|error| error.to_string())?;
        if count == 0 {
            return Err(format!("it was closed after {filled} bytes of an answer"));
        }
        filled += count;
        match answer::parse(&buffer[..filled]) {
            Ok(None) => {}
            Ok(Some(parsed)) => return Ok(parsed.verdict),
            Err(answer::Unreadable) => return Err("an answer has no length".to_owned()),
        }
    }
}

impl Report {
    #[allow(clippy::cast_precision_loss, reason = "counts of one run are far below 2^52")]
    fn per_second(&self) -> f64 {
        self.counts.answers() as f64 / self.elapsed.as_secs_f64()
    }

    #[allow(clippy::cast_precision_loss, reason = "counts of one run are far below 2^52")]
    fn cpu_micros(&self) -> Option<f64> {
        Some(self.cpu?.as_secs_f64() * 1e6 / self.counts.answers().max(1) as f64)
    }

    /// Returns p50, p99, p99.9 and the longest.
    fn percentiles(&self) -> [u64; 4] {
        [0.5, 0.99, 0.999, 1.0].map(|quantile| self.counts.latency.value_at_quantile(quantile))
    }
}

fn as_json(report: &Report) -> serde_json::Value {
    let [p50, p99, p999, max] = report.percentiles();
    json!({
        "rps": report.per_second(),
        "p50_us": p50,
        "p99_us": p99,
        "p999_us": p999,
        "max_us": max,
        "cpu_us_per_request": report.cpu_micros(),
        "acks": report.counts.acks,
        "nacks": report.counts.nacks,
        "others": report.counts.others,
        "broken_connections": report.broken,
        "seconds": report.elapsed.as_secs_f64(),
    })
}

fn as_text(report: &Report) -> String {
    let [p50, p99, p999, max] = report.percentiles();
    let counts = &report.counts;
    let cpu = report.cpu_micros().map(|micros| format!(", {micros:.1} us of CPU each"));
    format!(
        "{:.0} callbacks a second{}\nlatency p50 {p50} us, p99 {p99} us, p99.9 {p999} us, longest {max} us\n\
         {} ACK, {} NACK, {} other, {} broken connections\n",
        report.per_second(),
        cpu.unwrap_or_default(),
        counts.acks,
        counts.nacks,
        counts.others,
        report.broken
    )
}
