//! Subcommands that need no broker, as a user runs them, on valid and invalid input.

use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use firewatch_tests::{event, firewatch, json_lines, piped, post, reshare};
use serde_json::{Value, json};

fn score(input: &[u8], args: &[&str]) -> (Vec<u8>, String) {
    let out = piped(&[&["score"], args].concat(), input);
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{stderr}");
    (out.stdout, stderr)
}

/// Returns line `i` of a stream in which one line in ten is invalid, in one of ten ways.
fn line(i: u32) -> Vec<u8> {
    let conversation = format!("c{}", i / 8);
    let secs = f64::from(i) / 50.0;
    let good = match i % 8 {
        0 if i.is_multiple_of(3) => {
            post(u64::from(i % 5000), "still waiting for my refund, terrible service")
        }
        0 => post(u64::from(i % 5000), "where can I find the form for dental?"),
        _ => reshare(&format!("a{i}"), u64::from(i % 700)),
    };
    let good = event(&format!("e{i}"), &conversation, secs, &good);
    if i % 10 != 9 {
        return good.to_string().into_bytes();
    }
    let with = |key: &str, value: Value| {
        let mut bad = good.clone();
        bad[key] = value;
        bad.to_string().into_bytes()
    };
    match (i / 10) % 10 {
        0 => b"{\"v\":1,\"id\":".to_vec(),
        1 => with("at", json!(17)),
        2 => [&good.to_string().into_bytes()[..], &[0xff, 0xfe]].concat(),
        3 => with("post", json!({ "id": "p", "author": { "id": "a" }, "text": "x".repeat(1 << 20) })),
        4 => good.to_string().replace("\"v\":1", "\"v\":NaN").into_bytes(),
        5 => with("engagement", json!({ "kind": "like", "followers": -4 })),
        6 => with("conversation", json!("")),
        7 => with("at", json!("1999-01-01T00:00:00Z")),
        8 => with("at", json!("2199-01-01T00:00:00Z")),
        _ => Vec::new(),
    }
}

#[test]
fn every_line_is_accounted_for_when_a_tenth_is_invalid() {
    let lines = 20_000;
    let input: Vec<u8> = (0..lines).flat_map(|i| [line(i), vec![b'\n']].concat()).collect();
    let folder = tempfile::tempdir().unwrap();
    let letters = folder.path().join("dead.jsonl");
    let (out, stderr) = score(&input, &["--dead-letters", letters.to_str().unwrap()]);
    let numbers: Vec<u64> =
        stderr.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    let [read, scored, folded, rejected, blank] = numbers[..] else { panic!("{stderr}") };
    assert_eq!(read + blank, u64::from(lines));
    assert_eq!(read, scored + folded + rejected);
    assert_eq!((rejected + blank, blank), (u64::from(lines) / 10, u64::from(lines) / 100));
    let scores = json_lines(&out).into_iter().filter(|r| r["team"].is_null()).count();
    assert_eq!(scores as u64, scored);

    // Each invalid line is kept unchanged: the parts of its dead letters add up to its bytes.
    let mut kept: std::collections::BTreeMap<u64, (Value, Vec<u8>)> = std::collections::BTreeMap::new();
    for letter in json_lines(&std::fs::read(&letters).unwrap()) {
        let line = letter["origin"]["offset"].as_u64().unwrap();
        let raw = STANDARD.decode(letter["raw"].as_str().unwrap()).unwrap();
        kept.entry(line).or_insert((letter["code"].clone(), Vec::new())).1.extend(raw);
    }
    assert_eq!(kept.len() as u64, rejected);
    let mut codes = std::collections::BTreeSet::new();
    for (number, (code, raw)) in kept {
        let sent = line(number as u32 - 1);
        assert_eq!(raw, sent[..sent.len().min((1 << 20) + 1)], "line {number}");
        codes.insert(code.as_str().unwrap().to_owned());
    }
    let wanted = ["bad_id", "bad_time", "malformed_json", "not_utf8", "too_large", "wrong_type"];
    assert_eq!(codes.iter().map(String::as_str).collect::<Vec<_>>(), wanted);
}

#[test]
fn rejected_lines_are_reported_with_their_number_and_no_text() {
    let input = b"{\"v\":1,\"id\":\"e\",\"conversation\":\"c\",\"at\":\"2026-01-01T00:00:00Z\",\"post\":\"my secret illness\"}\nnonsense\n";
    let (out, stderr) = score(input, &[]);
    assert!(out.is_empty());
    assert!(stderr.contains("line 1: wrong_type: `post`"), "{stderr}");
    assert!(stderr.contains("line 2: malformed_json"), "{stderr}");
    assert!(stderr.contains("2 lines = 0 scored + 0 folded in + 2 rejected"), "{stderr}");
    assert!(!stderr.contains("illness"), "{stderr}");
}

