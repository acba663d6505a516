//! Avro and Protobuf on a real Kafka with a real schema registry. Confluent's client writes records that
//! firewatch reads, and reads those that it writes; problems with schemas are reported and lose nothing.

mod client;
mod relay;
mod tls;
mod unknown_ids;

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use firewatch_domain::{Action, EventTime};
use firewatch_ingest::decode_action;
use firewatch_kafka::{Formats, ReceivedRecord, RecordProducer, RegistrySettings, TopicTail, registry_url};
use firewatch_tests::{Cluster, Deployment, Registry, can_run_kafka, event, post, reshare};
use firewatch_wire::{Contract, Format};
use serde_json::{Value, json};

use crate::client::Client;
use crate::relay::Relay;

const ANGRY: &str = "This is terrible, the worst service ever, I am so angry and disgusted";
const POLICY: &str =
    "horizon = \"10m\"\nviral_bar = 60\n[brands.aldermere]\n[windows]\nstep = \"5s\"\nlateness = \"1s\"\n";
const WAIT_DEADLINE: Duration = Duration::from_secs(60);

/// The cluster and the registry that the tests of this file share while any of them runs.
static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());

struct Shared {
    cluster: Cluster,
    registry: Registry,
}

fn shared() -> Arc<Shared> {
    let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let up = Shared {
            cluster: Cluster::start_up("registry", 29692, 1),
            registry: Registry::start_up("tests", 29682),
        };
        let up = Arc::new(up);
        *shared = Arc::downgrade(&up);
        up
    })
}

impl Shared {
    fn client(&self) -> Client {
        Client { brokers: self.cluster.bootstrap_servers(), registry: self.registry.url() }
    }

    /// Returns a deployment that uses the registry, with these formats.
    fn deployment(&self, name: &str, formats: &str) -> Deployment {
        self.deployment_by(&self.registry.url(), name, formats)
    }

    fn deployment_by(&self, url: &str, name: &str, formats: &str) -> Deployment {
        let mut deployment = Deployment::new(&self.cluster.bootstrap_servers(), name, POLICY);
        deployment.configure(&format!("[registry]\nurl = \"{url}\"\n[formats]\n{formats}"));
        deployment.settings.formats = Formats::new([].into(), Some(by(&self.registry.url())));
        deployment
    }
}

/// Returns settings of a registry in which schemas may be registered.
fn by(url: &str) -> RegistrySettings {
    RegistrySettings {
        urls: vec![registry_url(url, false).unwrap()],
        register: true,
        ..RegistrySettings::default()
    }
}

/// Returns complaints, of which every fifth spreads.
fn events(n: usize) -> Vec<Value> {
    let mut events = Vec::new();
    for i in 0..n {
        let (conversation, at) = (format!("c{i}"), i as f64 * 4.0);
        let text = if i % 3 == 0 { ANGRY } else { "Where do I find the form?" };
        events.push(event(&format!("p{i}"), &conversation, at, &post(900, text)));
        let reshares = if i % 5 == 0 { 40 } else { 2 };
        for r in 0..reshares {
            let at = at + f64::from(r) / 20.0;
            events.push(event(&format!("r{i}.{r}"), &conversation, at, &reshare(&format!("a{r}"), 2000)));
        }
    }
    events
}

fn feed(deployment: &Deployment, events: &[Value]) {
    let key = |event: &Value| event["conversation"].as_str().unwrap_or_default().to_owned();
    deployment.feed(events.iter().map(|event| (key(event), event.to_string().into_bytes())));
}

/// Returns records as JSON, in a sorted order.
fn values(records: &[ReceivedRecord]) -> Vec<Value> {
    let mut values: Vec<Value> =
        records.iter().map(|record| serde_json::from_slice(&record.value).unwrap()).collect();
    values.sort_by_key(|value| value["id"].to_string());
    values
}

fn header<'a>(record: &'a ReceivedRecord, name: &str) -> Option<&'a str> {
    record.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[test]
