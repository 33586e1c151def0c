//! What the texts of settings must look like.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::value::Form;
use crate::words::{KeyId, TokenLine, holds_secret};

pub(super) const NOT_EMPTY: Form =
    Form { expected: "a text that is not empty", fits: |text| !text.trim().is_empty() };
pub(super) const PREFIX: Form = Form {
    expected: "\"\" or a path such as \"/beckn\", without a slash at its end",
    fits: is_prefix,
};

pub(super) const ANY_PATH: Form = Form {
    expected: "a path, or \"\" for none",
    // A secret that was put where its file belongs would be repeated when the file is not found.
    fits: |text| !holds_secret(text),
};
pub(super) const ACCESS_TOKEN: Form =
    Form { expected: TokenLine::FORM, fits: |text| TokenLine::parse(text).is_some() };
pub(super) const ACCESS_TOKENS_PATH: Form = Form {
    expected: "a path without |, or \"\" for none",
    // A token that was put where its file belongs would be repeated when the file is not found.
    fits: |text| !text.contains('|') && !holds_secret(text),
};
pub(super) const URL: Form = Form {
    expected: "\"\" or a whole URL without a user, such as \"https://registry.example/lookup\"",
    fits: is_url,
};
pub(super) const SCHEMA_NAME: Form = Form {
    expected: "up to 40 small letters, digits and _, a letter first",
    // It becomes part of the name of a channel, which has room for 63 bytes.
    fits: |text| {
        text.len() <= 40
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    },
};
pub(super) const DATABASE_URL: Form = Form {
    expected: "\"\" or \"postgres://user@host/database\"",
    fits: |text| {
        let starts = |scheme| text.starts_with(scheme);
        text.is_empty() || starts("postgres://") || starts("postgresql://")
    },
};
pub(super) const KEY_ID: Form = Form {
    expected: "\"\" or \"subscriber id|unique key id\"",
    fits: |text| text.is_empty() || KeyId::parse(text).is_some(),
};
pub(super) const COUNTRY: Form = Form {
    expected: "\"\" or a country's three letters, such as \"IND\"",
    fits: |text| {
        text.is_empty() || (text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase()))
    },
};

pub(super) fn is_url(text: &str) -> bool {
    let has_host = |uri: axum::http::Uri| {
        uri.host().is_some_and(|host| !host.is_empty())
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && matches!(uri.scheme_str(), Some("http" | "https"))
    };
    text.is_empty() || text.parse().is_ok_and(has_host)
}

pub(super) const HANDLER_NAME: Form = Form {
    expected: "a handler's name: up to 32 small letters, digits and single _, a letter first",
    // Upper-cased it is a part of a variable's name, in which `__` ends a part.
    fits: |text| {
        text.len() <= 32
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && !text.contains("__")
            && !text.ends_with('_')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    },
};
pub(super) const PRIVATE_KEY: Form = Form {
    expected: "\"\" or 32 or 64 bytes in base64",
    fits: |text| {
        let bytes = STANDARD.decode(text.trim()).map(|bytes| bytes.len());
        text.is_empty() || matches!(bytes, Ok(32 | 64))
    },
};

fn is_prefix(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"?#%\"<>\\^`{|}".contains(&byte);
    text.is_empty()
        || (text.starts_with('/')
            && !text.ends_with('/')
            && !text.contains("//")
            && text.bytes().all(allowed))
}
