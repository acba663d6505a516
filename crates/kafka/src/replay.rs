//! A span of the input worked on once more, into topics of its own, with whatever policy and models are given.
//!
//! It is nobody's member and commits no offsets, so that the live group cannot notice. All partitions are worked on in
//! this process, from an empty state; each round of outputs is still one transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firewatch_engine::{Brain, InForce};
use firewatch_telemetry::EngineMetrics;

use crate::crew::Crew;
use crate::ends::Ends;
use crate::span::{Edges, Span, spans};
use crate::topics::{Plan, create_topics, plan_outputs};
use crate::wait::pause;
use crate::worker::{Job, Source, Worker};
use crate::{Clock, KafkaSettings, RunError, Topics};

/// How often to look how far it has come.
const LOOK: Duration = Duration::from_millis(50);

/// A replay that has not begun.
pub struct Replay {
    job: Arc<Job>,
    spans: Vec<Span>,
    outputs: Vec<Plan>,
}

impl Replay {
    /// Finds the span and checks that the outputs are not there yet. `topics` are the live ones; what is written goes to
    /// topics with `prefix` before their names.
    ///
    /// # Errors
    /// When no broker answers, the span is empty or not in the log, or an output is there.
    pub fn new(
        live: (&KafkaSettings, &Topics),
        prefix: &str,
        edges: &Edges,
        brain: Arc<Brain>,
        (metrics, clock): (EngineMetrics, Clock),
    ) -> Result<Self, RunError> {
        let (settings, topics) = live;
        let spans = spans(live, edges)?;
        let partitions = spans.len() as u32;
        let topics = topics.behind(prefix);
        let outputs = plan_outputs(settings, &topics, &brain.outlets(), partitions)?;
        // Its transactions have ids of their own, or they would shut the live tasks out.
        let settings = KafkaSettings { group: format!("{prefix}{}", settings.group), ..settings.clone() };
        let crew = Arc::new(Crew::default());
        let ends = Ends::new(&settings)?;
        let brain = Arc::new(InForce::new(brain));
        let job = Arc::new(Job { settings, topics, brain, metrics, clock, partitions, crew, ends });
        Ok(Self { job, spans, outputs })
    }

    /// What is read, by partition.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// What is written to.
    #[must_use]
    pub fn outputs(&self) -> &[Plan] {
        &self.outputs
    }

    /// Makes the outputs and works on the span; calls `look` now and then. Tells whether it came to the end.
    ///
    /// # Errors
    /// What stopped it. What was written until then stays.
    pub fn run(self, stop: &AtomicBool, look: impl Fn()) -> Result<bool, RunError> {
        let Self { job, spans, outputs } = self;
        create_topics(&job.settings, &outputs)?;
        job.settings.formats.prepare(&job.topics.contracts(&job.brain.get().outlets()))?;
        job.has_an_end();
        job.crew.course.fed();
        for (partition, span) in (0..).zip(spans) {
            let own = job.clone();
            let work = move |post: &_| Worker::new(&own, partition, post, Source::Span(span)).run();
            job.crew.start(partition, (job.clock)(), work)?;
        }
        let mut failure = None;
        while failure.is_none() && !stop.load(Ordering::Relaxed) && !job.crew.is_done() {
            pause(LOOK);
            look();
            failure = job.crew.failure();
        }
        job.crew.dismiss();
        match failure.or_else(|| job.crew.failure()) {
            Some(e) => Err(e),
            None => Ok(job.crew.course.is_over()),
        }
    }
}
