//! `keygen`: a new key pair, to register and to sign with, or a secret that signs what is forwarded.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Failure;
use crate::signature::PrivateKey;
use crate::words::{KeyId, Outside, PinnedKey};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Whose key it will be: prints it as `signature.pinned_keys` takes it, too
    #[arg(long, value_name = "SUBSCRIBER|UNIQUE_KEY", value_parser = key_id)]
    key_id: Option<KeyId>,

    /// Write the private key into this new file, which only its owner can read, instead of
    /// printing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Make a secret for a handler of kind `forward` and its receiver instead, as Standard Webhooks
    /// writes it
    #[arg(long, conflicts_with = "key_id")]
    webhook: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if arguments.webhook {
        let secret = format!("whsec_{}", STANDARD.encode(random()?));
        match &arguments.out {
            Some(file) => keep("secret", &secret, file)?,
            None => println!("{secret}"),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let key = new_key()?;
    if let Some(file) = &arguments.out {
        keep("private key", &key.seed(), file)?;
        println!("private key  in {}, for its owner only", file.display());
    } else {
        println!("private key  {}", key.seed());
    }
    println!("public key   {}", key.public());
    if let Some(id) = &arguments.key_id {
        println!("pinned key   {}", pinned(id, &key));
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes a key of the system's random bytes.
pub(super) fn new_key() -> Result<PrivateKey, Failure> {
    Ok(PrivateKey::from_seed(&random()?))
}

fn random() -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| format!("the system gives no random bytes: {error}"))?;
    Ok(bytes)
}

/// Writes the key as a setting takes it, uncut.
fn pinned(id: &KeyId, key: &PrivateKey) -> String {
    let public = *key.public().as_bytes();
    PinnedKey { id: id.clone(), public }.to_string()
}

/// Keeps a secret; an existing file is never touched, for a lost key cannot be had back.
fn keep(what: &str, secret: &str, file: &Path) -> Result<(), Failure> {
    let failed = |error| format!("could not write the {what} to {}: {error}", file.display());
    let mut open = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .map_err(failed)?;
    let written = writeln!(open, "{secret}").and_then(|()| open.sync_all());
    if let Err(error) = written {
        // Half a key would only be in the way of the next try; that it stays is told by then.
        let _ = fs::remove_file(file);
        return Err(failed(error).into());
    }
    Ok(())
}

/// Reads whose key it is, as it can stand in a header.
pub(super) fn key_id(text: &str) -> Result<KeyId, String> {
    let is_fit = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
    KeyId::parse(text).filter(|_| is_fit).ok_or_else(|| {
        format!(
            "expected SUBSCRIBER|UNIQUE_KEY in visible ASCII without quotes and backslashes, found `{}`",
            Outside(text)
        )
    })
}
