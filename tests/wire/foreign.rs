//! Schemas of other teams on topics of their own.

use apache_avro::types::Value as Datum;
use apache_avro::{Days, Millis, Months};
use firewatch_wire::{Language, Schema};
use protox::prost_reflect::prost::Message as _;
use protox::prost_reflect::{DynamicMessage, MessageDescriptor, Value as Part};
use serde_json::{Value, json};

fn refused(language: Language, text: &str) -> String {
    Schema::parse(language, text, &[]).err().map(|fault| fault.to_string()).unwrap_or_default()
}

/// Returns the JSON of bytes that were written with a schema.
fn read(schema: &Schema, bytes: &[u8]) -> Value {
    serde_json::from_slice(&schema.to_json(bytes).unwrap_or_else(|e| panic!("{e}"))).unwrap()
}

const SHOP: &str = r#"{
    "type": "record", "name": "Complaint", "namespace": "com.example",
    "fields": [
        { "name": "id", "type": { "type": "fixed", "name": "Id", "size": 4 } },
        { "name": "other", "type": "Id" },
        { "name": "severity", "type": { "type": "enum", "name": "Severity", "symbols": ["MILD", "BAD"] } },
        { "name": "at", "type": { "type": "long", "logicalType": "timestamp-micros" } },
        { "name": "score", "type": "float" },
        { "name": "tags", "type": { "type": "map", "values": ["null", "string", "int"] } },
        { "name": "replies", "type": { "type": "array", "items": {
            "type": "record", "name": "Reply", "fields": [{ "name": "text", "type": "string" }] } } },
        { "name": "best", "type": ["null", "Reply"], "default": null },
        { "name": "uuid", "type": { "type": "string", "logicalType": "uuid" } }
    ]
}"#;

#[test]
fn avro_types_become_matching_json() {
    let schema = apache_avro::Schema::parse_str(SHOP).unwrap();
    let reply = |text: &str| Datum::Record(vec![("text".into(), Datum::String(text.into()))]);
    let datum = Datum::Record(vec![
        ("id".into(), Datum::Fixed(4, b"\x00\x01\x02\xff".to_vec())),
        ("other".into(), Datum::Fixed(4, b"abcd".to_vec())),
        ("severity".into(), Datum::Enum(1, "BAD".into())),
        ("at".into(), Datum::TimestampMicros(1_767_225_600_123_456)),
        ("score".into(), Datum::Float(0.1)),
        (
            "tags".into(),
            Datum::Map(
                [
                    ("a".to_owned(), Datum::Union(1, Box::new(Datum::String("x".into())))),
                    ("b".to_owned(), Datum::Union(2, Box::new(Datum::Int(-7)))),
                    ("c".to_owned(), Datum::Union(0, Box::new(Datum::Null))),
                ]
                .into(),
            ),
        ),
        ("replies".into(), Datum::Array(vec![reply("one"), reply("two")])),
        ("best".into(), Datum::Union(1, Box::new(reply("two")))),
        ("uuid".into(), Datum::Uuid("7f9c2ba4-e88f-427d-8f0f-1b2c3d4e5f60".parse().unwrap())),
    ]);
    let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&schema).build().unwrap();
    let bytes = writer.write_value_to_vec(datum).unwrap();
    let ours = Schema::parse(Language::Avro, SHOP, &[]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        read(&ours, &bytes),
        json!({
            "id": "AAEC/w==", "other": "YWJjZA==", "severity": "BAD", "at": "2026-01-01T00:00:00.123456Z", "score": 0.1,
            "tags": { "a": "x", "b": -7 }, "replies": [{ "text": "one" }, { "text": "two" }],
            "best": { "text": "two" }, "uuid": "7f9c2ba4-e88f-427d-8f0f-1b2c3d4e5f60",
        })
    );
}

