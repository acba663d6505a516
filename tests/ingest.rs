//! `firewatch ingest` on a real Kafka: raw topics into the events topic exactly once, and one outage on four
//! networks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use firewatch_domain::EventTime;
use firewatch_ingest::{Ingester, PayloadDecoder, Platform};
use firewatch_kafka::RecordProducer;
use firewatch_tests::{Cluster, Deployment, Instance, can_run_kafka, metric_sum};
use serde_json::{Value, json};

const WAIT_DEADLINE: Duration = Duration::from_secs(90);
const POLICY: &str = "horizon = \"2h\"\n[brands.northcare]\nhandles = [\"@NorthCare\"]\n[storms]\nleast_posts = 10\n\
    group_interval = \"30s\"\n[windows]\nstep = \"5s\"\nlateness = \"1s\"\n";

/// The cluster that the tests of this file share while any of them runs.
static CLUSTER: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

fn cluster() -> Arc<Cluster> {
    let mut shared = CLUSTER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let cluster = Arc::new(Cluster::start_up("ingest", 29392, 1));
        *shared = Arc::downgrade(&cluster);
        cluster
    })
}

fn deployment(cluster: &Cluster, name: &str, engine: &str, sources: &[(&str, &str)]) -> Deployment {
    let deployment = Deployment::new(&cluster.bootstrap_servers(), name, POLICY);
    let sections: Vec<String> = sources
        .iter()
        .map(|(source, settings)| format!("[sources.{source}]\ntopic = \"{name}.raw.{source}\"\n{settings}"))
        .collect();
    deployment.configure(&format!("{engine}\n{}", sections.join("\n")));
    deployment.make_topics(3);
    deployment
}

fn feed(deployment: &Deployment, topic: &str, payloads: &[Vec<u8>]) {
    let feed = RecordProducer::new(&deployment.settings).unwrap();
    for payload in payloads {
        feed.send(topic, None, payload, &[]).unwrap();
    }
    feed.flush().unwrap();
}

/// Returns a status of X's API v1.1. Every fourth replies to the one before, every ninth is invalid, every
/// fifth is not relevant.
fn payload(i: u32) -> Vec<u8> {
    match i {
        _ if i % 9 == 8 => format!("{{\"id_str\":\"{i}\",\"text\":").into_bytes(),
        _ if i % 5 == 4 => br#"{"limit":{"track":1}}"#.to_vec(),
        _ => {
            let answers = (i % 4 == 3).then(|| (i - 1).to_string());
            json!({
                "id_str": i.to_string(), "text": format!("words {i}"), "timestamp_ms": (1_780_131_600_000 + u64::from(i)).to_string(),
                "user": { "id_str": format!("u{}", i % 50), "screen_name": "a", "followers_count": i % 700 },
                "in_reply_to_status_id_str": answers,
            })
            .to_string()
            .into_bytes()
        }
    }
}

/// Groups events by conversation and keeps their order.
fn by_conversation<'a>(events: impl Iterator<Item = Value> + 'a) -> BTreeMap<String, Vec<Value>> {
    let mut all: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in events {
        all.entry(event["conversation"].as_str().unwrap().to_owned()).or_default().push(event);
    }
    all
}

