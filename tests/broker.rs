//! `firewatch run` and `replay` on a real Kafka: behaviour that the mock broker cannot show.

use std::process::Output;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use firewatch_domain::EventTime;
use firewatch_escalation::{PR, SUPPORT};
use firewatch_kafka::{ReceivedRecord, RecordProducer, Topics};
use firewatch_tests::console::ConsoleSetup;
use firewatch_tests::{Cluster, Deployment, can_run_kafka, event, metric_sum, post, reshare, values};
use serde_json::{Value, json};

const ANGRY: &str = "This is terrible, the worst service ever, I am so angry and disgusted";
const POLICY: &str = "horizon = \"10m\"\nviral_bar = 60\n[brands.aldermere]\n[windows]\nstep = \"5s\"\n\
    lateness = \"1s\"\n";
const WAIT_DEADLINE: Duration = Duration::from_secs(60);
const PARTITIONS: u32 = 3;

/// The cluster that the tests of this file share while any of them runs.
static CLUSTER: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

fn cluster() -> Arc<Cluster> {
    let mut shared = CLUSTER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let cluster = Arc::new(Cluster::start_up("broker", 29192, 1));
        *shared = Arc::downgrade(&cluster);
        cluster
    })
}

/// The deployment of one test.
struct Setup {
    /// The shared cluster, if the deployment is on it.
    cluster: Option<Arc<Cluster>>,
    firewatch: Deployment,
}

impl Setup {
    fn new(name: &str) -> Self {
        let cluster = cluster();
        Self { cluster: Some(cluster.clone()), ..Self::on(&cluster.bootstrap_servers(), name) }
    }

    fn on(brokers: &str, name: &str) -> Self {
        Self { cluster: None, firewatch: Deployment::new(brokers, name, POLICY) }
    }

    fn feed(&self, events: &[Value]) {
        let key = |event: &Value| event["conversation"].as_str().unwrap_or_default().to_owned();
        self.firewatch.feed(events.iter().map(|event| (key(event), event.to_string().into_bytes())));
    }

    fn tool(&self, args: &[&str]) -> String {
        self.cluster.as_ref().expect("the shared cluster").tool(args)
    }
}

impl std::ops::Deref for Setup {
    type Target = Deployment;

    fn deref(&self) -> &Deployment {
        &self.firewatch
    }
}

