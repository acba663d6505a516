//! The webhook receiver.

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
    let sources = vec![source("facebook", meta), source("forum", HookAuth::Bearer { secret: SECRET.into() })];
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
