//! Settings that are never shown.

use std::fmt;

use toml::Spanned;
use toml::de::DeValue;

use super::value::{Form, Unfit, Value, mismatch};

/// A key, a password or the like, or none; neither `Debug` nor a message shows it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret as the settings write it.
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
    type Form = Form;

    const IS_TEXT: bool = true;

    fn read(value: &Spanned<DeValue<'_>>, form: Form) -> Result<Self, Vec<Unfit>> {
        let secret = value.get_ref().as_str().map(Self::new).filter(|secret| secret.fits(form));
        secret.ok_or_else(|| {
            let message = mismatch(form.expected, NOT_SHOWN);
            vec![Unfit { at: value.span(), part: String::new(), message }]
        })
    }

    fn fits(&self, form: Form) -> bool {
        (form.fits)(&self.0)
    }

    fn expected(form: Form) -> String {
        form.expected.to_owned()
    }

    fn shown(&self, _: Form) -> String {
        if self.is_empty() { "\"\"".to_owned() } else { "not shown".to_owned() }
    }
}

/// A list of secrets that sign what is forwarded, the newest first.
impl Value for Vec<Secret> {
    type Form = Form;

    fn read(value: &Spanned<DeValue<'_>>, form: Form) -> Result<Self, Vec<Unfit>> {
        let unfit = |message: &str| {
            let message = mismatch(message, NOT_SHOWN);
            vec![Unfit { at: value.span(), part: String::new(), message }]
        };
        let Some(items) = value.get_ref().as_array() else {
            return Err(unfit(&Self::expected(form)));
        };
        if items.len() > SECRETS_LIMIT {
            return Err(unfit(&Self::expected(form)));
        }
        let (mut secrets, mut wrong) = (Vec::new(), Vec::new());
        for item in items {
            match Secret::read(item, form) {
                Ok(secret) => secrets.push(secret),
                Err(unfit) => wrong.extend(unfit),
            }
        }
        if wrong.is_empty() { Ok(secrets) } else { Err(wrong) }
    }

    fn fits(&self, form: Form) -> bool {
        self.len() <= SECRETS_LIMIT && self.iter().all(|secret| secret.fits(form))
    }

    fn expected(form: Form) -> String {
        format!("a list of at most {SECRETS_LIMIT}, each {}", form.expected)
    }

    fn shown(&self, _: Form) -> String {
        if self.is_empty() { "[]".to_owned() } else { "not shown".to_owned() }
    }
}

/// An old one, a new one, and some to spare: each adds a signature to every request.
const SECRETS_LIMIT: usize = 8;

/// What stands in a message in place of what may be a secret.
const NOT_SHOWN: &str = "something else (not shown)";
