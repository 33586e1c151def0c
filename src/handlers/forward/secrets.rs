//! The secrets that sign what is forwarded, as Standard Webhooks has it.
//!
//! Every secret signs, so that the app takes a new one before or after it is here. Those of a file
//! change without a restart: put the new secret above the old one, give it to the app, and then
//! take the old one out.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::words::{Chain, Seldom};

/// What marks a secret as one; the libraries that verify do not insist on it, and neither do we.
const PREFIX: &str = "whsec_";

/// How long a secret is, by the specification.
const BYTES: RangeInclusive<usize> = 24..=64;

/// How many secrets a list may hold: each adds 48 bytes to a header of every request.
const MOST: usize = 8;

/// The longest file that is read; longer is no list of secrets.
const FILE_BYTES: usize = 16 * 1024;

/// How long the file is left alone after it was looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Why a text is no secret. Never says what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("expected `whsec_` and standard base64")]
    NotBase64,
    #[error("expected 24 to 64 bytes in base64, found {0}")]
    Length(usize),
}

/// Why a list of secrets cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error("it cannot be read")]
    Read(#[from] std::io::Error),
    #[error("it is longer than {FILE_BYTES} bytes")]
    TooLong,
    /// The place is `secret` or `line`, counted from 1.
    #[error("{place} {number} is no secret")]
    Secret { place: &'static str, number: usize, source: SecretError },
    #[error("it holds no secret")]
    Empty,
    #[error("it holds more than {MOST} secrets")]
    TooMany,
}

/// A key that signs; wiped when it is dropped, and never shown.
struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    fn parse(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        let text = text.strip_prefix(PREFIX).unwrap_or(text);
        // The cause would repeat a part of the secret.
        let bytes = STANDARD.decode(text).map_err(|_symbol| SecretError::NotBase64)?;
        let bytes = Zeroizing::new(bytes);
        if !BYTES.contains(&bytes.len()) {
            return Err(SecretError::Length(bytes.len()));
        }
        Ok(Self(bytes))
    }

    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes any length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// Reads a list, newest first; each text has its number with it, and `place` says what is counted.
fn list<'a>(
    place: &'static str,
    texts: impl Iterator<Item = (usize, &'a str)>,
) -> Result<Vec<Secret>, ListError> {
    let mut secrets = Vec::new();
    for (number, text) in texts {
        if secrets.len() == MOST {
            return Err(ListError::TooMany);
        }
        let wrong = |source| ListError::Secret { place, number, source };
        secrets.push(Secret::parse(text).map_err(wrong)?);
    }
    Ok(secrets)
}

/// The secrets of the settings, and those of a file that is read again when it changes.
pub(super) struct Secrets {
    settings: Vec<Secret>,
    file: Option<SecretsFile>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(hidden)")
    }
}

impl Secrets {
    /// Reads the secrets of the settings, newest first.
    pub(super) fn of_settings(texts: Vec<String>) -> Result<Self, ListError> {
        let texts = Zeroizing::new(texts);
        let settings = list("secret", (1..).zip(texts.iter().map(String::as_str)))?;
        Ok(Self { settings, file: None })
    }

    /// Adds those of a file, which is looked at again after `look_every`. Reads the file.
    pub(super) fn with_file(self, path: &Path, look_every: Duration) -> Result<Self, ListError> {
        Ok(Self { file: Some(SecretsFile::open(path, look_every)?), ..self })
    }

    /// Looks whether the file has changed, if that was not done for a while.
    ///
    /// # Cancel safety
    /// Dropped, a look that has begun goes on and its secrets are used.
    pub(super) async fn refresh(&self) {
        if let Some(file) = &self.file {
            file.look().await;
        }
    }

    /// Returns the header's value: a signature for each secret, the file's before the settings';
    /// `None` when there is no secret.
    pub(super) fn signatures(&self, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
        let of_file = self.file.as_ref().map(SecretsFile::current);
        let secrets = of_file.iter().flat_map(|secrets| secrets.iter()).chain(&self.settings);
        let signatures: Vec<_> = secrets.map(|secret| secret.sign(id, timestamp, body)).collect();
        (!signatures.is_empty()).then(|| signatures.join(" "))
    }
}

