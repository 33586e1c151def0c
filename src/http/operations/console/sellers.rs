//! Sellers: when each was seen last, and how often it is refused.

use axum::extract::Path;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::refusals::{Group, groups};
use super::visitor::{Section, Trouble, Visitor};
use crate::inbox::reader::refusals::RefusalFilter;
use crate::inbox::reader::selection::Filter;
use crate::operations::Sight;
use crate::operations::events::Part;
use crate::operations::views::{EventPage, QuarterView, SellerView};

/// Sellers on the page: those that were seen last.
const SELLERS: usize = 500;

/// Quarters of an hour in a plot: a day.
const QUARTERS: u32 = 96;

/// How high a plot is.
const HEIGHT: u64 = 24;

#[derive(Debug, Serialize)]
struct Line {
    seller: SellerView,
    /// Of what it has sent, duplicates left out, in percent.
    refused_share: Option<String>,
    untrusted_share: Option<String>,
    plot: Plot,
}

/// Columns of the last day: accepted below, refused on top of them.
#[derive(Debug, PartialEq, Serialize)]
struct Plot {
    width: i64,
    height: u64,
    columns: Vec<Column>,
    /// The most of a quarter.
    most: u64,
    accepted: u64,
    refused: u64,
}

#[derive(Debug, PartialEq, Serialize)]
struct Column {
    x: i64,
    accepted: u64,
    refused: u64,
    title: String,
}

#[derive(Debug, Serialize)]
struct ListPage {
    sellers: Vec<Line>,
    more: usize,
}

/// The list.
pub(super) async fn list(visitor: Visitor) -> Result<Response, Trouble> {
    let now = visitor.office.clock.now();
    // The ledger gives the one that was seen last first.
    let mut sellers = visitor.look(move |ledger| ledger.sellers(now)).await?;
    let more = sellers.len().saturating_sub(SELLERS);
    sellers.truncate(SELLERS);
    let sellers = sellers.into_iter().map(|seller| line(seller, now)).collect();
    visitor.page((Section::Sellers, "Sellers"), "sellers.html", ListPage { sellers, more }).await
}

#[derive(Debug, Serialize)]
struct SellerPage {
    name: String,
    lines: Vec<Line>,
    list: EventPage,
    groups: Vec<Group>,
}

/// One seller.
pub(super) async fn show(visitor: Visitor, Path(name): Path<String>) -> Result<Response, Trouble> {
    let now = visitor.office.clock.now();
    let wanted = name.clone();
    let (sellers, list, groups) = visitor
        .look(move |ledger| {
            let by_seller = Filter { seller: Some(wanted.clone()), ..Filter::default() };
            let list = ledger.events(&by_seller, Part::newest(20))?;
            let filter = RefusalFilter { seller: Some(wanted), cause: None };
            let refusals = ledger.refusals(&filter, None, 200, Sight::Masked)?;
            Ok((ledger.sellers(now)?, list, groups(&refusals.refusals)))
        })
        .await?;
    let sellers = sellers.into_iter().filter(|seller| seller.seller == name);
    let lines: Vec<Line> = sellers.map(|seller| line(seller, now)).collect();
    if lines.is_empty() && list.events.is_empty() && groups.is_empty() {
        return Err(Trouble::Missing("Nothing of this seller is in the inbox."));
    }
    let page = SellerPage { name, lines, list, groups };
    visitor.page((Section::Sellers, "Seller"), "seller.html", page).await
}

fn line(seller: SellerView, now: DateTime<Utc>) -> Line {
    let sent = seller.accepted + seller.refused;
    Line {
        refused_share: share(seller.refused, sent),
        untrusted_share: share(seller.untrusted, sent),
        plot: plot(&seller.quarters, now),
        seller,
    }
}

/// Returns a share in percent with one digit.
fn share(part: u64, whole: u64) -> Option<String> {
    let thousandths = (part.saturating_mul(1_000) + whole / 2).checked_div(whole)?;
    // Some is never said to be none.
    let thousandths = thousandths.max(u64::from(part > 0));
    Some(format!("{}.{}", thousandths / 10, thousandths % 10))
}

fn plot(quarters: &[QuarterView], now: DateTime<Utc>) -> Plot {
    let begin = now - TimeDelta::minutes(15 * i64::from(QUARTERS));
    let in_day = |quarter: &&QuarterView| quarter.at > begin && quarter.at <= now;
    let last_day = || quarters.iter().filter(in_day);
    let most = last_day().map(|one| one.accepted + one.refused).max().unwrap_or(0);
    let height = |count: u64| match (count, most) {
        (0, _) | (_, 0) => 0,
        (count, most) => (count * HEIGHT / most).max(1),
    };
    let column = |quarter: &QuarterView| Column {
        x: (quarter.at - begin).num_minutes() / 15 * 2,
        accepted: height(quarter.accepted),
        refused: height(quarter.refused),
        title: format!("{} accepted, {} refused", quarter.accepted, quarter.refused),
    };
    Plot {
        width: i64::from(QUARTERS) * 2,
        height: HEIGHT,
        most,
        accepted: last_day().map(|quarter| quarter.accepted).sum(),
        refused: last_day().map(|quarter| quarter.refused).sum(),
        columns: last_day().take(QUARTERS as usize).map(column).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_one_digit_and_some_is_never_none() {
        assert_eq!(share(1, 3).as_deref(), Some("33.3"));
        assert_eq!(share(1, 100_000).as_deref(), Some("0.1"));
        assert_eq!(share(0, 5).as_deref(), Some("0.0"));
        assert_eq!(share(0, 0), None);
    }

    #[test]
    fn a_plot_is_of_the_last_day_and_fits_its_box() {
        let now: DateTime<Utc> = "2026-03-14T12:00:00Z".parse().unwrap();
        let quarter = |minutes_ago: i64, accepted, refused| QuarterView {
            at: now - TimeDelta::minutes(minutes_ago),
            accepted,
            duplicates: 0,
            refused,
        };
        let quarters = [quarter(2_000, 999, 0), quarter(1_430, 10, 1), quarter(0, 90, 10)];
        let plot = plot(&quarters, now);
        assert_eq!((plot.most, plot.accepted, plot.refused), (100, 100, 11));
        for column in &plot.columns {
            assert!((0..=plot.width).contains(&column.x), "{column:?}");
            assert!(column.accepted + column.refused <= plot.height, "{column:?}");
        }
        assert_eq!(plot.columns[0].refused, 1, "a little is seen");
    }
}
