//! The webhook format that Facebook Pages and Instagram share: entries with changes.

pub(crate) mod facebook;
pub(crate) mod instagram;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::Result;
use crate::decode_output::{DecodeOutput, not_relevant, unknown_payload};
use crate::json_values::Id;
use crate::platform_time::PlatformTime;

/// A webhook payload: changes of one or more pages or accounts.
#[derive(Debug, Deserialize)]
#[serde(bound = "V: Deserialize<'de>")]
struct Webhook<V> {
    object: Option<String>,
    entry: Option<Vec<Entry<V>>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound = "V: Deserialize<'de>")]
struct Entry<V> {
    /// The page or account.
    id: Option<Id>,
    /// The time of sending.
    time: Option<PlatformTime>,
    changes: Option<Vec<Change<V>>>,
    messaging: Option<IgnoredAny>,
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
            if entry.changes.is_none() && entry.messaging.is_some() {
                return Err(not_relevant("private messages; no public post"));
            }
            out.each("changes", entry.changes.unwrap_or_default(), |out, change| {
                match (change.field, change.value) {
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
