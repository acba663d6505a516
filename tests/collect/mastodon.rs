//! Mastodon's streaming API and timeline, with a server that misbehaves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use firewatch_collect::{MastodonStream, Missing, Notice, follow_mastodon};
use serde_json::{Value, json};

use crate::{Topic, listening};

#[derive(Default)]
struct Instance {
    /// Number of streams opened so far.
    opened: Mutex<usize>,
    /// The token that is accepted.
    token: Mutex<String>,
}

fn status(id: u64) -> Value {
    json!({ "id": id.to_string(), "created_at": "2026-05-30T09:00:00.000Z", "content": "<p>hi</p>", "visibility": "public",
            "account": { "id": "1", "acct": "a" } })
}

fn update(id: u64) -> String {
    format!("event: update\ndata: {}\n\n", status(id))
}

fn is_known(instance: &Instance, headers: &HeaderMap) -> bool {
    let wanted = format!("Bearer {}", instance.token.lock().unwrap());
    headers.get("authorization").is_some_and(|sent| sent.to_str().ok() == Some(wanted.as_str()))
}

/// The first stream breaks off in the middle of an event. The second sends bytes that are not UTF-8, then
/// stays silent.
async fn streaming(State(instance): State<Arc<Instance>>, headers: HeaderMap) -> Response {
    if !is_known(&instance, &headers) {
        return (StatusCode::UNAUTHORIZED, "{\"error\":\"The access token is invalid\"}").into_response();
    }
    let n = {
        let mut opened = instance.opened.lock().unwrap();
        *opened += 1;
        *opened
    };
    let pieces: Vec<Vec<u8>> = match n {
        1 => {
            let half = update(14);
            vec![
                b":)\n".to_vec(),
                update(11).into_bytes(),
                update(12).into_bytes(),
                // An event that arrives in pieces.
                update(13).as_bytes()[..20].to_vec(),
                update(13).as_bytes()[20..].to_vec(),
                half.as_bytes()[..30].to_vec(),
            ]
        }
        _ => vec![
            b"event: update\ndata: {\"id\":\"not \xff utf8\"}\n\n".to_vec(),
            format!("event: update\ndata: {}\n\n", "x".repeat(5 << 20)).into_bytes(),
            update(130).into_bytes(),
            b"event: delete\ndata: 12\n\n".to_vec(),
            b":thump\n".to_vec(),
        ],
    };
    let stays_open = n > 1;
    let stream =
        futures_util::stream::unfold((pieces.into_iter(), stays_open), |(mut pieces, open)| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            match pieces.next() {
                Some(piece) => Some((Ok::<_, std::io::Error>(Bytes::from(piece)), (pieces, open))),
                None if open => {
                    tokio::time::sleep(Duration::from_secs(3600)).await;
                    None
                }
                None => Some((Err(std::io::Error::other("cut")), (pieces, open))),
            }
        });
    Body::from_stream(stream).into_response()
}

#[derive(serde::Deserialize)]
struct TimelineQuery {
    min_id: u64,
    limit: u64,
}

/// Statuses 11 to 120 exist. Returns those right after `min_id`, newest first.
async fn timeline(
    State(instance): State<Arc<Instance>>,
    headers: HeaderMap,
    Query(query): Query<TimelineQuery>,
) -> Response {
    if !is_known(&instance, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let from = query.min_id + 1;
    let statuses: Vec<Value> = (from..=120).take(query.limit as usize).map(status).collect();
    axum::Json(statuses.into_iter().rev().collect::<Vec<_>>()).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_a_broken_mastodon_stream_missed_come_from_the_timeline() {
    let instance = Arc::new(Instance::default());
    *instance.token.lock().unwrap() = "another".into();
    let routes = Router::new()
        .route("/api/v1/streaming/public", get(streaming))
        .route("/api/v1/timelines/public", get(timeline))
        .with_state(instance.clone());
    let server = format!("http://{}", listening(routes).await);
    let source = MastodonStream {
        name: "mastodon".into(),
        topic: "raw.mastodon".into(),
        server,
        stream: "public".into(),
        tag: None,
        token: Some("expired".into()),
        idle_timeout: Duration::from_secs(20),
        token_retry_wait: Duration::from_millis(50),
    };
    let topic = Topic::default();
    let task = tokio::spawn(follow_mastodon(source, None, topic.port()));
    // The first token is refused, and that is reported.
    let refused = |topic: &Topic| {
        topic
            .notices()
            .iter()
            .any(|n| matches!(n, Notice::Failed(p) if p.contains("rejects the token (401 Unauthorized)")))
    };
    topic.wait_for(refused).await;
    *instance.token.lock().unwrap() = "expired".into();
    topic.wait_for(|topic| topic.texts().iter().any(|text| text.starts_with("event: delete"))).await;
    task.abort();
    let ids: Vec<u64> = topic
        .texts()
        .iter()
        .filter_map(|text| {
            let json = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or(text);
            serde_json::from_str::<Value>(json).ok()?["id"].as_str()?.parse().ok()
        })
        .collect();
    // Each status comes once and in order: the timeline supplies the one that was cut off and all that were
    // missed.
    assert_eq!(ids, (11..=120).chain([130]).collect::<Vec<u64>>());
    assert!(
        topic.texts().iter().any(|text| text.contains('\u{fffd}')),
        "invalid UTF-8 is kept for the dead letters"
    );
    let notices = topic.notices();
    let gaps: Vec<_> =
        notices.iter().filter_map(|n| if let Notice::Gap(gap) = n { Some(gap.what) } else { None }).collect();
    assert_eq!(gaps, [Missing::EditsAndDeletions]);
    assert!(
        notices.iter().any(|n| matches!(n, Notice::Skipped(why) if why.contains("more than"))),
        "{notices:?}"
    );
}
