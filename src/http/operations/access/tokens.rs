//! The tokens that let their holders in: from the settings, from a file, or made at the first start.
//!
//! Only digests are kept. A token is compared with every one in a time that says nothing of them.

use std::fmt;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use crate::config;
use crate::operations::principal::{Permissions, Principal};
use crate::words::TokenLine;

/// The file that is made in `inbox.path` when the settings name no tokens.
pub(crate) const FILE: &str = "operations-tokens";

/// The longest file that is read, and how many tokens it may hold: each is compared each time.
const FILE_BYTES: u64 = 256 * 1024;
const MOST: usize = 256;

/// Why there are no tokens. Never says what a line holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokensError {
    /// The file cannot be read.
    #[error("could not read the tokens of operators in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be made.
    #[error("could not make {} with a token for operators", path.display())]
    Make {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of the file is none.
    #[error("{}:{line}: expected {}, found something else (not shown)", path.display(), TokenLine::FORM)]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number.
        line: usize,
    },
    /// The file is longer than any list of tokens.
    #[error("{} is longer than {FILE_BYTES} bytes: no list of tokens", path.display())]
    Long {
        /// The file.
        path: PathBuf,
    },
    /// The file holds none.
    #[error("{} holds no token: write one, or delete it and a new one is made", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Two have one name, which stands in the audit.
    #[error("two tokens of operators have the name {name}")]
    Twice {
        /// The name.
        name: String,
    },
    /// There are more than are compared at each request.
    #[error("there are more than {MOST} tokens of operators")]
    TooMany,
}

/// A digest under which a token or a session is known.
pub(super) type Digest = [u8; 32];

/// Returns the digest of a text that only its holder knows.
pub(super) fn digest(text: &str) -> Digest {
    Sha256::digest(text.as_bytes()).into()
}

/// Returns 32 random bytes as text.
pub(super) fn random_text() -> std::io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Who may come in.
pub(crate) struct Tokens(Vec<(Digest, Principal)>);

/// The file that tokens are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokensFile {
    /// The one that the settings name.
    Named(PathBuf),
    /// The one that the first start makes.
    Ours(PathBuf),
}

impl TokensFile {
    /// Returns the file that is read by these settings; `None` when they hold the tokens.
    pub(crate) fn of(settings: &config::Operations, inbox: &Path) -> Option<Self> {
        if !settings.tokens_file.as_os_str().is_empty() {
            return Some(Self::Named(settings.tokens_file.clone()));
        }
        settings.tokens.is_empty().then(|| Self::Ours(inbox.join(FILE)))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({}, hidden)", self.0.len())
    }
}

impl Tokens {
    /// Reads the tokens of the settings and of their file; with neither, those of the file in
    /// `inbox`, which is made when there is none. Blocking.
    ///
    /// # Errors
    /// A file cannot be read or made, or what it holds is not a list of tokens.
    pub(crate) fn open(settings: &config::Operations, inbox: &Path) -> Result<Self, TokensError> {
        if let Some(TokensFile::Ours(file)) = TokensFile::of(settings, inbox)
            && !file.exists()
        {
            make(&file).map_err(|source| TokensError::Make { path: file.clone(), source })?;
            tracing::info!(file = %file.display(), "made a token for operators: it is in the file");
        }
        Self::load(settings, inbox)
    }

    /// As [`Tokens::open`], but nothing is made. Blocking.
    ///
    /// # Errors
    /// A file cannot be read, or what it holds is not a list of tokens.
    pub(crate) fn load(settings: &config::Operations, inbox: &Path) -> Result<Self, TokensError> {
        let mut tokens = Self(Vec::new());
        for line in &settings.tokens {
            let line = TokenLine::parse(line.expose()).expect("the settings were checked");
            tokens.add(&line)?;
        }
        match TokensFile::of(settings, inbox) {
            Some(TokensFile::Named(file) | TokensFile::Ours(file)) => tokens.read(&file)?,
            None => {}
        }
        Ok(tokens)
    }

    /// Returns how many there are.
    #[cfg(any(feature = "cli", test))]
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    fn add(&mut self, line: &TokenLine<'_>) -> Result<(), TokensError> {
        let TokenLine { name, read, bodies, act, token } = *line;
        if self.0.iter().any(|(_, known)| &*known.name == name) {
            return Err(TokensError::Twice { name: name.to_owned() });
        }
        if self.0.len() == MOST {
            return Err(TokensError::TooMany);
        }
        let may = Permissions { read, bodies, act };
        self.0.push((digest(token), Principal { name: Arc::from(name), may }));
        Ok(())
    }