fn confluents_client_and_firewatch_read_each_others_records() {
    if !can_run_kafka() {
        return;
    }
    let shared = shared();
    let Some(client) = shared.client().ready() else { return };
    let events = events(60);
    let plain = Deployment::new(&shared.cluster.bootstrap_servers(), "plain", POLICY);
    plain.make_topics(3);
    let framed =
        shared.deployment("framed", "scores = \"avro\"\nescalations = \"protobuf\"\ndead_letters = \"avro\"");
    framed.make_topics(3);
    let checked = framed.command(&["check"], &[]);
    let output = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        output.contains("writes   scores in avro, escalations in protobuf, dead_letters in avro, the rest"),
        "{output}"
    );
    // A topic may hold all three formats. Each conversation uses one, because there is no order between
    // producers.
    let of = |form: usize| {
        let is_its = move |event: &&Value| event["conversation"].to_string().len() % 3 == form;
        events.iter().filter(is_its).cloned().collect::<Vec<Value>>()
    };
    // The partitions hold the records in the same order in both.
    (0..3).for_each(|form| feed(&plain, &of(form)));
    client.write(&framed.topics.events, "avro", Contract::Event, &of(0));
    client.write(&framed.topics.events, "protobuf", Contract::Event, &of(1));
    feed(&framed, &of(2));

    let mut instances = [&plain, &framed].map(Deployment::start_until_ready);
    let counts = instances.each_ref().map(|instance| {
        let metrics = instance.wait_for_events(events.len(), WAIT_DEADLINE);
        firewatch_tests::metric_sum(&metrics, "firewatch_effects_total{kind=\"score\"}") as usize
    });
    assert!(counts[0] == counts[1] && counts[0] > 100, "{counts:?}");
    let [wanted, scores] = [&plain, &framed].map(|by| by.read(&by.topics.scores, counts[0]));
    let (ours, in_json) = (values(&scores), values(&wanted));
    let other = ours.iter().zip(&in_json).find(|(ours, in_json)| ours != in_json);
    assert!(ours == in_json, "scores differ from those in JSON: {other:#?}");
    assert_eq!(header(&scores[0], "content-type"), Some("application/avro"));
    assert_eq!(header(&wanted[0], "content-type"), Some("application/json"));
    let [wanted, framed_records] = [&plain, &framed].map(|by| by.read(&by.topics.team_topic("pr"), 1));
    assert_eq!(values(&wanted).len(), values(&framed_records).len());
    assert_eq!(header(&framed_records[0], "content-type"), Some("application/protobuf"));

    let read = client.read(&framed.topics.scores, "avro", Contract::Score, scores.len());
    client::assert_same(&values(&scores), read);
    let read =
        client.read(&framed.topics.team_topic("pr"), "protobuf", Contract::Escalation, framed_records.len());
    client::assert_same(&values(&framed_records), read);
    assert!(instances.iter_mut().all(|instance| instance.stop()));
}

#[test]
fn undecodable_records_are_kept_and_reported() {
    if !can_run_kafka() {
        return;
    }
    let shared = shared();
    let deployment = shared.deployment("unread", "dead_letters = \"protobuf\"");
    deployment.make_topics(3);
    let known = shared.registry.add("unread.events-value", "AVRO", Contract::Event.avro(), &json!([]));
    let itself = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#;
    let itself = shared.registry.add("itself", "AVRO", itself, &json!([]));
    let framed = |id: u32, rest: &[u8]| [&[0], id.to_be_bytes().as_slice(), rest].concat();
    let cases = [
        (framed(77_777, b"hush"), "unknown_schema", "the registry does not have schema 77777"),
        (framed(known, b"\x02\x02\x0ahush"), "schema_mismatch", "the record is truncated"),
        (framed(itself, b"\x00"), "unknown_schema", "contains itself"),
        (b"\x00\x01".to_vec(), "malformed_json", ""),
    ];
    let feed = RecordProducer::new(&deployment.settings).unwrap();
    for (value, ..) in &cases {
        feed.send_to_partition(&deployment.topics.events, 1, "k", value).unwrap();
    }
    feed.flush().unwrap();
    let mut instance = deployment.start_until_ready();
    let letters = deployment.read(&deployment.topics.dead_letters, cases.len());
    assert_eq!(letters.len(), cases.len());
    for ((value, code, words), letter) in cases.iter().zip(&letters) {
        let letter: Value = serde_json::from_slice(&letter.value).unwrap();
        let detail = letter["detail"].as_str().unwrap();
        assert!(letter["code"] == *code && detail.contains(words) && !detail.contains("hush"), "{letter}");
        assert_eq!(client::bytes(&letter["raw"]), *value);
    }
    assert!(instance.stop());
    // Without a registry, the dead letter of a record with a schema id names the missing setting.
    deployment.configure("");
    feed.send_to_partition(&deployment.topics.events, 2, "k", &framed(known, b"hush")).unwrap();
    feed.flush().unwrap();
    let mut instance = deployment.start_until_ready();
    let letters = deployment.read(&deployment.topics.dead_letters, cases.len() + 1);
    let last: Value = serde_json::from_slice(&letters.last().unwrap().value).unwrap();
    assert!(last["detail"].as_str().unwrap().ends_with("set registry.url"), "{last}");
    assert!(instance.stop());
}

