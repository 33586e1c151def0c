//! `keygen`, `sign` and `verify`, as a person uses them who tries a signature.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tempfile::TempDir;

use crate::harness::binary;

/// The header that BECKN-006 and ONDC's signing-verification.md print, with their keys.
const HEADER: &str = r#"Signature keyId="example-bap.com|ae3ea24b-cfec-495e-81f8-044aaef164ac|ed25519",algorithm="ed25519",created="1641287875",expires="1641291475",headers="(created) (expires) digest",signature="cjbhP0PFyrlSCNszJM1F/YmHDVAWsZqJUPzojnE/7TJU3fJ/rmIlgaUHEr5E0/2PIyf0tpSnWtT6cyNNlpmoAQ==""#;
const PUBLIC: &str = "awGPjRK6i/Vg/lWr+0xObclVxlwZXvTjWYtlu6NeOHk=";
const PRIVATE: &str =
    "lP3sHA+9gileOkXYJXh4Jg8tK0gEEMbf9yCPnFpbldhrAY+NErqL9WD+Vav7TE5tyVXGXBle9ONZi2W7o144eQ==";
const KEY_ID: &str = "example-bap.com|ae3ea24b-cfec-495e-81f8-044aaef164ac";
const CREATED: &str = "1641287875";
const EXPIRES: &str = "1641291475";

/// The body of both documents.
fn search() -> String {
    vector("search_beckn_006.json").to_str().unwrap().to_owned()
}

fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

/// A directory of a test's own, where no settings file is.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Writes a file, and returns its path.
    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = binary();
        command.current_dir(self.0.path()).env_remove("BECKN_PRIVATE_KEY").args(arguments);
        command
    }

    /// Runs a command that has to succeed, and returns what it printed.
    #[track_caller]
    fn succeeds(&self, arguments: &[&str]) -> String {
        printed(&self.command(arguments).output().unwrap(), 0)
    }

    /// Runs a command that has to end with this code, and returns what it told.
    #[track_caller]
    fn fails(&self, arguments: &[&str], code: i32) -> String {
        let output = self.command(arguments).output().unwrap();
        printed(&output, code);
        String::from_utf8(output.stderr).unwrap()
    }
}

#[track_caller]
fn printed(output: &Output, code: i32) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{printed}{told}");
    printed
}

/// Returns what stands after a name at the start of a line.
#[track_caller]
fn after<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name} in {text}")).trim()
}

