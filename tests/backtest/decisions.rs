//! Decisions on small recordings: sparse, late, out of order, or after the end of a conversation.

use firewatch_tests::{event, post, reshare};
use serde_json::{Value, json};

use crate::{backtest, escalations, lines, output_text, write};

/// Runs a backtest of events and actions; returns the conversation, news, members and text of each escalation record,
/// and what was held back by reason.
fn emitted_and_held_back(policy: &str, events: &[Value], actions: &[Value]) -> (Vec<String>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| write(folder.path(), name, bytes);
    let (policy, out) = (file("policy.toml", policy.as_bytes()), folder.path().join("out"));
    let (events, actions) = (file("events.jsonl", &lines(events)), file("actions.jsonl", &lines(actions)));
    let args = ["--input", &events, "--actions", &actions, "--policy", &policy];
    let ran = backtest(&[&args[..], &["--out", &out.display().to_string()]].concat());
    assert!(ran.status.success(), "{}", output_text(&ran));
    let found = escalations(&std::fs::read(out.join("escalations-policy.jsonl")).unwrap());
    let text = |record: &Value| {
        let happened = record["happened"].as_str().or(record["reasons"][0].as_str()).unwrap_or_default();
        let (conversation, news, members) = (&record["conversation"], &record["news"], &record["members"]);
        format!("{conversation} {news} {members} {happened}").replace('"', "")
    };
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    let emitted = found.iter().map(|line| text(&serde_json::from_str(line).unwrap())).collect();
    (emitted, report["policies"][0]["held_back"].clone())
}

fn emitted(policy: &str, events: &[Value], actions: &[Value]) -> Vec<String> {
    emitted_and_held_back(policy, events, actions).0
}

const ASKED: &str = "[brands.aldermere]\n[routes.complaint]\nteam = \"support\"\nunless_answered = true\n\
                     when = { low = \"complaint >= 0.6\" }\n[storms]\nexpected_per_hour = 10.0\n";
const ANGRY: &str = "The portal is down again, terrible service, I am furious";

#[test]
fn an_action_follows_what_was_due_before_it_however_sparse_the_recording_is() {
    let policy = ASKED.replace("unless_answered", "group_wait = \"5m\"\nunless_answered");
    let end = event("end", "end", 7200.0, &post(9, "Good morning everybody"));
    let did = event("did", "c", 1800.0, &json!({ "kind": "resolve", "by": "kim" }));
    let found = emitted(&policy, &[event("p", "c", 0.0, &post(50, ANGRY)), end], &[did]);
    let wanted = ["opened", "late null no public answer", "moved null resolved by kim"];
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().zip(wanted).all(|(found, wanted)| found.contains(wanted)), "{found:?}");
}

#[test]
fn records_of_one_conversation_apply_as_they_came_whatever_their_ids_are() {
    let policy = format!("{}[windows]\n", ASKED.replace("low", "high = \"reshares >= 20\", low"));
    // All come later than their windows, so they have one time.
    let ahead = |secs: f64| {
        let of_partition = move |i: u32| {
            let id = format!("ahead{i}-{secs}");
            event(&id, &id, secs, &post(9, "Good morning"))
        };
        (0..200).map(of_partition)
    };
    let late = |first: Value, second: Value| {
        let late = [first, second].into_iter();
        let events: Vec<Value> = ahead(900.0).chain(late).chain(ahead(905.0)).chain(ahead(3600.0)).collect();
        emitted(&policy, &events, &[])
    };
    let complaint = || event("e9", "c", 0.0, &post(50, ANGRY));
    let counted = event("e1", "c", 600.0, &json!({ "counters": { "reshares": 30 } }));
    let found = late(complaint(), counted);
    assert!(found[0].starts_with("c opened") && found[0].contains("high"), "{found:?}");
    let answer = json!({ "brand_reply": { "account": "@a", "text": "We are on it" } });
    assert_eq!(late(complaint(), event("e1", "c", 60.0, &answer)), [""; 0], "the brand has answered");
    let deleted = event("e1", "c", 60.0, &json!({ "delete": { "post": "p" } }));
    let mut own = complaint();
    own["post"]["id"] = "p".into();
    assert_eq!(late(own, deleted), [""; 0], "what was deleted before is emitted to nobody");
}

#[test]
fn an_event_that_comes_after_a_later_one_of_its_conversation_is_not_taken_back_by_it() {
    let policy = ASKED.replace("low", "medium = \"reshares >= 19\", high = \"reshares >= 20\", low");
    let reshared = |i: u32, secs: f64| event(&format!("r{i}"), "c", secs, &reshare(&format!("r{i}"), 10));
    let mut events = vec![event("p", "c", 0.0, &post(50, ANGRY))];
    events.extend((0..19).map(|i| reshared(i, 10.2)));
    events.push(reshared(19, 10.1));
    events.push(event("o", "o", 60.0, &post(9, "Good morning")));
    let found = emitted(&policy, &events, &[]);
    assert!(found.len() == 2 && found[1].contains("reshares 20: high"), "{found:?}");
}

#[test]
fn a_deleted_post_ends_the_escalation_that_outlives_its_conversation() {
    let policy = format!("first_response = \"60m\"\nhorizon = \"30m\"\n{ASKED}");
    let other = |secs: f64| event(&format!("o{secs}"), &format!("o{secs}"), secs, &post(9, "Good morning"));
    let deleted = event("gone", "c", 3000.0, &json!({ "delete": { "post": "c" } }));
    let complaint = event("p", "c", 0.0, &post(50, ANGRY));
    let found = emitted(&policy, &[complaint, other(2400.0), deleted, other(9000.0)], &[]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[1].contains("moved") && found[1].contains("was deleted"), "{found:?}");
}

#[test]
fn what_was_edited_into_praise_is_not_in_a_digest_that_opens_later() {
    let policy = format!("{ASKED}[teams.support]\nquiet = {{ from = \"14:01\", to = \"18:00\" }}\n");
    let post_of = |i: u32, secs: f64, text: &str| {
        event(&format!("p{i}-{secs}"), &format!("c{i}"), secs, &post(50, text))
    };
    let mut events: Vec<Value> = (0..30).map(|i| post_of(i, 60.0 + f64::from(i), ANGRY)).collect();
    let digests = |events: &[Value]| -> (Vec<String>, Value) {
        let events = [events, &[post_of(99, 20_000.0, "Good morning")]].concat();
        let (found, held_back) = emitted_and_held_back(&policy, &events, &[]);
        (found.into_iter().filter(|line| line.starts_with("digest/")).collect(), held_back)
    };
    let edits_of = |posts: std::ops::Range<u32>| {
        posts.map(|i| {
            let mut edit = post_of(i, 3600.0 + f64::from(i), "Thank you, everything works great now");
            edit["post"]["edited_at"] = edit["at"].clone();
            edit
        })
    };
    assert!(digests(&events).0[0].contains("30 muted complaints unanswered, 30 of them overdue"));
    events.extend(edits_of(0..10));
    let (found, _) = digests(&events);
    assert!(found[0].contains("20 muted complaints unanswered, 20 of them overdue"), "{found:?}");
    assert!(found.len() == 1 && found[0].contains(" opened 20 "), "{found:?}");
    events.extend(edits_of(10..30));
    let (found, held_back) = digests(&events);
    assert!(
        found.is_empty() && held_back["answered"].is_null(),
        "edited is not answered: {found:?}, {held_back}"
    );
}
