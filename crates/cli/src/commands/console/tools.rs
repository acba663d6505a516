//! Functions of other crates that the console calls: they send actions, find threads in the events, redact
//! texts and judge drafts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use firewatch_console::web::{
    FindThread, Guard, Participant, Redact, SendAction, Thread, ThreadPost, ToolError, Tools,
};
use firewatch_domain::{AccountKind, Action, Body, EngagementKind, Event, EventTime, Post};
use firewatch_ingest::decode_event;
use firewatch_kafka::{RecordProducer, RunError, TimeRange, find_by_key};
use firewatch_scoring::text::{PersonalDataDetector, redacted};

use super::ConsoleInput;
use crate::commands::guard;
use crate::common::Failure;

/// Longest search through the events.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(8);
/// Time by which the log may hold a post earlier than the post's own time.
const LOOKUP_LEEWAY: firewatch_domain::Duration = firewatch_domain::Duration::from_mins(10);
/// Posts of a thread that are shown at most.
const MAX_POSTS: usize = 200;

pub fn tools(source: &ConsoleInput<'_>) -> Result<Tools, Failure> {
    let personal = PersonalDataDetector::shipped().map_err(|e| Failure::running("personal data", e))?;
    let level = source.redaction;
    let redact: Redact = Arc::new(move |text| redacted(text, &personal.find_at(text, level)));
    let guard: Guard = Arc::new(|draft| guard::check_draft(draft).unwrap_or_else(|problem| (false, problem)));
    Ok(Tools {
        send_action: action_sender(source)?,
        find_thread: thread_finder(source),
        redact,
        guard,
        clock: source.clock.clone(),
    })
}

/// Returns a function that sends an action and waits until the brokers have acknowledged it.
fn action_sender(source: &ConsoleInput<'_>) -> Result<SendAction, Failure> {
    let producer = RecordProducer::new(source.kafka).map_err(|e| Failure::Running(e.to_string()))?;
    let topic = source.topics.actions.clone();
    match producer.register_action_schema(&topic) {
        Err(e @ RunError::Contract(_)) => return Err(Failure::Running(e.to_string())),
        // Actions wait for the registry; the console is readable without it.
        Err(e) => tracing::warn!("{e}; actions cannot be sent yet"),
        Ok(()) => {}
    }
    Ok(Arc::new(move |action: &Action| {
        let sent = producer.send_action(&topic, action);
        sent.and_then(|()| producer.flush()).map_err(ToolError::new)
    }))
}

fn thread_finder(source: &ConsoleInput<'_>) -> FindThread {
    let (kafka, topic, clock) = (source.kafka.clone(), source.topics.events.clone(), source.clock.clone());
    Arc::new(move |conversation: &str, since: EventTime| {
        let find = |between| {
            find_by_key(&kafka, &topic, conversation, between, LOOKUP_TIMEOUT).map_err(ToolError::new)
        };
        let (mut records, mut is_cut) = find(TimeRange { from: Some(since - LOOKUP_LEEWAY), to: None })?;
        if records.is_empty() {
            // A log that was filled later, or by a producer with another clock, has other timestamps.
            (records, is_cut) = find(TimeRange::default())?;
        }
        let now = clock();
        let events = records.iter().filter_map(|record| decode_event(&record.value, None, now).ok());
        Ok(thread(events, is_cut))
    })
}

