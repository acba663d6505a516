//! Bluesky's Jetstream, with a server that misbehaves.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Bytes;
use firewatch_collect::{Jetstream, Notice, follow_jetstream};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use crate::Topic;

const SECOND: u64 = 1_000_000;
/// Time of the first event in microseconds.
const START: u64 = 1_780_131_600 * SECOND;

/// Returns the event of second `i`.
fn event(i: u64) -> String {
    json!({ "did": "did:plc:a", "time_us": START + i * SECOND, "kind": "commit", "n": i }).to_string()
}

/// Accepts a connection; returns it and the cursor that it requests.
async fn accepted(listener: &TcpListener) -> (WebSocketStream<TcpStream>, Option<u64>) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut cursor = None;
    #[expect(clippy::result_large_err, reason = "the shape of the library's callback")]
    let ask = |request: &tokio_tungstenite::tungstenite::handshake::server::Request, answer| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        assert!(query.contains("wantedCollections=app.bsky.feed.post"), "{query}");
        cursor = query.split('&').find_map(|pair| pair.strip_prefix("cursor=")?.parse().ok());
        Ok(answer)
    };
    let socket = accept_hdr_async(stream, ask).await.unwrap();
    (socket, cursor)
}

/// What a connection does wrong after it has sent the events up to the given second.
pub enum Fault {
    /// Drops the connection.
    Cut(u64),
    /// Sends every event twice, then closes cleanly.
    Twice(u64),
    /// Sends a text frame that is not UTF-8.
    NotUtf8(u64),
    /// Sends an event that is too large for a topic, then one more event.
    TooLargeForATopic(u64),
    /// Sends a frame that is too large for any client.
    Huge(u64),
    /// Sends nothing more.
    Silence(u64),
    /// Has lost the events before the first second, and sends those up to the other.
    HistoryLost(u64, u64),
}

async fn serve(listener: TcpListener, faults: Vec<Fault>) {
    for fault in faults {
        let (mut socket, cursor) = accepted(&listener).await;
        // Like Jetstream, starts after the cursor, or at the beginning without one.
        let from =
            cursor.map_or(0, |cursor| (cursor.saturating_sub(START) / SECOND) + u64::from(cursor >= START));
        let (from, to) = match &fault {
            Fault::HistoryLost(first, to) => (from.max(*first), *to),
            Fault::Cut(to) | Fault::Twice(to) | Fault::NotUtf8(to) | Fault::Huge(to) => (from, *to),
            Fault::TooLargeForATopic(to) | Fault::Silence(to) => (from, *to),
        };
        // Events 60 and 70 are sent by their faults only.
        for i in (from..to).filter(|i| *i != 60 && *i != 70) {
            // A client whose events were not delivered may be gone already.
            let _ = socket.send(Message::text(event(i))).await;
            if matches!(fault, Fault::Twice(_)) {
                let _ = socket.send(Message::text(event(i))).await;
            }
        }
        let large =
            |bytes: usize| json!({ "time_us": START + to * SECOND, "text": "x".repeat(bytes) }).to_string();
        match fault {
            Fault::Cut(_) => drop(socket),
            Fault::Twice(_) => {
                let _ = socket.close(None).await;
            }
            Fault::NotUtf8(_) => {
                let mut header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
                header.is_final = true;
                let frame = Frame::from_payload(header, Bytes::from_static(b"{\"text\":\"\xff\xfe\"}"));
                socket.send(Message::Frame(frame)).await.unwrap();
                while socket.next().await.is_some_and(|came| came.is_ok()) {}
            }
            Fault::Huge(_) => {
                let _ = socket.send(Message::text(large(17 << 20))).await;
                while socket.next().await.is_some_and(|came| came.is_ok()) {}
            }
            Fault::TooLargeForATopic(_) => {
                socket.send(Message::text(large(2 << 20))).await.unwrap();
                socket.send(Message::text(event(to + 1))).await.unwrap();
                let _ = socket.close(None).await;
            }
            Fault::Silence(_) => while socket.next().await.is_some_and(|came| came.is_ok()) {},
            Fault::HistoryLost(..) => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
            }
        }
    }
}

async fn jetstream(faults: Vec<Fault>) -> Jetstream {
    let url = serving(faults).await;
    Jetstream {
        name: "bluesky".into(),
        topic: "raw.bluesky".into(),
        url,
        collections: vec!["app.bsky.feed.post".into()],
        idle_timeout: Duration::from_millis(500),
    }
}

