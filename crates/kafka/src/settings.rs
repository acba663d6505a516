//! How to reach a cluster, and the names of its topics.
//!
//! This module also derives the librdkafka properties of each kind of client.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use firewatch_engine::{Effect, Partitioner, SHADOW_TEAM, Stream};
use firewatch_wire::Contract;

use crate::Formats;
use crate::task_reader::InputTopic;

/// The delivery guarantee to readers of the outputs when something fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// Readers with `read_committed` see every effect once: effects, state and positions are committed in one
    /// transaction.
    ExactlyOnce,
    /// Readers see every effect, some perhaps twice: effects and state are written before positions. For
    /// brokers without transactions.
    AtLeastOnce,
}

/// How to reach a cluster, and how to run on it. The property lists are passed to librdkafka unchanged and
/// override firewatch's defaults.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// `bootstrap.servers`.
    pub brokers: String,
    /// `group.id`.
    pub group: String,
    /// Properties of every client.
    pub common: Vec<(String, String)>,
    /// Properties of consumers only.
    pub consumer: Vec<(String, String)>,
    /// Properties of producers only.
    pub producer: Vec<(String, String)>,
    /// Time between two commits, milliseconds.
    pub commit_interval_ms: u64,
    /// Records between two commits, at most.
    pub commit_records: usize,
    /// The delivery guarantee to readers of the outputs.
    pub guarantee: Guarantee,
    /// Silence after which a partition that is read to its end counts as idle, so that brands do not wait for
    /// it, milliseconds.
    pub idle_after_ms: u64,
    /// How long to retry before giving up, milliseconds.
    pub retry_timeout_ms: u64,
    /// Conversations that a partition follows, at most.
    pub max_conversations: usize,
    /// The formats that records are written in, and the registry with the schemas of records that are read.
    pub formats: Formats,
}

/// The names of the topics, and what dead letters hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// Input: posts, engagement, counters and brand replies.
    pub events: String,
    /// Input: what people did about escalations.
    pub actions: String,
    /// Output and input: signals from conversations to their brands.
    pub signals: String,
    /// Output: scored conversations.
    pub scores: String,
    /// Output: records that could not be decoded.
    pub dead_letters: String,
    /// Whether dead letters have the bytes of the record. Otherwise these stay only where it was read.
    pub dead_letter_bytes: bool,
    /// Output, and input when a task starts: the changelog of the state.
    pub state: String,
    /// Output: prefix of the teams' topics, which end in the team's name.
    pub escalations: String,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            events: "firewatch.events".into(),
            actions: "firewatch.actions".into(),
            signals: "firewatch.signals".into(),
            scores: "firewatch.scores".into(),
            dead_letters: "firewatch.dlq".into(),
            dead_letter_bytes: true,
            state: "firewatch.state".into(),
            escalations: "escalations.".into(),
        }
    }
}

impl Topics {
    /// Returns the topic that an effect is written to.
    #[must_use]
    pub fn topic_for(&self, effect: &Effect) -> String {
        match effect {
            Effect::Score(_) => self.scores.clone(),
            Effect::Signal(_) | Effect::Forwarded(..) => self.signals.clone(),
            Effect::DeadLetter(..) => self.dead_letters.clone(),
            Effect::Escalation(e) => self.team_topic(&e.team),
            Effect::HandedOver(_, before) => self.team_topic(before),
            Effect::Shadow(..) => self.team_topic(SHADOW_TEAM),
        }
    }

    /// Returns the topic of a team's escalations.
    #[must_use]
    pub fn team_topic(&self, team: &str) -> String {
        format!("{}{team}", self.escalations)
    }

    /// Returns the output topics whose format is configurable, with their contracts: all but signals, which
    /// only firewatch reads.
    pub(crate) fn contract_topics(&self, teams: &[&str]) -> Vec<(Contract, String)> {
        let teams = teams.iter().map(|team| (Contract::Escalation, self.team_topic(team)));
        let others = [(Contract::Score, &self.scores), (Contract::DeadLetter, &self.dead_letters)];
        others.into_iter().map(|(contract, topic)| (contract, topic.clone())).chain(teams).collect()
    }

