//! A last guard: what cannot be read is kept as a dead letter, unless it says that it is private.
//!
//! Decoders decide by what they can read. Of a part of the wrong shape they have read nothing, so the names and
//! values by which platforms mark private things are searched in it.

use firewatch_domain::RejectionCode as Code;
use serde_json::Value;

use crate::Rejection;

/// Fields that only private things have.
const FIELDS: [&str; 15] = [
    "chat_id",
    "direct_message",
    "direct_message_events",
    "direct_message_indicate_typing_events",
    "direct_message_mark_read_events",
    "dm_conversation_id",
    "dmConversation",
    "dmConversationMessages",
    "helpdesk_note",
    "message_create",
    "messageCreate",
    "messaging",
    "messaging_product",
    "side_conversation",
    "standby",
];

/// Fields with the values that mark something private, hidden or held.
const VALUES: [(&str, &[&str]); 24] = [
    ("private", &["true", "1", "yes"]),
    ("public", &["false", "0", "no"]),
    ("is_private", &["true", "1"]),
    ("is_public", &["false", "0", "no"]),
    ("isPublic", &["false"]),
    ("is_published", &["false", "0"]),
    ("is_hidden", &["true", "1"]),
    ("hidden", &["true", "1"]),
    ("published", &["false", "0"]),
    ("comment_public", &["false"]),
    ("local_only", &["true"]),
    ("visibility", &["direct", "private", "limited", "local"]),
    ("part_type", &["note", "note_and_reopen"]),
    ("moderationStatus", &["heldForReview", "rejected", "likelySpam"]),
    ("protected", &["true"]),
    ("draft", &["true", "yes"]),
    ("kind", &["t4"]),
    ("was_comment", &["false"]),
    ("val", &["!hide", "!takedown", "!suspend"]),
    ("state", &["PENDING", "PENDING_PUBLISH"]),
    ("reviewReplyState", &["PENDING", "REJECTED"]),
    ("reviewVisibility", &["hidden", "hiddenPending", "underModeration", "archived"]),
    ("comment_action", &["set_to_friends_only", "set_to_friends", "set_to_hidden", "set_to_private"]),
    ("value", &["SELF", "ALL_FRIENDS", "FRIENDS_OF_FRIENDS", "NETWORKS_FRIENDS", "CUSTOM"]),
];
/// Levels of JSON within texts in which marks are searched.
const MAX_LEVELS: usize = 3;

/// Turns faults of parts that say that they are private into [`Code::NotPublic`], which is kept nowhere.
pub(crate) fn withhold(payload: &[u8], rejections: &mut [Rejection]) {
    if !rejections.iter().any(|rejection| rejection.code.is_fault()) {
        return;
    }
    let Some(value) = parsed(payload) else { return };
    let protected = protected_accounts(&value);
    for rejection in rejections.iter_mut().filter(|rejection| rejection.code.is_fault()) {
        let part = value.pointer(&rejection.pointer);
        if part.is_some_and(|part| is_marked(part, MAX_LEVELS) || is_by(part, &protected)) {
            let Rejection { code, detail, .. } = &*rejection;
            rejection.detail =
                format!("a part that says that it is private, and cannot be read: {code}: {detail}");
            rejection.code = Code::NotPublic;
        }
    }
}

/// Parses a payload, or the data of a server-sent event.
fn parsed(payload: &[u8]) -> Option<Value> {
    if let Ok(value) = serde_json::from_slice(payload) {
        return Some(value);
    }
    let text = std::str::from_utf8(payload).ok()?;
    let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data:")).collect();
    serde_json::from_str(data.join("").trim()).ok()
}

/// Returns the ids of accounts that a payload beside its posts says are protected.
fn protected_accounts(payload: &Value) -> Vec<String> {
    let users = payload.pointer("/includes/users").or_else(|| payload.get("users")).and_then(Value::as_array);
    let users = users.into_iter().flatten();
    let protected = users.filter(|user| user.get("protected") == Some(&Value::Bool(true)));
    protected.filter_map(|user| user.get("id")).map(text).collect()
}

/// Returns whether one of the accounts wrote a part.
fn is_by(part: &Value, accounts: &[String]) -> bool {
    part.get("author_id").map(text).is_some_and(|author| accounts.contains(&author))
}

/// Returns whether a value, or anything in it, is marked as private. JSON within a text counts as in it.
fn is_marked(value: &Value, levels: usize) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            let marks = VALUES.iter().find(|(field, _)| field == name).map(|(_, marks)| *marks);
            (FIELDS.contains(&name.as_str()) && !value.is_null())
                || marks.is_some_and(|marks| marks.contains(&text(value).as_str()))
                || is_marked(value, levels)
        }),
        Value::Array(items) => items.iter().any(|item| is_marked(item, levels)),
        Value::String(text) if levels > 0 && text.starts_with(['{', '[']) => {
            serde_json::from_str(text).is_ok_and(|inner| is_marked(&inner, levels - 1))
        }
        _ => false,
    }
}

/// Returns a value as the text in which another payload might write it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_something_private_is_not_kept() {
        let fault = |pointer: &str| Rejection {
            pointer: pointer.into(),
            ..Rejection::new(Code::WrongType, "`x`: bad")
        };
        let check = |payload: &str, pointer: &str, code: Code| {
            let mut rejections = [fault(pointer)];
            withhold(payload.as_bytes(), &mut rejections);
            assert_eq!(rejections[0].code, code, "{payload}");
        };
        check(r#"{"items":[{"private":"true","x":1},{"x":1}]}"#, "/items/0", Code::NotPublic);
        check(r#"{"items":[{"private":"true","x":1},{"x":1}]}"#, "/items/1", Code::WrongType);
        check(r#"{"a":{"b":[{"direct_message_events":[]}]}}"#, "", Code::NotPublic);
        check(r#"{"private":false,"public":true,"chat_id":null}"#, "", Code::WrongType);
        check(r#"{"note":{"part_type":"note"}}"#, "", Code::NotPublic);
        check(r#"{"payload":"{\"visibility\":\"direct\",\"x\":1}"}"#, "", Code::NotPublic);
        check("event: update\ndata: {\"visibility\":\"private\"}\n", "", Code::NotPublic);
        let page = r#"{"data":[{"author_id":"7"},{"author_id":"8"}],"includes":{"users":[{"id":"7","protected":true}]}}"#;
        check(page, "/data/0", Code::NotPublic);
        check(page, "/data/1", Code::WrongType);
        check("not JSON", "", Code::WrongType);
    }
}
