//! `send`: posts captured callbacks from files.
//!
//! What people paste is not quite JSON: it has a byte order mark, commas before an end, and
//! `{{placeholders}}`. It is mended with a notice; what need not change stays to the byte.

mod placeholders;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::de::IgnoredAny;
use uuid::Uuid;

use self::placeholders::Values;
use super::changes::Changes;
use super::events::action;
use super::seller::{Exchange, Seller, SellerArguments};
use super::{Failure, edit, input};
use crate::beckn::action::Action;
use crate::beckn::callback::Callback;
use crate::beckn::repair::repair;
use crate::config::Config;
use crate::mock::{Connection, Request, Signer};
use crate::words::{Outside, SubscriberId};

#[derive(Debug, clap::Args)]
#[command(
    long_about = "Post captured callbacks from files, repaired and signed.\n\n\
        Each gets a context.message_id and a context.timestamp of now; a transaction_id and a \
        bpp_id only where it has none; --bap-id and --bpp-id replace what is there. Commas before \
        an end and a byte order mark are taken out, {{placeholders}} are filled. All else is sent \
        to the byte as it is, but for what --set and --remove name.",
    after_help = "Examples:\n  \
        To `dev`, which is buyer.local and knows the seller mock-bpp.local:\n    \
        beckn-receiver send examples/payloads/on_status_ondc_1_2_5.json \\\n      \
        --bpp-id mock-bpp.local --bap-id buyer.local\n  \
        With something broken on purpose:\n    \
        beckn-receiver send captured.json --set /message/order/state=Happy --remove /message/order/id\n  \
        To any receiver, the bytes as they are:\n    \
        beckn-receiver send captured.json --to http://127.0.0.1:8080 --unsigned --as-is"
)]
pub(super) struct Arguments {
    /// Files that hold one callback each; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Where it is posted [default: the action that its context names]
    #[arg(long, value_name = "ACTION", value_parser = action)]
    action: Option<Action>,

    /// Post the bytes untouched; they are signed all the same
    #[arg(long, conflicts_with_all = ["set", "remove"])]
    as_is: bool,

    /// Print one JSON object a file
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    changes: Changes,

    #[command(flatten)]
    seller: SellerArguments,
}

/// A body that is ready, and what was changed in it, to be told.
#[derive(Debug)]
struct Ready {
    body: Bytes,
    notices: Vec<String>,
}

