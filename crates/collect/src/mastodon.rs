//! A client for Mastodon's streaming API (server-sent events), which catches up from the timeline.
//!
//! The stream has no cursor. After an interruption the client fetches the statuses since the last one from
//! the timeline, page by page. Edits and deletions are only in the stream, so they are reported as a gap. A
//! rejected token is reported, and retried at long intervals.

use std::time::Duration;

use firewatch_domain::EventTime;
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use thiserror::Error;

use crate::backoff::Backoff;
use crate::recent_payloads::RecentPayloads;
use firewatch_http::install_tls_provider;

use crate::{CollectorContext, Gap, MAX_RAW_BYTES, Missing, Notice, RawPayload};

/// Maximum wait for a response.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum size of a page of the timeline: forty statuses of the maximum size of a raw payload would be 40 MiB.
const MAX_PAGE_BYTES: usize = 16 << 20;
/// Maximum number of timeline pages fetched after an interruption.
const MAX_PAGES: usize = 100;
/// Statuses per timeline page, the server's maximum.
const PAGE_SIZE: usize = 40;
/// Maximum size of a stream event, in bytes.
const MAX_EVENT_BYTES: usize = 4 << 20;

/// The configuration of a Mastodon source.
#[derive(Clone)]
pub struct MastodonStream {
    /// The source's name.
    pub name: String,
    /// The raw topic.
    pub topic: String,
    /// The server's URL, such as `https://mastodon.social`.
    pub server: String,
    /// The stream: `public`, `public/local`, or `hashtag` with a tag.
    pub stream: String,
    /// The hashtag of a `hashtag` stream.
    pub tag: Option<String>,
    /// The access token of an app.
    pub token: Option<String>,
    /// The silence after which the client reconnects. The server sends a heartbeat every fifteen seconds.
    pub idle_timeout: Duration,
    /// The wait after the server rejected the token, which only a person can replace.
    pub token_retry_wait: Duration,
}

/// Why a Mastodon source cannot be followed.
#[derive(Debug, Error)]
pub enum MastodonError {
    /// The HTTP client cannot be built.
    #[error(transparent)]
    Client(#[from] reqwest::Error),
}

/// Why the stream ended.
enum Disconnect {
    /// The connection broke, or the server responded with an error.
    Broken(String),
    /// The server rejected the token.
    Refused(String),
}

#[derive(Deserialize)]
struct Status {
    id: String,
}

/// The position in the stream.
struct StreamPosition {
    /// The id of the last status in the topic.
    last: Option<String>,
    /// When the stream last received data.
    last_activity: Option<EventTime>,
    recent: RecentPayloads,
}

/// Follows a stream until the task is dropped, after the status `last` or, without one, from now on.
///
/// # Errors
/// If the HTTP client cannot be built, for example because TLS cannot be set up.
pub async fn follow_mastodon(
    source: MastodonStream,
    last: Option<String>,
    context: CollectorContext,
) -> Result<(), MastodonError> {
    install_tls_provider();
    let client = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(ANSWER_TIMEOUT)
        .read_timeout(source.idle_timeout)
        .user_agent(concat!("firewatch/", env!("CARGO_PKG_VERSION")))
        .build()?;
    let mut place = StreamPosition { last, last_activity: None, recent: RecentPayloads::default() };
    let mut backoff = Backoff::default();
    loop {
        let before = place.last_activity;
        let (problem, wait) = match follow(&client, &source, &mut place, &context).await {
            Disconnect::Broken(problem) => (problem, None),
            Disconnect::Refused(problem) => (problem, Some(source.token_retry_wait)),
        };
        if place.last_activity != before {
            backoff.reset();
        }
        (context.notify)(&source.name, &Notice::Failed(problem));
        tokio::time::sleep(wait.unwrap_or_else(|| backoff.next())).await;
    }
}

/// Opens the stream, catches up from the timeline, and reads the stream until it ends.
async fn follow(
    client: &Client,
    source: &MastodonStream,
    place: &mut StreamPosition,
    context: &CollectorContext,
) -> Disconnect {
    let url = format!("{}/api/v1/streaming/{}", source.server, source.stream);
    let stream = match send_request(client, source, &url, &[]).await {
        Ok(stream) => stream,
        Err(end) => return end,
    };
    (context.notify)(&source.name, &Notice::Connected);
    // The stream is open before the timeline is fetched, so that no status is missed between them.
    if let Err(end) = catch_up(client, source, place, context).await {
        return end;
    }
    read(stream, source, place, context).await
}

/// Sends a GET request with tag and token, and checks the status.
async fn send_request(
    client: &Client,
    source: &MastodonStream,
    url: &str,
    query: &[(&str, &str)],
) -> Result<Response, Disconnect> {
    let mut query: Vec<(&str, &str)> = query.to_vec();
    query.extend(source.tag.as_deref().map(|tag| ("tag", tag)));
    let url = Url::parse_with_params(url, &query).map_err(|e| Disconnect::Broken(e.to_string()))?;
    let mut request = client.get(url);
    if let Some(token) = &source.token {
        request = request.bearer_auth(token);
    }
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, request.send()).await;
    let answer = answer.map_err(|_| Disconnect::Broken("the server does not respond".into()))?;
    let answer = answer.map_err(|e| Disconnect::Broken(e.without_url().to_string()))?;
    match answer.status() {
        StatusCode::OK => Ok(answer),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Disconnect::Refused(format!(
            "the server rejects the token ({}); create a new one and set sources.{}.stream.token",
            answer.status(),
            source.name
        ))),
        status => Err(Disconnect::Broken(format!("the server responds with {status}"))),
    }
}

