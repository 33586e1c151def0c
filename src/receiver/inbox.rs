//! Opens the inbox that the settings name.

use std::fmt;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::{StartError, options};
use crate::clock::Clock;
use crate::config::{Config, Engine};
use crate::inbox::expectations::Expecting;
use crate::inbox::reader::place::Place;
use crate::inbox::sqlite::SqliteInbox;
use crate::inbox::{Inbox, Outlets};
use crate::metrics::Metrics;

/// Why the inbox's database cannot be used; neither its address's user nor its password is shown.
#[derive(thiserror::Error)]
#[error("{text}")]
pub struct DatabaseError {
    text: String,
}

impl DatabaseError {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
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
pub(crate) fn place(config: &Config, runtime: &Handle) -> Result<Place, DatabaseError> {
    match config.inbox.engine {
        Engine::Sqlite => Ok(Place::from(config.inbox.path.as_path())),
        Engine::Postgres => database::place(config, runtime),
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
        return Box::pin(open_database(config, outlets, metrics, clock)).await;
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

#[cfg(not(feature = "postgres"))]
async fn open_database(
    _config: &Config,
    _outlets: Outlets,
    _metrics: &Arc<Metrics>,
    _clock: &Arc<dyn Clock>,
) -> Result<Opened, StartError> {
    Err(database::not_built().into())
}

#[cfg(feature = "postgres")]
async fn open_database(
    config: &Config,
    outlets: Outlets,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn Clock>,
) -> Result<Opened, StartError> {
    use crate::inbox::postgres::PostgresInbox;
    use crate::inbox::reader::place::Database;
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
mod database {
    use tokio::runtime::Handle;

    use super::DatabaseError;
    use crate::config::Config;
    use crate::inbox::reader::place::Place;

    pub(super) fn place(_config: &Config, _runtime: &Handle) -> Result<Place, DatabaseError> {
        Err(not_built())
    }

    pub(super) fn not_built() -> DatabaseError {
        DatabaseError::new(
            "inbox.engine is \"postgres\", and this program was built without it: build it with \
             the cargo feature `postgres`",
        )
    }
}

#[cfg(feature = "postgres")]
mod database {
    use std::borrow::Cow;
    use std::path::Path;

    use tokio::runtime::Handle;

    use super::DatabaseError;
    use crate::config::Config;
    use crate::inbox::postgres::Server;
    use crate::inbox::reader::place::{Database, Place};
    use crate::registry::tls;
    use crate::words::Chain;

    pub(super) fn place(config: &Config, runtime: &Handle) -> Result<Place, DatabaseError> {
        let (server, runtime) = (server(config)?, runtime.clone());
        Ok(Place::Database(Box::new(Database { server, runtime })))
    }

    /// Returns where the database is that the settings name.
    pub(super) fn server(config: &Config) -> Result<Server, DatabaseError> {
        let (setting, url) = url(config)?;
        // Its own message may quote a part of what it could not read.
        let parsed: Result<tokio_postgres::Config, _> = url.trim().parse();
        let connection = parsed.map_err(|_may_hold_the_password| {
            DatabaseError::new(format!(
                "{setting}: expected postgres://user:password@host:port/database?sslmode=require, \
                 with special characters of the user and the password as %-codes, found another text"
            ))
        })?;
        let wrong_tls = |error: &(dyn std::error::Error + 'static)| {
            DatabaseError::new(format!("postgres.ca_file: {}", Chain(error)))
        };
        let ca = &config.postgres.ca_file;
        let trusted = if is_none(ca) {
            tls::trusting_the_system().map_err(|error| wrong_tls(&error))?
        } else {
            tls::trusting(ca).map_err(|error| wrong_tls(&error))?
        };
        Ok(Server::new(connection, config.postgres.schema.clone(), trusted))
    }

    fn url(config: &Config) -> Result<(&'static str, Cow<'_, str>), DatabaseError> {
        let (file, url) = (&config.postgres.url_file, &config.postgres.url);
        if is_none(file) {
            if url.is_empty() {
                return Err(DatabaseError::new(
                    "inbox.engine is \"postgres\": expected postgres.url or postgres.url_file \
                     (BECKN_RECEIVER_POSTGRES__URL_FILE), found neither",
                ));
            }
            return Ok(("postgres.url", Cow::Borrowed(url.expose())));
        }
        let text = std::fs::read_to_string(file).map_err(|error| {
            let file = file.display();
            DatabaseError::new(format!("could not read postgres.url_file, {file}: {error}"))
        })?;
        Ok(("postgres.url_file", Cow::Owned(text)))
    }

    fn is_none(path: &Path) -> bool {
        path.as_os_str().is_empty()
    }
}
