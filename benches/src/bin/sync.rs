//! How long the disk takes for one fdatasync: writes a page of the inbox and syncs it, over and
//! over, for as long as it is told.

use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use hdrhistogram::Histogram;
use serde_json::json;

/// Measures fdatasync and prints one line of JSON.
#[derive(Debug, Parser)]
struct Arguments {
    /// A file that is not there yet, on the disk in question; it is removed at the end.
    file: PathBuf,
    /// How long to measure.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
}

/// What is written before each sync: a page of the inbox.
static PAGE: [u8; 32 * 1024] = [0x5A; 32 * 1024];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut file = File::create_new(&arguments.file)?;
    let mut latency = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    let until = Instant::now() + Duration::from_secs_f64(arguments.seconds);
    while Instant::now() < until {
        file.write_all(&PAGE)?;
        let began = Instant::now();
        file.sync_data()?;
        latency.saturating_record(u64::try_from(began.elapsed().as_micros())?);
    }
    std::fs::remove_file(&arguments.file)?;
    println!(
        "{}",
        json!({
            "fdatasync_p50_us": latency.value_at_quantile(0.5),
            "fdatasync_p99_us": latency.value_at_quantile(0.99),
            "fdatasync_max_us": latency.max(),
            "syncs": latency.len(),
        })
    );
    Ok(())
}
