//! `firewatch schema`: prints the schemas of the records, generated from the types.

mod asyncapi;

use firewatch_console::web::openapi;
use firewatch_domain::{Action, DeadLetter, Escalation, Event, Score, Signal};
use firewatch_escalation::policy_schema;
use firewatch_wire::{Contract, Format};
use schemars::{JsonSchema, schema_for};
use serde_json::{Map, Value, json};

use crate::common::{Failure, print_stdout};
use crate::config::reference::settings_schema;
use asyncapi::asyncapi;

/// Returns the JSON Schema of every record, by name.
pub fn schemas() -> Map<String, Value> {
    let mut all = Map::new();
    all.insert("event".into(), schema_of_type::<Event>());
    all.insert("action".into(), schema_of_type::<Action>());
    all.insert("score".into(), schema_of_type::<Score>());
    all.insert("escalation".into(), schema_of_type::<Escalation>());
    all.insert("signal".into(), schema_of_type::<Signal>());
    all.insert("dead_letter".into(), schema_of_type::<DeadLetter>());
    all
}

/// Returns the same schemas with that of policy files, which are no records.
fn documents() -> Map<String, Value> {
    let mut all = schemas();
    all.insert("policy".into(), policy_schema());
    all.insert("settings".into(), settings_schema());
    all
}

/// Prints one schema, all of them, or the AsyncAPI or the OpenAPI document.
pub fn print(record: Option<&str>, format: Format, topics: bool, api: bool) -> Result<(), Failure> {
    let schema_text: fn(Contract) -> &'static str = match format {
        Format::Json => return print_json(record, topics, api),
        Format::Avro => Contract::avro,
        Format::Protobuf => Contract::protobuf,
    };
    let names = Contract::ALL.map(Contract::name).join(", ");
    let Some(name) = record else {
        return Err(Failure::setting("--format", format!("needs the name of a record; give one of {names}")));
    };
    let found = Contract::ALL.into_iter().find(|contract| contract.name() == name);
    let contract = found.ok_or_else(|| {
        Failure::setting(name, format!("has only a JSON Schema; other formats exist for {names}"))
    })?;
    print_stdout(format_args!("{}", schema_text(contract)));
    Ok(())
}

fn print_json(record: Option<&str>, topics: bool, api: bool) -> Result<(), Failure> {
    let schemas = schemas();
    let document = match record {
        _ if topics => asyncapi(&schemas),
        _ if api => openapi(),
        None => Value::Object(documents()),
        Some(name) => {
            let documents = documents();
            let names = || documents.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let found = documents.get(name).cloned();
            found.ok_or_else(|| {
                Failure::setting(name, format!("is not the name of a record; give one of {}", names()))
            })?
        }
    };
    print_stdout(format_args!("{document:#}\n"));
    Ok(())
}

fn schema_of_type<T: JsonSchema>() -> Value {
    let mut schema = schema_for!(T).to_value();
    if let Some(object) = schema.as_object_mut() {
        let title = object.get("title").and_then(Value::as_str).unwrap_or_default();
        let id = json!(format!("urn:firewatch:{title}:v1"));
        object.insert("$id".into(), id);
    }
    schema
}
