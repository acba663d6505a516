//! The JSON records of version 1, checked field by field.

use std::borrow::Cow;

use firewatch_domain::{
    Action, ActionKind, Author, Body, BrandReply, Channel, Counters, Duration, Engagement, EngagementKind,
    Event, EventTime, Post, RejectionCode as Code, SCHEMA_VERSION, Signal,
};
use serde::Deserialize;

use crate::{MAX_COUNTER, MAX_FOLLOWERS, MAX_ID_BYTES, MAX_RECORD_BYTES, MAX_TEXT_BYTES, Rejection};

type Result<T> = std::result::Result<T, Rejection>;

/// What every record has. Fields are optional here so that an absent one is told by name.
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
}

#[derive(Deserialize)]
struct RawPost {
    id: Option<String>,
    author: Option<RawAuthor>,
    text: Option<String>,
    lang: Option<String>,
    in_reply_to: Option<String>,
}

#[derive(Deserialize)]
struct RawAuthor {
    id: Option<String>,
    handle: Option<String>,
    followers: Option<u64>,
    verified: Option<bool>,
}

#[derive(Deserialize)]
struct RawEngagement {
    kind: Option<EngagementKind>,
    actor: Option<String>,
    followers: Option<u64>,
}

#[derive(Deserialize)]
struct RawReply {
    account: Option<String>,
    text: Option<String>,
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
    #[serde(borrow)]
    until: Option<Cow<'a, str>>,
}

/// Reads one record of the events topic that arrived at `arrival`.
///
/// # Errors
/// When it cannot be taken, with the reason.
pub fn decode_event(bytes: &[u8], key: Option<&[u8]>, arrival: EventTime) -> Result<Event> {
    let raw: RawEvent = parse(bytes)?;
    version(raw.v)?;
    let conversation = id("conversation", raw.conversation)?;
    matches_key(&conversation, key)?;
    let at = happened("at", raw.at, arrival)?;
    let body = match (raw.post, raw.engagement, raw.counters, raw.brand_reply) {
        (Some(p), None, None, None) => Body::Post(post(p)?),
        (None, Some(e), None, None) => Body::Engagement(engagement(e)?),
        (None, None, Some(c), None) => Body::Counters(counters(c)?),
        (None, None, None, Some(r)) => {
            let account = id("brand_reply.account", r.account)?;
            Body::BrandReply(BrandReply { account, text: text("brand_reply.text", r.text)? })
        }
        (post, engagement, counters, reply) => {
            let n = [post.is_some(), engagement.is_some(), counters.is_some(), reply.is_some()];
            let n = n.iter().filter(|b| **b).count();
            let detail =
                format!("{n} of `post`, `engagement`, `counters`, `brand_reply` are there; give exactly one");
            return Err(Rejection::new(Code::NotOneBody, detail));
        }
    };
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

/// Reads one record of the actions topic that arrived at `arrival`.
///
/// # Errors
/// When it cannot be taken, with the reason.
pub fn decode_action(bytes: &[u8], key: Option<&[u8]>, arrival: EventTime) -> Result<Action> {
    let raw: RawAction = parse(bytes)?;
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
        at: happened("at", raw.at, arrival)?,
        by: id("by", raw.by)?,
        kind,
        channel: raw.channel,
        team,
        until,
    })
}

/// Reads one record of the signals topic, which only firewatch writes.
///
/// # Errors
/// When it cannot be taken, with the reason.
pub fn decode_signal(bytes: &[u8], key: Option<&[u8]>) -> Result<Signal> {
    let signal: Signal = parse(bytes)?;
    version(Some(signal.v))?;
    if key.is_some_and(|k| k != signal.brand.as_bytes()) {
        return Err(Rejection::new(Code::KeyMismatch, "the key is not `brand`; key signals by their brand"));
    }
    Ok(signal)
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    if bytes.is_empty() {
        return Err(Rejection::new(Code::Empty, "the record has no bytes; send no tombstones to this topic"));
    }
    if bytes.len() > MAX_RECORD_BYTES {
        let detail = format!("the record has {} bytes; at most {MAX_RECORD_BYTES} are read", bytes.len());
        return Err(Rejection::new(Code::TooLarge, detail));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        Rejection::new(
            Code::NotUtf8,
            format!("byte {} is not UTF-8; encode records as UTF-8", e.valid_up_to()),
        )
    })?;
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Rejection::new(
            Code::MalformedJson,
            "the record does not start with `{`; give one JSON object",
        ));
    }
    serde_json::from_str(text).map_err(|_| explain::<T>(text))
}

/// Parses once more, slowly, to learn the path of the field that failed.
fn explain<'a, T: Deserialize<'a>>(text: &'a str) -> Rejection {
    let parser = &mut serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(parser) {
        Err(e) => Rejection::from_json(e.inner(), &e.path().to_string()),
        Ok(_) => Rejection::new(
            Code::MalformedJson,
            "more text follows the object; give one JSON object per record",
        ),
    }
}

fn post(raw: RawPost) -> Result<Post> {
    let author = raw.author.ok_or_else(|| missing("post.author"))?;
    Ok(Post {
        id: id("post.id", raw.id)?,
        author: Author {
            id: id("post.author.id", author.id)?,
            handle: label("post.author.handle", author.handle)?,
            followers: followers("post.author.followers", author.followers)?,
            verified: author.verified,
        },
        text: text("post.text", raw.text)?,
        lang: label("post.lang", raw.lang)?,
        in_reply_to: label("post.in_reply_to", raw.in_reply_to)?,
    })
}

