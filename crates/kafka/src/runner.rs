//! The run loop: poll, hand to the partition's task, write its effects, commit.
//!
//! One thread works on all partitions of this process, each in a task of its own. Outputs are flushed before the
//! offsets of their inputs are committed; this is where transactions take their place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration as Wait;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use firewatch_domain::{Duration, EventTime};
use firewatch_engine::{Brain, Effect, Input, Metrics, Task};

use crate::headers::{content_headers, owned, traceparent};
use crate::session::{Deliveries, Group};
use crate::{Health, KafkaSettings, RunError, Topics, doing};

/// Longest wait for a record.
const POLL: Wait = Wait::from_millis(20);
/// Longest wait for an answer about topics and offsets.
const ASK: Wait = Wait::from_secs(10);
/// How often silent partitions and gauges are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The wall clock, lent by the shell.
pub type Clock = fn() -> EventTime;

/// The Kafka run loop.
pub struct Runner {
    consumer: Arc<BaseConsumer<Group>>,
    producer: Arc<ThreadedProducer<Deliveries>>,
    brain: Arc<Brain>,
    topics: Topics,
    metrics: Metrics,
    clock: Clock,
    tasks: BTreeMap<u32, OwnTask>,
    partitions: u32,
    commit_interval: Duration,
    commit_records: usize,
    /// Records worked on since the last commit: their event time and arrival.
    open: Vec<(Option<EventTime>, EventTime)>,
    made: Vec<Effect>,
    bytes: Vec<u8>,
}

/// A task, and since when its partition has been silent.
struct OwnTask {
    task: Task,
    silent_since: EventTime,
}

impl Runner {
    /// Connects, checks the topics and joins the group.
    ///
    /// # Errors
    /// When a setting is refused, no broker answers, or the topics are not as they must be.
    pub fn new(
        settings: &KafkaSettings,
        topics: Topics,
        brain: Arc<Brain>,
        metrics: Metrics,
        clock: Clock,
    ) -> Result<Self, RunError> {
        let producer: ThreadedProducer<Deliveries> = settings
            .producer_config()
            .create_with_context(Deliveries::default())
            .map_err(doing("make the producer"))?;
        let producer = Arc::new(producer);
        let group = Group::new(producer.clone(), &topics.events, Arc::new(Health::default()));
        let config: ClientConfig = settings.consumer_config();
        let consumer: BaseConsumer<Group> =
            config.create_with_context(group).map_err(doing("make the consumer"))?;
        let partitions = same_partitions(&consumer, &topics, &settings.brokers)?;
        let read = topics.read().map(|(name, _)| name);
        consumer.subscribe(&read).map_err(doing("subscribe"))?;
        Ok(Self {
            consumer: Arc::new(consumer),
            producer,
            brain,
            topics,
            metrics,
            clock,
            tasks: BTreeMap::new(),
            partitions,
            commit_interval: Duration::from_millis(settings.commit_interval_ms as i64),
            commit_records: settings.commit_records,
            open: Vec::new(),
            made: Vec::new(),
            bytes: Vec::new(),
        })
    }

