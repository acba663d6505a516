//! What the client's callbacks and the run loop share.
//!
//! librdkafka calls back on the thread that polls, between two records. Before partitions are given up, what was
//! worked on is written and committed there and then: afterwards another member reads on from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{Producer, ProducerContext, ThreadedProducer};
use rdkafka::statistics::Statistics;
use rdkafka::{Message, Offset, TopicPartitionList};

use firewatch_domain::EventTime;

use crate::RunError;

/// Longest wait for the brokers to take outputs: long enough for one to restart.
const FLUSH: Duration = Duration::from_secs(120);

/// Whether the process is well, for those who watch it.
#[derive(Debug, Default)]
pub struct Health {
    ready: AtomicBool,
    beat: AtomicI64,
}

impl Health {
    /// Whether the consumer has its partitions and reads them.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// When the run loop last came round.
    #[must_use]
    pub fn last_beat(&self) -> EventTime {
        EventTime::from_millis(self.beat.load(Ordering::Relaxed))
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    pub(crate) fn beat(&self, now: EventTime) {
        self.beat.store(now.as_millis(), Ordering::Relaxed);
    }
}

/// The kind of trouble last told: the client repeats itself with every attempt, a log need not. Work that succeeds
/// ends it, so that the same trouble is told again when it comes again.
#[derive(Default)]
struct Trouble(Mutex<Option<RDKafkaErrorCode>>);

impl Trouble {
    fn tell(&self, who: &str, error: &KafkaError, reason: &str) {
        let mut last = lock(&self.0);
        let code = error.rdkafka_error_code();
        if last.is_none() || *last != code {
            eprintln!("{who}: {error}: {reason}");
        }
        *last = code;
    }

    fn is_over(&self) {
        *lock(&self.0) = None;
    }
}

/// Notes deliveries that failed for good.
#[derive(Default)]
pub(crate) struct Deliveries {
    failed: Mutex<Option<String>>,
    trouble: Trouble,
}

impl Deliveries {
    pub fn failure(&self) -> Option<String> {
        lock(&self.failed).clone()
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.trouble.tell("kafka producer", &error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.trouble.is_over(),
            Err((error, message)) => {
                let problem = format!("{}: {error}", message.topic());
                lock(&self.failed).get_or_insert(problem);
            }
        }
    }
}

/// The consumer's side of the shared state.
pub(crate) struct Group {
    pub producer: Arc<ThreadedProducer<Deliveries>>,
    /// Next offsets of what was worked on and is not committed.
    positions: Mutex<BTreeMap<(String, i32), i64>>,
    /// Partitions of the events topic that are ours, as of the last rebalance, and whether that changed.
    owned: Mutex<(BTreeSet<u32>, bool)>,
    lags: Mutex<BTreeMap<(String, u32), i64>>,
    events: String,
    trouble: Trouble,
    pub health: Arc<Health>,
}

impl Group {
    pub fn new(producer: Arc<ThreadedProducer<Deliveries>>, events: &str, health: Arc<Health>) -> Self {
        Self {
            producer,
            positions: Mutex::default(),
            owned: Mutex::default(),
            lags: Mutex::default(),
            events: events.into(),
            trouble: Trouble::default(),
            health,
        }
    }

    /// Notes that a record was worked on.
    pub fn worked_on(&self, topic: &str, partition: i32, offset: i64) {
        lock(&self.positions).insert((topic.to_owned(), partition), offset + 1);
    }

    /// Partitions that are ours now, if that changed since the last call.
    pub fn reassigned(&self) -> Option<BTreeSet<u32>> {
        let mut owned = lock(&self.owned);
        std::mem::take(&mut owned.1).then(|| owned.0.clone())
    }

    /// How far behind each partition was when librdkafka last told.
    pub fn lags(&self) -> BTreeMap<(String, u32), i64> {
        lock(&self.lags).clone()
    }

    /// Writes out what was produced, then commits the offsets it came from.
    pub fn commit(&self, consumer: &BaseConsumer<Self>) -> Result<(), RunError> {
        let positions = std::mem::take(&mut *lock(&self.positions));
        if positions.is_empty() && self.producer.in_flight_count() == 0 {
            return Ok(());
        }
        self.producer.flush(FLUSH).map_err(|e| RunError::Undelivered(e.to_string()))?;
        if let Some(problem) = self.producer.context().failure() {
            return Err(RunError::Undelivered(problem));
        }
        if positions.is_empty() {
            return Ok(());
        }
        let mut offsets = TopicPartitionList::new();
        for ((topic, partition), next) in positions {
            offsets
                .add_partition_offset(&topic, partition, Offset::Offset(next))
                .map_err(crate::doing("commit"))?;
        }
        consumer.commit(&offsets, CommitMode::Sync).map_err(crate::doing("commit offsets"))?;
        self.trouble.is_over();
        Ok(())
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.trouble.tell("kafka consumer", &error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let mut lags = lock(&self.lags);
        lags.clear();
        for (topic, partitions) in statistics.topics {
            for (id, partition) in partitions.partitions {
                // A partition that never held anything has no lag to tell, and none.
                let empty = partition.consumer_lag < 0 && partition.hi_offset == 0;
                let lag = if empty { 0 } else { partition.consumer_lag };
                if let Ok(id) = u32::try_from(id)
                    && lag >= 0
                {
                    lags.insert((topic.clone(), id), lag);
                }
            }
        }
    }
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(_) = rebalance {
            self.health.set_ready(false);
            // A commit that fails here only means that the next owner repeats the work.
            if let Err(e) = self.commit(consumer) {
                eprintln!("before giving up partitions: {e}");
            }
            // Partitions that come straight back keep their tasks; nobody else worked on them in between, unless the
            // group had thrown this member out.
            if consumer.assignment_lost() {
                *lock(&self.owned) = (BTreeSet::new(), true);
            }
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            let ours = partitions.elements_for_topic(&self.events);
            let ours = ours.iter().filter_map(|p| u32::try_from(p.partition()).ok()).collect();
            *lock(&self.owned) = (ours, true);
            self.health.set_ready(true);
        }
    }
}

/// A poisoned lock means that another thread panicked while it only moved values; they are still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whatever librdkafka has to say; it is quiet unless something is wrong or its `debug` property is set.
fn log_line(_: RDKafkaLogLevel, facility: &str, message: &str) {
    eprintln!("kafka {facility}: {message}");
}
