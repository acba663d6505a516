//! Decodes and validates our own JSON records, schema version 1: events, actions and signals.

use std::borrow::Cow;

use firewatch_domain::{
    AccountKind, Action, ActionKind, Author, Body, BrandReply, Channel, Counters, Delete, Engagement,
    EngagementKind, Event, EventTime, Post, RejectionCode as Code, SCHEMA_VERSION,
};
use serde::Deserialize;

use crate::check::{self, compound_id, counters, event_time, followers, id, label, missing, text, time};
use crate::{Rejection, Result, json};

/// An event before validation. All fields are optional, so that a rejection can name the absent one.
#[derive(Deserialize)]
struct RawEvent<'a> {
    v: Option<u32>,
    id: Option<String>,
    conversation: Option<String>,
    #[serde(borrow)]
    at: Option<Cow<'a, str>>,
    brand: Option<String>,
    platform: Option<String>,
    post: Option<RawPost>,
    engagement: Option<RawEngagement>,
    counters: Option<Counters>,
    brand_reply: Option<RawReply>,
    delete: Option<RawDelete>,
}

#[derive(Deserialize)]
struct RawPost {
    id: Option<String>,
    author: Option<RawAuthor>,
    text: Option<String>,
    lang: Option<String>,
    in_reply_to: Option<String>,
    quotes: Option<String>,
    related: Option<String>,
    url: Option<String>,
    stars: Option<u8>,
    edited_at: Option<String>,
    restored: Option<bool>,
}

#[derive(Deserialize)]
struct RawAuthor {
    id: Option<String>,
    handle: Option<String>,
    url: Option<String>,
    followers: Option<u64>,
    followers_at: Option<String>,
    verified: Option<bool>,
    account: Option<AccountKind>,
}

#[derive(Deserialize)]
struct RawEngagement {
    kind: Option<EngagementKind>,
    actor: Option<String>,
    followers: Option<u64>,
    account: Option<AccountKind>,
}

#[derive(Deserialize)]
struct RawReply {
    account: Option<String>,
    text: Option<String>,
}

#[derive(Deserialize)]
struct RawDelete {
    post: Option<String>,
}

#[derive(Deserialize)]
struct RawAction<'a> {
    v: Option<u32>,
    id: Option<String>,
    conversation: Option<String>,
    #[serde(borrow)]
    at: Option<Cow<'a, str>>,
    by: Option<String>,
    kind: Option<ActionKind>,
    channel: Option<Channel>,
    team: Option<String>,
    escalation: Option<String>,
    #[serde(borrow)]
    until: Option<Cow<'a, str>>,
}

/// Decodes a record of the events topic that arrived at `arrival`. The key, if given, must equal the
/// conversation.
///
/// # Errors
/// A rejection with place, value and remedy.
pub fn decode_event(bytes: &[u8], key: Option<&[u8]>, arrival: EventTime) -> Result<Event> {
    let mut raw: RawEvent = json::object(bytes)?;
    version(raw.v)?;
    let conversation = id("conversation", raw.conversation.take())?;
    matches_key(&conversation, key)?;
    let at = event_time("at", raw.at.take(), arrival)?;
    let body = body(&mut raw, arrival)?;
    Ok(Event {
        v: SCHEMA_VERSION,
        id: id("id", raw.id)?,
        conversation,
        at,
        brand: label("brand", raw.brand)?,
        platform: label("platform", raw.platform)?,
        body,
    })
}

/// Decodes a record of the actions topic that arrived at `arrival`. The key, if given, must equal the
/// conversation.
///
/// # Errors
/// A rejection with place, value and remedy.
pub fn decode_action(bytes: &[u8], key: Option<&[u8]>, arrival: EventTime) -> Result<Action> {
    let raw: RawAction = json::object(bytes)?;
    version(raw.v)?;
    let conversation = id("conversation", raw.conversation)?;
    matches_key(&conversation, key)?;
    let until = match raw.until {
        None => None,
        Some(t) => Some(time("until", &t)?),
    };
    let kind = raw.kind.ok_or_else(|| missing("kind"))?;
    let team = label("team", raw.team)?;
    match kind {
        ActionKind::HandOver if team.is_none() => return Err(missing("team")),
        ActionKind::Silence if until.is_none() => return Err(missing("until")),
        ActionKind::HandOff if raw.channel.is_none() => return Err(missing("channel")),
        _ => {}
    }
    Ok(Action {
        v: SCHEMA_VERSION,
        id: id("id", raw.id)?,
        conversation,
        at: event_time("at", raw.at, arrival)?,
        by: id("by", raw.by)?,
        kind,
        channel: raw.channel,
        team,
        escalation: raw.escalation.map(|of| compound_id("escalation", Some(of))).transpose()?,
        until,
    })
}

