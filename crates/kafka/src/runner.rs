//! The run loop: waits for brokers, checks the topics, joins the group and keeps one worker for each assigned
//! partition.
//!
//! A worker that hangs is replaced. The first failure of a worker ends the loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use firewatch_domain::EventTime;
use firewatch_engine::{ActiveRuleset, Ruleset};
use firewatch_telemetry::EngineMetrics;
use rdkafka::consumer::Consumer;

use crate::backoff::{Backoff, FIRST_RETRY_WAIT, Stopwatch, pause_unless_cancelled};
use crate::engine_processor::EngineContext;
use crate::error::Remedy;
use crate::group_member::{self, GroupMember};
use crate::kafka_log::KafkaLog;
use crate::topic_admin::task_partition_count;
use crate::worker_context::{InputSource, WorkerContext};
use crate::workers::{NotReady, Workers};
use crate::{KafkaSettings, RunError, Topics};

/// Longest wait for a group event before the loop checks for failures and stop requests.
const GROUP_POLL_TIMEOUT: Duration = Duration::from_millis(50);

/// How long a stopping process waits for a rebalance to end, with all tasks working, before it leaves the
/// group.
const REBALANCE_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns the wall-clock time. The shell passes it in, so that tests can set the time.
pub type WallClock = fn() -> EventTime;

/// Liveness and readiness of the process, for its probes.
pub struct Health {
    workers: Arc<Workers>,
    last_beat_ms: AtomicI64,
}

impl Health {
    pub(crate) fn new(workers: Arc<Workers>, clock: WallClock) -> Self {
        Self { workers, last_beat_ms: clock().as_millis().into() }
    }

    /// Returns `Ok` when the process is a member of the group and all its tasks are working.
    ///
    /// # Errors
    /// The first condition that is not met.
    pub fn readiness(&self) -> Result<(), NotReady> {
        self.workers.readiness()
    }

    pub(crate) fn heartbeat(&self, now: EventTime) {
        self.last_beat_ms.store(now.as_millis(), Ordering::Relaxed);
    }

    /// Returns the oldest of the last heartbeats of the run loop and its unfinished workers.
    #[must_use]
    pub fn last_heartbeat(&self) -> EventTime {
        let own = EventTime::from_millis(self.last_beat_ms.load(Ordering::Relaxed));
        self.workers.oldest_heartbeat().map_or(own, |oldest| oldest.min(own))
    }
}

/// The Kafka run loop: one member of the consumer group, with a worker for each assigned partition.
pub struct Runner {
    settings: KafkaSettings,
    topics: Topics,
    ruleset: Arc<ActiveRuleset>,
    metrics: EngineMetrics,
    clock: WallClock,
    health: Arc<Health>,
}

impl Runner {
    /// Creates a run loop; nothing is connected yet.
    #[must_use]
    pub fn new(
        settings: KafkaSettings,
        topics: Topics,
        ruleset: Arc<Ruleset>,
        metrics: EngineMetrics,
        clock: WallClock,
    ) -> Self {
        metrics.policy(&ruleset.policy.version, &ruleset.policy.hash);
        let ruleset = Arc::new(ActiveRuleset::new(ruleset));
        let health = Arc::new(Health::new(Arc::default(), clock));
        Self { settings, topics, ruleset, metrics, clock, health }
    }

    /// Returns the active ruleset, so that the caller can replace it while the loop runs.
    #[must_use]
    pub fn active_ruleset(&self) -> Arc<ActiveRuleset> {
        self.ruleset.clone()
    }

