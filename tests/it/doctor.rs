//! `doctor`, as a person runs it before going live.

use std::path::Path;
use std::process::Output;

use crate::harness::{Child, binary};

fn run(directory: &Path, settings: &str, arguments: &[&str]) -> Output {
    std::fs::write(directory.join("config.toml"), settings).unwrap();
    binary().current_dir(directory).arg("doctor").args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Settings under which nothing but the inbox is there.
const QUIET: &str = "operations.listen = \"127.0.0.1:1\"\ninbox.min_free_bytes = 0\n";

#[test]
fn a_machine_that_is_ready_has_no_failed_check() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path(), QUIET, &[]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for check in ["settings", "exposure", "keys", "tokens", "disk", "inbox", "registry", "receiver"]
    {
        assert!(said.lines().any(|line| line.split_whitespace().nth(1) == Some(check)), "{said}");
    }
    assert!(said.contains("a sync takes") && said.contains("none answers"), "{said}");
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "only the settings: {left:?}");
}

#[test]
fn mistakes_of_the_settings_are_all_told_and_end_with_2() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path(), "[http]\nlisten = 1\nlisten_ = 2\n", &[]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("config.toml:2") && said.contains("config.toml:3"), "{said}");
    let exposed = run(directory.path(), &format!("{QUIET}http.listen = \"0.0.0.0:80\"\n"), &[]);
    assert_eq!(exposed.status.code(), Some(2), "{}", text(&exposed));
    assert!(text(&exposed).contains("allow_unsigned"), "{}", text(&exposed));
}

#[test]
fn what_is_not_there_fails_with_what_to_do_and_without_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    let settings = format!(
        "{QUIET}registry.url = \"http://127.0.0.1:1/hidden-path\"\n\
         [handlers.app]\nkind = \"forward\"\nurl = \"http://127.0.0.1:1/hidden-path?hidden\"\n"
    );
    let output = run(directory.path(), &settings, &["--json"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("hidden"), "{said}");
    let rows = said.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let failed: Vec<String> = rows
        .filter(|row| row["verdict"] == "failed")
        .map(|row| {
            assert!(!row["todo"].as_str().unwrap().is_empty());
            row["check"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(failed, ["registry", "targets"], "{said}");
}

#[test]
fn a_file_of_secrets_that_others_may_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    let settings = format!(
        "{QUIET}[handlers.app]\nkind = \"forward\"\nurl = \"http://127.0.0.1:1\"\n\
         secrets_file = \"{}\"\n",
        secret.display()
    );
    let said = text(&run(directory.path(), &settings, &[]));
    assert!(said.contains("chmod 600"), "{said}");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let said = text(&run(directory.path(), &settings, &[]));
    assert!(!said.contains("chmod 600"), "{said}");
}

#[test]
fn operators_tokens_are_read_and_never_made_nor_shown() {
    use std::os::unix::fs::PermissionsExt as _;
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    let directory = tempfile::tempdir().unwrap();
    let said = |settings: &str| {
        let output = run(directory.path(), &format!("{settings}inbox.min_free_bytes = 0\n"), &[]);
        let said = text(&output);
        let line = said.lines().find(|line| line.contains(" tokens ")).unwrap().to_owned();
        assert!(!said.contains(TOKEN), "{said}");
        (output.status.code(), line, said)
    };
    let near = "operations.listen = \"127.0.0.1:1\"\n";
    let (code, line, _) = said(near);
    assert!(code == Some(0) && line.starts_with("ok ") && line.contains("none yet"), "{line}");
    let (code, line, _) = said("operations.listen = \"0.0.0.0:1\"\n");
    assert!(
        code == Some(0) && line.starts_with("warning ") && line.contains("not there"),
        "{line}"
    );
    let file = directory.path().join("tokens");
    let named = format!("{near}operations.tokens_file = \"{}\"\n", file.display());
    let (code, line, _) = said(&named);
    assert!(code == Some(1) && line.starts_with("failed "), "{line}");
    std::fs::write(&file, format!("oncall|read|{TOKEN}\nboard|raed|{TOKEN}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let (code, line, whole) = said(&named);
    assert!(code == Some(1) && line.contains("tokens:2: expected"), "{line}");
    assert!(whole.contains("chmod 600"), "{whole}");
    std::fs::write(&file, format!("oncall|read|{TOKEN}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (code, line, whole) = said(&named);
    assert!(code == Some(0) && line.contains("1 can be read"), "{line}");
    assert!(!whole.contains("chmod 600"), "{whole}");
    assert!(!directory.path().join("data").exists(), "nothing is made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_receiver_is_found_ready_with_its_target_and_clock() {
    let child = Child::start(&[]).await;
    let settings = format!(
        "operations.listen = \"{}\"\ninbox.min_free_bytes = 0\ninbox.path = \"inbox\"\n\
         [handlers.app]\nkind = \"forward\"\nurl = \"http://{}/on_status\"\n",
        child.operations, child.address
    );
    let output = run(child.directory(), &settings, &[]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for part in ["is ready", "the target answers", "clock", "0 pending", "last opened by"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    child.end_quietly().await;
}
