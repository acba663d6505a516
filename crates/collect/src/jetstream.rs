//! A client for Bluesky's Jetstream: connects, goes on from the cursor, and tells what may be missing.
//!
//! A cursor is the time in microseconds of the last event that the raw topic has. After a break the stream is asked for from a little
//! before it, as Jetstream's documentation advises, and what came already is left out. A frame that no client could take is
//! stepped over, and told as a gap.

use std::collections::VecDeque;
use std::time::Duration;

use firewatch_domain::EventTime;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::backoff::Backoff;
use crate::recent_payloads::RecentPayloads;
use firewatch_http::install_tls_provider;

use crate::{CollectorContext, Gap, MAX_RAW_BYTES, Missing, Notice, PutFuture, RawPayload};

/// How far before the cursor the stream is asked for again, microseconds.
const RESUME_OVERLAP_US: u64 = 2_000_000;
/// A first event so much later than was asked for tells that the server had nothing before it, microseconds.
const GAP_THRESHOLD_US: u64 = 60_000_000;
/// Largest frame that is looked at, bytes.
const MAX_FRAME_BYTES: usize = 16 << 20;
/// Payloads on their way to the brokers at most.
const MAX_IN_FLIGHT: usize = 2000;
/// How far a frame that cannot be taken is stepped over at first, microseconds.
const SKIP_STEP_US: u64 = 1_000_000;
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// What is followed.
#[derive(Debug, Clone)]
pub struct Jetstream {
    /// The source's name.
    pub name: String,
    /// The raw topic.
    pub topic: String,
    /// The server's `subscribe` address, `ws` or `wss`.
    pub url: String,
    /// Collections that are asked for.
    pub collections: Vec<String>,
    /// A firehose that is silent for so long is not there any more.
    pub idle_timeout: Duration,
}

/// An event, as far as the client needs it.
#[derive(Deserialize)]
struct Event {
    time_us: Option<u64>,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why a connection ended.
enum Disconnect {
    /// The connection broke, or the server closed it.
    Broken(String),
    /// A frame came that no client can take.
    Unreadable(String),
}

/// Where the client has come to.
struct StreamPosition {
    /// The time of the last event that the topic has.
    cursor: Option<u64>,
    /// How far after the cursor the stream is asked for, to step over what cannot be read.
    skip_us: u64,
    recent: RecentPayloads,
}

/// Follows a Jetstream from a cursor, or from now on when there is none, until the task is dropped.
pub async fn follow_jetstream(source: Jetstream, cursor: Option<u64>, context: CollectorContext) {
    install_tls_provider();
    let mut place = StreamPosition { cursor, skip_us: 0, recent: RecentPayloads::default() };
    let mut backoff = Backoff::default();
    loop {
        let before = place.cursor;
        let end = match connect(&source, &place).await {
            Ok(socket) => {
                (context.notify)(&source.name, &Notice::Connected);
                follow(socket, &source, &mut place, &context).await
            }
            Err(problem) => Disconnect::Broken(problem),
        };
        if place.cursor != before {
            backoff.reset();
        }
        let problem = match end {
            Disconnect::Broken(problem) => problem,
            Disconnect::Unreadable(problem) => {
                place.skip_us =
                    if place.cursor == before { (place.skip_us * 2).max(SKIP_STEP_US) } else { SKIP_STEP_US };
                problem
            }
        };
        (context.notify)(&source.name, &Notice::Failed(problem));
        tokio::time::sleep(backoff.next()).await;
    }
}

async fn connect(source: &Jetstream, place: &StreamPosition) -> Result<Socket, String> {
    let mut url = source.url.clone();
    let mut with = |parameter: String| {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(&parameter);
    };
    source.collections.iter().for_each(|collection| with(format!("wantedCollections={collection}")));
    if let Some(cursor) = place.cursor {
        let from =
            if place.skip_us > 0 { cursor + place.skip_us } else { cursor.saturating_sub(RESUME_OVERLAP_US) };
        with(format!("cursor={from}"));
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    let connecting = connect_async_with_config(&url, Some(config), false);
    match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(e)) => Err(format!("connect: {e}")),
        Err(_) => Err("the server does not answer".into()),
    }
}