fn body(raw: &mut RawEvent, arrival: EventTime) -> Result<Body> {
    let all = (
        raw.post.take(),
        raw.engagement.take(),
        raw.counters.take(),
        raw.brand_reply.take(),
        raw.delete.take(),
    );
    match all {
        (Some(p), None, None, None, None) => post(p, arrival).map(Box::new).map(Body::Post),
        (None, Some(e), None, None, None) => engagement(e).map(Body::Engagement),
        (None, None, Some(c), None, None) => counters(c).map(Body::Counters),
        (None, None, None, Some(r), None) => reply(r).map(Body::BrandReply),
        (None, None, None, None, Some(d)) => {
            id("delete.post", d.post).map(|post| Body::Delete(Delete { post }))
        }
        (p, e, c, r, d) => {
            let n = [p.is_some(), e.is_some(), c.is_some(), r.is_some(), d.is_some()];
            let n = n.iter().filter(|b| **b).count();
            Err(Rejection::new(
                Code::NotOneBody,
                format!(
                    "{n} of `post`, `engagement`, `counters`, `brand_reply`, `delete` are present; give exactly one"
                ),
            ))
        }
    }
}

fn post(raw: RawPost, arrival: EventTime) -> Result<Post> {
    Ok(Post {
        id: id("post.id", raw.id)?,
        author: raw.author.map(|raw| author(raw, arrival)).transpose()?,
        text: text("post.text", raw.text)?,
        lang: label("post.lang", raw.lang)?,
        in_reply_to: label("post.in_reply_to", raw.in_reply_to)?,
        quotes: label("post.quotes", raw.quotes)?,
        related: label("post.related", raw.related)?,
        url: check::url("post.url", raw.url)?,
        stars: check::stars("post.stars", raw.stars)?,
        edited_at: optional_time("post.edited_at", raw.edited_at, arrival)?,
        restored: raw.restored.unwrap_or_default(),
    })
}

/// Parses an optional time.
fn optional_time(place: &str, at: Option<String>, arrival: EventTime) -> Result<Option<EventTime>> {
    match at {
        None => Ok(None),
        at => event_time(place, at.map(Cow::from), arrival).map(Some),
    }
}

fn author(raw: RawAuthor, arrival: EventTime) -> Result<Author> {
    Ok(Author {
        id: id("post.author.id", raw.id)?,
        handle: label("post.author.handle", raw.handle)?,
        url: check::url("post.author.url", raw.url)?,
        followers: followers("post.author.followers", raw.followers)?,
        followers_at: optional_time("post.author.followers_at", raw.followers_at, arrival)?,
        verified: raw.verified,
        account: raw.account,
    })
}

fn reply(raw: RawReply) -> Result<BrandReply> {
    let account = id("brand_reply.account", raw.account)?;
    Ok(BrandReply { account, text: text("brand_reply.text", raw.text)? })
}

fn engagement(raw: RawEngagement) -> Result<Engagement> {
    Ok(Engagement {
        kind: raw.kind.ok_or_else(|| missing("engagement.kind"))?,
        actor: label("engagement.actor", raw.actor)?,
        followers: followers("engagement.followers", raw.followers)?,
        account: raw.account,
    })
}

pub(crate) fn version(v: Option<u32>) -> Result<()> {
    match v {
        Some(SCHEMA_VERSION) => Ok(()),
        None => Err(missing("v")),
        Some(other) => Err(Rejection::new(
            Code::UnknownVersion,
            format!("`v`: {other} is not supported by this build; give {SCHEMA_VERSION} or update firewatch"),
        )),
    }
}

