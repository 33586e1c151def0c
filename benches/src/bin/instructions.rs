//! One piece of the receiver's work, done again and again: for counting what does not depend on
//! how busy the machine is, instructions (under callgrind, see `benches/instructions`) and
//! allocations (counted here).

use std::alloc::System;
use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use beckn_receiver::{Action, OrderEvent};
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
    /// Read the callback into the typed event that a handler gets.
    Parse,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let body = Bytes::from(fs::read(&arguments.payload)?);
    let task = Task { work: arguments.work, action: action_of(&arguments.payload)?, body };
    // Once before counting: what is allocated once for the process is not the work's.
    task.run()?;
    let region = Region::new(ALLOCATOR);
    for _ in 0..arguments.times {
        black_box(&task).run()?;
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

/// One piece of work on one body.
struct Task {
    work: Work,
    action: Action,
    body: Bytes,
}

impl Task {
    #[inline(never)]
    fn run(&self) -> Result<(), Box<dyn Error>> {
        match self.work {
            Work::Json => {
                black_box(serde_json::from_slice::<IgnoredAny>(&self.body)?);
            }
            Work::Parse => {
                black_box(OrderEvent::parse(self.action, Bytes::clone(&self.body))?);
            }
        }
        Ok(())
    }
}

/// Returns the action with which a sample's name begins.
fn action_of(payload: &Path) -> Result<Action, Box<dyn Error>> {
    let name = payload.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let of_name = |action: &Action| name.starts_with(action.as_str());
    // `on_issue_status` begins with `on_issue`: the longest name is the right one.
    let action = Action::ALL.into_iter().filter(of_name).max_by_key(|action| action.as_str().len());
    action.ok_or_else(|| format!("the name `{name}` does not begin with an action").into())
}