struct SecretsFile {
    path: PathBuf,
    look_every: Duration,
    current: Arc<Mutex<Arc<Vec<Secret>>>>,
    /// Held by the one that looks: the others go on with what is there.
    seen: Arc<tokio::sync::Mutex<Seen>>,
}

/// What tells one state of a file from another. All secrets of one kind are equally long, so the
/// length alone would not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

impl From<Metadata> for Stamp {
    fn from(metadata: Metadata) -> Self {
        // A file system without the time has only the length.
        Self { modified: metadata.modified().ok(), bytes: metadata.len() }
    }
}

/// The last look at the file.
struct Seen {
    stamp: Stamp,
    looked: Instant,
    told: Seldom,
}

impl SecretsFile {
    fn open(path: &Path, look_every: Duration) -> Result<Self, ListError> {
        let (mut file, stamp) = open(path)?;
        let current = Arc::new(Mutex::new(Arc::new(read(&mut file)?)));
        let seen = Seen { stamp, looked: Instant::now(), told: Seldom::default() };
        let seen = Arc::new(tokio::sync::Mutex::new(seen));
        Ok(Self { path: path.to_owned(), look_every, current, seen })
    }

    fn current(&self) -> Arc<Vec<Secret>> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn look(&self) {
        let Ok(mut seen) = Arc::clone(&self.seen).try_lock_owned() else { return };
        if seen.looked.elapsed() < self.look_every {
            return;
        }
        seen.looked = Instant::now();
        let (path, current) = (self.path.clone(), Arc::clone(&self.current));
        // A file may lie on a disk that hangs. The lock goes along, so that one look hangs, not each.
        let look = tokio::task::spawn_blocking(move || seen.look(&path, &current));
        // Only a runtime that ends stops it; then nothing more is signed.
        let _ = look.await;
    }
}

impl Seen {
    /// Reads the file when it is another one than before. While it is broken, it is read at each
    /// look, and the secrets of before go on.
    fn look(&mut self, path: &Path, current: &Mutex<Arc<Vec<Secret>>>) {
        match self.changed(path) {
            Ok(None) => {}
            Ok(Some(secrets)) => {
                tracing::info!(count = secrets.len(), "the secrets that sign were read again");
                *current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(secrets);
            }
            Err(error) => {
                if let Some(left_out) = self.told.say(Utc::now()) {
                    tracing::warn!(
                        path = %path.display(),
                        error = %Chain(&error),
                        left_out,
                        "the file of secrets cannot be used: those read before go on signing"
                    );
                }
            }
        }
    }

    fn changed(&mut self, path: &Path) -> Result<Option<Vec<Secret>>, ListError> {
        let (mut file, stamp) = open(path)?;
        if stamp == self.stamp {
            return Ok(None);
        }
        let secrets = read(&mut file)?;
        self.stamp = stamp;
        Ok(Some(secrets))
    }
}

/// Opens the file before it asks for its state, so that what is read is not older than that.
fn open(path: &Path) -> Result<(File, Stamp), ListError> {
    let file = File::open(path)?;
    let stamp = file.metadata()?.into();
    Ok((file, stamp))
}