/// Reads until the connection ends. The cursor moves on as the topic has what came.
async fn follow(
    mut socket: Socket,
    source: &Jetstream,
    place: &mut StreamPosition,
    context: &CollectorContext,
) -> Disconnect {
    let mut under_way: FuturesOrdered<PutFuture> = FuturesOrdered::new();
    let mut times = VecDeque::new();
    let mut is_first = true;
    loop {
        tokio::select! {
            biased;
            Some(put) = under_way.next() => match put {
                Ok(()) => {
                    place.cursor = times.pop_front().flatten().or(place.cursor);
                    place.skip_us = 0;
                    (context.notify)(&source.name, &Notice::Accepted);
                }
                // Neither it nor what comes after it counts as read.
                Err(problem) => return forget_undelivered(problem, place),
            },
            came = tokio::time::timeout(source.idle_timeout, socket.next()), if under_way.len() < MAX_IN_FLIGHT => {
                let text = match came {
                    Ok(Some(Ok(Message::Text(text)))) => text.as_bytes().to_vec(),
                    Ok(Some(Ok(Message::Binary(bytes)))) => bytes.to_vec(),
                    Ok(Some(Ok(Message::Close(_))) | None) => {
                        return drain_in_flight(under_way, times, place, "the server closed the stream").await;
                    }
                    // Pings are answered by the library.
                    Ok(Some(Ok(_))) => continue,
                    Ok(Some(Err(e))) => return stream_error(e, under_way, times, place).await,
                    Err(_) => {
                        let problem = format!("nothing came for {:?}", source.idle_timeout);
                        return drain_in_flight(under_way, times, place, &problem).await;
                    }
                };
                let time = serde_json::from_slice::<Event>(&text).ok().and_then(|event| event.time_us);
                if let Some(now) = time.filter(|_| std::mem::take(&mut is_first)) {
                    report_gap(source, place, now, context);
                }
                if !place.recent.is_new(&text) {
                    continue;
                }
                if text.len() > MAX_RAW_BYTES {
                    let at = time.map_or_else(String::new, |us| format!(", of {}", at(us)));
                    let why = format!("an event of {} bytes{at}: a topic takes {MAX_RAW_BYTES}", text.len());
                    (context.notify)(&source.name, &Notice::Skipped(why));
                    continue;
                }
                let cursor = time.or(place.cursor).map(|us| us.to_string());
                times.push_back(time);
                under_way.push_back((context.put)(RawPayload { topic: source.topic.clone(), payload: text, cursor }));
            }
        }
    }
}

/// Tells a gap, when the first event is later than what was asked for.
fn report_gap(source: &Jetstream, place: &StreamPosition, first: u64, context: &CollectorContext) {
    let Some(cursor) = place.cursor else { return };
    if place.skip_us > 0 || first > cursor + GAP_THRESHOLD_US {
        let gap = Gap { from: at(cursor), to: at(first), what: Missing::Anything };
        (context.notify)(&source.name, &Notice::Gap(gap));
    }
}

/// Waits for what is under way, so that it is not read once more.
async fn drain_in_flight(
    mut under_way: FuturesOrdered<PutFuture>,
    mut times: VecDeque<Option<u64>>,
    place: &mut StreamPosition,
    problem: &str,
) -> Disconnect {
    while let Some(put) = under_way.next().await {
        if let Err(problem) = put {
            return forget_undelivered(problem, place);
        }
        place.cursor = times.pop_front().flatten().or(place.cursor);
    }
    Disconnect::Broken(problem.to_owned())
}

/// The brokers do not have what came, so it is to be taken when it comes again.
fn forget_undelivered(problem: String, place: &mut StreamPosition) -> Disconnect {
    place.recent = RecentPayloads::default();
    Disconnect::Broken(problem)
}

async fn stream_error(
    e: Error,
    under_way: FuturesOrdered<PutFuture>,
    times: VecDeque<Option<u64>>,
    place: &mut StreamPosition,
) -> Disconnect {
    let is_unreadable = matches!(e, Error::Utf8(_) | Error::Capacity(_));
    let problem = format!("the stream broke off: {e}");
    match drain_in_flight(under_way, times, place, &problem).await {
        Disconnect::Broken(message) if is_unreadable && message == problem => Disconnect::Unreadable(message),
        end => end,
    }
}

fn at(us: u64) -> EventTime {
    EventTime::from_millis(i64::try_from(us / 1000).unwrap_or_default())
}
