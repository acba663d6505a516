//! Builds the AsyncAPI 3 document of the topics.

use firewatch_escalation::{PR, SUPPORT};
use firewatch_kafka::Topics;
use serde_json::{Map, Value, json};

/// Returns the document; `schemas` are those of the records, by name.
pub fn asyncapi(schemas: &Map<String, Value>) -> Value {
    let topics = Topics::default();
    let channels = [
        ("events", &topics.events, "event", "receive", "conversation id"),
        ("actions", &topics.actions, "action", "receive", "conversation id"),
        ("signals", &topics.signals, "signal", "send", "brand"),
        ("scores", &topics.scores, "score", "send", "conversation id"),
        ("escalations_pr", &topics.team_topic(PR), "escalation", "send", "conversation id"),
        ("escalations_support", &topics.team_topic(SUPPORT), "escalation", "send", "conversation id"),
        (
            "dead_letters",
            &topics.dead_letters,
            "dead_letter",
            "send",
            "the key of the record that could not be decoded",
        ),
    ];
    let (mut by_name, mut operations) = (Map::new(), Map::new());
    for (name, address, message, action, key) in channels {
        let reference = json!({ "$ref": format!("#/components/messages/{message}") });
        by_name.insert(
            name.into(),
            json!({ "address": address, "description": format!("Keyed by {key}."), "messages": { message: reference } }),
        );
        operations.insert(
            format!("{action}_{name}"),
            json!({ "action": action, "channel": { "$ref": format!("#/channels/{name}") } }),
        );
    }
    let message = |name: &String| {
        json!({
            "name": name,
            "contentType": "application/json",
            "headers": { "$ref": "#/components/schemas/headers" },
            "payload": { "$ref": format!("#/components/schemas/{name}") },
        })
    };
    let messages: Map<String, Value> = schemas.keys().map(|name| (name.clone(), message(name))).collect();
    let mut components = schemas.clone();
    components.insert("headers".into(), headers());
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "firewatch",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Reads complaints and the engagement they gather; writes scores and escalations. \
                Operations take firewatch's side: it receives events and actions, and sends the rest.",
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": by_name,
        "operations": operations,
        "components": { "schemas": components, "messages": messages },
    })
}

fn headers() -> Value {
    json!({
        "type": "object",
        "description": "CloudEvents 1.0 attributes in Kafka's binary mode, and the W3C trace context of the \
            cause. Every record sent has all of them; `traceparent` only if the causing record had one.",
        "properties": {
            "content-type": { "enum": ["application/json", "application/avro", "application/protobuf"] },
            "ce_specversion": { "const": "1.0" },
            "ce_id": { "type": "string" },
            "ce_source": { "const": "/firewatch" },
            "ce_type": { "type": "string", "pattern": "^firewatch\\.[a-z_]+\\.v1$" },
            "ce_time": { "type": "string", "format": "date-time" },
            "ce_subject": { "type": "string" },
            "traceparent": { "type": "string" },
        },
    })
}