#[test]
fn nothing_is_lost_while_the_registry_is_away() {
    if !can_run_kafka() {
        return;
    }
    let shared = shared();
    let Some(client) = shared.client().ready() else { return };
    let relay = Relay::to(&shared.registry.url());
    let deployment = shared.deployment_by(&relay.url(), "away", "scores = \"avro\"");
    deployment.make_topics(3);
    relay.close();
    let mut instance = deployment.start();
    instance.wait_for_log("the schema registry does not answer: Connection refused", 1, WAIT_DEADLINE);
    assert!(!instance.has_ended() && !instance.is_ready(), "it waits");
    relay.open();
    instance.wait_until_ready();

    // A schema that it has to request while the registry is away.
    relay.close();
    let events = events(10);
    client.write(&deployment.topics.events, "avro", Contract::Event, &events);
    let _ = instance.wait_for("/readyz", WAIT_DEADLINE, |answer| answer.contains("is being retried"));
    assert!(!instance.has_ended(), "it waits");
    relay.open();
    instance.wait_for_events(events.len(), WAIT_DEADLINE);
    assert!(instance.stop());
    assert_eq!(deployment.read(&deployment.topics.dead_letters, 0).len(), 0, "no record is dead-lettered");
    assert!(deployment.read(&deployment.topics.scores, 10).len() >= 10);

    // A process that follows a topic, as the console does, waits too and skips nothing.
    relay.close();
    let mut settings = deployment.settings.clone();
    settings.formats = Formats::new([].into(), Some(by(&relay.url())));
    let tail = TopicTail::new(&settings, std::slice::from_ref(&deployment.topics.scores)).unwrap();
    for _ in 0..5 {
        assert_eq!(tail.next(Duration::from_secs(1)).unwrap(), None);
    }
    relay.open();
    let first =
        std::iter::repeat_with(|| tail.next(Duration::from_secs(1)).unwrap()).take(30).flatten().next();
    let first = first.unwrap();
    assert_eq!((first.offset, first.value.first()), (0, Some(&b'{')));
}

