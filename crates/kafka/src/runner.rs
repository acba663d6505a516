//! The run loop: check the topics, join the group, keep a worker for each partition that is ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use firewatch_domain::EventTime;
use firewatch_engine::{Brain, Metrics};
use rdkafka::consumer::Consumer;

use crate::crew::Crew;
use crate::member::{self, Member};
use crate::topics::same_partitions;
use crate::worker::{Job, Worker};
use crate::{KafkaSettings, RunError, Topics};

/// How long to wait for news of the group before looking around.
const POLL: Duration = Duration::from_millis(50);

/// The wall clock, lent by the shell.
pub type Clock = fn() -> EventTime;

/// Whether the process is well, for those who watch it.
pub struct Health {
    crew: Arc<Crew>,
    beat: AtomicI64,
}

impl Health {
    /// Whether it is in the group and all its tasks work.
    ///
    /// # Errors
    /// What keeps it from that, in words.
    pub fn readiness(&self) -> Result<(), String> {
        self.crew.readiness()
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
    job: Arc<Job>,
    member: Option<Arc<Member>>,
    health: Arc<Health>,
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
        let partitions = same_partitions(settings, &topics)?;
        let crew = Arc::new(Crew::default());
        let health = Arc::new(Health { crew: crew.clone(), beat: clock().as_millis().into() });
        let member = Arc::new(member::join(settings, &topics, crew.clone())?);
        let job = Job { settings: settings.clone(), topics, brain, metrics, clock, partitions, crew };
        Ok(Self { job: Arc::new(job), member: Some(member), health })
    }

    /// Whether the process is well, for those who watch it.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        self.health.clone()
    }

    /// Runs until told to stop; then every task commits, and the group is left.
    ///
    /// # Errors
    /// What stops a task for good; nothing after its last commit counts then.
    pub fn run(&mut self, stop: &AtomicBool) -> Result<(), RunError> {
        self.run_until(stop, |_| false)
    }

    /// Runs until all that is there when `fed` is set has been worked on, then ends the stream: what waits is
    /// decided. For recordings, whose time is not the wall clock's; it must be the only member of its group.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_to_end(&mut self, fed: &AtomicBool, stop: &AtomicBool) -> Result<(), RunError> {
        self.job.crew.course.finite.store(true, Ordering::Relaxed);
        self.run_until(stop, |job| {
            let course = &job.crew.course;
            course.fed.store(fed.load(Ordering::Relaxed), Ordering::Relaxed);
            let ended = course.ended.load(Ordering::Relaxed) == job.partitions as usize;
            course.last.store(ended, Ordering::Relaxed);
            ended && job.crew.is_done()
        })
    }

    fn run_until(&mut self, stop: &AtomicBool, done: impl Fn(&Job) -> bool) -> Result<(), RunError> {
        let Some(member) = self.member.clone() else { return Ok(()) };
        let mut ran = Ok(());
        while ran.is_ok() && !stop.load(Ordering::Relaxed) && !done(&self.job) {
            self.health.beat.store((self.job.clock)().as_millis(), Ordering::Relaxed);
            ran = member::serve(&member, POLL).and_then(|()| self.take_over(&member));
            if let Some(failure) = self.job.crew.failure() {
                ran = Err(failure);
            }
        }
        self.job.crew.dismiss();
        let failure = self.job.crew.failure();
        drop(member);
        // The group is left when the last hold on the member is dropped.
        self.member = None;
        ran.and(failure.map_or(Ok(()), Err))
    }

    /// Starts a worker for each partition that became ours.
    fn take_over(&self, member: &Arc<Member>) -> Result<(), RunError> {
        for partition in member.context().newly_assigned() {
            let (job, weak) = (self.job.clone(), Arc::downgrade(member));
            let now = (job.clock)();
            self.job
                .crew
                .start(partition, now, move |post| Worker::new(&job, partition, post, weak).run())?;
        }
        Ok(())
    }

    /// Conversations that were followed when each task last committed.
    #[must_use]
    pub fn conversations(&self) -> usize {
        self.job.metrics.conversations()
    }
}
