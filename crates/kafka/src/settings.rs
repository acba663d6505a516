//! How to reach a cluster, and what its topics are called.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use firewatch_engine::{Effect, SHADOW_TEAM, Stream};
use firewatch_wire::Contract;

use crate::Formats;

/// What a reader of the outputs can count on when something breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// With `read_committed`, every effect once: effects, state and positions are committed in one transaction.
    ExactlyOnce,
    /// Every effect, some perhaps twice: effects and state are written before positions are. For brokers
    /// without transactions.
    AtLeastOnce,
}

/// How to reach a cluster, and how to run on it. The property lists are passed to librdkafka as they are, over our
/// defaults.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// `bootstrap.servers`.
    pub brokers: String,
    /// `group.id`.
    pub group: String,
    /// Properties of every client.
    pub common: Vec<(String, String)>,
    /// Properties of the consumer alone.
    pub consumer: Vec<(String, String)>,
    /// Properties of the producer alone.
    pub producer: Vec<(String, String)>,
    /// Time from one commit to the next, milliseconds.
    pub commit_interval_ms: u64,
    /// Records from one commit to the next at most.
    pub commit_records: usize,
    /// What outputs can be counted on for.
    pub guarantee: Guarantee,
    /// A partition that is read to its end and silent for so long is not waited for, milliseconds.
    pub idle_after_ms: u64,
    /// How long to try again before giving up, milliseconds.
    pub retry_timeout_ms: u64,
    /// Conversations that a partition follows at most.
    pub max_conversations: usize,
    /// What records are written in, and who knows the schemas of those that are read.
    pub formats: Formats,
}

/// The topics' names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// Posts, engagement, counters, brand replies; in.
    pub events: String,
    /// What people did; in.
    pub actions: String,
    /// What conversations tell their brands; out and in.
    pub signals: String,
    /// Scored conversations; out.
    pub scores: String,
    /// What could not be read; out.
    pub dead_letters: String,
    /// The changelog of the state; out, and in when a task begins.
    pub state: String,
    /// The team's name is put behind this; out.
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
            state: "firewatch.state".into(),
            escalations: "escalations.".into(),
        }
    }
}

impl Topics {
    /// The topic that an effect is written to.
    #[must_use]
    pub fn topic_for(&self, effect: &Effect) -> String {
        match effect {
            Effect::Score(_) => self.scores.clone(),
            Effect::Signal(_) => self.signals.clone(),
            Effect::DeadLetter(..) => self.dead_letters.clone(),
            Effect::Escalation(e) => self.team_topic(&e.team),
            Effect::HandedOver(_, before) => self.team_topic(before),
            Effect::Shadow(..) => self.team_topic(SHADOW_TEAM),
        }
    }

    /// The topic of a team.
    #[must_use]
    pub fn team_topic(&self, team: &str) -> String {
        format!("{}{team}", self.escalations)
    }

    /// The topics that effects of which the form is one's choice are written to: all but signals, which only firewatch reads.
    pub(crate) fn contract_topics(&self, teams: &[&str]) -> Vec<(Contract, String)> {
        let teams = teams.iter().map(|team| (Contract::Escalation, self.team_topic(team)));
        let others = [(Contract::Score, &self.scores), (Contract::DeadLetter, &self.dead_letters)];
        others.into_iter().map(|(contract, topic)| (contract, topic.clone())).chain(teams).collect()
    }

    /// The topics that are read.
    #[must_use]
    pub fn inputs(&self) -> [(&str, Stream); 3] {
        [(&self.events, Stream::Events), (&self.actions, Stream::Actions), (&self.signals, Stream::Signals)]
    }

    /// The topics of which a task has the same partition.
    #[must_use]
    pub fn task_topics(&self) -> [&str; 4] {
        [&self.events, &self.actions, &self.signals, &self.state]
    }

    /// Every topic, the teams' among them.
    #[must_use]
    pub fn all(&self, teams: &[&str]) -> Vec<String> {
        let others = [&self.events, &self.actions, &self.state].into_iter().cloned();
        others.chain(self.outputs(teams)).collect()
    }

    /// The topics that effects are written to, the teams' among them.
    #[must_use]
    pub fn outputs(&self, teams: &[&str]) -> Vec<String> {
        let fixed = [&self.signals, &self.scores, &self.dead_letters].into_iter().cloned();
        fixed.chain(teams.iter().map(|t| self.team_topic(t))).collect()
    }