#[test]
fn every_payload_is_emitted_once_despite_repeated_kills() {
    if !can_run_kafka() {
        return;
    }
    let cluster = cluster();
    // Small commits, so that a kill always interrupts one.
    let deployment = deployment(&cluster, "once", "commit_records = 100", &[("x", "")]);
    let payloads: Vec<Vec<u8>> = (0..60_000).map(payload).collect();
    let mut intake = Ingester::new(PayloadDecoder::new(Platform::X), 1_000_000);
    let (mut expected, mut faults) = (Vec::new(), 0);
    for payload in &payloads {
        let decoded = intake.ingest(payload, EventTime::END);
        faults += decoded.rejections.iter().filter(|rejection| rejection.code.is_fault()).count();
        expected.extend(decoded.events.iter().map(|event| serde_json::to_value(event).unwrap()));
    }
    feed(&deployment, "once.raw.x", &payloads[..20_000]);
    let counted = |instance: &Instance| {
        metric_sum(&instance.get("/metrics").unwrap_or_default(), "firewatch_payloads_total") as usize
    };
    // Kills it in the middle of the work, again and again.
    let mut before = 0;
    for i in 0..6 {
        let mut instance = deployment.serve("ingest");
        if i == 2 {
            feed(&deployment, "once.raw.x", &payloads[20_000..]);
        }
        std::thread::sleep(Duration::from_millis(20 + 30 * i));
        before += counted(&instance);
        instance.kill();
    }
    let mut instance = deployment.serve("ingest");
    assert!(before < payloads.len(), "all payloads were read before the last kill");
    let events = deployment.read(&deployment.topics.events, expected.len());
    assert_eq!(events.len(), expected.len());
    for record in events.iter().take(100) {
        let event: Value = serde_json::from_slice(&record.value).unwrap();
        assert_eq!(record.key.as_deref(), event["conversation"].as_str().map(str::as_bytes));
    }
    let found = events.iter().map(|record| serde_json::from_slice(&record.value).unwrap());
    let (found, wanted) = (by_conversation(found), by_conversation(expected.into_iter()));
    let first_other = found.iter().zip(&wanted).find(|(found, wanted)| found != wanted);
    assert!(found == wanted, "{first_other:?}");
    let letters = deployment.read(&deployment.topics.dead_letters, faults);
    assert_eq!(letters.len(), faults, "each invalid payload is kept, and irrelevant ones are not");
    assert!(counted(&instance) > 0 && before > 0, "{before}");
    assert!(instance.stop());
}

#[test]
fn a_missing_raw_topic_and_an_invalid_source_are_reported() {
    if !can_run_kafka() {
        return;
    }
    let cluster = cluster();
    let deployment = Deployment::new(&cluster.bootstrap_servers(), "absent", POLICY);
    let error_output = |sources: &str| {
        deployment.configure(sources);
        let out = deployment.command(&["ingest"], &[]);
        assert!(!out.status.success());
        String::from_utf8(out.stderr).unwrap()
    };
    assert!(error_output("").contains("sources: there are none"), "{}", error_output(""));
    let unsound = error_output(
        "[sources.forum]\nplatform = \"generic\"\n[sources.forum.mapping]\nid = \"id\"\n[sources.two]\n",
    );
    for problem in [
        "sources.forum.mapping.id: `id` is not a JSON pointer; give one such as `/user/id`",
        "sources.forum.mapping.at: is missing",
        "sources.two.platform: is missing",
    ] {
        assert!(unsound.contains(problem), "{unsound}");
    }
    let absent = error_output("[sources.x]\ntopic = \"absent.raw\"\n");
    assert!(absent.contains("absent.raw, absent.raw.state are missing"), "{absent}");
}

const OUTAGE: [&str; 4] = [
    "the member portal is down again, cannot log in, this is the worst service ever",
    "still cannot log in to the portal, it has been down for an hour, unacceptable",
    "portal down, error after error, so angry, useless company",
    "why is the portal down AGAIN, terrible, I am furious and cannot log in",
];

