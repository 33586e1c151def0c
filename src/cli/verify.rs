//! `verify`: whether a signature is over a body, and why not.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::{Failure, input, mistake};
use crate::beckn::callback::Callback;
use crate::config::Config;
use crate::log::start_log;
use crate::receiver::keys;
use crate::receiver::options::window;
use crate::registry::Missing;
use crate::signature::diagnose::{Evidence, explain};
use crate::signature::{self, Authorization, Key, PublicKey, Window};
use crate::words::{Cause, KeyId, Outside, Untrusted};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The file that holds the body, byte for byte as it was received; `-` is standard input
    file: PathBuf,

    /// The value of the `Authorization` header
    #[arg(long, value_name = "VALUE", required_unless_present = "authorization_file")]
    authorization: Option<String>,

    /// The file that holds the value, alone or as a line of `curl -v`: `> Authorization: …`
    #[arg(long, value_name = "FILE", conflicts_with = "authorization")]
    authorization_file: Option<PathBuf>,

    /// The registered public key of the signer: base64 of 32 bytes
    /// [default: the one that the settings lead to, pinned or at the registry]
    // Not read by clap, which would repeat a private key that was taken for it.
    #[arg(long, value_name = "BASE64")]
    public_key: Option<String>,

    /// When it is received: RFC 3339, or seconds since 1970 [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<DateTime<Utc>>,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// The keys of the subscriber that signed.
#[derive(Default)]
struct Found {
    /// The one that the header names, if there is one.
    named: Option<PublicKey>,
    /// All that are known, to find one that was not named.
    all: Vec<Arc<Key>>,
    /// Why the one that is named may not sign, or is not there.
    wrong: Option<Untrusted>,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    file: String,
    verifies: bool,
    at: String,
    /// What the header says; nothing when it cannot be read.
    signed: Option<Signed>,
    failures: Vec<Problem>,
}

