//! Deploys firewatch on a cluster as a user would: with a policy, a settings file and topics.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use firewatch_kafka::{KafkaSettings, ReceivedRecord, RecordProducer, TopicTail, Topics};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Instance, firewatch};

/// A topic without a new record for this long counts as complete.
const QUIET_PERIOD: Duration = Duration::from_millis(1500);
/// Longest wait for records.
const WAIT_DEADLINE: Duration = Duration::from_secs(90);

/// One deployment. The names of its topics and its group start with its name, so that many fit on a cluster.
pub struct Deployment {
    /// The Kafka settings of the test's own producers and consumers.
    pub settings: KafkaSettings,
    /// The deployment's topics.
    pub topics: Topics,
    folder: TempDir,
}

impl Deployment {
    /// Writes the policy and a settings file with every default.
    ///
    /// # Panics
    /// When they cannot be written.
    #[must_use]
    pub fn new(brokers: &str, name: &str, policy: &str) -> Self {
        let own = format!("{name}.");
        let inputs = |topic: &str| format!("{own}{topic}");
        let topics = Topics {
            events: inputs("events"),
            actions: inputs("actions"),
            ..Topics::default().with_prefix(&own)
        };
        let folder = TempDir::new().unwrap_or_else(|e| panic!("temporary folder: {e}"));
        write(&folder.path().join("policy.toml"), policy);
        let deployment = Self { settings: KafkaSettings::local(brokers, name), topics, folder };
        deployment.configure("");
        deployment
    }

    /// Writes the settings file. `engine` is the content of its `[engine]` section, and may add sections.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure(&self, engine: &str) {
        let Topics { events, actions, signals, scores, dead_letters, state, escalations, .. } = &self.topics;
        let (brokers, group) = (&self.settings.brokers, &self.settings.group);
        let text = format!(
            "[kafka]\nbrokers = \"{brokers}\"\ngroup = \"{group}\"\n[kafka.consumer]\n\
             \"session.timeout.ms\" = \"6000\"\n[topics]\nevents = \"{events}\"\nactions = \"{actions}\"\n\
             signals = \"{signals}\"\nscores = \"{scores}\"\ndead_letters = \"{dead_letters}\"\n\
             state = \"{state}\"\nescalations_prefix = \"{escalations}\"\n[engine]\n{engine}\n"
        );
        write(&self.config(), &text);
    }

    /// Returns the path of the settings file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder().join("firewatch.toml")
    }

    /// Returns the deployment's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Creates the topics with `firewatch topics create`.
    ///
    /// # Panics
    /// When the command fails.
    pub fn make_topics(&self, partitions: u32) {
        let out = self.command(&["topics", "create"], &["--partitions", &partitions.to_string()]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// Runs a firewatch command with the settings file until it exits.
    ///
    /// # Panics
    /// When the command cannot be started.
    #[must_use]
    pub fn command(&self, command: &[&str], options: &[&str]) -> Output {
        let out = firewatch()
            .args(command)
            .arg("--config")
            .arg(self.config())
            .args(options)
            // Another process may use the default port.
            .env("FIREWATCH_HTTP_LISTEN", "127.0.0.1:0")
            .output();
        out.unwrap_or_else(|e| panic!("firewatch {}: {e}", command.join(" ")))
    }

    /// Starts `firewatch run`.
    #[must_use]
    pub fn start(&self) -> Instance {
        Instance::start(&self.config(), &self.folder().join("log"), &[])
    }

    /// Starts another long-running command and waits until it is ready.
    #[must_use]
    pub fn serve(&self, command: &str) -> Instance {
        let instance = Instance::start_command(command, &self.config(), &self.folder().join(command), &[]);
        instance.wait_until_ready();
        instance
    }

    /// Starts `firewatch run` and waits until all its tasks are ready.
    #[must_use]
    pub fn start_until_ready(&self) -> Instance {
        let instance = self.start();
        instance.wait_until_ready();
        instance
    }

    /// Reads all committed records of a topic. Waits until there are at least `min_records` and no more
    /// arrive.
    ///
    /// # Panics
    /// When fewer than `min_records` arrive within 90 seconds.
    #[must_use]
    pub fn read(&self, topic: &str, min_records: usize) -> Vec<ReceivedRecord> {
        let tail = TopicTail::new(&self.settings, &[topic.to_owned()]).unwrap_or_else(|e| panic!("{e}"));
        let (mut all, start) = (Vec::new(), Instant::now());
        loop {
            match tail.next(QUIET_PERIOD).unwrap_or_else(|e| panic!("{e}")) {
                Some(record) => all.push(record),
                None if all.len() >= min_records => return all,
                None => {
                    assert!(start.elapsed() < WAIT_DEADLINE, "{topic} holds {} of {min_records}", all.len())
                }
            }
        }
    }

    /// Writes events, each given as key and value.
    ///
    /// # Panics
    /// When the broker refuses one.
    pub fn feed(&self, events: impl IntoIterator<Item = (String, Vec<u8>)>) {
        let feed = RecordProducer::new(&self.settings).unwrap_or_else(|e| panic!("{e}"));
        for (key, value) in events {
            let sent = feed.send(&self.topics.events, Some(&key), &value, &[]);
            sent.unwrap_or_else(|e| panic!("{e}"));
        }
        feed.flush().unwrap_or_else(|e| panic!("{e}"));
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// Parses the values of records that hold JSON.
///
/// # Panics
/// When a value is not JSON.
#[must_use]
pub fn values(records: &[ReceivedRecord]) -> Vec<Value> {
    records.iter().map(|record| serde_json::from_slice(&record.value).expect("JSON")).collect()
}