    /// Returns the input topics with their streams.
    #[must_use]
    pub fn inputs(&self) -> [(&str, Stream); 3] {
        [(&self.events, Stream::Events), (&self.actions, Stream::Actions), (&self.signals, Stream::Signals)]
    }

    /// Returns the inputs of an engine's task.
    pub(crate) fn task_inputs(&self) -> Vec<InputTopic> {
        let to_input = |&(topic, stream): &(&str, Stream)| InputTopic { topic: topic.to_owned(), stream };
        self.inputs().iter().map(to_input).collect()
    }

    /// Returns the topics of which a task owns the same partition.
    #[must_use]
    pub fn task_topics(&self) -> [&str; 4] {
        [&self.events, &self.actions, &self.signals, &self.state]
    }

    /// Returns every topic, including those of the teams.
    #[must_use]
    pub fn all(&self, teams: &[&str]) -> Vec<String> {
        let others = [&self.events, &self.actions, &self.state].into_iter().cloned();
        others.chain(self.outputs(teams)).collect()
    }

    /// Returns the topics that effects are written to, including those of the teams.
    #[must_use]
    pub fn outputs(&self, teams: &[&str]) -> Vec<String> {
        let fixed = [&self.signals, &self.scores, &self.dead_letters].into_iter().cloned();
        fixed.chain(teams.iter().map(|t| self.team_topic(t))).collect()
    }

    /// Returns the topics of a payload source: its raw topic in place of the events, and a state topic beside
    /// it.
    #[must_use]
    pub fn for_source(&self, raw: &str) -> Self {
        Self { events: raw.to_owned(), state: format!("{raw}.state"), ..self.clone() }
    }

    /// Returns the same events and actions topics, with `prefix` before the names of all other topics.
    #[must_use]
    pub fn with_prefix(&self, prefix: &str) -> Self {
        let own = |name: &str| format!("{prefix}{name}");
        Self {
            events: self.events.clone(),
            actions: self.actions.clone(),
            signals: own(&self.signals),
            scores: own(&self.scores),
            dead_letters: own(&self.dead_letters),
            dead_letter_bytes: self.dead_letter_bytes,
            state: own(&self.state),
            escalations: own(&self.escalations),
        }
    }
}

impl KafkaSettings {
    /// Returns settings with defaults for everything but brokers and group.
    #[must_use]
    pub fn local(brokers: &str, group: &str) -> Self {
        Self {
            brokers: brokers.into(),
            group: group.into(),
            common: Vec::new(),
            consumer: Vec::new(),
            producer: Vec::new(),
            commit_interval_ms: 100,
            commit_records: 10_000,
            guarantee: Guarantee::ExactlyOnce,
            idle_after_ms: 1000,
            retry_timeout_ms: 600_000,
            max_conversations: 1_000_000,
            formats: Formats::default(),
        }
    }

