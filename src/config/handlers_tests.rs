//! Handlers and routes: from the file, from the environment, and every mistake with its place.

use std::collections::HashMap;

use super::handlers::{Handler, HandlerKind};
use super::{Config, Content};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pair = |(name, text): &(&str, &str)| (format!("BECKN_RECEIVER_{name}"), (*text).to_owned());
    pairs.iter().map(pair).collect()
}

#[track_caller]
fn check(text: &str, variables: &[(&str, &str)], expected: &[&str]) {
    let error = Config::parse(text, env(variables)).expect_err(text);
    assert_eq!(error.to_string().lines().collect::<Vec<_>>(), expected, "{text} {variables:?}");
}

#[test]
fn a_handler_is_put_together_of_the_file_and_the_environment() {
    let file =
        "[handlers.app]\nkind = \"forward\"\nurl = \"http://app:3000\"\nallow_unsigned = true";
    let secrets = format!("[\"{SECRET}\"]");
    let variables = env(&[
        ("HANDLERS__APP__URL", "https://app.example/hook"),
        ("HANDLERS__APP__SECRETS", &secrets),
        ("HANDLERS__APP__CONCURRENCY", "7"),
        ("HANDLERS__OTHER_ONE__KIND", "jetstream"),
        ("HANDLERS__OTHER_ONE__SERVERS", "[\"nats://nats:4222\"]"),
        ("HANDLERS__OTHER_ONE__PASSWORD", "123"),
        ("ROUTES", "[{ handler = \"other_one\", action = [\"on_track\", \"on_u*\"] }]"),
    ]);
    let config = Config::parse(file, variables).unwrap();
    let HandlerKind::Forward(forward) = &config.handlers["app"].kind else { panic!() };
    assert_eq!(forward.url.expose(), "https://app.example/hook");
    assert_eq!(format!("{:?}", forward.url), "TargetUrl(app.example)");
    assert!(forward.allow_unsigned, "what the variables leave out is the file's");
    assert_eq!(forward.secrets[0].expose(), SECRET);
    assert_eq!((forward.content, config.handlers["app"].concurrency), (Content::Envelope, 7));
    let HandlerKind::JetStream(nats) = &config.handlers["other_one"].kind else { panic!() };
    assert_eq!(nats.servers[0].as_str(), "nats://nats:4222");
    assert_eq!(nats.password.expose(), "123", "a text is a text, whatever it looks like");
    assert_eq!(config.routes[0].handler, "other_one");
    assert_eq!(config.routes[0].action.len(), 2);
    config.check().unwrap();
}

#[test]
fn a_variable_is_read_alike_whatever_the_kind() {
    let mut texts: HashMap<&str, bool> = HashMap::new();
    for word in HandlerKind::WORDS {
        for row in Handler::new(HandlerKind::of(word).unwrap()).settings() {
            let known = *texts.entry(row.name).or_insert(row.is_text);
            assert_eq!(known, row.is_text, "{word}: {}", row.name);
        }
    }
}

#[test]
fn every_mistake_of_a_handler_is_told_with_its_place() {
    check(
        "[handlers.app]\nurl = \"http://app\"",
        &[],
        &[
            "config.toml:1: handlers.app: expected kind = \"print\" or \"forward\" or \"jetstream\" or \
           \"rabbitmq\", found no kind",
        ],
    );
    check(
        "[handlers.app]\nkind = \"kafka\"",
        &[],
        &[
            "config.toml:2: handlers.app.kind: expected \"print\" or \"forward\" or \"jetstream\" or \
           \"rabbitmq\", found \"kafka\"",
        ],
    );
    check(
        "[handlers.app]\nkind = \"forward\"\nurll = \"http://127.0.0.1\"",
        &[],
        &[
            "config.toml:1: handlers.app.url: expected where to post events, found none",
            "config.toml:3: handlers.app.urll: unknown setting of a handler of kind \"forward\", the \
             nearest known one is url",
        ],
    );
    check(
        "[handlers.App]\nkind = \"print\"\n[handlers]\nx = 1",
        &[],
        &[
            "config.toml:1: handlers: expected a handler's name: up to 32 small letters, digits and \
             single _, a letter first, found \"App\"",
            "config.toml:4: handlers.x: expected a table, found 1",
        ],
    );
    check(
        "",
        &[("HANDLERS__APP", "x"), ("HANDLERS__NATS__KIND", "jetstream")],
        &[
            "environment BECKN_RECEIVER_HANDLERS__APP: expected BECKN_RECEIVER_HANDLERS__, a name, __ and a \
             setting, found this variable",
            "environment BECKN_RECEIVER_HANDLERS__NATS__KIND: handlers.nats.servers: expected at least one, found \
             none",
        ],
    );
}

#[test]
fn events_leave_this_machine_unsigned_only_when_that_is_said() {
    let settings = |url: &str, rest: &str| {
        format!("[handlers.app]\nkind = \"forward\"\nurl = \"{url}\"\n{rest}")
    };
    let is_allowed = |url: &str, rest: &str| Config::parse(&settings(url, rest), []).is_ok();
    for near in ["http://127.0.0.1:1", "http://localhost/x", "http://[::1]:9", "http://127.1.2.3"] {
        assert!(is_allowed(near, ""), "{near}");
    }
    for far in ["http://app:3000", "https://app.example", "http://10.0.0.1", "http://localhost.x"] {
        assert!(!is_allowed(far, ""), "{far}");
        assert!(is_allowed(far, "allow_unsigned = true"), "{far}");
        assert!(is_allowed(far, "secrets_file = \"secrets\""), "{far}");
        assert!(is_allowed(far, &format!("secrets = [\"{SECRET}\"]")), "{far}");
    }
}

