//! Where an inbox is, and the ways into it beside the receiver.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Error;
use super::client::Client;
#[cfg(feature = "postgres")]
use super::client::Session;
#[cfg(feature = "postgres")]
use crate::inbox::postgres::Server;
use crate::inbox::sqlite::schema;

/// Where an inbox is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In files.
    Directory(PathBuf),
    /// In a database.
    #[cfg(feature = "postgres")]
    Database(Box<Database>),
}

/// A database that an inbox is in. Whoever asks it blocks, and must be no task of the runtime.
#[cfg(feature = "postgres")]
#[derive(Debug, Clone)]
pub(crate) struct Database {
    /// How it is reached.
    pub(crate) server: Server,
    /// What drives the connections.
    pub(crate) runtime: tokio::runtime::Handle,
}

impl fmt::Display for Place {
    /// Writes it as a log may tell it: nothing of who connects.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Directory(directory) => {
                let absolute = std::path::absolute(directory);
                absolute.as_ref().unwrap_or(directory).display().fmt(f)
            }
            #[cfg(feature = "postgres")]
            Place::Database(database) => write!(f, "PostgreSQL at {}", database.server.place()),
        }
    }
}

impl From<PathBuf> for Place {
    fn from(directory: PathBuf) -> Self {
        Place::Directory(directory)
    }
}

impl From<&Path> for Place {
    fn from(directory: &Path) -> Self {
        Place::Directory(directory.to_owned())
    }
}

#[cfg(feature = "postgres")]
impl From<Database> for Place {
    fn from(database: Database) -> Self {
        Place::Database(Box::new(database))
    }
}

impl Place {
    /// Opens the inbox for reading.
    pub(super) fn reader(&self) -> Result<Client, Error> {
        match self {
            Place::Directory(directory) => {
                let file = existing(directory)?;
                Ok(schema::open_reader(&file).map_err(Error::Open)?.into())
            }
            #[cfg(feature = "postgres")]
            Place::Database(database) => Ok(Client::Postgres(Session::reader(database)?)),
        }
    }

    /// Opens the inbox to leave a request in it.
    pub(super) fn requester(&self) -> Result<Client, Error> {
        match self {
            Place::Directory(directory) => {
                let file = existing(directory)?;
                Ok(schema::open_requester(&file).map_err(Error::Open)?.into())
            }
            #[cfg(feature = "postgres")]
            Place::Database(database) => Ok(Client::Postgres(Session::requester(database)?)),
        }
    }
}

/// Returns the file of the inbox in `directory`.
pub(super) fn existing(directory: &Path) -> Result<PathBuf, Error> {
    let file = directory.join(schema::FILE);
    match file.try_exists() {
        Ok(true) => Ok(file),
        Ok(false) => Err(Error::Missing { directory: directory.to_owned() }),
        Err(source) => Err(Error::Unreachable { directory: directory.to_owned(), source }),
    }
}
