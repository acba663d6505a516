//! The live stream of changed escalations, as server-sent events.
//!
//! The event id is the number of the change, so a browser that reconnects asks for later changes and misses
//! none. When the projection was built again its numbers are new, and the event `restart` says so.

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

/// Where the stream starts for a browser that sends no `Last-Event-ID`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Since")]
pub(super) struct ChangesQuery {
    /// Number of the last change that the client knows.
    since: i64,
}

struct ChangeReader {
    store: Store,
    changed: watch::Receiver<i64>,
    /// Number of the last change that was read from the store.
    seq: i64,
    waiting: VecDeque<InboxItem>,
    /// The client knows of changes that the store does not, because the projection was built again.
    is_ahead: bool,
}

/// Streams the changes after `since`, then each later one as it happens.
pub(super) async fn stream(
    State(console): State<Console>,
    Query(ChangesQuery { since }): Query<ChangesQuery>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let seq = last.unwrap_or(since);
    let is_ahead = console.store.seq().await.is_ok_and(|latest| seq > latest);
    let waiting = VecDeque::new();
    let reader = ChangeReader { store: console.store, changed: console.changed, seq, waiting, is_ahead };
    Sse::new(unfold(reader, next)).keep_alive(KeepAlive::default())
}

async fn next(mut reader: ChangeReader) -> Option<(Result<Event, Infallible>, ChangeReader)> {
    if std::mem::take(&mut reader.is_ahead) {
        reader.seq = 0;
        return Some((Ok(Event::default().event("restart").id("0").data("")), reader));
    }
    loop {
        if let Some(item) = reader.waiting.pop_front() {
            // One change can cover several escalations. Only the last of them carries the number, so that a
            // client that reconnects in between gets all of them again.
            let is_last = reader.waiting.front().is_none_or(|next| next.seq != item.seq);
            let event = Event::default().event("escalation").json_data(&item).ok()?;
            let event = if is_last { event.id(item.seq.to_string()) } else { event };
            return Some((Ok(event), reader));
        }
        // Mark the change as seen before the query, so that a change during the query wakes the loop again.
        reader.changed.mark_unchanged();
        match reader.store.since(reader.seq).await {
            Ok(items) if !items.is_empty() => {
                reader.seq = items.last().map_or(reader.seq, |item| item.seq);
                reader.waiting.extend(items);
            }
            Ok(_) => reader.changed.changed().await.ok()?,
            Err(e) => {
                tracing::error!("{e}");
                return None;
            }
        }
    }
}
