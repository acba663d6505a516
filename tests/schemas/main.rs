//! The published schemas match the types, and every version can be read by every other.

mod avro;
mod compatible;
mod protobuf;
mod shape;

use std::path::PathBuf;

use firewatch_domain::{Action, DeadLetter, Escalation, Event, Score};
use firewatch_tests::root;
use firewatch_wire::Contract;
use schemars::schema_for;

use crate::shape::Message;

fn messages(contract: Contract) -> Vec<Message> {
    let (schema, name) = match contract {
        Contract::Event => (schema_for!(Event), "Event"),
        Contract::Action => (schema_for!(Action), "Action"),
        Contract::Score => (schema_for!(Score), "Score"),
        Contract::Escalation => (schema_for!(Escalation), "Escalation"),
        Contract::DeadLetter => (schema_for!(DeadLetter), "DeadLetter"),
    };
    shape::messages(&schema.to_value(), name)
}

fn folder() -> PathBuf {
    root().join("crates/wire/schemas")
}

/// Returns whether a file has the wanted text. Writes the file if it differs, so that the difference can be
/// reviewed.
fn holds(file: &str, wanted: &str) -> bool {
    let path = folder().join(file);
    let is_so = std::fs::read_to_string(&path).is_ok_and(|text| text == wanted);
    if !is_so {
        std::fs::write(path, wanted).unwrap();
    }
    is_so
}

#[test]
fn the_published_schemas_match_the_types() {
    let mut old = Vec::new();
    for contract in Contract::ALL {
        let (name, messages) = (contract.name(), messages(contract));
        let files = [
            (format!("{name}.avsc"), avro::schema(&messages, name)),
            (format!("{name}.proto"), protobuf::schema(&messages, name, contract.protobuf())),
        ];
        old.extend(files.into_iter().filter(|(file, text)| !holds(file, text)).map(|(file, _)| file));
    }
    assert!(old.is_empty(), "{old:?} in crates/wire/schemas were regenerated; review and commit them");
}

/// Returns the schemas of released versions, oldest first; each release adds its own.
fn released() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(folder().join("released")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

#[test]
fn every_version_is_compatible_with_every_released_one() {
    for folder in released() {
        for contract in Contract::ALL {
            let before = |ending: &str| {
                std::fs::read_to_string(folder.join(format!("{}.{ending}", contract.name()))).unwrap()
            };
            let mut faults = compatible::avro(&before("avsc"), contract.avro());
            faults.extend(compatible::protobuf(&before("proto"), contract.protobuf()));
            assert!(faults.is_empty(), "{} since {}: {faults:#?}", contract.name(), folder.display());
        }
    }
}

/// Returns a later version of a schema, with `from` replaced by `to`.
fn later(schema: &str, from: &str, to: &str) -> String {
    assert!(schema.contains(from), "{from}");
    schema.replacen(from, to, 1)
}

#[test]
fn changes_that_break_a_reader_are_detected_and_others_pass() {
    let now = Contract::Action.avro();
    let field = |text: &str| later(now, "\"fields\": [", &format!("\"fields\": [{text},"));
    assert_eq!(
        compatible::avro(now, &field(r#"{"name":"more","type":["null","long"],"default":null}"#)),
        [""; 0]
    );
    // Earlier records do not have the field.
    assert_eq!(compatible::avro(now, &field(r#"{"name":"more","type":"long"}"#)).len(), 1);
    assert_eq!(compatible::avro(&field(r#"{"name":"more","type":"long"}"#), now).len(), 1);
    // A field that may now be absent is required by earlier readers.
    let may = field(r#"{"name":"more","type":["null","long"],"default":null}"#);
    let must = field(r#"{"name":"more","type":"long","default":0}"#);
    assert_eq!(compatible::avro(&must, &may), ["some records now are not read before"]);
    let changed = later(now, "\"type\": \"string\"", "\"type\": \"long\"");
    assert_eq!(compatible::avro(now, &changed).len(), 2);

    let now = Contract::Action.protobuf();
    let check = |now: &str, later: &str, wanted: &[&str]| {
        assert_eq!(compatible::protobuf(now, later), wanted, "{later}");
    };
    let with = |field: &str| later(now, "message Action {", &format!("message Action {{\n  {field}"));
    check(now, &with("optional string more = 20;"), &[]);
    check(now, &later(now, "optional string by =", "optional string whom ="), &["Action.by is called whom"]);
    check(now, &later(now, "optional string by", "optional uint64 by"), &["Action.by is of another type"]);
    check(now, &later(now, "optional string by", "repeated string by"), &["Action.by is of another type"]);
    let without = later(now, "  optional string by = ", "  reserved ");
    check(now, &without, &[]);
    check(now, &later(&without, "reserved 2;", ""), &["Action.by is gone, and its number not reserved"]);
    check(&without, now, &["Action.by has a number given up before"]);
    check(now, &later(now, "action.v1;", "action.v2;"), &["the package firewatch.action.v1 is another"]);
}

#[test]
fn field_numbers_are_kept_and_never_reused() {
    let messages = |names: &[&str]| {
        let properties: serde_json::Map<String, serde_json::Value> =
            names.iter().map(|name| ((*name).to_owned(), serde_json::json!({ "type": "string" }))).collect();
        shape::messages(&serde_json::json!({ "properties": properties }), "Part")
    };
    let first = protobuf::schema(&messages(&["b", "d"]), "x", "");
    assert!(first.contains(" b = 1;") && first.contains(" d = 2;"), "{first}");
    // A new field sorts before the others by name, and one is removed.
    let second = protobuf::schema(&messages(&["a", "b"]), "x", &first);
    assert!(second.contains(" b = 1;") && second.contains(" a = 3;"), "{second}");
    assert!(second.contains("reserved 2;") && second.contains("reserved \"d\";"), "{second}");
    let third = protobuf::schema(&messages(&["a", "b", "c"]), "x", &second);
    assert!(third.contains("reserved 2;") && third.contains(" c = 4;"), "{third}");
    assert_eq!(compatible::protobuf(&first, &third), [""; 0]);
}
