//! What is at rest: the tables, their version, and the steps between versions.

use tokio_postgres::{Client, GenericClient, Transaction};

use super::Server;
use super::connect::{EngineError, keeps_what_it_answers};

/// Each step takes the tables from the version that is its index to the next; a step that was
/// released is never changed.
const STEPS: [&str; 1] = [include_str!("v1.sql")];

/// The key of the lock that is held while the tables are made: `BRIm`.
const MIGRATION: i64 = 0x4252_496d;

/// Why the tables could not be brought to this version.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    /// The database failed.
    #[error("the database cannot be used")]
    Engine(#[from] EngineError),
    /// A commit is answered before it is on the disk.
    #[error(
        "the inbox's database has `synchronous_commit = off`: an ACK would promise what a crash \
         takes away; set it to `on` for this role or database"
    )]
    NotDurable,
    /// The tables are of an older version, and only a receiver brings them to this one.
    #[error("the inbox has the schema {found}, older than {known}: start the receiver once")]
    Older {
        /// The version of the tables.
        found: usize,
        /// The version of this program.
        known: usize,
    },
    /// The tables were made by a later version.
    #[error(
        "the inbox has schema {found}, this version knows up to {known}: run the newer version"
    )]
    Newer {
        /// The version of the tables.
        found: usize,
        /// The newest that this program knows.
        known: usize,
    },
}

/// Brings the tables to this version, made if they are not there; several receivers may start at
/// once. The connection's search path is the inbox's schema.
pub(super) async fn migrate(client: &mut Client, schema: &str) -> Result<(), SchemaError> {
    let transaction = client.transaction().await.map_err(EngineError::from)?;
    let migrated = steps(&transaction, schema).await?;
    if migrated {
        transaction.commit().await.map_err(EngineError::from)?;
    }
    Ok(())
}

/// Returns whether something was changed.
async fn steps(transaction: &Transaction<'_>, schema: &str) -> Result<bool, SchemaError> {
    let engine = EngineError::from;
    transaction.query("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION]).await.map_err(engine)?;
    let found = version(transaction, schema).await?;
    if found > STEPS.len() {
        return Err(SchemaError::Newer { found, known: STEPS.len() });
    }
    if found == STEPS.len() {
        return Ok(false);
    }
    let there = "SELECT to_regnamespace($1) IS NOT NULL";
    let there = transaction.query_one(there, &[&schema]).await.map_err(engine)?;
    // Who owns a schema that was made for it need not be allowed to make one.
    if !there.get::<_, bool>(0) {
        // Quoted: it is a name of the settings, of which the letters are checked there.
        let make = format!("CREATE SCHEMA \"{schema}\"");
        transaction.batch_execute(&make).await.map_err(engine)?;
    }
    for step in &STEPS[found..] {
        transaction.batch_execute(step).await.map_err(engine)?;
    }
    let version = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let write = "INSERT INTO meta (name, number) VALUES ('schema', $1)
         ON CONFLICT (name) DO UPDATE SET number = $1";
    transaction.execute(write, &[&version]).await.map_err(engine)?;
    Ok(true)
}

/// Returns the version of the tables, 0 where there are none.
async fn version(client: &impl GenericClient, schema: &str) -> Result<usize, EngineError> {
    let there = "SELECT to_regclass($1) IS NOT NULL";
    let there = client.query_one(there, &[&format!("{schema}.meta")]).await?;
    if !there.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    let row = client.query_one("SELECT number FROM meta WHERE name = 'schema'", &[]).await?;
    Ok(usize::try_from(row.try_get::<_, i64>(0)?).unwrap_or(usize::MAX))
}

/// Returns whether there is an inbox, for who stands beside the receivers and changes no table.
///
/// # Errors
/// Its tables are of another version.
pub(in crate::inbox) async fn is_there(
    client: &Client,
    server: &Server,
) -> Result<bool, SchemaError> {
    let known = STEPS.len();
    match version(client, &server.schema).await? {
        0 => Ok(false),
        found if found > known => Err(SchemaError::Newer { found, known }),
        found if found < known => Err(SchemaError::Older { found, known }),
        _ => Ok(true),
    }
}

/// Returns the inbox's secret, drawn by whoever asks first.
pub(in crate::inbox) async fn secret(client: &Client) -> Result<[u8; 32], EngineError> {
    let mut drawn = [0_u8; 32];
    drawn[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    drawn[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    let draw = "INSERT INTO meta (name, secret) VALUES ('secret', $1) ON CONFLICT DO NOTHING";
    client.execute(draw, &[&&drawn[..]]).await?;
    let row = client.query_one("SELECT secret FROM meta WHERE name = 'secret'", &[]).await?;
    let secret: Vec<u8> = row.try_get(0)?;
    secret.try_into().map_err(|_length| EngineError::text("the inbox's secret is not of 32 bytes"))
}

/// Refuses a server that answers before it keeps, and warns of one that loses what it kept.
pub(super) async fn check(client: &Client) -> Result<(), SchemaError> {
    if !keeps_what_it_answers(client).await? {
        return Err(SchemaError::NotDurable);
    }
    let fsync = client.query_one("SHOW fsync", &[]).await.map_err(EngineError::from)?;
    if fsync.get::<_, &str>(0) == "off" {
        tracing::warn!(
            "the inbox's database has `fsync = off`: an ACK is lost when its machine loses power"
        );
    }
    Ok(())
}