#[test]
fn the_published_signature_is_made_again() {
    let place = Place::new();
    let key = place.file("key", PRIVATE);
    let body = search();
    let arguments = ["sign", &body, "--key-id", KEY_ID, "--created", CREATED, "--expires", EXPIRES];
    let from_file = place.succeeds(&[&arguments[..], &["--key-file", &key]].concat());
    assert_eq!(from_file.trim_end(), HEADER);
    let mut command = place.command(&arguments);
    let from_variable = command.env("BECKN_PRIVATE_KEY", PRIVATE).output().unwrap();
    assert_eq!(printed(&from_variable, 0), from_file);
    // The body comes by standard input, and the time to live says when it expires.
    let mut command = place.command(&["sign", "-", "--key-id", KEY_ID, "--key-file", &key]);
    command.args(["--created", CREATED, "--ttl", "3600"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let body = std::fs::read(body).unwrap();
    child.stdin.take().unwrap().write_all(&body).unwrap();
    assert_eq!(printed(&child.wait_with_output().unwrap(), 0), from_file);
}

#[test]
fn published_signatures_verify_in_their_time() {
    let place = Place::new();
    let readme = HEADER.replace(KEY_ID, "buyer-app.ondc.org|207").replace(
        "cjbhP0PFyrlSCNszJM1F/YmHDVAWsZqJUPzojnE/7TJU3fJ/rmIlgaUHEr5E0/2PIyf0tpSnWtT6cyNNlpmoAQ==",
        "fKQWvXhln4UdyZdL87ViXQObdBme0dHnsclD2LvvnHoNxIgcvAwUZOmwAnH5QKi9Upg5tRaxpoGhCFGHD+d+Bw==",
    );
    let callback = r#"Signature keyId="example-bpp.com|74b43deb-236e-4498-8f5a-ca75d6c67b9d|ed25519",algorithm="ed25519",created="1747985858",expires="1747989458",headers="(created) (expires) digest",signature="4Hqv9gNH4zX0IVhxB8Vs6lhz/GjoatkzXBD0PjFk4iP2WaWsxZBTKQ/Jpkz/XXlLxHAkGgQZlIPCUqzKlRzjDw==""#;
    let on_status = vector("on_status.json").to_str().unwrap().to_owned();
    for (file, header, public, at, subscriber) in [
        (search(), HEADER, PUBLIC, CREATED, "example-bap.com"),
        (search(), HEADER, PUBLIC, "2022-01-04T14:47:56+05:30", "example-bap.com"),
        // The README of ONDC's Python utility signs the same body with another key.
        (
            search(),
            &readme,
            "SM3UQMh0emJMBxtrnzhPtdpbGyUcAReB6ne3VBDmWZI=",
            CREATED,
            "buyer-app.ondc.org",
        ),
        // A callback signed with the key that BECKN-006 prints for its gateway.
        (
            on_status,
            callback,
            "7YRZXVeIJ0/Va56vYgzT1Uirg6mnq3FY0MBZY9DJft0=",
            "1747985858",
            "example-bpp.com",
        ),
    ] {
        let header = place.file("header", format!("Authorization: {header}\r\n"));
        let arguments =
            ["verify", &file, "--authorization-file", &header, "--public-key", public, "--at", at];
        let text = place.succeeds(&arguments);
        assert!(text.starts_with(&format!("{file}: verifies")), "{text}");
        assert_eq!(after(&text, "  subscriber"), subscriber);
        let json = place.succeeds(&[&arguments[..], &["--json"]].concat());
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(report["verifies"], true, "{json}");
        assert_eq!(report["signed"]["matches"], true, "{json}");
        assert_eq!(report["failures"], serde_json::json!([]), "{json}");
    }
}

#[test]
fn a_header_is_taken_as_curl_and_others_show_it() {
    let place = Place::new();
    for start in ["", "Authorization: ", "> Authorization: ", "> authorization:", ">  ", "> "] {
        let file = place.file("header", format!("{start}{HEADER}\r\n"));
        let with = ["--public-key", PUBLIC, "--at", CREATED];
        let body = search();
        let line = ["verify", &body, "--authorization-file", &file];
        assert!(place.succeeds(&[&line[..], &with].concat()).contains(": verifies"), "{start}");
        let value = format!("{start}{HEADER}");
        let line = ["verify", &body, "--authorization", &value];
        assert!(place.succeeds(&[&line[..], &with].concat()).contains(": verifies"), "{start}");
    }
}

#[test]
fn a_signature_that_fails_says_why_and_what_to_change() {
    let place = Place::new();
    let body = std::fs::read_to_string(search()).unwrap();
    let newline = place.file("newline.json", format!("{body}\n"));
    // No text of this body holds a bracket or a comma before a quote.
    let pretty = body.replace('{', "{\n  ").replace(",\"", ",\n  \"").replace('}', "\n}");
    let pretty = place.file("pretty.json", pretty);
    let check = |file: &str, header: &str, at: &str, causes: &[&str], says: &str| {
        let arguments =
            ["verify", file, "--authorization", header, "--public-key", PUBLIC, "--at", at];
        let output = place.command(&arguments).output().unwrap();
        let text = printed(&output, 1);
        assert!(text.contains("does not verify") && text.contains(says), "{says}: {text}");
        let output = place.command(&[&arguments[..], &["--json"]].concat()).output().unwrap();
        let report: serde_json::Value = serde_json::from_str(&printed(&output, 1)).unwrap();
        let failures = report["failures"].as_array().unwrap();
        let found: Vec<&str> = failures.iter().map(|it| it["cause"].as_str().unwrap()).collect();
        assert_eq!(found, causes, "{text}");
        assert!(failures.iter().all(|it| !it["mend"].as_str().unwrap().is_empty()), "{text}");
    };
    check(&newline, HEADER, CREATED, &["signature.trailing_newline"], "curl --data-binary");
    check(&pretty, HEADER, CREATED, &["signature.body_minified"], "serialise once");
    let late = "2022-01-04T10:18:26Z";
    check(&search(), HEADER, late, &["signature.expired"], "the signature itself matches");
    let both = ["signature.expired", "signature.trailing_newline"];
    check(&newline, HEADER, late, &both, "the signature itself does not match");
    let early = "1641287844";
    check(&search(), HEADER, early, &["signature.created_in_future"], "31 s in the future");
    // BECKN-006's gateway header has the private key where the signature belongs; here of its BAP.
    let (start, _) = HEADER.split_once("signature=").unwrap();
    let leaked = format!("{start}signature=\"{PRIVATE}\"");
    check(&search(), &leaked, CREATED, &["signature.does_not_match"], "private key");
    let quoted = format!("\"{HEADER}\"");
    check(&search(), &quoted, CREATED, &["signature.unparsable"], "wrapped in quotes");
    check(&search(), "", CREATED, &["signature.unparsable"], "found nothing");
}

#[test]
fn a_new_key_signs_what_it_verifies() {
    let place = Place::new();
    let id = "buyer.example/ondc|key-1";
    let made = place.succeeds(&["keygen", "--key-id", id, "--out", "key"]);
    let public = after(&made, "public key");
    assert_eq!(after(&made, "pinned key"), format!("{id}|{public}"));
    let file = place.0.path().join("key");
    let private = std::fs::read_to_string(&file).unwrap();
    assert!(!made.contains(private.trim()), "the private key is only in its file");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // As sent now, and as received now.
    let body = place.file("body.json", "{ }\n");
    let header = place.succeeds(&["sign", &body, "--key-file", "key", "--key-id", id]);
    let verify = ["verify", &body, "--authorization", header.trim(), "--public-key", public];
    assert!(place.succeeds(&verify).contains("buyer.example/ondc"));
    // A key that was lost by overwriting it cannot be had back.
    let told = place.fails(&["keygen", "--out", "key"], 1);
    assert!(told.contains("could not write the private key to key"), "{told}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), private);
    // Without a file it is printed, and is another one each time.
    let (first, second) = (place.succeeds(&["keygen"]), place.succeeds(&["keygen"]));
    assert_ne!(after(&first, "private key"), after(&second, "private key"));
    assert_ne!(after(&first, "public key"), after(&second, "public key"));
    let key = place.file("printed", after(&first, "private key"));
    let header = place.succeeds(&["sign", &body, "--key-file", &key, "--key-id", id]);
    let public = after(&first, "public key");
    place.succeeds(&["verify", &body, "--authorization", &header, "--public-key", public]);
}

#[test]
fn mistakes_say_what_was_expected_and_never_show_a_key() {
    let place = Place::new();
    let body = place.file("body.json", "{}");
    let cut = place.file("cut", &PRIVATE[..40]);
    let changed = place.file("changed", format!("m{}", &PRIVATE[1..]));
    let hex = place.file("hex", "94fdec1c0fbd8229_");
    let public = place.file("public", PUBLIC);
    let lines = place.file("lines", format!("{PRIVATE}\n{PRIVATE}\n"));
    let empty = place.file("empty", "\n");
    let long = place.file("long", "x".repeat(9_000));
    let sign = |key: &str, more: &[&str], code: i32, says: &str| {
        let start = ["sign", &body, "--key-id", KEY_ID, "--key-file", key];
        let told = place.fails(&[&start[..], more].concat(), code);
        assert!(told.contains(says), "{says}: {told}");
        assert!(!told.contains(&PRIVATE[..20]), "{told}");
    };
    sign(&cut, &[], 1, "expected 32 or 64 bytes in base64, found 30");
    sign(&changed, &[], 1, "does not belong to its seed");
    sign(&hex, &[], 1, "expected a key in standard base64");
    sign(&lines, &[], 1, "on one line, found 2 lines");
    sign(&empty, &[], 1, "on one line");
    sign(&long, &[], 1, "more than 8192 bytes");
    sign("nothing", &[], 1, "could not read nothing");
    // Any 32 bytes are a seed, so a public key in its place is only found by who verifies.
    sign(&public, &["--created", "5", "--expires", "5"], 2, "expires after 5, found 5");
    sign(&public, &["--created", "soon"], 2, "soon");
    sign(&public, &["--expires", "5", "--ttl", "5"], 2, "--ttl");
    let told = place.fails(&["sign", &body, "--key-id", KEY_ID], 2);
    assert!(told.contains("--key-file") && told.contains("BECKN_PRIVATE_KEY"), "{told}");
    for id in ["buyer.example", "|key-1", "buyer\"example|key-1", "buyer example|key-1", "käufer|k"]
    {
        let told = place.fails(&["keygen", "--key-id", id], 2);
        assert!(told.contains("expected SUBSCRIBER|UNIQUE_KEY"), "{told}");
    }
    let verify = |more: &[&str], code: i32, says: &str| {
        let told = place.fails(&[&["verify", &body], more].concat(), code);
        assert!(told.contains(says), "{says}: {told}");
        assert!(!told.contains(&PRIVATE[..20]), "{told}");
    };
    verify(&["--public-key", PUBLIC], 2, "--authorization");
    verify(
        &["--public-key", "abc=", "--authorization", HEADER],
        2,
        "expected 32 bytes in base64, found 2",
    );
    // The wrong half of a pair must not be repeated on the terminal.
    verify(&["--public-key", PRIVATE, "--authorization", HEADER], 2, "expected 32 bytes");
    let at = ["--public-key", PUBLIC, "--authorization", HEADER, "--at", "yesterday"];
    verify(&at, 2, "as in 2026-11-21T08:00:00Z");
}

#[test]
fn a_webhook_secret_is_one_that_a_handler_takes_and_is_new_each_time() {
    let make = || {
        let output = binary().args(["keygen", "--webhook"]).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    let (one, other) = (make(), make());
    assert_ne!(one, other);
    let settings = format!(
        "[handlers.app]\nkind = \"forward\"\nurl = \"https://app.example\"\nsecrets = [\"{one}\", \"{other}\"]"
    );
    beckn_receiver::Config::parse(&settings, []).unwrap();
}
