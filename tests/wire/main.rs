//! Records in Avro and Protobuf without a registry. Encoded records decode to themselves, schemas of other
//! teams are read correctly, and any bytes have an outcome that reveals nothing of their content.

mod foreign;

use firewatch_domain::{Action, DeadLetter, Escalation, EventTime, RejectionCode, Score};
use firewatch_engine::{Effect, LineSource, Ruleset};
use firewatch_escalation::Policy;
use firewatch_ingest::{decode_action, decode_event};
use firewatch_tests::{root, run_lines};
use firewatch_wire::{Contract, Language, Schema};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Returns the parsed schemas of a contract in both formats.
fn schemas(contract: Contract) -> [(&'static str, Schema); 2] {
    let parse = |language, text| Schema::parse(language, text, &[]).unwrap_or_else(|e| panic!("{e}"));
    [
        ("avro", parse(Language::Avro, contract.avro())),
        ("protobuf", parse(Language::Protobuf, contract.protobuf())),
    ]
}

fn encoded(schema: &Schema, record: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    schema.encode(&serde_json::to_value(record).unwrap(), &mut bytes).unwrap_or_else(|e| panic!("{e}"));
    bytes
}

/// Encodes and decodes a record in both formats.
fn round(schemas: &[(&str, Schema)], record: &impl Serialize, check: impl Fn(&[u8])) {
    for (_, schema) in schemas {
        check(&schema.to_json(&encoded(schema, record)).unwrap());
    }
}

fn same<T: DeserializeOwned + PartialEq + std::fmt::Debug>(record: &T) -> impl Fn(&[u8]) {
    move |json| assert_eq!(&serde_json::from_slice::<T>(json).unwrap(), record)
}

fn recording() -> String {
    std::fs::read_to_string(root().join("demo/recording.jsonl")).unwrap()
}

fn now() -> EventTime {
    EventTime::parse("2026-03-11T00:00:00Z").unwrap()
}

#[test]
fn the_recording_and_its_outputs_are_the_same_in_every_format() {
    let policy = std::fs::read_to_string(root().join("demo/policy.toml")).unwrap();
    let ruleset = Ruleset::shipped(Policy::parse("policy.toml", &policy).unwrap()).unwrap();
    let [event_schemas, scores, escalations, letters] =
        [Contract::Event, Contract::Score, Contract::Escalation, Contract::DeadLetter].map(schemas);
    let mut events = 0;
    for line in recording().lines() {
        if let Ok(event) = decode_event(line.as_bytes(), None, now()) {
            events += 1;
            round(&event_schemas, &event, |json| {
                assert_eq!(decode_event(json, Some(event.conversation.as_bytes()), now()).unwrap(), event);
            });
        }
    }
    let file = LineSource { name: "recording", arrival: now() };
    let (effects, _) = run_lines(&ruleset, file, recording().lines());
    let mut counts = [0; 3];
    for effect in &effects {
        match effect {
            Effect::Score(score) => {
                counts[0] += 1;
                round(&scores, score, same::<Score>(score));
            }
            Effect::Escalation(escalation) => {
                counts[1] += 1;
                // The trace belongs to the header, not to the record.
                let untraced = Escalation { trace: None, ..(**escalation).clone() };
                round(&escalations, escalation, same(&untraced));
            }
            Effect::DeadLetter(letter, _) => {
                counts[2] += 1;
                round(&letters, letter, same::<DeadLetter>(letter));
            }
            _ => {}
        }
    }
    assert!(events > 1000 && counts.iter().all(|count| *count > 0), "{events} events, {counts:?}");
}

#[test]
fn actions_are_the_same_in_every_format() {
    let kinds = [
        r#""kind":"hand_off","channel":"dm""#,
        r#""kind":"silence","until":"2026-03-11T01:02:03.456Z""#,
        r#""kind":"hand_over","team":"pr""#,
        r#""kind":"noise""#,
    ];
    for kind in kinds {
        let json =
            format!(r#"{{"v":1,"id":"a","conversation":"c","at":"2026-03-10T14:00:00Z","by":"kim",{kind}}}"#);
        let action: Action = decode_action(json.as_bytes(), None, now()).unwrap();
        round(&schemas(Contract::Action), &action, |json| {
            assert_eq!(decode_action(json, None, now()).unwrap(), action)
        });
    }
}

#[test]
fn a_truncated_event_is_rejected() {
    let line = recording().lines().find(|line| line.contains("\"post\"")).unwrap().to_owned();
    let event = decode_event(line.as_bytes(), None, now()).unwrap();
    for (name, schema) in schemas(Contract::Event) {
        let bytes = encoded(&schema, &event);
        for end in 0..bytes.len() {
            // Protobuf records have no length. After a cut between fields, a required field is missing.
            let outcome = schema.to_json(&bytes[..end]).map(|json| decode_event(&json, None, now()));
            let whole = matches!(&outcome, Ok(Ok(read)) if *read == event);
            assert!(!whole, "{name} {end} of {}", bytes.len());
            if name == "avro" {
                assert!(outcome.is_err(), "{end} of {}", bytes.len());
            }
        }
        let mut more = bytes.clone();
        more.extend([0, 0]);
        assert!(schema.to_json(&more).is_err(), "{name}: trailing bytes were accepted");
    }
}

#[test]
fn a_record_that_does_not_match_its_schema_names_the_field() {
    let check = |json: &str, wanted: &str| {
        let value: Value = serde_json::from_str(json).unwrap();
        let fault =
            schemas(Contract::Event).map(|(_, schema)| schema.encode(&value, &mut Vec::new()).unwrap_err());
        assert_eq!(fault.map(|fault| fault.to_string()), [wanted, wanted]);
    };
    let with =
        |rest: &str| format!(r#"{{"v":1,"id":"e","conversation":"c","at":"2026-01-01T00:00:00Z",{rest}}}"#);
    check(&with(r#""more":"hush""#), "`more`: the schema has no such field");
    check(&with(r#""post":{"id":"p","text":["hush"]}"#), "`post.text`: an array does not fit the schema");
    check(&with(r#""counters":{"likes":"hush"}"#), "`counters.likes`: a string does not fit the schema");
}

#[test]
fn errors_about_damaged_bytes_reveal_no_content() {
    let json = r#"{"v":1,"id":"hush-id","conversation":"hush-c","at":"2026-01-01T00:00:00Z","brand":"hush-b",
        "post":{"id":"hush-p","text":"hush, my diagnosis","author":{"id":"hush-a","followers":12}}}"#;
    let event = decode_event(json.as_bytes(), None, now()).unwrap();
    let mut random = fastrand::Rng::with_seed(9);
    for (name, schema) in schemas(Contract::Event) {
        let bytes = encoded(&schema, &event);
        let (mut faults, mut read) = (0, 0);
        for _ in 0..20_000 {
            let mut damaged = bytes.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..damaged.len());
                match random.u8(..3) {
                    0 => damaged[at] = random.u8(..),
                    1 => drop(damaged.remove(at)),
                    _ => damaged.insert(at, random.u8(..)),
                }
            }
            let problem = match schema.to_json(&damaged) {
                Ok(json) => {
                    read += 1;
                    decode_event(&json, None, now()).err().map(|rejection| {
                        assert_ne!(rejection.code, RejectionCode::MalformedJson, "what is read is JSON");
                        rejection.to_string()
                    })
                }
                Err(fault) => {
                    faults += 1;
                    Some(fault.to_string())
                }
            };
            assert!(!problem.as_deref().unwrap_or_default().contains("hush"), "{name}: {problem:?}");
        }
        assert!(faults > 1000 && read > 1000, "{name}: {faults} faults, {read} read");
    }
}
