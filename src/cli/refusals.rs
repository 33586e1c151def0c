//! `refusals`: the callbacks that were refused, why, and what to tell the seller.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::Failure;
use super::events::{List, print_all, time};
use super::source::Source;
use crate::inbox::reader::refusals::RefusalFilter;
use crate::operations::views::RefusalView;
use crate::words::{Message, Outside};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only this one, by the number that `refusals` prints, with what it means
    #[arg(value_name = "NUMBER", conflicts_with_all = ["seller", "cause"])]
    number: Option<u64>,

    /// Only this seller, verified or not: its subscriber id
    #[arg(long, value_name = "BPP_ID")]
    seller: Option<String>,

    /// Only this cause, as `signature.expired`; `signature` is every one that begins so
    #[arg(long, value_name = "NAME")]
    cause: Option<String>,

    #[command(flatten)]
    list: List,

    /// Say of each what its cause means and what to tell the seller
    #[arg(long)]
    long: bool,

    /// Put what was kept of the bodies into the JSON: they hold personal data
    #[arg(long, requires = "json")]
    bodies: bool,
}

/// A refusal as `--json` prints it; the body only when it is asked for.
#[derive(Debug, Serialize)]
struct Row<'a> {
    seq: u64,
    at: String,
    route: &'a str,
    seller: &'a str,
    verified: bool,
    cause: &'a str,
    path: &'a str,
    message: &'a str,
    status: u16,
    meaning: &'a str,
    mend: &'a str,
    body_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
}

pub(super) fn run(source: &Source, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let refusals = if let Some(number) = arguments.number {
        let refusal = source.refusal(number)?;
        vec![refusal.ok_or_else(|| format!("there is no refusal {number}"))?]
    } else {
        let (seller, cause) = (arguments.seller.clone(), arguments.cause.clone());
        source.refusals(&RefusalFilter { seller, cause }, arguments.list.limit)?
    };
    let is_long = arguments.long || arguments.number.is_some();
    let row = |refusal| row(refusal, arguments.bodies);
    print_all(&refusals, arguments.list.json, row, |refusal| {
        if is_long { long_line(refusal) } else { line(refusal) }
    })
}

fn line(refusal: &RefusalView) -> String {
    let place = if refusal.path.is_empty() { "the body" } else { &refusal.path };
    format!(
        "{} /{} {} {} at {} refusal={}\n    answered {}: {}",
        time(refusal.at),
        Outside(&refusal.route),
        Outside(&refusal.seller),
        Outside(&refusal.cause),
        Outside(place),
        refusal.seq,
        refusal.status,
        Message(&refusal.message),
    )
}

fn long_line(refusal: &RefusalView) -> String {
    let mut text = line(refusal);
    let (meaning, mend) = (Message(&refusal.meaning), Message(&refusal.mend));
    write!(text, "\n    means: {meaning}\n    tell the seller: {mend}")
        .expect("a text takes what is written");
    text
}

fn row(refusal: &RefusalView, with_body: bool) -> Row<'_> {
    Row {
        seq: refusal.seq,
        at: time(refusal.at),
        route: &refusal.route,
        seller: &refusal.seller,
        verified: refusal.verified,
        cause: &refusal.cause,
        path: &refusal.path,
        message: &refusal.message,
        status: refusal.status,
        meaning: &refusal.meaning,
        mend: &refusal.mend,
        body_bytes: refusal.body_bytes,
        body: refusal.body.as_deref().filter(|_| with_body),
    }
}
