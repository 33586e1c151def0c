//! The list of events as they come, and one event.

use axum::extract::{Form, Path, Query};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ROWS;
use super::filter::Asked;
use super::fold::{Folded, Mark, fold};
use super::visitor::{Said, Section, Trouble, Visitor, part};
use crate::beckn::action::Action;
use crate::event::{EventId, Flag};
use crate::inbox::reader::Progress;
use crate::operations::events::Part;
use crate::operations::place;
use crate::operations::summary::SummaryView;
use crate::operations::views::{EventDetail, EventPage, EventView, ReplayView};

#[derive(Debug, Serialize)]
struct ListPage {
    list: EventPage,
    asked: Asked,
    query: String,
    mistakes: Vec<&'static str>,
    /// The first page of a list without an end: new events belong into it.
    is_live: bool,
    /// The newest place that the list is sure to know of.
    top: u64,
    actions: Vec<&'static str>,
    progresses: [&'static str; 4],
    flags: Vec<&'static str>,
}

/// The list.
pub(super) async fn list(
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    let (list, top, mistakes) = match asked.filter(visitor.office.clock.now()) {
        Ok(filter) => {
            let part = Part { after: place(&asked.after), ..Part::newest(ROWS) };
            let top = *visitor.office.inbox.arrivals().borrow();
            let sight = visitor.principal.sight();
            let look = visitor.look(move |ledger| ledger.events_for(&filter, part, sight));
            (look.await?, top, Vec::new())
        }
        Err(mistakes) => (EventPage::default(), 0, mistakes),
    };
    let page = ListPage {
        is_live: asked.after.is_empty() && asked.until.is_empty() && mistakes.is_empty(),
        query: asked.query(),
        list,
        asked,
        mistakes,
        top: top.unsigned_abs(),
        actions: Action::ALL.iter().map(|action| action.as_str()).collect(),
        progresses: Progress::ALL.map(Progress::as_str),
        flags: Flag::ALL.into_iter().map(Flag::as_str).collect(),
    };
    visitor.page((Section::Events, "Events"), "events.html", page).await
}

#[derive(Debug, Serialize)]
struct RowsPart {
    list: EventPage,
}

/// The rows of the first page, for the script: it takes them in the place of those that it shows,
/// so that what has become of an event is new as well.
pub(super) async fn rows(
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    let filter =
        asked.filter(visitor.office.clock.now()).map_err(|_said_by_the_page| Trouble::Form)?;
    let (first, sight) = (Part::newest(ROWS), visitor.principal.sight());
    let list = visitor.look(move |ledger| ledger.events_for(&filter, first, sight)).await?;
    part("rows.html", &RowsPart { list })
}

#[derive(Debug, Serialize)]
struct EventPageView {
    event: EventView,
    detail: EventDetail,
    summary: Option<SummaryView>,
    folded: Folded,
}

/// One event.
pub(super) async fn show(visitor: Visitor, Path(id): Path<String>) -> Result<Response, Trouble> {
    let id = event_id(&id)?;
    let sight = visitor.principal.sight();
    let found = visitor
        .look(move |ledger| {
            let Some(detail) = ledger.event(id, sight)? else { return Ok(None) };
            Ok(Some((detail, ledger.summary(id, sight)?)))
        })
        .await?;
    let Some((mut detail, summary)) = found else { return Err(MISSING) };
    let warnings = detail.warnings.iter().map(|warning| Mark {
        kind: "warning",
        path: warning.path.clone(),
        text: format!("{}: {}", warning.rule, warning.message),
    });
    let oddities = detail.oddities.iter().map(|oddity| Mark {
        kind: "oddity",
        path: oddity.path.clone(),
        text: format!("expected {}, found {}", oddity.expected, oddity.found),
    });
    let marks: Vec<Mark> = warnings.chain(oddities).collect();
    // The page shows it once, folded.
    let folded = fold(detail.body.take(), &marks);
    let page = EventPageView { event: detail.event.clone(), detail, summary, folded };
    visitor.page((Section::Events, "Event"), "event.html", page).await
}

const MISSING: Trouble = Trouble::Missing("There is no such event.");

pub(super) fn event_id(text: &str) -> Result<EventId, Trouble> {
    Uuid::parse_str(text).map(EventId::new).map_err(|_no_uuid| MISSING)
}

/// Which page an action was asked for on, and goes back to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct From {
    from: String,
}

/// Hands an event over again.
pub(super) async fn replay(
    visitor: Visitor,
    Path(id): Path<String>,
    Form(back): Form<From>,
) -> Result<Response, Trouble> {
    let event = event_id(&id)?;
    let view = visitor.act(move |ledger, by| ledger.replay(&[event], by)).await?;
    let said = replayed(&view);
    Ok(match back.from.as_str() {
        "dead-letters" => said.at("/console/dead-letters"),
        _ => said.at(&format!("/console/events/{event}")),
    })
}

/// Returns what is said of a replay.
pub(super) fn replayed(view: &ReplayView) -> Said {
    match (view.requested, view.pending) {
        (1.., _) => Said::Replayed,
        (0, 1..) => Said::ReplayPending,
        (0, 0) => Said::ReplayUnknown,
    }
}