pub async fn serving(faults: Vec<Fault>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/subscribe", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, faults));
    url
}

pub fn seconds(texts: &[String]) -> Vec<u64> {
    texts.iter().filter_map(|text| serde_json::from_str::<Value>(text).ok()?["n"].as_u64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misbehaving_jetstream_loses_nothing_that_a_cursor_can_recover() {
    let source = jetstream(vec![
        Fault::Cut(20),
        Fault::Twice(40),
        Fault::Silence(50),
        // The event of second 60 is not UTF-8, that of 70 is too large for a topic, that of 80 too large for
        // any client.
        Fault::NotUtf8(60),
        Fault::TooLargeForATopic(70),
        Fault::Huge(80),
        // Events before second 400 are lost.
        Fault::HistoryLost(400, 420),
    ])
    .await;
    let topic = Topic::default();
    let task = tokio::spawn(follow_jetstream(source, None, topic.port()));
    topic.wait_for(|topic| seconds(&topic.texts()).contains(&419)).await;
    task.abort();
    let came = seconds(&topic.texts());
    let unique: BTreeSet<u64> = came.iter().copied().collect();
    assert_eq!(came.len(), unique.len(), "repeated events are dropped");
    let wanted: BTreeSet<u64> = (0..80).filter(|i| *i != 60 && *i != 70).chain(400..420).collect();
    assert_eq!(
        unique,
        wanted,
        "{:?}",
        topic.notices().iter().filter(|n| **n != Notice::Accepted).collect::<Vec<_>>()
    );
    assert_eq!(
        topic.gaps(),
        [
            "payloads from 2026-05-30T09:00:59.000Z to 2026-05-30T09:01:01.000Z (2 s) may be missing",
            "payloads from 2026-05-30T09:01:19.000Z to 2026-05-30T09:06:40.000Z (5 min) may be missing",
        ],
    );
    let left_out: Vec<String> = topic
        .notices()
        .into_iter()
        .filter_map(|n| if let Notice::Skipped(why) = n { Some(why) } else { None })
        .collect();
    assert_eq!(left_out.len(), 1, "{left_out:?}");
    assert!(left_out[0].contains("bytes at 2026-05-30T09:01:10"), "{left_out:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_passed_over_when_a_stream_ends_with_everything_in_flight() {
    // The second connection passes over the unreadable frame, and ends before the brokers accept an event.
    let source = jetstream(vec![Fault::NotUtf8(60), Fault::Twice(75), Fault::Silence(90)]).await;
    let topic = Topic { accept_time: Duration::from_millis(100), ..Topic::default() };
    let task = tokio::spawn(follow_jetstream(source, None, topic.port()));
    topic.wait_for(|topic| seconds(&topic.texts()).contains(&89)).await;
    let accepted = topic.notices().iter().filter(|notice| **notice == Notice::Accepted).count();
    task.abort();
    let came: BTreeSet<u64> = seconds(&topic.texts()).into_iter().collect();
    assert_eq!(came, (0..90).filter(|i| *i != 60 && *i != 70).collect());
    assert!(accepted >= 75 - 2, "payloads in flight at the end of a stream count as accepted: {accepted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn undelivered_events_are_requested_again_and_a_restart_resumes_from_the_cursor() {
    let topic = Topic::default();
    *topic.refuse.lock().unwrap() = 3;
    let source = jetstream((0..8).map(|i| Fault::Silence(30 + u64::from(i > 0) * 10)).collect()).await;
    let task = tokio::spawn(follow_jetstream(source, Some(START), topic.port()));
    topic.wait_for(|topic| seconds(&topic.texts()).contains(&39)).await;
    task.abort();
    let came: BTreeSet<u64> = seconds(&topic.texts()).into_iter().collect();
    assert_eq!(came, (0..40).collect(), "it resumes a little before the cursor of second 0");
    let cursors = topic.raw.lock().unwrap().iter().filter_map(|raw| raw.cursor.clone()).max();
    assert_eq!(cursors, Some((START + 39 * SECOND).to_string()), "a restart reads the cursor from the topic");
    assert!(topic.notices().contains(&Notice::Failed("no broker".into())));
    assert!(topic.gaps().is_empty());
}
