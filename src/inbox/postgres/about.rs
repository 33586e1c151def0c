//! What is known of a database before an inbox is opened in it.

use std::time::{Duration, Instant};

use super::Server;
use super::connect::{EngineError, connect, within};
use super::schema::{self, SchemaError};

/// What was found out about a database.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
pub(crate) struct About {
    /// Its version, as it says it.
    pub(crate) version: String,
    /// Whether our connection is encrypted.
    pub(crate) is_encrypted: bool,
    /// Whether it follows another and takes no writes.
    pub(crate) is_standby: bool,
    /// Whether it loses what it kept when its machine loses power.
    pub(crate) forgets: bool,
    /// How many standbys follow it that a commit does not wait for, as far as we may see them.
    pub(crate) asynchronous_standbys: i64,
    /// Whether the inbox's schema would have to be made, and may not be.
    pub(crate) may_not_make: bool,
    /// How many connections are free for us.
    pub(crate) free_connections: i64,
    /// How long a statement takes that does nothing, in the middle of some.
    pub(crate) round_trip: Duration,
}

/// How many round trips are measured.
const ROUND_TRIPS: usize = 7;

const LOOK: &str = "SELECT current_setting('server_version'),
     coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
     pg_is_in_recovery(), current_setting('fsync') = 'off',
     (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('async', 'potential')),
     current_setting('max_connections')::bigint
         - current_setting('superuser_reserved_connections')::bigint
         - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
     to_regnamespace($1) IS NULL AND NOT has_database_privilege(current_database(), 'CREATE')";

/// Looks at the database.
///
/// # Errors
/// It cannot be reached, or it answers commits before they are on its disk.
pub(crate) async fn look(server: &Server) -> Result<About, SchemaError> {
    let client = connect(server).await?;
    let mut trips = Vec::with_capacity(ROUND_TRIPS);
    let looked = within(async {
        for _ in 0..ROUND_TRIPS {
            let began = Instant::now();
            client.batch_execute("SELECT 1").await?;
            trips.push(began.elapsed());
        }
        Ok(client.query_one(LOOK, &[&server.schema]).await?)
    });
    let row = looked.await?;
    schema::check(&client).await?;
    trips.sort_unstable();
    let about = || {
        Ok::<_, EngineError>(About {
            version: row.try_get(0)?,
            is_encrypted: row.try_get(1)?,
            is_standby: row.try_get(2)?,
            forgets: row.try_get(3)?,
            asynchronous_standbys: row.try_get(4)?,
            free_connections: row.try_get(5)?,
            may_not_make: row.try_get(6)?,
            round_trip: trips[ROUND_TRIPS / 2],
        })
    };
    Ok(about()?)
}
