//! What every table of settings is made of: a row, and the units of its bounds.

use toml::Spanned;
use toml::de::DeValue;

use super::value::{Unfit, Value, mismatch};

pub(super) const KIB: usize = 1_024;
pub(super) const MIB: usize = 1_024 * KIB;
pub(super) const GIB: u64 = 1_073_741_824;
/// More than a disk has; keeps sums of sizes far from the end of 64 bits.
pub(super) const PIB: u64 = 1_048_576 * GIB;
/// The longest time-out is an hour or a day: more is a mistake of the unit.
pub(super) const HOUR_MS: u64 = 3_600_000;

/// One row of a table of settings: of the `Config`, or of a handler.
pub(super) struct Setting<C> {
    /// The dotted name, as in `http.listen`.
    pub(super) name: &'static str,
    /// Whether its environment variable holds the text itself; otherwise it holds TOML.
    pub(super) is_text: bool,
    /// Puts the value into its place, or says what is wrong with it.
    pub(super) set: fn(&mut C, &Spanned<DeValue<'_>>) -> Result<(), Vec<Unfit>>,
    /// Says what is wrong with the value that is there.
    pub(super) unfit: fn(&C) -> Option<String>,
    /// Returns the value that is there, as TOML.
    pub(super) shown: fn(&C) -> String,
    /// The documentation, a text for each line.
    #[cfg(test)]
    pub(super) doc: &'static [&'static str],
}

impl<C> Setting<C> {
    /// Returns the environment variable that overrides the setting.
    pub(super) fn variable(&self) -> String {
        format!("{VARIABLES}{}", self.name.to_ascii_uppercase().replace('.', "__"))
    }
}

/// What the name of every environment variable of ours starts with.
pub(super) const VARIABLES: &str = "BECKN_RECEIVER_";

pub(super) fn unfit<T: Value>(value: &T, form: T::Form) -> Option<String> {
    (!value.fits(form)).then(|| mismatch(&T::expected(form), &value.shown(form)))
}

/// Makes a row; `$config => $field` is where the value lies.
macro_rules! row {
    ($name:expr, $Type:ty, $form:expr, [$($doc:literal)+], $config:ident => $field:expr) => {
        $crate::config::table::Setting {
            name: $name,
            is_text: <$Type as $crate::config::value::Value>::IS_TEXT,
            set: |$config, value| {
                $field = <$Type as $crate::config::value::Value>::read(value, $form)?;
                Ok(())
            },
            unfit: |$config| $crate::config::table::unfit(&$field, $form),
            shown: |$config| <$Type as $crate::config::value::Value>::shown(&$field, $form),
            #[cfg(test)]
            doc: &[$($doc),+],
        }
    };
}
pub(super) use row;
