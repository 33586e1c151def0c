//! Reads the keys that the settings name: pinned ones and our own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Config, RegistryApi, SignatureMode};
use crate::metrics::Metrics;
use crate::registry::{Api, Keys, OpenError, Options, RegistryOptions, Signer};
use crate::signature::{KeyError, PrivateKey};
use crate::words::{Chain, KeyId, Outside, PinnedKey, holds_key};

/// Why the keys of sellers cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// A file of keys cannot be read.
    #[error("could not read {setting}, {}", path.display())]
    Read {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of the file of pinned keys is none.
    #[error("{}:{line}: expected {}, found {found}", path.display(), PinnedKey::FORM)]
    Pinned {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What stands there, cut.
        found: String,
    },
    /// Signatures are required, and there is no key to verify one with.
    #[error(
        "signature.mode is \"required\", and {} holds no key: pin one, or set registry.url",
        path.display()
    )]
    None {
        /// The file of pinned keys.
        path: PathBuf,
    },
    /// Our own private key is none.
    #[error("our private key ({setting}) cannot be used: {why}")]
    Private {
        /// The setting that holds it or names its file.
        setting: &'static str,
        /// Why.
        why: String,
    },
    /// A pinned key is none, or the registry cannot be asked with these settings.
    #[error("{0}")]
    Source(String),
}

impl From<OpenError> for KeysError {
    fn from(error: OpenError) -> Self {
        Self::Source(Chain(&error).to_string())
    }
}

/// Opens the sources of keys.
pub(crate) fn open(config: &Config, metrics: &Arc<Metrics>) -> Result<Keys, KeysError> {
    let mut pinned = config.signature.pinned_keys.clone();
    let file = &config.signature.pinned_keys_file;
    if !file.as_os_str().is_empty() {
        pinned.extend(pinned_in(file)?);
    }
    let has_registry = !config.registry.url.is_empty();
    let is_required = config.signature.mode == SignatureMode::Required;
    if is_required && pinned.is_empty() && !has_registry {
        return Err(KeysError::None { path: file.clone() });
    }
    if pinned.is_empty() && !has_registry && config.signature.mode == SignatureMode::Optional {
        tracing::info!(
            "no signature can be verified: neither registry.url nor signature.pinned_keys is set"
        );
    }
    let registry = has_registry.then(|| registry(config, metrics)).transpose()?;
    Ok(Keys::open(Options { pinned, registry })?)
}

fn registry(config: &Config, metrics: &Arc<Metrics>) -> Result<RegistryOptions, KeysError> {
    let registry = &config.registry;
    Ok(RegistryOptions {
        url: registry.url.clone(),
        api: match registry.api {
            RegistryApi::OndcV2 => Api::OndcV2,
            RegistryApi::Ondc => Api::Ondc,
            RegistryApi::Beckn => Api::Beckn,
        },
        country: registry.country.clone(),
        signer: signer(config)?,
        timeout: registry.timeout,
        response_limit: registry.response_limit_bytes,
        fresh: registry.cache,
        stale: registry.stale,
        negative: registry.unknown,
        subscribers: registry.cached_subscribers,
        lookups_per_minute: registry.lookups_per_minute,
        metrics: Arc::clone(metrics),
    })
}

/// Returns who signs our look-ups; `None` when the settings name no key of ours.
fn signer(config: &Config) -> Result<Option<Signer>, KeysError> {
    let registry = &config.registry;
    let Some(id) = KeyId::parse(&registry.key_id) else { return Ok(None) };
    let file = &registry.private_key_file;
    let (setting, text) = if file.as_os_str().is_empty() {
        ("registry.private_key", registry.private_key.expose().to_owned())
    } else {
        let setting = "registry.private_key_file";
        (setting, read(setting, file)?)
    };
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |why: KeyError| KeysError::Private { setting, why: why.to_string() };
    Ok(Some(Signer { id, key: PrivateKey::parse(&text).map_err(wrong)? }))
}

/// Returns our own key by its id, as it has to be registered; `None` when the settings have none.
#[cfg(feature = "cli")]
pub(crate) fn own(
    config: &Config,
) -> Result<Option<(KeyId, crate::signature::PublicKey)>, KeysError> {
    Ok(signer(config)?.map(|Signer { id, key }| (id, key.public())))
}

/// Reads a file of pinned keys: one a line, lines that start with `#` are notes.
fn pinned_in(path: &Path) -> Result<Vec<PinnedKey>, KeysError> {
    let text = read("signature.pinned_keys_file", path)?;
    let lines = text.lines().map(str::trim).enumerate();
    let keys = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    keys.map(|(number, line)| {
        PinnedKey::parse(line).ok_or_else(|| KeysError::Pinned {
            path: path.to_owned(),
            line: number + 1,
            found: if holds_key(line) {
                "a line with a key that is not one (not shown)".to_owned()
            } else {
                format!("`{}`", Outside(line))
            },
        })
    })
    .collect()
}

fn read(setting: &'static str, path: &Path) -> Result<String, KeysError> {
    let wrong = |source| KeysError::Read { setting, path: path.to_owned(), source };
    std::fs::read_to_string(path).map_err(wrong)
}
