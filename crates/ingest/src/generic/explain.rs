//! Shows what the pointers of a mapping find in a payload, so that its author sees which one is wrong.

use serde_json::Value;

use super::Mapping;
use super::pointer::{Item, Pointer};
use crate::decode_output::unknown_payload;
use crate::json_values::OneOrMany;
use crate::{Rejection, json};

/// An item of a payload, with what each pointer of the mapping finds for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedItem {
    /// The item's JSON pointer in the payload; empty for the payload itself.
    pub place: String,
    /// The fields that the mapping has, in its order.
    pub fields: Vec<ExplainedField>,
}

/// What a pointer finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedField {
    /// The key of the mapping.
    pub key: &'static str,
    /// The pointer as the mapping spells it.
    pub pointer: String,
    /// The value there, as JSON; `None` when there is none.
    pub found: Option<String>,
}

impl Mapping {
    /// Returns what the pointers find in the items of a payload. A list that the mapping names and the payload lacks is
    /// an item without fields.
    ///
    /// # Errors
    /// When the payload is no JSON object or list of objects.
    pub fn explain(&self, payload: &[u8]) -> Result<Vec<ExplainedItem>, Rejection> {
        let mut items = Vec::new();
        match json::payload::<Value>(payload)? {
            OneOrMany::One(payload) => self.explain_payload("", &payload, &mut items),
            OneOrMany::Many(payloads) => {
                for (i, payload) in payloads.into_iter().enumerate() {
                    let payload = payload.ok_or_else(|| unknown_payload("a list with a null"))?;
                    self.explain_payload(&format!("/{i}"), &payload, &mut items);
                }
            }
        }
        Ok(items)
    }

    fn explain_payload(&self, place: &str, payload: &Value, items: &mut Vec<ExplainedItem>) {
        let path = self.items.as_ref().map_or(&[][..], |path| &path.0);
        self.explain_lists(place, path, Item { item: payload, payload }, items);
    }

    fn explain_lists(&self, place: &str, path: &[String], at: Item<'_>, items: &mut Vec<ExplainedItem>) {
        let Some((list, rest)) = path.split_first() else {
            let fields =
                self.pointers().into_iter().filter_map(|(key, pointer)| Some(explain(key, pointer?, at)));
            items.push(ExplainedItem { place: place.to_owned(), fields: fields.collect() });
            return;
        };
        let place = format!("{place}{list}");
        match at.item.pointer(list) {
            Some(Value::Array(inner)) => {
                for (i, item) in inner.iter().enumerate() {
                    self.explain_lists(&format!("{place}/{i}"), rest, Item { item, ..at }, items);
                }
            }
            _ => items.push(ExplainedItem { place: format!("{place} is no list"), fields: vec![] }),
        }
    }

    /// Returns the pointers of the mapping with their keys.
    fn pointers(&self) -> [(&'static str, Option<&Pointer>); 29] {
        [
            ("kind", self.kind.as_ref()),
            ("private", self.private.as_ref()),
            ("id", Some(&self.id)),
            ("at", Some(&self.at)),
            ("conversation", self.conversation.as_ref()),
            ("title", self.title.as_ref()),
            ("text", self.text.as_ref()),
            ("lang", self.lang.as_ref()),
            ("in_reply_to", self.in_reply_to.as_ref()),
            ("quotes", self.quotes.as_ref()),
            ("url", self.url.as_ref()),
            ("stars", self.stars.as_ref()),
            ("edited_at", self.edited_at.as_ref()),
            ("restored_at", self.restored_at.as_ref()),
            ("answer.text", self.answer.text.as_ref()),
            ("answer.at", self.answer.at.as_ref()),
            ("answer.account", self.answer.account.as_ref()),
            ("author.id", self.author.as_ref()),
            ("author.handle", self.handle.as_ref()),
            ("author.url", self.author_url.as_ref()),
            ("author.followers", self.followers.as_ref()),
            ("author.verified", self.verified.as_ref()),
            ("author.bot", self.bot.as_ref()),
            ("author.own", self.own.as_ref()),
            ("counters.reshares", self.counters.reshares.as_ref()),
            ("counters.replies", self.counters.replies.as_ref()),
            ("counters.quotes", self.counters.quotes.as_ref()),
            ("counters.likes", self.counters.likes.as_ref()),
            ("counters.views", self.counters.views.as_ref()),
        ]
    }
}

fn explain(key: &'static str, pointer: &Pointer, at: Item<'_>) -> ExplainedField {
    let found = at.value(pointer).map(Value::to_string);
    ExplainedField { key, pointer: pointer.to_string(), found }
}
