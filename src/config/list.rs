//! Settings that are a list of texts of one form.

use toml::Spanned;
use toml::de::DeValue;

use super::value::{Unfit, Value, fit, quoted};
use crate::words::{HostName, PinnedKey, SubscriberId};

/// How many elements a list may have.
#[derive(Clone, Copy)]
pub(super) struct AtMost(pub(super) usize);

/// What a list can be of: texts of one form.
pub(super) trait Item: Sized {
    /// Says what a text must be, to go after "expected".
    const EXPECTED: &'static str;

    /// Reads an allowed text.
    fn read(text: &str) -> Option<Self>;

    /// Returns the text.
    fn shown(&self) -> String;
}

impl Item for SubscriberId {
    const EXPECTED: &'static str = "only texts that are not empty";

    fn read(text: &str) -> Option<Self> {
        let id = Self::new(text);
        (!id.as_str().is_empty()).then_some(id)
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Item for PinnedKey {
    const EXPECTED: &'static str = Self::FORM;

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Item for HostName {
    const EXPECTED: &'static str = Self::FORM;

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl<T: Item> Value for Vec<T> {
    type Form = AtMost;

    fn read(value: &Spanned<DeValue<'_>>, form: AtMost) -> Result<Self, Vec<Unfit>> {
        let items = value.get_ref().as_array();
        let read = |item: &Spanned<DeValue<'_>>| T::read(item.get_ref().as_str()?);
        // Each wrong element has its own line.
        let wrong: Vec<Unfit> = items
            .into_iter()
            .flat_map(|items| items.iter().filter(|item| read(item).is_none()))
            .map(|item| Unfit::new(item, T::EXPECTED))
            .collect();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        fit(value, form, items.and_then(|items| items.iter().map(read).collect()))
    }

    fn fits(&self, AtMost(limit): AtMost) -> bool {
        // A program may have made an element that no text gives.
        self.len() <= limit && self.iter().all(|item| T::read(&item.shown()).is_some())
    }

    fn expected(AtMost(limit): AtMost) -> String {
        format!("a list of at most {limit} texts, such as [\"a\", \"b\"]")
    }

    fn shown(&self, AtMost(limit): AtMost) -> String {
        let shown: Vec<String> =
            self.iter().take(limit).map(|item| quoted(&item.shown())).collect();
        format!("[{}]", shown.join(", "))
    }
}
