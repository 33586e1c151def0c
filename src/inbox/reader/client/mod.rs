//! One way to ask both engines: a statement is written once, in what they have in common.
//!
//! # Constraints
//! - Placeholders are `?1`, `?2`, each bound and used; a `?` is nothing else in a statement.
//! - Where PostgreSQL cannot know the type of what is bound, the statement says it by a `CAST`,
//!   and so it does where a sum would be wider than what is summed.
//! - What one engine alone needs is asked for by [`Client::sqlite`], in as few places as can be.

#[cfg(feature = "postgres")]
mod session;
mod value;

use rusqlite::{Connection, Transaction, TransactionBehavior, params_from_iter};

use self::value::{Cell, Column};
#[cfg(feature = "postgres")]
use crate::inbox::postgres::connect::EngineError;
use crate::inbox::sqlite::schema;
#[cfg(feature = "postgres")]
pub(super) use session::Session;
pub(super) use value::Value;

/// What went wrong at the engine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DbError {
    /// At SQLite.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// At PostgreSQL.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Postgres(#[from] EngineError),
    /// A row holds what was never written.
    #[error("column {0} of an answer holds what this version does not expect")]
    Unexpected(usize),
    /// There is no row where one has to be.
    #[error("a row that has to be there is missing")]
    NoRow,
}

/// How many statements a connection keeps prepared.
const STATEMENTS: usize = 64;

/// A connection to an inbox.
#[derive(Debug)]
pub(super) enum Client {
    /// To a file.
    Sqlite(Connection),
    /// To a database.
    #[cfg(feature = "postgres")]
    Postgres(Session),
}

impl From<Connection> for Client {
    fn from(connection: Connection) -> Self {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Client::Sqlite(connection)
    }
}

impl Client {
    /// Returns the connection to the file, for what the other engine does in another way.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(clippy::unnecessary_wraps, reason = "there is another engine with it")
    )]
    pub(super) const fn sqlite(&self) -> Option<&Connection> {
        match self {
            Client::Sqlite(connection) => Some(connection),
            #[cfg(feature = "postgres")]
            Client::Postgres(_) => None,
        }
    }

    /// Returns whether it is of no use any more.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Client::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            Client::Postgres(session) => session.is_lost(),
        }
    }

    /// Returns the condition that a column of texts equals what is bound, so that it is found by
    /// the index on its hash where there is one.
    pub(super) fn is(&self, column: &str, bound: &str) -> String {
        let equal = format!("{column} = {bound}");
        match self {
            Client::Sqlite(_) => equal,
            #[cfg(feature = "postgres")]
            Client::Postgres(_) => {
                format!("hashtextextended({column}, 0) = hashtextextended({bound}, 0) AND {equal}")
            }
        }
    }

    /// Returns what is read of each row.
    pub(super) fn query<T>(
        &self,
        sql: &str,
        bound: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, DbError>,
    ) -> Result<Vec<T>, DbError> {
        match self {
            Client::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(params_from_iter(bound))?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push(read(&Row::Sqlite(row))?);
                }
                Ok(found)
            }
            #[cfg(feature = "postgres")]
            Client::Postgres(session) => {
                let rows = session.query(sql, bound)?;
                rows.iter().map(|row| read(&Row::Postgres(row))).collect()
            }
        }
    }

    /// Returns what is read of the first row, if there is one; the others are read, too.
    pub(super) fn query_opt<T>(
        &self,
        sql: &str,
        bound: &[Value<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T, DbError>,
    ) -> Result<Option<T>, DbError> {
        Ok(self.query(sql, bound, read)?.into_iter().next())
    }

    /// Returns what is read of the row that there always is.
    pub(super) fn query_one<T>(
        &self,
        sql: &str,
        bound: &[Value<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        self.query_opt(sql, bound, read)?.ok_or(DbError::NoRow)
    }

    /// Returns whether there is a row.
    pub(super) fn exists(&self, sql: &str, bound: &[Value<'_>]) -> Result<bool, DbError> {
        Ok(self.query_opt(sql, bound, |_| Ok(()))?.is_some())
    }

    /// Returns how many rows were changed.
    pub(super) fn execute(&self, sql: &str, bound: &[Value<'_>]) -> Result<u64, DbError> {
        match self {
            Client::Sqlite(connection) => {
                let changed = connection.prepare_cached(sql)?.execute(params_from_iter(bound))?;
                Ok(changed as u64)
            }
            #[cfg(feature = "postgres")]
            Client::Postgres(session) => Ok(session.execute(sql, bound)?),
        }
    }

    /// Returns the inbox's secret; of a connection that may write.
    pub(super) fn secret(&self) -> Result<[u8; 32], DbError> {
        match self {
            Client::Sqlite(connection) => Ok(schema::secret(connection)?),
            #[cfg(feature = "postgres")]
            Client::Postgres(session) => Ok(session.secret()?),
        }
    }

    /// Reads at one moment of the inbox; there is none within another.
    pub(super) fn snapshot<T>(
        &self,
        read: impl FnOnce() -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        match self {
            Client::Sqlite(connection) => {
                let _moment = connection.unchecked_transaction()?;
                read()
            }
            #[cfg(feature = "postgres")]
            Client::Postgres(session) => {
                session.transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", read)
            }
        }
    }

    /// Writes all or nothing, of a connection that may write; durable when it returns.
    pub(super) fn change<T>(
        &self,
        write: impl FnOnce() -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        match self {
            Client::Sqlite(connection) => {
                // At once: a transaction that begins by reading is not let write when another has.
                let immediate = TransactionBehavior::Immediate;
                let transaction = Transaction::new_unchecked(connection, immediate)?;
                let written = write()?;
                transaction.commit()?;
                Ok(written)
            }
            #[cfg(feature = "postgres")]
            Client::Postgres(session) => session.transaction("BEGIN", write),
        }
    }
}

/// A row of an answer.
#[derive(Debug)]
pub(super) enum Row<'a> {
    /// Of SQLite.
    Sqlite(&'a rusqlite::Row<'a>),
    /// Of PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    /// Returns what a column holds.
    pub(super) fn get<T: Column>(&self, column: usize) -> Result<T, DbError> {
        let cell = match self {
            Row::Sqlite(row) => Cell::of_sqlite(row.get_ref(column)?),
            #[cfg(feature = "postgres")]
            Row::Postgres(row) => row.try_get(column).ok(),
        };
        cell.and_then(T::of).ok_or(DbError::Unexpected(column))
    }
}
