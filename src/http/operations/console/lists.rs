//! Expectations, and what operators changed.

use axum::extract::Query;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::ROWS;
use super::transactions::Cursor;
use super::visitor::{Section, Trouble, Visitor};
use crate::inbox::reader::expectations::Status;
use crate::operations::place;
use crate::operations::views::{AuditView, ExpectationPage};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    status: String,
    after: String,
}

#[derive(Debug, Serialize)]
struct ExpectationsPage {
    list: ExpectationPage,
    /// The status that is asked for; empty: any.
    status: &'static str,
    statuses: [&'static str; 4],
    is_older: bool,
}

/// The list of callbacks that the buyer app waits for.
pub(super) async fn expectations(
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    let status = Status::ALL.into_iter().find(|status| status.as_str() == asked.status);
    let after = place(&asked.after);
    let list = visitor.look(move |ledger| ledger.expectations(status, after, ROWS)).await?;
    let page = ExpectationsPage {
        list,
        status: status.map(Status::as_str).unwrap_or_default(),
        statuses: Status::ALL.map(Status::as_str),
        is_older: after.is_some(),
    };
    visitor.page((Section::Expectations, "Expectations"), "expectations.html", page).await
}

#[derive(Debug, Serialize)]
struct AuditPage {
    audit: Vec<AuditView>,
    next: Option<String>,
    is_older: bool,
}

/// The list of what operators changed.
pub(super) async fn audit(
    visitor: Visitor,
    Query(cursor): Query<Cursor>,
) -> Result<Response, Trouble> {
    let before = place(&cursor.after);
    let audit = visitor.look(move |ledger| ledger.audits(before, ROWS)).await?;
    let last = audit.last().filter(|_| audit.len() == ROWS);
    let next = last.map(|line| line.seq.to_string());
    let page = AuditPage { audit, next, is_older: before.is_some() };
    visitor.page((Section::Audit, "Audit"), "audit.html", page).await
}
