//! `sellers`: what came of each seller.

use std::process::ExitCode;

use super::Failure;
use super::events::{print_all, time};
use super::source::Source;
use crate::event::UNVERIFIED;
use crate::operations::views::SellerView;
use crate::words::Outside;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only this seller, verified or not: its subscriber id
    #[arg(long, value_name = "BPP_ID")]
    seller: Option<String>,

    /// Print one JSON object a line, with the quarters of an hour of the last day
    #[arg(long)]
    json: bool,
}

pub(super) fn run(source: &Source, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut sellers = source.sellers()?;
    if let Some(wanted) = &arguments.seller {
        sellers.retain(|known| bare(&known.seller) == bare(wanted));
    }
    print_all(&sellers, arguments.json, |seller| seller, line)
}

/// Returns the subscriber id, whether it was verified or not.
fn bare(seller: &str) -> &str {
    seller.strip_prefix(UNVERIFIED).unwrap_or(seller)
}

fn line(seller: &SellerView) -> String {
    let SellerView { accepted, duplicates, refused, untrusted, oddities, silences, .. } = seller;
    format!(
        "{} {} accepted={accepted} duplicates={duplicates} refused={refused} \
         untrusted={untrusted} oddities={oddities} silences={silences}",
        time(seller.last_seen),
        Outside(&seller.seller),
    )
}
