//! What authors do later: an edit is scored again, a deleted post leaves no text in the state or in later
//! output, and posts of one author on two networks are linked.

use firewatch_domain::EventTime;
use firewatch_engine::{Effect, Input, Ruleset, Stream, Task};
use firewatch_escalation::Policy;
use firewatch_tests::{event, post, reshare};
use serde_json::{Value, json};

const ANGRY: &str =
    "This is terrible, the worst service ever: Zanzibarium was refused, I am so angry and disgusted";
const CALM: &str = "Thank you, the people of Zanzibarium were lovely and all is well";
/// A word that only the post contains.
const WORD: &str = "zanzibarium";

fn ruleset() -> Ruleset {
    let policy = "[brands.aldermere]\nhandles = [\"@AldermereCare\"]\n";
    Ruleset::shipped(Policy::parse("p", policy).unwrap()).unwrap()
}

/// A task with one partition, whose signals are fed back to it.
struct World {
    ruleset: Ruleset,
    task: Task,
    all: Vec<Effect>,
}

impl World {
    fn new() -> Self {
        Self { ruleset: ruleset(), task: Task::new(0, 1), all: vec![] }
    }

    /// Handles these events and returns the records that they cause.
    fn handle_events(&mut self, events: &[Value]) -> Vec<Value> {
        let from = self.all.len();
        for event in events {
            self.handle(Stream::Events, event.to_string().as_bytes());
        }
        // Lets time pass, so that pending windows are decided.
        let last = events.last().and_then(|event| event["at"].as_str()).unwrap();
        let later = EventTime::parse(last).unwrap() + firewatch_domain::Duration::from_mins(2);
        let mut out = Vec::new();
        self.task.advance_time(later, &self.ruleset, &mut out);
        self.keep(out);
        self.all[from..].iter().map(written).collect()
    }

    fn handle(&mut self, stream: Stream, value: &[u8]) {
        let mut out = Vec::new();
        let arrival = EventTime::from_millis(1_790_000_000_000);
        let input =
            Input { stream, topic: "t", partition: 0, offset: 0, arrival, key: None, trace: None, value };
        let handled = self.task.handle(&input, &self.ruleset, &mut out);
        assert!(handled.rejection.is_none(), "{:?}", handled.rejection);
        self.keep(out);
    }

    fn keep(&mut self, out: Vec<Effect>) {
        for effect in out {
            if let Effect::Signal(signal) = &effect {
                let value = serde_json::to_vec(signal).unwrap();
                self.handle(Stream::Signals, &value);
            }
            self.all.push(effect);
        }
    }

    /// Returns the whole state as text.
    fn state(&mut self) -> String {
        let changes = self.task.changes().unwrap();
        let text: String = changes
            .iter()
            .map(|change| String::from_utf8_lossy(change.value.as_deref().unwrap_or_default()).to_lowercase())
            .collect();
        text
    }
}