#[test]
fn a_secret_is_never_shown() {
    let wrong = "[handlers.app]\nkind = \"forward\"\nurl = \"http://127.0.0.1\"\n";
    for secrets in
        ["\"whsec_hunter2\"", "[\"whsec_hunter2\"]", "[1, \"hunter2\"]", "{ a = \"hunter2\" }"]
    {
        let text = format!("{wrong}secrets = {secrets}");
        let error = Config::parse(&text, []).expect_err(secrets);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    let rabbit = "[handlers.r]\nkind = \"rabbitmq\"\n";
    for line in
        ["url = \"amqp://u:hunter2@host\"", "password = [\"hunter2\"]", "token = \"hunter2\""]
    {
        let error = Config::parse(&format!("{rabbit}{line}"), []).expect_err(line);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    let right = format!("{rabbit}url = \"amqp://h\"\npassword = \"hunter2\"");
    let config = Config::parse(&right, []).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn every_mistake_of_a_route_is_told_with_its_line() {
    check(
        "[[routes]]\nhandler = \"app\"\n[[routes]]\naction = \"\"\n[[routes]]\nhandler = \"app\"\nbpp = \
         \"x\"\n[[routes]]\ndomain = \"x\"",
        &[],
        &[
            "config.toml:1: routes.1: expected action, domain, bap_id or bpp_id, found none of them: \
             what takes every event is dispatch.handler",
            "config.toml:4: routes.2.action: expected a text that is not empty, in which * is any \
             number of characters and ? is one, found \"\"",
            "config.toml:7: routes.3.bpp: unknown setting of a route, the nearest known one is bpp_id",
            "config.toml:8: routes.4: expected a handler, found a table",
        ],
    );
    check(
        "[[routes]]\nhandler = \"app\"\naction = [\"on_*\", \"on_trak\"]",
        &[],
        &[
            "config.toml:3: routes.1.action: expected a callback's name, the nearest is on_track, found \
           \"on_trak\"",
        ],
    );
    check(
        "routes = 1",
        &[],
        &["config.toml:1: routes: expected at most 1000 tables [[routes]], found 1"],
    );
    check(
        "",
        &[("ROUTES", "x")],
        &[
            "environment BECKN_RECEIVER_ROUTES: routes: expected at most 1000 tables [[routes]], found \"x\"",
        ],
    );
}

#[test]
fn handlers_that_a_program_made_are_checked_too() {
    let mut config = Config::default();
    config.handlers.insert("App".to_owned(), Handler::new(HandlerKind::of("forward").unwrap()));
    config.routes.push(super::Route::to("app"));
    let problems = config.check().unwrap_err().to_string();
    for part in ["handlers: expected a handler's name", "handlers.App.url", "routes.1: expected"] {
        assert!(problems.contains(part), "{part}: {problems}");
    }
}

#[test]
fn a_secret_in_a_wrong_place_is_not_repeated() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwhunter2";
    let forward = "[handlers.app]\nkind = 'forward'\n";
    for text in [
        format!("routes = ['{secret}']"),
        format!("[handlers]\nsecrets = '{secret}'"),
        format!("[handlers.app]\nkind = '{secret}'"),
        format!("[handlers.'{secret}']\nkind = 'print'"),
        format!("{forward}url = '{secret}'"),
        format!("{forward}content = '{secret}'"),
        format!("{forward}allow_unsigned = '{secret}'"),
        format!("{forward}secrets_file = '{secret}'"),
        format!("{forward}'{secret}' = 1"),
        format!("{forward}url = 'htp://app/?token=hunter2'"),
        "[handlers.n]\nkind = 'jetstream'\nservers = ['app:hunter2@nats:4222']".to_owned(),
        "[handlers.n]\nkind = 'rabbitmq'\nurl = 'app:hunter2@nats:4222'".to_owned(),
        format!("[handlers.n]\nkind = 'rabbitmq'\npassword_file = '{secret}'"),
    ] {
        let said = Config::parse(&text, []).unwrap_err().to_string();
        assert!(said.contains("not shown") || said.contains("unknown"), "{text}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let said = Config::parse("", env(&[("ROUTES", secret)])).unwrap_err().to_string();
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_variable_of_a_handler_is_spelled_in_capitals() {
    check(
        "[handlers.app]\nkind = \"print\"",
        &[("HANDLERS__app__KIND", "forward")],
        &[
            "environment BECKN_RECEIVER_HANDLERS__app__KIND: unknown variable, the nearest known one \
           is BECKN_RECEIVER_HANDLERS__APP__KIND",
        ],
    );
}

#[test]
fn a_program_cannot_make_more_than_a_file() {
    let routes = (0..1_001).map(|_| super::Route::to("print")).collect();
    let mut config = Config { routes, ..Config::default() };
    for number in 0..101 {
        let print = Handler::new(HandlerKind::of("print").unwrap());
        config.handlers.insert(format!("app{number}"), print);
    }
    let problems = config.check().unwrap_err().to_string();
    assert!(problems.contains("handlers: expected at most 100 handlers, found 101"), "{problems}");
    assert!(problems.contains("routes: expected at most 1000 routes, found 1001"), "{problems}");
}