fn output_text(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

/// Returns events of `n` conversations: complaints, calm questions, and reshares of both.
fn conversations(n: usize) -> Vec<Value> {
    let mut events = Vec::new();
    for i in 0..n {
        let (conversation, at) = (format!("c{i}"), i as f64 * 4.0);
        let text = if i % 3 == 0 { ANGRY } else { "Where do I find the form?" };
        events.push(event(&format!("p{i}"), &conversation, at, &post(900, text)));
        let reshares = if i % 5 == 0 { 40 } else { 2 };
        events.extend((0..reshares).map(|r| {
            event(
                &format!("r{i}.{r}"),
                &conversation,
                at + f64::from(r) / 20.0,
                &reshare(&format!("a{r}"), 2000),
            )
        }));
    }
    events
}

/// Returns keys and values, sorted so that the order of writing does not matter.
fn contents(records: &[ReceivedRecord]) -> Vec<(Option<Vec<u8>>, Vec<u8>)> {
    let mut all: Vec<_> = records.iter().map(|r| (r.key.clone(), r.value.clone())).collect();
    all.sort();
    all
}

#[test]
fn a_poison_record_is_dead_lettered_in_the_transaction_of_its_offset() {
    if !can_run_kafka() {
        return;
    }
    let setup = Setup::new("poison");
    // The process is killed before it commits. The simulation of the workers kills it at every call.
    setup.configure("commit_interval = \"5s\"");
    setup.make_topics(PARTITIONS);
    let mut instance = setup.start_until_ready();
    let feed = RecordProducer::new(&setup.settings).unwrap();
    let events = &setup.topics.events;
    let good = |id: &str| event(id, id, 0.0, &post(900, ANGRY)).to_string();
    let (a, b) = (good("a"), good("b"));
    let poison: [&[u8]; 3] = [b"\xff\xfe no text", b"", b"{\"v\":1}"];
    for (key, value) in
        [("a", a.as_bytes()), ("k", poison[0]), ("b", b.as_bytes()), ("k", poison[1]), ("k", poison[2])]
    {
        feed.send_to_partition(events, 1, key, value).unwrap();
    }
    feed.flush().unwrap();
    instance.kill();
    assert_eq!(setup.read(&setup.topics.dead_letters, 0).len(), 0, "nothing was committed");

    setup.configure("commit_interval = \"100ms\"");
    let mut instance = setup.start_until_ready();
    let letters = values(&setup.read(&setup.topics.dead_letters, 3));
    let codes: Vec<_> = letters.iter().filter_map(|l| l["code"].as_str()).collect();
    let offsets: Vec<_> = letters.iter().filter_map(|l| l["origin"]["offset"].as_i64()).collect();
    assert_eq!((codes.len(), offsets), (3, vec![1, 3, 4]), "{letters:#?}");
    // A committed dead letter is not written a second time.
    instance.kill();
    let mut instance = setup.start_until_ready();
    feed.send_to_partition(events, 1, "c", good("c").as_bytes()).unwrap();
    feed.flush().unwrap();
    let scores = values(&setup.read(&setup.topics.scores, 3));
    let mut scored: Vec<_> = scores.iter().filter_map(|s| s["conversation"].as_str()).collect();
    scored.sort_unstable();
    assert_eq!(scored, ["a", "b", "c"]);
    assert_eq!(setup.read(&setup.topics.dead_letters, 3).len(), 3);
    assert!(instance.stop());
}

#[test]
fn memory_stays_bounded_and_nothing_is_lost_while_output_is_throttled() {
    if !can_run_kafka() {
        return;
    }
    let setup = Setup::new("crawls");
    setup.configure("[kafka.producer]\n\"client.id\" = \"crawls\"");
    setup.make_topics(PARTITIONS);
    let quota = |change: &[&str]| {
        let entity = ["--entity-type", "clients", "--entity-name", "crawls"];
        setup.tool(&[&["kafka.admin.ConfigCommand", "--alter"], change, &entity].concat());
    };
    let mut instance = setup.start_until_ready();
    let events = conversations(40_000);
    setup.feed(&events[..20_000]);
    let _ = instance.wait_for_events(1_000, WAIT_DEADLINE);
    // A thousandth of the rate that it would write at.
    quota(&["--add-config", "producer_byte_rate=20000"]);
    setup.feed(&events[20_000..]);
    // Otherwise the output is not throttled.
    let _ = instance.wait_for("/metrics", WAIT_DEADLINE, |metrics| {
        metric_sum(metrics, "firewatch_lag_records{") > 200_000.0
    });
    let used = instance.settled_memory(Duration::from_secs(5), WAIT_DEADLINE) >> 20;
    assert!(!instance.has_ended(), "it waits");
    // The 330,000 records and their scores would take 700 MB.
    assert!(used < 250, "{used} MB while the output was throttled");

    quota(&["--delete-config", "producer_byte_rate"]);
    let metrics = instance.wait_for_events(events.len(), WAIT_DEADLINE * 2);
    let written = metric_sum(&metrics, "firewatch_effects_total{kind=\"score\"}") as usize;
    let ids = setup.read(&setup.topics.scores, written);
    let mut ids: Vec<Value> = values(&ids).iter().map(|s| s["id"].clone()).collect();
    ids.sort_by_key(Value::to_string);
    ids.dedup();
    assert_eq!((ids.len(), written > 20_000), (written, true), "each score is written once");
    assert!(instance.stop());
}

#[test]
fn it_waits_for_brokers_that_are_down_at_startup() {
    if !can_run_kafka() {
        return;
    }
    let late = Cluster::start_up("late", 29292, 1);
    let setup = Setup::on(&late.bootstrap_servers(), "away");
    setup.make_topics(PARTITIONS);
    late.stop(1);
    let mut instance = setup.start();
    let answer = instance.wait_for("/readyz", WAIT_DEADLINE, |a| a.starts_with("HTTP/1.1 503"));
    assert!(answer.contains("no broker has answered"), "{answer}");
    // Each try takes ten seconds.
    instance.wait_for_log("trying again", 2, WAIT_DEADLINE);
    late.start(1);
    instance.wait_until_ready();
    assert!(instance.stop());
}

#[test]
fn it_stops_while_its_broker_hangs_and_names_what_is_not_committed() {
    if !can_run_kafka() {
        return;
    }
    let frozen = Cluster::start_up("frozen", 29492, 1);
    let setup = Setup::on(&frozen.bootstrap_servers(), "frozen");
    // Records are read before the broker hangs, and not committed.
    setup.configure("commit_interval = \"5s\"");
    setup.make_topics(PARTITIONS);
    let mut instance = setup.start_until_ready();
    let events = conversations(200);
    setup.feed(&events);
    frozen.signal(1, "STOP");
    let stopped = instance.stop();
    let log = std::fs::read_to_string(&instance.log).unwrap();
    frozen.signal(1, "CONT");
    assert!(stopped, "{log}");
    assert!(log.contains("is left to the next owner"), "{log}");

    let mut instance = setup.start_until_ready();
    let metrics = instance.wait_for_events(events.len(), WAIT_DEADLINE);
    let written = metric_sum(&metrics, "firewatch_effects_total{kind=\"score\"}") as usize;
    let scores = setup.read(&setup.topics.scores, written);
    assert_eq!((scores.len(), written > 100), (written, true), "nothing is lost or written twice");
    assert!(instance.stop());
}

#[test]
fn mismatched_topics_are_refused_with_the_remedy() {
    if !can_run_kafka() {
        return;
    }
    let setup = Setup::new("misfits");
    let refused = |command: &[&str], options: &[&str]| {
        let out = setup.command(command, options);
        assert_eq!(out.status.code(), Some(1), "{}", output_text(&out));
        output_text(&out)
    };
    let text = refused(&["run"], &[]);
    assert!(text.contains("are missing; run `firewatch topics create`"), "{text}");

    let out = setup.command(&["topics", "create"], &["--partitions", "3", "--dry-run"]);
    let text = output_text(&out);
    assert!(out.status.success() && text.contains("dry run: 8 topics would be created"), "{text}");
    assert!(text.contains("misfits.firewatch.state") && text.contains("cleanup.policy=compact"), "{text}");
    let text = refused(&["run"], &[]);
    assert!(text.contains("are missing"), "a dry run creates nothing: {text}");

    setup.make_topics(PARTITIONS);
    let again = output_text(&setup.command(&["topics", "create"], &["--partitions", "3"]));
    assert!(again.contains("already exists") && again.contains("0 topics created"), "{again}");
    let text = refused(&["topics", "create"], &["--partitions", "4"]);
    assert!(text.contains("exists with 3 partitions, not 4; nothing was created"), "{text}");

    let topic_command = "org.apache.kafka.tools.TopicCommand";
    setup.tool(&[topic_command, "--alter", "--topic", &setup.topics.actions, "--partitions", "5"]);
    let text = refused(&["run"], &[]);
    assert!(text.contains("the same number of partitions, but misfits.actions has 5"), "{text}");

    let setup = Setup::new("lossy");
    setup.make_topics(PARTITIONS);
    let state = setup.topics.state.clone();
    let entity = ["--entity-type", "topics", "--entity-name", &state, "--alter", "--add-config"];
    let config_command = "kafka.admin.ConfigCommand";
    setup.tool(&[&[config_command][..], &entity, &["cleanup.policy=delete"]].concat());
    let out = setup.command(&["run"], &[]);
    assert_eq!(out.status.code(), Some(1));
    assert!(
        output_text(&out).contains("lossy.firewatch.state has cleanup.policy=delete"),
        "{}",
        output_text(&out)
    );
}

#[test]
fn records_deleted_before_they_are_read_are_counted() {
    if !can_run_kafka() {
        return;
    }
    let setup = Setup::new("deleted");
    setup.make_topics(1);
    let events = conversations(40);
    let mut instance = setup.start_until_ready();
    setup.feed(&events[..10]);
    instance.wait_for_events(10, WAIT_DEADLINE);
    assert!(instance.stop());
    setup.feed(&events[10..]);
    let topic = &setup.topics.events;
    let deleted = setup.folder().join("deleted.json");
    let wanted = serde_json::json!({ "partitions": [{ "topic": topic, "partition": 0, "offset": 15 }] });
    std::fs::write(&deleted, wanted.to_string()).unwrap();
    let file = deleted.to_str().unwrap();
    setup.tool(&["org.apache.kafka.tools.DeleteRecordsCommand", "--offset-json-file", file]);
    let mut instance = setup.start_until_ready();
    let metrics = instance.wait_for_events(events.len() - 15, WAIT_DEADLINE);
    assert_eq!(metric_sum(&metrics, "firewatch_missed_total{"), 5.0, "{metrics}");
    assert!(instance.stop());
}

#[test]
fn a_replay_emits_what_production_emitted_unless_the_policy_differs() {
    if !can_run_kafka() {
        return;
    }
    let setup = Setup::new("replayed");
    // Idle detection follows the wall clock, which differs between two runs.
    setup.configure("idle_after = \"86400s\"");
    setup.make_topics(PARTITIONS);
    let events = conversations(60);
    let mut live = setup.start_until_ready();
    setup.feed(&events);
    live.wait_for_events(events.len(), WAIT_DEADLINE);
    let compared = |topics: &Topics| {
        let pr = setup.read(&topics.team_topic(PR), 5);
        (contents(&setup.read(&topics.scores, 60)), contents(&pr))
    };
    let offsets = || {
        let tool = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
        let description = setup.tool(&[tool, "--describe", "--offsets", "--all-groups"]);
        // Keeps group, topic, partition and offset; lag and members do not matter here.
        let fields = |line: &str| line.split_whitespace().take(4).map(str::to_owned).collect::<Vec<_>>();
        let mut all: Vec<_> =
            description.lines().filter(|l| l.contains("replayed.events")).map(fields).collect();
        all.sort();
        all
    };
    let (production, before) = (compared(&setup.topics), offsets());

    let replay = |options: &[&str]| setup.command(&["replay"], options);
    let dry = output_text(&replay(&["--prefix", "same.", "--dry-run"]));
    assert!(dry.contains(&format!("{} records", events.len())) && dry.contains("dry run"), "{dry}");
    let out = replay(&["--prefix", "same."]);
    assert!(out.status.success(), "{}", output_text(&out));
    let same = compared(&setup.topics.with_prefix("same."));
    assert_eq!(same.0, production.0, "the same policy gives the same scores");
    let is_escalated = |record| same.1.contains(record);
    assert!(
        production.1.len() >= 5 && production.1.iter().all(is_escalated),
        "and the same escalations, and those still pending at the end"
    );
    let records = setup.read(&setup.topics.with_prefix("same.").team_topic(SUPPORT), 1);
    assert!(!records.is_empty(), "pending decisions are made at the end of the span");
    assert_eq!((before.len(), offsets()), (PARTITIONS as usize, before), "a replay commits no offsets");

    let again = replay(&["--prefix", "same."]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        output_text(&again).contains("already exists") && output_text(&again).contains("--prefix"),
        "{}",
        output_text(&again)
    );

    let strict = setup.folder().join("strict.toml");
    std::fs::write(
        &strict,
        POLICY.to_owned() + "[routes.viral]\nteam = \"pr\"\nwhen = { medium = \"risk >= 97\" }\n",
    )
    .unwrap();
    let out = replay(&["--prefix", "strict.", "--policy", strict.to_str().unwrap()]);
    assert!(out.status.success(), "{}", output_text(&out));
    let pr = setup.read(&setup.topics.with_prefix("strict.").team_topic(PR), 0);
    assert!(pr.len() < production.1.len(), "{} with higher bars", pr.len());
    // A fenced task notices it at its next commit.
    let more = event("more", "more", 600.0, &post(900, ANGRY));
    setup.feed(&[more]);
    live.wait_for_events(events.len() + 1, WAIT_DEADLINE);
    let log = std::fs::read_to_string(&live.log).unwrap();
    assert!(!log.contains("trying again"), "the live process was not disturbed: {log}");
    assert!(live.is_ready() && live.stop());
}

/// Waits until the clock shows another millisecond, and returns it.
fn next_millisecond() -> EventTime {
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let start = now();
    let later = std::iter::repeat_with(now).find(|at| *at > start);
    EventTime::from_millis(later.unwrap_or_default() as i64)
}

#[test]
fn a_replay_reads_only_the_requested_span() {
    if !can_run_kafka() {
        return;
    }
    let setup = Setup::new("spans");
    setup.make_topics(PARTITIONS);
    let feed = RecordProducer::new(&setup.settings).unwrap();
    let send = |id: &str| {
        let value = event(id, id, 0.0, &post(900, ANGRY)).to_string();
        feed.send_to_partition(&setup.topics.events, 0, id, value.as_bytes()).unwrap();
        feed.flush().unwrap();
    };
    ["a", "b"].iter().for_each(|id| send(id));
    // Later than the timestamps of the first two, and not later than those of the others.
    let middle = next_millisecond();
    ["c", "d", "e"].iter().for_each(|id| send(id));
    let conversations = |prefix: &str| {
        let scores = setup.read(&setup.topics.with_prefix(prefix).scores, 0);
        let mut all: Vec<String> =
            values(&scores).iter().map(|s| s["conversation"].as_str().unwrap().to_owned()).collect();
        all.sort();
        all.concat()
    };
    let replay = |prefix: &str, span: &[&str]| {
        let out = setup.command(&["replay", "--prefix", prefix], span);
        assert!(out.status.success(), "{}", output_text(&out));
        conversations(prefix)
    };
    assert_eq!(replay("whole.", &[]), "abcde");
    assert_eq!(replay("offsets.", &["--from", "0:1", "--to", "0:4"]), "bcd");
    assert_eq!(replay("later.", &["--from", &middle.to_string()]), "cde");
    assert_eq!(replay("earlier.", &["--to", &middle.to_string()]), "ab");
    let out = setup.command(&["replay", "--prefix", "none."], &["--from", "0:9"]);
    assert!(
        output_text(&out).contains("spans.events [0]: offset 9 is outside the log, which has 0 to 5"),
        "{}",
        output_text(&out)
    );
    let out = setup.command(&["replay", "--prefix", "none."], &["--from", "2200-01-01T00:00:00Z"]);
    assert!(output_text(&out).contains("nothing was written in this span"), "{}", output_text(&out));
}

#[test]
fn a_console_survives_a_broker_outage_and_delivers_its_actions() {
    if !can_run_kafka() {
        return;
    }
    let own = Cluster::start_up("console-away", 29592, 1);
    let console_setup = ConsoleSetup::at(&own.bootstrap_servers(), "away");
    let console = console_setup.start();
    console_setup.escalate("before", 0, &json!({ "reasons": ["before"] }));
    let _ = console.wait_for("/api/escalations", "c-before");
    own.stop(1);
    assert_eq!(console.get("/healthz").status, 200);
    assert_eq!(console.get("/escalations/before").status, 200, "known escalations are still shown");
    own.start(1);
    console_setup.escalate("after", 0, &json!({}));
    let _ = console.wait_for("/api/escalations", "c-after");
    assert_eq!(console.act("k", &json!({ "conversation": "c-after", "kind": "acknowledge" })).status, 202);
    let _ = console.wait_for("/api/escalations?owner=console", "c-after");
}
