//! Takes the good items of a page in which others cannot be read.
//!
//! Pages are parsed as a whole, which is fast and refuses all of a page for one wrong type. Only then is each
//! item tried by itself, and a bad one is replaced by `null`, so that the others keep their places.

use firewatch_domain::RejectionCode as Code;
use serde::Deserialize;
use serde_json::Value;

use crate::bad_parts::PartRemover;
use crate::json::at_field;
use crate::{MAX_PAYLOAD_BYTES, Rejection};

/// A list whose items are independent of each other, by the name of its field; empty for a list that is the
/// payload.
#[derive(Clone, Copy)]
pub(crate) struct ItemList {
    pub field: &'static str,
    check: Check,
}

/// Returns why a value cannot be read as an item.
pub(crate) type Check = fn(&Value) -> Option<Rejection>;

impl ItemList {
    /// Creates a list of items of this type.
    pub const fn of<T: for<'a> Deserialize<'a>>(field: &'static str) -> Self {
        Self { field, check: check::<T> }
    }
}

/// Returns why a value cannot be read as an item.
fn check<T: for<'a> Deserialize<'a>>(item: &Value) -> Option<Rejection> {
    serde_path_to_error::deserialize::<_, T>(item).err().map(|e| at_field(&e))
}

/// A page of which the bad items have been taken out.
pub(crate) struct GoodItems {
    pub payload: Vec<u8>,
    pub rejections: Vec<Rejection>,
    /// What stands for words that cannot be read.
    pub unreadable: String,
}

/// Returns what can be read of a payload that was rejected as a whole; `None` when nothing more can.
pub(crate) fn without_bad_items(payload: &[u8], lists: &[ItemList]) -> Option<GoodItems> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        return None;
    }
    let payload = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    let text = String::from_utf8_lossy(payload);
    let repaired = replace_lone_surrogates(&text);
    let is_repaired = repaired.as_bytes() != payload;
    let mut value: Value = serde_json::from_str(&repaired).ok()?;
    let mut rejections = Vec::new();
    let parts = PartRemover::new(payload, lists);
    take_out(&mut value, "", &parts, &mut rejections);
    if rejections.is_empty() && !is_repaired {
        return None;
    }
    Some(GoodItems { payload: serde_json::to_vec(&value).ok()?, rejections, unreadable: parts.unreadable })
}

/// Replaces the bad items below a value by `null`. Inner lists come first, so that a bad answer does not cost
/// the post above it.
fn take_out(value: &mut Value, field: &str, parts: &PartRemover<'_>, rejections: &mut Vec<Rejection>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let known = rejections.len();
                take_out(value, name, parts, rejections);
                add_step(rejections, known, name);
            }
        }
        Value::Array(items) => {
            let list = parts.lists.iter().filter(|list| list.field == field);
            let checks: Vec<_> = list.map(|list| list.check).collect();
            for (i, item) in items.iter_mut().enumerate().filter(|one| !one.1.is_null()) {
                let known = rejections.len();
                take_out(item, "\0", parts, rejections);
                // An item is good when it is one of the kinds that a list of this name holds.
                let faults: Vec<Rejection> = checks.iter().map_while(|check| check(item)).collect();
                if faults.len() == checks.len() && !faults.is_empty() {
                    let mut rest = faults.iter().zip(&checks);
                    match rest.find_map(|(fault, check)| parts.without_bad_parts(item, fault, *check)) {
                        Some((rest, faults)) => {
                            *item = rest;
                            rejections.extend(faults);
                        }
                        None => {
                            rejections.truncate(known);
                            *item = Value::Null;
                            rejections.extend(faults.into_iter().next());
                        }
                    }
                }
                add_step(rejections, known, &i.to_string());
            }
        }
        _ => {}
    }
}

/// Adds a step to the pointers of all rejections but the first `known`.
fn add_step(rejections: &mut [Rejection], known: usize, step: &str) {
    for rejection in rejections.iter_mut().skip(known) {
        *rejection = rejection.clone().within(step.replace('~', "~0").replace('/', "~1"));
    }
}

/// Returns the parts of a payload that were rejected, as an object by pointer: what can be kept of a payload that
/// also holds what is not public. A part that the payload does not have is left out.
#[must_use]
pub fn rejected_parts(payload: &[u8], rejections: &[Rejection]) -> Vec<u8> {
    let value: Value = serde_json::from_slice(payload).unwrap_or_default();
    let faults =
        rejections.iter().filter(|rejection| rejection.code.is_fault() && !rejection.pointer.is_empty());
    let parts =
        faults.filter_map(|fault| Some((fault.pointer.clone(), value.pointer(&fault.pointer)?.clone())));
    Value::Object(parts.collect()).to_string().into_bytes()
}

/// Returns whether a rejection of a whole payload may be due to one part of it.
pub(crate) fn may_be_one_item(rejection: &Rejection) -> bool {
    matches!(rejection.code, Code::WrongType | Code::MalformedJson | Code::NotUtf8)
}

/// Replaces escapes of half a character by U+FFFD. JavaScript writes them where a text was cut within an emoji,
/// and no strict parser reads them.
fn replace_lone_surrogates(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let taken = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                out.push_str("\\ufffd");
                rest = escape.get(6..).unwrap_or_default();
                continue;
            }
            // The escaped character goes along, which may be a backslash.
            _ => 1 + escape.get(1..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8),
        };
        out.push_str(escape.get(..taken).unwrap_or(escape));
        rest = escape.get(taken..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Returns the UTF-16 code unit of an escape at the beginning of a text.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Item {
        #[expect(dead_code, reason = "only its type matters")]
        id: Option<u32>,
        #[expect(dead_code, reason = "only its type matters")]
        below: Option<Vec<Option<Item>>>,
    }

    #[test]
    fn a_bad_item_gives_way_to_null_and_is_named_by_its_pointer() {
        let lists = [ItemList::of::<Item>(""), ItemList::of::<Item>("below")];
        let page = br#"[{"id":1},{"id":"x"},{"id":2,"below":[{"id":3},{"id":[4]}]}]"#;
        let good = without_bad_items(page, &lists).unwrap();
        assert_eq!(
            String::from_utf8(good.payload).unwrap(),
            r#"[{"id":1},null,{"below":[{"id":3},null],"id":2}]"#
        );
        let places: Vec<&str> = good.rejections.iter().map(|one| one.pointer.as_str()).collect();
        assert_eq!(places, ["/1", "/2/below/1"]);
        assert!(without_bad_items(br#"[{"id":1}]"#, &lists).is_none(), "nothing to take out");
        assert!(without_bad_items(b"[{", &lists).is_none());
    }

    #[test]
    fn half_a_character_is_replaced_and_whole_ones_stay() {
        let check =
            |text: &str, expected: &str| assert_eq!(replace_lone_surrogates(text), expected, "{text}");
        check(r"\ud83d", r"\ufffd");
        check(r"a \uD83D\ude21 b \ude21", r"a \uD83D\ude21 b \ufffd");
        check(r"\ud83d\ud83d\ude21", r"\ufffd\ud83d\ude21");
        check(r"\\ud83d", r"\\ud83d");
        check(r"\n\u00e9 é", r"\n\u00e9 é");
        check("\\", "\\");
        check(r"\ud83", r"\ud83");
    }
}
