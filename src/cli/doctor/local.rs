//! What is checked on this machine: the settings, the keys, the disk, the inbox.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;

use super::Finding;
use crate::config::{Config, HandlerKind, SignatureMode};
use crate::inbox::reader::disk;
use crate::inbox::reader::place::Place;
use crate::operations::Ledger;
use crate::operations::views::StatusView;
use crate::receiver::handlers::names;
use crate::receiver::keys;
use crate::routes::Routes;
use crate::rules::Rules;
use crate::words::Chain;

/// A commit waits for one sync; a disk that is slower than this holds every ACK up.
const SLOW_SYNC: Duration = Duration::from_millis(50);

/// How many syncs are measured; the middle one counts.
const SYNCS: usize = 7;

/// After how long something that waits is worth a look.
const LONG_WAIT: chrono::TimeDelta = chrono::TimeDelta::hours(1);

/// Checks what the settings demand, as a start does.
pub(super) fn settings(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let known: Vec<&str> = names(config).collect();
    if let Err(error) = Routes::new(config, &known) {
        findings.push(Finding::failed("settings", error.to_string(), "name one that there is"));
    }
    if let Err(error) =
        Rules::new(config.rules.profile, &config.rules.levels, &config.subscriber_ids)
    {
        let todo = "docs/rules.md lists every rule";
        findings.push(Finding::failed("settings", Chain(&error).to_string(), todo));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("settings", "every setting is allowed"));
    }
    findings.push(exposure(config));
    findings
}

fn exposure(config: &Config) -> Finding {
    let (listen, mode) = (config.http.listen, config.signature.mode);
    if let Err(exposed) = config.check_exposure() {
        return Finding::failed("exposure", exposed.to_string(), "it does not start like this");
    }
    let is_near = listen.ip().to_canonical().is_loopback();
    let found = format!("http.listen is {listen}, signatures are {}", mode.as_str());
    if !is_near && mode != SignatureMode::Required {
        let todo = "whoever reaches it can post made-up callbacks: set signature.mode = \
            \"required\" before going live";
        return Finding::warning("exposure", found, todo);
    }
    let operations = config.operations.listen;
    if !operations.ip().to_canonical().is_loopback() {
        let found = format!("operations.listen is {operations}, which is not loopback");
        let todo = "a token is needed there, and it speaks no TLS: put a proxy in front, and let \
            nobody reach it who should not";
        return Finding::warning("exposure", found, todo);
    }
    Finding::ok("exposure", found)
}

/// Checks the keys that are pinned, our own, and who can read the files of secrets.
pub(super) fn keys(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    match keys::open(config, &Arc::default()) {
        Ok(_keys) => findings.push(Finding::ok("keys", "they can be read")),
        Err(error) => {
            let todo = "mend what it names";
            findings.push(Finding::failed("keys", Chain(&error).to_string(), todo));
        }
    }
    for (setting, file) in secret_files(config) {
        findings.extend(readable_by_others("keys", &setting, &file));
    }
    findings
}

fn secret_files(config: &Config) -> Vec<(String, PathBuf)> {
    let own = [
        ("registry.private_key_file".to_owned(), config.registry.private_key_file.clone()),
        ("postgres.url_file".to_owned(), config.postgres.url_file.clone()),
    ];
    let of_handlers = config.handlers.iter().flat_map(|(name, handler)| {
        let files: Vec<(&str, &Path)> = match &handler.kind {
            HandlerKind::Print => Vec::new(),
            HandlerKind::Forward(forward) => vec![("secrets_file", &forward.secrets_file)],
            HandlerKind::JetStream(nats) => vec![
                ("password_file", &nats.password_file),
                ("credentials_file", &nats.credentials_file),
            ],
            HandlerKind::RabbitMq(rabbit) => vec![("password_file", &rabbit.password_file)],
        };
        let named =
            |(key, file): (&str, &Path)| (format!("handlers.{name}.{key}"), file.to_owned());
        files.into_iter().map(named).collect::<Vec<_>>()
    });
    let all = own.into_iter().chain(of_handlers);
    all.filter(|(_, file)| !file.as_os_str().is_empty()).collect()
}

pub(super) fn readable_by_others(
    check: &'static str,
    setting: &str,
    file: &Path,
) -> Option<Finding> {
    let shown = file.display();
    match std::fs::metadata(file) {
        Err(error) => {
            let found = format!("{setting}: {shown} cannot be read: {error}");
            Some(Finding::failed(check, found, "make it, or name another file"))
        }
        Ok(data) if data.permissions().mode() & 0o077 != 0 => {
            let found = format!("{setting}: others on this machine may read {shown}");
            Some(Finding::warning(check, found, format!("chmod 600 {shown}")))
        }
        Ok(_) => None,
    }
}