#[test]
fn types_without_a_matching_field_do_not_prevent_reading() {
    let schema = r#"{"type":"record","name":"R","fields":[
        {"name":"for","type":{"type":"fixed","name":"D","size":12,"logicalType":"duration"}},
        {"name":"day","type":{"type":"int","logicalType":"date"}},
        {"name":"here","type":{"type":"long","logicalType":"local-timestamp-millis"}},
        {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}},
        {"name":"text","type":"string"}]}"#;
    let parsed = apache_avro::Schema::parse_str(schema).unwrap();
    let span = apache_avro::Duration::new(Months::new(1), Days::new(2), Millis::new(3));
    let datum = Datum::Record(vec![
        ("for".into(), Datum::Duration(span)),
        ("day".into(), Datum::Date(20_000)),
        ("here".into(), Datum::LocalTimestampMillis(5)),
        ("price".into(), Datum::Decimal(vec![1, 2].into())),
        ("text".into(), Datum::String("it broke".into())),
    ]);
    let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&parsed).build().unwrap();
    let bytes = writer.write_value_to_vec(datum).unwrap();
    let ours = Schema::parse(Language::Avro, schema, &[]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        read(&ours, &bytes),
        json!({ "for": "AQAAAAIAAAADAAAA", "day": 20_000, "here": 5, "price": "AQI=", "text": "it broke" })
    );
}

#[test]
fn an_avro_schema_may_refer_to_others_but_not_to_itself() {
    let person =
        r#"{"type":"record","name":"Person","namespace":"n","fields":[{"name":"name","type":"string"}]}"#;
    let post = r#"{"type":"record","name":"Post","namespace":"n","fields":[{"name":"by","type":"n.Person"},{"name":"to","type":["null","Person"]}]}"#;
    let others = [("n.Person".to_owned(), person.to_owned())];
    let schema = Schema::parse(Language::Avro, post, &others).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        read(&schema, b"\x06kim\x02\x04bo"),
        json!({ "by": { "name": "kim" }, "to": { "name": "bo" } })
    );
    assert!(
        refused(Language::Avro, post).contains("not a valid Avro schema"),
        "{}",
        refused(Language::Avro, post)
    );
    let list = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#;
    assert_eq!(refused(Language::Avro, list), "the schema's type L contains itself, which is not supported");
    // Each of thirty types contains the one before twice.
    let mut types = r#"{"type":"record","name":"T0","fields":[{"name":"a","type":"string"}]}"#.to_owned();
    for i in 1..30 {
        types = format!(
            r#"{{"type":"record","name":"T{i}","fields":[{{"name":"a","type":{types}}},{{"name":"b","type":"T{}"}}]}}"#,
            i - 1
        );
    }
    assert!(
        refused(Language::Avro, &types).contains("more than 10000 types"),
        "{}",
        refused(Language::Avro, &types)
    );
    // Each of two hundred types contains the one before once.
    let holds = |i: usize| match i {
        0 => r#"{"type":"record","name":"T0","fields":[]}"#.to_owned(),
        _ => format!(r#"{{"type":"record","name":"T{i}","fields":[{{"name":"a","type":"T{}"}}]}}"#, i - 1),
    };
    let others: Vec<(String, String)> = (0..200).map(|i| (format!("T{i}"), holds(i))).collect();
    let deep = Schema::parse(Language::Avro, &holds(200), &others).err().map(|fault| fault.to_string());
    assert_eq!(deep.as_deref(), Some("the schema is nested more than 100 types deep"));
    assert!(refused(Language::Avro, "{").starts_with("not a valid Avro schema"));
}

const TICKETS: &str = r#"
    syntax = "proto3";
    package example;
    import "google/protobuf/timestamp.proto";
    import "google/protobuf/wrappers.proto";
    import "people.proto";
    message Envelope {
        message Ticket {
            enum State { UNKNOWN = 0; OPEN = 1; }
            string text = 1;
            int32 likes = 2;
            optional int32 shares = 3;
            uint64 views = 4;
            State state = 5;
            google.protobuf.Timestamp at = 6;
            google.protobuf.Int64Value followers = 7;
            map<string, float> scores = 8;
            repeated people.Person seen_by = 9;
            bytes raw = 10;
        }
    }"#;
const PEOPLE: &str =
    "syntax = \"proto3\"; package people; message Nobody {} message Person { string camelName = 1; }";

fn tickets() -> Schema {
    let others = [("people.proto".to_owned(), PEOPLE.to_owned())];
    Schema::parse(Language::Protobuf, TICKETS, &others).unwrap_or_else(|e| panic!("{e}"))
}