fn matches_key(conversation: &str, key: Option<&[u8]>) -> Result<()> {
    match key {
        Some(key) if key != conversation.as_bytes() => Err(Rejection::new(
            Code::KeyMismatch,
            "the record's key is not `conversation`; key records by conversation, so that one partition sees it whole",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MAX_RECORD_BYTES, MAX_TEXT_BYTES};

    const ARRIVAL: EventTime = EventTime::from_millis(1_800_000_000_000);

    fn check(json: &str, expected: &str) {
        let outcome = match decode_event(json.as_bytes(), None, ARRIVAL) {
            Ok(event) => format!("ok {}", event.kind()),
            Err(rejection) => rejection.to_string(),
        };
        assert!(outcome.starts_with(expected), "{json}\n  gives {outcome}\n  not   {expected}");
    }

    fn with(body: &str) -> String {
        format!(r#"{{"v":1,"id":"e","conversation":"c","at":"2026-01-01T00:00:00Z",{body}}}"#)
    }

    #[test]
    fn good_records() {
        check(&with(r#""post":{"id":"p","author":{"id":"a"},"text":""},"later":{"unknown":[1]}"#), "ok post");
        check(&with(r#""engagement":{"kind":"reshare","followers":null}"#), "ok engagement");
        check(&with(r#""counters":{}"#), "ok counters");
        check(&with(r#""delete":{"post":"p"}"#), "ok delete");
        // Some platforms omit the author.
        check(&with(r#""post":{"id":"p","text":"x"}"#), "ok post");
        check(&with(r#""brand_reply":{"account":"@care","text":"Please DM us"}"#), "ok brand_reply");
    }

    #[test]
    fn each_fault_names_its_place() {
        check("", "empty");
        check("{", "malformed_json: EOF while parsing");
        check("[1]", "malformed_json: the record does not start with `{`");
        check(r#"{"v":"1"}"#, "wrong_type: `v`: invalid type: a string, expected u32");
        check(&with(r#""engagement":{"kind":"reshare","followers":NaN}"#), "malformed_json");
        check(
            &with(r#""engagement":{"kind":"reshare","followers":-3}"#),
            "wrong_type: `engagement.followers`",
        );
        check(
            &with(r#""engagement":{"kind":"reshare","followers":1.5}"#),
            "wrong_type: `engagement.followers`",
        );
        check(&with(r#""engagement":{"kind":"wave"}"#), "wrong_type: `engagement.kind`");
        check(
            &with(r#""engagement":{"kind":"like","followers":99999999999}"#),
            "out_of_range: `engagement.followers`",
        );
        check(&with(r#""counters":{"likes":9999999999999}"#), "out_of_range: `counters.likes`");
        check(&with(r#""post":{"id":"p","author":{},"text":"x"}"#), "missing_field: `post.author.id`");
        check(&with(r#""delete":{}"#), "missing_field: `delete.post`");
        check(&with(r#""post":{"id":" ","author":{"id":"a"},"text":"x"}"#), "bad_id: `post.id`");
        check(&with(r#""brand":"b""#), "not_one_body: 0 of");
        check(&with(r#""counters":{},"engagement":{"kind":"like"}"#), "not_one_body: 2 of");
        check(
            r#"{"v":2,"id":"e","conversation":"c","at":"2026-01-01T00:00:00Z"}"#,
            "unknown_version: `v`: 2",
        );
        check(r#"{"v":1,"id":"e","at":"2026-01-01T00:00:00Z"}"#, "missing_field: `conversation`");
        check(r#"{"v":1,"conversation":"c","at":"1999-12-31T23:59:59Z"}"#, "bad_time: `at`: 1999-12-31");
        check(r#"{"v":1,"conversation":"c","at":"2030-01-01T00:00:00Z"}"#, "bad_time: `at`: 2030-01-01");
        check(r#"{"v":1,"conversation":"c","at":"soon"}"#, "bad_time: `at`: `soon` is not an RFC 3339 time");
    }

    #[test]
    fn sizes_have_limits() {
        let post = |n: usize| {
            with(&format!(r#""post":{{"id":"p","author":{{"id":"a"}},"text":"{}"}}"#, "x".repeat(n)))
        };
        check(&post(MAX_TEXT_BYTES), "ok post");
        check(&post(MAX_TEXT_BYTES + 1), "too_large: `post.text`");
        check(&post(MAX_RECORD_BYTES), "too_large: the record");
        check(&with(&format!(r#""brand":"{}","counters":{{}}"#, "b".repeat(257))), "bad_id: `brand`");
    }

    #[test]
    fn a_key_must_be_the_conversation() {
        let json = with(r#""counters":{}"#);
        assert!(decode_event(json.as_bytes(), Some(b"c"), ARRIVAL).is_ok());
        assert_eq!(decode_event(json.as_bytes(), Some(b"d"), ARRIVAL).unwrap_err().code, Code::KeyMismatch);
    }

    #[test]
    fn bytes_that_are_no_text_are_rejected() {
        assert_eq!(decode_event(&[b'{', 0xff], None, ARRIVAL).unwrap_err().code, Code::NotUtf8);
        let utf16: Vec<u8> = "{\"v\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let rejection = decode_event(&utf16, None, ARRIVAL).unwrap_err().to_string();
        assert_eq!(rejection, "not_utf8: the text is UTF-16; encode it as UTF-8");
        let marked = [&[0xff, 0xfe][..], &utf16].concat();
        assert_eq!(decode_event(&marked, None, ARRIVAL).unwrap_err().code, Code::NotUtf8);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_record() {
        let marked = format!("\u{feff}{}\r", with(r#""counters":{}"#));
        assert!(decode_event(marked.as_bytes(), None, ARRIVAL).is_ok());
    }

    #[test]
    fn actions_need_what_their_kind_needs() {
        let action = |rest: &str| {
            let json = format!(
                r#"{{"v":1,"id":"a","conversation":"c","at":"2026-01-01T00:00:00Z","by":"kim",{rest}}}"#
            );
            decode_action(json.as_bytes(), None, ARRIVAL).map(|a| a.kind).map_err(|r| r.to_string())
        };
        assert_eq!(action(r#""kind":"acknowledge""#), Ok(ActionKind::Acknowledge));
        assert_eq!(action(r#""kind":"hand_off","channel":"dm""#), Ok(ActionKind::HandOff));
        assert!(action(r#""kind":"hand_over""#).unwrap_err().contains("`team` is missing"));
        assert!(action(r#""kind":"silence""#).unwrap_err().contains("`until` is missing"));
        assert!(action(r#""kind":"hand_off""#).unwrap_err().contains("`channel` is missing"));
    }
}
