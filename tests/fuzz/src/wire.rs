//! Properties that hold for any bytes decoded with a schema.

use firewatch_wire::{Contract, Language, Schema};

/// Every type that an Avro schema can have, nested.
const ALL_TYPES: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"a","type":["null","boolean","int","long","float","double","bytes","string"]},
    {"name":"b","type":{"type":"array","items":{"type":"map","values":["null","string",{"type":"fixed","name":"F","size":3}]}}},
    {"name":"c","type":{"type":"enum","name":"E","symbols":["X","Y"]}},
    {"name":"d","type":{"type":"array","items":"null"}},
    {"name":"e","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
    {"name":"f","type":{"type":"bytes","logicalType":"big-decimal"}},
    {"name":"g","type":{"type":"string","logicalType":"uuid"}},
    {"name":"h","type":{"type":"fixed","name":"D","size":12,"logicalType":"duration"}},
    {"name":"i","type":{"type":"long","logicalType":"timestamp-nanos"}},
    {"name":"j","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"k","type":{"type":"int","logicalType":"date"}}]}"#;
/// Every type that a Protobuf schema can have, nested in itself.
const ALL_FIELDS: &str = r#"syntax = "proto2";
    import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto"; import "google/protobuf/struct.proto";
    message M { optional M m = 1; repeated sint64 s = 2 [packed = true]; map<string, M> n = 3; optional group G = 4 { optional bytes b = 5; }
        optional google.protobuf.Timestamp t = 6; optional google.protobuf.Duration d = 7; optional google.protobuf.Value v = 8;
        enum E { A = 0; } repeated E e = 9; optional fixed32 x = 10; oneof o { string p = 11; bool q = 12; } extensions 100 to 200; }"#;

thread_local! {
    static SCHEMAS: Vec<(Schema, bool)> = {
        let parse = |language, text, is_ours| {
            (Schema::parse(language, text, &[]).unwrap_or_else(|e| panic!("{e}")), is_ours)
        };
        vec![
            parse(Language::Avro, Contract::Event.avro(), true),
            parse(Language::Protobuf, Contract::Event.protobuf(), true),
            parse(Language::Avro, Contract::Score.avro(), true),
            parse(Language::Protobuf, Contract::Score.protobuf(), true),
            parse(Language::Avro, ALL_TYPES, false),
            parse(Language::Protobuf, ALL_FIELDS, false),
        ]
    };
}

/// Decodes the bytes with the schema that the first byte selects. With our own schemas, encoding the result
/// and decoding it again changes nothing.
pub fn wire(bytes: &[u8]) {
    let Some((which, payload)) = bytes.split_first() else { return };
    SCHEMAS.with(|schemas| {
        let (schema, is_ours) = &schemas[usize::from(*which) % schemas.len()];
        let Ok(json) = schema.to_json(payload) else { return };
        let written = |json: &[u8]| {
            let mut bytes = Vec::new();
            let value = serde_json::from_slice(json).unwrap_or_else(|e| panic!("{e}"));
            schema.encode(&value, &mut bytes).ok().map(|()| bytes)
        };
        let first = written(&json);
        if let Some(first) = first.filter(|_| *is_ours) {
            let again = schema.to_json(&first).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(written(&again), Some(first));
        }
    });
}
