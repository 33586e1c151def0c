//! A broker of RabbitMQ: the one of this machine, or one with ports and a store of its own.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

/// How long a condition may take to come true before a test fails: a broker starts in 10 s.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Where a broker of this machine listens.
const SHARED: &str = "127.0.0.1:5672";

/// Where packages keep the script that starts a broker as the user who calls it; the one on the
/// path of Debian changes the user.
const SERVERS: [&str; 2] = ["/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"];

/// A running broker.
pub(crate) enum Broker {
    Shared,
    Own(Own),
}

impl Broker {
    /// Returns the one of this machine, or starts one; `None` when there is neither.
    pub(crate) async fn any() -> Option<Self> {
        if TcpStream::connect(SHARED).is_ok() {
            return Some(Self::Shared);
        }
        Own::start("").await.map(Self::Own)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Shared => SHARED.parse().unwrap(),
            Self::Own(own) => own.address(),
        }
    }
}

/// A broker with ports and a directory of its own, which ends with the value.
pub(crate) struct Own {
    server: PathBuf,
    directory: TempDir,
    port: u16,
    distribution: u16,
    child: Option<Child>,
}

impl Own {
    /// Starts one with these further lines of `rabbitmq.conf`; `None` when there is no server.
    pub(crate) async fn start(settings: &str) -> Option<Self> {
        let mut own = Self::prepare(settings)?;
        own.run().await;
        Some(own)
    }

    /// As [`Own::start`], but it does not run yet.
    pub(crate) fn prepare(settings: &str) -> Option<Self> {
        let server = server()?;
        let directory = TempDir::new().unwrap();
        let (port, distribution) = (free_port(), free_port());
        let conf = format!("listeners.tcp.1 = 127.0.0.1:{port}\n{settings}");
        fs::write(directory.path().join("rabbitmq.conf"), conf).unwrap();
        fs::write(directory.path().join("plugins"), "[].").unwrap();
        Some(Self { server, directory, port, distribution, child: None })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Starts it on what it left, if anything.
    pub(crate) async fn run(&mut self) {
        let path = self.directory.path();
        let log = fs::File::create(path.join("console.log")).unwrap();
        let mut command = Command::new(&self.server);
        command
            .env("HOME", path)
            .env("RABBITMQ_NODENAME", format!("beckn{}@localhost", self.port))
            .env("RABBITMQ_DIST_PORT", self.distribution.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", path.join("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path.join("plugins"));
        for variable in ["MNESIA_BASE", "LOG_BASE", "GENERATED_CONFIG_DIR", "SCHEMA_DIR"] {
            command.env(format!("RABBITMQ_{variable}"), path.join(variable));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.process_group(0).spawn().unwrap());
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address()).is_err() {
            assert!(Instant::now() < end, "no broker: {}", self.console());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn console(&self) -> String {
        fs::read_to_string(self.directory.path().join("console.log")).unwrap_or_default()
    }

    /// Ends it as a power cut would, without a word.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The script runs the broker as a child: the group is both.
            let group = format!("-{}", child.id());
            let killed = Command::new("kill").args(["-9", "--", &group]).status();
            assert!(killed.is_ok_and(|status| status.success()), "the broker is still there");
            child.wait().unwrap();
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.kill();
    }
}

fn server() -> Option<PathBuf> {
    let is_there = |path: &str| {
        path.starts_with('/') && Path::new(path).exists()
            || Command::new("which").arg(path).output().is_ok_and(|output| output.status.success())
    };
    SERVERS.into_iter().find(|path| is_there(path)).map(PathBuf::from)
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