    /// Those of a source of payloads: its raw topic in the place of the events, and a state beside it.
    #[must_use]
    pub fn for_source(&self, raw: &str) -> Self {
        Self { events: raw.to_owned(), state: format!("{raw}.state"), ..self.clone() }
    }

    /// The same inputs, and everything else behind a prefix.
    #[must_use]
    pub fn with_prefix(&self, prefix: &str) -> Self {
        let own = |name: &str| format!("{prefix}{name}");
        Self {
            events: self.events.clone(),
            actions: self.actions.clone(),
            signals: own(&self.signals),
            scores: own(&self.scores),
            dead_letters: own(&self.dead_letters),
            state: own(&self.state),
            escalations: own(&self.escalations),
        }
    }
}

impl KafkaSettings {
    /// Settings that need no file: everything but the address is a default.
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

    /// The member of the group: it holds partitions and reads nothing.
    pub(crate) fn member_config(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("group.id", &self.group)
            // Partitions that stay where they are go on through a rebalance.
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "10000")
            // Members hear of a rebalance with their next heartbeat; partitions that move wait for it.
            .set("heartbeat.interval.ms", "500");
        apply(&mut config, &self.consumer);
        // Offsets belong to the transactions, whatever a file says; pending ones are waited for.
        config
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // They tell whether a rebalance is under way.
            .set("statistics.interval.ms", "200");
        config
    }

    /// The reader of one task's partitions.
    pub(crate) fn reader_config(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("group.id", &self.group)
            // What is read ahead, for each log. The client's own overhead is not counted in the bytes.
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
            // Records that are gone are told of, not skipped over.
            .set("auto.offset.reset", "error");
        config
    }

    /// Who asks about topics and makes them.
    pub(crate) fn admin_config(&self) -> ClientConfig {
        self.base()
    }

    /// Whether a task that has no positions yet begins at the end of its topics.
    pub(crate) fn begins_at_end(&self) -> bool {
        let latest = |value: &str| matches!(value, "latest" | "largest" | "end");
        self.consumer.iter().any(|(key, value)| key == "auto.offset.reset" && latest(value))
    }

    /// The writer of a task's outputs, or any other when no partition is given.
    pub(crate) fn producer_config(&self, partition: Option<u32>) -> ClientConfig {
        let mut config = self.base();
        config
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("compression.type", "lz4")
            // The partitioner of the Java clients: a key lands where any other producer puts it.
            .set("partitioner", "murmur2_random")
            .set("queue.buffering.max.kbytes", "8192");
        let transactional = partition.filter(|_| self.guarantee == Guarantee::ExactlyOnce);
        if transactional.is_some() {
            config.set("transaction.timeout.ms", "10000");
        }
        apply(&mut config, &self.producer);
        if let Some(partition) = transactional {
            // Whoever works on the partition next takes this id over, and so shuts the one before out.
            config.set("transactional.id", format!("{}-{partition}", self.group));
        }
        config
    }

    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "firewatch")
            // A broker that hangs is given up sooner than the minute that is the default.
            .set("socket.timeout.ms", "10000");
        apply(&mut config, &self.common);
        // librdkafka's own words are wanted; those of its `debug` property only when that is set.
        let debug = config.get("debug").is_some();
        config.set_log_level(if debug { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Warning });
        config
    }
}

/// Properties on which exactly-once stands, or that have a key of their own.
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

/// Properties, by their beginning, that only a member of a group has a use for.
const GROUP_ONLY_PROPERTIES: [&str; 6] = [
    "group.",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "partition.assignment.strategy",
    "auto.offset.reset",
];

fn apply(config: &mut ClientConfig, properties: &[(String, String)]) {
    for (key, value) in properties {
        config.set(key, value);
    }
}

/// Properties that librdkafka does not know or whose value it refuses, each with its own words.
#[must_use]
pub fn check_properties(properties: &[(String, String)]) -> Vec<(String, String)> {
    properties
        .iter()
        .filter_map(|(key, value)| {
            if RESERVED_PROPERTIES.contains(&key.as_str()) {
                return Some((key.clone(), "is firewatch's own to set; leave it out".into()));
            }
            let refused = ClientConfig::new().set(key, value).create_native_config().err()?;
            Some((key.clone(), refused.to_string()))
        })
        .collect()
}
