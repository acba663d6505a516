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

/// Fields with the values that mark something private.
const VALUES: [(&str, &[&str]); 10] = [
    ("private", &["true", "1", "yes"]),
    ("public", &["false", "0", "no"]),
    ("is_public", &["false", "0", "no"]),
    ("isPublic", &["false"]),
    ("comment_public", &["false"]),
    ("visibility", &["direct", "private", "limited", "local"]),
    ("part_type", &["note", "note_and_reopen"]),
    ("moderationStatus", &["heldForReview", "rejected", "likelySpam"]),
    ("protected", &["true"]),
    ("draft", &["true", "yes"]),
];

/// Turns faults of parts that say that they are private into [`Code::NotPublic`], which is kept nowhere.
pub(crate) fn withhold(payload: &[u8], rejections: &mut [Rejection]) {
    if !rejections.iter().any(|rejection| rejection.code.is_fault()) {
        return;
    }
    let Ok(value) = serde_json::from_slice::<Value>(payload) else { return };
    for rejection in rejections.iter_mut().filter(|rejection| rejection.code.is_fault()) {
        if value.pointer(&rejection.pointer).is_some_and(is_marked) {
            let Rejection { code, detail, .. } = &*rejection;
            rejection.detail =
                format!("a part that says that it is private, and cannot be read: {code}: {detail}");
            rejection.code = Code::NotPublic;
        }
    }
}

/// Returns whether a value, or anything in it, is marked as private.
fn is_marked(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            let marks = VALUES.iter().find(|(field, _)| field == name).map(|(_, marks)| *marks);
            (FIELDS.contains(&name.as_str()) && !value.is_null())
                || marks.is_some_and(|marks| marks.contains(&text(value).as_str()))
                || is_marked(value)
        }),
        Value::Array(items) => items.iter().any(is_marked),
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
        check("not JSON", "", Code::WrongType);
    }
}
