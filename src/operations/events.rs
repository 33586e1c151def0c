//! Events: a page of those that a filter names, and one of them whole.

use std::time::Instant;

use super::views::{AttemptView, EventDetail, EventPage, EventView, OddityView, WarningView};
use super::{Ledger, PAGE_LIMIT, Sight, deadline, expectations, mask};
use crate::beckn::callback::Callback;
use crate::beckn::oddity::Oddity;
use crate::event::{EventId, Flag};
use crate::inbox::reader::selection::{Bounds, Filter, Order};
use crate::inbox::reader::{self, Detail, FailedAttempt, Progress, Summary};
use crate::words::Violation;

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// In which order.
    pub(crate) order: Order,
    /// What comes after this place, in that order.
    pub(crate) after: Option<i64>,
    /// At most so many; never more than [`PAGE_LIMIT`].
    pub(crate) limit: usize,
}

impl Part {
    /// Returns the newest of a list.
    pub(crate) const fn newest(limit: usize) -> Self {
        Self { order: Order::NewestFirst, after: None, limit }
    }

    pub(super) fn bounds(self, deadline: Instant) -> Bounds {
        let limit = self.limit.clamp(1, PAGE_LIMIT);
        Bounds { order: self.order, after: self.after, limit, deadline }
    }
}

impl Ledger {
    /// Returns a page of the events that match, their errors without what tells of a person.
    pub(crate) fn events(&self, filter: &Filter, part: Part) -> Result<EventPage, reader::Error> {
        self.events_for(filter, part, Sight::Masked)
    }

    /// Returns a page of the events that match.
    pub(crate) fn events_for(
        &self,
        filter: &Filter,
        part: Part,
        sight: Sight,
    ) -> Result<EventPage, reader::Error> {
        let (events, next) = self.reader.page(filter, part.bounds(deadline()))?;
        let end = deadline();
        let events = events.into_iter().map(|mut summary| {
            // The body is needed only to know what of it an error quotes; where reading them all
            // takes too long, the rest is not shown at all.
            if let (Sight::Masked, Some(error)) = (sight, &mut summary.error) {
                let is_late = Instant::now() >= end;
                let detail = if is_late { None } else { self.reader.event_at(summary.seq)? };
                *error = mask::error(error, &detail.map(|detail| detail.body).unwrap_or_default());
            }
            Ok(view(summary, sight))
        });
        Ok(EventPage {
            events: events.collect::<Result<_, _>>()?,
            next: next.map(|place| place.to_string()),
        })
    }

    /// Returns the last place of a page of the events that match, and up to where it has looked if
    /// there may be more.
    pub(crate) fn last_match(
        &self,
        filter: &Filter,
        part: Part,
    ) -> Result<(Option<i64>, Option<i64>), reader::Error> {
        let (seqs, next) = self.reader.places(filter, part.bounds(deadline()))?;
        Ok((seqs.last().copied(), next))
    }

    /// Returns one event.
    pub(crate) fn event(
        &self,
        id: EventId,
        sight: Sight,
    ) -> Result<Option<EventDetail>, reader::Error> {
        let Some(detail) = self.reader.event(id)? else { return Ok(None) };
        self.detail(detail, sight).map(Some)
    }

    /// Returns the event at this place of the log.
    pub(crate) fn event_at(
        &self,
        seq: i64,
        sight: Sight,
    ) -> Result<Option<EventDetail>, reader::Error> {
        let Some(detail) = self.reader.event_at(seq)? else { return Ok(None) };
        self.detail(detail, sight).map(Some)
    }

    /// Returns the body of an event, byte for byte as it came.
    pub(crate) fn body(&self, id: EventId) -> Result<Option<bytes::Bytes>, reader::Error> {
        let kept = |detail: &Detail| !detail.summary.flags.contains(Flag::Erased);
        Ok(self.reader.event(id)?.filter(kept).map(|detail| detail.body))
    }