fn engagement(raw: RawEngagement) -> Result<Engagement> {
    Ok(Engagement {
        kind: raw.kind.ok_or_else(|| missing("engagement.kind"))?,
        actor: label("engagement.actor", raw.actor)?,
        followers: followers("engagement.followers", raw.followers)?,
    })
}

fn counters(c: Counters) -> Result<Counters> {
    for (name, count) in [
        ("reshares", c.reshares),
        ("replies", c.replies),
        ("quotes", c.quotes),
        ("likes", c.likes),
        ("views", c.views),
    ] {
        in_range(&format!("counters.{name}"), count, MAX_COUNTER)?;
    }
    Ok(c)
}

fn version(v: Option<u32>) -> Result<()> {
    match v {
        Some(SCHEMA_VERSION) => Ok(()),
        None => Err(missing("v")),
        Some(other) => Err(Rejection::new(
            Code::UnknownVersion,
            format!("`v`: {other} is not read by this build; give {SCHEMA_VERSION} or update firewatch"),
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

fn happened(place: &str, at: Option<Cow<'_, str>>, arrival: EventTime) -> Result<EventTime> {
    let at = time(place, &at.ok_or_else(|| missing(place))?)?;
    let problem = if at < EventTime::EARLIEST {
        "is before 2000; give the time at the platform"
    } else if at > arrival + Duration::from_mins(24 * 60) {
        "is more than a day after its arrival; mend the sender's clock"
    } else {
        return Ok(at);
    };
    Err(Rejection::new(Code::BadTime, format!("`{place}`: {at} {problem}")))
}

fn time(place: &str, text: &str) -> Result<EventTime> {
    EventTime::parse(text).map_err(|e| Rejection::new(Code::BadTime, format!("`{place}`: {e}")))
}

fn id(place: &str, value: Option<String>) -> Result<String> {
    let value = value.ok_or_else(|| missing(place))?;
    if value.trim().is_empty() || value.len() > MAX_ID_BYTES {
        let detail = format!("`{place}`: has {} bytes; give 1 to {MAX_ID_BYTES}, not all blank", value.len());
        return Err(Rejection::new(Code::BadId, detail));
    }
    Ok(value)
}

/// An optional short text; an empty one counts as absent.
fn label(place: &str, value: Option<String>) -> Result<Option<String>> {
    match value {
        Some(text) if text.trim().is_empty() => Ok(None),
        Some(text) => id(place, Some(text)).map(Some),
        None => Ok(None),
    }
}

fn text(place: &str, value: Option<String>) -> Result<String> {
    let value = value.ok_or_else(|| missing(place))?;
    if value.len() > MAX_TEXT_BYTES {
        let detail = format!("`{place}`: has {} bytes; at most {MAX_TEXT_BYTES} are read", value.len());
        return Err(Rejection::new(Code::TooLarge, detail));
    }
    Ok(value)
}

fn followers(place: &str, value: Option<u64>) -> Result<Option<u64>> {
    in_range(place, value, MAX_FOLLOWERS)
}

fn in_range(place: &str, value: Option<u64>, most: u64) -> Result<Option<u64>> {
    match value {
        Some(n) if n > most => Err(Rejection::new(
            Code::OutOfRange,
            format!("`{place}`: {n} is beyond {most}; leave it out if unknown"),
        )),
        _ => Ok(value),
    }
}

fn missing(place: &str) -> Rejection {
    Rejection::new(Code::MissingField, format!("`{place}` is missing; it must be there"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRIVAL: EventTime = EventTime::from_millis(1_800_000_000_000);

    fn check(json: &str, expected: &str) {
        let said = match decode_event(json.as_bytes(), None, ARRIVAL) {
            Ok(event) => format!("ok {}", event.kind()),
            Err(rejection) => rejection.to_string(),
        };
        assert!(said.starts_with(expected), "{json}\n  gives {said}\n  not   {expected}");
    }

    fn with(body: &str) -> String {
        format!(r#"{{"v":1,"id":"e","conversation":"c","at":"2026-01-01T00:00:00Z",{body}}}"#)
    }

    #[test]
    fn good_records() {
        check(&with(r#""post":{"id":"p","author":{"id":"a"},"text":""},"later":{"unknown":[1]}"#), "ok post");
        check(&with(r#""engagement":{"kind":"reshare","followers":null}"#), "ok engagement");
        check(&with(r#""counters":{}"#), "ok counters");
        check(&with(r#""brand_reply":{"account":"@care","text":"Please DM us"}"#), "ok brand_reply");
    }

    #[test]
    fn each_fault_is_told_with_its_place() {
        check("", "empty");
        check("{", "malformed_json: EOF while parsing");
        check("[1]", "malformed_json: the record does not start with `{`");
        check(r#"{"v":"1"}"#, "wrong_type: `v`: invalid type: a text, expected u32");
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
        check(&with(r#""post":{"id":"p","text":"x"}"#), "missing_field: `post.author`");
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
        check(r#"{"v":1,"conversation":"c","at":"soon"}"#, "bad_time: `at`: `soon` is no RFC 3339 time");
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
