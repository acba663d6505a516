//! The run loop: wait for brokers, check the topics, join the group, keep a worker for each partition that is ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use firewatch_domain::EventTime;
use firewatch_engine::{Brain, InForce};
use firewatch_telemetry::EngineMetrics;
use rdkafka::consumer::Consumer;

use crate::crew::Crew;
use crate::ends::Ends;
use crate::error::Remedy;
use crate::member::{self, Member};
use crate::topics::same_partitions;
use crate::wait::{Backoff, Since, pause_while};
use crate::worker::{Job, Source, Worker};
use crate::{KafkaSettings, RunError, Topics};

/// How long to wait for news of the group before looking around.
const POLL: Duration = Duration::from_millis(50);

/// How long a rebalance is waited for, with all tasks at work, before the group is left.
const REST: Duration = Duration::from_secs(5);

/// The wall clock, lent by the shell.
pub type Clock = fn() -> EventTime;

/// Whether the process is well, for those who watch it.
pub struct Health {
    crew: Arc<Crew>,
    beat: AtomicI64,
}

impl Health {
    pub(crate) fn new(crew: Arc<Crew>, clock: Clock) -> Self {
        Self { crew, beat: clock().as_millis().into() }
    }

    /// Whether it is in the group and all its tasks work.
    ///
    /// # Errors
    /// What keeps it from that, in words.
    pub fn readiness(&self) -> Result<(), String> {
        self.crew.readiness()
    }

    pub(crate) fn beat(&self, now: EventTime) {
        self.beat.store(now.as_millis(), Ordering::Relaxed);
    }

    /// When the loop or the worker that has been silent for longest was last heard of.
    #[must_use]
    pub fn last_beat(&self) -> EventTime {
        let own = EventTime::from_millis(self.beat.load(Ordering::Relaxed));
        self.crew.oldest_beat().map_or(own, |oldest| oldest.min(own))
    }
}

/// The Kafka run loop.
pub struct Runner {
    settings: KafkaSettings,
    topics: Topics,
    brain: Arc<InForce>,
    metrics: EngineMetrics,
    clock: Clock,
    health: Arc<Health>,
}

impl Runner {
    /// A loop that has not begun; nothing is connected yet.
    #[must_use]
    pub fn new(
        settings: KafkaSettings,
        topics: Topics,
        brain: Arc<Brain>,
        metrics: EngineMetrics,
        clock: Clock,
    ) -> Self {
        metrics.policy(&brain.policy.version, &brain.policy.hash);
        let brain = Arc::new(InForce::new(brain));
        let health = Arc::new(Health::new(Arc::default(), clock));
        Self { settings, topics, brain, metrics, clock, health }
    }

    /// The brain in force, for those who put another in its place.
    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        self.brain.clone()
    }

    /// Whether the process is well, for those who watch it.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        self.health.clone()
    }

    /// Waits for brokers, joins the group and runs until told to stop; then every task commits, and the group is left.
    ///
    /// # Errors
    /// When the topics are not as they must be, no broker answers for too long, or a task cannot go on; nothing after
    /// its last commit counts then.
    pub fn run(&self, stop: &AtomicBool) -> Result<(), RunError> {
        let Some(job) = self.job(stop)? else { return Ok(()) };
        self.run_until(&job, stop, || false)
    }

    /// Runs until all that is there when `fed` is set has been worked on, then ends the stream: what waits is
    /// decided. For recordings, whose time is not the wall clock's; it must be the only member of its group.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_to_end(&self, fed: &AtomicBool, stop: &AtomicBool) -> Result<(), RunError> {
        let Some(job) = self.job(stop)? else { return Ok(()) };
        job.has_an_end();
        self.run_until(&job, stop, || {
            let course = &job.crew.course;
            if fed.load(Ordering::Relaxed) {
                course.fed();
            }
            course.is_over() && job.crew.is_done()
        })
    }

    /// Checks the topics, as soon as a broker answers. None when told to stop before.
    fn job(&self, stop: &AtomicBool) -> Result<Option<Arc<Job>>, RunError> {
        let Self { settings, topics, brain, metrics, clock, health } = self;
        let mut backoff = Backoff::new();
        while !stop.load(Ordering::Relaxed) {
            let outlets = topics.contracts(&brain.get().outlets());
            let checked = same_partitions(settings, topics);
            match checked.and_then(|partitions| settings.formats.prepare(&outlets).map(|()| partitions)) {
                Ok(partitions) => {
                    return Ok(Some(Arc::new(Job {
                        settings: settings.clone(),
                        topics: topics.clone(),
                        brain: brain.clone(),
                        metrics: metrics.clone(),
                        clock: *clock,
                        partitions,
                        crew: health.crew.clone(),
                        ends: Ends::new(settings)?,
                    })));
                }
                Err(e) if e.remedy() == Remedy::Stop => return Err(e),
                Err(e) => {
                    let wait = backoff.next_within(settings.patience_ms, &e)?;
                    eprintln!("firewatch: {e}; trying again in {} ms", wait.as_millis());
                    pause_while(wait, || !stop.load(Ordering::Relaxed), || health.beat(clock()));
                }
            }
        }
        Ok(None)
    }

    fn run_until(&self, job: &Arc<Job>, stop: &AtomicBool, done: impl Fn() -> bool) -> Result<(), RunError> {
        let member = Arc::new(member::join(&job.settings, &job.topics, job.crew.clone())?);
        let (mut ran, mut leaving) = (Ok(()), None);
        let mut may_leave = || {
            let stopped = stop.load(Ordering::Relaxed);
            stopped
                && (member.context().is_at_rest() || leaving.get_or_insert_with(Since::now).elapsed() >= REST)
        };
        while ran.is_ok() && !may_leave() && !done() {
            self.health.beat((self.clock)());
            ran = member::serve(&member, POLL).and_then(|()| take_over(job, &member));
            if let Some(failure) = job.crew.failure() {
                ran = Err(failure);
            }
        }
        job.crew.dismiss();
        let failure = job.crew.failure();
        // The group is left when the last hold on the member is dropped.
        drop(member);
        ran.and(failure.map_or(Ok(()), Err))
    }

    /// Conversations that were followed when each task last committed.
    #[must_use]
    pub fn conversations(&self) -> usize {
        self.metrics.conversations()
    }
}

/// Starts a worker for each partition that became ours, and for each whose worker hangs.
fn take_over(job: &Arc<Job>, member: &Arc<Member>) -> Result<(), RunError> {
    let hung = job.crew.give_up_hung((job.clock)());
    if !hung.is_empty() {
        eprintln!("firewatch: partitions {hung:?}: the Kafka client does not come back; beginning anew");
    }
    for partition in member.context().newly_assigned().into_iter().chain(hung) {
        let (own, source) = (job.clone(), Source::Group(Arc::downgrade(member)));
        let work = move |post: &_| Worker::new(&own, partition, post, source).run();
        job.crew.start(partition, (job.clock)(), work)?;
    }
    Ok(())
}
