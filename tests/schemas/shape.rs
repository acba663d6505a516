//! The structure of a record, read from its JSON Schema: the common base of Avro and Protobuf.

use serde_json::{Map, Value};

/// A record, or a part of one.
pub struct Message {
    pub name: String,
    pub doc: String,
    pub fields: Vec<Field>,
}

pub struct Field {
    pub name: String,
    pub doc: String,
    pub kind: Kind,
    pub times: Times,
    /// Exactly one of the alternatives is present.
    pub is_alternative: bool,
}

pub enum Kind {
    Text,
    Time,
    /// A whole number: whether it is signed, and its bits.
    Whole(bool, u8),
    /// A floating-point number and its bits.
    Number(u8),
    Truth,
    Message(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Times {
    Once,
    AtMostOnce,
    Many,
}

/// Returns the messages of a record: itself first, then its parts in the order of their first use.
pub fn messages(schema: &Value, name: &str) -> Vec<Message> {
    let mut found = vec![message(name, schema)];
    let mut next = 0;
    while let Some(message) = found.get(next) {
        let parts: Vec<String> = message.fields.iter().filter_map(part).collect();
        for part in parts {
            if found.iter().all(|known| known.name != part) {
                found.push(self::message(&part, &schema["$defs"][&part]));
            }
        }
        next += 1;
    }
    // A list of texts is named like a part and has no fields.
    found.retain(|message| !message.fields.is_empty());
    let names: Vec<String> = found.iter().map(|message| message.name.clone()).collect();
    for field in found.iter_mut().flat_map(|message| &mut message.fields) {
        if let Kind::Message(of) = &field.kind
            && !names.contains(of)
        {
            let values = values(&schema["$defs"][of]);
            field.doc = join(&field.doc, &format!("One of {}.", values.join(", ")));
            field.kind = Kind::Text;
        }
    }
    found
}

fn part(field: &Field) -> Option<String> {
    match &field.kind {
        Kind::Message(name) => Some(name.clone()),
        _ => None,
    }
}

fn message(name: &str, schema: &Value) -> Message {
    let alternatives = schema["oneOf"].as_array().into_iter().flatten();
    let alternatives = alternatives.filter_map(|one| one["properties"].as_object());
    let mut fields = fields(schema["properties"].as_object(), schema, false);
    fields.extend(alternatives.flat_map(|one| self::fields(Some(one), schema, true)));
    Message { name: name.to_owned(), doc: doc(schema), fields }
}

fn fields(properties: Option<&Map<String, Value>>, schema: &Value, is_alternative: bool) -> Vec<Field> {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let field = |(name, property): (&String, &Value)| {
        let (kind, times) = match property["items"].is_object() {
            true => (kind(&property["items"]), Times::Many),
            false if required.contains(&name.as_str()) => (kind(property), Times::Once),
            false => (kind(property), Times::AtMostOnce),
        };
        Field { name: name.clone(), doc: doc(property), kind, times, is_alternative }
    };
    properties.into_iter().flatten().map(field).collect()
}

fn kind(schema: &Value) -> Kind {
    if let Some(reference) = schema["$ref"].as_str() {
        return Kind::Message(reference.rsplit('/').next().unwrap().to_owned());
    }
    if let Some(any) = schema["anyOf"].as_array() {
        return kind(any.iter().find(|one| one["type"] != "null").unwrap());
    }
    let name = match &schema["type"] {
        Value::Array(names) => names.iter().find(|name| *name != "null").unwrap(),
        name => name,
    };
    let format = schema["format"].as_str().unwrap_or_default();
    match name.as_str().unwrap_or_default() {
        "string" if format == "date-time" => Kind::Time,
        "string" => Kind::Text,
        "integer" => Kind::Whole(format.starts_with("int"), if format.ends_with("64") { 64 } else { 32 }),
        "number" => Kind::Number(if format == "float" { 32 } else { 64 }),
        "boolean" => Kind::Truth,
        other => panic!("unsupported field type {other:?}: {schema}"),
    }
}

/// Returns the values that a text may have.
fn values(schema: &Value) -> Vec<String> {
    let listed = schema["enum"].as_array().into_iter().flatten();
    let each = schema["oneOf"].as_array().into_iter().flatten();
    let each = each.flat_map(|one| one["enum"].as_array().into_iter().flatten().chain(one.get("const")));
    let values: Vec<String> = listed.chain(each).filter_map(Value::as_str).map(str::to_owned).collect();
    assert!(!values.is_empty(), "neither a message nor a list of texts: {schema}");
    values
}

fn doc(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ")
}

fn join(a: &str, b: &str) -> String {
    [a, b].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}
