//! Every real body through every view that shows no bodies: nothing of a person is in one.

#[path = "../../tests/persons/mod.rs"]
mod persons;

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde::Serialize;
use serde_json::Value;

use self::persons::{Persons, corpus};
use super::bench::Bench;
use super::events::Part;
use super::{Sight, mask, place};
use crate::beckn::action::Action;
use crate::beckn::callback::Callback;
use crate::clock::Clock as _;
use crate::event::OrderEvent;
use crate::inbox::reader::selection::Filter;
use crate::rules::Rules;
use crate::words::Profile;

/// The texts that views show, each once.
#[derive(Debug, Default)]
struct Shown(BTreeSet<String>);

impl Shown {
    fn view(&mut self, view: &impl Serialize) {
        self.value(&serde_json::to_value(view).unwrap());
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Object(members) => members.iter().for_each(|(key, value)| {
                self.0.insert(key.clone());
                self.value(value);
            }),
            Value::Array(elements) => elements.iter().for_each(|value| self.value(value)),
            // A body is JSON in a text.
            Value::String(text) => match serde_json::from_str::<Value>(text) {
                Ok(inner @ (Value::Object(_) | Value::Array(_))) => self.value(&inner),
                Ok(_) | Err(_) => {
                    self.0.insert(text.clone());
                }
            },
            Value::Number(number) => {
                self.0.insert(number.to_string());
            }
            Value::Null | Value::Bool(_) => {}
        }
    }
}

#[test]
fn no_view_without_bodies_tells_of_a_person_of_the_corpus() {
    let Some(corpus) = corpus() else { return };
    let persons = Persons::of(corpus.iter().map(|body| &body.bytes[..]));
    println!("{} texts, excluded: {:?}", persons.texts.len(), persons.excluded);
    let bench = Bench::in_files();
    let rules = Rules::new(Profile::Standard, &std::collections::BTreeMap::new(), &[]).unwrap();
    let (mut shown, mut read, mut events) = (Shown::default(), 0, Vec::new());
    for body in &corpus {
        // Also of what is refused: a refusal may one day be shown like this.
        if let Some(masked) = mask::body(&body.bytes) {
            shown.value(&serde_json::from_str(&masked).unwrap());
            read += 1;
        }
        let Some(route) = Action::from_name(&body.action) else { continue };
        let Ok(callback) = Callback::parse(&body.bytes) else { continue };
        let findings = rules.check(route, &callback, bench.clock.now());
        let mut event = OrderEvent::parse(route, body.bytes.clone()).unwrap();
        event.warnings = findings.enforced.into_iter().chain(findings.warnings).collect();
        events.push(event);
    }
    // Side by side: they share a wait for the disk.
    let appends = join_all(events.into_iter().map(|event| bench.append(event)));
    let kept = bench.block_on(appends);
    let kept = kept.into_iter().flatten().count();
    println!("{read} bodies read, {kept} kept");
    assert!(read > 1_000 && kept > 850, "{read} {kept}");
    look(&bench, &mut shown);
    persons.assert_absent("a view", &Vec::from_iter(shown.0).join("\n"));
}

/// Looks at every event, transaction and order.
fn look(bench: &Bench, shown: &mut Shown) {
    let (ledger, mut after) = (bench.ledger(), None);
    let mut seen = BTreeSet::new();
    loop {
        let part = Part { after, ..Part::newest(500) };
        let page = ledger.events(&Filter::default(), part).unwrap();
        for event in &page.events {
            let id = event.id.parse::<uuid::Uuid>().map(crate::event::EventId::new).unwrap();
            shown.view(&ledger.event(id, Sight::Masked).unwrap());
            for id in event.transaction_id.iter().filter(|id| seen.insert((*id).clone())) {
                shown.view(&ledger.timeline(id, None, Sight::Masked).unwrap());
            }
            for id in event.order_id.iter().filter(|id| seen.insert((*id).clone())) {
                shown.view(&ledger.order(id, None, Sight::Masked).unwrap());
            }
        }
        shown.view(&page);
        after = page.next.as_deref().and_then(place);
        if after.is_none() {
            break;
        }
    }
}
