//! The table against `config.toml`, the file, the environment and a program.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::handlers::{EVERY, Handler, HandlerKind};
use super::settings::{SECTIONS, SETTINGS};
use super::table::Setting;
use super::{Config, LogFormat, Place};
use crate::words::Profile;
use crate::words::{Level, SubscriberId};

const DOCUMENT: &str = include_str!("../../config.toml");

fn none() -> [(String, String); 0] {
    []
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// Asserts that the settings are wrong in exactly these ways.
#[track_caller]
fn check(text: &str, variables: &[(&str, &str)], expected: &[&str]) {
    let error = Config::parse(text, env(variables)).expect_err(text);
    assert_eq!(error.to_string().lines().collect::<Vec<_>>(), expected, "{text} {variables:?}");
}

/// Writes the table as `config.toml` has it: comments, names, defaults.
fn written_out() -> String {
    let config = Config::default();
    let mut document = String::new();
    let mut section = "";
    for setting in SETTINGS {
        let (its_section, key) = setting.name.rsplit_once('.').unwrap_or(("", setting.name));
        if its_section != section {
            section = its_section;
            let (_, doc) = SECTIONS.iter().find(|(name, _)| *name == section).unwrap();
            _ = write!(document, "\n{}[{section}]\n", comment(doc));
        }
        let (comment, shown) = (comment(setting.doc), (setting.shown)(&config));
        _ = match shown.as_str() {
            "{}" => write!(document, "\n{comment}[{}]\n", setting.name),
            _ => writeln!(document, "{comment}{key} = {shown}"),
        };
    }
    document.push_str(HANDLERS_DOC);
    for kind in HandlerKind::WORDS {
        let handler = Handler::new(HandlerKind::of(kind).unwrap());
        _ = write!(document, "#\n# [handlers.{}]\n# kind = \"{kind}\"\n", example_name(kind));
        let every = if kind == HandlerKind::WORDS[0] { 0 } else { EVERY.len() };
        for row in handler.settings().skip(every) {
            let shown = example(kind, row.name).unwrap_or_else(|| (row.shown)(&handler));
            let doc = comment(row.doc);
            _ = writeln!(document, "{}# {} = {shown}", doc.replace('#', "# #"), row.name);
        }
    }
    document.push_str(ROUTES_DOC);
    document
}

/// What the end of `config.toml` says of handlers; a default would name none.
const HANDLERS_DOC: &str = "
# Handlers: where events can go, each under a name of yours. A handler called `print`, of the kind
# `print`, is there without being named. A setting that is left out has the default below; what has
# none is shown by an example. `handlers.app.url` is set by BECKN_RECEIVER_HANDLERS__APP__URL.
";

/// What it says of routes.
const ROUTES_DOC: &str = "
# Routes: which handler takes which events. The first that fits does; when none fits, it is
# dispatch.handler. What a route names has to fit: a text, or one of a list of them, in which * is
# any number of characters and ? is one. `bpp_id` is the verified subscriber, else what the context
# says, in both cases without a scheme and slashes at its end. `beckn-receiver route --explain FILE` says which route
# takes a callback, and why. BECKN_RECEIVER_ROUTES is a list: '[{ handler = \"app\", … }]'.
#
# [[routes]]
# handler = \"app\"
# action = [\"on_status\", \"on_update\"]
# domain = \"ONDC:RET*\"
# bap_id = \"buyer.example\"
# bpp_id = \"*.seller.example\"
";

fn example_name(kind: &str) -> &str {
    match kind {
        "forward" => "app",
        "jetstream" => "nats",
        "rabbitmq" => "rabbit",
        kind => kind,
    }
}

fn example(kind: &str, name: &str) -> Option<String> {
    let example = match (kind, name) {
        ("forward", "url") => "\"http://127.0.0.1:3000/beckn\"",
        ("jetstream", "servers") => "[\"nats://127.0.0.1:4222\"]",
        ("rabbitmq", "url") => "\"amqp://127.0.0.1:5672/%2f\"",
        _ => return None,
    };
    Some(example.to_owned())
}

/// Returns what `config.toml` has as examples, no longer as comments.
fn examples() -> String {
    let (_, examples) = DOCUMENT.split_once("# Handlers: ").unwrap();
    let lines = examples.lines().filter_map(|line| line.strip_prefix("# "));
    let is_toml = |line: &&str| line.starts_with('[') || line.contains(" = ");
    lines.filter(is_toml).filter(|line| !line.contains('…')).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_examples_of_handlers_and_routes_are_settings_with_their_defaults() {
    let config = Config::parse(&examples(), none()).unwrap();
    let kinds: Vec<&str> = config.handlers.values().map(|handler| handler.kind.as_str()).collect();
    assert_eq!(kinds, ["forward", "jetstream", "print", "rabbitmq"], "in the order of their names");
    for handler in config.handlers.values() {
        let default = Handler::new(HandlerKind::of(handler.kind.as_str()).unwrap());
        for row in handler.settings() {
            if example(handler.kind.as_str(), row.name).is_none() {
                assert_eq!((row.shown)(handler), (row.shown)(&default), "{}", row.name);
            }
        }
    }
    assert_eq!(config.routes.len(), 1);
    assert!(config.routes[0].respects().iter().all(|(_, globs)| !globs.is_empty()));
}

fn comment(doc: &[&str]) -> String {
    doc.iter().flat_map(|line| ["#", line, "\n"]).collect()
}

#[test]
fn config_toml_is_the_table_written_out() {
    let (_, document) = DOCUMENT.split_once("\n\n").unwrap();
    assert_eq!(document, written_out(), "write this:\n{}", written_out());
}

#[test]
fn config_toml_and_an_empty_file_say_the_defaults() {
    assert_eq!(Config::parse(DOCUMENT, none()).unwrap(), Config::default());
    assert_eq!(Config::parse("", none()).unwrap(), Config::default());
    Config::default().check().unwrap();
}

#[test]
fn every_setting_is_named_once() {
    let mut names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), SETTINGS.len());
}

