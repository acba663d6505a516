//! Golden files: every score, signal and escalation of three scenarios, byte for byte.
//!
//! Records and product text are kept apart. `tests/golden/NAME.jsonl.zst` has the records without their
//! wording, so a change of wording cannot affect it. `tests/golden/NAME.wording.txt` has the wording, so it
//! can be reviewed on its own. `FIREWATCH_BLESS=1` writes both; a failing test leaves its result in
//! `target/golden`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use firewatch_backtest::policy::{CaseFile, Restarts, play, policy_of};
use firewatch_domain::{Escalation, EventTime};
use firewatch_engine::{Effect, Input, LocalTopology, Ruleset, Stream};
use firewatch_escalation::Policy;
use firewatch_tests::root;
use firewatch_train::storms;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn policy(path: &str) -> Policy {
    Policy::parse(path, &std::fs::read_to_string(root().join(path)).unwrap()).unwrap()
}

fn ruleset(path: &str) -> Ruleset {
    Ruleset::shipped(policy(path)).unwrap()
}

#[test]
fn the_demo_recording_yields_the_same_records() {
    let ruleset = ruleset("demo/policy.toml");
    let recording = std::fs::read_to_string(root().join("demo/recording.jsonl")).unwrap();
    let (mut topology, mut effects) = (LocalTopology::default(), Vec::new());
    let mut sink = |effect: &Effect| effects.push(effect.clone());
    for (offset, line) in recording.lines().enumerate() {
        // Some lines are invalid on purpose.
        let event = serde_json::from_str::<Value>(line).ok();
        let at = event.and_then(|event| EventTime::parse(event["at"].as_str()?).ok());
        let arrival = at.unwrap_or(EventTime::from_millis(1_790_000_000_000));
        let input = Input::new(Stream::Events, "demo", line.as_bytes());
        topology.handle(&Input { offset: offset as i64, arrival, ..input }, &ruleset, &mut sink);
    }
    topology.end_of_stream(&ruleset, &mut sink);
    Golden::from_effects(&effects).check("demo");
}

#[test]
fn the_policy_cases_yield_the_same_records() {
    let cases = CaseFile::read(&root().join("tests/policy/cases.toml")).unwrap();
    let models = ruleset("tests/policy/policy.toml");
    let mut golden = Golden::default();
    for case in &cases.cases {
        golden.records.push(json!({ "case": case.name }));
        let ruleset = policy_of(case, Some(&models), &models).unwrap();
        let effects = play(case, &ruleset, Restarts::Never).unwrap();
        effects.iter().for_each(|effect| golden.push(effect.kind(), effect));
    }
    golden.check("cases");
}

#[test]
fn a_simulated_month_with_storms_yields_the_same_records() {
    let policy = Policy::parse("p", "[brands.brand]\n").unwrap();
    let mut golden = Golden::default();
    for escalation in storms::escalations(&storms::simulate_month(101), &policy) {
        golden.push::<Escalation>("escalation", &escalation);
    }
    golden.check("storm_month");
}

/// Records without their wording, and the wording.
#[derive(Default)]
struct Golden {
    records: Vec<Value>,
    /// Texts in the order of the records, each after the name of its field.
    texts: Vec<String>,
}

impl Golden {
    fn from_effects(effects: &[Effect]) -> Self {
        let mut golden = Self::default();
        effects.iter().for_each(|effect| golden.push(effect.kind(), effect));
        golden
    }

    fn push<T: serde::Serialize>(&mut self, kind: &str, record: &T) {
        let mut record = serde_json::to_value(record).unwrap();
        self.collect_texts(kind, "", &mut record);
        self.records.push(json!({ kind: record }));
    }