    fn read(&mut self, path: &Path) -> Result<(), TokensError> {
        let unread = |source| TokensError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(unread)?;
        warn_of_readers(path, &file);
        let mut text = String::new();
        file.take(FILE_BYTES + 1).read_to_string(&mut text).map_err(unread)?;
        if text.len() as u64 > FILE_BYTES {
            return Err(TokensError::Long { path: path.to_owned() });
        }
        let before = self.0.len();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let line = TokenLine::parse(line)
                .ok_or_else(|| TokensError::Line { path: path.to_owned(), line: number })?;
            self.add(&line)?;
        }
        if self.0.len() == before {
            return Err(TokensError::Empty { path: path.to_owned() });
        }
        Ok(())
    }

    /// Returns whose token this is.
    pub(super) fn holder(&self, token: &str) -> Option<&Principal> {
        let presented = digest(token);
        let mut found = u32::MAX;
        // All of them, and no branch on the way: the time is the same whatever is presented.
        for (place, (known, _)) in (0..).zip(&self.0) {
            found.conditional_assign(&place, known.ct_eq(&presented));
        }
        self.0.get(found as usize).map(|(_, principal)| principal)
    }
}

/// Makes the file with one token, readable by its owner only from the first moment on.
fn make(path: &Path) -> std::io::Result<()> {
    let text = format!(
        "# Who may use the operations listener, one a line: name|permissions|token.\n\
         # Made at the first start. A change counts from the next start on.\n\
         admin|read,bodies,act|{}\n",
        random_text()?
    );
    if let Some(directory) = path.parent() {
        // An inbox in a database has made none.
        let mut make = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut make, 0o700);
        make.recursive(true).create(directory)?;
    }
    // Written whole under another name: a start that ends half-way leaves no file without a token.
    let unfinished = path.with_extension("new");
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}

/// Warns of a file that every user of the machine can read.
#[cfg(unix)]
fn warn_of_readers(path: &Path, file: &File) {
    use std::os::unix::fs::MetadataExt as _;
    match file.metadata() {
        Ok(about) if about.mode() & 0o007 != 0 => {
            let path = path.display();
            tracing::warn!(
                "{path} holds tokens and other users of this machine can read it: chmod o= {path}"
            );
        }
        Ok(_) => {}
        Err(error) => tracing::debug!(error = %error, "the mode of the tokens' file is not known"),
    }
}

#[cfg(not(unix))]
fn warn_of_readers(_path: &Path, _file: &File) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Operations, Secret};

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn the_first_start_makes_a_token_that_later_ones_read() {
        let inbox = tempfile::tempdir().unwrap();
        let open = || Tokens::open(&Operations::default(), inbox.path()).unwrap();
        open();
        let text = std::fs::read_to_string(inbox.path().join(FILE)).unwrap();
        let line = text.lines().last().unwrap().to_owned();
        let token = line.strip_prefix("admin|read,bodies,act|").unwrap();
        assert_eq!(token.len(), 43);
        let tokens = open();
        let all = Permissions { read: true, bodies: true, act: true };
        assert_eq!(tokens.holder(token).unwrap().may, all);
        assert_eq!(tokens.holder(&token[1..]), None);
        assert!(!format!("{tokens:?}").contains(token));
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let about = std::fs::metadata(inbox.path().join(FILE)).unwrap();
            assert_eq!(about.mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn settings_and_a_file_go_together_and_make_no_file() {
        let inbox = tempfile::tempdir().unwrap();
        let file = inbox.path().join("mine");
        std::fs::write(&file, format!("# notes\n\nci|read|{TOKEN}1\n")).unwrap();
        let settings = Operations {
            tokens: vec![Secret::new(format!("oncall|read,act|{TOKEN}"))],
            tokens_file: file,
            ..Operations::default()
        };
        let tokens = Tokens::open(&settings, inbox.path()).unwrap();
        let name = |token: &str| tokens.holder(token).map(|holder| holder.name.to_string());
        assert_eq!(name(TOKEN).as_deref(), Some("oncall"));
        assert_eq!(name(&format!("{TOKEN}1")).as_deref(), Some("ci"));
        assert_eq!(name(""), None);
        assert!(!inbox.path().join(FILE).exists());
    }

    #[test]
    fn a_mistake_in_the_file_is_named_by_its_line_and_not_shown() {
        let inbox = tempfile::tempdir().unwrap();
        let file = inbox.path().join("mine");
        let settings = Operations { tokens_file: file.clone(), ..Operations::default() };
        let check = |text: &str, expected: &str| {
            std::fs::write(&file, text).unwrap();
            let error = Tokens::open(&settings, inbox.path()).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains(TOKEN), "{error}");
        };
        check(&format!("a|read|{TOKEN}\nb|raed|{TOKEN}\n"), "mine:2: expected \"name|perm");
        check(
            &format!("a|read|{TOKEN}\na|act|{TOKEN}\n"),
            "two tokens of operators have the name a",
        );
        check("# none\n", "holds no token");
    }
}
