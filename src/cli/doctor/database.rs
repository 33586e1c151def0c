//! What is checked of the inbox's database.

use super::Finding;
use crate::inbox::postgres::about::{About, look};
use crate::inbox::reader::place::Database;
use crate::words::Chain;

const CHECK: &str = "database";

/// What one receiver takes at most, with what operators look at.
const CONNECTIONS: i64 = 13;

/// An ACK waits for one round trip and a sync; another city is farther than this.
const FAR: std::time::Duration = std::time::Duration::from_millis(10);

/// Checks the database that the settings name.
pub(super) fn database(database: &Database) -> Vec<Finding> {
    let Database { server, runtime } = database;
    let about = match runtime.block_on(look(server)) {
        Ok(about) => about,
        Err(error) => {
            let found = format!("{}: {}", server.place(), Chain(&error));
            let todo = "mend what it says: until then callbacks are answered 503";
            return vec![Finding::failed(CHECK, found, todo)];
        }
    };
    let About { version, round_trip, is_encrypted, .. } = &about;
    let (place, trip) = (server.place(), round_trip.as_secs_f64() * 1_000.0);
    let how = if *is_encrypted { "encrypted" } else { "not encrypted" };
    let found = format!("PostgreSQL {version} at {place}, {how}; a round trip takes {trip:.1} ms");
    let first = if *round_trip < FAR {
        Finding::ok(CHECK, found)
    } else {
        Finding::warning(CHECK, found, "each ACK waits for one: put them nearer to each other")
    };
    std::iter::once(first).chain(doubts(&about)).collect()
}

fn doubts(about: &About) -> Vec<Finding> {
    let mut findings = Vec::new();
    if about.is_standby {
        let todo = "name the one that takes writes, or all of them with \
            target_session_attrs=read-write in postgres.url";
        findings.push(Finding::failed(CHECK, "it is a standby and takes no writes", todo));
    }
    if about.may_not_make {
        let todo =
            "GRANT CREATE ON DATABASE to the role, or make the schema and let the role own it";
        let found = "the inbox's schema is not there, and the role may not make it";
        findings.push(Finding::failed(CHECK, found, todo));
    }
    if about.forgets {
        let todo = "set `fsync = on`: an ACK is lost when its machine loses power";
        findings.push(Finding::warning(CHECK, "it has `fsync = off`", todo));
    }
    if about.asynchronous_standbys > 0 {
        let standbys = about.asynchronous_standbys;
        let found = format!("a commit does not wait for {standbys} of its standbys");
        let todo = "a fail-over to one of them loses the last ACKed callbacks: see \
            docs/several-replicas.md";
        findings.push(Finding::warning(CHECK, found, todo));
    }
    if about.free_connections < CONNECTIONS {
        let found = format!("{} connections are free", about.free_connections);
        let todo = format!("a receiver takes up to {CONNECTIONS}: raise max_connections");
        findings.push(Finding::warning(CHECK, found, todo));
    }
    findings
}