fn ticket() -> MessageDescriptor {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("tickets.proto", TICKETS), ("people.proto", PEOPLE)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
    compiler.include_imports(true).open_file("tickets.proto").unwrap();
    compiler.descriptor_pool().get_message_by_name("example.Envelope.Ticket").unwrap()
}

#[test]
fn protobuf_types_become_matching_json_and_empty_defaults_are_omitted() {
    let descriptor = ticket();
    let mut message = DynamicMessage::new(descriptor.clone());
    let person = descriptor.parent_pool().get_message_by_name("people.Person").unwrap();
    let part = |name: &str| {
        let json = match name {
            "at" => json!("2026-01-01T00:00:00.5Z"),
            _ => json!("12"),
        };
        let field = descriptor.get_field_by_name(name).unwrap();
        let of = field.kind().as_message().unwrap().clone();
        Part::Message(DynamicMessage::deserialize(of, json).unwrap())
    };
    for name in ["at", "followers"] {
        message.set_field_by_name(name, part(name));
    }
    let mut kim = DynamicMessage::new(person);
    kim.set_field_by_name("camelName", Part::String("kim".into()));
    message.set_field_by_name("text", Part::String("it broke".into()));
    message.set_field_by_name("shares", Part::I32(0));
    message.set_field_by_name("views", Part::U64(u64::MAX));
    message.set_field_by_name("state", Part::EnumNumber(1));
    message.set_field_by_name("scores", Part::Map([("a".to_owned().into_key(), Part::F32(0.1))].into()));
    message.set_field_by_name("seen_by", Part::List(vec![Part::Message(kim)]));
    message.set_field_by_name("raw", Part::Bytes(b"\x00\x01".as_slice().into()));
    // The first message of the file, and the first inside it: two indexes, each encoded twice.
    let mut bytes = vec![4, 0, 0];
    message.encode(&mut bytes).unwrap();
    assert_eq!(
        read(&tickets(), &bytes),
        json!({
            "text": "it broke", "shares": 0, "views": u64::MAX, "state": "OPEN", "at": "2026-01-01T00:00:00.500Z",
            "followers": 12, "scores": { "a": 0.1 }, "seen_by": [{ "camelName": "kim" }], "raw": "AAE=",
        })
    );
    // Absent likes stay absent: there may be none, or they may not be reported.
    assert_eq!(read(&tickets(), &[4, 0, 0]), json!({ "seen_by": [] }));
}

trait IntoKey {
    fn into_key(self) -> protox::prost_reflect::MapKey;
}

impl IntoKey for String {
    fn into_key(self) -> protox::prost_reflect::MapKey {
        protox::prost_reflect::MapKey::String(self)
    }
}

#[test]
fn a_compiled_schema_reads_the_same() {
    use base64::Engine as _;
    let file = ticket().parent_file().file_descriptor_proto().clone();
    let compiled = base64::engine::general_purpose::STANDARD.encode(file.encode_to_vec());
    let others = [("people.proto".to_owned(), PEOPLE.to_owned())];
    let schema = Schema::parse(Language::Protobuf, &compiled, &others).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(read(&schema, b"\x04\x00\x00\x0a\x02hi"), json!({ "text": "hi", "seen_by": [] }));
}

#[test]
fn unknown_and_too_deeply_nested_messages_are_refused() {
    let problem = |bytes: &[u8]| tickets().to_json(bytes).unwrap_err().to_string();
    assert_eq!(problem(&[2, 8]), "the schema has no message [4]");
    assert!(problem(&[]).contains("truncated before its message index"));
    let deep = "syntax = \"proto3\"; message M { M m = 1; }";
    let deep = Schema::parse(Language::Protobuf, deep, &[]).unwrap_or_else(|e| panic!("{e}"));
    // A thousand nested messages.
    let mut bytes = Vec::new();
    for _ in 0..1000 {
        let mut outer = vec![10];
        protox::prost_reflect::prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
        outer.append(&mut bytes);
        bytes = outer;
    }
    bytes.insert(0, 0);
    assert!(deep.to_json(&bytes).unwrap_err().to_string().contains("recursion limit"));
    assert!(refused(Language::Protobuf, "syntax = \"proto3\";").contains("has no message"));
    assert!(
        refused(Language::Protobuf, TICKETS).contains("people.proto"),
        "{}",
        refused(Language::Protobuf, TICKETS)
    );
}
