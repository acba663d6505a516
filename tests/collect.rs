//! `crates/collect` against servers of ours that speak the protocols and misbehave: nothing is lost that a cursor can bring back, and
//! what cannot be brought back is told with its span.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use firewatch_collect::{
    HookSource, Jetstream, MastodonStream, Missing, Notice, Port, Putting, Raw, follow_jetstream,
    follow_mastodon, hooks,
};
use firewatch_domain::EventTime;
use firewatch_ingest::Hook;
use firewatch_kafka::Tail;
use firewatch_tests::{Cluster, Deployment, can_run_kafka, sum_of};
use futures_util::{SinkExt, StreamExt};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

const PATIENCE: Duration = Duration::from_secs(60);
const SECOND: u64 = 1_000_000;
/// Time of the first event, microseconds.
const START: u64 = 1_780_131_600 * SECOND;

/// A topic in memory, and all that was told.
#[derive(Clone, Default)]
struct Topic {
    raw: Arc<Mutex<Vec<Raw>>>,
    told: Arc<Mutex<Vec<Notice>>>,
    /// How many of the next are refused.
    refuse: Arc<Mutex<usize>>,
}

impl Topic {
    fn port(&self) -> Port {
        let (raw, told, refuse) = (self.raw.clone(), self.told.clone(), self.refuse.clone());
        let put = move |one: Raw| -> Putting {
            let (raw, refuse) = (raw.clone(), refuse.clone());
            Box::pin(async move {
                tokio::time::sleep(Duration::from_micros(200)).await;
                let mut left = refuse.lock().unwrap();
                if *left > 0 {
                    *left -= 1;
                    return Err("no broker".into());
                }
                raw.lock().unwrap().push(one);
                Ok(())
            })
        };
        let tell = move |_: &str, notice: &Notice| told.lock().unwrap().push(notice.clone());
        Port { put: Arc::new(put), clock: || EventTime::from_millis(1_780_200_000_000), tell: Arc::new(tell) }
    }

    fn texts(&self) -> Vec<String> {
        let raw = self.raw.lock().unwrap();
        raw.iter().map(|one| String::from_utf8_lossy(&one.payload).into_owned()).collect()
    }

    fn told(&self) -> Vec<Notice> {
        self.told.lock().unwrap().clone()
    }

    fn gaps(&self) -> Vec<String> {
        self.told()
            .iter()
            .filter_map(|n| if let Notice::Gap(gap) = n { Some(gap.to_string()) } else { None })
            .collect()
    }

