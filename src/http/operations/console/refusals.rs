//! Refused callbacks: who is refused why, and what to tell them.

use axum::extract::{Path, Query};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ROWS;
use super::fold::{Folded, Mark, fold};
use super::render::{segment, visible};
use super::visitor::{Section, Trouble, Visitor};
use crate::inbox::reader::refusals::RefusalFilter;
use crate::operations::views::{RefusalPage, RefusalView};
use crate::operations::{Sight, place};

/// So many of the newest are looked at for the groups at the top.
const GROUPED: usize = 200;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    seller: String,
    cause: String,
    after: String,
}

impl Asked {
    fn filter(&self) -> RefusalFilter {
        let said =
            |text: &str| Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
        RefusalFilter { seller: said(&self.seller), cause: said(&self.cause) }
    }
}

/// Refusals of one seller for one cause.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Group {
    seller: String,
    cause: String,
    meaning: String,
    count: u64,
    last: DateTime<Utc>,
    /// The last of them.
    seq: u64,
    query: String,
}

#[derive(Debug, Serialize)]
struct ListPage {
    list: RefusalPage,
    groups: Vec<Group>,
    grouped: usize,
    asked: Asked,
    query: String,
    is_filtered: bool,
}

/// The list.
pub(super) async fn list(
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    let (filter, before) = (asked.filter(), place(&asked.after));
    let (list, groups) = visitor
        .look(move |ledger| {
            let list = ledger.refusals(&filter, before, ROWS, Sight::Masked)?;
            let newest =
                ledger.refusals(&RefusalFilter::default(), None, GROUPED, Sight::Masked)?;
            Ok((list, groups(&newest.refusals)))
        })
        .await?;
    let query = format!("seller={}&cause={}", segment(&asked.seller), segment(&asked.cause));
    let is_filtered = !asked.seller.is_empty() || !asked.cause.is_empty();
    let page = ListPage { list, groups, grouped: GROUPED, asked, query, is_filtered };
    visitor.page((Section::Refusals, "Refusals"), "refusals.html", page).await
}

/// Returns who is refused why, the most frequent first.
pub(super) fn groups(refusals: &[RefusalView]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for refusal in refusals {
        let of =
            |group: &&mut Group| group.seller == refusal.seller && group.cause == refusal.cause;
        if let Some(group) = groups.iter_mut().find(of) {
            group.count += 1;
            continue;
        }
        groups.push(Group {
            query: format!("seller={}&cause={}", segment(&refusal.seller), segment(&refusal.cause)),
            seller: refusal.seller.clone(),
            cause: refusal.cause.clone(),
            meaning: refusal.meaning.clone(),
            count: 1,
            last: refusal.at,
            seq: refusal.seq,
        });
    }
    groups.sort_by_key(|group| std::cmp::Reverse((group.count, group.seq)));
    groups.truncate(ROWS);
    groups
}

#[derive(Debug, Serialize)]
struct RefusalPageView {
    refusal: RefusalView,
    letter: String,
    folded: Folded,
}

/// One refusal.
pub(super) async fn show(visitor: Visitor, Path(seq): Path<String>) -> Result<Response, Trouble> {
    const MISSING: Trouble = Trouble::Missing("There is no such refusal.");
    let sight = visitor.principal.sight();
    let seq = place(&seq).ok_or(MISSING)?;
    let refusal = visitor.look(move |ledger| ledger.refusal(seq, sight)).await?;
    let mut refusal = refusal.ok_or(MISSING)?;
    let mark = Mark { kind: "refused", path: refusal.path.clone(), text: refusal.message.clone() };
    let folded = fold(refusal.body.take(), &[mark]);
    let page = RefusalPageView { letter: letter(&refusal), folded, refusal };
    visitor.page((Section::Refusals, "Refusal"), "refusal.html", page).await
}

/// Returns what to tell the seller, to be copied into a message.
fn letter(refusal: &RefusalView) -> String {
    let at = refusal.at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let place = match refusal.path.as_str() {
        "" => String::new(),
        path => format!("Where: {}\n", visible(path, 300)),
    };
    format!(
        "Your /{} callback of {at} was not accepted (HTTP {}, cause {}).\n\
         What is wrong: {}\n{place}We answered: {}\nPlease change: {}\n",
        visible(&refusal.route, 100),
        refusal.status,
        visible(&refusal.cause, 100),
        refusal.meaning,
        visible(&refusal.message, 600),
        refusal.mend,
    )
}
