//! How long after its ACK a callback reaches whoever waits for it, and what many who wait weigh.

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use beckn_receiver_benches::answer::{self, Verdict};
use beckn_receiver_benches::template::Template;
use clap::Parser;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Waits for a callback, posts it, and measures from its ACK to the answer of the wait.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where callbacks are posted.
    #[arg(long)]
    server: SocketAddr,
    /// The operations listener.
    #[arg(long)]
    operations: SocketAddr,
    /// The callback; its `transaction_id` and `message_id` are replaced.
    #[arg(long, default_value = "examples/payloads/on_status_beckn_0_9.json")]
    payload: PathBuf,
    /// How many are waited for, one after the other.
    #[arg(long, default_value_t = 500)]
    callbacks: u64,
    /// How many others wait meanwhile, for what never comes.
    #[arg(long, default_value_t = 0)]
    idle: u64,
    /// The receiver's process, to report its memory.
    #[arg(long)]
    pid: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let body = fs::read_to_string(&arguments.payload)?;
    let mut template = Template::new(&arguments.server.to_string(), "/on_status", &body, None)?;
    let run = u64::try_from(
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_micros() & 0xFFFF_FFFF_FFFF,
    )?;
    let before = resident(arguments.pid)?;
    let mut idle = Vec::new();
    for number in 0..arguments.idle {
        idle.push(wait(arguments.operations, &format!("never-{run}-{number}")).await?);
    }
    let with_idle = resident(arguments.pid)?;
    let mut latency: Histogram<u64> = Histogram::new_with_bounds(1, 60_000_000, 3)?;
    let mut seller = TcpStream::connect(arguments.server).await?;
    seller.set_nodelay(true)?;
    for number in 0..arguments.callbacks {
        let body: Value = serde_json::from_slice(template.patched_body(run, number, number))?;
        let id = body["context"]["message_id"].as_str().ok_or("the payload has no message_id")?;
        let mut waiting = wait(arguments.operations, id).await?;
        // It has to be waiting when the callback comes: a look at what is there is not measured.
        tokio::time::sleep(Duration::from_millis(5)).await;
        seller.write_all(template.patched(run, number, number)).await?;
        acked(&mut seller).await?;
        let acked_at = Instant::now();
        let mut answer = [0; 12];
        waiting.read_exact(&mut answer).await?;
        if &answer != b"HTTP/1.1 200" {
            return Err("the callback did not reach who waited for it".into());
        }
        let micros = u64::try_from(acked_at.elapsed().as_micros())?;
        latency.saturating_record(micros);
    }
    println!(
        "{}",
        json!({
            "callbacks": arguments.callbacks, "idle": arguments.idle,
            "p50_us": latency.value_at_quantile(0.5), "p99_us": latency.value_at_quantile(0.99),
            "max_us": latency.max(),
            "resident_kib": before, "resident_with_idle_kib": with_idle,
        })
    );
    Ok(())
}

/// Asks for a callback; its answer comes when it does.
async fn wait(at: SocketAddr, message_id: &str) -> Result<TcpStream, std::io::Error> {
    let mut connection = TcpStream::connect(at).await?;
    connection.set_nodelay(true)?;
    let request =
        format!("GET /v1/wait?message_id={message_id}&timeout=60 HTTP/1.1\r\nhost: {at}\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    Ok(connection)
}

async fn acked(seller: &mut TcpStream) -> Result<(), Box<dyn Error>> {
    let mut read = Vec::new();
    loop {
        if seller.read_buf(&mut read).await? == 0 {
            return Err("the receiver hung up".into());
        }
        match answer::parse(&read).map_err(|_unreadable| "the answer cannot be read")? {
            Some(parsed) if parsed.verdict == Verdict::Ack => return Ok(()),
            Some(_) => return Err("the callback was not ACKed".into()),
            None => {}
        }
    }
}

/// Returns how much memory a process has, in KiB.
fn resident(pid: u32) -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let text = line.ok_or("no VmRSS")?.trim().trim_end_matches(" kB");
    Ok(text.parse()?)
}
