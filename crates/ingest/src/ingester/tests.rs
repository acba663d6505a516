use firewatch_domain::Event;
use serde_json::{Value, json};

use super::*;
use crate::Platform;

const ARRIVAL: EventTime = EventTime::from_millis(1_790_000_000_000);

/// A post of X's API v1.1, which does not name the root of the thread.
fn post(id: &str, answers: Option<&str>, followers: Option<u64>) -> Value {
    json!({
        "id_str": id, "created_at": "Sat May 30 09:00:00 +0000 2026", "text": "words", "in_reply_to_status_id_str": answers,
        "user": { "id_str": "u", "screen_name": "ann", "followers_count": followers },
    })
}

fn ingest(intake: &mut Ingester, payload: &Value) -> Vec<Event> {
    intake.ingest(payload.to_string().as_bytes(), ARRIVAL).events
}

fn roots(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.conversation.as_str()).collect()
}

fn ingester() -> Ingester {
    Ingester::new(PayloadDecoder::new(Platform::X), 1000)
}

#[test]
fn an_answer_to_an_answer_belongs_to_the_root() {
    let mut intake = ingester();
    for (id, answers) in [("1", None), ("2", Some("1")), ("3", Some("2")), ("4", Some("3"))] {
        assert_eq!(roots(&ingest(&mut intake, &post(id, answers, None))), ["x:1"], "{id}");
    }
    let gone = json!({ "delete": { "status": { "id_str": "4" }, "timestamp_ms": "1780135200000" } });
    let gone = ingest(&mut intake, &gone);
    assert_eq!((roots(&gone), gone[0].kind()), (vec!["x:1"], "delete"));
    let retweet = json!({
        "id_str": "9", "created_at": "Sat May 30 09:10:00 +0000 2026", "text": "RT", "user": { "id_str": "v" },
        "retweeted_status": post("3", Some("2"), None),
    });
    assert_eq!(
        roots(&ingest(&mut intake, &retweet)),
        ["x:1", "x:1"],
        "a reshare of an answer counts for the root"
    );
}

#[test]
fn a_page_comes_newest_first() {
    let mut intake = ingester();
    let page = json!({ "statuses": [post("3", Some("2"), None), post("2", Some("1"), None), post("1", None, None)] });
    assert_eq!(roots(&ingest(&mut intake, &page)), ["x:1", "x:1", "x:1"]);
}

#[test]
fn a_later_version_of_a_post_stands_for_the_post() {
    let mut intake = ingester();
    let (first, second) = ("1795000000000000001", "1795000000000000009");
    let edited = json!({ "data": { "id": second, "text": "words", "author_id": "u", "created_at": "2026-05-30T09:05:00Z",
        "edit_history_tweet_ids": [first, second] } });
    let root = format!("x:{first}");
    assert_eq!(roots(&ingest(&mut intake, &edited)), [root.as_str()]);
    assert_eq!(
        roots(&ingest(&mut intake, &post("1795000000000000012", Some(second), None))),
        [root.as_str()]
    );
    let gone = json!({ "delete": { "status": { "id_str": second }, "timestamp_ms": "1780135200000" } });
    let gone = ingest(&mut intake, &gone);
    let Body::Delete(deleted) = &gone[0].body else { panic!("{gone:?}") };
    assert_eq!((roots(&gone), deleted.post.as_str()), (vec![root.as_str()], first));
    assert_eq!(gone[0].id, format!("{first}/delete"));
}

#[test]
fn a_comment_that_names_only_a_part_of_its_post_is_in_the_conversation_of_the_post() {
    let mut intake = Ingester::new(PayloadDecoder::new(Platform::Facebook), 1000);
    let webhook = json!({ "object": "page", "entry": [{ "id": "1000", "time": 1_780_131_600, "changes": [{ "field": "feed",
        "value": { "item": "post", "verb": "add", "post_id": "1000_888", "from": { "id": "7" }, "message": "on hold" } }] }] });
    assert_eq!(roots(&ingest(&mut intake, &webhook)), ["facebook:1000_888"]);
    let comments = json!({ "data": [{ "id": "888_5", "message": "same", "created_time": "2026-05-30T09:10:00+0000", "like_count": 1 }] });
    assert_eq!(roots(&ingest(&mut intake, &comments)), ["facebook:1000_888"]);
}

