//! Reads the outputs with `read_committed`, as a downstream team does, and keeps what a comparison of two
//! runs needs: names, counts and content hashes of records.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use firewatch_domain::EventTime;
use firewatch_kafka::{KafkaSettings, ReceivedRecord, TopicTail, Topics};
use serde_json::Value;

/// The kinds of output that are compared.
pub const KINDS: [&str; 4] = ["score", "escalation", "signal", "dead_letter"];

/// Kind, key and id of a record.
pub type Name = (&'static str, String, String);

/// One record and how often it arrived.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub times: u32,
    /// Hash of the content; of the first copy, if there are several.
    pub content_hash: u64,
    pub differs: bool,
    pub at: Option<EventTime>,
    /// Position in the input, for a dead letter.
    pub origin: Option<(u32, i64)>,
}

/// All outputs of a run.
#[derive(Default)]
pub struct Outputs {
    pub records: HashMap<Name, Seen>,
    pub read: u64,
    /// When a record last arrived in each partition of the scores.
    last_seen: BTreeMap<u32, Instant>,
    /// Pauses of partitions: end, length and partition.
    pub pauses: Vec<(Instant, Duration, u32)>,
}

/// Longest time from the last input to the last output.
const END_DEADLINE: Duration = Duration::from_secs(120);

/// Shorter pauses are not counted.
const MIN_PAUSE: Duration = Duration::from_millis(150);

impl Outputs {
    /// Reads until `stop` is set and nothing has arrived for `calm`.
    ///
    /// # Panics
    /// When records still arrive `END_DEADLINE` after `stop` was set.
    pub fn read(
        settings: &KafkaSettings,
        topics: &Topics,
        teams: &[&str],
        stop: &AtomicBool,
        calm: Duration,
    ) -> Self {
        let names: Vec<String> = [&topics.scores, &topics.signals, &topics.dead_letters]
            .into_iter()
            .cloned()
            .chain(teams.iter().map(|team| topics.team_topic(team)))
            .collect();
        let tail = TopicTail::new(settings, &names).expect("a reader");
        let mut outputs = Self::default();
        let mut last = Instant::now();
        let mut ends_by = None;
        loop {
            if stop.load(Ordering::Relaxed) {
                let deadline = *ends_by.get_or_insert_with(|| Instant::now() + END_DEADLINE);
                assert!(Instant::now() < deadline, "outputs still arrive, {} until now", outputs.read);
            }
            match tail.next(Duration::from_millis(50)) {
                Ok(Some(record)) => {
                    last = Instant::now();
                    outputs.record(&record, topics);
                }
                Ok(None) if stop.load(Ordering::Relaxed) && last.elapsed() > calm => return outputs,
                // The client retries by itself.
                Ok(None) | Err(_) => {}
            }
        }
    }

    fn record(&mut self, record: &ReceivedRecord, topics: &Topics) {
        self.read += 1;
        let kind = match &record.topic {
            topic if *topic == topics.scores => KINDS[0],
            topic if *topic == topics.signals => KINDS[2],
            topic if *topic == topics.dead_letters => KINDS[3],
            _ => KINDS[1],
        };
        if kind == KINDS[0] {
            let now = Instant::now();
            if let Some(before) = self.last_seen.insert(record.partition, now)
                && now - before > MIN_PAUSE
            {
                self.pauses.push((now, now - before, record.partition));
            }
        }
        let value: Value = serde_json::from_slice(&record.value).expect("JSON");
        let id = value["id"].as_str().unwrap_or_default().to_owned();
        let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
        let mut hasher = DefaultHasher::new();
        record.value.hash(&mut hasher);
        let content_hash = hasher.finish();
        let seen = self.records.entry((kind, key, id)).or_default();
        seen.times += 1;
        if seen.times == 1 {
            seen.content_hash = content_hash;
            seen.at = value["at"].as_str().and_then(|at| EventTime::parse(at).ok());
            let origin = &value["origin"];
            seen.origin =
                origin["partition"].as_u64().zip(origin["offset"].as_i64()).map(|(p, o)| (p as u32, o));
        } else {
            seen.differs |= seen.content_hash != content_hash;
        }
    }
}