    /// Configures the member of the group, which holds partitions and reads nothing.
    pub(crate) fn member_config(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("group.id", &self.group)
            // Tasks whose partitions do not move keep working through a rebalance.
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "10000")
            // Members learn of a rebalance with their next heartbeat; partitions that move wait for it.
            .set("heartbeat.interval.ms", "500");
        apply(&mut config, &self.consumer);
        // Set after the file's properties, which must not change them: offsets belong to the transactions,
        // and a member waits for pending ones.
        config
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // The statistics show whether a rebalance is under way.
            .set("statistics.interval.ms", "200");
        config
    }

    /// Configures the reader of one task's partitions.
    pub(crate) fn reader_config(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("group.id", &self.group)
            // Read-ahead for each log. The bytes do not include the client's own overhead.
            .set("queued.max.messages.kbytes", "8192")
            .set("queued.min.messages", "20000")
            .set("fetch.queue.backoff.ms", "10");
        let own = |key: &str| !GROUP_ONLY_PROPERTIES.iter().any(|prefix| key.starts_with(prefix));
        let properties: Vec<_> = self.consumer.iter().filter(|(key, _)| own(key)).cloned().collect();
        apply(&mut config, &properties);
        config
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            // Deleted records are reported, not skipped silently.
            .set("auto.offset.reset", "error");
        config
    }

    /// Configures the client that inspects and creates topics.
    pub(crate) fn admin_config(&self) -> ClientConfig {
        self.base()
    }

    /// Returns whether a task without committed positions starts at the end of its events.
    pub(crate) fn begins_at_end(&self) -> bool {
        let latest = |value: &str| matches!(value, "latest" | "largest" | "end");
        self.consumer.iter().any(|(key, value)| key == "auto.offset.reset" && latest(value))
    }

    /// Configures the writer of a task's outputs, or any other producer when `partition` is `None`.
    pub(crate) fn producer_config(&self, partition: Option<u32>) -> ClientConfig {
        let mut config = self.base();
        config
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("compression.type", "lz4")
            .set("partitioner", self.partitioner().property())
            .set("queue.buffering.max.kbytes", "8192");
        let transactional = partition.filter(|_| self.guarantee == Guarantee::ExactlyOnce);
        if transactional.is_some() {
            config.set("transaction.timeout.ms", "10000");
        }
        apply(&mut config, &self.producer);
        if let Some(partition) = transactional {
            // The next owner of the partition takes over this id and so fences the previous one.
            config.set("transactional.id", format!("{}-{partition}", self.group));
        }
        config
    }

    /// Returns how firewatch, and the producers of events and actions, choose the partition of a key: the property
    /// `partitioner` of `kafka.producer`, otherwise that of the Java clients.
    #[must_use]
    pub fn partitioner(&self) -> Partitioner {
        let named = self.producer.iter().rev().find(|(key, _)| key == PARTITIONER);
        named.and_then(|(_, value)| Partitioner::from_property(value)).unwrap_or_default()
    }

    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "firewatch")
            // A hung broker is given up sooner than after the default of a minute.
            .set("socket.timeout.ms", "10000");
        apply(&mut config, &self.common);
        // librdkafka's warnings are logged; its debug output only when the `debug` property is set.
        let debug = config.get("debug").is_some();
        config.set_log_level(if debug { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Warning });
        config
    }
}

/// Properties that exactly-once depends on, or that have a settings key of their own.
const RESERVED_PROPERTIES: [&str; 9] = [
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "isolation.level",
    "statistics.interval.ms",
    "transactional.id",
];

/// Prefixes of the properties that only a member of a group uses.
const GROUP_ONLY_PROPERTIES: [&str; 6] = [
    "group.",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "partition.assignment.strategy",
    "auto.offset.reset",
];

/// librdkafka's property that names the [`Partitioner`] of a producer.
const PARTITIONER: &str = "partitioner";

fn apply(config: &mut ClientConfig, properties: &[(String, String)]) {
    for (key, value) in properties {
        config.set(key, value);
    }
}

/// Returns the properties that a file may not set, or that librdkafka rejects, each with the reason.
#[must_use]
pub fn check_properties(properties: &[(String, String)]) -> Vec<(String, String)> {
    properties
        .iter()
        .filter_map(|(key, value)| {
            if RESERVED_PROPERTIES.contains(&key.as_str()) {
                return Some((key.clone(), "is set by firewatch; remove it".into()));
            }
            if key == PARTITIONER && Partitioner::from_property(value).is_none() {
                let names = Partitioner::ALL.map(Partitioner::property).join(", ");
                return Some((
                    key.clone(),
                    format!("{value:?} gives a key no partition of its own; use {names}"),
                ));
            }
            let refused = ClientConfig::new().set(key, value).create_native_config().err()?;
            // The error itself also has the value, which may be a secret.
            let why = match refused {
                KafkaError::ClientConfig(_, why, ..) => why,
                other => other.to_string(),
            };
            Some((key.clone(), why))
        })
        .collect()
}
