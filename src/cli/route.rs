//! `route`: which handler takes which events, and why.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::events::action;
use super::{Failure, input};
use crate::beckn::action::Action;
use crate::beckn::callback::Callback;
use crate::config::Config;
use crate::event::Address;
use crate::receiver::handlers::names;
use crate::routes::{Compared, Explanation, Routes};
use crate::words::{Outside, SubscriberId};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Say which route takes the callback in this file, and why; `-` is standard input
    #[arg(long, value_name = "FILE", num_args = 1..)]
    explain: Vec<PathBuf>,

    /// The route of HTTP that it is posted to [default: the one that its context names]
    #[arg(long, value_name = "ACTION", value_parser = action, requires = "explain")]
    action: Option<Action>,
}

pub(super) fn run(config: &Config, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let known: Vec<&str> = names(config).collect();
    let routes = Routes::new(config, &known)?;
    let mut out = std::io::stdout().lock();
    if arguments.explain.is_empty() {
        list(&mut out, config)?;
    }
    for file in &arguments.explain {
        let body = input::body(file, config.http.body_limit_bytes)?;
        let callback = Callback::parse(&body)
            .map_err(|malformed| format!("{}: {malformed}", file.display()))?;
        explain(&mut out, &routes, file, arguments.action, &callback)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn list(out: &mut impl Write, config: &Config) -> std::io::Result<()> {
    for (place, route) in (1..).zip(&config.routes) {
        let respects = route.respects().into_iter().filter(|(_, globs)| !globs.is_empty());
        let respects = respects.map(|(name, globs)| {
            let patterns: Vec<&str> = globs.iter().map(crate::words::Glob::as_str).collect();
            format!("{name} is {}", any_of(&patterns))
        });
        writeln!(out, "{place}. {}: {}", route.handler, respects.collect::<Vec<_>>().join(", "))?;
    }
    writeln!(out, "else {}", config.dispatch.handler)
}

fn explain(
    out: &mut impl Write,
    routes: &Routes,
    file: &Path,
    action: Option<Action>,
    callback: &Callback,
) -> std::io::Result<()> {
    let context = &callback.context;
    let action = action.or_else(|| context.action()).unwrap_or(Action::OnStatus);
    let address = Address {
        action: action.as_str(),
        domain: context.domain.as_deref(),
        bap_id: context.bap_id.as_deref(),
        bpp_id: context.bpp_id.as_deref().map(SubscriberId::bare).filter(|id| !id.is_empty()),
    };
    let Explanation { looked_at, taken_by, by_route } = routes.explain(&address);
    writeln!(out, "{}: {action} goes to {taken_by}", file.display())?;
    let last = looked_at.len();
    for (place, route) in (1..).zip(&looked_at) {
        let verdict = if by_route && place == last { "takes it" } else { "does not fit" };
        writeln!(out, "  route {place} to {} {verdict}", route.handler)?;
        for compared in &route.compared {
            print_compared(out, compared)?;
        }
    }
    if !by_route {
        writeln!(out, "  no route fits: it goes to dispatch.handler")?;
    }
    Ok(())
}

fn print_compared(out: &mut impl Write, compared: &Compared<'_>) -> std::io::Result<()> {
    let Compared { name, value, by, patterns } = compared;
    let found = value.map_or("absent".to_owned(), |value| format!("\"{}\"", Outside(value)));
    match by {
        Some(pattern) => writeln!(out, "    {name} {found} is {}", any_of(&[pattern])),
        None => writeln!(out, "    {name} {found} is not {}", any_of(patterns)),
    }
}

fn any_of(patterns: &[&str]) -> String {
    let quoted: Vec<String> =
        patterns.iter().map(|pattern| format!("\"{}\"", Outside(pattern))).collect();
    quoted.join(" or ")
}
