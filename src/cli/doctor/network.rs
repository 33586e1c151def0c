//! What is checked over the network: the registry, the clock, the targets, a running receiver.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;
use reqwest::header::DATE;
use tokio::net::TcpStream;

use super::super::health;
use super::Finding;
use crate::cli::Failure;
use crate::config::{Config, HandlerKind};
use crate::receiver::keys;
use crate::registry::{Missing, tls, url};
use crate::words::Chain;

/// How long one check may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A signature may be 30 seconds off by default: a sixth of that is worth a look.
const SKEW: TimeDelta = TimeDelta::seconds(5);

/// Asks the registry for our own key, and by its head for the time.
pub(super) async fn registry(config: &Config) -> Vec<Finding> {
    let url = &config.registry.url;
    if url.is_empty() {
        return vec![Finding::ok("registry", "none is set: only pinned keys verify")];
    }
    let mut findings = vec![own_key(config).await];
    match head(url, None).await {
        Ok(head) => findings.extend(clock("the registry", &head)),
        Err(error) => {
            let todo = "sellers whose keys are not in memory are answered 503: is registry.url \
                right, and is it reachable from here?";
            findings.push(Finding::failed("registry", error.to_string(), todo));
        }
    }
    findings
}

async fn own_key(config: &Config) -> Finding {
    const NAME: &str = "registry";
    let own = match keys::own(config) {
        Ok(Some(own)) => own,
        Ok(None) => {
            let found = "our own key is not looked for: registry.key_id or its key is not set";
            return Finding::ok(NAME, found);
        }
        Err(error) => {
            return Finding::failed(NAME, Chain(&error).to_string(), "mend our private key");
        }
    };
    let (id, public) = own;
    let keys = match keys::open(config, &Arc::default()) {
        Ok(keys) => keys,
        Err(error) => return Finding::failed(NAME, Chain(&error).to_string(), "see above"),
    };
    let register = "register the public key that `beckn-receiver keygen` has printed";
    match tokio::time::timeout(PATIENCE, keys.key(&id, Utc::now())).await {
        Err(_elapsed) => Finding::failed(NAME, "it did not answer in time", "try again"),
        Ok(Ok(key)) if key.public == public => match key.check(&id, Utc::now()) {
            Ok(()) => Finding::ok(NAME, format!("it lists our key {id} as we have it")),
            Err(untrusted) => Finding::failed(NAME, untrusted.message, register),
        },
        Ok(Ok(_another)) => {
            let found = format!("it lists another key for {id} than our private key's");
            Finding::failed(NAME, found, register)
        }
        Ok(Err(Missing::UnknownSubscriber { message } | Missing::UnknownKey { message })) => {
            Finding::failed(NAME, format!("it does not list our key: {message}"), register)
        }
        Ok(Err(Missing::Unavailable { message, .. })) => {
            Finding::failed(NAME, message, "is registry.url right, and does it know our signature?")
        }
    }
}

/// Connects to where handlers send events.
pub(super) async fn targets(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, handler) in &config.handlers {
        match &handler.kind {
            HandlerKind::Print => {}
            HandlerKind::Forward(forward) => {
                let what = format!("handler {name}: the target");
                let ca =
                    Some(forward.ca_file.as_path()).filter(|file| !file.as_os_str().is_empty());
                match head(forward.url.expose(), ca).await {
                    Ok(head) => {
                        findings.push(Finding::ok("targets", format!("{what} answers")));
                        findings.extend(clock(&what, &head));
                    }
                    Err(error) => findings.push(unreached(&what, error.as_ref())),
                }
            }
            HandlerKind::JetStream(nats) => {
                for server in &nats.servers {
                    findings.push(connect(name, server.as_str(), 4_222).await);
                }
            }
            HandlerKind::RabbitMq(rabbit) => {
                let port = if rabbit.url.starts_with("amqps:") { 5_671 } else { 5_672 };
                findings.push(connect(name, &rabbit.url, port).await);
            }
        }
    }
    findings
}

fn unreached(what: &str, error: &(dyn std::error::Error + 'static)) -> Finding {
    let todo = "its events wait until it is there: is the address right, and does it run?";
    Finding::failed("targets", format!("{what}: {}", Chain(error)), todo)
}

async fn connect(name: &str, text: &str, port: u16) -> Finding {
    let what = format!("handler {name}: the broker");
    let connected = async {
        let url = Url::parse(text)?;
        let host = url.host_str().ok_or("it has no host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, url.port().unwrap_or(port)));
        tokio::time::timeout(PATIENCE, stream)
            .await
            .map_err(|_elapsed| "no connection in time")??;
        Ok::<_, Failure>(())
    };
    match connected.await {
        Ok(()) => Finding::ok("targets", format!("{what} takes connections")),
        Err(error) => unreached(&what, error.as_ref()),
    }
}

/// Asks the running receiver whether it is ready.
pub(super) async fn receiver(config: &Config) -> Vec<Finding> {
    let address = health::reachable(config.operations.listen);
    let asked = tokio::time::timeout(PATIENCE, health::ask(address, "/readyz")).await;
    let finding = match asked {
        Ok(Ok((true, _))) => Finding::ok("receiver", format!("one runs at {address} and is ready")),
        Ok(Ok((false, text))) => {
            let found = format!("one runs at {address} and is not ready: {}", text.trim());
            Finding::failed("receiver", found, "docs/what-to-do-when.md says what each means")
        }
        Ok(Err(_)) | Err(_) => {
            let found = format!("none answers at {address} (operations.listen)");
            Finding::warning("receiver", found, "start one: beckn-receiver --config FILE")
        }
    };
    vec![finding]
}

/// What a server says besides its answer.
struct Head {
    date: Option<DateTime<Utc>>,
}

/// Asks the root of a server for its head; any answer is one.
async fn head(text: &str, ca_file: Option<&Path>) -> Result<Head, Failure> {
    let mut url = url::parse(text)?;
    // The path may hold a token, and what is there may do something.
    url.set_path("/");
    url.set_query(None);
    let is_https = url.scheme() == "https";
    let trust = match (is_https, ca_file) {
        (true, Some(file)) => tls::trusting(file)?,
        (true, None) => tls::trusting_the_system()?,
        (false, _) => tls::trusting_nobody()?,
    };
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(trust)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .timeout(PATIENCE);
    if tls::is_loopback(url.host_str().unwrap_or_default()) {
        builder = builder.no_proxy();
    }
    let http = builder.build().map_err(reqwest::Error::without_url)?;
    let response = http.head(url).send().await.map_err(reqwest::Error::without_url)?;
    let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
    Ok(Head { date: date.map(DateTime::from) })
}

/// Compares the clocks: signatures are judged by ours.
fn clock(of: &str, head: &Head) -> Option<Finding> {
    let theirs = head.date?;
    let apart = Utc::now() - theirs;
    let found = format!("our clock and that of {of} are {} s apart", apart.num_seconds().abs());
    // The header has whole seconds, and the answer has travelled.
    Some(if apart.abs() <= SKEW {
        Finding::ok("clock", found)
    } else {
        let todo = "signatures are refused beyond signature.skew_s: set the clock (NTP)";
        Finding::warning("clock", found, todo)
    })
}
