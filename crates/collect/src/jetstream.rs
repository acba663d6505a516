//! A client for Bluesky's Jetstream: connects, resumes from a cursor, and reports gaps.
//!
//! The cursor is the time in microseconds of the last event in the raw topic. After an interruption the
//! client resumes slightly before it, as Jetstream's documentation advises, and drops repeated events. It
//! skips an unreadable frame and reports the skipped span as a gap.

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

use crate::{CollectorContext, Gap, MAX_RAW_BYTES, Missing, Notice, PutError, PutFuture, RawPayload};

/// How far before the cursor the stream resumes, in microseconds.
const RESUME_OVERLAP_US: u64 = 2_000_000;
/// Delay of the first event after the cursor, in microseconds, from which a gap is reported: the server no
/// longer had earlier events.
const GAP_THRESHOLD_US: u64 = 60_000_000;
/// Maximum size of a frame, in bytes.
const MAX_FRAME_BYTES: usize = 16 << 20;
/// Maximum number of payloads waiting for the brokers.
const MAX_IN_FLIGHT: usize = 2000;
/// The first step past an unreadable frame, in microseconds. It doubles until the stream advances.
const SKIP_STEP_US: u64 = 1_000_000;
/// Maximum wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// The configuration of a Jetstream source.
#[derive(Debug, Clone)]
pub struct Jetstream {
    /// The source's name.
    pub name: String,
    /// The raw topic.
    pub topic: String,
    /// The URL of the server's `subscribe` endpoint, `ws` or `wss`.
    pub url: String,
    /// The requested collections.
    pub collections: Vec<String>,
    /// The silence after which the client reconnects.
    pub idle_timeout: Duration,
}

/// The part of an event that the client reads.
#[derive(Deserialize)]
struct Event {
    time_us: Option<u64>,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why a connection ended.
enum Disconnect {
    /// The connection broke, or the server closed it.
    Broken(String),
    /// A frame is too large or not UTF-8, so that it would end every connection.
    Unreadable(String),
}

/// The position in the stream.
struct StreamPosition {
    /// The time of the last event in the topic, in microseconds.
    cursor: Option<u64>,
    /// How far after the cursor to resume, in microseconds, to skip an unreadable frame. 0 if there is none.
    skip_us: u64,
    recent: RecentPayloads,
}

impl StreamPosition {
    /// Moves past an event that the brokers have; `time` is its own, in microseconds.
    fn accept(&mut self, time: Option<u64>) {
        self.cursor = time.or(self.cursor);
        self.skip_us = 0;
    }
}

/// Payloads that the brokers have not accepted yet, in order, with the times of their events.
struct InFlight {
    puts: FuturesOrdered<PutFuture>,
    times: VecDeque<Option<u64>>,
}

impl InFlight {
    /// Waits for the oldest put; returns the time of its event. `None` when nothing is in flight.
    async fn next(&mut self) -> Option<Result<Option<u64>, PutError>> {
        let put = self.puts.next().await?;
        let time = self.times.pop_front().flatten();
        Some(put.map(|()| time))
    }
}

/// Follows a Jetstream until the task is dropped, from `cursor` (microseconds) or, without one, from now on.
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
        Ok(Err(e)) => Err(format!("cannot connect: {e}")),
        Err(_) => Err("the server does not respond".into()),
    }
}

/// Reads until the connection ends. The cursor advances when the brokers have an event.
async fn follow(
    mut socket: Socket,
    source: &Jetstream,
    place: &mut StreamPosition,
    context: &CollectorContext,
) -> Disconnect {
    let mut under_way = InFlight { puts: FuturesOrdered::new(), times: VecDeque::new() };
    let mut is_first = true;
    let accept = |place: &mut StreamPosition, time: Option<u64>| {
        place.accept(time);
        (context.notify)(&source.name, &Notice::Accepted);
    };
    loop {
        tokio::select! {
            biased;
            Some(put) = under_way.next() => match put {
                Ok(time) => accept(place, time),
                // Neither this payload nor any later one counts as read.
                Err(e) => return forget_undelivered(&e, place),
            },
            came = tokio::time::timeout(source.idle_timeout, socket.next()), if under_way.puts.len() < MAX_IN_FLIGHT => {
                let text = match came {
                    Ok(Some(Ok(Message::Text(text)))) => text.as_bytes().to_vec(),
                    Ok(Some(Ok(Message::Binary(bytes)))) => bytes.to_vec(),
                    Ok(Some(Ok(Message::Close(_))) | None) => {
                        return drain_in_flight(under_way, place, accept, "the server closed the stream").await;
                    }
                    // The library answers pings.
                    Ok(Some(Ok(_))) => continue,
                    Ok(Some(Err(e))) => return stream_error(e, under_way, place, accept).await,
                    Err(_) => {
                        let problem = format!("no data for {:?}", source.idle_timeout);
                        return drain_in_flight(under_way, place, accept, &problem).await;
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
                    let at = time.map_or_else(String::new, |us| format!(" at {}", at(us)));
                    let why = format!("an event of {} bytes{at}; the maximum is {MAX_RAW_BYTES}", text.len());
                    (context.notify)(&source.name, &Notice::Skipped(why));
                    continue;
                }
                let cursor = time.or(place.cursor).map(|us| us.to_string());
                let payload = RawPayload { topic: source.topic.clone(), payload: text, cursor };
                under_way.times.push_back(time);
                under_way.puts.push_back((context.put)(payload));
            }
        }
    }
}

/// Reports a gap if the first event is much later than the cursor, or if a frame was skipped.
fn report_gap(source: &Jetstream, place: &StreamPosition, first: u64, context: &CollectorContext) {
    let Some(cursor) = place.cursor else { return };
    if place.skip_us > 0 || first > cursor + GAP_THRESHOLD_US {
        let gap = Gap { from: at(cursor), to: at(first), what: Missing::Anything };
        (context.notify)(&source.name, &Notice::Gap(gap));
    }
}

/// Waits for the payloads in flight, so that they are not read again, then returns why the connection ended.
async fn drain_in_flight(
    mut under_way: InFlight,
    place: &mut StreamPosition,
    accept: impl Fn(&mut StreamPosition, Option<u64>),
    problem: &str,
) -> Disconnect {
    while let Some(put) = under_way.next().await {
        match put {
            Ok(time) => accept(place, time),
            Err(problem) => return forget_undelivered(&problem, place),
        }
    }
    Disconnect::Broken(problem.to_owned())
}

/// Forgets recent payloads, so that the ones the brokers do not have are accepted when the server repeats
/// them.
fn forget_undelivered(e: &PutError, place: &mut StreamPosition) -> Disconnect {
    place.recent = RecentPayloads::default();
    Disconnect::Broken(e.to_string())
}

/// Ends a connection after a stream error, and classifies the error.
async fn stream_error(
    e: Error,
    under_way: InFlight,
    place: &mut StreamPosition,
    accept: impl Fn(&mut StreamPosition, Option<u64>),
) -> Disconnect {
    let is_unreadable = matches!(e, Error::Utf8(_) | Error::Capacity(_));
    let problem = format!("the stream broke: {e}");
    match drain_in_flight(under_way, place, accept, &problem).await {
        Disconnect::Broken(message) if is_unreadable && message == problem => Disconnect::Unreadable(message),
        end => end,
    }
}

/// Converts Unix microseconds.
fn at(us: u64) -> EventTime {
    EventTime::from_millis(i64::try_from(us / 1000).unwrap_or_default())
}
