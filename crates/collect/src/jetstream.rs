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
use crate::recent::Recent;
use firewatch_http::install_tls_provider;

use crate::{Gap, MOST, Missing, Notice, Port, Putting, Raw};

/// How far before the cursor the stream is asked for again, microseconds.
const BEFORE: u64 = 2_000_000;
/// A first event so much later than was asked for tells that the server had nothing before it, microseconds.
const LATE: u64 = 60_000_000;
/// Largest frame that is looked at, bytes.
const FRAME: usize = 16 << 20;
/// Payloads on their way to the brokers at most.
const UNDER_WAY: usize = 2000;
/// How far a frame that cannot be taken is stepped over at first, microseconds.
const STEP: u64 = 1_000_000;
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(15);

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
    pub silent: Duration,
}

/// An event, as far as the client needs it.
#[derive(Deserialize)]
struct Event {
    time_us: Option<u64>,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why a connection ended.
enum End {
    /// The connection broke, or the server closed it.
    Broken(String),
    /// A frame came that no client can take.
    Unreadable(String),
}

/// Where the client has come to.
struct Place {
    /// The time of the last event that the topic has.
    cursor: Option<u64>,
    /// How far after the cursor the stream is asked for, to step over what cannot be read.
    step: u64,
    recent: Recent,
}

/// Follows a Jetstream from a cursor, or from now on when there is none, until the task is dropped.
pub async fn follow_jetstream(source: Jetstream, cursor: Option<u64>, port: Port) {
    install_tls_provider();
    let mut place = Place { cursor, step: 0, recent: Recent::default() };
    let mut backoff = Backoff::default();
    loop {
        let before = place.cursor;
        let end = match connect(&source, &place).await {
            Ok(socket) => {
                (port.tell)(&source.name, &Notice::Connected);
                follow(socket, &source, &mut place, &port).await
            }
            Err(problem) => End::Broken(problem),
        };
        if place.cursor != before {
            backoff.reset();
        }
        let problem = match end {
            End::Broken(problem) => problem,
            End::Unreadable(problem) => {
                place.step = if place.cursor == before { (place.step * 2).max(STEP) } else { STEP };
                problem
            }
        };
        (port.tell)(&source.name, &Notice::Trouble(problem));
        tokio::time::sleep(backoff.next()).await;
    }
}

async fn connect(source: &Jetstream, place: &Place) -> Result<Socket, String> {
    let mut url = source.url.clone();
    let mut with = |parameter: String| {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(&parameter);
    };
    source.collections.iter().for_each(|collection| with(format!("wantedCollections={collection}")));
    if let Some(cursor) = place.cursor {
        let from = if place.step > 0 { cursor + place.step } else { cursor.saturating_sub(BEFORE) };
        with(format!("cursor={from}"));
    }
    let config = WebSocketConfig::default().max_message_size(Some(FRAME)).max_frame_size(Some(FRAME));
    let connecting = connect_async_with_config(&url, Some(config), false);
    match tokio::time::timeout(CONNECT, connecting).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(e)) => Err(format!("connect: {e}")),
        Err(_) => Err("the server does not answer".into()),
    }
}

/// Reads until the connection ends. The cursor moves on as the topic has what came.
async fn follow(mut socket: Socket, source: &Jetstream, place: &mut Place, port: &Port) -> End {
    let mut under_way: FuturesOrdered<Putting> = FuturesOrdered::new();
    let mut times = VecDeque::new();
    let mut is_first = true;
    loop {
        tokio::select! {
            biased;
            Some(put) = under_way.next() => match put {
                Ok(()) => {
                    place.cursor = times.pop_front().flatten().or(place.cursor);
                    place.step = 0;
                    (port.tell)(&source.name, &Notice::Taken);
                }
                // Neither it nor what comes after it counts as read.
                Err(problem) => return lost(problem, place),
            },
            came = tokio::time::timeout(source.silent, socket.next()), if under_way.len() < UNDER_WAY => {
                let text = match came {
                    Ok(Some(Ok(Message::Text(text)))) => text.as_bytes().to_vec(),
                    Ok(Some(Ok(Message::Binary(bytes)))) => bytes.to_vec(),
                    Ok(Some(Ok(Message::Close(_))) | None) => {
                        return settle(under_way, times, place, "the server closed the stream").await;
                    }
                    // Pings are answered by the library.
                    Ok(Some(Ok(_))) => continue,
                    Ok(Some(Err(e))) => return broken(e, under_way, times, place).await,
                    Err(_) => {
                        let problem = format!("nothing came for {:?}", source.silent);
                        return settle(under_way, times, place, &problem).await;
                    }
                };
                let time = serde_json::from_slice::<Event>(&text).ok().and_then(|event| event.time_us);
                if let Some(now) = time.filter(|_| std::mem::take(&mut is_first)) {
                    gap(source, place, now, port);
                }
                if !place.recent.is_new(&text) {
                    continue;
                }
                if text.len() > MOST {
                    let at = time.map_or_else(String::new, |us| format!(", of {}", at(us)));
                    let why = format!("an event of {} bytes{at}: a topic takes {MOST}", text.len());
                    (port.tell)(&source.name, &Notice::LeftOut(why));
                    continue;
                }
                let cursor = time.or(place.cursor).map(|us| us.to_string());
                times.push_back(time);
                under_way.push_back((port.put)(Raw { topic: source.topic.clone(), payload: text, cursor }));
            }
        }
    }
}

/// Tells a gap, when the first event is later than what was asked for.
fn gap(source: &Jetstream, place: &Place, first: u64, port: &Port) {
    let Some(cursor) = place.cursor else { return };
    if place.step > 0 || first > cursor + LATE {
        let gap = Gap { from: at(cursor), to: at(first), what: Missing::Anything };
        (port.tell)(&source.name, &Notice::Gap(gap));
    }
}

/// Waits for what is under way, so that it is not read once more.
async fn settle(
    mut under_way: FuturesOrdered<Putting>,
    mut times: VecDeque<Option<u64>>,
    place: &mut Place,
    problem: &str,
) -> End {
    while let Some(put) = under_way.next().await {
        if let Err(problem) = put {
            return lost(problem, place);
        }
        place.cursor = times.pop_front().flatten().or(place.cursor);
    }
    End::Broken(problem.to_owned())
}

/// The brokers do not have what came, so it is to be taken when it comes again.
fn lost(problem: String, place: &mut Place) -> End {
    place.recent = Recent::default();
    End::Broken(problem)
}

async fn broken(
    e: Error,
    under_way: FuturesOrdered<Putting>,
    times: VecDeque<Option<u64>>,
    place: &mut Place,
) -> End {
    let is_unreadable = matches!(e, Error::Utf8(_) | Error::Capacity(_));
    let problem = format!("the stream broke off: {e}");
    match settle(under_way, times, place, &problem).await {
        End::Broken(told) if is_unreadable && told == problem => End::Unreadable(told),
        end => end,
    }
}

fn at(us: u64) -> EventTime {
    EventTime::from_millis(i64::try_from(us / 1000).unwrap_or_default())
}
