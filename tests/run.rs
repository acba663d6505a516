//! `firewatch run` against the embedded broker: records, headers, dead letters, metrics and a clean stop.

use std::path::Path;
use std::time::{Duration, Instant};

use firewatch_engine::SHADOW_TEAM;
use firewatch_escalation::{PR, SUPPORT};
use firewatch_kafka::{EmbeddedBroker, KafkaSettings, ReceivedRecord, RecordProducer, TopicTail, Topics};
use firewatch_tests::{Instance, event, firewatch, metric_sum, post, reshare};
use serde_json::{Value, json};
use tempfile::TempDir;

const ANGRY: &str = "This is terrible, the worst service ever, I am so angry and disgusted";
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const WAIT_DEADLINE: Duration = Duration::from_secs(30);

struct Setup {
    _broker: EmbeddedBroker,
    settings: KafkaSettings,
    topics: Topics,
    logs: TempDir,
}

impl Setup {
    fn new() -> Self {
        let topics = Topics::default();
        let broker = EmbeddedBroker::start(&topics, &[PR, SUPPORT, SHADOW_TEAM], 3).unwrap();
        let settings = KafkaSettings::local(&broker.bootstrap_servers(), "test");
        Self { _broker: broker, settings, topics, logs: tempfile::tempdir().unwrap() }
    }

    fn start(&self) -> Instance {
        self.start_on(Path::new("firewatch.toml"))
    }

    fn start_on(&self, config: &Path) -> Instance {
        let settings = [
            ("FIREWATCH_KAFKA_BROKERS", self.settings.brokers.as_str()),
            ("FIREWATCH_KAFKA_CONSUMER_FETCH_WAIT_MAX_MS", "20"),
            // In an emptied group the mock broker makes the next member wait for a whole session timeout.
            ("FIREWATCH_KAFKA_CONSUMER_SESSION_TIMEOUT_MS", "6000"),
            // It has no transactions either.
            ("FIREWATCH_ENGINE_GUARANTEE", "at_least_once"),
        ];
        let settings = settings.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let instance = Instance::start(config, &self.logs.path().join("log"), &settings);
        instance.wait_for("/readyz", WAIT_DEADLINE, |a| a.starts_with("HTTP/1.1 200"));
        instance
    }

    fn act(&self, action: &Value) {
        let feed = RecordProducer::new(&self.settings).unwrap();
        let key = action["conversation"].as_str();
        feed.send(&self.topics.actions, key, action.to_string().as_bytes(), &[]).unwrap();
        feed.flush().unwrap();
    }

    fn send(&self, events: &[Value]) {
        let feed = RecordProducer::new(&self.settings).unwrap();
        for event in events {
            feed.send(
                &self.topics.events,
                event["conversation"].as_str(),
                event.to_string().as_bytes(),
                &[("traceparent", TRACE.to_owned())],
            )
            .unwrap();
        }
        feed.flush().unwrap();
    }

    fn read(&self, topic: &str, n: usize) -> Vec<ReceivedRecord> {
        let tail = TopicTail::new(&self.settings, &[topic.to_owned()]).unwrap();
        let (mut all, start) = (Vec::new(), Instant::now());
        while all.len() < n {
            all.extend(tail.next(Duration::from_millis(100)).unwrap());
            assert!(start.elapsed() < WAIT_DEADLINE, "{topic} has {} of {n}", all.len());
        }
        all
    }
}

fn stop(mut instance: Instance) {
    let well = instance.stop();
    let log = std::fs::read_to_string(&instance.log).unwrap();
    assert!(well, "{log}");
    assert!(log.trim_end().ends_with("stopped") && !log.contains("left to the next owner"), "{log}");
}

fn header<'a>(record: &'a ReceivedRecord, name: &str) -> &'a str {
    record.headers.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
}