/// Returns a complaint about the outage as each network formats it.
fn complaint(i: u32, at: EventTime) -> [(&'static str, Value); 4] {
    let text = format!("@NorthCare {} {}", OUTAGE[(i % 4) as usize], i);
    let (millis, secs) = (at.as_millis(), at.as_millis() / 1000);
    [
        (
            "x",
            json!({
                "data": { "id": format!("17950000000000{i:05}"), "text": text, "author_id": format!("u{i}"), "created_at": at, "lang": "en" },
                "includes": { "users": [{ "id": format!("u{i}"), "username": format!("u{i}"), "public_metrics": { "followers_count": 100 + i } }] },
            }),
        ),
        (
            "mastodon",
            json!({ "stream": ["public"], "event": "update", "payload": json!({
            "id": format!("11{i:06}"), "created_at": at, "visibility": "public", "language": "en", "content": format!("<p>{text}</p>"),
            "account": { "id": format!("m{i}"), "acct": format!("m{i}"), "followers_count": 50 },
        }).to_string() }),
        ),
        (
            "bluesky",
            json!({
                "did": format!("did:plc:b{i}"), "time_us": millis * 1000, "kind": "commit", "commit": {
                    "operation": "create", "collection": "app.bsky.feed.post", "rkey": format!("r{i}"),
                    "record": { "createdAt": at, "text": text, "langs": ["en"] },
                },
            }),
        ),
        (
            "facebook",
            json!({ "object": "page", "entry": [{ "id": "900", "time": secs, "changes": [{ "field": "feed", "value": {
            "item": "post", "verb": "add", "post_id": format!("900_{i}"), "from": { "id": format!("f{i}") }, "message": text, "created_time": secs,
        } }] }] }),
        ),
    ]
}

#[test]
fn one_outage_on_four_networks_is_one_storm() {
    if !can_run_kafka() {
        return;
    }
    let cluster = cluster();
    let networks = ["x", "mastodon", "bluesky", "facebook"];
    let deployment = deployment(&cluster, "storm", "", &networks.map(|network| (network, "")));
    let (mut ingest, mut run) = (deployment.serve("ingest"), deployment.start_until_ready());
    let (start, feed) =
        (EventTime::from_millis(1_780_131_600_000), RecordProducer::new(&deployment.settings).unwrap());
    for i in 0..24_u32 {
        let at = start + firewatch_domain::Duration::from_secs(i64::from(i) * 9);
        for (network, payload) in complaint(i, at) {
            feed.send(&format!("storm.raw.{network}"), None, payload.to_string().as_bytes(), &[]).unwrap();
        }
        feed.flush().unwrap();
        // As in a real outage, the networks report it side by side.
        std::thread::sleep(Duration::from_millis(150));
    }
    let events = deployment.read(&deployment.topics.events, 24 * 4);
    assert_eq!(events.len(), 24 * 4);
    let start = Instant::now();
    let found = loop {
        let found = deployment.read(&deployment.topics.team_topic("pr"), 1);
        let found: Vec<Value> =
            found.iter().map(|record| serde_json::from_slice(&record.value).unwrap()).collect();
        let storm = found.iter().filter(|e| e["conversation"].as_str().unwrap().starts_with("storm/"));
        if storm.filter_map(|e| e["members"].as_u64()).max() >= Some(60) {
            break found;
        }
        let short =
            |e: &Value| format!("{} {} {} {}", e["conversation"], e["news"], e["members"], e["reasons"]);
        assert!(start.elapsed() < WAIT_DEADLINE, "{:#?}", found.iter().map(short).collect::<Vec<_>>());
    };
    let storms: Vec<&Value> =
        found.iter().filter(|e| e["conversation"].as_str().unwrap().starts_with("storm/")).collect();
    let opened = storms.iter().filter(|e| e["news"] == "opened").count();
    assert_eq!(opened, 1, "{storms:#?}");
    // Each reach has an estimate; its lower bound is above 0 only where the network reports followers.
    let scores = deployment.read(&deployment.topics.scores, 24 * 4);
    for record in scores {
        let score: Value = serde_json::from_slice(&record.value).unwrap();
        let reach = &score["reach"];
        let (low, estimate) = (reach["low"].as_u64().unwrap(), reach["estimate"].as_u64().unwrap());
        let network = score["conversation"].as_str().unwrap().split(':').next().unwrap().to_owned();
        let reports_followers = network == "x" || network == "mastodon";
        assert_eq!((reach["unknown"] == 0, low > 0), (reports_followers, reports_followers), "{score}");
        assert!(estimate >= low && estimate > 0, "{score}");
    }
    assert!(ingest.stop() && run.stop());
}