#[test]
fn totals_of_an_answer_are_not_those_of_its_conversation() {
    let mut intake = ingester();
    let retweet = |id: &str, of: &str| {
        json!({ "data": { "id": id, "text": "RT @ann: words", "author_id": "v", "created_at": "2026-05-30T09:05:00Z",
            "referenced_tweets": [{ "type": "retweeted", "id": of }], "public_metrics": { "retweet_count": 7 } } })
    };
    let kinds = |events: &[Event]| events.iter().map(Event::kind).collect::<Vec<_>>();
    assert_eq!(kinds(&ingest(&mut intake, &retweet("8", "1"))), ["engagement", "counters"]);
    ingest(&mut intake, &post("2", Some("1"), None));
    let of_answer = ingest(&mut intake, &retweet("9", "2"));
    assert_eq!((kinds(&of_answer), roots(&of_answer)), (vec!["engagement"], vec!["x:1"]));
}

#[test]
fn a_quote_knows_the_conversation_that_it_belongs_with() {
    let mut intake = ingester();
    ingest(&mut intake, &post("1", None, None));
    ingest(&mut intake, &post("2", Some("1"), None));
    let mut quote = post("5", None, None);
    quote["quoted_status_id_str"] = "2".into();
    let events = ingest(&mut intake, &quote);
    assert_eq!(roots(&events), ["x:5", "x:1"], "its own, and a reaction in the other");
    let Body::Post(post) = &events[0].body else { panic!("{events:?}") };
    assert_eq!(post.related.as_deref(), Some("x:1"));
}

#[test]
fn missing_follower_counts_are_those_last_seen_with_their_age() {
    let mut intake = ingester();
    let followers = |events: &[Event]| match &events[0].body {
        Body::Post(post) => post.author.clone().map(|a| (a.followers, a.followers_at)),
        _ => None,
    };
    assert_eq!(followers(&ingest(&mut intake, &post("1", None, None))), Some((None, None)));
    let counted = ingest(&mut intake, &post("2", None, Some(235)));
    assert_eq!(followers(&counted), Some((Some(235), None)));
    let later = ingest(&mut intake, &post("3", None, None));
    assert_eq!(followers(&later), Some((Some(235), Some(counted[0].at))));
    let before = intake.changes().count();
    ingest(&mut intake, &post("4", None, Some(240)));
    assert_eq!(intake.changes().count(), before, "a few more are not written down");
    ingest(&mut intake, &post("4", None, Some(900)));
    assert_eq!(followers(&ingest(&mut intake, &post("5", None, None))).unwrap().0, Some(900));
}

#[test]
fn a_restart_knows_what_was_committed_and_an_undoing_no_more() {
    let mut intake = ingester();
    ingest(&mut intake, &post("1", None, Some(235)));
    ingest(&mut intake, &post("2", Some("1"), Some(235)));
    let log: Vec<MemoryEntry> = intake.changes().collect();
    intake.committed();
    ingest(&mut intake, &post("3", Some("2"), Some(7000)));
    intake.rewind();
    assert_eq!(intake.changes().count(), 0);
    let mut restored = Ingester::new(PayloadDecoder::new(Platform::X), 1000);
    for (key, value) in &log {
        assert!(restored.restore(key, value.as_deref()));
    }
    for intake in [&mut intake, &mut restored] {
        assert_eq!(roots(&ingest(intake, &post("4", Some("2"), None))), ["x:1"]);
        assert_eq!(roots(&ingest(intake, &post("5", Some("3"), None))), ["x:3"], "it was undone");
    }
    assert!(!restored.restore(b"z12345678", None) && !restored.restore(b"t", None));
}

#[test]
fn a_circle_of_answers_comes_to_an_end() {
    let mut intake = ingester();
    ingest(&mut intake, &post("1", Some("2"), None));
    ingest(&mut intake, &post("2", Some("1"), None));
    assert_eq!(ingest(&mut intake, &post("3", Some("1"), None)).len(), 1);
}

