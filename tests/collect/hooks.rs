//! The webhook receiver.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use firewatch_collect::{HookSource, hook_routes};
use firewatch_ingest::HookAuth;

use crate::{Topic, listening};

pub const SECRET: &str = "a secret of ours";

async fn receiver(topic: &Topic, rate: u32) -> String {
    let source = |name: &str, hook: HookAuth| HookSource {
        name: name.into(),
        topic: format!("raw.{name}"),
        hook,
        rate: rate.try_into().unwrap(),
    };
    let meta = HookAuth::Meta { secret: SECRET.into(), verify_token: "to verify".into() };
    let sources = vec![
        source("facebook", meta),
        source("x", HookAuth::X { secret: SECRET.into() }),
        source("forum", HookAuth::Bearer { secret: SECRET.into() }),
    ];
    format!("http://{}/hooks", listening(hook_routes(sources, topic.port())).await)
}

pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_acknowledged_only_when_authentic_and_written_to_the_topic() {
    let topic = Topic::default();
    let (at, client) = (receiver(&topic, 1000).await, client());
    let post = |name: &str, token: &str, body: Vec<u8>| {
        let request = client.post(format!("{at}/{name}")).header("authorization", format!("Bearer {token}"));
        async move { request.body(body).send().await.unwrap().status().as_u16() }
    };
    assert_eq!(post("forum", SECRET, b"{\"a\":1}".to_vec()).await, 200);
    assert_eq!(topic.texts(), ["{\"a\":1}"]);
    assert_eq!(post("forum", "guessed", b"{}".to_vec()).await, 401);
    assert_eq!(post("facebook", SECRET, b"{}".to_vec()).await, 401, "a signature is required");
    assert_eq!(post("nobody", SECRET, b"{}".to_vec()).await, 404);
    assert_eq!(post("forum", SECRET, vec![b'x'; (1 << 20) + 1]).await, 413);
    *topic.refuse.lock().unwrap() = 1;
    assert_eq!(post("forum", SECRET, b"{\"b\":2}".to_vec()).await, 503, "the sender must retry");
    assert_eq!(post("forum", SECRET, b"{\"b\":2}".to_vec()).await, 200);
    assert_eq!(topic.texts(), ["{\"a\":1}", "{\"b\":2}"], "the topic has no refused webhook");
    let verify = |token: &str| {
        let url = format!("{at}/facebook?hub.mode=subscribe&hub.verify_token={token}&hub.challenge=4711");
        let request = client.get(url);
        async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    };
    assert_eq!(verify("to%20verify").await, (200, "4711".into()));
    assert_eq!(verify("other").await.0, 403);
    let notices = format!("{:?}", topic.notices());
    assert!(!notices.contains(SECRET) && !notices.contains("guessed"), "{notices}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_over_its_rate_limit_gets_status_429() {
    let topic = Topic::default();
    let (at, client) = (receiver(&topic, 5).await, client());
    let mut answers = Vec::new();
    for _ in 0..30 {
        let request = client.post(format!("{at}/forum")).bearer_auth(SECRET).body("{}");
        answers.push(request.send().await.unwrap().status().as_u16());
    }
    let accepted = answers.iter().filter(|answer| **answer == 200).count();
    assert!((5..25).contains(&accepted), "{answers:?}");
    assert!(answers.iter().all(|answer| *answer == 200 || *answer == 429), "{answers:?}");
    assert_eq!(topic.texts().len(), accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_uses_up_nothing_of_what_is() {
    let topic = Topic::default();
    let (at, client) = (receiver(&topic, 5).await, client());
    for _ in 0..50 {
        let answer = client.get(format!("{at}/forum?crc_token=a")).send().await.unwrap();
        assert!([403, 429].contains(&answer.status().as_u16()));
        let answer =
            client.post(format!("{at}/forum")).bearer_auth("guessed").body("{}").send().await.unwrap();
        assert_eq!(answer.status(), 401);
    }
    let signed = client.post(format!("{at}/forum")).bearer_auth(SECRET).body("{}").send().await.unwrap();
    assert_eq!(signed.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_do_not_end_take_bounded_memory_and_small_ones_pass() {
    let topic = Topic::default();
    let (at, client) = (receiver(&topic, 1000).await, client());
    let address = at.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    // They claim to be signed, and send a part of what they announce.
    let open = || {
        let mut stream = TcpStream::connect(&address).unwrap();
        let head = "POST /hooks/facebook HTTP/1.1\r\nHost: localhost\r\nx-hub-signature-256: sha256=00\r\n\
                    Content-Length: 900000\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&[b'x'; 70_000]).unwrap();
        stream
    };
    let slow: Vec<TcpStream> = (0..40).map(|_| open()).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let post = |bytes: usize| {
        let request = client.post(format!("{at}/forum")).bearer_auth(SECRET).body(vec![b'x'; bytes]);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(post(10_000).await, 200);
    assert_eq!(post(500_000).await, 503, "it can be sent again");
    drop(slow);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(post(500_000).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_challenge_of_x_signs_is_taken_for_no_payload() {
    let topic = Topic::default();
    let (at, client) = (receiver(&topic, 1000).await, client());
    let forged = r#"{"data":{"id":"1","text":"forged"}}"#;
    let ask = |token: &str| {
        let url = reqwest::Url::parse_with_params(&format!("{at}/x"), [("crc_token", token)]).unwrap();
        let request = client.get(url);
        async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    };
    assert_eq!(ask(forged).await.0, 403);
    let token = "MTc5NTAwMDAw";
    let (status, answer) = ask(token).await;
    let signature = answer.split('"').nth(3).unwrap();
    assert_eq!((status, signature.starts_with("sha256=")), (200, true), "{answer}");
    let post = client.post(format!("{at}/x")).header("x-twitter-webhooks-signature", signature).body(token);
    assert_eq!(post.send().await.unwrap().status(), 401);
    assert!(topic.texts().is_empty());
}
