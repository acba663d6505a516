//! The live stream of changed escalations, as server-sent events.
//!
//! The event id is the number of the change, so a browser that reconnects asks for later changes and misses
//! none. When the projection was built again its numbers are new, and the event `restart` says so. A stream ends with
//! its session.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::Stream;
use futures_util::stream::unfold;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::watch;

use super::auth::holds_session;
use super::{Console, Problem};
use crate::people::{OpenStream, Person};
use crate::store::InboxItem;

/// How often a stream without changes looks whether its session holds.
const SESSION_CHECK: Duration = Duration::from_secs(60);

/// Where the stream starts for a browser that sends no `Last-Event-ID`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Since")]
pub(super) struct ChangesQuery {
    /// Number of the last change that the client knows.
    since: i64,
}

struct ChangeReader {
    console: Console,
    changed: watch::Receiver<i64>,
    /// The headers of the request, with its session.
    headers: HeaderMap,
    /// Counts as one of the person's streams.
    _open: OpenStream,
    /// Number of the last change that was read from the store.
    seq: i64,
    waiting: VecDeque<InboxItem>,
    /// The client knows of changes that the store does not, because the projection was built again.
    is_ahead: bool,
}

/// Streams the changes after `since`, then each later one as it happens.
pub(super) async fn stream(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Query(ChangesQuery { since }): Query<ChangesQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let Some(open) = console.auth.limits.open_stream(&person.name) else {
        let problem = "too many open pages; close some of them".to_owned();
        return Err(Problem(StatusCode::TOO_MANY_REQUESTS, problem));
    };
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let seq = last.unwrap_or(since);
    let is_ahead = console.store.seq().await.is_ok_and(|latest| seq > latest);
    let (changed, waiting) = (console.changed.clone(), VecDeque::new());
    let reader = ChangeReader { console, changed, headers, _open: open, seq, waiting, is_ahead };
    Ok(Sse::new(unfold(reader, next)).keep_alive(KeepAlive::default()))
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
        if !holds_session(&reader.console, &reader.headers).await.unwrap_or(false) {
            return None;
        }
        // Mark the change as seen before the query, so that a change during the query wakes the loop again.
        reader.changed.mark_unchanged();
        match reader.console.store.since(reader.seq).await {
            Ok(items) if !items.is_empty() => {
                reader.seq = items.last().map_or(reader.seq, |item| item.seq);
                reader.waiting.extend(items);
            }
            // Without a change it looks after its session again.
            Ok(_) => {
                if let Ok(changed) = tokio::time::timeout(SESSION_CHECK, reader.changed.changed()).await {
                    changed.ok()?;
                }
            }
            Err(e) => {
                tracing::error!("{e}");
                return None;
            }
        }
    }
}
