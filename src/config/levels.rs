//! The levels of single rules: a table of names, each with a level.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::value::{Unfit, Value, quoted, shown_name};
use crate::words::Level;

/// Which names there are is for the rules to say; here any is taken.
impl Value for BTreeMap<String, Level> {
    type Form = ();

    fn read(value: &Spanned<DeValue<'_>>, (): ()) -> Result<Self, Vec<Unfit>> {
        let Some(table) = value.get_ref().as_table() else {
            return Err(vec![Unfit::new(value, &Self::expected(()))]);
        };
        let (mut levels, mut unfit) = (Self::new(), Vec::new());
        collect("", table, &mut |name, value| match Level::read(value, ()) {
            Ok(level) => _ = levels.insert(name, level),
            Err(wrong) => {
                unfit.extend(wrong.into_iter().map(|one| Unfit { part: shown_name(&name), ..one }));
            }
        });
        if unfit.is_empty() { Ok(levels) } else { Err(unfit) }
    }

    fn fits(&self, (): ()) -> bool {
        true
    }

    fn expected((): ()) -> String {
        format!("a table of names, each with {}", Level::expected(()))
    }

    fn shown(&self, (): ()) -> String {
        let pairs: Vec<String> = self
            .iter()
            .map(|(name, level)| format!("{} = {}", quoted(name), level.shown(())))
            .collect();
        format!("{{{}}}", pairs.join(", "))
    }
}

/// Visits every value with its whole name. A name with dots need not be quoted: TOML makes tables
/// of it, which are joined again; its parser bounds how deep they are.
fn collect(
    prefix: &str,
    table: &DeTable<'_>,
    visit: &mut dyn FnMut(String, &Spanned<DeValue<'_>>),
) {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        match value.get_ref().as_table() {
            Some(below) => collect(&format!("{name}."), below, visit),
            None => visit(name, value),
        }
    }
}
