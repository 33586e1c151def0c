//! One piece of the receiver's work, done again and again: for counting what does not depend on
//! how busy the machine is, instructions (under callgrind, see `benches/instructions`) and
//! allocations (counted here).

use std::alloc::System;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::PathBuf;

use beckn_receiver::bench::Checked;
use beckn_receiver::{Action, Config, OrderEvent};
use beckn_receiver_benches::accept::{AT_ONCE, Acceptor, action_of};
use beckn_receiver_benches::sign::{self, Seller};
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use ed25519_dalek::Signature;
use serde::de::IgnoredAny;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Does one piece of work again and again and prints the allocations of each time.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to do.
    work: Work,
    /// The callback.
    payload: PathBuf,
    /// How many times.
    #[arg(long, default_value_t = 1024)]
    times: u32,
    /// Where the inbox of `accept` and `signed` lies; a folder that is not there yet.
    #[arg(long, default_value = "instructions-inbox")]
    inbox: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Work {
    /// Read the JSON and keep nothing: the floor of parsing.
    Json,
    /// Read the callback into the typed event that a handler gets.
    Parse,
    /// Check the callback that was read by the rules.
    Check,
    /// Digest the body and verify its signature, with the key decoded: the floor of verifying.
    Verify,
    /// Accept the callback: from the router to the ACK and through a handler that does nothing.
    Accept,
    /// The same for a signed callback, where signatures are required.
    Signed,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let action = action_of(&arguments.payload)?;
    let body = fs::read_to_string(&arguments.payload)?;
    let times = arguments.times;
    let used = match arguments.work {
        Work::Json => repeat(times, || read_json(&body))?,
        Work::Parse => {
            let body = Bytes::from(body);
            repeat(times, || parse(action, &body))?
        }
        Work::Check => {
            let callback = Checked::parse(action, &Bytes::from(body), &Config::default())?;
            repeat(times, || {
                check(&callback);
                Ok(())
            })?
        }
        Work::Verify => {
            let seller = seller()?;
            let signature = seller.sign(body.as_bytes());
            repeat(times, || verify(&seller, &signature, body.as_bytes()))?
        }
        Work::Accept => accept(action, &body, &arguments, None)?,
        Work::Signed => accept(action, &body, &arguments, Some(seller()?))?,
    };
    let each = |total: usize| {
        f64::from(u32::try_from(total).unwrap_or(u32::MAX)) / f64::from(times.max(1))
    };
    println!(
        "{:.1} allocations, {:.1} reallocations, {:.0} bytes allocated each time",
        each(used.allocations),
        each(used.reallocations),
        each(used.bytes_allocated)
    );
    Ok(())
}

fn repeat(
    times: u32,
    work: impl Fn() -> Result<(), Box<dyn Error>>,
) -> Result<Stats, Box<dyn Error>> {
    // Once before counting: what is allocated once for the process is not the work's.
    work()?;
    let region = Region::new(ALLOCATOR);
    for _ in 0..times {
        work()?;
    }
    Ok(region.change())
}

#[inline(never)]
fn read_json(body: &str) -> Result<(), Box<dyn Error>> {
    black_box(serde_json::from_slice::<IgnoredAny>(black_box(body).as_bytes())?);
    Ok(())
}

#[inline(never)]
fn parse(action: Action, body: &Bytes) -> Result<(), Box<dyn Error>> {
    black_box(OrderEvent::parse(action, Bytes::clone(black_box(body)))?);
    Ok(())
}

#[inline(never)]
fn check(callback: &Checked) {
    black_box(black_box(callback).check());
}

/// Returns the seller of the samples, with a key like any other.
fn seller() -> Result<Seller, Box<dyn Error>> {
    Seller::new(&[7; 32], "seller.example|key-1")
}

#[inline(never)]
fn verify(seller: &Seller, signature: &Signature, body: &[u8]) -> Result<(), Box<dyn Error>> {
    let signed = seller.signing_string(&sign::digest(black_box(body)));
    Ok(seller.public().verify_strict(signed.as_bytes(), signature)?)
}

fn accept(
    action: Action,
    body: &str,
    arguments: &Arguments,
    seller: Option<Seller>,
) -> Result<Stats, Box<dyn Error>> {
    // One thread for all requests: how they are spread over several differs between runs.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut acceptor = Acceptor::start(&arguments.inbox, action, body, seller).await?;
        let warm_up = acceptor.requests(AT_ONCE)?;
        acceptor.post(warm_up).await?;
        // Made before counting: they are the seller's.
        let requests = acceptor.requests(arguments.times)?;
        let region = Region::new(ALLOCATOR);
        acceptor.post(requests).await?;
        let used = region.change();
        acceptor.shutdown().await;
        Ok(used)
    })
}