/// Reads a page of a timeline of at most [`MAX_PAGE_BYTES`].
async fn read_page(mut page: Response) -> Result<Vec<u8>, Disconnect> {
    let mut read = Vec::new();
    while let Some(chunk) = page.chunk().await.map_err(|e| Disconnect::Broken(e.without_url().to_string()))? {
        read.extend_from_slice(&chunk);
        if read.len() > MAX_PAGE_BYTES {
            return Err(Disconnect::Broken(format!(
                "a page of the timeline has over {MAX_PAGE_BYTES} bytes"
            )));
        }
    }
    Ok(read)
}

/// Fetches the missed statuses from the timeline, oldest first, and reports what may still be missing.
async fn catch_up(
    client: &Client,
    source: &MastodonStream,
    place: &mut StreamPosition,
    context: &CollectorContext,
) -> Result<(), Disconnect> {
    let Some(mut last) = place.last.clone() else { return Ok(()) };
    let now = (context.clock)();
    if let Some(from) = place.last_activity {
        let gap = Gap { from, to: now, what: Missing::EditsAndDeletions };
        (context.notify)(&source.name, &Notice::Gap(gap));
    }
    let timeline = match source.stream.as_str() {
        "hashtag" => format!("tag/{}", source.tag.as_deref().unwrap_or_default()),
        _ => "public".into(),
    };
    let url = format!("{}/api/v1/timelines/{timeline}", source.server);
    let local = if source.stream.ends_with("local") { "true" } else { "false" };
    for _ in 0..MAX_PAGES {
        let query = [("min_id", last.as_str()), ("limit", "40"), ("local", local)];
        let page = send_request(client, source, &url, &query).await?;
        let page = read_page(page).await?;
        let statuses: Vec<Box<serde_json::value::RawValue>> = serde_json::from_slice(&page)
            .map_err(|_| Disconnect::Broken("the timeline is not a list of statuses".into()))?;
        // A page has the newest status first.
        for status in statuses.iter().rev() {
            put(status.get().as_bytes(), source, place, context).await?;
        }
        match &place.last {
            Some(newest) if statuses.len() == PAGE_SIZE && *newest != last => last.clone_from(newest),
            _ => return Ok(()),
        }
    }
    let gap = Gap { from: place.last_activity.unwrap_or(now), to: now, what: Missing::Anything };
    (context.notify)(&source.name, &Notice::Gap(gap));
    Ok(())
}

