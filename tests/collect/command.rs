//! `firewatch collect` on a real Kafka.

use std::collections::BTreeSet;

use firewatch_tests::{Cluster, Deployment, can_run_kafka, metric_sum};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::net::TcpListener;

use crate::hooks::{SECRET, client};
use crate::jetstream::{Fault, seconds, serving};

fn raw(deployment: &Deployment, topic: &str, min_records: usize) -> Vec<String> {
    let records = deployment.read(topic, min_records).into_iter();
    records.map(|record| String::from_utf8_lossy(&record.value).into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn collect_resumes_after_a_kill_and_acknowledges_only_webhooks_that_kafka_has() {
    if !can_run_kafka() {
        return;
    }
    let cluster = Cluster::start_up("collect", 29492, 1);
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
    assert_eq!(signed("{\"n\":2}").await, 503, "no broker has the webhook");
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
        metric_sum(&metrics, "firewatch_collected_total{source=\"facebook\",what=\"taken\"}") >= 2.0,
        "{metrics}"
    );
    assert!(instance.stop());
}