#[test]
fn dead_letters_are_without_the_bytes_where_the_settings_say_so() {
    let setup = Setup::new();
    let config = setup.logs.path().join("firewatch.toml");
    std::fs::write(&config, "[dead_letters]\nbytes = \"left_out\"\n").unwrap();
    std::fs::write(setup.logs.path().join("policy.toml"), "[brands.aldermere]\n").unwrap();
    let instance = setup.start_on(&config);
    let feed = RecordProducer::new(&setup.settings).unwrap();
    // One that would be several dead letters, and one that would be one.
    let large = format!("{{\"text\": \"my chemo, {}\"", "claim 8834521907 ".repeat(40_000));
    feed.send(&setup.topics.events, Some("k"), large.as_bytes(), &[]).unwrap();
    feed.send(&setup.topics.events, Some("k"), b"\xff my chemo", &[]).unwrap();
    feed.flush().unwrap();
    let letters = setup.read(&setup.topics.dead_letters, 2);
    for (letter, offset) in letters.iter().zip(0..) {
        let letter: Value = serde_json::from_slice(&letter.value).unwrap();
        assert_eq!((&letter["raw"], &letter["parts"]), (&json!(""), &json!(1)), "{letter}");
        assert_eq!(letter["origin"]["offset"], offset);
    }
    assert_eq!(setup.read(&setup.topics.dead_letters, 2).len(), 2);
    stop(instance);
}

#[test]
fn records_headers_metrics_and_dead_letters_are_written_and_a_restart_continues() {
    let setup = Setup::new();
    let instance = setup.start();
    let mut events = vec![event("p", "c", 0.0, &post(900, ANGRY))];
    events.extend(
        (0..600).map(|i| event(&format!("r{i}"), "c", f64::from(i), &reshare(&format!("a{i}"), 400))),
    );
    setup.send(&events);
    let feed = RecordProducer::new(&setup.settings).unwrap();
    feed.send(&setup.topics.events, Some("k"), b"\xff\xfe not even text", &[]).unwrap();
    feed.flush().unwrap();

    let metrics = instance.wait_for("/metrics", WAIT_DEADLINE, |m| {
        metric_sum(m, "firewatch_rejected_total{reason=\"not_utf8\",stream=\"events\"}") == 1.0
            && metric_sum(m, "firewatch_records_total{outcome=\"scored\",stream=\"events\"}") > 0.0
            && m.contains("firewatch_latency_seconds_count{since=\"arrival\"}")
    });
    let read = instance.wait_for("/metrics", WAIT_DEADLINE, |m| {
        let of =
            |o: &str| metric_sum(m, &format!("firewatch_records_total{{outcome=\"{o}\",stream=\"events\"}}"));
        of("scored") + of("folded") + of("rejected") == 602.0
    });
    assert!(read.contains("firewatch_lag_records") && read.contains("firewatch_conversations"), "{metrics}");
    assert!(instance.get("/healthz").unwrap().starts_with("HTTP/1.1 200"));

    let records = setup.read(&setup.topics.team_topic(PR), 2);
    let escalation: Value = serde_json::from_slice(&records[0].value).unwrap();
    assert_eq!(records[0].key.as_deref(), Some(&b"c"[..]));
    assert_eq!(header(&records[0], "ce_id"), escalation["id"].as_str().unwrap());
    assert_eq!(header(&records[0], "ce_type"), "firewatch.escalation.v1");
    assert_eq!(header(&records[0], "ce_specversion"), "1.0");
    assert_eq!(header(&records[0], "traceparent"), TRACE, "the trace of the causing record");

    let letter: Value = serde_json::from_slice(&setup.read(&setup.topics.dead_letters, 1)[0].value).unwrap();
    assert_eq!(letter["code"], "not_utf8");
    assert_eq!(letter["origin"]["topic"], "firewatch.events");
    stop(instance);

    // The next process continues where this one stopped.
    let instance = setup.start();
    setup.send(&[event("q", "d", 700.0, &post(3, "Where is the form?"))]);
    let metrics = instance.wait_for("/metrics", WAIT_DEADLINE, |m| {
        metric_sum(m, "firewatch_records_total{outcome=\"scored\",stream=\"events\"}") == 1.0
    });
    assert_eq!(
        metric_sum(&metrics, "firewatch_records_total{outcome=\"folded\",stream=\"events\"}"),
        0.0,
        "{metrics}"
    );
    stop(instance);
}

