//! firewatch on a real Kafka with TLS, SASL and access rights: each way to authenticate, with the smallest set
//! of rights, and refused connections whose cause is reported.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Output, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use firewatch_kafka::TopicTail;
use firewatch_tests::{
    Access, Credentials, Deployment, Instance, SecuredCluster, can_run_kafka, event, firewatch, post, values,
};

const ANGRY: &str = "This is terrible, the worst service ever, I am so angry and disgusted";
const POLICY: &str = "horizon = \"10m\"\nviral_bar = 60\n[brands.aldermere]\n[windows]\nstep = \"5s\"\n\
    lateness = \"1s\"\n";
const WAIT_DEADLINE: Duration = Duration::from_secs(60);
/// Longest time until a refusal is reported. The client fails within a second; the rest is for a busy machine.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(30);
const QUIET_PERIOD: Duration = Duration::from_secs(1);
const PARTITIONS: &str = "3";
const EVENTS: usize = 6;

/// Deployments of the principal firewatch, which have all the rights they need.
const GRANTED: [&str; 4] = ["secured-sha512", "secured-sha256", "secured-plain", "secured-mtls"];
/// The deployment that may not write its scores at first.
const PARTIAL: &str = "secured-partial";

/// The cluster that the tests of this file share while any of them runs.
static CLUSTER: Mutex<Weak<SecuredCluster>> = Mutex::new(Weak::new());

fn cluster() -> Arc<SecuredCluster> {
    let mut shared = CLUSTER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let cluster = Arc::new(SecuredCluster::start_up("secured", 30092));
        grant_rights(&cluster);
        *shared = Arc::downgrade(&cluster);
        cluster
    })
}

/// Grants what `firewatch topics acls` prints for `topics` and `run`, and nothing else: a right that is missing there is
/// missed here.
fn grant_rights(cluster: &SecuredCluster) {
    // The names of resources by pattern type and operations, so that Kafka's tool starts few times.
    let mut rights: BTreeMap<(bool, Vec<String>), Vec<String>> = BTreeMap::new();
    for name in GRANTED.iter().chain([&PARTIAL]) {
        let secured = Secured::new(cluster, name, cluster.by_password("SCRAM-SHA-512", "firewatch"));
        let out = secured.spawn(&["topics", "acls", "--for", "topics,run"]).wait_with_output().unwrap();
        let printed = secured.printed(&out);
        assert!(out.status.success(), "{printed}");
        for right in printed.lines().filter(|line| line.starts_with("kafka-acls ")) {
            let words: Vec<&str> = right.split(' ').collect();
            let after = |option| {
                words.windows(2).filter(move |pair| pair[0] == option).map(|pair| pair[1].to_owned())
            };
            let key = (after("--resource-pattern-type").eq(["prefixed"]), after("--operation").collect());
            for option in ["--topic", "--group", "--transactional-id"] {
                let is_granted = |resource: &String| {
                    *name != PARTIAL || key.1 != ["Write"] || *resource != secured.deployment.topics.scores
                };
                let names = after(option).filter(is_granted);
                rights
                    .entry(key.clone())
                    .or_default()
                    .extend(names.flat_map(|name| [option.to_owned(), name]));
            }
        }
    }
    // Each call starts Kafka's tool, which takes a second.
    std::thread::scope(|scope| {
        for ((is_prefix, operations), mut resources) in rights {
            if is_prefix {
                resources.extend(["--resource-pattern-type".to_owned(), "prefixed".to_owned()]);
            }
            scope.spawn(move || {
                let operations: Vec<&str> = operations.iter().map(String::as_str).collect();
                cluster.grant(&operations, &resources.iter().map(String::as_str).collect::<Vec<_>>());
            });
        }
    });
}

/// A deployment with the settings of its access.
struct Secured {
    deployment: Deployment,
    access: Access,
}

impl Secured {
    fn new(cluster: &SecuredCluster, name: &str, access: Access) -> Self {
        let mut deployment = Deployment::new(&cluster.bootstrap_servers(), name, POLICY);
        access.configure(&mut deployment);
        Self { deployment, access }
    }

