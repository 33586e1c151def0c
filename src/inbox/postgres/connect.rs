//! Connections: what each one is set to, and the way back when one is lost.

use std::time::Duration;

use tokio_postgres::{Client, Statement};

use super::Server;

/// A transaction of ours goes in one piece: one that stands still for so long holds up others, and
/// the server cuts its connection.
const IDLE_IN_TRANSACTION: &str = "5s";

/// The first pause before a connection is tried again, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause: how late it is noticed at most that the server is back.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long a connection may take to come about.
const CONNECTING: Duration = Duration::from_secs(5);

/// How long the database may take for what is asked of it; then nobody can say what became of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same on the server's side, a little less: there it is undone.
const STATEMENT: &str = "9s";

/// Waits for what is asked of the database, as long as that makes sense.
pub(super) async fn within<T>(
    asked: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    let answered = tokio::time::timeout(PATIENCE, asked).await;
    answered.unwrap_or_else(|_| {
        Err(EngineError::text(format!("the database did not answer within {PATIENCE:?}")))
    })
}

/// What the database said, as text that tasks can share; the server's `DETAIL`, which quotes values
/// of rows, is left out.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub(crate) struct EngineError {
    text: String,
}

impl EngineError {
    pub(in crate::inbox) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

impl From<tokio_postgres::Error> for EngineError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::text(match error.as_db_error() {
            Some(told) => format!("{} (PostgreSQL {})", told.message(), told.code().code()),
            None => crate::words::Chain(&error).to_string(),
        })
    }
}

/// Opens a connection; the task that drives it ends with it.
pub(in crate::inbox) async fn connect(server: &Server) -> Result<Client, EngineError> {
    let connecting =
        tokio::time::timeout(CONNECTING, server.config.connect(server.tls.clone())).await;
    let took_long = |_| EngineError::text(format!("no connection within {CONNECTING:?}"));
    let (client, connection) = connecting.map_err(took_long)??;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = %EngineError::from(error), "a connection to the inbox ended");
        }
    });
    set_up(&client, &server.schema).await?;
    Ok(client)
}

/// Sets what holds for one connection.
///
/// Statements are planned once a connection, when there may be next to nothing in the tables: each
/// one goes by an index then, too, so that it is as fast when there are millions of rows.
pub(super) async fn set_up(client: &Client, schema: &str) -> Result<(), EngineError> {
    let set = format!(
        "SET search_path = \"{schema}\"; SET default_transaction_isolation = 'read committed';
         SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION}';
         SET statement_timeout = '{STATEMENT}'; SET enable_seqscan = off;
         SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;
         SET jit = off; SET plan_cache_mode = force_generic_plan"
    );
    Ok(client.batch_execute(&set).await?)
}

/// Returns whether a commit is on the disk when it is answered.
pub(super) async fn keeps_what_it_answers(client: &Client) -> Result<bool, EngineError> {
    let row = client.query_one("SHOW synchronous_commit", &[]).await?;
    Ok(row.try_get::<_, &str>(0)? != "off")
}

/// A connection with its prepared statements, opened when it is needed and again after it was lost.
#[derive(Debug)]
pub(super) struct Link<const N: usize> {
    server: Server,
    sql: [&'static str; N],
    open: Option<(Client, [Statement; N])>,
    pause: Duration,
    /// Not before this.
    rests_until: Option<tokio::time::Instant>,
}

impl<const N: usize> Link<N> {
    /// Returns a link for these statements.
    pub(super) fn new(server: Server, sql: [&'static str; N]) -> Self {
        Self { server, sql, open: None, pause: FIRST_PAUSE, rests_until: None }
    }

    /// Returns the connection and its statements.
    ///
    /// # Errors
    /// The database is away; then it is not asked again before a pause is over.
    pub(super) async fn get(&mut self) -> Result<(&Client, &[Statement; N]), EngineError> {
        if self.open.as_ref().is_none_or(|(client, _)| client.is_closed()) {
            self.open = None;
            if self.rests_until.is_some_and(|until| tokio::time::Instant::now() < until) {
                return Err(EngineError::text("the inbox's database is away"));
            }
            self.open = Some(self.connect().await?);
        }
        let (client, statements) = self.open.as_ref().expect("it was opened above");
        Ok((client, statements))
    }

    async fn connect(&mut self) -> Result<(Client, [Statement; N]), EngineError> {
        let opened = async {
            let client = connect(&self.server).await?;
            // It may be another server than at the start.
            if !keeps_what_it_answers(&client).await? {
                return Err(EngineError::text("the database has `synchronous_commit = off`"));
            }
            let mut statements = Vec::with_capacity(N);
            for sql in self.sql {
                statements.push(client.prepare(sql).await?);
            }
            let statements = statements.try_into().expect("there are as many as there are texts");
            Ok((client, statements))
        };
        // One that takes the connection and then says nothing must not hold up who asks.
        let opened = Box::pin(within(opened)).await;
        self.pause = if opened.is_ok() { FIRST_PAUSE } else { (self.pause * 2).min(LONGEST_PAUSE) };
        self.rests_until = opened.is_err().then(|| tokio::time::Instant::now() + self.pause);
        opened
    }

    /// Waits until the database may be asked again.
    pub(super) async fn rest(&self) {
        tokio::time::sleep(self.resting()).await;
    }

    /// Returns how long it is until the database may be asked again.
    pub(super) fn resting(&self) -> Duration {
        let now = tokio::time::Instant::now();
        self.rests_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Gives the connection up: nobody knows in which state it is. What failed on it may fail
    /// again at once, so the next one waits a little.
    pub(super) fn give_up(&mut self) {
        self.open = None;
        let soon = tokio::time::Instant::now() + FIRST_PAUSE;
        self.rests_until = self.rests_until.max(Some(soon));
    }
}
