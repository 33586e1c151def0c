//! The handlers that an inbox hands events to, as far as it has to know them.

use std::fmt;
use std::sync::Arc;

use crate::event::Address;

/// A handler's place among those that the inbox was opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Outlet(pub(crate) u16);

/// Which handlers there are, and which of them an event is for.
///
/// It is asked when an event becomes pending, and again for what is pending at a start: a changed
/// route then holds for what waits, too.
#[derive(Clone)]
pub(crate) struct Outlets {
    names: Arc<[String]>,
    choose: Choose,
}

/// Returns the place of the handler that an address leads to.
type Choose = Arc<dyn Fn(&Address<'_>) -> Outlet + Send + Sync>;

impl Outlets {
    /// Makes the outlets of these handlers; `choose` returns the place of one of them.
    pub(crate) fn new(
        names: Vec<String>,
        choose: impl Fn(&Address<'_>) -> Outlet + Send + Sync + 'static,
    ) -> Self {
        Self { names: names.into(), choose: Arc::new(choose) }
    }

    /// Makes the one outlet that takes everything.
    #[cfg(test)]
    pub(crate) fn one(name: &str) -> Self {
        Self::new(vec![name.to_owned()], |_| Outlet(0))
    }

    /// Returns the names of the handlers, in the order of their places.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns where an event goes.
    pub(crate) fn of(&self, address: &Address<'_>) -> Outlet {
        (self.choose)(address)
    }
}

impl fmt::Debug for Outlets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names.iter()).finish()
    }
}