    /// Moves the product's texts out of a value. A list of texts becomes its length.
    fn collect_texts(&mut self, kind: &str, name: &str, value: &mut Value) {
        match (name, &mut *value) {
            ("reasons" | "advice", Value::Array(texts)) => {
                let length = texts.len();
                for text in texts {
                    self.texts.push(format!("{kind} {name}: {}", text.as_str().unwrap()));
                }
                *value = length.into();
            }
            // Comments of a policy are part of its hash but decide nothing.
            ("policy_hash", Value::String(_)) => *value = Value::Null,
            ("reason" | "detail", Value::String(text)) => {
                self.texts.push(format!("{kind} {name}: {text}"));
                *value = Value::Null;
            }
            (_, Value::Object(fields)) => {
                for (name, value) in fields {
                    self.collect_texts(kind, name, value);
                }
            }
            (_, Value::Array(items)) => {
                for item in items {
                    self.collect_texts(kind, name, item);
                }
            }
            _ => {}
        }
    }

    fn check(&self, name: &str) {
        // Other processors may round the last bit of a float differently.
        if !cfg!(target_arch = "x86_64") {
            eprintln!("SKIPPED: the golden files apply to x86-64 only");
            return;
        }
        let records: String = self.records.iter().map(|record| format!("{record}\n")).collect();
        let (folder, found) = (root().join("tests/golden"), root().join("target/golden"));
        std::fs::create_dir_all(&found).unwrap();
        std::fs::write(found.join(format!("{name}.jsonl")), &records).unwrap();
        std::fs::write(found.join(format!("{name}.wording.txt")), self.wording()).unwrap();
        let (packed, wording) =
            (folder.join(format!("{name}.jsonl.zst")), folder.join(format!("{name}.wording.txt")));
        if std::env::var_os("FIREWATCH_BLESS").is_some() {
            std::fs::write(&packed, zstd::encode_all(records.as_bytes(), 19).unwrap()).unwrap();
            std::fs::write(&wording, self.wording()).unwrap();
        }
        let golden = String::from_utf8(zstd::decode_all(&*std::fs::read(&packed).unwrap()).unwrap()).unwrap();
        let place = found.display();
        assert_same(&golden, &records, &format!("record, see {place}/{name}.jsonl"));
        let golden = std::fs::read_to_string(&wording).unwrap();
        assert_same(&golden, &self.wording(), &format!("wording, see {place}/{name}.wording.txt"));
    }

    /// Lists each distinct text, with numbers as `#` and its count, and a hash over all texts unchanged.
    fn wording(&self) -> String {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut hash = Sha256::new();
        for text in &self.texts {
            hash.update(text);
            hash.update("\n");
            *counts.entry(without_numbers(text)).or_default() += 1;
        }
        let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut all = format!("{} texts, SHA-256 {hash}\n", self.texts.len());
        for (text, count) in counts {
            writeln!(all, "{count:>6} {text}").unwrap();
        }
        all
    }
}

/// Replaces each run of digits, and of points and commas between digits, by one `#`.
fn without_numbers(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if !c.is_ascii_digit() {
            plain.push(c);
            continue;
        }
        plain.push('#');
        while let Some(next) = rest.peek().copied() {
            let mut ahead = rest.clone();
            ahead.next();
            let joins = matches!(next, ',' | '.') && ahead.peek().is_some_and(char::is_ascii_digit);
            if !next.is_ascii_digit() && !joins {
                break;
            }
            rest.next();
        }
    }
    plain
}

fn assert_same(golden: &str, found: &str, what: &str) {
    let differs = golden.lines().zip(found.lines()).enumerate().find(|(_, (golden, found))| golden != found);
    if let Some((line, (golden, found))) = differs {
        panic!("line {}: another {what}\n  golden: {golden}\n  found:  {found}", line + 1);
    }
    let (golden, found) = (golden.lines().count(), found.lines().count());
    assert_eq!(golden, found, "the number of lines differs: {what}");
}

#[test]
fn golden_files_exist_for_every_scenario() {
    for name in ["demo", "cases", "storm_month"] {
        for ending in ["jsonl.zst", "wording.txt"] {
            let path = Path::new("tests/golden").join(format!("{name}.{ending}"));
            assert!(root().join(&path).exists(), "{} is missing", path.display());
        }
    }
}
