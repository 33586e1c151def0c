//! Reads where the inbox's database is, and whom its connections trust.

use std::borrow::Cow;
use std::path::Path;

use tokio_postgres::config::Host;

use super::inbox::DatabaseError;
use crate::config::Config;
use crate::inbox::postgres::Server;
use crate::registry::tls;
use crate::words::Chain;

/// Returns where the database is that the settings name.
pub(super) fn server(config: &Config) -> Result<Server, DatabaseError> {
    let (setting, url) = url(config)?;
    // Its own message may quote a part of what it could not read.
    let parsed: Result<tokio_postgres::Config, _> = url.trim().parse();
    let parsed = parsed.ok().filter(is_whole);
    let connection = parsed.ok_or_else(|| {
        DatabaseError::mistake(format!(
            "{setting}: expected postgres://user:password@host:port/database?sslmode=require, \
             with special characters of the user and the password as %-codes and sslmode as disable, \
             prefer or require, found another text"
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

/// Returns whether no part of it can be the rest of a password that was not escaped.
fn is_whole(connection: &tokio_postgres::Config) -> bool {
    let is_name = |text: &str| !text.contains(['@', '/', ':', '%']);
    let is_host = |host: &Host| match host {
        // An address of IPv6 has colons.
        Host::Tcp(name) => is_name(name) || name.parse::<std::net::IpAddr>().is_ok(),
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    connection.get_dbname().is_none_or(is_name) && connection.get_hosts().iter().all(is_host)
}

fn url(config: &Config) -> Result<(&'static str, Cow<'_, str>), DatabaseError> {
    let (file, url) = (&config.postgres.url_file, &config.postgres.url);
    if is_none(file) {
        if url.is_empty() {
            return Err(DatabaseError::mistake(
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