/// Values that are no defaults; every setting takes one of them, and goes with all other defaults.
const SAMPLES: [&str; 27] = [
    "true",
    "0.5",
    "2",
    "400",
    "1000",
    "30000",
    "1048577",
    "536870912",
    "\"0.0.0.0:1\"",
    "\"/beckn\"",
    "\"refuse\"",
    "\"postgres\"",
    "\"postgres://buyer@database.example/inbox\"",
    "\"strict\"",
    "\"json\"",
    "\"debug\"",
    "[\"buyer.example\"]",
    "{ \"any.rule\" = \"off\" }",
    "\"off\"",
    "\"https://registry.example/lookup\"",
    "\"ondc_v2\"",
    "\"app\"",
    "\"NPL\"",
    "\"buyer.example|key-1\"",
    "\"awGPjRK6i/Vg/lWr+0xObclVxlwZXvTjWYtlu6NeOHk=\"",
    "[\"seller.example|key-1|awGPjRK6i/Vg/lWr+0xObclVxlwZXvTjWYtlu6NeOHk=\"]",
    "[\"oncall|read,act|0123456789abcdef0123456789abcdef\"]",
];

/// Returns how a file says a setting, whatever its section.
fn in_file(setting: &Setting<Config>, sample: &str) -> String {
    format!("{} = {sample}", setting.name)
}

#[test]
fn every_setting_is_set_by_the_file_and_by_its_variable() {
    for setting in SETTINGS {
        let variable = setting.variable();
        let changed = SAMPLES.into_iter().find_map(|sample| {
            let read = Config::parse(&in_file(setting, sample), none()).ok()?;
            (read != Config::default()).then_some((sample, read))
        });
        let (sample, by_file) = changed.expect(setting.name);
        let text = if setting.is_text { sample.trim_matches('"') } else { sample };
        let by_variable = Config::parse(DOCUMENT, env(&[(&variable, text)])).unwrap();
        assert_eq!(by_variable, by_file, "{variable}={text}");
    }
}