fn written(effect: &Effect) -> Value {
    let mut text = Vec::new();
    serde_json::to_writer(&mut text, &effect).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn scores(records: &[Value]) -> Vec<&Value> {
    records.iter().filter(|record| record.get("risk_low").is_some()).collect()
}

fn spread(n: u32) -> Vec<Value> {
    (0..n)
        .map(|i| event(&format!("r{i}"), "x:p", 5.0 + f64::from(i), &reshare(&format!("a{i}"), 400)))
        .collect()
}

fn edit(text: &str, secs: f64) -> Value {
    let mut body = post(900, text);
    let at = EventTime::from_millis(1_773_151_200_000 + (secs * 1000.0) as i64);
    body["post"]["edited_at"] = json!(at);
    event(&format!("p/edit/{secs}"), "x:p", 0.0, &body)
}

#[test]
fn an_edit_is_scored_again_and_an_older_edit_is_ignored() {
    let mut world = World::new();
    let records = world.handle_events(&[event("p", "x:p", 0.0, &post(900, ANGRY))]);
    let before = scores(&records)[0]["complaint"].as_f64().unwrap();
    let records = world.handle_events(&[edit(CALM, 60.0)]);
    let after = scores(&records).last().unwrap()["complaint"].as_f64().unwrap();
    assert!(before > 0.8 && after < 0.2, "{before} {after}");
    assert!(scores(&world.handle_events(&[edit(ANGRY, 30.0)])).is_empty(), "an older version is ignored");
    assert!(scores(&world.handle_events(&[edit(CALM, 60.0)])).is_empty(), "a repeat is ignored");
    let records = world.handle_events(&[edit(ANGRY, 90.0)]);
    assert!(scores(&records).last().unwrap()["complaint"].as_f64().unwrap() > 0.8);
    // The edits count neither as replies nor as posts.
    assert_eq!(scores(&records).last().unwrap()["engagements"]["replies"], 0);
}

#[test]
fn an_edit_without_its_post_counts_as_the_post() {
    let mut world = World::new();
    let records = world.handle_events(&[edit(ANGRY, 60.0)]);
    assert!(scores(&records)[0]["complaint"].as_f64().unwrap() > 0.8);
    // The first version arrives late and does not replace the edit.
    assert!(scores(&world.handle_events(&[event("p", "x:p", 0.0, &post(900, CALM))])).is_empty());
}

#[test]
fn the_text_of_a_deleted_post_is_neither_kept_nor_emitted() {
    let mut world = World::new();
    world.handle_events(&[event("p", "x:p", 0.0, &post(900, ANGRY))]);
    let records = world.handle_events(&spread(600));
    assert!(
        records.iter().any(|record| record.to_string().to_lowercase().contains(WORD)),
        "PR gets the opening words"
    );
    assert!(world.state().contains(WORD));
    let gone = event("p/delete", "x:p", 700.0, &json!({ "delete": { "post": "p" } }));
    let records = world.handle_events(&[gone]);
    let ended: Vec<_> = records.iter().filter(|record| record["state"] == "expired").collect();
    assert!(!ended.is_empty(), "{records:?}");
    assert_eq!(ended[0]["happened"], "the post was deleted; its text has been erased");
    assert_eq!(ended[0]["reasons"].as_array().map(Vec::len), Some(1), "the decisive reason quotes nothing");
    let last = scores(&records)[0];
    assert_eq!((&last["risk"], &last["contributions"]), (&json!(0.0), &json!([])));
    assert!(last["engagements"]["reshares"].as_u64().unwrap() >= 600);
    assert!(!world.state().contains(WORD));
    // Reshares, edits and repeats of the deleted post arrive too late to have an effect.
    let mut late: Vec<Value> = (0..50)
        .map(|i| event(&format!("s{i}"), "x:p", 800.0 + f64::from(i), &reshare(&format!("b{i}"), 4000)))
        .collect();
    late.push(edit(ANGRY, 900.0));
    late.push(event("again", "x:p", 950.0, &post(900, ANGRY)));
    let records = world.handle_events(&late);
    let records: Vec<_> = records.iter().filter(|record| record.get("tick").is_none()).collect();
    assert!(records.is_empty(), "{records:?}");
    assert!(!world.state().contains(WORD));
}

#[test]
fn a_post_that_is_public_again_is_read_again_and_can_be_deleted_again() {
    let restored = |secs: f64| {
        let mut body = post(900, ANGRY);
        body["post"]["restored"] = json!(true);
        event(&format!("p/restored/{secs}"), "x:p", secs, &body)
    };
    let gone = |secs: f64| event("p/delete", "x:p", secs, &json!({ "delete": { "post": "p" } }));
    let opened = |records: &[Value]| -> Vec<String> {
        let open = records.iter().filter(|record| record["news"] == "opened");
        open.map(|record| record["id"].as_str().unwrap().to_owned()).collect()
    };
    let mut world = World::new();
    world.handle_events(&[event("p", "x:p", 0.0, &post(900, ANGRY))]);
    let before = opened(&world.handle_events(&spread(600)));
    world.handle_events(&[gone(700.0)]);
    assert!(!world.state().contains(WORD));
    let records = world.handle_events(&[restored(690.0)]);
    assert!(scores(&records).is_empty(), "it was public again before it was deleted: {records:?}");
    let records = world.handle_events(&[restored(800.0), event("clock", "x:q", 1000.0, &post(1, "Hello"))]);
    assert!(scores(&records)[0]["complaint"].as_f64().unwrap() > 0.5, "{records:?}");
    assert!(world.state().contains(WORD));
    let after = opened(&records);
    assert!(!after.is_empty() && after.iter().all(|id| !before.contains(id)), "{before:?} {after:?}");
    world.handle_events(&[gone(700.0), restored(800.0)]);
    assert!(world.state().contains(WORD), "a deletion before it was public again");
    let records = world.handle_events(&[gone(1100.0)]);
    assert!(!world.state().contains(WORD), "{records:?}");
    world.handle_events(&[gone(1100.0), restored(800.0), event("again", "x:p", 1200.0, &post(900, ANGRY))]);
    assert!(!world.state().contains(WORD));
}

#[test]
fn a_reply_that_is_public_again_is_read_again_and_counts_once() {
    let reply = |id: &str, secs: f64, restored: bool| {
        let by = json!({ "id": "other", "followers": 10 });
        let body = json!({ "post": { "id": "q", "author": by, "text": ANGRY, "in_reply_to": "p", "lang": "en",
            "restored": restored } });
        event(id, "x:p", secs, &body)
    };
    let gone = |secs: f64| event("q/delete", "x:p", secs, &json!({ "delete": { "post": "q" } }));
    let replies =
        |records: &[Value]| scores(records).last().map(|score| score["engagements"]["replies"].clone());
    let matched = |records: &[Value]| {
        let mut routes = records.iter().filter_map(|record| record["matched"]["routes"].as_array());
        routes.next_back().is_some_and(|routes| !routes.is_empty())
    };
    for is_seen in [true, false] {
        let mut world = World::new();
        world.handle_events(&[event("p", "x:p", 0.0, &post(900, "Where do I find the form?"))]);
        if is_seen {
            assert!(matched(&world.handle_events(&[reply("q", 20.0, false)])));
        }
        let records = world.handle_events(&[gone(200.0), reply("q2", 300.0, false)]);
        assert!(!matched(&records), "{is_seen}: a copy that comes later is not read: {records:?}");
        let records = world.handle_events(&[reply("q/restored/400", 400.0, true)]);
        assert!(matched(&records), "{is_seen}: {records:?}");
        assert_eq!(replies(&records), Some(json!(1)), "{records:?}");
        let records = world.handle_events(&[gone(500.0)]);
        assert!(!matched(&records) && !records.is_empty(), "{is_seen}: {records:?}");
    }
}

#[test]
fn a_deletion_may_arrive_before_its_post() {
    let mut world = World::new();
    world.handle_events(&[event("p/delete", "x:p", 10.0, &json!({ "delete": { "post": "p" } }))]);
    let records = world.handle_events(&[event("p", "x:p", 0.0, &post(900, ANGRY))]);
    assert!(scores(&records).is_empty(), "{records:?}");
    assert!(!world.state().contains(WORD));
}

#[test]
fn a_deleted_reply_no_longer_counts_as_the_complaint() {
    let reply = |id: &str, text: &str| {
        let by = json!({ "id": "other", "followers": 10 });
        json!({ "post": { "id": id, "author": by, "text": text, "in_reply_to": "p", "lang": "en" } })
    };
    let mut world = World::new();
    world.handle_events(&[event("p", "x:p", 0.0, &post(900, "Where do I find the form?"))]);
    let records = world.handle_events(&[event("q", "x:p", 20.0, &reply("q", ANGRY))]);
    let matched = |records: &[Value]| {
        records.iter().filter_map(|record| record["matched"]["routes"].as_array().cloned()).next_back()
    };
    assert!(!matched(&records).unwrap().is_empty(), "{records:?}");
    let records =
        world.handle_events(&[event("q/delete", "x:p", 200.0, &json!({ "delete": { "post": "q" } }))]);
    assert!(!world.state().contains(WORD));
    assert_eq!(matched(&records).unwrap(), Vec::<Value>::new(), "{records:?}");
    // The next reply is scored without the deleted one.
    let records = world.handle_events(&[event("r", "x:p", 300.0, &reply("r", "Thank you, found it"))]);
    assert_eq!(matched(&records), None, "{records:?}");
}

#[test]
fn posts_of_one_author_on_two_networks_are_linked() {
    let wrote = |conversation: &str, platform: &str, handle: Option<&str>, text: &str, secs: f64| {
        let mut body = post(50, text);
        body["platform"] = platform.into();
        body["post"]["author"]["handle"] = handle.into();
        body["post"]["id"] = conversation.split_once(':').unwrap().1.into();
        event(conversation, conversation, secs, &body)
    };
    let other = "My claim was lost twice, nobody calls back, what a horrible and useless company this is";
    let related = |events: &[Value]| {
        let mut world = World::new();
        let records = world.handle_events(events);
        let opened = records.iter().filter(|e| e["news"] == "opened" && e["team"] == "support");
        let pairs =
            opened.map(|e| (e["conversation"].clone(), e["related"].clone(), e["reasons"].to_string()));
        pairs.collect::<Vec<_>>()
    };
    let same = related(&[
        wrote("x:1", "x", Some("Ann_Lee"), ANGRY, 0.0),
        wrote("mastodon:2", "mastodon", Some("annlee@home.example"), ANGRY, 120.0),
        wrote("x:3", "x", Some("bob"), other, 130.0),
    ]);
    assert_eq!(same.len(), 3, "{same:?}");
    assert_eq!((&same[1].0, &same[1].1), (&json!("mastodon:2"), &json!(["x:1"])), "{same:?}");
    assert!(same[1].2.contains("same complaint by the same author on another network: x:1"), "{same:?}");
    assert_eq!(same[2].1, Value::Null, "different words are not linked");
    // Not linked: the same words by another author, the same author an hour later, and two posts on one
    // network.
    for events in [
        [
            wrote("x:1", "x", Some("ann"), ANGRY, 0.0),
            wrote("mastodon:2", "mastodon", Some("bob"), ANGRY, 60.0),
        ],
        [
            wrote("x:1", "x", Some("ann"), ANGRY, 0.0),
            wrote("mastodon:2", "mastodon", Some("ann"), ANGRY, 3600.0),
        ],
        [wrote("x:1", "x", Some("ann"), ANGRY, 0.0), wrote("x:2", "x", Some("ann"), ANGRY, 60.0)],
    ] {
        let related_records = related(&events);
        assert!(
            related_records.len() == 2 && related_records.iter().all(|record| record.1.is_null()),
            "{related_records:?}"
        );
    }
    // Without an author's name, only the text can link two posts.
    let unnamed = related(&[
        wrote("x:1", "x", Some("ann"), ANGRY, 0.0),
        wrote("bluesky:2", "bluesky", None, ANGRY, 60.0),
    ]);
    assert!(unnamed[1].2.contains("same text on another network, author unknown: x:1"), "{unnamed:?}");
}
