//! The webhook format that Facebook Pages and Instagram share: entries with changes.

pub(crate) mod facebook;
mod graph;
pub(crate) mod instagram;

use firewatch_domain::{AccountKind, Author, EventTime};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::Result;
use crate::decode_output::{DecodeOutput, not_public, not_relevant, unknown_payload};
use crate::json_values::{Id, Items, non_empty_id};
use crate::platform_time::PlatformTime;

/// A webhook payload: changes of one or more pages or accounts.
#[derive(Debug, Deserialize)]
#[serde(bound = "V: Deserialize<'de>")]
struct Webhook<V> {
    object: Option<String>,
    entry: Option<Items<Entry<V>>>,
    /// Fields of answers of the Graph API, which are no webhooks.
    data: Option<IgnoredAny>,
    id: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(bound = "V: Deserialize<'de>")]
struct Entry<V> {
    /// The page or account.
    id: Option<Id>,
    /// The time of sending.
    time: Option<PlatformTime>,
    changes: Option<Items<Change<V>>>,
    /// Private messages, also those that another program handles.
    messaging: Option<IgnoredAny>,
    standby: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(bound = "V: Deserialize<'de>")]
struct Change<V> {
    field: Option<String>,
    value: Option<V>,
}

/// A user, with the fields that Meta may provide.
#[derive(Debug, Clone, Deserialize)]
struct From {
    id: Option<Id>,
    username: Option<String>,
}

impl From {
    /// Returns the author. The account that owns the webhook is the brand. An account without an id is known by
    /// its name.
    fn author(self, own: Option<&str>) -> Option<Author> {
        let id = non_empty_id(self.id).or_else(|| self.username.clone())?;
        let account = (own == Some(&id)).then_some(AccountKind::Brand);
        Some(Author { id, handle: self.username, account, ..Author::default() })
    }
}

impl<V> Webhook<V> {
    /// Calls `take` with each change. Rejects a payload whose `object` is not `expected`.
    fn read(
        self,
        expected: &str,
        out: &mut DecodeOutput<'_>,
        take: impl Fn(&Source, &str, V, &mut DecodeOutput<'_>) -> Result<()>,
    ) -> Result<()> {
        if self.object.as_deref().is_some_and(|object| object != expected) {
            return Err(unknown_payload(&format!(
                "`object` is not `{expected}`: the payload is of another Meta product; read it as that platform"
            )));
        }
        out.each("entry", self.entry.unwrap_or_default(), |out, entry| {
            let source = Source { id: entry.id.map(|id| id.0), time: entry.time };
            if entry.messaging.is_some() || entry.standby.is_some() {
                out.reject(not_public("private messages"));
            }
            out.each("changes", entry.changes.unwrap_or_default(), |out, change| {
                match (change.field, change.value) {
                    (Some(field), _) if field.starts_with("messag") || field == "conversations" => {
                        Err(not_public("private messages"))
                    }
                    (Some(field), Some(value)) => take(&source, &field, value, out),
                    _ => Err(not_relevant("a page change without a post")),
                }
            });
            Ok(())
        });
        Ok(())
    }
}

/// The page or account of a change, and the time of sending.
struct Source {
    id: Option<String>,
    time: Option<PlatformTime>,
}

/// Notes that the part of a Page post's id after the page's names the same post: comments without their post name only
/// that part.
fn note_short_id(post: &str, at: EventTime, out: &mut DecodeOutput<'_>) {
    if let Some((_, short)) = post.split_once('_') {
        out.version(short, post, at);
    }
}
