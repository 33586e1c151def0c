//! Where the database is, and how it is reached.

use std::fmt;
use std::time::Duration;

use tokio_postgres::config::Host;
use tokio_postgres_rustls::MakeRustlsConnect;

/// After how long without a word the other side is asked whether it is there.
const QUIET: Duration = Duration::from_secs(15);

/// The database and the schema in it that the inbox's tables are in.
#[derive(Clone)]
pub(crate) struct Server {
    pub(super) config: tokio_postgres::Config,
    /// Small letters, digits and `_`.
    pub(super) schema: String,
    pub(super) tls: MakeRustlsConnect,
}

impl fmt::Debug for Server {
    /// Without the password, which the settings may hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Server {
    /// Returns the server of `config`; whether a connection is encrypted is up to its `sslmode`, and
    /// `tls` is whom it then trusts.
    pub(crate) fn new(
        mut config: tokio_postgres::Config,
        schema: String,
        tls: rustls::ClientConfig,
    ) -> Self {
        // A network may swallow a connection: what hears nothing for hours would not notice.
        if config.get_keepalives_idle() == tokio_postgres::Config::new().get_keepalives_idle() {
            config.keepalives_idle(QUIET).keepalives_interval(QUIET / 3).keepalives_retries(3);
        }
        Self { config, schema, tls: MakeRustlsConnect::new(tls) }
    }

    /// Returns the server of a test, which is not encrypted: nobody is trusted.
    #[cfg(test)]
    pub(crate) fn of_test(url: &str, schema: &str) -> Self {
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider);
        let tls = tls.with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
        Self::new(url.parse().unwrap(), schema.to_owned(), tls)
    }

    /// Returns where it is, as a log may tell it: nothing of who connects.
    pub(crate) fn place(&self) -> String {
        let ports = self.config.get_ports();
        let hosts: Vec<String> = self
            .config
            .get_hosts()
            .iter()
            .enumerate()
            .map(|(place, host)| shown(host, ports.get(place).or(ports.first())))
            .collect();
        let database = self.config.get_dbname().unwrap_or_default();
        format!("{} (database `{database}`, schema `{}`)", hosts.join(", "), self.schema)
    }
}

/// One port stands for all hosts, none for PostgreSQL's own.
fn shown(host: &Host, port: Option<&u16>) -> String {
    match (host, port) {
        (Host::Tcp(name), Some(port)) => format!("{name}:{port}"),
        (Host::Tcp(name), None) => name.clone(),
        #[cfg(unix)]
        (Host::Unix(path), _) => path.display().to_string(),
    }
}
