//! What the README and the docs say to type is typed here, and what they print is what comes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::harness::{Child, Recorder, Seller, TestReceiver, binary, post_signed, sample, unset};

/// A command of a console block, and what is printed under it.
#[derive(Debug)]
struct Step {
    command: String,
    output: String,
}

/// Returns the steps of the `console` blocks of a document.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match (inside, line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (true, line) => match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => {
                    steps.push(Step { command: command.to_owned(), output: String::new() });
                }
                (None, Some(step)) => {
                    step.output.push_str(line);
                    step.output.push('\n');
                }
                (None, None) => panic!("output before a command: {line}"),
            },
            (false, _) => {}
        }
    }
    steps
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the documents that tell what to type.
fn documents() -> Vec<(PathBuf, String)> {
    let mut files = vec![root().join("README.md"), root().join("examples/payloads/README.md")];
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        files.push(entry.unwrap().path());
    }
    files
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "md"))
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap();
            (file, text)
        })
        .collect()
}

/// Returns a shell that runs this line, and finds the binary by its name.
fn shell(line: &str) -> Command {
    let directory = Path::new(env!("CARGO_BIN_EXE_beckn-receiver")).parent().unwrap();
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    let mut command = unset(Command::new("sh"));
    command.args(["-c", line]).env("PATH", path);
    command
}

/// Returns whether a line is the one that is shown, where `…` stands for any text.
fn is_shown(shown: &str, line: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or("")) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    rest.is_empty() || last == Some("")
}

/// Returns whether a text's lines are those that are shown.
fn are_shown(shown: &str, text: &str) -> bool {
    shown.lines().count() == text.lines().count()
        && shown.lines().zip(text.lines()).all(|(shown, line)| is_shown(shown, line))
}

#[test]
fn what_is_left_out_of_a_line_may_be_anything() {
    assert!(is_shown("a … c … e", "a b c d e") && is_shown("a", "a") && is_shown("a …", "a b"));
    assert!(!is_shown("a … c", "a b d") && !is_shown("a", "ab") && !is_shown("a … c", "a b c d"));
}

/// How the README starts the binary from a clone.
const FROM_SOURCE: &str = "cargo run -q --release -- ";

#[tokio::test(flavor = "multi_thread")]
async fn every_console_block_prints_what_it_says() {
    let child = Child::start(&[]).await;
    let place = Arc::new(tempfile::tempdir().unwrap());
    let network = Child::start_dev(Arc::clone(&place), &[]).await;
    std::os::unix::fs::symlink(root().join("examples"), place.path().join("examples")).unwrap();
    let mut greetings = Vec::new();
    let mut run = 0;
    for (document, text) in documents() {
        for step in steps(&text) {
            // These two build and run what this test is part of; CI runs them as they stand.
            if step.command == "cargo run --release" || step.command == "cargo test" {
                continue;
            }
            let command = step.command.replace(FROM_SOURCE, "beckn-receiver ");
            if command == "beckn-receiver dev" {
                greetings.push(step.output);
                continue;
            }
            let is_seller = ["beckn-receiver trigger ", "beckn-receiver send "]
                .into_iter()
                .any(|start| command.starts_with(start));
            let command = command
                .replace("127.0.0.1:8080", &child.address.to_string())
                .replace("127.0.0.1:9090", &child.operations.to_string());
            let output = shell(&command)
                .current_dir(if is_seller { place.path() } else { root() })
                .env("BECKN_RECEIVER_INBOX__PATH", child.directory().join("inbox"))
                .output()
                .unwrap();
            let printed = String::from_utf8(output.stdout).unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            let (shown, command) = (&step.output, &step.command);
            assert!(
                are_shown(shown, &printed),
                "{}: {command}\n{told}expected {shown}\nfound {printed}",
                document.display()
            );
            run += 1;
        }
    }
    assert!(run >= 4, "the blocks were found: {run}");
    let (_, log) = network.end().await;
    let start = log.find("  receiver ").expect("dev says where it listens");
    for shown in greetings {
        let said: String = log[start..].split_inclusive('\n').take(shown.lines().count()).collect();
        // The ports of the README may be taken here.
        let shown = shown.replace("127.0.0.1:8080", "127.0.0.1:…").replace(":9090", ":…");
        assert!(are_shown(&shown, &said), "expected {shown}\nfound {said}");
    }
    // The line that the README shows for its first callback, but for the time and the id.
    let (printed, _log) = child.end().await;
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let shown = readme.lines().find(|line| line.contains(" on_status seller.example ")).unwrap();
    let middle = |line: &str| {
        let line = line.split_once(' ').unwrap().1;
        line.rsplit_once("event=").unwrap().0.to_owned()
    };
    assert!(printed.iter().any(|line| middle(line) == middle(shown)), "{printed:#?}");
}

