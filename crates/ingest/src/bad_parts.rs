//! Takes out the parts of an item without which the rest of it can be read: what it quotes and shows, and its words when
//! answers or comments are below it.
//!
//! A part that may say who can read the item is never taken out.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::bad_items::{Check, ItemList};
use crate::{MAX_PAYLOAD_BYTES, Rejection};

/// Parts of a post or review that it can be read without: what it quotes, answers, polls and pictures. None of them
/// says who may read it.
const OPTIONAL_PARTS: [&str; 14] = [
    "quoted_status",
    "quote",
    "quoted_post",
    "embed",
    "poll",
    "poll_data",
    "poll_attachment",
    "text_attachment",
    "gallery_data",
    "media_attachments",
    "entities",
    "extended_entities",
    "reviewReply",
    "companyReply",
];

/// Fields with words. An item whose words cannot be read is no post, but holds others: answers and comments.
const WORDS: [&str; 11] = [
    "body",
    "text",
    "message",
    "caption",
    "subject",
    "title",
    "selftext",
    "textDisplay",
    "textOriginal",
    "description",
    "description_text",
];

/// Maximum number of parts of one item that are taken out.
pub(crate) const MAX_BAD_PARTS: usize = 4;

/// Takes bad parts out of the items of a payload.
pub(crate) struct PartRemover<'a> {
    pub lists: &'a [ItemList],
    /// What stands for words that cannot be read. It depends on all of the payload, so that nobody can write it there.
    pub unreadable: String,
}

impl<'a> PartRemover<'a> {
    pub fn new(payload: &[u8], lists: &'a [ItemList]) -> Self {
        let digest: String = Sha256::digest(payload).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { lists, unreadable: format!("\u{fffc}{digest}\u{fffc}") }
    }

    /// Returns a payload that is one item without the part that a fault is about, and the rejection of that part; `None`
    /// when the item cannot do without it.
    pub fn without_bad_part(&self, payload: &[u8], fault: &Rejection) -> Option<(Vec<u8>, Rejection)> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return None;
        }
        let mut value: Value = serde_json::from_slice(payload).ok()?;
        let rejection = self.take_out(&mut value, fault)?;
        Some((serde_json::to_vec(&value).ok()?, rejection))
    }

    /// Returns an item without its bad parts, and their rejections; `None` when that does not make it good.
    pub fn without_bad_parts(
        &self,
        item: &Value,
        fault: &Rejection,
        check: Check,
    ) -> Option<(Value, Vec<Rejection>)> {
        let (mut item, mut fault, mut rejections) = (item.clone(), fault.clone(), Vec::new());
        for _ in 0..MAX_BAD_PARTS {
            rejections.push(self.take_out(&mut item, &fault)?);
            match check(&item) {
                None => return Some((item, rejections)),
                Some(next) => fault = next,
            }
        }
        None
    }

    fn take_out(&self, value: &mut Value, fault: &Rejection) -> Option<Rejection> {
        take_out_optional(value, fault).or_else(|| self.take_out_words(value, fault))
    }

    /// Marks the words that a fault is about as unreadable, in an item that holds others.
    fn take_out_words(&self, value: &mut Value, fault: &Rejection) -> Option<Rejection> {
        let pointer = fault.field()?;
        let is_words = pointer.rsplit('/').next().is_some_and(|field| WORDS.contains(&field));
        if !is_words || !self.holds_items(value) {
            return None;
        }
        *value.pointer_mut(pointer)? = Value::String(self.unreadable.clone());
        Some(fault.clone())
    }

    /// Returns whether there are items of a list below a value.
    fn holds_items(&self, value: &Value) -> bool {
        match value {
            Value::Object(fields) => fields.iter().any(|(name, value)| {
                let is_list = self.lists.iter().any(|list| list.field == name);
                let has_items = value.as_array().is_some_and(|items| !items.is_empty());
                (is_list && has_items) || self.holds_items(value)
            }),
            Value::Array(items) => items.iter().any(|item| self.holds_items(item)),
            _ => false,
        }
    }
}

/// Replaces the optional part that a fault is about by `null`.
fn take_out_optional(value: &mut Value, fault: &Rejection) -> Option<Rejection> {
    let steps: Vec<&str> = fault.field()?.split('/').collect();
    let part = steps.iter().rposition(|step| OPTIONAL_PARTS.contains(step))?;
    let pointer = steps.get(..=part)?.join("/");
    let found = value.pointer_mut(&pointer).filter(|found| !found.is_null())?;
    *found = Value::Null;
    Some(Rejection { pointer, ..fault.clone() })
}