pub(super) fn run(config: &Config, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let accepted = runtime.block_on(send(config, arguments))?;
    Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn send(config: &Config, arguments: &Arguments) -> Result<bool, Failure> {
    let seller = arguments.seller.seller()?;
    let connection = seller.mock()?.connect().await?;
    let mut accepted = true;
    for file in &arguments.files {
        let body = input::body(file, config.http.body_limit_bytes)?;
        accepted &= send_one(arguments, &seller, &connection, file, body).await?;
    }
    Ok(accepted)
}

async fn send_one(
    arguments: &Arguments,
    seller: &Seller,
    connection: &Connection,
    file: &Path,
    body: Vec<u8>,
) -> Result<bool, Failure> {
    let wrong = |what: String| Failure::from(format!("{}: {what}", file.display()));
    let now = Utc::now();
    let ready = if arguments.as_is {
        Ready { body: Bytes::from(body), notices: Vec::new() }
    } else {
        prepared(arguments, seller, &body, now).map_err(wrong)?
    };
    for notice in ready.notices {
        eprintln!("{}: {notice}", file.display());
    }
    let named = || Callback::parse(&ready.body).ok().and_then(|callback| callback.context.action());
    let action = arguments
        .action
        .or_else(named)
        .ok_or_else(|| wrong("its context names no action; say which by --action".to_owned()))?;
    let authorization = seller.signer.as_ref().map(|signer| signer.authorization(&ready.body, now));
    let request = Request { action, authorization, body: ready.body };
    Exchange::of(&request).of_file(file).run(connection, &request, arguments.json).await
}

/// Mends a captured body and puts into its context what has to be new.
fn prepared(
    arguments: &Arguments,
    seller: &Seller,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<Ready, String> {
    let text = str::from_utf8(body)
        .map_err(|error| format!("expected UTF-8, found something else {}", untouched(&error)))?;
    let mut notices = Vec::new();
    let whole = text.strip_prefix('\u{feff}').unwrap_or(text);
    if whole.len() < text.len() {
        notices.push("took off the byte order mark".to_owned());
    }
    let values = Values {
        bap_id: seller.usual_bap_id(),
        bpp_id: seller.usual_bpp_id().unwrap_or("seller.example"),
        action: arguments.action.unwrap_or(Action::OnStatus).as_str(),
        now,
    };
    let (text, filled) = placeholders::fill(whole, &values);
    notices.extend(filled.iter().map(|one| {
        let times = if one.places > 1 { format!(", {} times", one.places) } else { String::new() };
        format!("filled {{{{{}}}}} with {}{times}", one.name, Outside(&one.value))
    }));
    let mut json = without_trailing_commas(text, &mut notices)
        .map_err(|error| format!("expected JSON: {}", untouched(&error)))?;
    renew(&mut json, arguments, seller, now, &mut notices)?;
    arguments.changes.apply(&mut json)?;
    Ok(Ready { body: Bytes::from(json), notices })
}

fn untouched(error: &dyn std::error::Error) -> String {
    format!("({error}); --as-is posts it untouched")
}

/// Takes out the commas before an end, if the text is no JSON with them.
fn without_trailing_commas(
    text: String,
    notices: &mut Vec<String>,
) -> Result<String, serde_json::Error> {
    let Err(error) = serde_json::from_str::<IgnoredAny>(&text) else { return Ok(text) };
    let Some(repaired) = repair(&text) else { return Err(error) };
    let Some(place) = repaired.comma else { return Err(error) };
    // The repair is of the same length, and overwrites numbers too: only its commas are taken.
    let commas_out = text.bytes().zip(repaired.text.bytes());
    let commas_out = commas_out.map(|(old, new)| if old == b',' { new } else { old }).collect();
    let mended = String::from_utf8(commas_out).expect("a blank in place of a comma is UTF-8");
    serde_json::from_str::<IgnoredAny>(&mended)?;
    // The column is that of the filled text, which is not the file's.
    notices.push(format!("took out commas before an end, the first in line {}", place.line));
    Ok(mended)
}

/// Puts a message id and a time of now into the context, and the ids that it lacks.
fn renew(
    json: &mut String,
    arguments: &Arguments,
    seller: &Seller,
    now: DateTime<Utc>,
    notices: &mut Vec<String>,
) -> Result<(), String> {
    const TRANSACTION_ID: &[&str] = &["transaction_id", "transactionId"];
    const BPP_ID: &[&str] = &["bpp_id", "bppId"];
    const BAP_ID: &[&str] = &["bap_id", "bapId"];
    let none = || "expected an object with a `context`, found none; --as-is posts it untouched";
    let members = edit::members(json, 0).ok_or_else(none)?;
    let context = members.into_iter().find(|member| member.key == "context").ok_or_else(none)?;
    let at = context.value.start;
    let kept = edit::members(json, at).ok_or_else(none)?;
    let text_of = |names: &[&str]| {
        let member = kept.iter().find(|member| names.contains(&&*member.key))?;
        let value: serde_json::Value = serde_json::from_str(&json[member.value.clone()]).ok()?;
        // What is no text is left as it was captured.
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let lacks = |value: &Option<String>| matches!(value.as_deref(), None | Some("" | "null"));
    let [transaction_id, bpp_id, buyer_named] = [TRANSACTION_ID, BPP_ID, BAP_ID].map(text_of);
    edit::set(json, at, &["message_id", "messageId"], &Uuid::new_v4().to_string());
    edit::set(json, at, &["timestamp"], &placeholders::time(now));
    if lacks(&transaction_id) {
        notices.push("put in a new transaction_id".to_owned());
        edit::set(json, at, TRANSACTION_ID, &Uuid::new_v4().to_string());
    }
    match (&arguments.seller.bpp_id, seller.usual_bpp_id(), &seller.signer) {
        (Some(asked), ..) => edit::set(json, at, BPP_ID, asked),
        (None, Some(usual), _) if lacks(&bpp_id) => {
            notices.push(format!("put in the bpp_id {}", Outside(usual)));
            edit::set(json, at, BPP_ID, usual);
        }
        (None, _, Some(signer)) => notices.extend(another_signs(signer, bpp_id.as_deref())),
        (None, _, None) => {}
    }
    match (&arguments.seller.bap_id, &seller.bap_id) {
        (Some(asked), _) => edit::set(json, at, BAP_ID, asked),
        // What the seller file names is the receiver that it names, and no other.
        (None, Some(buyer)) if arguments.seller.to.is_none() => {
            notices.extend(another_buys(buyer, buyer_named.as_deref()));
        }
        (None, _) => {}
    }
    Ok(())
}

/// Warns of what a receiver that knows its own id will refuse.
fn another_buys(buyer: &str, bap_id: Option<&str>) -> Option<String> {
    let named = bap_id?;
    if SubscriberId::new(buyer) == SubscriberId::new(named) {
        return None;
    }
    let (buyer, named) = (Outside(buyer), Outside(named));
    Some(format!(
        "its bap_id is {named} and the receiver is {buyer}, which refuses it; --bap-id {buyer} \
         names the receiver"
    ))
}

/// Warns of what a receiver that verifies will refuse.
fn another_signs(signer: &Signer, bpp_id: Option<&str>) -> Option<String> {
    let (signs, named) = (signer.subscriber(), bpp_id?);
    if SubscriberId::written(signs) == SubscriberId::written(named) {
        return None;
    }
    let (signs, named) = (Outside(signs), Outside(named));
    Some(format!(
        "its bpp_id is {named} and {signs} signs it, which a receiver that verifies refuses; \
         --bpp-id {signs} names the signer"
    ))
}

#[cfg(test)]
mod tests;
