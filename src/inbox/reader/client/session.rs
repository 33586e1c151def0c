//! A connection to the database, for who may block.

use std::cell::{Cell as Shared, RefCell};
use std::collections::HashMap;
use std::error::Error as StdError;
use std::time::Duration;

use bytes::BytesMut;
use tokio::runtime::Handle;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Row, Statement};

use super::value::{Cell, Value};
use super::{DbError, STATEMENTS};
use crate::inbox::postgres::connect::{EngineError, connect};
use crate::inbox::postgres::schema::{is_there, secret};
use crate::inbox::postgres::{Server, text};
use crate::inbox::reader::Error;
use crate::inbox::reader::place::Database;

/// How long the server works on a statement at most: what is longer is no look any more.
const STATEMENT: &str = "10s";

/// How long is waited for an answer; then the server, which has given the statement up, cannot be
/// reached.
const ANSWER: Duration = Duration::from_secs(12);

/// A connection, and the statements that are prepared on it.
#[derive(Debug)]
pub(in crate::inbox::reader) struct Session {
    runtime: Handle,
    client: Client,
    statements: RefCell<HashMap<String, Statement>>,
    /// Nobody knows in which state it is.
    is_given_up: Shared<bool>,
}

impl Session {
    /// Opens a connection that only reads.
    pub(in crate::inbox::reader) fn reader(database: &Database) -> Result<Self, Error> {
        let session = Self::requester(database)?;
        let only = session.batch("SET default_transaction_read_only = on");
        only.map_err(|error| Error::Read(error.into()))?;
        Ok(session)
    }

    /// Opens a connection that may write, too.
    pub(in crate::inbox::reader) fn requester(database: &Database) -> Result<Self, Error> {
        let Database { server, runtime } = database;
        let opened = runtime.block_on(async { tokio::time::timeout(ANSWER, open(server)).await });
        let client = opened.unwrap_or_else(|_elapsed| {
            Err(Error::Unreached { place: server.place(), source: no_answer() })
        })?;
        let (runtime, statements) = (runtime.clone(), RefCell::default());
        Ok(Self { runtime, client, statements, is_given_up: Shared::new(false) })
    }

    pub(super) fn is_lost(&self) -> bool {
        self.is_given_up.get() || self.client.is_closed()
    }

    pub(super) fn query(&self, sql: &str, bound: &[Value<'_>]) -> Result<Vec<Row>, EngineError> {
        self.wait(async {
            let statement = self.statement(sql).await?;
            self.client.query(&statement, &parameters(bound)).await
        })
    }

    pub(super) fn execute(&self, sql: &str, bound: &[Value<'_>]) -> Result<u64, EngineError> {
        self.wait(async {
            let statement = self.statement(sql).await?;
            self.client.execute(&statement, &parameters(bound)).await
        })
    }

    pub(super) fn secret(&self) -> Result<[u8; 32], EngineError> {
        self.wait(secret(&self.client))
    }

    /// Acts within a transaction, which is undone when that fails.
    pub(super) fn transaction<T>(
        &self,
        begin: &str,
        act: impl FnOnce() -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        self.batch(begin)?;
        let done = act();
        if done.is_ok() {
            self.batch("COMMIT")?;
        } else if self.batch("ROLLBACK").is_err() {
            // It is the first error that is told.
            self.is_given_up.set(true);
        }
        done
    }

    fn batch(&self, sql: &str) -> Result<(), EngineError> {
        self.wait(self.client.batch_execute(sql))
    }

    async fn statement(&self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        if let Some(kept) = self.statements.borrow().get(sql) {
            return Ok(kept.clone());
        }
        let statement = self.client.prepare(&sql.replace('?', "$")).await?;
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= STATEMENTS {
            statements.clear();
        }
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Waits for an answer; a connection that gives none in time is given up.
    fn wait<T, E: Into<EngineError>>(
        &self,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, EngineError> {
        if self.is_given_up.get() {
            return Err(EngineError::text("the connection to the inbox's database was given up"));
        }
        // The clock of a time-out is the runtime's, which is entered only inside.
        let answer = self.runtime.block_on(async { tokio::time::timeout(ANSWER, answer).await });
        let Ok(answer) = answer else {
            self.is_given_up.set(true);
            return Err(no_answer());
        };
        answer.map_err(Into::into)
    }
}

fn no_answer() -> EngineError {
    EngineError::text(format!("the inbox's database gave no answer within {ANSWER:?}"))
}

async fn open(server: &Server) -> Result<Client, Error> {
    let unreached = |source| Error::Unreached { place: server.place(), source };
    let client = connect(server).await.map_err(unreached)?;
    if !is_there(&client, server).await.map_err(Error::Tables)? {
        return Err(Error::NoTables { place: server.place() });
    }
    let bound = client
        .batch_execute(&format!(
            "SET statement_timeout = '{STATEMENT}'; RESET enable_seqscan; RESET enable_hashjoin;
             RESET enable_mergejoin; RESET enable_material; RESET plan_cache_mode"
        ))
        .await;
    bound.map_err(|error| unreached(error.into()))?;
    Ok(client)
}

fn parameters<'a>(bound: &'a [Value<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    bound.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match (self, ty) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Int(number), &Type::INT8) => number.to_sql(ty, out),
            (Value::Int(number), &Type::INT4) => i32::try_from(*number)?.to_sql(ty, out),
            (Value::Int(number), &Type::INT2) => i16::try_from(*number)?.to_sql(ty, out),
            (Value::Int(number), &Type::BOOL) => (*number != 0).to_sql(ty, out),
            (Value::Text(value), &Type::TEXT | &Type::VARCHAR) => text(value).to_sql(ty, out),
            (Value::Blob(bytes), &Type::BYTEA) => bytes.to_sql(ty, out),
            (Value::Int(_) | Value::Text(_) | Value::Blob(_), _) => {
                Err(format!("a statement wants a {ty} where it gets something else").into())
            }
        }
    }

    fn accepts(ty: &Type) -> bool {
        is_known(ty)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Cell<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(match *ty {
            Type::INT8 => Cell::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Cell::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Cell::Int(i16::from_sql(ty, raw)?.into()),
            Type::BOOL => Cell::Int(bool::from_sql(ty, raw)?.into()),
            Type::BYTEA => Cell::Blob(raw),
            _ => Cell::Text(<&str>::from_sql(ty, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Cell::Null)
    }

    fn accepts(ty: &Type) -> bool {
        is_known(ty)
    }
}

/// Returns whether a column of an inbox is ever of this type.
fn is_known(ty: &Type) -> bool {
    matches!(
        *ty,
        Type::INT8
            | Type::INT4
            | Type::INT2
            | Type::BOOL
            | Type::TEXT
            | Type::VARCHAR
            | Type::BYTEA
    )
}
