//! Runs the properties of the fuzz targets on slightly damaged payloads. Fuzzing needs
//! hours; this keeps its targets working between runs.

#[path = "fuzz/src/lib.rs"]
mod fuzz;

use firewatch_ingest::Platform;
use firewatch_tests::{event, post, root};
use firewatch_wire::{Contract, Language, Schema};
use serde_json::Value;

/// Tries for each payload.
const TRIES: usize = 50;

/// Calls `take` with the bytes, and with some of them changed, removed or inserted.
fn damaged(bytes: &[u8], random: &mut fastrand::Rng, take: impl Fn(&[u8])) {
    take(bytes);
    for _ in 0..TRIES {
        let mut bytes = bytes.to_vec();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..bytes.len());
            match random.u8(..3) {
                0 => bytes[at] = random.u8(..),
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, random.u8(..)),
            }
        }
        take(&bytes);
    }
}

#[test]
fn damaged_records_keep_the_fuzzed_properties() {
    let mut random = fastrand::Rng::with_seed(7);
    let recording = std::fs::read_to_string(root().join("demo/recording.jsonl")).unwrap();
    for line in recording.lines().take(200) {
        damaged(line.as_bytes(), &mut random, fuzz::records);
    }
}

#[test]
fn damaged_payloads_of_every_platform_keep_the_fuzzed_properties() {
    let mut random = fastrand::Rng::with_seed(7);
    for platform in Platform::ALL {
        let text = std::fs::read_to_string(root().join(format!("tests/platforms/{platform}.json"))).unwrap();
        for case in serde_json::from_str::<Vec<Value>>(&text).unwrap() {
            let payload = case["raw"].as_str().map_or_else(|| case["payload"].to_string(), Into::into);
            damaged(payload.as_bytes(), &mut random, |bytes| fuzz::platform(platform, bytes));
        }
    }
}

#[test]
fn damaged_bytes_after_a_schema_id_keep_the_fuzzed_properties() {
    let mut random = fastrand::Rng::with_seed(8);
    let schemas =
        [(Language::Avro, Contract::Event.avro()), (Language::Protobuf, Contract::Event.protobuf())];
    for (which, (language, text)) in (0..).zip(schemas) {
        let schema = Schema::parse(language, text, &[]).unwrap_or_else(|e| panic!("{e}"));
        for followers in 0..20 {
            let mut bytes = vec![which];
            let event = event("e", "c", 0.0, &post(followers, "words"));
            schema.encode(&event, &mut bytes).unwrap_or_else(|e| panic!("{e}"));
            damaged(&bytes, &mut random, fuzz::wire);
        }
    }
}
