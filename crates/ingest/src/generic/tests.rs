use firewatch_domain::{AccountKind, Body, EventTime, RejectionCode};

use super::Mapping;
use crate::{DecodedPayload, PayloadDecoder};

fn decode(mapping: &str, payload: &str) -> DecodedPayload {
    let mapping = Mapping::parse("mapping.toml", mapping).unwrap_or_else(|faults| panic!("{faults:?}"));
    PayloadDecoder::with_mapping(mapping)
        .decode(payload.as_bytes(), EventTime::from_millis(1_800_000_000_000))
}

fn texts(decoded: &DecodedPayload) -> Vec<(&str, Option<AccountKind>)> {
    let posts = decoded.events.iter().filter_map(|event| match &event.body {
        Body::Post(post) => Some((post.text.as_str(), post.account_kind())),
        _ => None,
    });
    posts.collect()
}

const TICKETS: &str = r#"
platform = "desk"
items = "/conversations"
id = "/id"
at = "/created_at"
conversation = "^/ticket/id"
text = "/body"
html = true
private = "/private"
[author]
id = "/user_id"
own = "!/incoming"
"#;

#[test]
fn notes_stay_private_and_the_opposite_of_a_flag_says_who_is_the_brand() {
    let payload = r#"{"ticket":{"id":2001},"conversations":[
        {"id":1,"body":"<p>It still <b>fails</b> &amp; hangs.</p>","incoming":true,"private":false,"user_id":9,"created_at":"2026-05-30T09:00:00Z"},
        {"id":2,"body":"<p>Try again</p>","incoming":false,"private":false,"user_id":5,"created_at":"2026-05-30T09:05:00Z"},
        {"id":3,"body":"<p>secret</p>","incoming":false,"private":true,"user_id":5,"created_at":"2026-05-30T09:06:00Z"}]}"#;
    let decoded = decode(TICKETS, payload);
    assert_eq!(texts(&decoded), [("It still fails & hangs.", None), ("Try again", Some(AccountKind::Brand))]);
    assert!(decoded.events.iter().all(|event| event.conversation == "desk:2001"));
    let rejected: Vec<_> = decoded.rejections.iter().map(|one| (one.code, one.pointer.as_str())).collect();
    assert_eq!(rejected, [(RejectionCode::NotPublic, "/conversations/2")]);
}

#[test]
fn a_boolean_is_a_kind_and_lists_are_found_in_lists() {
    let mapping = "items = \"/entry/*/changes\"\nid = \"/id\"\nat = \"/at\"\ntext = \"/text\"\nkind = \"/draft\"\n\
                   kinds = { true = \"ignore\", false = \"post\" }\n";
    let payload = r#"{"entry":[{"changes":[{"id":"a","at":1780131600,"text":"one","draft":false},null]},{},
        {"changes":[{"id":"b","at":1780131600,"text":"two","draft":true},{"id":"c","at":1780131600,"text":"three","draft":false}]}]}"#;
    let decoded = decode(mapping, payload);
    assert_eq!(texts(&decoded), [("one", None), ("three", None)]);
    let mut places: Vec<_> = decoded.rejections.iter().map(|one| one.pointer.as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, ["/entry/1", "/entry/2/changes/0"]);
}

#[test]
fn a_review_has_stars_a_title_and_an_answer_or_stars_alone() {
    let mapping = "items = \"/reviews\"\nid = \"/id\"\nat = \"/at\"\ntext = \"/text\"\ntitle = \"/title\"\nstars = \"/stars\"\n\
                   answer = { text = \"/reply/text\", at = \"/reply/at\" }\n";
    let payload = r#"{"reviews":[{"id":"a","at":1780131600,"title":"Slow","text":"Five weeks","stars":2,"reply":{"text":"Sorry","at":1780131700}},
        {"id":"b","at":1780131600,"stars":1},{"id":"c","at":1780131600}]}"#;
    let decoded = decode(mapping, payload);
    assert_eq!(texts(&decoded), [("Slow\n\nFive weeks", None), ("", None)]);
    let replies = decoded.events.iter().filter(|event| matches!(event.body, Body::BrandReply(_)));
    assert_eq!(replies.map(|event| event.id.as_str()).collect::<Vec<_>>(), ["a/answer/1780131700000"]);
    assert_eq!(decoded.rejections.len(), 1, "{:?}", decoded.rejections);
}

#[test]
fn what_is_no_pointer_is_a_fault_with_the_forms_there_are() {
    let faults = Mapping::parse("m", "id = \"id\"\nat = \"/at\"\nitems = \"/a/*\"\n").unwrap_err();
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert!(faults.iter().any(|fault| fault.contains("`id` is not a JSON pointer")), "{faults:?}");
    assert!(faults.iter().any(|fault| fault.contains("`/entry/*/changes`")), "{faults:?}");
}

#[test]
fn an_item_that_does_not_say_that_it_is_published_is_private() {
    let mapping =
        "items = \"/rows\"\nid = \"/id\"\nat = \"/at\"\ntext = \"/text\"\nprivate = \"!/published\"\n";
    let row =
        |id: &str, published: &str| format!(r#"{{"id":"{id}","at":1780131600,"text":"{id}"{published}}}"#);
    let rows = [
        row("a", r#","published":true"#),
        row("b", r#","published":1"#),
        row("c", r#","published":null"#),
        row("d", ""),
        row("e", r#","published":"f""#),
    ];
    let decoded = decode(mapping, &format!(r#"{{"rows":[{}]}}"#, rows.join(",")));
    assert_eq!(texts(&decoded), [("a", None), ("b", None)]);
    assert!(decoded.rejections.iter().all(|one| one.code == RejectionCode::NotPublic));
}
