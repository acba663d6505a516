//! Decodes the payloads of raw topics and writes their events to the events topic, exactly once, each under
//! the key of its conversation.
//!
//! Every source has its own group and changelog. Its workers are those of the engine, with another processor.

mod processor;
#[cfg(test)]
mod simulation;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firewatch_engine::Stream;
use firewatch_ingest::PayloadDecoder;
use firewatch_telemetry::IngestMetrics;
use firewatch_wire::Contract;
use rdkafka::consumer::Consumer;

use crate::backoff::{Backoff, FIRST_RETRY_WAIT, pause_unless_cancelled};
use crate::error::Remedy;
use crate::group_member::{self, GroupMember};
use crate::kafka_log::KafkaLog;
use crate::log::Log;
use crate::task_reader::InputTopic;
use crate::topic_admin::partition_count_with_state;
use crate::worker::Worker;
use crate::worker_context::{InputSource, WorkerContext};
use crate::workers::WorkerControl;
use crate::{Health, KafkaSettings, RunError, Topics, WallClock};
use processor::IngestProcessor;

/// Longest wait for an event of one group before the next group is polled.
const GROUP_POLL_TIMEOUT: Duration = Duration::from_millis(20);

/// A raw topic and the decoder of its payloads.
#[derive(Debug, Clone)]
pub struct RawSource {
    /// Name of the source in the settings.
    pub name: String,
    /// Name of the raw topic.
    pub topic: String,
    /// Decodes the payloads.
    pub decoder: PayloadDecoder,
}

/// One source with its workers.
struct SourceContext<L> {
    /// Its topics have the raw topic in place of the events topic, and the source's own state topic.
    worker: WorkerContext<L>,
    /// The topic that events are written to.
    events_topic: String,
    raw_source: RawSource,
    metrics: IngestMetrics,
}

/// The run loop of all sources: one group member each, with a worker for each assigned partition.
pub struct IngestRunner {
    sources: Vec<Arc<SourceContext<KafkaLog>>>,
    source_health: Vec<Arc<Health>>,
    clock: WallClock,
}

impl IngestRunner {
    /// Creates a run loop; nothing is connected yet.
    ///
    /// # Errors
    /// When the client refuses the settings.
    pub fn new(
        settings: &KafkaSettings,
        topics: &Topics,
        sources: Vec<RawSource>,
        metrics: &IngestMetrics,
        clock: WallClock,
    ) -> Result<Self, RunError> {
        let to_context = |source: RawSource| {
            let group = format!("{}.ingest.{}", settings.group, source.name);
            let settings = KafkaSettings { group, ..settings.clone() };
            let log = KafkaLog::new(&settings)?;
            Ok(Arc::new(SourceContext::new(settings, topics, source, metrics, clock, log)))
        };
        let contexts: Vec<_> = sources.into_iter().map(to_context).collect::<Result<_, RunError>>()?;
        let health =
            |source: &Arc<SourceContext<_>>| Arc::new(Health::new(source.worker.workers.clone(), clock));
        let source_health = contexts.iter().map(health).collect();
        Ok(Self { sources: contexts, source_health, clock })
    }

    /// Returns the health of each source, for the probes.
    #[must_use]
    pub fn source_health(&self) -> Vec<Arc<Health>> {
        self.source_health.clone()
    }

    /// Waits for brokers, joins the groups and runs until `stop` is set. Then every worker commits.
    ///
    /// # Errors
    /// When the topics do not fit, no broker answers within the retry timeout, or a worker fails permanently.
    pub fn run(&self, stop: &AtomicBool) -> Result<(), RunError> {
        if !self.wait_for_topics(stop)? {
            return Ok(());
        }
        let mut members = Vec::new();
        for source in &self.sources {
            members.push(Arc::new(group_member::join(
                &source.worker.settings,
                &source.worker.topics,
                source.worker.workers.clone(),
            )?));
        }
        let mut ran = Ok(());
        while ran.is_ok() && !stop.load(Ordering::Relaxed) {
            for ((source, member), health) in self.sources.iter().zip(&members).zip(&self.source_health) {
                health.heartbeat((self.clock)());
                ran = group_member::poll_group(member, GROUP_POLL_TIMEOUT)
                    .and_then(|()| source.start_workers(member));
                if let Some(failure) = source.worker.workers.failure() {
                    ran = Err(failure);
                }
                if ran.is_err() {
                    break;
                }
            }
        }
        self.sources.iter().for_each(|source| source.worker.workers.stop_all());
        let failure = self.sources.iter().find_map(|source| source.worker.workers.failure());
        ran.and(failure.map_or(Ok(()), Err))
    }

    /// Checks the topics and registers the output schemas, as soon as a broker answers. Returns whether to go
    /// on: false when `stop` is set first.
    fn wait_for_topics(&self, stop: &AtomicBool) -> Result<bool, RunError> {
        let mut backoff = Backoff::new(FIRST_RETRY_WAIT);
        let wanted = || !stop.load(Ordering::Relaxed);
        let heartbeat = || self.source_health.iter().for_each(|health| health.heartbeat((self.clock)()));
        for source in &self.sources {
            let WorkerContext { settings, topics, .. } = &source.worker;
            while wanted() {
                let checked =
                    partition_count_with_state(settings, &[&topics.events, &topics.state], &topics.state);
                let written = [
                    (Contract::Event, source.events_topic.clone()),
                    (Contract::DeadLetter, topics.dead_letters.clone()),
                ];
                match checked.and_then(|_| settings.formats.register_schemas(&written)) {
                    Ok(()) => break,
                    Err(e) if e.remedy() == Remedy::Stop => return Err(e),
                    Err(e) => {
                        let wait = backoff.next_within(settings.retry_timeout_ms, &e)?;
                        tracing::warn!("{e}; trying again in {} ms", wait.as_millis());
                        pause_unless_cancelled(wait, wanted, heartbeat);
                    }
                }
            }
        }
        Ok(wanted())
    }
}

impl<L: Log + Send + Sync + 'static> SourceContext<L> {
    fn new(
        settings: KafkaSettings,
        topics: &Topics,
        raw_source: RawSource,
        metrics: &IngestMetrics,
        clock: WallClock,
        log: L,
    ) -> Self {
        let worker = WorkerContext {
            settings,
            topics: topics.for_source(&raw_source.topic),
            inputs: vec![InputTopic { topic: raw_source.topic.clone(), stream: Stream::Events }],
            clock,
            workers: Arc::default(),
            log,
            first_retry_wait: FIRST_RETRY_WAIT,
        };
        Self { worker, events_topic: topics.events.clone(), raw_source, metrics: metrics.clone() }
    }

    /// Runs the ingester of a partition until it is asked to finish.
    fn run_ingester(
        &self,
        partition: u32,
        control: &WorkerControl,
        source: InputSource,
    ) -> Result<(), RunError> {
        Worker::new(&self.worker, partition, control, source, || IngestProcessor::new(self)).run()
    }

    /// Starts a worker for each newly assigned partition, and a new one for each partition whose worker
    /// hangs.
    fn start_workers(self: &Arc<Self>, member: &Arc<GroupMember>) -> Result<(), RunError> {
        let WorkerContext { workers, clock, .. } = &self.worker;
        let hung = workers.abandon_hung(clock());
        for partition in member.context().take_newly_assigned().into_iter().chain(hung) {
            let (own, source) = (self.clone(), InputSource::Group(Arc::downgrade(member)));
            workers
                .start(partition, clock(), move |control: &_| own.run_ingester(partition, control, source))?;
        }
        Ok(())
    }
}
