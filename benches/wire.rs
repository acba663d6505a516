//! Measures the cost of records in Avro and Protobuf, as a ratio to plain JSON parsing of the same records in
//! the same run.

use std::hint::black_box;

use firewatch_benches::report;
use firewatch_domain::EventTime;
use firewatch_engine::{Effect, LineSource, LocalTopology, Ruleset};
use firewatch_escalation::Policy;
use firewatch_ingest::decode_event;
use firewatch_wire::{Contract, Language, Schema};
use serde::Serialize;
use serde_json::Value;

const NOW: EventTime = EventTime::from_millis(1_780_315_200_000);
const FILE: LineSource<'static> = LineSource { name: "bench", arrival: NOW };
/// The number of records in a round.
const RECORDS: usize = 2000;

fn main() {
    let recording = include_str!("../demo/recording.jsonl");
    let events = recording.lines().filter_map(|line| decode_event(line.as_bytes(), None, NOW).ok());
    let events: Vec<_> = events.take(RECORDS).collect();
    compare("event", Contract::Event, &events, &|json| drop(black_box(decode_event(json, None, NOW))));
    let scores = scores(recording);
    compare("score", Contract::Score, &scores, &|json| _ = black_box(json.len()));
}

fn scores(recording: &str) -> Vec<Effect> {
    let policy = Policy::parse("policy.toml", include_str!("../demo/policy.toml"));
    let ruleset = Ruleset::shipped(policy.unwrap_or_else(|faults| panic!("{faults:?}")))
        .unwrap_or_else(|e| panic!("{e}"));
    let (mut topology, mut scores) = (LocalTopology::default(), Vec::new());
    for line in recording.lines() {
        topology.push_line(line.as_bytes(), FILE, &ruleset, &mut |effect| {
            if matches!(effect, Effect::Score(_)) && scores.len() < RECORDS {
                scores.push(effect.clone());
            }
        });
    }
    scores
}

/// Measures writing and reading the same records in each format; `decode` turns the JSON into records.
fn compare<T: Serialize>(name: &str, contract: Contract, records: &[T], decode: &dyn Fn(&[u8])) {
    let json: Vec<Vec<u8>> = records.iter().filter_map(|record| serde_json::to_vec(record).ok()).collect();
    let schemas = [(Language::Avro, contract.avro()), (Language::Protobuf, contract.protobuf())]
        .map(|(language, text)| Schema::parse(language, text, &[]).unwrap_or_else(|e| panic!("{e}")));
    let written =
        schemas.each_ref().map(|schema| records.iter().map(|r| encoded(schema, r)).collect::<Vec<_>>());
    let size = |all: &[Vec<u8>]| all.iter().map(Vec::len).sum::<usize>() / all.len();
    let [avro, protobuf] = &schemas;
    let [in_avro, in_protobuf] = &written;
    let sizes = [&json, in_avro, in_protobuf].map(|all| size(all));
    println!("\n{name}: {} bytes in JSON, {} in Avro, {} in Protobuf", sizes[0], sizes[1], sizes[2]);
    let n = records.len();
    let read = |schema: &Schema, all: &[Vec<u8>]| {
        all.iter().for_each(|bytes| decode(&schema.to_json(bytes).unwrap_or_default()));
    };
    report([
        ("parse JSON (serde_json::Value)", n, &mut || {
            json.iter().for_each(|bytes| drop(black_box(serde_json::from_slice::<Value>(bytes))));
        }),
        ("read JSON", n, &mut || json.iter().for_each(|bytes| decode(bytes))),
        ("read Avro", n, &mut || read(avro, in_avro)),
        ("read Protobuf", n, &mut || read(protobuf, in_protobuf)),
        ("write JSON", n, &mut || records.iter().for_each(|r| drop(black_box(serde_json::to_vec(r))))),
        ("write Avro", n, &mut || records.iter().for_each(|r| drop(black_box(encoded(avro, r))))),
        ("write Protobuf", n, &mut || records.iter().for_each(|r| drop(black_box(encoded(protobuf, r))))),
    ]);
}

/// Encodes a record as the Kafka writer does.
fn encoded(schema: &Schema, record: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_value(record).unwrap_or_default();
    let mut bytes = Vec::new();
    schema.encode(&json, &mut bytes).unwrap_or_else(|e| panic!("{e}"));
    bytes
}