/// Builds the thread of a conversation from its events. A repeated event counts once, an edited post is shown
/// in its last version, and a deleted post is not shown unless it is public again since later.
fn thread(events: impl Iterator<Item = Event>, is_cut: bool) -> Thread {
    let mut thread = Thread { is_cut, ..Thread::default() };
    let (mut known, mut posts) = (BTreeSet::new(), BTreeMap::new());
    let (mut deleted, mut restored) = (BTreeMap::new(), BTreeMap::new());
    for event in events {
        // Two deletions of a post that was public again in between may have the same id.
        if !known.insert(event.id.clone()) && !matches!(event.body, Body::Delete(_)) {
            continue;
        }
        match event.body {
            Body::Post(post) => {
                if post.restored {
                    note_last(&mut restored, &post.id, event.at);
                }
                let newer =
                    posts.get(&post.id).is_none_or(|(_, old): &(_, Post)| old.edited_at < post.edited_at);
                if newer {
                    posts.insert(post.id.clone(), (event.at, *post));
                }
            }
            Body::BrandReply(reply) => {
                let by = Participant {
                    name: Some(reply.account),
                    followers: None,
                    did: "replied for the brand".into(),
                };
                thread.posts.push(ThreadPost { at: event.at, by, is_brand: true, text: reply.text });
            }
            Body::Engagement(engagement) => {
                let did = match engagement.kind {
                    EngagementKind::Reshare => "reshared it",
                    EngagementKind::Quote => "quoted it",
                    EngagementKind::Reply | EngagementKind::Like => continue,
                };
                let voice =
                    Participant { name: engagement.actor, followers: engagement.followers, did: did.into() };
                thread.voices.push(voice);
            }
            Body::Delete(delete) => note_last(&mut deleted, &delete.post, event.at),
            Body::Counters(_) => {}
        }
    }
    for (id, (at, post)) in posts {
        let did = if post.in_reply_to.is_some() { "replied" } else { "wrote it" };
        let by = Participant {
            name: post.account().map(Into::into),
            followers: post.followers(),
            did: did.into(),
        };
        thread.voices.push(by.clone());
        let is_restored = |gone: &EventTime| restored.get(&id).is_some_and(|since| since >= gone);
        if deleted.get(&id).is_none_or(is_restored) {
            let is_brand = post.account_kind() == Some(AccountKind::Brand);
            thread.posts.push(ThreadPost { at, by, is_brand, text: post.text });
        }
    }
    thread.posts.sort_by_key(|post| post.at);
    thread.is_cut |= thread.posts.len() > MAX_POSTS;
    thread.posts.truncate(MAX_POSTS);
    thread
}

/// Keeps the latest time at which something happened to a post.
fn note_last(times: &mut BTreeMap<String, EventTime>, post: &str, at: EventTime) {
    let known = times.entry(post.to_owned()).or_insert(at);
    *known = at.max(*known);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_edited_post_the_last_version_is_shown_and_of_a_deleted_one_nothing() {
        let event = |id: &str, body: &str| {
            let json =
                format!(r#"{{"v":1,"id":"{id}","conversation":"x:1","at":"2026-05-30T09:00:00Z",{body}}}"#);
            decode_event(json.as_bytes(), None, EventTime::END).unwrap()
        };
        let post = |id: &str, post: &str, text: &str, more: &str| {
            event(id, &format!(r#""post":{{"id":"{post}","author":{{"id":"a"}},"text":"{text}"{more}}}"#))
        };
        let texts = |events: Vec<Event>| -> Vec<String> {
            thread(events.into_iter(), false).posts.into_iter().map(|post| post.text).collect()
        };
        let edited = r#","edited_at":"2026-05-30T09:10:00Z""#;
        let answer = r#","in_reply_to":"1""#;
        let all = || {
            vec![
                post("1/edit/1", "1", "as it is now", edited),
                post("1", "1", "as it was", ""),
                post("2", "2", "an answer", answer),
            ]
        };
        assert_eq!(texts(all()), ["as it is now", "an answer"]);
        let gone = event("2/delete", r#""delete":{"post":"2"}"#);
        assert_eq!(texts([all(), vec![gone.clone()]].concat()), ["as it is now"]);
        let mut restored = post("2/restored/1", "2", "an answer", r#","in_reply_to":"1","restored":true"#);
        restored.at = restored.at + firewatch_domain::Duration::from_mins(5);
        let again = [all(), vec![gone.clone(), restored.clone()]].concat();
        assert_eq!(texts(again.clone()), ["as it is now", "an answer"]);
        let gone_again = Event { at: restored.at + firewatch_domain::Duration::from_mins(5), ..gone };
        assert_eq!(texts([again, vec![gone_again]].concat()), ["as it is now"]);
    }
}