#[test]
fn a_registry_that_refuses_is_reported_with_the_remedy() {
    if !can_run_kafka() {
        return;
    }
    let shared = shared();
    let refused = |name: &str, sections: &str, words: &[&str]| {
        let deployment = Deployment::new(&shared.cluster.bootstrap_servers(), name, POLICY);
        deployment.configure(sections);
        deployment.make_topics(1);
        let (mut instance, start) = (deployment.start(), Instant::now());
        while !instance.has_ended() {
            assert!(start.elapsed() < WAIT_DEADLINE, "{name} was not refused");
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = std::fs::read_to_string(&instance.log).unwrap();
        assert!(words.iter().all(|words| log.contains(words)), "{log}");
    };
    let url = shared.registry.url();
    refused(
        "absent",
        &format!("[registry]\nurl = \"{url}\"\nregister = false\n[formats]\nscores = \"avro\"\n"),
        &[
            "it does not have the schema of absent.firewatch.scores-value; register what `firewatch schema` prints",
        ],
    );
    refused(
        "misled",
        &format!(
            "[registry]\nurl = \"{}\"\n[formats]\nscores = \"avro\"\n",
            url.replace("/ccompat/v7", "/nothing")
        ),
        &["404 Not Found; check that registry.url is the root of its API"],
    );
    // Another team has registered a schema that is incompatible with ours.
    let other = r#"{"type":"record","name":"Score","namespace":"firewatch.score.v1","fields":[{"name":"risk","type":"string"}]}"#;
    let _ = shared.registry.add("taken.firewatch.scores-value", "AVRO", other, &json!([]));
    let rule = json!({ "compatibility": "FULL" });
    let _ = shared.registry.request("PUT", "config/taken.firewatch.scores-value", &rule);
    refused(
        "taken",
        &format!("[registry]\nurl = \"{url}\"\n[formats]\nscores = \"avro\"\n"),
        &["it refuses the schema of taken.firewatch.scores-value: 409 Conflict"],
    );
}

#[test]
fn the_registry_accepts_each_published_schema_after_every_released_one() {
    if !can_run_kafka() {
        return;
    }
    let shared = shared();
    let released = firewatch_tests::root().join("crates/wire/schemas/released");
    for contract in Contract::ALL {
        let languages = [("AVRO", "avsc", contract.avro()), ("PROTOBUF", "proto", contract.protobuf())];
        for (language, ending, now) in languages {
            let subject = format!("beside.{}.{ending}", contract.name());
            for folder in std::fs::read_dir(&released).unwrap() {
                let file = folder.unwrap().path().join(format!("{}.{ending}", contract.name()));
                let _ = shared.registry.add(
                    &subject,
                    language,
                    &std::fs::read_to_string(file).unwrap(),
                    &json!([]),
                );
                let rule = json!({ "compatibility": "FULL_TRANSITIVE" });
                let _ = shared.registry.request("PUT", &format!("config/{subject}"), &rule);
            }
            let _ = shared.registry.add(&subject, language, now, &json!([]));
        }
    }
}

#[test]
fn raw_topics_in_avro_become_events_in_protobuf_with_actions_in_avro() {
    if !can_run_kafka() {
        return;
    }
    let shared = shared();
    let deployment = shared.deployment(
        "forum",
        "events = \"protobuf\"\n[sources.forum]\nplatform = \"generic\"\ntopic = \"forum.raw\"\n[sources.forum.mapping]\n\
         platform = \"forum\"\nid = \"/number\"\nat = \"/written\"\ntext = \"/words\"\nauthor.id = \"/by/name\"\n",
    );
    deployment.make_topics(3);
    let person =
        r#"{"type":"record","name":"Person","namespace":"forum","fields":[{"name":"name","type":"string"}]}"#;
    let _ = shared.registry.add("forum.person", "AVRO", person, &json!([]));
    let post = r#"{"type":"record","name":"Post","namespace":"forum","fields":[{"name":"number","type":"long"},
        {"name":"written","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"words","type":"string"},
        {"name":"by","type":"forum.Person"}]}"#;
    let references = json!([{ "name": "forum.Person", "subject": "forum.person", "version": 1 }]);
    let id = shared.registry.add("forum.raw-value", "AVRO", post, &references);
    let mut payload = [&[0], id.to_be_bytes().as_slice(), &[14]].concat();
    let mut n = (1_773_151_200_000_u64) << 1;
    while n >= 0x80 {
        payload.push(n as u8 | 0x80);
        n >>= 7;
    }
    payload.push(n as u8);
    payload.extend(b"\x10it broke\x06kim");
    let feed = RecordProducer::new(&deployment.settings).unwrap();
    feed.send("forum.raw", None, &payload, &[]).unwrap();
    feed.flush().unwrap();
    let mut ingest = deployment.serve("ingest");
    let events = deployment.read(&deployment.topics.events, 1);
    let first_event: Value = serde_json::from_slice(&events[0].value).unwrap();
    assert_eq!(
        (&first_event["at"], &first_event["post"]["text"], &first_event["post"]["author"]["id"]),
        (&json!("2026-03-10T14:00:00.000Z"), &json!("it broke"), &json!("kim"))
    );
    assert_eq!(header(&events[0], "content-type"), Some("application/protobuf"));
    assert!(ingest.stop());
    // Its events are read like any others, and so is JSON with a schema id.
    let schema = r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object"}"#;
    let id = shared.registry.add("forum.json", "JSON", schema, &json!([]));
    let event = event("e2", first_event["conversation"].as_str().unwrap(), 60.0, &reshare("bo", 12));
    let behind = [&[0], id.to_be_bytes().as_slice(), event.to_string().as_bytes()].concat();
    deployment.feed([(first_event["conversation"].as_str().unwrap().to_owned(), behind)]);
    let mut instance = deployment.start_until_ready();
    instance.wait_for_events(2, WAIT_DEADLINE);
    assert_eq!(deployment.read(&deployment.topics.dead_letters, 0).len(), 0);
    assert!(instance.stop());

    let formats = Formats::new([(Contract::Action, Format::Avro)].into(), Some(by(&shared.registry.url())));
    let mut settings = deployment.settings.clone();
    settings.formats = formats;
    let action =
        br#"{"v":1,"id":"a","conversation":"c","at":"2026-03-10T14:00:00Z","by":"kim","kind":"acknowledge"}"#;
    let action: Action = decode_action(action, None, EventTime::END).unwrap();
    let feed = RecordProducer::new(&settings).unwrap();
    feed.send_action(&deployment.topics.actions, &action).unwrap();
    feed.flush().unwrap();
    let read = deployment.read(&deployment.topics.actions, 1);
    assert_eq!(decode_action(&read[0].value, Some(b"c"), EventTime::END).unwrap(), action);
    assert_eq!(header(&read[0], "content-type"), Some("application/avro"));
}