/// A post on Bluesky, which names the root of its thread.
fn skeet(by: &str, rkey: &str, root: Option<&str>) -> Value {
    let link = |uri: &str| json!({ "uri": uri, "cid": "c" });
    json!({
        "did": by, "time_us": 1_780_131_600_000_000_u64, "kind": "commit", "commit": {
            "operation": "create", "collection": "app.bsky.feed.post", "rkey": rkey,
            "record": {
                "createdAt": "2026-05-30T09:00:00Z", "text": "words",
                "reply": root.map(|root| json!({ "root": link(root), "parent": link(root) })),
            },
        },
    })
}

fn account(by: &str, active: bool, status: &str) -> Value {
    let account = json!({ "active": active, "did": by, "status": status, "time": "2026-05-30T10:00:00Z" });
    json!({ "did": by, "time_us": 1_780_135_200_000_000_u64, "kind": "account", "account": account })
}

/// Returns the conversation and post of each deletion.
fn deleted(events: &[Event]) -> Vec<(&str, &str)> {
    let each = events.iter().map(|event| match &event.body {
        Body::Delete(Delete { post }) if event.id == format!("{post}/delete") => {
            (event.conversation.as_str(), post.as_str())
        }
        _ => panic!("{event:?}"),
    });
    each.collect()
}

#[test]
fn of_an_account_that_is_gone_every_known_post_is() {
    let mut intake = Ingester::new(PayloadDecoder::new(Platform::Bluesky), 1000);
    let (own, root) = ("at://did:a/app.bsky.feed.post/1", "at://did:b/app.bsky.feed.post/1");
    for post in [skeet("did:a", "1", None), skeet("did:b", "1", None), skeet("did:a", "2", Some(root))] {
        assert_eq!(ingest(&mut intake, &post).len(), 1);
    }
    for (active, status) in [(true, "deleted"), (false, "throttled")] {
        let decoded = intake.ingest(account("did:a", active, status).to_string().as_bytes(), ARRIVAL);
        assert_eq!((decoded.events.len(), decoded.rejections.len()), (0, 1), "{status}");
    }
    let log: Vec<MemoryEntry> = intake.changes().collect();
    let mut restored = Ingester::new(PayloadDecoder::new(Platform::Bluesky), 1000);
    assert!(log.iter().all(|(key, value)| restored.restore(key, value.as_deref())));
    for intake in [&mut intake, &mut restored] {
        let events = ingest(intake, &account("did:a", false, "takendown"));
        let answer = "at://did:a/app.bsky.feed.post/2";
        assert_eq!(
            deleted(&events),
            [(&*format!("bluesky:{own}"), own), (&*format!("bluesky:{root}"), answer)]
        );
        assert_eq!(events[0].at.as_millis(), 1_780_135_200_000);
    }
    let unknown = intake.ingest(account("did:c", false, "deleted").to_string().as_bytes(), ARRIVAL);
    assert!(
        unknown.events.is_empty()
            && unknown.rejections[0].to_string().contains("a deleted account without known posts")
    );
}

#[test]
fn an_account_of_x_that_is_deleted_protected_or_suspended_is_gone() {
    for what in ["user_delete", "user_protect", "user_suspend"] {
        let mut intake = ingester();
        ingest(&mut intake, &post("1", None, None));
        ingest(&mut intake, &post("2", Some("1"), None));
        let event = json!({ "user": { "id": "u" }, "event_at": "2026-05-30T10:00:00Z" });
        let events = ingest(&mut intake, &json!({ "data": { what: event } }));
        assert_eq!(deleted(&events), [("x:1", "1"), ("x:1", "2")], "{what}");
    }
}