/// Reads a secret a line; empty lines and those that begin with `#` are left out.
fn read(file: &mut File) -> Result<Vec<Secret>, ListError> {
    // Room for all at once: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES + 1));
    file.take(FILE_BYTES as u64 + 1).read_to_string(&mut text)?;
    if text.len() > FILE_BYTES {
        return Err(ListError::TooLong);
    }
    let lines = (1..).zip(text.lines().map(str::trim));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let secrets = list("line", lines)?;
    // A file that is cut off must not end the signing.
    if secrets.is_empty() { Err(ListError::Empty) } else { Ok(secrets) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use super::{ListError, MOST, SecretError, Secrets};
    use crate::words::Chain;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "whsec_bm90IHRoZSBzYW1lIHNlY3JldCBhdCBhbGw=";
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    /// Signs what the libraries' own tests sign.
    fn signatures(secrets: &Secrets) -> String {
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", br#"{"test": 2432232314}"#);
        secrets.signatures(id, 1_614_265_330, body).unwrap()
    }

    fn of(texts: &[&str]) -> Result<Secrets, ListError> {
        Secrets::of_settings(texts.iter().map(|&text| text.to_owned()).collect())
    }

    #[test]
    fn the_published_vector_comes_out() {
        assert_eq!(signatures(&of(&[SECRET]).unwrap()), SIGNATURE);
        let bare = SECRET.strip_prefix("whsec_").unwrap();
        assert_eq!(signatures(&of(&[bare]).unwrap()), SIGNATURE);
    }

    #[test]
    fn each_secret_signs_in_its_order() {
        let other = signatures(&of(&[OTHER]).unwrap());
        assert_eq!(signatures(&of(&[OTHER, SECRET]).unwrap()), format!("{other} {SIGNATURE}"));
        assert_eq!(of(&[]).unwrap().signatures("a", 0, b""), None);
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_shown() {
        let refusal = |text: &str| match of(&[SECRET, text]).unwrap_err() {
            ListError::Secret { number: 2, source, .. } => source,
            error => panic!("{error}"),
        };
        assert_eq!(refusal("whsec_hush!"), SecretError::NotBase64);
        assert_eq!(refusal(""), SecretError::Length(0));
        assert_eq!(refusal("whsec_aHVzaA=="), SecretError::Length(4));
        assert_eq!(refusal(&"A".repeat(88)), SecretError::Length(66));
        assert!(matches!(of(&[SECRET; MOST + 1]), Err(ListError::TooMany)));
        let shown = format!("{:?}", of(&[SECRET]).unwrap());
        assert_eq!(shown, "Secrets(hidden)");
    }

    #[tokio::test]
    async fn a_file_that_changes_changes_who_signs_and_a_broken_one_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets");
        // Each write gets a time of its own, as the file system's may be coarse.
        let mut time = SystemTime::UNIX_EPOCH;
        let mut write = |text: &str| {
            fs::write(&path, text).unwrap();
            time += Duration::from_secs(1);
            fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
        };
        write(&format!("# of March\n\n  {SECRET}\n"));
        let secrets = of(&[OTHER]).unwrap().with_file(&path, Duration::ZERO).unwrap();
        let other = signatures(&of(&[OTHER]).unwrap());
        assert_eq!(signatures(&secrets), format!("{SIGNATURE} {other}"));
        write(&format!("{OTHER}\n{SECRET}\n"));
        secrets.refresh().await;
        let rotated = format!("{other} {SIGNATURE} {other}");
        assert_eq!(signatures(&secrets), rotated);
        // What has not changed is not read again.
        let current = || secrets.file.as_ref().unwrap().current();
        let before = current();
        secrets.refresh().await;
        assert!(Arc::ptr_eq(&before, &current()));
        for broken in ["", "# nothing\n", "whsec_hush!", &"#".repeat(17_000)] {
            write(broken);
            secrets.refresh().await;
            assert_eq!(signatures(&secrets), rotated);
        }
        fs::remove_file(&path).unwrap();
        secrets.refresh().await;
        assert_eq!(signatures(&secrets), rotated);
        write(SECRET);
        secrets.refresh().await;
        assert_eq!(signatures(&secrets), format!("{SIGNATURE} {other}"));
    }

    #[tokio::test]
    async fn a_file_is_left_alone_for_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets");
        fs::write(&path, SECRET).unwrap();
        let secrets = of(&[]).unwrap().with_file(&path, Duration::from_hours(1)).unwrap();
        fs::write(&path, format!("{OTHER}\n{SECRET}")).unwrap();
        secrets.refresh().await;
        assert_eq!(signatures(&secrets), SIGNATURE);
    }

    #[test]
    fn a_file_is_refused_by_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets");
        let open = || of(&[]).unwrap().with_file(&path, Duration::ZERO).unwrap_err();
        assert!(matches!(open(), ListError::Read(_)));
        fs::write(&path, format!("{SECRET}\n# next\nwhsec_hush!\n")).unwrap();
        let text = Chain(&open()).to_string();
        assert!(text.starts_with("line 3 is no secret: ") && !text.contains("hush"), "{text}");
        fs::write(&path, "# none\n").unwrap();
        assert!(matches!(open(), ListError::Empty));
    }
}