#[test]
fn empty_input_gives_empty_output() {
    let (out, stderr) = score(b"", &[]);
    assert!(out.is_empty());
    assert!(stderr.contains("0 lines = 0 scored"), "{stderr}");
}

#[test]
fn a_closed_output_pipe_is_not_a_failure() {
    let mut child =
        firewatch().args(["demo", "--events"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_sample_settings_are_valid_and_all_errors_are_reported_at_once() {
    let good = firewatch().args(["check", "--config", "firewatch.toml"]).output().unwrap();
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toml");
    std::fs::write(
        &path,
        "[kafka]\nbrokers = 7\n[engine]\ncommit_interval = \"1 day\"\n[polcy]\nfile = \"x\"\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("policy.toml"), "[brands.a]\n[storms]\ndeviations = 1000\n").unwrap();
    for command in ["check", "run"] {
        let bad = firewatch()
            .args([command, "--config"])
            .arg(&path)
            .env("FIREWATCH_HTTP_LISTEN", "nowhere")
            .output()
            .unwrap();
        assert_eq!(bad.status.code(), Some(2));
        let stderr = String::from_utf8_lossy(&bad.stderr).into_owned();
        for wanted in [
            "kafka.brokers: 7 is not allowed",
            "engine.commit_interval: \"1 day\" is not allowed; give a duration such as",
            "http.listen: `nowhere` is not allowed",
            "polcy.file: unknown key; did you mean `policy.file`?",
            "storms.deviations: 1000 is not allowed; give a number from 1 to 20",
            "5 errors; not started",
        ] {
            assert!(stderr.contains(wanted), "no {wanted:?} in\n{stderr}");
        }
    }
}

#[test]
fn missing_files_are_named() {
    for args in [
        &["check", "--config", "no.toml"][..],
        &["score", "--policy", "no.toml"],
        &["score", "--input", "no.toml"],
    ] {
        let out = firewatch().args(args).output().unwrap();
        assert_eq!(out.status.code(), Some(2), "{args:?}");
        assert!(String::from_utf8_lossy(&out.stderr).contains("no.toml: No such file"), "{args:?}");
    }
}

#[test]
fn every_record_has_a_schema_and_every_topic_is_in_the_asyncapi_document() {
    let print = |args: &[&str]| -> Value {
        let out = firewatch().arg("schema").args(args).output().unwrap();
        serde_json::from_slice(&out.stdout).unwrap()
    };
    let all = print(&[]);
    for record in ["event", "action", "score", "escalation", "signal", "dead_letter"] {
        assert_eq!(all[record], print(&[record]));
        assert_eq!(all[record]["$id"], json!(format!("urn:firewatch:{record}:v1")));
        assert!(all[record]["required"].as_array().unwrap().contains(&json!("v")), "{record}");
    }
    assert_eq!(firewatch().args(["schema", "nonsense"]).output().unwrap().status.code(), Some(2));
    let document = print(&["--asyncapi"]);
    assert_eq!(document["asyncapi"], "3.0.0");
    let addresses: Vec<&str> =
        document["channels"].as_object().unwrap().values().filter_map(|c| c["address"].as_str()).collect();
    for topic in
        ["firewatch.events", "firewatch.actions", "firewatch.dlq", "escalations.pr", "escalations.support"]
    {
        assert!(addresses.contains(&topic), "{topic}");
    }
}

#[test]
fn output_matches_the_published_schemas() {
    let schemas: Value = serde_json::from_slice(&firewatch().arg("schema").output().unwrap().stdout).unwrap();
    let validator = |name: &str| jsonschema::validator_for(&schemas[name]).unwrap();
    let recording = std::fs::read(firewatch_tests::root().join("demo/recording.jsonl")).unwrap();
    let (out, _) = score(&recording, &[]);
    let (score, escalation, event) = (validator("score"), validator("escalation"), validator("event"));
    for record in json_lines(&out) {
        let against = if record["team"].is_null() { &score } else { &escalation };
        let faults: Vec<String> = against.iter_errors(&record).map(|e| e.to_string()).collect();
        assert!(faults.is_empty(), "{record}: {faults:?}");
    }
    assert!(event.is_valid(&firewatch_tests::event("e", "c", 0.0, &post(235, "hello"))));
    assert!(!event.is_valid(&json!({ "v": 1, "id": "e" })));
}
