//! `sign`: the `Authorization` header for a body, to try a receiver or to compare a sender with.

use std::path::PathBuf;
use std::process::ExitCode;

use super::keygen::key_id;
use super::{Failure, input, mistake};
use crate::config::Config;
use crate::signature::PrivateKey;
use crate::words::KeyId;

/// Holds the private key where there is no file for it. It is no setting, so it lacks their prefix.
const VARIABLE: &str = "BECKN_PRIVATE_KEY";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The file that holds the body, byte for byte as it will be sent; `-` is standard input
    file: PathBuf,

    /// The file that holds the private key: base64 of 32 or 64 bytes
    /// [default: the variable `BECKN_PRIVATE_KEY`]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// Whose key it is, as it is registered
    #[arg(long, value_name = "SUBSCRIBER|UNIQUE_KEY", value_parser = key_id)]
    key_id: KeyId,

    /// When it is signed, in seconds since 1970 [default: now]
    #[arg(long, value_name = "SECONDS")]
    created: Option<i64>,

    /// Until when it may be used, in seconds since 1970
    #[arg(long, value_name = "SECONDS", conflicts_with = "ttl")]
    expires: Option<i64>,

    /// How long it may be used
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    ttl: u32,
}

pub(super) fn run(config: &Config, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let key = private_key(arguments)?;
    let body = input::body(&arguments.file, config.http.body_limit_bytes)?;
    let created = arguments.created.unwrap_or_else(|| chrono::Utc::now().timestamp());
    let expires =
        arguments.expires.unwrap_or_else(|| created.saturating_add(i64::from(arguments.ttl)));
    if expires <= created {
        let message = format!("expected a signature that expires after {created}, found {expires}");
        return Err(mistake(message));
    }
    println!("{}", key.authorization(&arguments.key_id, &body, created, expires));
    Ok(ExitCode::SUCCESS)
}

/// Reads the private key; no failure says anything of it but its length.
fn private_key(arguments: &Arguments) -> Result<PrivateKey, Failure> {
    let (place, text) = match &arguments.key_file {
        Some(file) => (file.display().to_string(), input::line(file, "a private key")?),
        None => (VARIABLE.to_owned(), from_environment()?),
    };
    PrivateKey::parse(&text).map_err(|error| format!("no private key in {place}: {error}").into())
}

fn from_environment() -> Result<String, Failure> {
    // The error of a text that is no Unicode would print it.
    std::env::var(VARIABLE).map_err(|_absent| {
        mistake(format!(
            "expected a private key in a file, --key-file, or in {VARIABLE}, found neither"
        ))
    })
}
