//! `check`: what would be answered to callbacks in files, without a server.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::events::action;
use super::{Failure, input, json};
use crate::beckn::action::Action;
use crate::beckn::callback::Callback;
use crate::config::Config;
use crate::rules::{self, Rules};
use crate::words::{Outside, Profile, Violation};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Files that hold one callback each; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The route that it is posted to; on another than its context names it is refused
    /// [default: the one that its context names]
    #[arg(long, value_name = "ACTION", value_parser = action)]
    route: Option<Action>,

    /// Check by this profile instead of the configured one: lenient, standard or strict
    #[arg(long, value_name = "PROFILE", value_parser = profile)]
    profile: Option<Profile>,

    /// Print one JSON object a file
    #[arg(long)]
    json: bool,
}

fn profile(text: &str) -> Result<Profile, String> {
    Profile::ALL
        .into_iter()
        .find(|profile| profile.as_str() == text)
        .ok_or_else(|| "expected lenient, standard or strict".to_owned())
}

/// What is said of a file; serialised for `--json`.
#[derive(Debug, Serialize)]
struct Report {
    file: String,
    route: Option<&'static str>,
    /// Whether the route is only what the context names.
    route_assumed: bool,
    answer: &'static str,
    violations: Vec<Finding>,
    warnings: Vec<Finding>,
    oddities: Vec<Shape>,
}

#[derive(Debug, Serialize)]
struct Finding {
    rule: String,
    wants: &'static str,
    source: &'static str,
    path: String,
    message: String,
}

#[derive(Debug, Serialize)]
struct Shape {
    kind: &'static str,
    path: String,
    expected: &'static str,
    found: &'static str,
}

impl From<Violation> for Finding {
    fn from(violation: Violation) -> Self {
        let Violation { rule, path, message } = violation;
        let (wants, source) = rules::find(&rule)
            .map_or(("one JSON object", "RFC 8259"), |rule| (rule.what, rule.source));
        Self { rule: rule.into_owned(), wants, source, path, message }
    }
}

pub(super) fn run(config: &Config, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let profile = arguments.profile.unwrap_or(config.rules.profile);
    let rules = Rules::new(profile, &config.rules.levels, &config.subscriber_ids)?;
    let mut refused = 0;
    for file in &arguments.files {
        let body = input::body(file, config.http.body_limit_bytes)?;
        let report = report(&rules, file, arguments.route, &body);
        refused += usize::from(report.answer == "NACK");
        if arguments.json {
            println!("{}", json(&report)?);
        } else {
            print(&report);
        }
    }
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(rules: &Rules, file: &Path, route: Option<Action>, body: &[u8]) -> Report {
    let mut report = Report {
        file: file.display().to_string(),
        route: route.map(Action::as_str),
        route_assumed: route.is_none(),
        answer: "NACK",
        violations: Vec::new(),
        warnings: Vec::new(),
        oddities: Vec::new(),
    };
    let callback = match Callback::parse(body) {
        Ok(callback) => callback,
        Err(malformed) => {
            let violation = Violation::new(rules::MALFORMED, "", malformed.to_string());
            report.violations.push(violation.into());
            return report;
        }
    };
    // Without a route of its own a callback is judged as if it came where it says it belongs.
    let route = route.or_else(|| callback.context.action()).unwrap_or(Action::OnStatus);
    report.route = Some(route.as_str());
    let findings = rules.check(route, &callback, chrono::Utc::now());
    report.answer = if findings.enforced.is_empty() { "ACK" } else { "NACK" };
    report.violations = findings.enforced.into_iter().map(Finding::from).collect();
    report.warnings = findings.warnings.into_iter().map(Finding::from).collect();
    report.oddities = callback
        .oddities
        .into_iter()
        .map(|oddity| Shape {
            kind: oddity.kind.as_str(),
            path: oddity.path,
            expected: oddity.expected,
            found: oddity.found,
        })
        .collect();
    report
}

fn print(report: &Report) {
    let counts = [
        (report.violations.len(), "violation"),
        (report.warnings.len(), "warning"),
        (report.oddities.len(), "oddity"),
    ];
    let mut line = format!("{}: {}", report.file, report.answer);
    if let Some(route) = report.route {
        let whose = if report.route_assumed { ", the route that its context names" } else { "" };
        write!(line, " to /{route}{whose}").expect("a text takes what is written");
    }
    for (count, word) in counts.into_iter().filter(|(count, _)| *count > 0) {
        write!(line, ", {count} {}", plural(word, count)).expect("a text takes what is written");
    }
    println!("{line}");
    for (level, findings) in [("enforced", &report.violations), ("warning", &report.warnings)] {
        for finding in findings {
            let place = if finding.path.is_empty() { "the body" } else { &finding.path };
            println!("  {level:<9} {} at {}", finding.rule, Outside(place));
            println!("            {} ({})", finding.message, finding.source);
        }
    }
    for oddity in &report.oddities {
        let place = if oddity.path.is_empty() { "the body" } else { &oddity.path };
        println!("  oddity    {} at {}", oddity.kind, Outside(place));
        println!("            expected {}, found {}", oddity.expected, oddity.found);
    }
}

fn plural(word: &str, count: usize) -> String {
    match (word, count) {
        (word, 1) => word.to_owned(),
        ("oddity", _) => "oddities".to_owned(),
        (word, _) => format!("{word}s"),
    }
}
