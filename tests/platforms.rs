//! Payloads of every platform, decoded into events or rejections. The cases are data (`platforms/`).

#[path = "platforms/recorded.rs"]
mod recorded;

use firewatch_domain::EventTime;
use firewatch_ingest::{DecodedPayload, Ingester, Mapping, PayloadDecoder, Platform};
use firewatch_tests::{json_lines, piped, root};
use serde_json::Value;

/// Arrival time of the cases.
const NOW: &str = "2026-06-01T12:00:00Z";

fn now() -> EventTime {
    EventTime::parse(NOW).unwrap()
}

fn reader(platform: Platform) -> PayloadDecoder {
    if platform != Platform::Generic {
        return PayloadDecoder::new(platform);
    }
    let text = std::fs::read_to_string(root().join("tests/platforms/generic.toml")).unwrap();
    PayloadDecoder::with_mapping(Mapping::parse("generic.toml", &text).unwrap())
}

fn cases(platform: Platform) -> Vec<Value> {
    let path = root().join(format!("tests/platforms/{platform}.json"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap()
}

fn payload(case: &Value) -> Vec<u8> {
    case["raw"].as_str().map_or_else(|| case["payload"].to_string(), Into::into).into_bytes()
}

fn events(decoded: &DecodedPayload) -> Value {
    serde_json::to_value(&decoded.events).unwrap()
}

#[test]
fn every_case_gives_its_events_and_rejections() {
    let mut all = 0;
    for platform in Platform::ALL {
        for case in cases(platform) {
            let decoded = reader(platform).decode(&payload(&case), now());
            let reasons: Vec<String> = decoded.rejections.iter().map(ToString::to_string).collect();
            let expected: Vec<String> =
                serde_json::from_value(case.get("rejected").cloned().unwrap_or_default()).unwrap_or_default();
            let without_column = |reasons: Vec<String>| -> Vec<String> {
                reasons.iter().map(|r| r.split(" at line ").next().unwrap_or_default().to_owned()).collect()
            };
            let (reasons, expected) = (without_column(reasons), without_column(expected));
            assert_eq!(reasons, expected, "{platform}: {}", case["it"]);
            assert_eq!(events(&decoded), case["events"], "{platform}: {}", case["it"]);
            all += 1;
        }
    }
    assert!(all > 100, "{all}");
}

#[test]
fn a_list_of_payloads_gives_what_each_of_them_gives() {
    for platform in Platform::ALL.into_iter().filter(|platform| *platform != Platform::Generic) {
        let reader = reader(platform);
        let has_events = |case: &Value| case["payload"].is_object() && case["events"][0].is_object();
        for case in cases(platform).into_iter().filter(has_events) {
            let alone = reader.decode(&payload(&case), now());
            let list = [payload(&case), b"null".to_vec(), payload(&case)].join(&b',');
            let listed = reader.decode(&[b"[", &list[..], b"]"].concat(), now());
            let twice = [alone.events.clone(), alone.events].concat();
            assert_eq!(listed.events, twice, "{platform}: {}", case["it"]);
        }
    }
}

#[test]
fn a_payload_in_an_envelope_gives_what_it_gives_alone() {
    for platform in Platform::ALL.into_iter().filter(|platform| *platform != Platform::Generic) {
        let reader = reader(platform);
        for case in cases(platform).into_iter().filter(|case| case["payload"].is_object()) {
            let alone = reader.decode(&payload(&case), now());
            let content = &case["payload"];
            let string =
                serde_json::json!({ "schema": { "type": "string" }, "payload": content.to_string() });
            let object = serde_json::json!({ "schema": null, "payload": content });
            for envelope in [string, object] {
                let decoded = reader.decode(envelope.to_string().as_bytes(), now());
                assert_eq!(decoded.events, alone.events, "{platform}: {}", case["it"]);
                assert_eq!(decoded.rejections.len(), alone.rejections.len(), "{platform}: {}", case["it"]);
            }
            if alone.events.is_empty() {
                continue;
            }
            let event = serde_json::json!({ "specversion": "1.0", "id": "1", "source": "/hooks", "type": "post",
                "data": content });
            let decoded = reader.decode(event.to_string().as_bytes(), now());
            assert_eq!(decoded.events, alone.events, "{platform}: {}", case["it"]);
        }
    }
}

#[test]
fn the_command_prints_the_same_on_standard_output_and_error() {
    for platform in Platform::ALL {
        let mut args = vec!["ingest", "--platform", platform.as_str(), "--now", NOW];
        if platform == Platform::Generic {
            args.extend(["--mapping", "tests/platforms/generic.toml"]);
        }
        let cases: Vec<Value> =
            cases(platform).into_iter().filter(|case| case.get("raw").is_none()).collect();
        // First over several lines, as a person saves a payload, then one on each line.
        for spread in [true, false] {
            let text = |case: &Value| {
                let payload = &case["payload"];
                if spread { serde_json::to_string_pretty(payload).unwrap() } else { payload.to_string() }
            };
            let input: Vec<String> = cases.iter().map(text).collect();
            let out = piped(&args, input.join("\n").as_bytes());
            assert!(out.status.success());
            // Later payloads use what earlier ones contained.
            let mut intake = Ingester::new(reader(platform), 1000);
            let expected: Vec<Value> = cases
                .iter()
                .flat_map(|case| intake.ingest(&payload(case), now()).events)
                .map(|event| serde_json::to_value(event).unwrap())
                .collect();
            assert_eq!(json_lines(&out.stdout), expected, "{platform}");
            let stderr = String::from_utf8(out.stderr).unwrap();
            let rejected = stderr.lines().filter(|line| line.starts_with("rejected line ")).count();
            let expected: usize =
                cases.iter().filter_map(|case| case.get("rejected")?.as_array().map(Vec::len)).sum();
            assert_eq!(rejected, expected, "{platform}: {stderr}");
            assert!(stderr.ends_with(&format!("{expected} rejected\n")), "{stderr}");
        }
    }
}

#[test]
fn a_mapping_is_explained_field_by_field() {
    let args = ["ingest", "--platform", "generic", "--mapping", "tests/platforms/generic.toml", "--explain"];
    let long = "on hold ".repeat(20);
    let input = serde_json::json!({ "page": { "things": [
        { "type": "topic", "id": 7, "at": "2026-05-30T09:00:00Z", "body": long, "user": { "id": "ann" } },
    ] } });
    let out = piped(&args, format!("{input}\n{{\"page\":{{}}}}").as_bytes());
    let output = String::from_utf8(out.stdout).unwrap();
    let found = |key: &str| {
        let line = output
            .lines()
            .find(|line| line.trim_start().starts_with(key))
            .unwrap_or_else(|| panic!("{output}"));
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(output.starts_with("line 1, /page/things/0\n"), "{output}");
    assert_eq!(
        (found("id "), found("author.id")),
        (vec!["/id".into(), "7".into()], vec!["/user/id".into(), "\"ann\"".into()])
    );
    assert_eq!(found("title")[1], "nothing");
    assert_eq!(found("text").last().unwrap(), "…");
    assert!(output.contains("line 2, /page/things is no list\n"), "{output}");
    assert!(out.status.success());
}

#[test]
fn the_account_is_part_of_the_conversation_id() {
    let reader = PayloadDecoder::new(Platform::Zendesk).with_scope(Some("northcare".into()));
    let decoded = reader.decode(&payload(&cases(Platform::Zendesk)[0]), now());
    assert_eq!(decoded.events[0].conversation, "zendesk:northcare/28");
}

#[test]
fn no_rejection_repeats_the_text_of_a_post() {
    let secret = "my-diagnosis-is-a-secret";
    for platform in Platform::ALL {
        for case in cases(platform) {
            let mut broken = case["payload"].clone();
            spoil(&mut broken, secret);
            let decoded = reader(platform).decode(broken.to_string().as_bytes(), now());
            for rejection in decoded.rejections {
                // An invalid time is quoted, as it is not text of a post.
                let is_time = rejection.code == firewatch_domain::RejectionCode::BadTime;
                assert!(is_time || !rejection.detail.contains(secret), "{platform}: {rejection}");
            }
        }
    }
}

/// Replaces the numbers, lists and objects one level down by a text, one at a time.
fn spoil(value: &mut Value, text: &str) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|value| spoil(value, text)),
        Value::Array(items) => items.iter_mut().for_each(|value| spoil(value, text)),
        other => *other = text.into(),
    }
}