#[test]
fn every_setting_refuses_what_is_not_of_its_kind() {
    for setting in SETTINGS {
        let error = Config::parse(&in_file(setting, "1979-05-27"), none()).expect_err(setting.name);
        let [problem] = error.problems() else { panic!("{error}") };
        assert_eq!(
            (problem.setting.as_str(), &problem.place),
            (setting.name, &Place::File { line: 1 })
        );
        let found = match setting.name {
            "registry.private_key" | "operations.tokens" | "postgres.url" => {
                "found something else (not shown)"
            }
            _ => "found 1979-05-27",
        };
        assert!(problem.message.ends_with(found), "{error}");
    }
}

#[test]
fn a_value_is_read_into_its_field() {
    let text = r#"
        subscriber_ids = ["buyer.example", "https://Buyer.example/two/"]
        [http]
        listen = "[::1]:80"
        header_timeout_ms = 1_500
        [inbox]
        duplicate_window_days = 0b11
        [rules]
        profile = "strict"
        [rules.levels]
        json.trailing_comma = "off"
        "context.ttl" = "enforce"
        [log]
        format = "json"
    "#;
    let config = Config::parse(text, none()).unwrap();
    let ids = ["buyer.example", "buyer.example/two"].map(SubscriberId::new);
    assert_eq!(config.subscriber_ids, ids);
    assert_eq!(config.http.listen, SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 80)));
    assert_eq!(config.http.header_timeout, Duration::from_millis(1_500));
    assert_eq!(config.inbox.duplicate_window_days, 3);
    assert_eq!(config.rules.profile, Profile::Strict);
    assert_eq!(config.rules.levels["json.trailing_comma"], Level::Off);
    assert_eq!(config.rules.levels["context.ttl"], Level::Enforce);
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn a_wrong_value_says_what_is_allowed_and_what_was_found() {
    check(
        "\n[http]\nlisten = \"localhost:8080\"\n",
        &[],
        &["config.toml:3: http.listen: expected an IP address and a port, such as \
           \"127.0.0.1:8080\" or \"[::1]:8080\", found \"localhost:8080\""],
    );
    check(
        "http.connections = 0",
        &[],
        &["config.toml:1: http.connections: expected an integer from 1 to 1000000, found 0"],
    );
    check(
        "http.connections = -5",
        &[],
        &["config.toml:1: http.connections: expected an integer from 1 to 1000000, found -5"],
    );
    check(
        "answer.nack_status = 301",
        &[],
        &["config.toml:1: answer.nack_status: expected 200 or an integer from 400 to 499, \
           found 301"],
    );
    check(
        "http.base_path = \"/beckn/\"",
        &[],
        &["config.toml:1: http.base_path: expected \"\" or a path such as \"/beckn\", without a \
           slash at its end, found \"/beckn/\""],
    );
    check(
        "rules.profile = \"loose\"",
        &[],
        &["config.toml:1: rules.profile: expected \"lenient\" or \"standard\" or \"strict\", \
           found \"loose\""],
    );
    check(
        "signature.mode = \"on\"",
        &[],
        &["config.toml:1: signature.mode: expected \"required\" or \"optional\" or \"off\", \
           found \"on\""],
    );
    check(
        "subscriber_ids = [\"buyer.example\",\n 3,\n \"https://\"]",
        &[],
        &[
            "config.toml:2: subscriber_ids: expected only texts that are not empty, found 3",
            "config.toml:3: subscriber_ids: expected only texts that are not empty, \
             found \"https://\"",
        ],
    );
    check(
        "inbox.path = true",
        &[],
        &["config.toml:1: inbox.path: expected a text that is not empty, found true"],
    );
}

