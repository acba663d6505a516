//! The JSON Schema of a settings file, generated from the keys that its readers ask for, so that the two cannot differ.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::KeySchema;

/// Stands for names that the owner of a file chooses, in keys and in descriptions.
const NAME: &str = "NAME";

/// One sentence or two for each key.
#[derive(Debug, Clone)]
pub struct Descriptions(BTreeMap<&'static str, &'static str>);

impl Descriptions {
    /// Reads lines of `key<tab>description`.
    #[must_use]
    pub fn parse(lines: &'static str) -> Self {
        Self(lines.lines().filter_map(|line| line.split_once('\t')).collect())
    }

    /// Every key that has a description.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// The description of a key; a section whose keys the owner chooses is described under `SECTION.NAME`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'static str> {
        self.0.get(key).or_else(|| self.0.get(format!("{key}.{NAME}").as_str())).copied()
    }
}

/// Returns the schema (draft 2020-12) of the JSON equivalent of a TOML file with these keys. `NAME` in a key stands for any
/// name.
#[must_use]
pub fn json_schema<'a>(
    title: &str,
    keys: impl IntoIterator<Item = &'a KeySchema>,
    descriptions: &Descriptions,
) -> Value {
    let mut root = Map::new();
    for KeySchema { key, schema } in keys {
        let mut schema = schema.clone();
        if let Some(schema) = schema.as_object_mut() {
            // An empty string, a placeholder or a mark of absence is not a default.
            if schema
                .get("default")
                .is_some_and(|default| ["", "-", "/", NAME].iter().any(|no| default == no))
            {
                schema.remove("default");
            }
            if let Some(description) = descriptions.get(key) {
                schema.insert("description".into(), description.into());
            }
        }
        insert(&mut root, key, schema);
    }
    let mut schema = object(root);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        schema.insert("title".into(), json!(title));
    }
    schema
}

/// Inserts a key into a tree of sections: a leaf holds the schema of a key, a branch another map.
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
        if name == NAME {
            others = schema;
        } else {
            properties.insert(name, schema);
        }
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": others })
}
