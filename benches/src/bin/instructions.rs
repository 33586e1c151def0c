//! One piece of the receiver's work, done again and again: for counting what does not depend on
//! how busy the machine is, instructions (under callgrind, see `benches/instructions`) and
//! allocations (counted here).

use std::alloc::System;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::PathBuf;

use bytes::Bytes;
use clap::{Parser, ValueEnum};
use serde::de::IgnoredAny;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

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
    #[arg(long, default_value_t = 1000)]
    times: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Work {
    /// Read the JSON and keep nothing: the floor of parsing.
    Json,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let body = Bytes::from(fs::read(&arguments.payload)?);
    // Once before counting: what is allocated once for the process is not the work's.
    work(arguments.work, &body)?;
    let region = Region::new(ALLOCATOR);
    for _ in 0..arguments.times {
        work(arguments.work, black_box(&body))?;
    }
    let used = region.change();
    let each = |total: usize| {
        f64::from(u32::try_from(total).unwrap_or(u32::MAX)) / f64::from(arguments.times.max(1))
    };
    println!(
        "{:.1} allocations, {:.1} reallocations, {:.0} bytes allocated each time",
        each(used.allocations),
        each(used.reallocations),
        each(used.bytes_allocated)
    );
    Ok(())
}

#[inline(never)]
fn work(work: Work, body: &Bytes) -> Result<(), Box<dyn Error>> {
    match work {
        Work::Json => {
            black_box(serde_json::from_slice::<IgnoredAny>(body)?);
        }
    }
    Ok(())
}