#[derive(Debug, Serialize)]
struct Signed {
    subscriber: String,
    unique_key: Option<String>,
    created: i64,
    expires: i64,
    /// Whether the key made the signature over the body, whatever its times; nothing when there is
    /// no key to verify with.
    matches: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Problem {
    cause: &'static str,
    what: &'static str,
    message: String,
    mend: &'static str,
}

impl From<Untrusted> for Problem {
    fn from(Untrusted { cause, message }: Untrusted) -> Self {
        Self { cause: cause.as_str(), what: cause.what(), message, mend: cause.mend() }
    }
}

pub(super) fn run(config: &Config, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let header = header(arguments)?;
    let body = input::body(&arguments.file, config.http.body_limit_bytes)?;
    let at = arguments.at.unwrap_or_else(Utc::now);
    let file = arguments.file.display().to_string();
    let report = match Authorization::parse(&header) {
        Ok(authorization) => {
            let found = match &arguments.public_key {
                Some(text) => given(text)?,
                None => from_settings(config, authorization.key_id(), at)?,
            };
            judge(file, &authorization, found, &body, &Moment { at, window: window(config) })
        }
        Err(unread) => Report {
            file,
            verifies: false,
            at: written(at),
            signed: None,
            failures: vec![unread.into()],
        },
    };
    if arguments.json {
        println!("{}", super::json(&report)?);
    } else {
        print(&report);
    }
    Ok(if report.verifies { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn header(arguments: &Arguments) -> Result<String, Failure> {
    let value = match (&arguments.authorization, &arguments.authorization_file) {
        (None, Some(file)) => input::line(file, "the value of an Authorization header")?,
        (value, _) => value.clone().unwrap_or_default(),
    };
    // As `curl -v` shows it, with `> ` before it, and as `curl -H` takes it.
    let value = value.strip_prefix('>').map_or(&*value, str::trim_start);
    let name = "authorization:";
    let has_name = value.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    Ok(if has_name { &value[name.len()..] } else { value }.to_owned())
}

/// When a signature is judged, and what its times may be then.
struct Moment {
    at: DateTime<Utc>,
    window: Window,
}

/// Takes the key that was given.
fn given(text: &str) -> Result<Found, Failure> {
    let named = PublicKey::parse(text)
        .map_err(|error| mistake(format!("no public key in --public-key: {error}")))?;
    Ok(Found { named: Some(named), ..Found::default() })
}

/// Finds the key as a receiver with these settings would.
fn from_settings(config: &Config, id: &KeyId, at: DateTime<Utc>) -> Result<Found, Failure> {
    let signature = &config.signature;
    if config.registry.url.is_empty()
        && signature.pinned_keys.is_empty()
        && signature.pinned_keys_file.as_os_str().is_empty()
    {
        return Err(mistake(
            "nothing says which key to verify with: give --public-key, or settings (--config) with \
             registry.url, signature.pinned_keys or signature.pinned_keys_file",
        ));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // A registry's reasons not to answer are told there.
    start_log(config)?;
    runtime.block_on(async {
        let keys = keys::open(config, &std::sync::Arc::default())?;
        let mut found = Found::default();
        // Looked up now, whatever time the signature is judged at.
        match keys.key(id, Utc::now()).await {
            Ok(key) => {
                found.named = Some(key.public);
                found.wrong = key.check(id, at).err();
            }
            Err(Missing::UnknownSubscriber { message }) => {
                found.wrong = Some(Untrusted::new(Cause::UnknownSubscriber, message));
            }
            Err(Missing::UnknownKey { message }) => {
                found.wrong = Some(Untrusted::new(Cause::UnknownKey, message));
            }
            Err(Missing::Unavailable { message, .. }) => {
                return Err(format!(
                    "{message}: the registry (`registry.url`) did not answer as it should; the \
                     line above says how"
                )
                .into());
            }
        }
        found.all = keys.known(id);
        Ok(found)
    })
}

/// Judges times, key and signature apart: one that came too late may still be by the right key.
fn judge(
    file: String,
    authorization: &Authorization,
    found: Found,
    body: &[u8],
    moment: &Moment,
) -> Report {
    let Moment { at, window } = *moment;
    let Found { named, all, wrong } = found;
    let (id, times) = (authorization.key_id(), authorization.times());
    let mut failures: Vec<Untrusted> = Vec::new();
    failures.extend(times.check(at, window).err());
    failures.extend(wrong);
    let matches = named.map(|key| signature::verify(authorization, &key, body));
    if let (Some(key), Some(false)) = (&named, matches) {
        failures.push(explain(&Evidence { authorization, key, others: &all, body }));
    }
    // What is no JSON names no seller; a receiver refuses it for that.
    if let (Some(true), Ok(callback)) = (matches, Callback::parse(body)) {
        let bpp_id = callback.context.bpp_id.as_deref();
        failures.extend(signature::check_seller(id.subscriber_id(), bpp_id).err());
    }
    let failures: Vec<Problem> = failures.into_iter().map(Problem::from).collect();
    let signed = Signed {
        subscriber: id.subscriber().to_owned(),
        unique_key: id.unique_key().map(str::to_owned),
        created: times.created,
        expires: times.expires,
        matches,
    };
    Report { file, verifies: failures.is_empty(), at: written(at), signed: Some(signed), failures }
}

fn print(report: &Report) {
    let verdict = if report.verifies { "verifies" } else { "does not verify" };
    println!("{}: {verdict} at {}", report.file, report.at);
    if let Some(signed) = &report.signed {
        println!("  subscriber  {}", Outside(&signed.subscriber));
        println!("  unique key  {}", Outside(signed.unique_key.as_deref().unwrap_or("-")));
        println!("  created     {}", seconds(signed.created));
        println!("  expires     {}", seconds(signed.expires));
        let matches = match signed.matches {
            Some(true) => "matches",
            Some(false) => "does not match",
            None => "was not looked at: there is no key to verify it with",
        };
        println!("  signature   the signature itself {matches}");
    }
    for Problem { cause, message, mend, .. } in &report.failures {
        println!("  {cause}");
        println!("              {message}");
        println!("              the sender must change: {mend}");
    }
}

fn seconds(value: i64) -> String {
    let time = DateTime::from_timestamp(value, 0).map_or_else(|| "no date".to_owned(), written);
    format!("{value} ({time})")
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let seconds = text.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    seconds.map_or_else(
        || {
            DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()).map_err(|error| {
                format!(
                    "expected a time as in 2026-11-21T08:00:00Z, or seconds since 1970: {error}"
                )
            })
        },
        Ok,
    )
}
