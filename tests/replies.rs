//! Edited and deleted posts: each counts once, as it reads now, in whichever order its versions come.

use firewatch_domain::{EventTime, Level};
use firewatch_engine::{Effect, LineSource, Ruleset};
use firewatch_escalation::Policy;
use firewatch_tests::{event, run_lines};
use serde_json::{Value, json};

const NOW: EventTime = EventTime::from_millis(1_790_000_000_000);
const ANGRY: &str = "Two hours on hold and then they hung up on me. Worst insurer ever, I am furious";
const HAPPY: &str = "Thank you, it is solved now, great help, I love it";

fn run(events: &[Value]) -> Vec<Effect> {
    run_with("", events)
}

fn run_with(routes: &str, events: &[Value]) -> Vec<Effect> {
    let policy = format!("[brands.aldermere]\nhandles = [\"@AldermereCare\"]\n{routes}");
    let policy = Policy::parse("p", &policy).unwrap();
    let lines = events.iter().map(Value::to_string);
    run_lines(&Ruleset::shipped(policy).unwrap(), LineSource { name: "test", arrival: NOW }, lines).0
}

fn opened(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Escalation(e) if e.step == 0)).count()
}

/// The brand's own post, to which people reply.
fn brand_root() -> Value {
    let author = json!({ "id": "brand", "handle": "@AldermereCare" });
    let body = json!({ "post": { "id": "c", "author": author, "text": "Enrolment is open", "lang": "en" } });
    with_brand(event("e1", "c", 0.0, &body))
}

/// A version of the reply `r`; `edited` is the time of the edit in minutes.
fn reply(id: &str, secs: f64, text: &str, edited: Option<u32>) -> Value {
    let edited_at = edited.map(|minutes| format!("2026-03-10T14:{minutes:02}:00Z"));
    let author = json!({ "id": "z", "followers": 200 });
    let body = json!({ "post": { "id": "r", "author": author, "text": text, "lang": "en", "in_reply_to": "c",
        "edited_at": edited_at } });
    with_brand(event(id, "c", secs, &body))
}

fn with_brand(mut event: Value) -> Value {
    event["brand"] = json!("aldermere");
    event
}

fn delete(secs: f64, conversation: &str, post: &str) -> Value {
    event("delete", conversation, secs, &json!({ "delete": { "post": post } }))
}

fn later() -> Value {
    event("later", "c", 1200.0, &json!({ "engagement": { "kind": "like" } }))
}

#[test]
fn a_complaint_in_a_reply_that_is_deleted_at_once_notifies_nobody() {
    let complaint = reply("e2", 60.0, ANGRY, None);
    assert_eq!(opened(&run(&[brand_root(), complaint.clone(), later()])), 1);
    assert_eq!(opened(&run(&[brand_root(), complaint.clone(), delete(65.0, "c", "r"), later()])), 0);
    assert_eq!(
        opened(&run(&[brand_root(), delete(65.0, "c", "r"), complaint, later()])),
        0,
        "in the other order"
    );
}

#[test]
fn a_root_that_was_deleted_before_it_came_is_not_read() {
    let author = json!({ "id": "a", "followers": 200 });
    let body = json!({ "post": { "id": "p77", "author": author, "text": ANGRY, "lang": "en" } });
    let root = with_brand(event("e1", "thread-9", 0.0, &body));
    let like = event("later", "thread-9", 1200.0, &json!({ "engagement": { "kind": "like" } }));
    let effects = run(&[delete(120.0, "thread-9", "p77"), root.clone(), like.clone()]);
    assert_eq!(opened(&effects), 0);
    let quotes = |effect: &Effect| matches!(effect, Effect::Score(score) if score.complaint > 0.5);
    assert!(!effects.iter().any(quotes), "{effects:?}");
    assert_eq!(opened(&run(&[root, like])), 1);
}

#[test]
fn the_newest_version_of_a_reply_counts_in_whichever_order_the_versions_come() {
    let (harsh, mild) = (reply("e2", 60.0, ANGRY, None), reply("e3", 60.0, HAPPY, Some(3)));
    assert_eq!(opened(&run(&[brand_root(), mild.clone(), harsh.clone(), later()])), 0);
    assert_eq!(opened(&run(&[brand_root(), harsh, mild.clone(), later()])), 0);
    let (worse, worst) = (reply("e4", 60.0, ANGRY, Some(2)), reply("e5", 60.0, ANGRY, Some(4)));
    assert_eq!(opened(&run(&[brand_root(), mild.clone(), worse, later()])), 0, "an older edit");
    assert_eq!(opened(&run(&[brand_root(), mild, worst, later()])), 1, "a newer edit");
}

#[test]
fn a_reply_counts_once_however_often_it_is_edited() {
    let author = json!({ "id": "a", "followers": 200 });
    let body = json!({ "post": { "id": "c", "author": author, "text": ANGRY, "lang": "en" } });
    let root = with_brand(event("e1", "c", 0.0, &body));
    let routes =
        "[routes.r]\nteam = \"support\"\nwhen = { low = \"replies >= 1\", high = \"replies >= 2\" }\n";
    let versions = [
        reply("e2", 60.0, "me too", None),
        reply("e3", 61.0, "me too, and my son", Some(2)),
        reply("e4", 62.0, "me too, and my son and my daughter", Some(3)),
    ];
    for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [1, 2, 0]] {
        let mut events = vec![root.clone()];
        events.extend(order.map(|i| versions[i].clone()));
        events.push(later());
        let levels: Vec<Level> = run_with(routes, &events)
            .iter()
            .filter_map(|effect| match effect {
                Effect::Escalation(record) => Some(record.level),
                _ => None,
            })
            .collect();
        assert_eq!(levels, [Level::Low], "{order:?}");
    }
}