#[test]
fn one_complaint_reaches_support_while_all_other_partitions_are_idle() {
    let setup = Setup::new();
    let folder = tempfile::tempdir().unwrap();
    let policy = "[brands.aldermere]\n[windows]\nstep = \"1s\"\nlateness = \"0s\"\n\
                  [routes.complaint]\nteam = \"support\"\nwhen = { low = \"complaint >= 0.6\" }\n";
    std::fs::write(folder.path().join("policy.toml"), policy).unwrap();
    std::fs::write(folder.path().join("firewatch.toml"), "").unwrap();
    let instance = setup.start_on(&folder.path().join("firewatch.toml"));
    setup.send(&[event("p", "c", 0.0, &post(235, ANGRY))]);
    let records = setup.read(&setup.topics.team_topic(SUPPORT), 1);
    let escalation: Value = serde_json::from_slice(&records[0].value).unwrap();
    assert_eq!(escalation["id"], "c/2026-03-10T14:00:00.000Z/support/1/0");
    stop(instance);
}

#[test]
fn a_changed_policy_is_loaded_while_running_and_an_invalid_one_is_refused() {
    let setup = Setup::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    let windows = "[brands.aldermere]\n[windows]\nstep = \"1s\"\nlateness = \"0s\"\n";
    let route = |team: &str, least: f64| {
        format!(
            "{windows}[routes.complaint]\nteam = \"{team}\"\nwhen = {{ low = \"complaint >= {least:?}\" }}\n"
        )
    };
    std::fs::write(&file, "version = \"one\"\n".to_owned() + &route("support", 1.0)).unwrap();
    std::fs::write(folder.path().join("firewatch.toml"), "").unwrap();
    let instance = setup.start_on(&folder.path().join("firewatch.toml"));
    let is_in_force = |version: &str| {
        let line = format!("version=\"{version}\"}} 1");
        instance
            .wait_for("/metrics", WAIT_DEADLINE, |m| m.contains("firewatch_policy_info") && m.contains(&line))
    };
    is_in_force("one");
    for bad in [
        "version = \"bad\"\n[brands.a]\nviral_bar = 1\n",
        &route("nobody", 0.6),
        "horizon = \"1h\"\n[brands.a]\n",
    ] {
        let before = metric_sum(&is_in_force("one"), "firewatch_policies_total{end=\"refused\"}");
        std::fs::write(&file, bad).unwrap();
        let refused = |m: &str| metric_sum(m, "firewatch_policies_total{end=\"refused\"}") > before;
        instance.wait_for("/metrics", WAIT_DEADLINE, refused);
    }
    is_in_force("one");
    std::fs::write(&file, "version = \"two\"\n".to_owned() + &route("support", 0.6)).unwrap();
    is_in_force("two");
    setup.send(&[event("p", "c", 0.0, &post(235, ANGRY))]);
    let records = setup.read(&setup.topics.team_topic(SUPPORT), 1);
    let escalation: Value = serde_json::from_slice(&records[0].value).unwrap();
    assert_eq!(
        (&escalation["policy"], escalation["policy_hash"].as_str().map(str::len)),
        (&"two".into(), Some(16))
    );
    stop(instance);
}

