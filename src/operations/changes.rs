//! What operators change: replays, pauses. Each is written together with its line in the audit.

use chrono::{DateTime, Utc};

use super::views::{AuditView, ReplayView};
use super::{Ledger, PAGE_LIMIT};
use crate::event::{EventId, Flag};
use crate::inbox::reader::audit::{Audit, Entry};
use crate::inbox::reader::handlers::set_paused;
use crate::inbox::reader::replays::{Replay, request_replays};
use crate::inbox::reader::selection::Filter;
use crate::inbox::reader::{self, Progress};

/// Who changes something, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct By<'a> {
    /// The name of the token, `loopback`, or `local:` and the user of a command.
    pub(crate) who: &'a str,
    /// When.
    pub(crate) now: DateTime<Utc>,
}

impl By<'_> {
    pub(super) fn audit(self, what: &'static str, target: impl Into<String>) -> Audit {
        Audit { at: self.now, who: self.who.to_owned(), what, target: target.into() }
    }
}

impl Ledger {
    /// Asks for another round of these events.
    pub(crate) fn replay(&self, ids: &[EventId], by: By<'_>) -> Result<ReplayView, reader::Error> {
        let mut view = ReplayView::default();
        let mut seqs = Vec::new();
        for id in ids {
            match self.reader.place(*id)? {
                Some(seq) => seqs.push(seq),
                None => view.unknown.push(id.to_string()),
            }
        }
        let target = match ids {
            [one] => one.to_string(),
            many => format!("{} events", many.len()),
        };
        self.request(seqs, &by.audit("replay", target), &mut view)?;
        Ok(view)
    }

    /// Asks for another round of the settled ones of the events that match, or says with `dry_run`
    /// how many they are.
    pub(crate) fn replay_matching(
        &self,
        filter: &Filter,
        dry_run: bool,
        by: By<'_>,
    ) -> Result<ReplayView, reader::Error> {
        let mut view = ReplayView { dry_run, ..ReplayView::default() };
        if dry_run {
            let pending = Filter { progress: Some(Progress::Pending), ..filter.clone() };
            let fits = filter.progress.is_none_or(|wanted| wanted == Progress::Pending);
            view.pending = if fits { self.reader.count(&pending)? } else { 0 };
            view.erased = self.erased(filter)?;
            let none = view.pending + view.erased;
            view.requested = self.reader.count(filter)?.saturating_sub(none);
            return Ok(view);
        }
        let seqs = self.reader.seqs(filter)?;
        self.request(seqs, &by.audit("replay", filter.to_string()), &mut view)?;
        Ok(view)
    }

    /// Counts the erased ones of the events that match.
    fn erased(&self, filter: &Filter) -> Result<u64, reader::Error> {
        let erased = Filter { flag: Some(Flag::Erased), ..filter.clone() };
        if filter.flag.is_none_or(|wanted| wanted == Flag::Erased) {
            return self.reader.count(&erased);
        }
        // A filter names one flag only; both lists are in the order of the log.
        let erased = self.reader.seqs(&erased)?;
        let matching = self.reader.seqs(filter)?;
        Ok(matching.iter().filter(|seq| erased.binary_search(seq).is_ok()).count() as u64)
    }

    fn request(
        &self,
        seqs: Vec<i64>,
        audit: &Audit,
        view: &mut ReplayView,
    ) -> Result<(), reader::Error> {
        request_replays(&self.place, seqs, audit, |step| {
            for (_, replay) in step {
                match replay {
                    Replay::Requested => view.requested += 1,
                    Replay::Erased => view.erased += 1,
                    Replay::StillPending | Replay::Unknown => view.pending += 1,
                }
            }
        })
    }

    /// Hands nothing more to a handler, or again; returns whether there is one of this name.
    pub(crate) fn set_paused(
        &self,
        handler: &str,
        paused: bool,
        by: By<'_>,
    ) -> Result<bool, reader::Error> {
        if !self.reader.handlers()?.iter().any(|known| known.name == handler) {
            return Ok(false);
        }
        let audit = by.audit(if paused { "pause" } else { "resume" }, handler);
        set_paused(&self.place, &[handler.to_owned()], paused, &audit)?;
        Ok(true)
    }

    /// Returns what operators changed, the newest first; `before` goes on behind an earlier page.
    pub(crate) fn audits(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<AuditView>, reader::Error> {
        let entries = self.reader.audits(before, limit.clamp(1, PAGE_LIMIT))?;
        let view = |Entry { seq, at, who, what, target }| AuditView {
            seq: i64::unsigned_abs(seq),
            at,
            who,
            what,
            target,
        };
        Ok(entries.into_iter().map(view).collect())
    }
}
