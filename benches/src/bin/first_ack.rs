//! How long a receiver takes from the start of its process to its first durable ACK, and how much
//! memory it has then: for `benches/million`.

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use beckn_receiver_benches::answer::ACK;
use beckn_receiver_benches::template::Template;
use clap::Parser;
use serde_json::json;

/// Starts a receiver, posts a callback as soon as it listens, and ends it.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the receiver will listen.
    #[arg(long, default_value = "127.0.0.1:18080")]
    server: SocketAddr,
    /// The callback; its `transaction_id` and `message_id` are replaced.
    #[arg(long, default_value = "examples/payloads/on_status_beckn_0_9.json")]
    payload: PathBuf,
    /// How long the receiver runs after its ACK.
    #[arg(long, default_value_t = 0.0)]
    idle_seconds: f64,
    /// End it with SIGKILL; without it, with SIGTERM.
    #[arg(long)]
    kill: bool,
    /// The receiver's program and its arguments.
    #[arg(required = true, last = true)]
    command: Vec<String>,
}

/// A receiver that takes longer does not come at all.
const PATIENCE: Duration = Duration::from_mins(1);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let body = fs::read_to_string(&arguments.payload)?;
    let mut template = Template::new("localhost", "/on_status", &body, None)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let request = template.patched(now.as_secs(), 0, u64::from(now.subsec_nanos()));
    let (program, rest) = arguments.command.split_first().ok_or("no program to start")?;
    let began = Instant::now();
    let mut receiver = Command::new(program).args(rest).stdout(Stdio::null()).spawn()?;
    let acked = first_ack(arguments.server, request, began);
    let memory = resident_kib(&receiver);
    std::thread::sleep(Duration::from_secs_f64(arguments.idle_seconds));
    let memory_idle = resident_kib(&receiver);
    end(&mut receiver, arguments.kill)?;
    println!(
        "{}",
        json!({
            "ms": acked?.as_secs_f64() * 1e3,
            "rss_kib": memory?,
            "rss_idle_kib": memory_idle?,
        })
    );
    Ok(())
}

/// Returns how long after `began` the ACK was read.
fn first_ack(
    server: SocketAddr,
    request: &[u8],
    began: Instant,
) -> Result<Duration, Box<dyn Error>> {
    let mut stream = loop {
        match TcpStream::connect(server) {
            Ok(stream) => break stream,
            Err(error) if began.elapsed() > PATIENCE => return Err(error.into()),
            // Nothing listens yet.
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    while !answer.ends_with(ACK.as_bytes()) {
        let read = stream.read(&mut part)?;
        if read == 0 || answer.len() > part.len() {
            return Err(format!("not an ACK: {}", String::from_utf8_lossy(&answer)).into());
        }
        answer.extend_from_slice(&part[..read]);
    }
    Ok(began.elapsed())
}

fn resident_kib(receiver: &Child) -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string(format!("/proc/{}/status", receiver.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.ok_or("the process has no VmRSS")?.parse()?)
}

fn end(receiver: &mut Child, kill: bool) -> Result<(), Box<dyn Error>> {
    if kill {
        receiver.kill()?;
    } else {
        Command::new("kill").arg(receiver.id().to_string()).status()?;
    }
    receiver.wait()?;
    Ok(())
}
