//! `doctor`: checks all that a receiver needs, and says of each what to do.
//!
//! # Constraints
//! - Each check is bounded in time; one that fails stops no other.
//! - Nothing is changed but a small file in the inbox's directory that is gone again at once, and
//!   nothing is posted: a target is asked for its head only, at its root.
//! - No secret is said, nor the path of a URL, which may hold one.

#[cfg(feature = "postgres")]
mod database;
mod local;
mod network;
mod tokens;

use std::process::ExitCode;

use serde::Serialize;

use super::Failure;
use crate::config::Config;
use crate::inbox::reader::place::Place;
use crate::receiver::inbox::{DatabaseError, place};
use crate::receiver::load::LoadError;
use crate::words::{Chain, Message};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print one JSON object a check
    #[arg(long)]
    json: bool,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Failed,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "failed",
        }
    }
}

/// What a check found.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    todo: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, found: found.into(), todo: None }
    }

    fn warning(check: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        let (found, todo) = (found.into(), Some(todo.into()));
        Self { check, verdict: Verdict::Warning, found, todo }
    }

    fn failed(check: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        let (found, todo) = (found.into(), Some(todo.into()));
        Self { check, verdict: Verdict::Failed, found, todo }
    }
}

pub(super) fn run(
    config: Result<Config, LoadError>,
    arguments: &Arguments,
) -> Result<ExitCode, Failure> {
    let say = |findings: Vec<Finding>| -> Result<Verdict, Failure> {
        let mut worst = Verdict::Ok;
        for finding in findings {
            worst = worst.max(finding.verdict);
            print(&finding, arguments.json)?;
        }
        Ok(worst)
    };
    let config = match config {
        Ok(config) => config,
        Err(mistakes) => {
            // Each mistake has a line of its own.
            let text = Chain(&mistakes).to_string();
            let todo = "mend the settings: the other checks need them";
            say(text.lines().map(|line| Finding::failed("settings", line, todo)).collect())?;
            return Ok(ExitCode::from(2));
        }
    };
    let wrong_settings = say(local::settings(&config))? == Verdict::Failed;
    let mut worst = say(local::keys(&config))?;
    worst = worst.max(say(tokens::tokens(&config))?);
    // A database is asked from outside of what drives its connections.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build()?;
    match place(&config, runtime.handle()) {
        Err(error) => worst = worst.max(say(vec![no_place(&error)])?),
        Ok(place) => {
            let found = say(home(&config, &place))?;
            worst = worst.max(found);
            // What cannot be reached would fail a second time.
            if matches!(place, Place::Directory(_)) || found < Verdict::Failed {
                worst = worst.max(say(local::inbox(&place))?);
            }
        }
    }
    worst = worst.max(say(runtime.block_on(network::registry(&config)))?);
    worst = worst.max(say(runtime.block_on(network::targets(&config)))?);
    worst = worst.max(say(runtime.block_on(network::receiver(&config)))?);
    Ok(match (wrong_settings, worst) {
        (true, _) => ExitCode::from(2),
        (false, Verdict::Failed) => ExitCode::FAILURE,
        (false, Verdict::Ok | Verdict::Warning) => ExitCode::SUCCESS,
    })
}

fn no_place(error: &DatabaseError) -> Finding {
    Finding::failed("database", error.to_string(), "mend what it names")
}

/// Checks what the inbox lies on.
fn home(config: &Config, place: &Place) -> Vec<Finding> {
    match place {
        Place::Directory(_) => local::disk(config),
        #[cfg(feature = "postgres")]
        Place::Database(at) => database::database(at),
    }
}

fn print(finding: &Finding, json: bool) -> Result<(), Failure> {
    if json {
        println!("{}", super::json(finding)?);
        return Ok(());
    }
    let (verdict, check) = (finding.verdict.as_str(), finding.check);
    println!("{verdict:<8} {check:<9} {}", Message(&finding.found));
    if let Some(todo) = &finding.todo {
        println!("                   → {}", Message(todo));
    }
    Ok(())
}