#[test]
fn a_found_text_is_cut_and_cannot_forge_a_line() {
    let long = "x".repeat(500);
    let text = format!("log.format = \"a\\n{long}\"\n\"b\\nc\" = 1");
    check(
        &text,
        &[],
        &[
            &format!(
                "config.toml:1: log.format: expected \"text\" or \"json\", found \"a\\u{{a}}{}…\"",
                &long[..126]
            ),
            "config.toml:2: \"b\\u{a}c\": unknown setting, the nearest known one is log",
        ],
    );
}

#[test]
fn an_unknown_name_says_the_nearest_one() {
    check(
        "lisen = 1\n[http]\nlisten_on = 2\n[htpp]\nlisten = 3\n[inbox.tail]\nevents = 4",
        &[("BECKN_RECEIVER_HTTP__LISEN", "5"), ("BECKN_RECEIVER_HTTP_LISTEN", "6")],
        &[
            "config.toml:1: lisen: unknown setting, the nearest known one is http.listen",
            "config.toml:3: http.listen_on: unknown setting, the nearest known one is http.listen",
            "config.toml:4: htpp: unknown setting, the nearest known one is http",
            "config.toml:6: inbox.tail: unknown setting, the nearest known one is inbox.path",
            "environment BECKN_RECEIVER_HTTP_LISTEN: unknown variable, the nearest known one is \
             BECKN_RECEIVER_HTTP__LISTEN",
            "environment BECKN_RECEIVER_HTTP__LISEN: unknown variable, the nearest known one is \
             BECKN_RECEIVER_HTTP__LISTEN",
        ],
    );
    check("http = 1", &[], &["config.toml:1: http: expected a table, found 1"]);
}

#[test]
fn every_wrong_level_has_its_own_line() {
    check(
        "[rules.levels]\na = \"warn\"\nb = \"loud\"\n[rules.levels.c]\nd = 3",
        &[("BECKN_RECEIVER_RULES__LEVELS", "{ e = true }")],
        &[
            "config.toml:3: rules.levels.b: expected \"enforce\" or \"warn\" or \"off\", \
             found \"loud\"",
            "config.toml:5: rules.levels.c.d: expected \"enforce\" or \"warn\" or \"off\", found 3",
            "environment BECKN_RECEIVER_RULES__LEVELS: rules.levels.e: expected \"enforce\" or \
             \"warn\" or \"off\", found true",
        ],
    );
}

#[test]
fn a_text_is_taken_from_its_variable_as_it_stands() {
    let config = Config::parse("", env(&[("BECKN_RECEIVER_INBOX__PATH", "2026")])).unwrap();
    assert_eq!(config.inbox.path, PathBuf::from("2026"));
}

#[test]
fn a_variable_that_is_no_toml_is_shown_as_text() {
    check(
        "",
        &[
            ("BECKN_RECEIVER_DISPATCH__CONCURRENCY", "many"),
            ("BECKN_RECEIVER_SUBSCRIBER_IDS", "a,b"),
        ],
        &[
            "environment BECKN_RECEIVER_DISPATCH__CONCURRENCY: dispatch.concurrency: expected an \
             integer from 1 to 10000, found \"many\"",
            "environment BECKN_RECEIVER_SUBSCRIBER_IDS: subscriber_ids: expected a list of at \
             most 1000 texts, such as [\"a\", \"b\"], found \"a,b\"",
        ],
    );
}

#[test]
fn a_mistake_of_the_file_is_told_though_a_variable_overrides_it() {
    check(
        "dispatch.concurrency = \"many\"",
        &[("BECKN_RECEIVER_DISPATCH__CONCURRENCY", "4")],
        &["config.toml:1: dispatch.concurrency: expected an integer from 1 to 10000, \
           found \"many\""],
    );
}

