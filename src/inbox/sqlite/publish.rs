//! What follows a commit: it is measured, and everyone is let know of it.

use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::batch::{self, Decision};
use super::lanes::Pending;
use super::mailbox::{self, Append, Batch};
use super::writer::{Commit, Writer};
use crate::event::EventId;
use crate::inbox::notes::Tally;
use crate::inbox::outcome::State;
use crate::inbox::{Receipt, Seq, Standing};
use crate::metrics::{Answer, FromSeller};

impl Writer {
    /// Measures a commit that began then, and counts what it holds.
    pub(super) fn measure(&self, batch: &Batch, commit: &Commit, began: Instant) {
        let (metrics, durable) = (&self.shared.metrics, Instant::now());
        metrics.inbox.committed(batch.appends.len(), durable - began);
        for (append, decision) in batch.appends.iter().zip(&commit.decisions) {
            metrics.inbox.appended_after(durable - append.queued);
            let (seller, event) = (append.seller.as_str(), &append.event);
            let answer = match decision {
                Decision::New { .. } => {
                    event.flags.iter().for_each(|flag| metrics.flagged(flag.as_str()));
                    Answer::Ack
                }
                Decision::Duplicate { .. } | Decision::DuplicateInBatch { .. } => Answer::Duplicate,
                Decision::NotTold => continue,
            };
            let verified = event.sender.is_some();
            let kept_at = event.received_at.timestamp();
            metrics.count_seller(FromSeller { seller, verified, answer }, Some(kept_at));
        }
    }

    /// Lets everyone know of a commit: the window, then the lanes, then those who wait.
    pub(super) fn publish(&mut self, batch: Batch, commit: &Commit, now: DateTime<Utc>) {
        self.shared.publish_expectations(&commit.expected);
        self.packed_to = commit.packed_to;
        self.low_water = commit.low_water;
        let mut pending = Vec::new();
        let mut answers = Vec::with_capacity(batch.appends.len());
        let ids: Vec<EventId> = batch.appends.iter().map(|append| append.event.id).collect();
        for (append, decision) in batch.appends.into_iter().zip(&commit.decisions) {
            self.note(&append, *decision, &commit.decisions, now);
            let receipt = match *decision {
                Decision::New { seq } => {
                    self.last_seq = seq;
                    self.window.push(batch::entry(seq, &append), now.timestamp_micros());
                    Some(Receipt::New { id: append.event.id, seq: Seq(seq) })
                }
                Decision::Duplicate { of, .. } => Some(Receipt::Duplicate { of }),
                Decision::DuplicateInBatch { of } => Some(Receipt::Duplicate { of: ids[of] }),
                Decision::NotTold => None,
            };
            let Append { event, record, prints, outlet, answer, .. } = append;
            if let (Decision::New { seq }, Standing::Pending) = (*decision, record.standing) {
                let event = Some(event);
                pending.push(Pending { seq, lane: prints.lane, outlet, event, progress: None });
            }
            answers.push((answer, receipt));
        }
        let settled: Vec<i64> = batch
            .outcomes
            .iter()
            .filter(|(_, outcome)| outcome.state != State::Pending)
            .map(|(seq, _)| *seq)
            .collect();
        let lanes = &self.shared.lanes;
        if !settled.is_empty() {
            lanes.settled(&settled);
        }
        let spare = lanes.push(pending, self.last_seq, now);
        // Before the answers: a stream that begins after an ACK begins after its event.
        self.shared
            .arrived
            .send_if_modified(|seq| std::mem::replace(seq, self.last_seq) != self.last_seq);
        answer_all(answers, batch.flushed);
        for (request, registered) in batch.requests.into_iter().zip(&commit.expected.requests) {
            request.answer(registered.as_ref());
        }
        drop(spare);
    }

    /// Notes what came of whom.
    fn note(
        &mut self,
        append: &Append,
        decision: Decision,
        of_batch: &[Decision],
        now: DateTime<Utc>,
    ) {
        if append.silence_of.is_some() {
            return;
        }
        let original = match decision {
            // Of a silence nothing is noted: see above.
            Decision::New { .. } | Decision::NotTold => None,
            Decision::Duplicate { seq, .. } => Some(seq),
            Decision::DuplicateInBatch { of } => match of_batch[of] {
                Decision::New { seq } | Decision::Duplicate { seq, .. } => Some(seq),
                Decision::DuplicateInBatch { .. } | Decision::NotTold => None,
            },
        };
        if let Some(seq) = original {
            self.notes.repeat(seq, now);
        }
        let tally = Tally::of_append(&append.event, original.is_some());
        self.notes.tally(&append.seller, tally, now);
    }
}

/// Answers those who wait for a commit, and those who wait for all that was settled before it.
pub(super) fn answer_all(
    answers: Vec<(mailbox::Answer, Option<Receipt>)>,
    flushed: Vec<oneshot::Sender<()>>,
) {
    for (answer, receipt) in answers {
        // A caller that has gone needs no answer: the record is kept all the same.
        let _ = answer.send(Ok(receipt));
    }
    for flushed in flushed {
        let _ = flushed.send(());
    }
}