    /// Starts a command that ends by itself.
    fn spawn(&self, args: &[&str]) -> Child {
        let mut command = firewatch();
        command.args(args).arg("--config").arg(self.deployment.config()).envs(self.access.environment());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    fn create_topics(&self) {
        let out = self.spawn(&["topics", "create", "--partitions", PARTITIONS]).wait_with_output().unwrap();
        assert!(out.status.success(), "{}", self.printed(&out));
    }

    fn start(&self) -> Instance {
        let log = self.deployment.folder().join("log");
        Instance::start(&self.deployment.config(), &log, &self.access.environment())
    }

    fn feed(&self) {
        let events = (0..EVENTS).map(|i| {
            let conversation = format!("c{i}");
            let event = event(&format!("e{i}"), &conversation, i as f64, &post(900, ANGRY));
            (conversation, event.to_string().into_bytes())
        });
        self.deployment.feed(events);
    }

    /// Returns what a command printed.
    fn printed(&self, out: &Output) -> String {
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        self.without_password(text)
    }

    /// Returns the log of the instances.
    fn log(&self) -> String {
        let text = std::fs::read_to_string(self.deployment.folder().join("log")).unwrap_or_default();
        self.without_password(text)
    }

    /// Returns the text, after checking that the password is not in it.
    fn without_password(&self, text: String) -> String {
        if let Credentials::Password(_, _, file) = &self.access.credentials {
            let password = std::fs::read_to_string(file).unwrap();
            assert!(!text.contains(password.trim()), "the password of {} is printed", file.display());
        }
        text
    }
}

/// Reads scores until every deployment has one of each of its conversations, and checks that none is repeated.
fn assert_scored_once(cluster: &SecuredCluster, all: &[Secured]) {
    let settings = firewatch_kafka::KafkaSettings::local(&cluster.bootstrap_servers(), "test");
    let topics: Vec<String> = all.iter().map(|one| one.deployment.topics.scores.clone()).collect();
    let tail = TopicTail::new(&settings, &topics).unwrap();
    let (mut records, start) = (Vec::new(), Instant::now());
    loop {
        match tail.next(QUIET_PERIOD).unwrap() {
            Some(record) => records.push(record),
            None if records.len() >= all.len() * EVENTS => break,
            None => {
                let logs: Vec<String> = all.iter().map(Secured::log).collect();
                assert!(start.elapsed() < WAIT_DEADLINE, "{} scores: {}", records.len(), logs.concat());
            }
        }
    }
    let scored: BTreeSet<(String, String)> = records
        .iter()
        .zip(values(&records))
        .map(|(record, score)| (record.topic.clone(), score["conversation"].to_string()))
        .collect();
    assert_eq!((records.len(), scored.len()), (all.len() * EVENTS, all.len() * EVENTS));
}

#[test]
fn each_way_to_authenticate_works_with_the_documented_rights() {
    if !can_run_kafka() {
        return;
    }
    let cluster = cluster();
    for file in std::fs::read_dir(cluster.file("")).unwrap().map(Result::unwrap) {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "others may not read {}", file.path().display());
    }
    let accesses = [
        cluster.by_password("SCRAM-SHA-512", "firewatch"),
        cluster.by_password("SCRAM-SHA-256", "firewatch"),
        cluster.by_password("PLAIN", "firewatch"),
        cluster.by_certificate("client"),
    ];
    let all: Vec<Secured> =
        GRANTED.iter().zip(accesses).map(|(name, access)| Secured::new(&cluster, name, access)).collect();
    std::thread::scope(|scope| {
        for secured in &all {
            scope.spawn(|| {
                secured.create_topics();
                secured.feed();
            });
        }
    });
    let mut instances: Vec<Instance> = all.iter().map(Secured::start).collect();
    assert_scored_once(&cluster, &all);
    std::thread::scope(|scope| {
        for (instance, secured) in instances.iter_mut().zip(&all) {
            scope.spawn(|| assert!(instance.stop(), "{}", secured.log()));
        }
    });
}

#[test]
fn without_the_right_to_write_scores_it_stops_and_loses_nothing() {
    if !can_run_kafka() {
        return;
    }
    let cluster = cluster();
    let secured = Secured::new(&cluster, PARTIAL, cluster.by_password("SCRAM-SHA-512", "firewatch"));
    secured.create_topics();
    secured.feed();
    let (mut instance, start) = (secured.start(), Instant::now());
    while !instance.has_ended() {
        assert!(start.elapsed() < WAIT_DEADLINE, "it goes on: {}", secured.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    let (log, scores) = (secured.log(), &secured.deployment.topics.scores);
    let refused = format!("a record for {scores} could not be written, so nothing was committed");
    assert!(log.contains(&refused) && log.contains("Topic authorization failed"), "{log}");
    assert_eq!(secured.deployment.read(&secured.deployment.topics.scores, 0).len(), 0);

    cluster.grant(&["Write"], &["--topic", &secured.deployment.topics.scores]);
    let mut instance = secured.start();
    assert_scored_once(&cluster, std::slice::from_ref(&secured));
    assert!(instance.stop(), "{}", secured.log());
}

#[test]
fn a_refused_connection_is_reported_with_its_cause_and_without_the_password() {
    if !can_run_kafka() {
        return;
    }
    let cluster = cluster();
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.password");
    std::fs::write(&wrong, "n0t-the-passw0rd").unwrap();
    let with_wrong = |mechanism| {
        let credentials = Credentials::Password(mechanism, "firewatch", wrong.clone());
        Access { credentials, ..cluster.by_password(mechanism, "firewatch") }
    };
    let sha512 = || cluster.by_password("SCRAM-SHA-512", "firewatch");
    let unknown_ca = Access { ca: cluster.file("foreign-ca.pem"), ..sha512() };
    let refusals = [
        ("a wrong password, SCRAM-SHA-512", with_wrong("SCRAM-SHA-512"), "invalid credentials"),
        ("a wrong password, SCRAM-SHA-256", with_wrong("SCRAM-SHA-256"), "invalid credentials"),
        ("a wrong password, PLAIN", with_wrong("PLAIN"), "Invalid username or password"),
        ("an unknown authority", unknown_ca, "certificate verify failed"),
        ("a certificate of another host", cluster.at_other_host(), "certificate verify failed"),
        ("a foreign client certificate", cluster.by_certificate("foreign-client"), "bad certificate"),
        ("a user without rights", cluster.by_password("PLAIN", "guest"), "uthoriz"),
    ];
    // All at once: each waits for its broker more than it computes.
    let started: Vec<_> = refusals
        .into_iter()
        .map(|(case, access, cause)| {
            let secured = Secured::new(&cluster, "secured-refused", access);
            let child = secured.spawn(&["topics", "check"]);
            (case, cause, secured, child, Instant::now())
        })
        .collect();
    for (case, cause, secured, child, start) in started {
        let out = child.wait_with_output().unwrap();
        let text = secured.printed(&out);
        assert_eq!(out.status.code(), Some(1), "{case}: {text}");
        assert!(text.contains(cause), "{case} does not mention {cause:?}: {text}");
        assert!(start.elapsed() < REFUSAL_DEADLINE, "{case} took {:?}", start.elapsed());
    }
}
