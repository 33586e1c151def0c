//! Opens the inbox that the settings name.

use std::fmt;
use std::sync::Arc;

#[cfg(any(feature = "cli", feature = "postgres"))]
use tokio::runtime::Handle;

#[cfg(feature = "postgres")]
use super::database;
use super::{StartError, options};
use crate::clock::Clock;
use crate::config::{Config, Engine};
use crate::inbox::expectations::Expecting;
#[cfg(feature = "postgres")]
use crate::inbox::reader::place::Database;
use crate::inbox::reader::place::Place;
use crate::inbox::sqlite::SqliteInbox;
use crate::inbox::{Inbox, Outlets};
use crate::metrics::Metrics;

/// Why the inbox's database cannot be used; neither its address's user nor its password is shown.
#[derive(thiserror::Error)]
#[error("{text}")]
pub struct DatabaseError {
    text: String,
    /// Whether trying again does not help.
    is_mistake: bool,
}

impl DatabaseError {
    #[cfg(feature = "postgres")]
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_mistake: false }
    }

    /// Returns what is wrong with the settings.
    pub(super) fn mistake(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_mistake: true }
    }

    /// Returns whether the settings have to be changed.
    #[cfg(feature = "cli")]
    pub(crate) const fn is_mistake(&self) -> bool {
        self.is_mistake
    }
}

impl fmt::Debug for DatabaseError {
    /// Writes it as a person reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The inbox, by what is asked of it.
pub(super) struct Opened {
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) expecting: Arc<dyn Expecting>,
    /// Where who reads it beside the receiver finds it.
    pub(super) place: Place,
}

/// Returns where the inbox is that the settings name. Whoever reads it there must be no task of
/// `runtime`, which drives the connections.
///
/// # Errors
/// The settings of its database cannot be used.
#[cfg(feature = "cli")]
pub(crate) fn place(config: &Config, runtime: &Handle) -> Result<Place, DatabaseError> {
    match config.inbox.engine {
        Engine::Sqlite => Ok(Place::from(config.inbox.path.as_path())),
        #[cfg(feature = "postgres")]
        Engine::Postgres => {
            let (server, runtime) = (database::server(config)?, runtime.clone());
            Ok(Database { server, runtime }.into())
        }
        #[cfg(not(feature = "postgres"))]
        Engine::Postgres => {
            let _ = runtime;
            Err(not_built())
        }
    }
}

/// Opens the inbox.
pub(super) async fn open(
    config: &Config,
    outlets: Outlets,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn Clock>,
) -> Result<Opened, StartError> {
    if config.inbox.engine == Engine::Postgres {
        #[cfg(feature = "postgres")]
        return Box::pin(open_database(config, outlets, metrics, clock)).await;
        #[cfg(not(feature = "postgres"))]
        return Err(not_built().into());
    }
    let options = options::inbox_options(config, outlets, metrics);
    let clock = Arc::clone(clock);
    // Opening reads the disk: not on a thread that serves others.
    let inbox = tokio::task::spawn_blocking(move || SqliteInbox::open(options, clock))
        .await
        .expect("opening the inbox does not panic and is not aborted")?;
    let place = Place::from(config.inbox.path.as_path());
    Ok(Opened { inbox: Arc::<SqliteInbox>::clone(&inbox), expecting: inbox, place })
}

#[cfg(feature = "postgres")]
async fn open_database(
    config: &Config,
    outlets: Outlets,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn Clock>,
) -> Result<Opened, StartError> {
    use crate::inbox::postgres::PostgresInbox;
    use crate::words::Chain;

    let server = database::server(config)?;
    let place = server.place();
    let beside =
        Place::Database(Box::new(Database { server: server.clone(), runtime: Handle::current() }));
    let options = options::database_options(config, server, outlets, metrics);
    let inbox = PostgresInbox::open(options, Arc::clone(clock)).await.map_err(|error| {
        DatabaseError::new(format!("the inbox in {place} cannot be opened: {}", Chain(&error)))
    })?;
    Ok(Opened { inbox: Arc::<PostgresInbox>::clone(&inbox), expecting: inbox, place: beside })
}

#[cfg(not(feature = "postgres"))]
fn not_built() -> DatabaseError {
    DatabaseError::mistake(
        "inbox.engine is \"postgres\", and this program was built without it: build it with the \
         cargo feature `postgres`",
    )
}
