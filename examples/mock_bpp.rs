//! Plays an order's life against a receiver:
//! `cargo run --example mock_bpp -- http://127.0.0.1:8080`.
//!
//! Each step takes two lines, the callback and the answer; the last line is the summary.

use std::error::Error;
use std::io::{self, Write};

use beckn_receiver::mock::{Answer, MockBpp, Step};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let Some(url) = std::env::args().nth(1) else {
        return Err("usage: mock_bpp http://host:port".into());
    };
    play(&url, &mut io::stdout()).await
}

/// Plays the life and writes what was sent and answered.
pub(crate) async fn play(url: &str, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let seller = MockBpp::new(url)?;
    let steps = seller.life();
    let connection = seller.connect().await?;
    let mut accepted = 0;
    for step in &steps {
        let answer = connection.post(step.action, step.body.clone()).await?;
        accepted += usize::from(answer.is_ack());
        write_step(out, step, &answer)?;
    }
    writeln!(out, "{accepted} of {} callbacks were accepted", steps.len())?;
    Ok(())
}

fn write_step(out: &mut impl Write, step: &Step, answer: &Answer) -> io::Result<()> {
    writeln!(out, "POST {}: {} ({} bytes)", step.action, step.name, step.body.len())?;
    match &answer.error {
        None if answer.is_ack() => {
            writeln!(out, "  {} ACK in {:.1?}", answer.status, answer.latency)
        }
        None => writeln!(out, "  {} without an ACK", answer.status),
        Some(error) => writeln!(
            out,
            "  {} NACK {} at {:?}: {:?}",
            answer.status, error.code, error.path, error.message
        ),
    }
}