/// Checks the disk that the inbox lies on, or will.
pub(super) fn disk(config: &Config) -> Vec<Finding> {
    let wanted = &config.inbox.path;
    let absolute = std::path::absolute(wanted).unwrap_or_else(|_| wanted.clone());
    // What is not there yet is made by the first start, within what is there.
    let Some(place) = absolute.ancestors().find(|place| place.is_dir()) else {
        let found = format!("nothing of {} is there", wanted.display());
        return vec![Finding::failed("disk", found, "set inbox.path")];
    };
    let mut findings = Vec::new();
    match disk::look(place) {
        Err(error) => {
            let found = format!("{} cannot be looked at: {error}", place.display());
            findings.push(Finding::failed("disk", found, "set inbox.path to a local directory"));
        }
        Ok(disk::Disk { free_bytes, network }) => {
            let (free, least) = (free_bytes >> 20, config.inbox.min_free_bytes >> 20);
            let found = format!("{free} MiB are free, {least} MiB have to stay so");
            findings.push(if free_bytes < config.inbox.min_free_bytes {
                let todo = "callbacks are answered 503: make room, or lower inbox.min_free_bytes";
                Finding::failed("disk", found, todo)
            } else {
                Finding::ok("disk", found)
            });
            if let Some(name) = network {
                let found = format!("the inbox lies on {name}");
                let todo =
                    "its locks and syncs may not hold what an ACK promises: use a local disk";
                findings.push(Finding::warning("disk", found, todo));
            }
        }
    }
    findings.push(sync(place));
    findings
}

/// Measures how long a small write takes to be on the disk.
fn sync(place: &Path) -> Finding {
    match sync_time(place) {
        Err(error) => {
            let found = format!("{} cannot be written: {error}", place.display());
            Finding::failed("disk", found, "let the user of the receiver write there")
        }
        Ok(took) => {
            let found = format!("a sync takes {:.1} ms", took.as_secs_f64() * 1_000.0);
            if took < SLOW_SYNC {
                return Finding::ok("disk", found);
            }
            let todo = "each ACK waits for one: use a faster disk";
            Finding::warning("disk", found, todo)
        }
    }
}

fn sync_time(place: &Path) -> std::io::Result<Duration> {
    let path = place.join(format!(".doctor-{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
    let mut measure = || {
        let began = Instant::now();
        file.write_all(&[0; 4_096])?;
        file.sync_data()?;
        Ok(began.elapsed())
    };
    let measured: std::io::Result<Vec<Duration>> = (0..SYNCS).map(|_| measure()).collect();
    let removed = std::fs::remove_file(&path);
    let mut measured = measured?;
    removed?;
    measured.sort_unstable();
    Ok(measured[SYNCS / 2])
}

/// Checks what is in the inbox.
pub(super) fn inbox(place: &Place) -> Vec<Finding> {
    let status = match Ledger::open(place).and_then(|ledger| ledger.status()) {
        Ok(status) => status,
        Err(error) if error.is_missing() => {
            return vec![Finding::ok("inbox", "there is none yet: the first start makes it")];
        }
        Err(error) => {
            let todo = "is it of a newer version, or of another user?";
            return vec![Finding::failed("inbox", Chain(&error).to_string(), todo)];
        }
    };
    let StatusView { pending, done, dead, rejected, .. } = status;
    let holder = match place {
        Place::Directory(directory) => disk::holder(directory),
        #[cfg(feature = "postgres")]
        Place::Database(_) => None,
    };
    let held = holder.map_or_else(String::new, |note| format!("; last opened by {note}"));
    let found = format!("{pending} pending, {done} done, {dead} dead, {rejected} rejected{held}");
    let mut findings = vec![Finding::ok("inbox", found)];
    if dead > 0 {
        let found = format!("{dead} events were given up");
        let todo = "beckn-receiver dead-letters says why, replay --dead hands them over again";
        findings.push(Finding::warning("inbox", found, todo));
    }
    if let Some(at) = status.oldest_pending_at.filter(|at| Utc::now() - at > LONG_WAIT) {
        let found = format!("the oldest pending event came at {}", super::super::events::time(at));
        let todo = "beckn-receiver events --progress pending says what it waits for";
        findings.push(Finding::warning("inbox", found, todo));
    }
    for handler in status.handlers {
        if let Some(at) = handler.paused_at {
            let at = super::super::events::time(at);
            let found = format!("{} is paused since {at}", handler.name);
            let todo = format!("beckn-receiver resume {}", handler.name);
            findings.push(Finding::warning("inbox", found, todo));
        }
    }
    findings
}