    async fn wait_for(&self, wanted: impl Fn(&Self) -> bool) {
        let wait = async {
            while !wanted(self) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        let told = self.told().into_iter().filter(|n| *n != Notice::Taken).collect::<Vec<_>>();
        assert!(waited.is_ok(), "{} came; {told:#?}", self.raw.lock().unwrap().len());
    }
}

/// An event of second `i`.
fn event(i: u64) -> String {
    json!({ "did": "did:plc:a", "time_us": START + i * SECOND, "kind": "commit", "n": i }).to_string()
}

/// The cursor that a connection asked for.
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

/// What a connection does wrong, after it has sent the events up to one.
enum Fault {
    /// The connection is cut.
    Cut(u64),
    /// It is closed in good order, after every event was sent twice.
    Twice(u64),
    /// A text that is no UTF-8.
    NotUtf8(u64),
    /// An event that no topic takes, and on it goes.
    TooLargeForATopic(u64),
    /// A frame that no client takes.
    Huge(u64),
    /// Nothing more comes.
    Silence(u64),
    /// What was before this second is not kept any more.
    Forgotten(u64, u64),
}

async fn serve(listener: TcpListener, faults: Vec<Fault>) {
    for fault in faults {
        let (mut socket, cursor) = accepted(&listener).await;
        // As Jetstream does: what is after the cursor, or what comes from now on.
        let from =
            cursor.map_or(0, |cursor| (cursor.saturating_sub(START) / SECOND) + u64::from(cursor >= START));
        let (from, to) = match &fault {
            Fault::Forgotten(first, to) => (from.max(*first), *to),
            Fault::Cut(to) | Fault::Twice(to) | Fault::NotUtf8(to) | Fault::Huge(to) => (from, *to),
            Fault::TooLargeForATopic(to) | Fault::Silence(to) => (from, *to),
        };
        // What cannot be read, or is too large, is told by its fault alone.
        for i in (from..to).filter(|i| *i != 60 && *i != 70) {
            socket.send(Message::text(event(i))).await.unwrap();
            if matches!(fault, Fault::Twice(_)) {
                socket.send(Message::text(event(i))).await.unwrap();
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
            Fault::Forgotten(..) => {
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
        silent: Duration::from_millis(500),
    }
}

async fn serving(faults: Vec<Fault>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/subscribe", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, faults));
    url
}

fn seconds(texts: &[String]) -> Vec<u64> {
    texts.iter().filter_map(|text| serde_json::from_str::<Value>(text).ok()?["n"].as_u64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jetstream_that_misbehaves_loses_nothing_that_its_cursor_brings_back() {
    let source = jetstream(vec![
        Fault::Cut(20),
        Fault::Twice(40),
        Fault::Silence(50),
        // The event of second 60 cannot be read, 70 is too large, and 80 is larger than any client takes.
        Fault::NotUtf8(60),
        Fault::TooLargeForATopic(70),
        Fault::Huge(80),
        // What was before second 400 is gone.
        Fault::Forgotten(400, 420),
    ])
    .await;
    let topic = Topic::default();
    let task = tokio::spawn(follow_jetstream(source, None, topic.port()));
    topic.wait_for(|topic| seconds(&topic.texts()).contains(&419)).await;
    task.abort();
    let came = seconds(&topic.texts());
    let unique: BTreeSet<u64> = came.iter().copied().collect();
    assert_eq!(came.len(), unique.len(), "what the server sends again is left out");
    let wanted: BTreeSet<u64> = (0..80).filter(|i| *i != 60 && *i != 70).chain(400..420).collect();
    assert_eq!(
        unique,
        wanted,
        "{:?}",
        topic.told().iter().filter(|n| **n != Notice::Taken).collect::<Vec<_>>()
    );
    assert_eq!(
        topic.gaps(),
        [
            "payloads from 2026-05-30T09:00:59.000Z to 2026-05-30T09:01:01.000Z, 2 s, may be missing",
            "payloads from 2026-05-30T09:01:19.000Z to 2026-05-30T09:06:40.000Z, 5 min, may be missing",
        ],
    );
    let left_out: Vec<String> = topic
        .told()
        .into_iter()
        .filter_map(|n| if let Notice::LeftOut(why) = n { Some(why) } else { None })
        .collect();
    assert_eq!(left_out.len(), 1, "{left_out:?}");
    assert!(left_out[0].contains("bytes, of 2026-05-30T09:01:10"), "{left_out:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_brokers_did_not_take_is_asked_for_again_and_a_restart_goes_on_from_the_cursor() {
    let topic = Topic::default();
    *topic.refuse.lock().unwrap() = 3;
    let source = jetstream((0..8).map(|i| Fault::Silence(30 + u64::from(i > 0) * 10)).collect()).await;
    let task = tokio::spawn(follow_jetstream(source, Some(START), topic.port()));
    topic.wait_for(|topic| seconds(&topic.texts()).contains(&39)).await;
    task.abort();
    let came: BTreeSet<u64> = seconds(&topic.texts()).into_iter().collect();
    assert_eq!(
        came,
        (0..40).collect(),
        "the cursor was that of second 0, and a little before it is asked for"
    );
    let cursors = topic.raw.lock().unwrap().iter().filter_map(|raw| raw.cursor.clone()).max();
    assert_eq!(cursors, Some((START + 39 * SECOND).to_string()), "a restart reads this from the topic");
    assert!(topic.told().contains(&Notice::Trouble("no broker".into())));
    assert!(topic.gaps().is_empty());
}

// Mastodon.

#[derive(Default)]
struct Instance {
    /// Streams opened so far.
    opened: Mutex<usize>,
    /// The token that is taken.
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

/// The first stream breaks off in the middle of an event; the second sends what cannot be read, and is silent then.
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
                // An event that comes in pieces.
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
struct Asked {
    min_id: u64,
    limit: u64,
}

/// Statuses 11 to 120 exist; those right after `min_id` are told, the newest first.
async fn timeline(
    State(instance): State<Arc<Instance>>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Response {
    if !is_known(&instance, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let from = asked.min_id + 1;
    let statuses: Vec<Value> = (from..=120).take(asked.limit as usize).map(status).collect();
    axum::Json(statuses.into_iter().rev().collect::<Vec<_>>()).into_response()
}

async fn listening(routes: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    at
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mastodon_that_misbehaves_is_caught_up_with_by_its_timeline() {
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
        silent: Duration::from_secs(20),
        refused: Duration::from_millis(50),
    };
    let topic = Topic::default();
    let task = tokio::spawn(follow_mastodon(source, None, topic.port()));
    // The token is refused at first, and that is told.
    let refused = |topic: &Topic| {
        topic
            .told()
            .iter()
            .any(|n| matches!(n, Notice::Trouble(p) if p.contains("refuses the token (401 Unauthorized)")))
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
    // In order, each once: what the first stream broke off in and all that was missed came from the timeline.
    assert_eq!(ids, (11..=120).chain([130]).collect::<Vec<u64>>());
    assert!(
        topic.texts().iter().any(|text| text.contains('\u{fffd}')),
        "what is no UTF-8 is kept for the dead letters"
    );
    let told = topic.told();
    let gaps: Vec<_> =
        told.iter().filter_map(|n| if let Notice::Gap(gap) = n { Some(gap.what) } else { None }).collect();
    assert_eq!(gaps, [Missing::EditsAndDeletions]);
    assert!(told.iter().any(|n| matches!(n, Notice::LeftOut(why) if why.contains("more than"))), "{told:?}");
}

// Webhooks.

const SECRET: &str = "a secret of ours";

async fn receiver(topic: &Topic, rate: u32) -> String {
    let source = |name: &str, hook: Hook| HookSource {
        name: name.into(),
        topic: format!("raw.{name}"),
        hook,
        rate: rate.try_into().unwrap(),
    };
    let meta = Hook::Meta { secret: SECRET.into(), verify_token: "to verify".into() };
    let sources = vec![source("facebook", meta), source("forum", Hook::Bearer { secret: SECRET.into() })];
    format!("http://{}/hooks", listening(hooks(sources, topic.port())).await)
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_acknowledged_only_when_the_topic_has_it_and_only_for_whom_it_is() {
    let topic = Topic::default();
    let (at, client) = (receiver(&topic, 1000).await, client());
    let post = |name: &str, token: &str, body: Vec<u8>| {
        let request = client.post(format!("{at}/{name}")).header("authorization", format!("Bearer {token}"));
        async move { request.body(body).send().await.unwrap().status().as_u16() }
    };
    assert_eq!(post("forum", SECRET, b"{\"a\":1}".to_vec()).await, 200);
    assert_eq!(topic.texts(), ["{\"a\":1}"]);
    assert_eq!(post("forum", "guessed", b"{}".to_vec()).await, 401);
    assert_eq!(post("facebook", SECRET, b"{}".to_vec()).await, 401, "a signature is asked for");
    assert_eq!(post("nobody", SECRET, b"{}".to_vec()).await, 404);
    assert_eq!(post("forum", SECRET, vec![b'x'; (1 << 20) + 1]).await, 413);
    *topic.refuse.lock().unwrap() = 1;
    assert_eq!(post("forum", SECRET, b"{\"b\":2}".to_vec()).await, 503, "to be sent again");
    assert_eq!(post("forum", SECRET, b"{\"b\":2}".to_vec()).await, 200);
    assert_eq!(topic.texts(), ["{\"a\":1}", "{\"b\":2}"], "nothing that was refused is in it");
    let asked = |token: &str| {
        let url = format!("{at}/facebook?hub.mode=subscribe&hub.verify_token={token}&hub.challenge=4711");
        let request = client.get(url);
        async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    };
    assert_eq!(asked("to%20verify").await, (200, "4711".into()));
    assert_eq!(asked("other").await.0, 403);
    let told = format!("{:?}", topic.told());
    assert!(!told.contains(SECRET) && !told.contains("guessed"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_fast_is_asked_to_wait() {
    let topic = Topic::default();
    let (at, client) = (receiver(&topic, 5).await, client());
    let mut answers = Vec::new();
    for _ in 0..30 {
        let request = client.post(format!("{at}/forum")).bearer_auth(SECRET).body("{}");
        answers.push(request.send().await.unwrap().status().as_u16());
    }
    let taken = answers.iter().filter(|answer| **answer == 200).count();
    assert!((5..25).contains(&taken), "{answers:?}");
    assert!(answers.iter().all(|answer| *answer == 200 || *answer == 429), "{answers:?}");
    assert_eq!(topic.texts().len(), taken);
}

// The command, on a real Kafka.

fn raw(deployment: &Deployment, topic: &str, least: usize) -> Vec<String> {
    let tail = Tail::new(&deployment.settings, &[topic.to_owned()]).unwrap();
    let (mut all, start) = (Vec::new(), std::time::Instant::now());
    loop {
        match tail.next(Duration::from_millis(1000)).unwrap() {
            Some(record) => all.push(String::from_utf8_lossy(&record.value).into_owned()),
            None if all.len() >= least => return all,
            None => assert!(start.elapsed() < PATIENCE, "{topic} holds {} of {least}", all.len()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn collect_goes_on_where_it_was_killed_and_takes_no_webhook_that_kafka_does_not_have() {
    if !can_run_kafka() {
        return;
    }
    let cluster = Cluster::up("collect", 29492, 1);
    let deployment = Deployment::new(&cluster.bootstrap_servers(), "collect", "[brands.northcare]\n");
    let stream = serving(vec![Fault::Silence(30), Fault::Silence(60)]).await;
    let at = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    deployment.configure(&format!(
        "[collect]\nlisten = \"{at}\"\n[sources.bluesky]\n[sources.bluesky.stream]\nurl = \"{stream}\"\n\
         [sources.facebook]\n[sources.facebook.webhook]\nsecret = \"{SECRET}\"\nverify_token = \"to verify\"\n\
         [kafka.producer]\n\"message.timeout.ms\" = \"3000\"\n"
    ));
    deployment.make_topics(1);
    let mut instance = deployment.serve("collect");
    raw(&deployment, "raw.bluesky", 30);
    instance.kill();
    let mut instance = deployment.serve("collect");
    let came: BTreeSet<u64> = seconds(&raw(&deployment, "raw.bluesky", 60)).into_iter().collect();
    assert_eq!(came, (0..60).collect());
    let signed = |body: &'static str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let request = client().post(format!("http://{at}/hooks/facebook"));
        let request = request.header("x-hub-signature-256", format!("sha256={hex}")).body(body);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(signed("{\"object\":\"page\",\"entry\":[]}").await, 200);
    assert_eq!(raw(&deployment, "raw.facebook", 1), ["{\"object\":\"page\",\"entry\":[]}"]);
    cluster.kill(1);
    assert_eq!(signed("{\"n\":2}").await, 503, "no broker has it");
    cluster.start(1);
    let mut answer = 0;
    for _ in 0..60 {
        answer = signed("{\"n\":3}").await;
        if answer == 200 {
            break;
        }
    }
    assert_eq!(answer, 200);
    let kept = raw(&deployment, "raw.facebook", 2);
    assert!(kept.contains(&"{\"n\":3}".to_owned()), "{kept:?}");
    let metrics = instance.get("/metrics").unwrap();
    assert!(
        sum_of(&metrics, "firewatch_collected_total{source=\"facebook\",what=\"taken\"}") >= 2.0,
        "{metrics}"
    );
    assert!(instance.stop());
}
