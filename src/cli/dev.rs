//! `dev`: a whole small network in one process: the receiver, a registry, and a seller's key for
//! `trigger` and `send` in another terminal.
//!
//! Nothing of it is for others: it listens on loopback, its registry forgets everything when it
//! ends, and its data lies in a directory of its own. The settings are those of a live receiver,
//! signatures required; variables override them, `config.toml` is not read.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use chrono::{TimeDelta, Utc};

use super::keygen::new_key;
use super::seller_file::{DIRECTORY, SellerFile};
use super::serve;
use super::{Failure, mistake};
use crate::config::Config;
use crate::log::start_log;
use crate::mock::{Breakage, MockRecord, MockRegistry};
use crate::receiver::Server;
use crate::signature::PrivateKey;
use crate::words::Outside;

/// The mock seller's subscriber id.
const SELLER: &str = "mock-bpp.local";
/// The receiver's own subscriber id.
const BUYER: &str = "buyer.local";
/// The unique key id of both.
const KEY: &str = "key-1";
/// Where the inbox lies in its directory.
const INBOX: &str = "inbox";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where its data lies: the inbox, and the seller's key for `trigger` and `send`
    #[arg(long, value_name = "DIR", default_value = DIRECTORY)]
    dir: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(network(&arguments.dir, begun))
}

async fn network(directory: &Path, begun: Instant) -> Result<ExitCode, Failure> {
    let seller = seller(directory)?;
    let buyer = new_key()?;
    let registry = MockRegistry::start().await?;
    list(&registry, &seller.public().to_string(), &buyer)?;
    let config = settings(directory, &registry, &buyer)?;
    start_log(&config)?;
    let open = |server: &Server, inbox: &str| {
        let receiver = format!("http://{}", server.callbacks_address()?);
        let file = SellerFile {
            receiver: receiver.clone(),
            key_id: format!("{SELLER}|{KEY}"),
            private_key: seller.seed(),
            bap_id: BUYER.to_owned(),
        };
        file.write(directory).map_err(std::io::Error::other)?;
        let operations = server.operations_address()?;
        let registry = registry.url_v2();
        let milliseconds = begun.elapsed().as_millis();
        let option = option(directory);
        Ok(format!(
            "  receiver   {receiver}/{{on_status,on_update,on_track}}, as {BUYER}\n  \
             operations http://{operations}/livez, /readyz\n  \
             registry   {registry} (a mock), 1 seller: {SELLER}|{KEY}\n  \
             store      {inbox}\n  \
             ready in {milliseconds} ms - in another terminal: beckn-receiver trigger \
             on_status{option}\n"
        ))
    };
    serve::serve(config, open).await
}

/// Returns where the inbox of a network lies that was started here, if one was.
pub(super) fn inbox_here() -> Option<PathBuf> {
    let inbox = Path::new(DIRECTORY).join(INBOX);
    inbox.is_dir().then_some(inbox)
}

/// Returns what `trigger` needs to find the seller's key.
fn option(directory: &Path) -> String {
    if directory == Path::new(DIRECTORY) {
        String::new()
    } else {
        format!(" --dir '{}'", directory.display())
    }
}

/// Returns the seller's key: the one of the last time, so that what was signed then still verifies.
///
/// A key of somebody else's is not ours to replace: it may be the only copy.
fn seller(directory: &Path) -> Result<PrivateKey, Failure> {
    let Some(file) = SellerFile::read(directory)? else { return new_key() };
    if file.key_id != format!("{SELLER}|{KEY}") {
        return Err(mistake(format!(
            "expected the key of {SELLER}|{KEY} in {}, found that of {}: name another directory \
             by --dir, or move the file away",
            SellerFile::path(directory).display(),
            Outside(&file.key_id)
        )));
    }
    Ok(PrivateKey::parse(&file.private_key)?)
}

/// Lists the seller's keys: the good one, and those that `trigger --break` needs.
fn list(registry: &MockRegistry, public: &str, buyer: &PrivateKey) -> Result<(), Failure> {
    let (now, year) = (Utc::now(), TimeDelta::days(365));
    registry.add(MockRecord::new(SELLER, KEY, public));
    registry.add(MockRecord::new(SELLER, Breakage::SECOND_KEY, new_key()?.public().to_string()));
    registry.add(MockRecord::new(SELLER, Breakage::FUTURE_KEY, public).valid_from(now + year));
    registry.add(MockRecord::new(SELLER, Breakage::PAST_KEY, public).valid_until(now - year));
    registry.add(MockRecord::new(BUYER, KEY, buyer.public().to_string()));
    Ok(())
}

fn settings(
    directory: &Path,
    registry: &MockRegistry,
    buyer: &PrivateKey,
) -> Result<Config, Failure> {
    let text = format!(
        "subscriber_ids = [\"{BUYER}\"]\nsignature.mode = \"required\"\n[registry]\n\
         api = \"ondc_v2\"\nurl = \"{}\"\nkey_id = \"{BUYER}|{KEY}\"\nprivate_key = \"{}\"\n",
        registry.url_v2(),
        buyer.seed()
    );
    let mut config = Config::load_text(&text, "the settings of dev")?;
    // A path may hold what TOML would have to escape.
    if std::env::var_os("BECKN_RECEIVER_INBOX__PATH").is_none() {
        config.inbox.path = directory.join(INBOX);
    }
    Ok(config)
}
