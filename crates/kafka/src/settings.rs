//! How to reach a cluster, and what its topics are called.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use firewatch_engine::{Effect, Stream};

/// How to reach a cluster. The property lists are passed to librdkafka as they are, over our defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
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
            escalations: "escalations.".into(),
        }
    }
}

impl Topics {
    /// The topic that an effect is written to.
    #[must_use]
    pub fn of(&self, effect: &Effect) -> String {
        match effect {
            Effect::Score(_) => self.scores.clone(),
            Effect::Signal(_) => self.signals.clone(),
            Effect::DeadLetter(..) => self.dead_letters.clone(),
            Effect::Escalation(e) => self.of_team(&e.team),
        }
    }

    /// The topic of a team.
    #[must_use]
    pub fn of_team(&self, team: &str) -> String {
        format!("{}{team}", self.escalations)
    }

    /// The topics that are read.
    #[must_use]
    pub fn read(&self) -> [(&str, Stream); 3] {
        [(&self.events, Stream::Events), (&self.actions, Stream::Actions), (&self.signals, Stream::Signals)]
    }

    /// What a topic is read as.
    #[must_use]
    pub fn stream(&self, topic: &str) -> Option<Stream> {
        self.read().into_iter().find(|(name, _)| *name == topic).map(|(_, stream)| stream)
    }

    /// Every topic, the teams' among them.
    #[must_use]
    pub fn all(&self, teams: &[&str]) -> Vec<String> {
        let fixed = [&self.events, &self.actions, &self.signals, &self.scores, &self.dead_letters];
        fixed.into_iter().cloned().chain(teams.iter().map(|t| self.of_team(t))).collect()
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
        }
    }

    pub(crate) fn consumer_config(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("group.id", &self.group)
            .set("auto.offset.reset", "earliest")
            // A task needs its events, actions and signals partitions together; the range assignor keeps partitions
            // of equal number together.
            .set("partition.assignment.strategy", "range")
            .set("isolation.level", "read_committed")
            .set("queued.max.messages.kbytes", "65536")
            .set("statistics.interval.ms", "1000");
        apply(&mut config, &self.consumer);
        // Offsets follow the outputs, so they are ours to commit whatever a file says.
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        config
    }

    pub(crate) fn producer_config(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("compression.type", "lz4")
            // The partitioner of the Java clients: a key lands where any other producer puts it.
            .set("partitioner", "murmur2_random");
        apply(&mut config, &self.producer);
        config
    }

    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", "firewatch");
        apply(&mut config, &self.common);
        // librdkafka's own words are wanted; those of its `debug` property only when that is set.
        let debug = config.get("debug").is_some();
        config.set_log_level(if debug { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Warning });
        config
    }
}

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
            let refused = ClientConfig::new().set(key, value).create_native_config().err()?;
            Some((key.clone(), refused.to_string()))
        })
        .collect()
}
