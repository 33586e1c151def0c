//! What `docs/nack-codes.md` says to type is typed here, and every cause is seen as it says.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::{PATIENCE, wait_until};

/// How a row says that one command does not show it; what does follows.
const NOT_BY_A_COMMAND: &str = "not by one command: ";

/// What a signature that does not match is called when one was diagnosed in the same second.
const NOT_DIAGNOSED: &str = "signature.not_diagnosed";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A section of the document.
struct Section {
    text: String,
}

impl Section {
    #[track_caller]
    fn of(heading: &str) -> Self {
        let document = std::fs::read_to_string(root().join("docs/nack-codes.md")).unwrap();
        let mut sections = document.split("\n## ");
        let text = sections.find(|section| section.lines().next() == Some(heading));
        Self { text: text.expect("a section of that heading").to_owned() }
    }

    /// The command that starts the section's receiver.
    fn start(&self) -> &str {
        let block = self.text.split("```sh\n").nth(1).expect("the section has a block");
        block.lines().next().unwrap()
    }

    /// The rows of its table, cell by cell.
    fn rows(&self) -> Vec<Vec<String>> {
        let table = self.text.lines().filter(|line| line.starts_with('|')).skip(2);
        let cell = |text: &str| text.trim().trim_matches('`').to_owned();
        table.map(|row| row.trim_matches('|').split(" | ").map(cell).collect()).collect()
    }
}

/// A small network that a command of the document started, in a directory of its own where the
/// samples are.
struct Network {
    process: Child,
    address: String,
    directory: TempDir,
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the shell that runs a command of the document in this directory.
fn shell(directory: &Path, command: &str) -> Command {
    let programs = Path::new(env!("CARGO_BIN_EXE_beckn-receiver")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BECKN_RECEIVER_") {
            shell.env_remove(name);
        }
    }
    shell.args(["-c", command]).current_dir(directory).env("PATH", path);
    shell
}

impl Network {
    fn start(command: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let samples = directory.path().join("examples");
        std::os::unix::fs::symlink(root().join("examples"), samples).unwrap();
        // `env` takes the settings before the command, and the shell is not left between.
        let mut process = shell(directory.path(), &format!("exec env {command}"))
            .env("BECKN_RECEIVER_HTTP__LISTEN", "127.0.0.1:0")
            .env("BECKN_RECEIVER_OPERATIONS__LISTEN", "127.0.0.1:0")
            .env("BECKN_RECEIVER_INBOX__MIN_FREE_BYTES", "0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let mut said = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut mistakes = Vec::new();
        let told = said.find_map(|line| {
            mistakes.push(line.clone());
            let address = line.trim_start().strip_prefix("receiver ")?;
            Some(address.trim().strip_prefix("http://")?.split('/').next()?.to_owned())
        });
        // It would stop at a full pipe, and the seller's file is written before the last line.
        assert!(told.is_none() || said.any(|line| line.contains("ready in")), "{command}");
        std::thread::spawn(move || said.for_each(drop));
        let Some(address) = told else { panic!("{command} did not start: {mistakes:?}") };
        Self { process, address, directory }
    }

    /// Types a command and returns what it printed and told.
    fn type_in(&self, command: &str) -> String {
        let command = command.replace("127.0.0.1:8080", &self.address);
        let output = shell(self.directory.path(), &command).output().expect("a shell runs");
        let [printed, told] = [output.stdout, output.stderr].map(String::from_utf8);
        printed.unwrap() + &told.unwrap()
    }

    /// Returns the causes of the kept refusals, the oldest first.
    fn causes(&self) -> Vec<String> {
        let listing = "BECKN_RECEIVER_INBOX__PATH=beckn-dev/inbox \
                       beckn-receiver refusals --json --limit 10000";
        let cause = |line: &str| {
            let refusal: serde_json::Value = serde_json::from_str(line).expect(line);
            refusal["cause"].as_str().unwrap().to_owned()
        };
        let listed = self.type_in(listing);
        let mut causes: Vec<String> = listed.lines().map(cause).collect();
        causes.reverse();
        causes
    }
}

/// Types every command of a section and sees that each is refused for the cause of its row.
async fn shows(heading: &str, at_least: usize) {
    let section = Section::of(heading);
    let network = Network::start(section.start());
    let rows = section.rows();
    assert!(rows.len() >= at_least, "the rows were found: {}", rows.len());
    let mut waiting: VecDeque<(String, String)> =
        rows.iter().map(|row| (row[0].clone(), row.last().unwrap().clone())).collect();
    let mut expected: Vec<(String, String)> = Vec::new();
    let (end, mut in_vain) = (tokio::time::Instant::now() + PATIENCE, 0);
    while let Some((cause, command)) = waiting.pop_front() {
        let said = network.type_in(&command);
        assert!(said.contains("\"NACK\""), "{command}: {said}");
        // The answer itself says the status and, of a signature, the cause.
        if cause.starts_with("signature.") {
            assert!(said.contains("← 401 ") && said.contains("(signature."), "{command}: {said}");
        }
        // The quota of a second was used up: it comes again when the others have had their turn.
        if said.contains(NOT_DIAGNOSED) && cause != NOT_DIAGNOSED {
            expected.push((NOT_DIAGNOSED.to_owned(), command.clone()));
            waiting.push_back((cause, command));
            in_vain += 1;
            assert!(tokio::time::Instant::now() < end, "{waiting:?} were not diagnosed");
            if in_vain >= waiting.len() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            continue;
        }
        in_vain = 0;
        expected.push((cause, command));
    }
    // They are kept in the order of the answers, and a moment later.
    wait_until("every refusal is kept", async || network.causes().len() >= expected.len()).await;
    let causes = network.causes();
    assert_eq!(causes.len(), expected.len());
    for (found, (cause, command)) in causes.iter().zip(&expected) {
        assert_eq!(found, cause, "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cause_of_a_signature_is_shown_by_its_command() {
    shows("Signatures", 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cause_of_a_request_is_shown_by_its_command() {
    shows("The request", 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_is_shown_by_its_command() {
    shows("Rules", 90).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_that_need_other_settings_are_shown_by_their_commands() {
    shows("Rules that need other settings", 5).await;
}

#[test]
fn what_the_receiver_could_not_do_is_shown_by_its_commands_or_by_a_test() {
    let mut shown = 0;
    for row in Section::of("What the receiver could not do").rows() {
        let [status, message, _why, start, command] = &row[..] else { panic!("{row:?}") };
        if let Some(test) = start.strip_prefix(NOT_BY_A_COMMAND) {
            assert!(command.is_empty() && root().join(test.trim_matches('`')).is_file(), "{row:?}");
            continue;
        }
        let said = Network::start(start).type_in(command);
        assert!(said.contains(&format!("\"message\":\"{message}\"")), "{command}: {said}");
        assert!(said.contains("\"code\":\"23001\""), "{command}: {said}");
        assert!(command.starts_with("curl ") || said.contains(&format!("← {status} ")), "{said}");
        shown += 1;
    }
    assert!(shown >= 3, "the rows were found: {shown}");
}