#[test]
fn a_shadow_policy_notifies_no_team_and_writes_to_a_topic_of_its_own() {
    let setup = Setup::new();
    let folder = tempfile::tempdir().unwrap();
    let policy = |version: &str, team: &str| {
        format!(
            "version = \"{version}\"\n[brands.aldermere]\n[windows]\nstep = \"1s\"\nlateness = \"0s\"\n\
             [routes.complaint]\nteam = \"{team}\"\nwhen = {{ low = \"complaint >= 0.6\" }}\n"
        )
    };
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("policy.toml", &policy("champion", "support"));
    write("next.toml", &policy("challenger", "pr"));
    write("firewatch.toml", "[policy]\ntrial = \"next.toml\"\n");
    let instance = setup.start_on(&folder.path().join("firewatch.toml"));
    setup.send(&[event("p", "c", 0.0, &post(235, ANGRY))]);
    let read = |team: &str| -> Value {
        serde_json::from_slice(&setup.read(&setup.topics.team_topic(team), 1)[0].value).unwrap()
    };
    let (escalation, shadow_escalation) = (read(SUPPORT), read(SHADOW_TEAM));
    assert_eq!((&escalation["policy"], &escalation["team"]), (&"champion".into(), &"support".into()));
    assert_eq!(
        (&shadow_escalation["policy"], &shadow_escalation["team"]),
        (&"challenger".into(), &"pr".into())
    );
    let metrics = instance.wait_for("/metrics", WAIT_DEADLINE, |m| m.contains("kind=\"trial\""));
    assert_eq!(metric_sum(&metrics, "firewatch_effects_total{kind=\"escalation\"}"), 1.0, "PR gets nothing");
    setup.act(&event("v", "c", 60.0, &json!({ "kind": "useful", "by": "kim", "team": "pr" })));
    let out = folder.path().join("out");
    let mut compare = firewatch();
    compare.args(["compare", "--live", "--config"]).arg(folder.path().join("firewatch.toml"));
    let ran = compare
        .arg("--out")
        .arg(&out)
        .env("FIREWATCH_KAFKA_BROKERS", &setup.settings.brokers)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    for wanted in [
        "active  (version champion, hash",
        "shadow  (version challenger, hash",
        "  pr: precision 100.0% (1 of 1), recall 100.0% (1 of 1 in time)",
        "The policies differ on 1 conversations.\nc, worth an alert\n  active               support at",
    ] {
        assert!(output.contains(wanted), "{wanted} in {output}");
    }
    let differ = std::fs::read_to_string(out.join("differ.csv")).unwrap();
    assert!(differ.contains("c,,1,shadow,pr,") && out.join("report.html").exists(), "{differ}");
    // Another deployment is compared with its own settings, and an invalid record is reported with its place.
    write("other.toml", "[policy]\nfile = \"next.toml\"\n[topics]\nescalations_prefix = \"other.\"\n");
    let feed = RecordProducer::new(&setup.settings).unwrap();
    let record = shadow_escalation.to_string();
    for (topic, value) in [("other.pr", record.as_str()), ("other.support", "nothing")] {
        feed.send(topic, Some("c"), value.as_bytes(), &[]).unwrap();
    }
    feed.flush().unwrap();
    compare.arg("--with").arg(folder.path().join("other.toml"));
    let ran = compare.output().unwrap();
    let output = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    for wanted in [
        "other.toml  (version challenger, hash",
        "other.support [",
        "The policies differ on 1 conversations.",
    ] {
        assert!(output.contains(wanted), "{wanted} in {output}");
    }
    // A policy that cannot run on the same conversations is neither loaded nor does it let the process start.
    write("policy.toml", &policy("other", "support").replace("step = \"1s\"", "step = \"2s\""));
    instance.wait_for("/metrics", WAIT_DEADLINE, |m| {
        metric_sum(m, "firewatch_policies_total{end=\"refused\"}") > 0.0
    });
    stop(instance);
    write("policy.toml", &policy("champion", "support"));
    write("next.toml", &policy("challenger", "pr").replace("aldermere", "bolt"));
    let config = folder.path().join("firewatch.toml");
    let out = firewatch().args(["check", "--config"]).arg(config).output().unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(
        out.status.code() == Some(2) && stderr.contains("brands: differs from the active policy"),
        "{stderr}"
    );
}

#[test]
fn mismatched_topics_prevent_the_start() {
    let setup = Setup::new();
    let out = firewatch()
        .args(["run", "--config", "firewatch.toml"])
        .env("FIREWATCH_KAFKA_BROKERS", &setup.settings.brokers)
        .env("FIREWATCH_TOPICS_ACTIONS", "no.such.topic")
        .env("FIREWATCH_KAFKA_COMMON_ALLOW_AUTO_CREATE_TOPICS", "false")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("no.such.topic"), "{stderr}");
}