#[test]
fn a_syntax_error_is_told_with_those_of_the_environment() {
    let error = Config::parse("[http]\nlisten = \n", env(&[("BECKN_RECEIVER_LOG__LEVEL", " ")]));
    let error = error.unwrap_err();
    let [syntax, level] = error.problems() else { panic!("{error}") };
    assert_eq!(syntax.place, Place::File { line: 2 });
    assert!(syntax.message.starts_with("not TOML: "), "{error}");
    assert_eq!(level.setting, "log.level");
}

#[test]
fn settings_that_do_not_go_together_are_both_named() {
    check(
        "http.in_flight_bytes = 2048\nhttp.body_limit_bytes = 4096",
        &[],
        &["config.toml:1: http.in_flight_bytes: expected at least http.body_limit_bytes (4096), \
           found 2048"],
    );
    check(
        "http.listen = \"127.0.0.1:9090\"",
        &[],
        &["config.toml:1: operations.listen: expected another address than http.listen \
           (\"127.0.0.1:9090\"), found \"127.0.0.1:9090\""],
    );
    check(
        "inbox.retention_days = 2\ninbox.refusals_kept = 0",
        &[
            ("BECKN_RECEIVER_INBOX__QUEUE_LIMIT", "8"),
            ("BECKN_RECEIVER_DISPATCH__RETRY_CAP_MS", "1"),
        ],
        &[
            "config.toml:1: inbox.duplicate_window_days: expected at most inbox.retention_days \
             (2), found 7",
            "config.toml:2: inbox.refusals_per_seller: expected at most inbox.refusals_kept (0), \
             found 500",
            "environment BECKN_RECEIVER_DISPATCH__RETRY_CAP_MS: dispatch.retry_initial_ms: \
             expected at most dispatch.retry_cap_ms (1), found 1000",
            "environment BECKN_RECEIVER_INBOX__QUEUE_LIMIT: inbox.batch_limit: expected at most \
             inbox.queue_limit (8), found 512",
        ],
    );
    // What was not allowed is not compared too: the default that stands in for it was not meant.
    check(
        "http.in_flight_bytes = 2048\nhttp.body_limit_bytes = -1",
        &[],
        &["config.toml:2: http.body_limit_bytes: expected an integer from 1024 to 268435456, \
           found -1"],
    );
}

#[test]
fn the_variables_of_a_kubernetes_service_are_not_settings() {
    let service = env(&[
        ("BECKN_RECEIVER_SERVICE_HOST", "10.0.0.1"),
        ("BECKN_RECEIVER_OPERATIONS_SERVICE_HOST", "10.0.0.1"),
        ("BECKN_RECEIVER_METRICS_PORT_9090_TCP_ADDR", "10.0.0.1"),
        ("BECKN_RECEIVER_SERVICE_PORT_CALLBACKS", "8080"),
        ("BECKN_RECEIVER_PORT", "tcp://10.0.0.1:8080"),
        ("BECKN_RECEIVER_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("BECKN_SOMETHING_ELSE", "1"),
    ]);
    assert_eq!(Config::parse("", service).unwrap(), Config::default());
}

#[test]
fn an_error_names_the_file_it_was_told() {
    let error = Config::parse("a = 1", none()).unwrap_err().in_file("/etc/receiver.toml");
    assert!(error.to_string().starts_with("/etc/receiver.toml:1: a: unknown"), "{error}");
}

#[test]
fn settings_of_a_program_are_checked_like_those_of_a_file() {
    let mut config = Config::default();
    config.inbox.batch_limit = 0;
    config.http.retry_after_s = 0;
    config.dispatch.retry_cap = Duration::from_millis(10);
    let error = config.check().unwrap_err();
    let expected = "\
        http.retry_after_s: expected an integer from 1 to 86400, found 0\n\
        inbox.batch_limit: expected an integer from 1 to 4096, found 0\n\
        dispatch.retry_initial_ms: expected at most dispatch.retry_cap_ms (10), found 1000";
    assert_eq!(error.to_string(), expected);
}