#[test]
fn of_an_account_that_writes_much_the_last_posts_are_known() {
    let mut intake = ingester();
    for i in 0..MAX_POSTS_PER_AUTHOR + 5 {
        ingest(&mut intake, &post(&i.to_string(), None, None));
        // A repeat of the same post does not count as another.
        ingest(&mut intake, &post(&i.to_string(), None, Some(1)));
    }
    let event = json!({ "user": { "id": "u" }, "event_at": "2026-05-30T10:00:00Z" });
    let events = ingest(&mut intake, &json!({ "data": { "user_delete": event } }));
    assert_eq!((events.len(), deleted(&events)[0].1), (MAX_POSTS_PER_AUTHOR, "5"));
}

#[test]
fn what_a_moderator_shows_again_takes_back_a_deletion_that_is_remembered() {
    let decoder = || PayloadDecoder::new(Platform::Youtube);
    let comment = |status: &str| {
        json!({ "kind": "youtube#comment", "id": "c1", "snippet": { "textOriginal": "words",
            "publishedAt": "2026-05-30T09:00:00Z", "moderationStatus": status } })
    };
    let mut intake = Ingester::new(decoder(), 1000);
    let at = |minutes: i64| ARRIVAL + Duration::from_mins(minutes);
    let ingest = |intake: &mut Ingester, status: &str, minutes: i64| {
        intake.ingest(comment(status).to_string().as_bytes(), at(minutes)).events
    };
    let summary = |events: &[Event]| {
        let Body::Post(post) = &events[0].body else { panic!("{events:?}") };
        (events[0].id.clone(), events[0].at, post.restored)
    };
    let first = summary(&ingest(&mut intake, "published", 0));
    assert_eq!((first.0.as_str(), first.2), ("c1", false));
    assert_eq!(ingest(&mut intake, "rejected", 1)[0].kind(), "delete");
    let mut log: Vec<MemoryEntry> = intake.changes().collect();
    intake.committed();
    let mut restarted = Ingester::new(decoder(), 1000);
    assert!(log.drain(..).all(|(key, value)| restarted.restore(&key, value.as_deref())));
    for intake in [&mut intake, &mut restarted] {
        let again = summary(&ingest(intake, "published", 2));
        assert_eq!(again, (format!("c1/restored/{}", at(2).as_millis()), at(2), true));
        assert_eq!(summary(&ingest(intake, "published", 3)), first, "it is said once");
    }
    // What arrives late was public before the deletion.
    let gone = ingest(&mut intake, "rejected", 6);
    assert_eq!(gone[0].id, format!("c1/delete/{}", at(2).as_millis()), "another deletion than the first");
    assert_eq!(ingest(&mut intake, "rejected", 7)[0].id, gone[0].id);
    assert_eq!(summary(&ingest(&mut intake, "published", 5)), first);
}

#[test]
fn a_post_that_is_public_again_is_read_when_it_comes_again() {
    let mut intake = ingester();
    let sign = |kind: &str, about: &Value, at: &str| json!({ "data": { kind: { "event_at": at, about["is"].as_str().unwrap(): { "id": about["id"] } } } });
    let (of_post, of_account) = (json!({ "is": "tweet", "id": "1" }), json!({ "is": "user", "id": "u" }));
    let signs = [("drop", "undrop", &of_post), ("user_protect", "user_unprotect", &of_account)];
    ingest(&mut intake, &post("1", None, None));
    for (minute, (away, back, about)) in signs.into_iter().enumerate() {
        let at = |second: u32| format!("2026-05-30T10:0{minute}:{second:02}.000Z");
        let gone = ingest(&mut intake, &sign(away, about, &at(0)));
        assert_eq!((roots(&gone), gone[0].kind()), (vec!["x:1"], "delete"), "{away}");
        assert_eq!(
            ingest(&mut intake, &post("1", None, None))[0].id,
            "1",
            "{away}: nobody says that it is public"
        );
        assert!(ingest(&mut intake, &sign(back, about, &at(30))).is_empty());
        let again = ingest(&mut intake, &post("1", None, None));
        let Body::Post(restored) = &again[0].body else { panic!("{again:?}") };
        assert!(restored.restored && again[0].at.to_string() == at(30), "{back}: {again:?}");
        assert_eq!(ingest(&mut intake, &post("1", None, None))[0].id, "1");
    }
}
