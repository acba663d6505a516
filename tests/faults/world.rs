//! The system under test: a cluster of three brokers and the instances on it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fastrand::Rng;
use firewatch_kafka::{Guarantee, KafkaSettings, Topics};
use firewatch_tests::{Cluster, Instance, firewatch};

use crate::stream::POLICY;

/// Number of partitions of every topic.
pub const PARTITIONS: u32 = 12;
/// Number of instances when nothing is broken.
const INSTANCES: usize = 3;
/// Longest wait for recovery.
const WAIT_DEADLINE: Duration = Duration::from_secs(120);
/// `session.timeout.ms` of the instances.
pub const SESSION: Duration = Duration::from_secs(6);

/// The cluster, the instances and the random generator.
pub struct World {
    pub cluster: Cluster,
    pub instances: Vec<Instance>,
    pub rng: Rng,
    pub settings: KafkaSettings,
    pub topics: Topics,
    folder: PathBuf,
    started: usize,
}

impl World {
    /// Starts a new cluster and new instances.
    pub fn new(folder: PathBuf, port: u16, seed: u64, guarantee: Guarantee) -> Self {
        std::fs::create_dir_all(&folder).expect("a folder for logs");
        std::fs::write(folder.join("policy.toml"), POLICY).expect("the policy");
        std::fs::write(folder.join("firewatch.toml"), "[policy]\nfile = \"policy.toml\"\n")
            .expect("settings");
        let cluster = Cluster::start_up("faults", port, 3);
        let mut settings = KafkaSettings::local(&cluster.bootstrap_servers(), "faults");
        settings.guarantee = guarantee;
        let rng = Rng::with_seed(seed);
        let mut world = Self {
            cluster,
            instances: Vec::new(),
            rng,
            settings,
            topics: Topics::default(),
            folder,
            started: 0,
        };
        world.make_topics(&world.environment());
        for _ in 0..INSTANCES {
            world.add();
        }
        world.wait_until_well();
        world
    }

