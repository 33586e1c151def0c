//! A setting that is never shown.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use toml::Spanned;
use toml::de::DeValue;

use super::value::{Unfit, Value, mismatch};

/// A private key in base64, or none; neither `Debug` nor a message shows it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a private key in base64.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Secret(none)" } else { "Secret(hidden)" })
    }
}

impl Value for Secret {
    type Form = ();

    const IS_TEXT: bool = true;

    fn read(value: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Unfit>> {
        let secret = value.get_ref().as_str().map(Self::new).filter(|secret| secret.fits(()));
        secret.ok_or_else(|| {
            let message = mismatch(&Self::expected(()), "something else (not shown)");
            vec![Unfit { at: value.span(), part: String::new(), message }]
        })
    }

    fn fits(&self, (): ()) -> bool {
        let bytes = STANDARD.decode(self.0.trim()).map(|bytes| bytes.len());
        self.is_empty() || matches!(bytes, Ok(32 | 64))
    }

    fn expected((): ()) -> String {
        "\"\" or 32 or 64 bytes in base64".to_owned()
    }

    fn shown(&self, (): ()) -> String {
        if self.is_empty() { "\"\"".to_owned() } else { "not shown".to_owned() }
    }
}
