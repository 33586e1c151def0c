//! What a callback costs, a piece at a time: parsing, the fingerprints, digest and verification by
//! the crates that the receiver uses, which is the least that a signature can cost, and the whole
//! from the router to the ACK, unsigned and signed.
//!
//! Every figure is CPU time of one thread and the median of nine rounds; what is compared runs in
//! turns. The commit is the writer's thread's and not in the figures.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use beckn_receiver::bench::Entry;
use beckn_receiver::{Action, OrderEvent};
use beckn_receiver_benches::accept::{AT_ONCE, Acceptor, action_of};
use beckn_receiver_benches::process::cpu_time_of_this_thread;
use beckn_receiver_benches::sign::{Seller, digest};
use bytes::Bytes;
use clap::Parser;
use serde_json::json;

/// Measures what a callback costs, in nanoseconds.
#[derive(Debug, Parser)]
struct Arguments {
    /// Callbacks; a name begins with its action, `on_status` or `on_track`.
    #[arg(default_values = [
        "examples/payloads/on_track_ondc_2_0.json",
        "examples/payloads/on_status_beckn_0_9.json",
        "examples/payloads/on_status_ondc_1_2_5.json",
    ])]
    payloads: Vec<PathBuf>,
    /// Where the inboxes lie while it runs; a folder that is not there yet.
    #[arg(long, default_value = "micro-inbox")]
    inbox: PathBuf,
    /// Measure the primitives alone and print one line of JSON for each payload.
    #[arg(long)]
    limit: bool,
}

/// So many rounds, of which the median counts.
const ROUNDS: usize = 9;
/// How often a primitive runs in a round.
const TIMES: u32 = 2_000;
/// How many callbacks are accepted in a round.
const CALLBACKS: u32 = 16 * AT_ONCE;

/// The primitives, in nanoseconds.
struct Limit {
    digest: f64,
    verify: f64,
    both: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let seller = Seller::new(&[7; 32], "seller.example|key-1")?;
    for payload in &arguments.payloads {
        let body = fs::read_to_string(payload)?;
        let limit = limit(&seller, body.as_bytes())?;
        if arguments.limit {
            println!(
                "{}",
                json!({ "digest_ns": limit.digest, "verify_ns": limit.verify,
                "digest_and_verify_ns": limit.both })
            );
            continue;
        }
        let action = action_of(payload)?;
        let parse = parse(action, &Bytes::from(body.clone()))?;
        let entry = Entry::parse(action, Bytes::from(body.clone()))?;
        let fingerprint = || {
            black_box(black_box(&entry).fingerprint());
        };
        let fingerprints = median((0..ROUNDS).map(|_| nanos_each(fingerprint)).collect());
        let (unsigned, signed) = accept(&arguments.inbox, action, &body, &seller).await?;
        println!("{}, {} bytes", payload.display(), body.len());
        for (what, nanos) in [
            ("digest", limit.digest),
            ("verify, strict, key decoded", limit.verify),
            ("digest and verify", limit.both),
            ("parse", parse),
            ("fingerprints of body, ids, content", fingerprints),
            ("accept unsigned, serving thread", unsigned),
            ("accept signed, serving thread", signed),
            ("what signing adds", signed - unsigned),
        ] {
            println!("  {what:<36} {nanos:>8.0} ns");
        }
        println!(
            "  {:<36} {:>8.2}",
            "added to digest and verify",
            (signed - unsigned) / limit.both
        );
    }
    Ok(())
}

fn limit(seller: &Seller, body: &[u8]) -> Result<Limit, Box<dyn Error>> {
    let (key, signature) = (seller.public(), seller.sign(body));
    let signed = seller.signing_string(&digest(body));
    key.verify_strict(signed.as_bytes(), &signature)?;
    let verify = |signed: &str| {
        let verified = key.verify_strict(black_box(signed).as_bytes(), black_box(&signature));
        black_box(verified).is_ok()
    };
    let mut rounds = [const { Vec::new() }; 3];
    // In turns, so that a change of the clock's speed is in all of them.
    for _ in 0..ROUNDS {
        rounds[0].push(nanos_each(|| {
            black_box(digest(black_box(body)));
        }));
        rounds[1].push(nanos_each(|| {
            verify(&signed);
        }));
        rounds[2].push(nanos_each(|| {
            verify(&seller.signing_string(&digest(black_box(body))));
        }));
    }
    let [digest, verify, both] = rounds.map(median);
    Ok(Limit { digest, verify, both })
}

fn parse(action: Action, body: &Bytes) -> Result<f64, Box<dyn Error>> {
    OrderEvent::parse(action, body.clone())?;
    let parse = || {
        black_box(OrderEvent::parse(action, Bytes::clone(black_box(body))).is_ok());
    };
    Ok(median((0..ROUNDS).map(|_| nanos_each(parse)).collect()))
}

fn nanos_each(work: impl Fn()) -> f64 {
    let before = cpu_time_of_this_thread();
    for _ in 0..TIMES {
        work();
    }
    cpu_time_of_this_thread().saturating_sub(before).as_secs_f64() * 1e9 / f64::from(TIMES)
}

/// Returns what the serving thread uses for an unsigned and for a signed callback.
async fn accept(
    directory: &Path,
    action: Action,
    body: &str,
    seller: &Seller,
) -> Result<(f64, f64), Box<dyn Error>> {
    fs::create_dir(directory)?;
    let mut acceptors = Vec::new();
    for (name, seller) in [("unsigned", None), ("signed", Some(seller.clone()))] {
        acceptors.push(Acceptor::start(&directory.join(name), action, body, seller).await?);
    }
    let mut rounds = [const { Vec::new() }; 2];
    // The first round warms up.
    for round in 0..=ROUNDS {
        for (acceptor, times) in acceptors.iter_mut().zip(&mut rounds) {
            let requests = acceptor.requests(CALLBACKS)?;
            let before = cpu_time_of_this_thread();
            acceptor.post(requests).await?;
            let used = cpu_time_of_this_thread().saturating_sub(before);
            if round > 0 {
                times.push(used.as_secs_f64() * 1e9 / f64::from(CALLBACKS));
            }
        }
    }
    for acceptor in acceptors {
        acceptor.shutdown().await;
    }
    fs::remove_dir_all(directory)?;
    let [unsigned, signed] = rounds.map(median);
    Ok((unsigned, signed))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
