//! A client for Mastodon's streaming API, by server-sent events, with the timeline to catch up by.
//!
//! The stream knows no cursor. After a break the statuses since the last one are asked for from the timeline, page by page; what the
//! stream alone tells, edits and deletions, is told as a gap. A token that is refused is told, and tried again slowly.

use std::time::Duration;

use firewatch_domain::EventTime;
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;

use crate::backoff::Backoff;
use crate::recent_payloads::RecentPayloads;
use firewatch_http::install_tls_provider;

use crate::{CollectorContext, Gap, MAX_RAW_BYTES, Missing, Notice, RawPayload};

/// Longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Pages of the timeline that are asked for after a break, of forty statuses each.
const MAX_PAGES: usize = 100;
const PAGE_SIZE: usize = 40;
/// Largest piece of the stream without an end, bytes.
const MAX_EVENT_BYTES: usize = 4 << 20;

/// What is followed.
#[derive(Clone)]
pub struct MastodonStream {
    /// The source's name.
    pub name: String,
    /// The raw topic.
    pub topic: String,
    /// The server, such as `https://mastodon.social`.
    pub server: String,
    /// The stream: `public`, `public/local`, or `hashtag` with a tag.
    pub stream: String,
    /// The tag.
    pub tag: Option<String>,
    /// An access token of an app.
    pub token: Option<String>,
    /// A stream that is silent for so long is not there any more: there is a sign of life every fifteen seconds.
    pub idle_timeout: Duration,
    /// Wait after a token was refused: only a person can mend that.
    pub token_retry_wait: Duration,
}

/// Why the stream ended.
enum Disconnect {
    Broken(String),
    /// The server will not have us.
    Refused(String),
}

#[derive(Deserialize)]
struct Status {
    id: String,
}

/// Where the client has come to.
struct StreamPosition {
    /// The last status that the topic has.
    last: Option<String>,
    /// When the stream was last heard.
    last_activity: Option<EventTime>,
    recent: RecentPayloads,
}

/// Follows a stream from a status on, or from now on when there is none, until the task is dropped.
///
/// # Errors
/// When TLS cannot be set up.
pub async fn follow_mastodon(
    source: MastodonStream,
    last: Option<String>,
    context: CollectorContext,
) -> Result<(), String> {
    install_tls_provider();
    let client = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(ANSWER_TIMEOUT)
        .read_timeout(source.idle_timeout)
        .user_agent(concat!("firewatch/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| e.to_string())?;
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

/// Opens the stream, catches up, and reads on until it ends.
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
    // The stream is open by now, so nothing falls between it and the timeline.
    if let Err(end) = catch_up(client, source, place, context).await {
        return end;
    }
    read(stream, source, place, context).await
}

async fn send_request(
    client: &Client,
    source: &MastodonStream,
    url: &str,
    query: &[(&str, &str)],
) -> Result<Response, Disconnect> {
    let mut query: Vec<(&str, &str)> = query.to_vec();
    query.extend(source.tag.as_deref().map(|tag| ("tag", tag)));
    let mut url = url.to_owned();
    for (i, (name, value)) in query.iter().enumerate() {
        url.push(if i == 0 { '?' } else { '&' });
        url.push_str(&format!("{name}={value}"));
    }
    let mut request = client.get(&url);
    if let Some(token) = &source.token {
        request = request.bearer_auth(token);
    }
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, request.send()).await;
    let answer = answer.map_err(|_| Disconnect::Broken("the server does not answer".into()))?;
    let answer = answer.map_err(|e| Disconnect::Broken(e.without_url().to_string()))?;
    match answer.status() {
        StatusCode::OK => Ok(answer),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Disconnect::Refused(format!(
            "the server refuses the token ({}); make a new one and set sources.{}.stream.token",
            answer.status(),
            source.name
        ))),
        status => Err(Disconnect::Broken(format!("the server answers {status}"))),
    }
}

/// Asks the timeline for what was missed, oldest first.
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
        let page = page.text().await.map_err(|e| Disconnect::Broken(e.without_url().to_string()))?;
        let statuses: Vec<Box<serde_json::value::RawValue>> = serde_json::from_str(&page)
            .map_err(|_| Disconnect::Broken("the timeline is no list of statuses".into()))?;
        // The newest comes first.
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

/// Reads the stream, event by event.
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
            // The end of it has to be seen.
            is_too_long = true;
            piece.drain(..piece.len() - 1);
        }
    }
}

/// Takes an event of the stream; a comment is a sign of life.
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

async fn put(
    payload: &[u8],
    source: &MastodonStream,
    place: &mut StreamPosition,
    context: &CollectorContext,
) -> Result<(), Disconnect> {
    let status = event_key(payload);
    // A status that the timeline has told comes by the stream as well.
    let key =
        status.as_ref().map_or_else(|| payload.to_vec(), |(kind, id)| format!("{kind} {id}").into_bytes());
    if !place.recent.is_new(&key) {
        return Ok(());
    }
    if payload.len() > MAX_RAW_BYTES {
        let why = format!("an event of {} bytes: a topic takes {MAX_RAW_BYTES}", payload.len());
        (context.notify)(&source.name, &Notice::Skipped(why));
        return Ok(());
    }
    let newest = status.filter(|(kind, _)| *kind == "update").map(|(_, id)| id);
    let cursor = newest.or_else(|| place.last.clone());
    let raw = RawPayload { topic: source.topic.clone(), payload: payload.to_vec(), cursor: cursor.clone() };
    if let Err(problem) = (context.put)(raw).await {
        // It is to be taken when it comes again.
        place.recent = RecentPayloads::default();
        return Err(Disconnect::Broken(problem));
    }
    place.last = cursor;
    (context.notify)(&source.name, &Notice::Accepted);
    Ok(())
}

/// The kind of an event and the status that it is of, where its id tells it from all others.
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