    /// Returns the health of the process, for its probes.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        self.health.clone()
    }

    /// Waits for brokers, joins the group and runs until `stop` is set. Then every task commits and the
    /// process leaves the group.
    ///
    /// # Errors
    /// When the topics do not fit, no broker answers within the retry timeout, or a task fails permanently.
    /// The work since that task's last commit is then discarded.
    pub fn run(&self, stop: &AtomicBool) -> Result<(), RunError> {
        let Some(context) = self.wait_for_context(stop)? else { return Ok(()) };
        self.run_until(&context, stop, || false)
    }

    /// Runs until every record written before `is_input_complete` is set is processed, then ends the stream,
    /// so that everything pending is decided. Meant for recordings, whose time is not the wall clock's. The
    /// process must be the only member of its group.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_to_end(&self, is_input_complete: &AtomicBool, stop: &AtomicBool) -> Result<(), RunError> {
        let Some(context) = self.wait_for_context(stop)? else { return Ok(()) };
        context.expect_end_of_input();
        self.run_until(&context, stop, || {
            let end_of_input = &context.worker.workers.end_of_input;
            if is_input_complete.load(Ordering::Relaxed) {
                end_of_input.complete_input();
            }
            end_of_input.is_done() && context.worker.workers.is_done()
        })
    }

    /// Checks the topics and registers the output schemas, as soon as a broker answers. Returns `None` when
    /// `stop` is set first.
    fn wait_for_context(&self, stop: &AtomicBool) -> Result<Option<Arc<EngineContext<KafkaLog>>>, RunError> {
        let Self { settings, topics, ruleset, metrics, clock, health } = self;
        let mut backoff = Backoff::new(FIRST_RETRY_WAIT);
        while !stop.load(Ordering::Relaxed) {
            let outlets = topics.contract_topics(&ruleset.get().output_teams());
            let checked = task_partition_count(settings, topics);
            match checked
                .and_then(|partitions| settings.formats.register_schemas(&outlets).map(|()| partitions))
            {
                Ok(partitions) => {
                    let worker = WorkerContext {
                        settings: settings.clone(),
                        topics: topics.clone(),
                        inputs: topics.task_inputs(),
                        clock: *clock,
                        workers: health.workers.clone(),
                        log: KafkaLog::new(settings)?,
                        first_retry_wait: FIRST_RETRY_WAIT,
                    };
                    let (ruleset, metrics) = (ruleset.clone(), metrics.clone());
                    return Ok(Some(Arc::new(EngineContext { worker, ruleset, metrics, partitions })));
                }
                Err(e) if e.remedy() == Remedy::Stop => return Err(e),
                Err(e) => {
                    let wait = backoff.next_within(settings.retry_timeout_ms, &e)?;
                    tracing::warn!("{e}; trying again in {} ms", wait.as_millis());
                    pause_unless_cancelled(
                        wait,
                        || !stop.load(Ordering::Relaxed),
                        || health.heartbeat(clock()),
                    );
                }
            }
        }
        Ok(None)
    }

    fn run_until(
        &self,
        context: &Arc<EngineContext<KafkaLog>>,
        stop: &AtomicBool,
        done: impl Fn() -> bool,
    ) -> Result<(), RunError> {
        let member = Arc::new(group_member::join(
            &context.worker.settings,
            &context.worker.topics,
            context.worker.workers.clone(),
        )?);
        let (mut ran, mut leaving) = (Ok(()), None);
        let mut may_leave = || {
            let stopped = stop.load(Ordering::Relaxed);
            stopped
                && (member.context().is_steady()
                    || leaving.get_or_insert_with(Stopwatch::start).elapsed() >= REBALANCE_TIMEOUT)
        };
        while ran.is_ok() && !may_leave() && !done() {
            self.health.heartbeat((self.clock)());
            ran = group_member::poll_group(&member, GROUP_POLL_TIMEOUT)
                .and_then(|()| start_workers(context, &member));
            if let Some(failure) = context.worker.workers.failure() {
                ran = Err(failure);
            }
        }
        context.worker.workers.stop_all();
        let failure = context.worker.workers.failure();
        // Dropping the last reference to the member leaves the group.
        drop(member);
        ran.and(failure.map_or(Ok(()), Err))
    }

    /// Returns the number of conversations that the tasks followed at their last commits.
    #[must_use]
    pub fn conversations(&self) -> usize {
        self.metrics.conversations()
    }
}

/// Starts a worker for each newly assigned partition, and a new one for each partition whose worker hangs.
fn start_workers(context: &Arc<EngineContext<KafkaLog>>, member: &Arc<GroupMember>) -> Result<(), RunError> {
    let hung = context.worker.workers.abandon_hung((context.worker.clock)());
    if !hung.is_empty() {
        tracing::warn!("partitions {hung:?}: no heartbeat from the workers; starting new ones");
    }
    for partition in member.context().take_newly_assigned().into_iter().chain(hung) {
        let (own, source) = (context.clone(), InputSource::Group(Arc::downgrade(member)));
        let work = move |control: &_| own.run_task(partition, control, source);
        context.worker.workers.start(partition, (context.worker.clock)(), work)?;
    }
    Ok(())
}