    /// Whether the process is well, for those who watch it.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        self.consumer.context().health.clone()
    }

    /// Runs until told to stop; then finishes the batch, commits and leaves the group.
    ///
    /// # Errors
    /// When a record cannot be written or an offset not committed; nothing after the last commit counts then.
    pub fn run(&mut self, stop: &AtomicBool) -> Result<(), RunError> {
        while !stop.load(Ordering::Relaxed) {
            self.batch()?;
            self.look_around()?;
            self.commit()?;
        }
        self.leave()
    }

    /// Runs until all that is there when `fed` is set has been worked on, then ends the stream: what waits is
    /// decided. For recordings, whose time is not the wall clock's.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_to_end(&mut self, fed: &AtomicBool, stop: &AtomicBool) -> Result<(), RunError> {
        let topics = self.topics.clone();
        self.run_until(stop, |runner| Ok(fed.load(Ordering::Relaxed) && runner.caught_up(&topics.events)?))?;
        self.run_until(stop, |runner| runner.caught_up(&topics.actions))?;
        for own in self.tasks.values_mut() {
            own.task.end_of_stream(&self.brain, &mut self.made);
        }
        self.write(None)?;
        self.producer.flush(ASK).map_err(doing("write the last signals"))?;
        self.run_until(stop, |runner| runner.caught_up(&topics.signals))?;
        self.leave()
    }

    fn run_until(
        &mut self,
        stop: &AtomicBool,
        mut done: impl FnMut(&Self) -> Result<bool, RunError>,
    ) -> Result<(), RunError> {
        while !stop.load(Ordering::Relaxed) {
            let worked = self.batch()?;
            self.gauge();
            self.commit()?;
            if worked == 0 && !self.tasks.is_empty() && done(self)? {
                break;
            }
        }
        Ok(())
    }

    /// Conversations in memory.
    #[must_use]
    pub fn conversations(&self) -> usize {
        self.tasks.values().map(|own| own.task.conversations()).sum()
    }

    /// Works on records until it is time to commit; tells how many.
    fn batch(&mut self) -> Result<usize, RunError> {
        let consumer = self.consumer.clone();
        let start = (self.clock)();
        consumer.context().health.beat(start);
        let mut worked = 0;
        while worked < self.commit_records && (self.clock)() - start < self.commit_interval {
            let polled = consumer.poll(POLL);
            self.take_over();
            match polled {
                None => break,
                Some(Ok(message)) => {
                    self.work_on(&message)?;
                    worked += 1;
                }
                Some(Err(e)) if e.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) => {
                    return Err(RunError::Client("read".into(), e));
                }
                // The client tries again by itself and has told what is wrong.
                Some(Err(_)) => {}
            }
        }
        Ok(worked)
    }

    /// Makes tasks for partitions that became ours and drops those of partitions that no longer are.
    fn take_over(&mut self) {
        let Some(ours) = self.consumer.context().reassigned() else { return };
        let now = (self.clock)();
        for gone in self.tasks.keys().filter(|p| !ours.contains(p)) {
            self.metrics.forget(*gone);
        }
        self.tasks.retain(|partition, _| ours.contains(partition));
        for partition in ours {
            let partitions = self.partitions;
            let fresh = || OwnTask { task: Task::new(partition, partitions), silent_since: now };
            self.tasks.entry(partition).or_insert_with(fresh);
        }
    }

    fn work_on(&mut self, message: &BorrowedMessage<'_>) -> Result<(), RunError> {
        let now = (self.clock)();
        let partition = u32::try_from(message.partition()).unwrap_or_default();
        let (Some(stream), Some(own)) = (self.topics.stream(message.topic()), self.tasks.get_mut(&partition))
        else {
            // A record of a partition that was just given up: its next owner reads it.
            return Ok(());
        };
        let input = Input {
            stream,
            topic: message.topic(),
            partition,
            offset: message.offset(),
            arrival: message.timestamp().to_millis().map_or(now, EventTime::from_millis),
            key: message.key(),
            value: message.payload().unwrap_or_default(),
        };
        own.silent_since = now;
        let handled = own.task.handle(&input, &self.brain, &mut self.made);
        self.metrics.handled(stream, &handled);
        self.open.push((handled.at, input.arrival));
        let parent = traceparent(message.headers());
        self.write(parent.as_deref())?;
        self.consumer.context().worked_on(message.topic(), message.partition(), message.offset());
        Ok(())
    }

    /// Hands the effects made so far to the producer.
    fn write(&mut self, traceparent: Option<&str>) -> Result<(), RunError> {
        for effect in self.made.drain(..) {
            self.bytes.clear();
            effect.encode(&mut self.bytes).map_err(|e| RunError::Undelivered(e.to_string()))?;
            let topic = self.topics.of(&effect);
            let headers = owned(&content_headers(&effect, traceparent));
            let mut record = BaseRecord::<[u8], [u8]>::to(&topic).payload(&self.bytes).headers(headers);
            record.key = effect.key();
            // A full queue is back-pressure: wait until the brokers have taken some of it.
            while let Err((e, back)) = self.producer.send(record) {
                if e.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(RunError::Undelivered(format!("{topic}: {e}")));
                }
                self.producer.poll(POLL);
                record = back;
            }
            self.metrics.effect(&effect);
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), RunError> {
        self.consumer.context().commit(&self.consumer)?;
        let now = (self.clock)();
        for (event_time, arrival) in self.open.drain(..) {
            self.metrics.committed(now, event_time, arrival);
        }
        Ok(())
    }

    /// Lets time pass for partitions that are read to their end and silent, and notes the gauges.
    fn look_around(&mut self) -> Result<(), RunError> {
        let lags = self.consumer.context().lags();
        let now = (self.clock)();
        for (partition, own) in &mut self.tasks {
            let caught_up = lags.get(&(self.topics.events.clone(), *partition)).is_some_and(|lag| *lag == 0);
            if caught_up && now - own.silent_since >= LOOK {
                own.task.idle(now - own.silent_since, &self.brain, &mut self.made);
                own.silent_since = now;
            }
        }
        self.gauge();
        self.write(None)
    }

    fn gauge(&self) {
        for ((topic, partition), lag) in self.consumer.context().lags() {
            if let Some(stream) = self.topics.stream(&topic) {
                self.metrics.lag(stream, partition, lag);
            }
        }
        for (partition, own) in &self.tasks {
            self.metrics.state(*partition, &own.task);
        }
    }

    /// Whether every record of a topic that the brokers have is worked on and committed.
    fn caught_up(&self, topic: &str) -> Result<bool, RunError> {
        let mut asked = TopicPartitionList::new();
        for partition in self.tasks.keys() {
            asked.add_partition(topic, *partition as i32);
        }
        let committed =
            self.consumer.committed_offsets(asked, ASK).map_err(doing("ask for committed offsets"))?;
        for entry in committed.elements() {
            let (_, end) = self
                .consumer
                .fetch_watermarks(topic, entry.partition(), ASK)
                .map_err(doing(format!("ask for the end of {topic}")))?;
            let done = if let Offset::Offset(next) = entry.offset() { next } else { 0 };
            if done < end {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Commits what was worked on. The group is left when the consumer is dropped, which closes it.
    fn leave(&mut self) -> Result<(), RunError> {
        self.commit()?;
        self.consumer.context().health.set_ready(false);
        Ok(())
    }
}

/// The number of partitions that the topics read must share: a task works on the same partition of each.
fn same_partitions(consumer: &BaseConsumer<Group>, topics: &Topics, brokers: &str) -> Result<u32, RunError> {
    let mut found = Vec::new();
    for (topic, _) in topics.read() {
        let metadata = consumer
            .fetch_metadata(Some(topic), ASK)
            .map_err(doing(format!("ask {brokers} about topic {topic}")))?;
        let known = metadata.topics().iter().find(|t| t.name() == topic && t.error().is_none());
        let partitions = known.map_or(0, |t| t.partitions().len());
        if partitions == 0 {
            let problem = format!("topic {topic} does not exist; create it, or name another under [topics]");
            return Err(RunError::Topics(problem));
        }
        found.push((topic, partitions));
    }
    match found.as_slice() {
        [(_, first), rest @ ..] if rest.iter().all(|(_, n)| n == first) => Ok(*first as u32),
        _ => {
            let list: Vec<String> = found.iter().map(|(t, n)| format!("{t} has {n}")).collect();
            let problem = format!("topics must have the same number of partitions, but {}", list.join(", "));
            Err(RunError::Topics(problem))
        }
    }
}