    /// Returns the settings of every instance as environment variables.
    fn environment(&self) -> Vec<(String, String)> {
        let guarantee = match self.settings.guarantee {
            Guarantee::ExactlyOnce => "exactly_once",
            Guarantee::AtLeastOnce => "at_least_once",
        };
        [
            ("FIREWATCH_KAFKA_BROKERS", self.settings.brokers.as_str()),
            ("FIREWATCH_KAFKA_GROUP", "faults"),
            ("FIREWATCH_KAFKA_CONSUMER_SESSION_TIMEOUT_MS", &SESSION.as_millis().to_string()),
            ("FIREWATCH_ENGINE_GUARANTEE", guarantee),
            ("FIREWATCH_ENGINE_COMMIT_INTERVAL", "250ms"),
            // Idle detection follows the wall clock, which differs between two runs.
            ("FIREWATCH_ENGINE_IDLE_AFTER", "86400s"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .to_vec()
    }

    fn make_topics(&self, environment: &[(String, String)]) {
        let partitions = PARTITIONS.to_string();
        let out = firewatch()
            .args(["topics", "create", "--replication-factor", "3", "--partitions", &partitions, "--config"])
            .arg(self.folder.join("firewatch.toml"))
            .envs(environment.iter().map(|(k, v)| (k.as_str(), v.as_str())))
            .output()
            .expect("firewatch topics create");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// Starts one more instance.
    pub fn add(&mut self) {
        self.started += 1;
        let log = self.folder.join(format!("instance-{}.log", self.started));
        let instance = Instance::start(&self.folder.join("firewatch.toml"), &log, &self.environment());
        self.instances.push(instance);
    }

    /// Starts a single instance that processes the same input into topics of its own.
    pub fn quiet_run(&self) -> (Instance, Topics) {
        let topics = self.topics.with_prefix("quiet.");
        let mut environment = self.environment();
        environment.retain(|(key, _)| key != "FIREWATCH_KAFKA_GROUP" && key != "FIREWATCH_ENGINE_GUARANTEE");
        environment.extend(
            [
                ("FIREWATCH_KAFKA_GROUP", "quiet"),
                ("FIREWATCH_TOPICS_SIGNALS", &topics.signals),
                ("FIREWATCH_TOPICS_SCORES", &topics.scores),
                ("FIREWATCH_TOPICS_DEAD_LETTERS", &topics.dead_letters),
                ("FIREWATCH_TOPICS_STATE", &topics.state),
                ("FIREWATCH_TOPICS_ESCALATIONS_PREFIX", &topics.escalations),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned())),
        );
        self.make_topics(&environment);
        let log = self.folder.join("quiet.log");
        (Instance::start(&self.folder.join("firewatch.toml"), &log, &environment), topics)
    }

    /// Returns the index of a random instance.
    pub fn any(&mut self) -> usize {
        self.rng.usize(0..self.instances.len())
    }

    /// Returns a random broker.
    pub fn any_broker(&mut self) -> u16 {
        self.rng.u16(1..=3)
    }

    /// Waits for a random time.
    pub fn pause(&mut self, millis: std::ops::Range<u64>) {
        std::thread::sleep(Duration::from_millis(self.rng.u64(millis)));
    }

    /// Waits until every instance is in the group and owns partitions, and together they own all.
    pub fn wait_until_well(&mut self) {
        self.wait_until_held(None);
    }

    /// Waits until the other instances have taken over all partitions of a frozen one.
    pub fn wait_until_replaced(&mut self, frozen: usize) {
        self.wait_until_held(Some(frozen));
    }

    /// Waits until all instances, or all but one, work and together own all partitions.
    fn wait_until_held(&mut self, but: Option<usize>) {
        let start = Instant::now();
        loop {
            let mut held: Vec<u32> = Vec::new();
            let mut well = true;
            for (_, instance) in self.instances.iter_mut().enumerate().filter(|(i, _)| Some(*i) != but) {
                assert!(
                    !instance.has_ended(),
                    "an instance exited by itself; see {}",
                    instance.log.display()
                );
                let own = instance.partitions();
                well &= instance.is_ready() && !own.is_empty();
                held.extend(&own);
            }
            held.sort_unstable();
            if well && held == (0..PARTITIONS).collect::<Vec<_>>() {
                return;
            }
            assert!(start.elapsed() < WAIT_DEADLINE, "not recovered: partitions {held:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until every replica of every partition is in sync.
    pub fn wait_for_copies(&self) {
        let start = Instant::now();
        let behind = || {
            self.cluster.tool(&[
                "org.apache.kafka.tools.TopicCommand",
                "--describe",
                "--under-replicated-partitions",
            ])
        };
        while !behind().trim().is_empty() {
            assert!(start.elapsed() < WAIT_DEADLINE, "replicas are still out of sync");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Returns the broker that coordinates a task's transactions: the leader of the partition that its id
    /// hashes to.
    pub fn coordinator_for(&self, partition: u32) -> u16 {
        // Java's String.hashCode, made non-negative as Kafka does.
        let id = format!("faults-{partition}");
        let hash = id.bytes().fold(0_i32, |h, b| h.wrapping_mul(31).wrapping_add(i32::from(b))) & i32::MAX;
        let description = self.cluster.tool(&[
            "org.apache.kafka.tools.TopicCommand",
            "--describe",
            "--topic",
            "__transaction_state",
        ]);
        let partitions = description.lines().filter(|line| line.contains("Leader: ")).count().max(1);
        let own = format!("Partition: {}\t", hash as usize % partitions);
        let line = description.lines().find(|line| line.contains(&own)).unwrap_or_default();
        let leader = line.split("Leader: ").nth(1).and_then(|l| l.split_whitespace().next());
        leader.and_then(|l| l.parse().ok()).unwrap_or(1)
    }

    /// Returns the number of records that no instance has processed yet.
    pub fn lag(instances: &[Instance]) -> Option<u64> {
        let (mut lag, mut partitions) = (0, 0);
        for instance in instances {
            let metrics = instance.get("/metrics")?;
            let lines = metrics.lines().filter(|l| l.starts_with("firewatch_lag_records{"));
            for records in lines.filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok()) {
                lag += records;
                partitions += 1;
            }
        }
        // Of events, actions and signals. A partition that was never read reports no lag.
        (partitions == 3 * PARTITIONS).then_some(lag)
    }
}
