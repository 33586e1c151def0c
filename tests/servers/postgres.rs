//! A PostgreSQL cluster with a directory and a port of its own.

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a condition may take to come true before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster in processes of its own; ended when it is dropped.
pub(crate) struct Postgres {
    directory: TempDir,
    programs: PathBuf,
    process: Child,
    port: u16,
    /// The server's own settings.
    settings: Vec<String>,
}

impl Postgres {
    /// Starts one; `None`, said aloud, on a machine that has none.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts one that takes encrypted connections, too; each setting names a file of this text.
    pub(crate) fn start_with(files: &[(&str, &str)]) -> Option<Self> {
        let Some(programs) = programs() else {
            super::skip("PostgreSQL (its initdb and postgres)");
            return None;
        };
        let directory = TempDir::new().unwrap();
        give(directory.path(), 0o700);
        let data = directory.path().join("data");
        // Without waiting for the disk: what is made here is thrown away.
        let mut make = as_other(&programs.join("initdb"));
        make.args(["--no-sync", "--username=beckn", "--auth=trust", "--encoding=UTF8", "--pgdata"]);
        let ended = make.arg(&data).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut settings = Vec::new();
        for (setting, text) in files {
            let file = data.join(format!("{setting}.pem"));
            std::fs::write(&file, text).unwrap();
            give(&file, 0o600);
            settings.extend(["-c".to_owned(), format!("{setting}={}", file.display())]);
        }
        if !files.is_empty() {
            settings.extend(["-c", "ssl=on"].map(str::to_owned));
        }
        let process = spawn(&programs, &data, port, &settings);
        let mut cluster = Self { directory, programs, process, port, settings };
        cluster.wait_until_ready();
        Some(cluster)
    }

    /// Returns where it is.
    pub(crate) fn url(&self) -> String {
        format!("postgres://beckn@127.0.0.1:{}/postgres", self.port)
    }

    /// Kills it as a crash would: all of its processes at once.
    pub(crate) fn kill(&mut self) {
        self.end("immediate");
    }

    /// Starts it again where it was.
    pub(crate) fn restart(&mut self) {
        self.process = spawn(&self.programs, &self.data(), self.port, &self.settings);
        self.wait_until_ready();
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn wait_until_ready(&mut self) {
        let end = Instant::now() + PATIENCE;
        let at = ["-h", "127.0.0.1", "-p", &self.port.to_string(), "-d", "postgres", "-U", "beckn"];
        while !Command::new(self.programs.join("pg_isready"))
            .args(at)
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
        {
            assert!(self.process.try_wait().unwrap().is_none(), "the server ended");
            assert!(Instant::now() < end, "the server does not take connections");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn end(&mut self, mode: &str) {
        let mut stop = as_other(&self.programs.join("pg_ctl"));
        stop.args(["stop", "--silent", "--mode", mode, "--pgdata"]).arg(self.data());
        // One that has ended already is what is wanted.
        let _ = stop.output();
        self.process.wait().unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end("immediate");
    }
}

fn programs() -> Option<PathBuf> {
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.map(|output| PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()));
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<PathBuf> =
        installed.map(|version| version.unwrap().path().join("bin")).chain(told).collect();
    found.retain(|programs| programs.join("initdb").exists() && programs.join("postgres").exists());
    found.pop()
}

fn spawn(programs: &Path, data: &Path, port: u16, settings: &[String]) -> Child {
    as_other(&programs.join("postgres"))
        .arg("-D")
        .arg(data)
        .args(["-h", "127.0.0.1", "-k", "", "-p", &port.to_string()])
        .args(settings)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The server runs for no root: then it runs as the user that its package has made.
fn as_other(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    // A folder that it may not enter is a warning at each start.
    command.current_dir("/");
    command
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn give(path: &Path, mode: u32) {
    if is_root() {
        let id = |of: &str| -> u32 {
            let output = Command::new("id").args([of, "postgres"]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
        };
        chown(path, Some(id("-u")), Some(id("-g"))).unwrap();
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