/// Reads the stream event by event until it ends.
async fn read(
    mut stream: Response,
    source: &MastodonStream,
    place: &mut StreamPosition,
    context: &CollectorContext,
) -> Disconnect {
    let mut piece: Vec<u8> = Vec::new();
    let mut is_too_long = false;
    loop {
        let chunk = match stream.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Disconnect::Broken("the server closed the stream".into()),
            Err(e) => return Disconnect::Broken(e.without_url().to_string()),
        };
        place.last_activity = Some((context.clock)());
        let mut from = piece.len().saturating_sub(1);
        piece.extend_from_slice(&chunk);
        while let Some(end) = piece[from..].windows(2).position(|pair| pair == b"\n\n") {
            let rest = piece.split_off(from + end + 2);
            let event = std::mem::replace(&mut piece, rest);
            from = 0;
            if std::mem::take(&mut is_too_long) {
                continue;
            }
            if let Err(end) = handle_event(&event, source, place, context).await {
                return end;
            }
        }
        if piece.len() > MAX_EVENT_BYTES {
            if !is_too_long {
                (context.notify)(
                    &source.name,
                    &Notice::Skipped(format!("an event of more than {MAX_EVENT_BYTES} bytes")),
                );
            }
            // Keeps the last byte, to recognise the end of the event.
            is_too_long = true;
            piece.drain(..piece.len() - 1);
        }
    }
}

/// Handles an event of the stream. Comments, which are heartbeats, are dropped.
async fn handle_event(
    event: &[u8],
    source: &MastodonStream,
    place: &mut StreamPosition,
    context: &CollectorContext,
) -> Result<(), Disconnect> {
    let event: Vec<u8> = event
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !line.starts_with(b":"))
        .flatten()
        .copied()
        .collect();
    let event = event.trim_ascii();
    if event.is_empty() { Ok(()) } else { put(event, source, place, context).await }
}

/// Writes a payload to the topic, unless it is a repeat or too large, and advances the position.
async fn put(
    payload: &[u8],
    source: &MastodonStream,
    place: &mut StreamPosition,
    context: &CollectorContext,
) -> Result<(), Disconnect> {
    let status = event_key(payload);
    // A status from the timeline may arrive by the stream again.
    let key =
        status.as_ref().map_or_else(|| payload.to_vec(), |(kind, id)| format!("{kind} {id}").into_bytes());
    if !place.recent.is_new(&key) {
        return Ok(());
    }
    if payload.len() > MAX_RAW_BYTES {
        let why = format!("an event of {} bytes; the maximum is {MAX_RAW_BYTES}", payload.len());
        (context.notify)(&source.name, &Notice::Skipped(why));
        return Ok(());
    }
    let newest = status.filter(|(kind, _)| *kind == "update").map(|(_, id)| id);
    let cursor = newest.or_else(|| place.last.clone());
    let raw = RawPayload { topic: source.topic.clone(), payload: payload.to_vec(), cursor: cursor.clone() };
    if let Err(e) = (context.put)(raw).await {
        // Accepts the payload when it is repeated.
        place.recent = RecentPayloads::default();
        return Err(Disconnect::Broken(e.to_string()));
    }
    place.last = cursor;
    (context.notify)(&source.name, &Notice::Accepted);
    Ok(())
}

/// Returns the kind and status id of an event that these identify. `None` for edits, which may occur
/// repeatedly.
fn event_key(payload: &[u8]) -> Option<(&'static str, String)> {
    if payload.starts_with(b"{") {
        return serde_json::from_slice::<Status>(payload).ok().map(|status| ("update", status.id));
    }
    let text = std::str::from_utf8(payload).ok()?;
    let data = text.lines().find_map(|line| line.strip_prefix("data:"))?.trim();
    match text.lines().find_map(|line| line.strip_prefix("event:"))?.trim() {
        "update" => serde_json::from_str::<Status>(data).ok().map(|status| ("update", status.id)),
        "delete" => Some(("delete", data.to_owned())),
        _ => None,
    }
}
