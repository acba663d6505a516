//! Records as Avro schemas. An absent field is null and a time counts milliseconds. The values of a text are
//! listed in its doc: a value added to an enum would break readers of the older schema.

use serde_json::{Value, json};

use crate::shape::{Field, Kind, Message, Times};

/// Returns the schema as a file.
pub fn schema(messages: &[Message], contract: &str) -> String {
    let mut written = Vec::new();
    let mut schema = record(&messages[0], messages, &mut written);
    schema["namespace"] = json!(format!("firewatch.{contract}.v1"));
    format!("{schema:#}\n")
}

/// Writes a message out where it is used first.
fn record(message: &Message, messages: &[Message], written: &mut Vec<String>) -> Value {
    written.push(message.name.clone());
    let fields: Vec<Value> = message.fields.iter().map(|f| field(f, messages, written)).collect();
    with_doc(json!({ "type": "record", "name": message.name, "fields": fields }), &message.doc)
}

fn field(field: &Field, messages: &[Message], written: &mut Vec<String>) -> Value {
    let kind = match &field.kind {
        Kind::Text => json!("string"),
        Kind::Time => json!({ "type": "long", "logicalType": "timestamp-millis" }),
        Kind::Whole(..) => json!("long"),
        Kind::Number(32) => json!("float"),
        Kind::Number(_) => json!("double"),
        Kind::Truth => json!("boolean"),
        Kind::Message(name) if written.contains(name) => json!(name),
        Kind::Message(name) => {
            record(messages.iter().find(|message| message.name == *name).unwrap(), messages, written)
        }
    };
    let field_schema = match field.times {
        Times::Once => json!({ "name": field.name, "type": kind }),
        Times::AtMostOnce => json!({ "name": field.name, "type": ["null", kind], "default": null }),
        Times::Many => {
            json!({ "name": field.name, "type": { "type": "array", "items": kind }, "default": [] })
        }
    };
    with_doc(field_schema, &field.doc)
}

fn with_doc(mut schema: Value, doc: &str) -> Value {
    if !doc.is_empty() {
        schema["doc"] = json!(doc);
    }
    schema
}
