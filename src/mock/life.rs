//! An order's life: the callbacks that a seller sends, in their order.
//!
//! One table says what happens; one loop turns it into bodies.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::MockBpp;
use super::bodies::{self, Moment};
use crate::beckn::action::Action;

/// What a receiver that remembers makes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// An event of its own.
    New,
    /// An event of its own, under a `message_id` that carried another content before.
    NewUnderReusedId,
    /// Nothing new: acknowledged, and not handed over again.
    Duplicate,
}

/// One callback of an order's life.
#[derive(Debug, Clone)]
pub struct Step {
    /// What happens in it.
    pub name: &'static str,
    /// Where it is posted.
    pub action: Action,
    /// Its `context.message_id`.
    pub message_id: String,
    /// What is posted.
    pub body: Bytes,
    /// What a receiver should make of it.
    pub expects: Expectation,
}

/// What a seller does next.
#[derive(Debug, Clone, Copy)]
enum Scene {
    /// Reports a state.
    Status(Moment<'static>),
    /// Reports a state under the `message_id` of the last one, as many sellers do.
    StatusUnderLastId(Moment<'static>),
    /// Changes the order.
    Update(Moment<'static>),
    /// Reports where the order is, by its place on the way.
    Position(usize),
    /// Sends the same bytes again.
    Retry,
    /// Sends the same message again with a new `context.timestamp`.
    RetryWithNewTimestamp,
}

const fn at(fulfillment: &'static str, extras: u32) -> Moment<'static> {
    Moment { fulfillment, extras }
}

const LIFE: [(&str, Scene); 13] = [
    ("accepted", Scene::Status(at("Pending", 2))),
    ("packed", Scene::Status(at("Packed", 2))),
    ("packed: the same bytes again", Scene::Retry),
    ("agent assigned", Scene::Status(at("Agent-assigned", 2))),
    ("agent assigned: again, with a new timestamp", Scene::RetryWithNewTimestamp),
    ("picked up", Scene::Status(at("Order-picked-up", 2))),
    ("tracked: leaves", Scene::Position(0)),
    ("updated: one extra fewer", Scene::Update(at("Order-picked-up", 1))),
    ("out for delivery", Scene::Status(at("Out-for-delivery", 1))),
    ("tracked: half way", Scene::Position(1)),
    ("tracked: at the door", Scene::Position(2)),
    ("delivered, under the last id", Scene::StatusUnderLastId(at("Order-delivered", 1))),
    ("tracked: over", Scene::Position(3)),
];

/// A step before its context is written.
#[derive(Clone)]
struct Draft {
    action: Action,
    message_id: String,
    timestamp: DateTime<Utc>,
    message: Value,
    expects: Expectation,
}

impl MockBpp {
    /// Returns the callbacks of an order from its acceptance to its delivery.
    ///
    /// Between the states are positions on the way, an update of the order, and what real sellers
    /// do besides: a retry of the same bytes, a retry with a new timestamp, and a state under the
    /// `message_id` of the one before. Each call gives new message ids.
    pub fn life(&self) -> Vec<Step> {
        let mut drafts: Vec<Draft> = Vec::with_capacity(LIFE.len());
        let mut now = self.started;
        for (_, scene) in LIFE {
            // Far enough apart to be told apart, near enough not to lie in the future.
            now += TimeDelta::milliseconds(7);
            drafts.push(self.draft(scene, now, &drafts));
        }
        let steps = LIFE.iter().zip(drafts);
        steps.map(|((name, _), draft)| self.step(name, draft)).collect()
    }

    fn draft(&self, scene: Scene, timestamp: DateTime<Utc>, before: &[Draft]) -> Draft {
        let new = |action, message| Draft {
            action,
            message_id: Uuid::new_v4().to_string(),
            timestamp,
            message,
            expects: Expectation::New,
        };
        let order = |moment| bodies::order(self, moment, timestamp);
        let last = || before.last().expect("a life begins with a state").clone();
        match scene {
            Scene::Status(moment) => new(Action::OnStatus, order(moment)),
            Scene::Update(moment) => new(Action::OnUpdate, order(moment)),
            Scene::Position(turn) => new(Action::OnTrack, bodies::tracking(self, turn, timestamp)),
            Scene::Retry => Draft { expects: Expectation::Duplicate, ..last() },
            Scene::RetryWithNewTimestamp => {
                Draft { timestamp, expects: Expectation::Duplicate, ..last() }
            }
            Scene::StatusUnderLastId(moment) => {
                let states = before.iter().rev().find(|draft| draft.action == Action::OnStatus);
                let message_id = states.expect("a life begins with a state").message_id.clone();
                let message = order(moment);
                let expects = Expectation::NewUnderReusedId;
                Draft { message_id, expects, ..new(Action::OnStatus, message) }
            }
        }
    }

    fn step(&self, name: &'static str, draft: Draft) -> Step {
        let Draft { action, message_id, timestamp, message, expects } = draft;
        let context = bodies::context(self, action, &message_id, timestamp);
        let body = bodies::callback(&context, &message);
        Step { name, action, message_id, body, expects }
    }
}
