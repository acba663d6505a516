//! Changes as they come, as server-sent events. Each bears the number of its change, so a browser that was away asks for
//! what came since and misses nothing.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::Stream;
use futures_util::stream::unfold;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::watch;

use super::Console;
use crate::store::{InboxItem, Store};

/// Where a browser that has not been here begins.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Since")]
pub(super) struct ChangesQuery {
    /// The number of the last change that is known.
    since: i64,
}

struct ChangeReader {
    store: Store,
    changed: watch::Receiver<i64>,
    /// The number of the last change that was sent.
    seq: i64,
    waiting: VecDeque<InboxItem>,
}

/// Sends what changed since, and goes on.
pub(super) async fn stream(
    State(console): State<Console>,
    Query(ChangesQuery { since }): Query<ChangesQuery>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let reader = ChangeReader {
        store: console.store,
        changed: console.changed,
        seq: last.unwrap_or(since),
        waiting: VecDeque::new(),
    };
    Sse::new(unfold(reader, next)).keep_alive(KeepAlive::default())
}

async fn next(mut reader: ChangeReader) -> Option<(Result<Event, Infallible>, ChangeReader)> {
    loop {
        if let Some(item) = reader.waiting.pop_front() {
            // Several can bear one number: it is told with the last of them, so that none is missed.
            let is_last = reader.waiting.front().is_none_or(|next| next.seq != item.seq);
            let event = Event::default().event("escalation").json_data(&item).ok()?;
            let event = if is_last { event.id(item.seq.to_string()) } else { event };
            return Some((Ok(event), reader));
        }
        // What is marked as seen before the question is asked again after it.
        reader.changed.mark_unchanged();
        match reader.store.since(reader.seq).await {
            Ok(items) if !items.is_empty() => {
                reader.seq = items.last().map_or(reader.seq, |item| item.seq);
                reader.waiting.extend(items);
            }
            Ok(_) => reader.changed.changed().await.ok()?,
            Err(e) => {
                eprintln!("firewatch: {e}");
                return None;
            }
        }
    }
}
