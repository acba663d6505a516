//! The JSON Schema of policy files, from what the reader asks for: it cannot say anything else than what is read.

use firewatch_settings::{KeySchema, Settings};
use serde_json::{Map, Value, json};

use super::Policy;
use crate::{PR, SUPPORT};

/// A policy with one of everything that its owner names; `NAME` stands for the names.
const SPECIMEN: &str = "[brands.NAME]\n[brands.NAME.hours]\n[brands.NAME.on.NAME]\n[hours]\n[teams.NAME.quiet]\n[routes.NAME]\n\
                        [silences.NAME]\n[advice.NAME]\n";

/// The schema, 2020-12, of a policy as the JSON that its TOML stands for.
#[must_use]
pub fn policy_schema() -> Value {
    let Ok(mut s) = Settings::parse("specimen", SPECIMEN) else { return Value::Null };
    let _ = Policy::read(&mut s, SPECIMEN);
    let mut root = Map::new();
    // Teams that are always there are like any other.
    let always = [PR, SUPPORT].map(|team| format!("teams.{team}."));
    for KeySchema { key, schema } in s.key_schemas() {
        if always.iter().any(|team| key.starts_with(team)) {
            continue;
        }
        let mut schema = schema.clone();
        // Nothing, or a name, is no default.
        if let Some(schema) = schema.as_object_mut()
            && schema.get("default").is_some_and(|default| default == "" || default == "NAME")
        {
            schema.remove("default");
        }
        insert(&mut root, key, schema);
    }
    let mut schema = object(root);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        schema.insert("title".into(), json!("policy"));
        schema.insert("required".into(), json!(["brands"]));
    }
    schema
}

/// A tree of sections: a leaf is what a key may be, a branch another map.
fn insert(at: &mut Map<String, Value>, key: &str, schema: Value) {
    match key.split_once('.') {
        None => drop(at.insert(key.into(), json!({ "leaf": schema }))),
        Some((head, rest)) => {
            let below = at.entry(head).or_insert_with(|| json!({}));
            if let Some(below) = below.as_object_mut() {
                insert(below, rest, schema);
            }
        }
    }
}

fn object(sections: Map<String, Value>) -> Value {
    let mut properties = Map::new();
    let mut others = json!(false);
    for (name, below) in sections {
        let schema = match below {
            Value::Object(mut leaf) if leaf.len() == 1 && leaf.contains_key("leaf") => {
                leaf.remove("leaf").unwrap_or_default()
            }
            Value::Object(section) => object(section),
            other => other,
        };
        if name == "NAME" {
            others = schema;
        } else {
            properties.insert(name, schema);
        }
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": others })
}