/// Returns the lines of a document's `sh` blocks that start the binary.
fn typed(text: &str) -> Vec<&str> {
    let mut inside = false;
    text.lines()
        .filter(|line| {
            inside = if inside { *line != "```" } else { *line == "```sh" };
            inside && line.starts_with("beckn-receiver ")
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_on_nacks_says_to_run_says_what_it_is_run_for() {
    let seller = Seller::new("seller.example");
    let settings = format!(
        "subscriber_ids = [\"buyer.example\"]\nsignature.mode = \"required\"\n\
         signature.pinned_keys = [\"{}\"]\n",
        seller.pinned()
    );
    let receiver = TestReceiver::start(&settings, Recorder::new()).await;
    let body = std::fs::read(sample("on_status_ondc_1_2_5.json")).unwrap();
    assert_eq!(receiver.post("/on_status", &body).await.status, 401);
    let another = seller.authorization(b"{}");
    let text = str::from_utf8(&body).unwrap();
    let refused = post_signed(receiver.address, "/on_status", &another, text).await;
    assert_eq!(refused.status, 401, "{refused}");
    let directory = receiver.stop().await;
    let header = format!("> Authorization: {}\r\n", seller.authorization(&body));
    let files: [(&str, &[u8]); 3] = [
        ("config.toml", settings.as_bytes()),
        ("body.json", &body),
        ("header.txt", header.as_bytes()),
    ];
    for (name, bytes) in files {
        std::fs::write(directory.path().join(name), bytes).unwrap();
    }
    let page = root().join("docs/a-seller-says-we-nack-them.md");
    let page = std::fs::read_to_string(page).unwrap();
    let lines = typed(&page);
    assert_eq!(
        lines.len(),
        page.lines().filter(|line| line.starts_with("beckn-receiver ")).count()
    );
    for line in lines {
        let command = line.split(' ').nth(1).unwrap();
        let says = match command {
            "refusals" if line.contains("--seller") => "seller.example signature.does_not_match",
            "refusals" => "unverified:seller.example signature.missing",
            "verify" => "body.json: verifies",
            "check" => "body.json: ACK",
            _ => panic!("what does `{line}` print?"),
        };
        // The page shows the start of a key.
        let output = shell(&line.replace("PpdXzvg5…=", &seller.public()))
            .current_dir(directory.path())
            .env("BECKN_RECEIVER_INBOX__PATH", "inbox")
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && printed.contains(says), "{line}\n{printed}{told}");
    }
}

/// Returns where a document's links lead, but for those that leave the repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| {
        let (target, _) = rest.split_once(')')?;
        let (file, _) = target.split_once('#').unwrap_or((target, ""));
        (!file.is_empty() && !file.contains("://")).then_some(file)
    })
}

#[test]
fn every_link_leads_to_a_file() {
    let found: Vec<_> = links("[a](b.md) [c](d.md#e), [f](#g) [h](https://i.example/j)").collect();
    assert_eq!(found, ["b.md", "d.md"]);
    let (mut count, mut broken) = (0, Vec::new());
    for (document, text) in documents() {
        for link in links(&text) {
            count += 1;
            if !document.with_file_name(link).is_file() {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(count > 10, "the links were found: {count}");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn what_dev_and_keygen_leave_behind_goes_into_no_image_and_no_commit() {
    for (file, patterns) in
        [(".dockerignore", ["**/beckn-dev", "**/*.key"]), (".gitignore", ["beckn-dev", "*.key"])]
    {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        for pattern in patterns {
            assert!(text.lines().any(|line| line == pattern), "{file}: {pattern}");
        }
    }
}

#[test]
fn the_readmes_handler_is_the_one_of_the_front_page() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let front = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let handler = |text: &str| {
        let from = text.find("use beckn_receiver::{Config").expect("the handler's first line");
        let length = text[from..].find("```").expect("the end of the block");
        text[from..from + length].to_owned()
    };
    let front: String = front
        .lines()
        .map(|line| line.strip_prefix("//! ").or(line.strip_prefix("//!")).unwrap_or(""))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_eq!(handler(&readme), handler(&front));
}

#[test]
fn the_binary_says_its_version() {
    let output = binary().arg("--version").output().unwrap();
    let expected = concat!("beckn-receiver ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}
