//! Producers with different partitioners on a real Kafka: every event and action takes effect, once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use firewatch_escalation::SUPPORT;
use firewatch_kafka::RecordProducer;
use firewatch_tests::{Cluster, Deployment, can_run_kafka, event, metric_sum, post, reshare, values};
use serde_json::{Value, json};

const ANGRY: &str = "This is terrible, the worst service ever, I am so angry and disgusted";
/// Every reshare moves the risk enough for a score, and every complaint is escalated.
const POLICY: &str = "score_step = 0.1\n[brands.aldermere]\n[storms]\nleast_posts = 100000\n\
    [routes.complaint]\nteam = \"support\"\nwhen = { low = \"complaint >= 0.5\" }\n";
const WAIT_DEADLINE: Duration = Duration::from_secs(120);
const PARTITIONS: u32 = 6;
const CONVERSATIONS: usize = 2_000;
/// Events of each conversation: its post and reshares.
const EVENTS_EACH: usize = 5;
const ACTIONS: usize = 1_000;

/// Producers of all partitioners of librdkafka.
struct MixedProducers(Vec<RecordProducer>);

impl MixedProducers {
    fn new(firewatch: &Deployment) -> Self {
        let with = |partitioner: &str| {
            let mut settings = firewatch.settings.clone();
            settings.producer = vec![("partitioner".to_owned(), partitioner.to_owned())];
            RecordProducer::new(&settings).unwrap()
        };
        Self(["murmur2_random", "consistent_random", "fnv1a_random"].map(with).into())
    }

    /// Sends a record with one of the producers, now and then without a key.
    fn send(&self, rng: &mut fastrand::Rng, topic: &str, key: &str, value: &Value) {
        let producer = rng.choice(&self.0).unwrap();
        let key = (rng.u8(0..8) > 0).then_some(key);
        producer.send(topic, key, value.to_string().as_bytes(), &[]).unwrap();
    }

    fn flush(&self) {
        self.0.iter().for_each(|producer| producer.flush().unwrap());
    }
}