    fn detail(&self, mut detail: Detail, sight: Sight) -> Result<EventDetail, reader::Error> {
        let mut failed = self.reader.failed_attempts(detail.summary.seq)?;
        if sight == Sight::Masked {
            let errors = failed.iter_mut().map(|failed| &mut failed.error);
            for error in errors.chain(&mut detail.summary.error) {
                *error = mask::error(error, &detail.body);
            }
        }
        let expectation = self.reader.expectation_of(detail.summary.seq)?.map(expectations::view);
        // Oddities are not kept: they are read again from the body, as an attempt does.
        let callback = Callback::parse(&detail.body);
        let oddities = callback.map(|callback| callback.oddities).unwrap_or_default();
        let is_erased = detail.summary.flags.contains(Flag::Erased);
        let body = match sight {
            _ if is_erased => None,
            Sight::Bodies => str::from_utf8(&detail.body).ok().map(ToOwned::to_owned),
            Sight::Masked => mask::body(&detail.body),
        };
        Ok(EventDetail {
            attempts: attempts(failed, &detail.summary),
            event: view(detail.summary, sight),
            body_bytes: detail.body.len() as u64,
            body,
            masked: sight == Sight::Masked,
            warnings: detail.warnings.into_iter().map(|one| warning(one, sight)).collect(),
            oddities: oddities.iter().map(|one| oddity(one, sight)).collect(),
            replay_requested: detail.replay_requested,
            expectation,
        })
    }
}

/// Returns the attempts that are known: those that failed, and the one that succeeded.
fn attempts(failed: Vec<FailedAttempt>, summary: &Summary) -> Vec<AttemptView> {
    let of = |failed: FailedAttempt| AttemptView {
        replay: failed.replay,
        attempt: failed.attempt,
        ended_at: failed.ended_at,
        error: Some(failed.error),
    };
    let mut attempts: Vec<AttemptView> = failed.into_iter().map(of).collect();
    if let (Progress::Done, Some(ended_at)) = (summary.progress, summary.settled_at) {
        let (replay, attempt) = (summary.replay, summary.attempts);
        attempts.push(AttemptView { replay, attempt, ended_at, error: None });
    }
    attempts
}

/// Returns what a list shows of an event.
pub(super) fn view(summary: Summary, sight: Sight) -> EventView {
    EventView {
        id: summary.id.to_string(),
        seq: summary.seq.unsigned_abs(),
        action: summary.action,
        seller: summary.seller,
        verified: summary.verified,
        domain: summary.domain,
        bap_id: summary.bap_id,
        transaction_id: summary.transaction_id,
        message_id: summary.message_id,
        order_id: summary.order_id,
        state: summary.state.map(|state| sight.code(&state)),
        received_at: summary.received_at,
        progress: summary.progress.as_str().to_owned(),
        flags: summary.flags.iter().map(Flag::as_str).map(str::to_owned).collect(),
        warnings: summary.warnings as u64,
        replay: summary.replay,
        attempts: summary.attempts,
        first_attempt_at: summary.first_attempt_at,
        next_attempt_at: summary.next_at,
        settled_at: summary.settled_at,
        error: summary.error,
        duplicates: summary.duplicates,
        last_duplicate_at: summary.last_duplicate_at,
    }
}

fn warning(violation: Violation, sight: Sight) -> WarningView {
    let Violation { rule, path, message } = violation;
    let (path, message) = match sight {
        Sight::Bodies => (path, message),
        Sight::Masked => (mask::path(&path), mask::message(&rule, &path, &message)),
    };
    WarningView { rule: rule.into(), path, message }
}

fn oddity(oddity: &Oddity, sight: Sight) -> OddityView {
    OddityView {
        kind: oddity.name().to_owned(),
        path: match sight {
            Sight::Bodies => oddity.path.clone(),
            Sight::Masked => mask::path(&oddity.path),
        },
        expected: oddity.expected.to_owned(),
        found: oddity.found.to_owned(),
        count: oddity.count,
    }
}
