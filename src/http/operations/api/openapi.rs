//! The API's description, for people and for what is generated from it.

use axum::http::Uri;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::super::answer::Error;
use super::input::Params;

/// Written by hand: what it promises is meant, not derived.
const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document(uri: Uri) -> Result<Response, Error> {
    Params::of(&uri, &[])?;
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((kind, DOCUMENT).into_response())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Debug;

    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Map, Value, json};

    use super::super::input::FILTER;
    use super::super::{Route, routes};
    use super::DOCUMENT;
    use crate::beckn::action::Action;
    use crate::event::Flag;
    use crate::inbox::reader::Progress;
    use crate::inbox::reader::expectations::Status;
    use crate::operations::views;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document = document();
        let described: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys();
                methods.map(|method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let served: BTreeSet<(String, String)> = routes()
            .into_iter()
            .map(|Route(method, path, _)| (method.to_owned(), path.to_owned()))
            .collect();
        assert_eq!(described, served);
    }

    #[test]
    fn every_choice_is_described() {
        let document = document();
        let schemas = &document["components"]["schemas"];
        let filter = &schemas["EventFilter"]["properties"];
        let names: BTreeSet<&str> =
            filter.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, FILTER.into_iter().collect());
        let check = |name: &str, schema: &Value, expected: &[&str]| {
            let offered = schema["enum"].as_array().unwrap().iter();
            let offered: BTreeSet<&str> = offered.map(|word| word.as_str().unwrap()).collect();
            assert_eq!(offered, expected.iter().copied().collect(), "{name}");
        };
        let words: [(&str, &[&str]); 4] = [
            ("action", &Action::ALL.map(Action::as_str)),
            ("flag", &Flag::ALL.map(Flag::as_str)),
            ("progress", &Progress::ALL.map(Progress::as_str)),
            ("status", &Status::ALL.map(Status::as_str)),
        ];
        let mut parameters = 0;
        for (name, expected) in words {
            if name != "status" {
                check(name, &filter[name], expected);
            }
            for (path, operation) in document["paths"].as_object().unwrap() {
                let known = operation["get"]["parameters"].as_array().into_iter().flatten();
                for parameter in known.filter(|parameter| parameter["name"] == name) {
                    check(&format!("{name} of {path}"), &parameter["schema"], expected);
                    parameters += 1;
                }
            }
        }
        assert_eq!(parameters, 9, "of /v1/events, stream, feed, wait and expectations");
        check("wish", &schemas["ExpectationWish"]["properties"]["action"], words[0].1);
        check("view", &schemas["ExpectationView"]["properties"]["status"], words[3].1);
    }

    /// Returns a value of a schema, with everything in it that can be.
    fn sample(document: &Value, schema: &Value) -> Value {
        if let Some(name) = schema["$ref"].as_str() {
            return sample(document, document.pointer(&name[1..]).unwrap());
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            return sample(document, &choices[0]);
        }
        let kind = &schema["type"];
        match kind.as_str().or(kind[0].as_str()).unwrap() {
            "object" => {
                let members = schema["properties"].as_object().unwrap().iter();
                let members = members.map(|(name, of)| (name.clone(), sample(document, of)));
                Value::Object(members.collect::<Map<_, _>>())
            }
            "array" => json!([sample(document, &schema["items"])]),
            "integer" => json!(1),
            "boolean" => json!(true),
            "string" if schema["format"] == "date-time" => json!("2026-01-02T03:04:05Z"),
            "string" => schema["enum"].get(0).cloned().unwrap_or(json!("text")),
            other => panic!("what is {other}?"),
        }
    }

    #[track_caller]
    fn check<T: Serialize + DeserializeOwned + Debug>(name: &str) {
        let document = document();
        let schema = &document["components"]["schemas"][name];
        assert_eq!(
            schema["required"].as_array().unwrap().len(),
            schema["properties"].as_object().unwrap().len(),
            "{name}: answers have every member, as null where there is nothing"
        );
        let sample = sample(&document, schema);
        let view: T = serde_json::from_value(sample.clone()).expect(name);
        assert_eq!(serde_json::to_value(&view).unwrap(), sample, "{name}");
    }

    #[test]
    fn every_member_of_a_view_is_in_its_schema_and_no_other() {
        check::<views::EventPage>("EventPage");
        check::<views::EventDetail>("EventDetail");
        check::<views::TimelineView>("TimelineView");
        check::<views::OrderView>("OrderView");
        check::<views::RefusalPage>("RefusalPage");
        check::<views::SellerView>("SellerView");
        check::<views::HandlerView>("HandlerView");
        check::<views::AuditView>("AuditView");
        check::<views::StatusView>("StatusView");
        check::<views::ReplayView>("ReplayView");
        check::<views::ExpectationView>("ExpectationView");
        check::<views::ExpectationPage>("ExpectationPage");
        check::<views::ErasureView>("ErasureView");
    }
}