#[test]
fn mixed_partitioners_lose_no_event_and_no_action() {
    if !can_run_kafka() {
        return;
    }
    let cluster = Cluster::start_up("partitioners", 29792, 1);
    let firewatch = Deployment::new(&cluster.bootstrap_servers(), "mixed", POLICY);
    firewatch.make_topics(PARTITIONS);
    let producers = MixedProducers::new(&firewatch);
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    for i in 0..CONVERSATIONS {
        let (conversation, at) = (format!("c{i}"), i as f64 / 10.0);
        let events = (0..EVENTS_EACH).map(|n| match n {
            0 => event(&format!("p{i}"), &conversation, at, &post(200, ANGRY)),
            n => event(&format!("r{i}.{n}"), &conversation, at, &reshare(&format!("a{n}"), 200_000)),
        });
        events.for_each(|event| producers.send(&mut rng, &firewatch.topics.events, &conversation, &event));
    }
    producers.flush();
    let mut instance = firewatch.start_until_ready();
    let _ = instance.wait_for_events(CONVERSATIONS * EVENTS_EACH, WAIT_DEADLINE);
    // What is forwarded comes back through the signals topic.
    let scores = values(&firewatch.read(&firewatch.topics.scores, 2 * CONVERSATIONS));
    let mut reshares: BTreeMap<&str, u64> = BTreeMap::new();
    for score in &scores {
        let most = reshares.entry(score["conversation"].as_str().unwrap()).or_default();
        *most = score["engagements"]["reshares"].as_u64().unwrap().max(*most);
    }
    assert_eq!(reshares.len(), CONVERSATIONS);
    let incomplete: Vec<_> = reshares.iter().filter(|(_, n)| **n != EVENTS_EACH as u64 - 1).collect();
    assert!(incomplete.is_empty(), "{incomplete:?}");
    let support = firewatch.topics.team_topic(SUPPORT);
    let opened = values(&firewatch.read(&support, CONVERSATIONS));
    assert_eq!(opened.len(), CONVERSATIONS, "each conversation is escalated once");

    for escalation in opened.iter().take(ACTIONS) {
        let conversation = escalation["conversation"].as_str().unwrap();
        let action = json!({
            "v": 1, "id": "acknowledged", "conversation": conversation, "at": escalation["at"], "by": "kim", "kind": "acknowledge",
        });
        producers.send(&mut rng, &firewatch.topics.actions, conversation, &action);
    }
    producers.flush();
    let records = values(&firewatch.read(&support, CONVERSATIONS + ACTIONS));
    let acknowledged = records.iter().filter(|r| r["state"] == "acknowledged");
    let acknowledged: BTreeSet<_> = acknowledged.filter_map(|r| r["conversation"].as_str()).collect();
    assert_eq!((records.len(), acknowledged.len()), (CONVERSATIONS + ACTIONS, ACTIONS));

    let metrics = instance.get("/metrics").unwrap();
    let count = |outcome: &str, stream: &str| {
        metric_sum(&metrics, &format!("firewatch_records_total{{outcome=\"{outcome}\",stream=\"{stream}\"}}"))
    };
    assert!(count("forwarded", "events") > 5_000.0 && count("forwarded", "actions") > 500.0, "{metrics}");
    assert_eq!(count("unknown_conversation", "actions") + count("unknown_conversation", "signals"), 0.0);
    assert_eq!(metric_sum(&metrics, "firewatch_conversations{"), CONVERSATIONS as f64);
    assert_eq!(firewatch.read(&firewatch.topics.dead_letters, 0), []);
    let log = std::fs::read_to_string(&instance.log).unwrap();
    assert!(log.contains("the conversation lives in another partition by `murmur2_random`"), "{log}");
    assert!(instance.stop());

    let replay = firewatch.command(&["replay"], &["--prefix", "again."]);
    assert!(replay.status.success(), "{}", String::from_utf8_lossy(&replay.stderr));
    let again = firewatch.topics.with_prefix("again.").team_topic(SUPPORT);
    let again = values(&firewatch.read(&again, CONVERSATIONS));
    let opened = again.iter().filter(|r| r["news"] == "opened").count();
    assert_eq!(opened, CONVERSATIONS, "a replay forwards as well, and ends when all has arrived");

    let check = firewatch.command(&["topics", "check"], &["--sample", "100"]);
    let output = String::from_utf8_lossy(&check.stdout);
    println!("{output}");
    assert_eq!(check.status.code(), Some(1));
    assert!(output.contains("expected partitioner: murmur2_random"), "{output}");
    assert!(output.contains("are not where firewatch expects them"), "{output}");
}

#[test]
fn producers_of_one_other_partitioner_are_named_and_need_no_forwarding() {
    if !can_run_kafka() {
        return;
    }
    let cluster = Cluster::start_up("partitioner", 29892, 1);
    let firewatch = Deployment::new(&cluster.bootstrap_servers(), "crc", POLICY);
    firewatch.make_topics(PARTITIONS);
    let mut settings = firewatch.settings.clone();
    settings.producer = vec![("partitioner".to_owned(), "consistent_random".to_owned())];
    let producer = RecordProducer::new(&settings).unwrap();
    for i in 0..300 {
        let conversation = format!("c{i}");
        let post = event(&format!("p{i}"), &conversation, f64::from(i), &post(200, ANGRY));
        producer
            .send(&firewatch.topics.events, Some(&conversation), post.to_string().as_bytes(), &[])
            .unwrap();
    }
    producer.flush().unwrap();
    let check = firewatch.command(&["topics", "check"], &[]);
    let output = String::from_utf8_lossy(&check.stdout);
    assert_eq!(check.status.code(), Some(1), "{output}");
    assert!(
        output.contains("set `\"partitioner\" = \"consistent_random\"` under [kafka.producer]"),
        "{output}"
    );

    firewatch.configure("[kafka.producer]\n\"partitioner\" = \"consistent_random\"");
    let check = firewatch.command(&["topics", "check"], &[]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    let mut instance = firewatch.start_until_ready();
    let metrics = instance.wait_for_events(300, WAIT_DEADLINE);
    assert_eq!(metric_sum(&metrics, "firewatch_records_total{outcome=\"forwarded\""), 0.0);
    assert!(instance.stop());
    firewatch.configure("[kafka.producer]\n\"partitioner\" = \"random\"");
    let refused = firewatch.command(&["check"], &[]);
    let output = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && output.contains("use murmur2_random, consistent_random, fnv1a_random"),
        "{output}"
    );
}
