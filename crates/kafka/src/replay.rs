//! A span of the input worked on once more, into topics of its own, with whatever policy and models are given.
//!
//! It is nobody's member and commits no offsets, so that the live group cannot notice. All partitions are worked on in
//! this process, from an empty state; each round of outputs is still one transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firewatch_engine::{ActiveRuleset, Ruleset};
use firewatch_telemetry::EngineMetrics;

use crate::backoff::pause;
use crate::end_offsets::EndOffsets;
use crate::span::{Span, SpanBounds, resolve_spans};
use crate::topic_admin::{TopicPlan, create_topics, plan_outputs};
use crate::worker::{InputSource, Worker, WorkerContext};
use crate::workers::Workers;
use crate::{KafkaSettings, RunError, Topics, WallClock};

/// How often to look how far it has come.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A replay that has not begun.
pub struct Replay {
    context: Arc<WorkerContext>,
    spans: Vec<Span>,
    outputs: Vec<TopicPlan>,
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
        bounds: &SpanBounds,
        ruleset: Arc<Ruleset>,
        (metrics, clock): (EngineMetrics, WallClock),
    ) -> Result<Self, RunError> {
        let (settings, topics) = live;
        let spans = resolve_spans(live, bounds)?;
        let partitions = spans.len() as u32;
        let topics = topics.with_prefix(prefix);
        let outputs = plan_outputs(settings, &topics, &ruleset.output_teams(), partitions)?;
        // Its transactions have ids of their own, or they would shut the live tasks out.
        let settings = KafkaSettings { group: format!("{prefix}{}", settings.group), ..settings.clone() };
        let workers = Arc::new(Workers::default());
        let end_offsets = EndOffsets::new(&settings)?;
        let ruleset = Arc::new(ActiveRuleset::new(ruleset));
        let context = Arc::new(WorkerContext {
            settings,
            topics,
            ruleset,
            metrics,
            clock,
            partitions,
            workers,
            end_offsets,
        });
        Ok(Self { context, spans, outputs })
    }

    /// What is read, by partition.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// What is written to.
    #[must_use]
    pub fn outputs(&self) -> &[TopicPlan] {
        &self.outputs
    }

    /// Makes the outputs and works on the span; calls `look` now and then. Tells whether it came to the end.
    ///
    /// # Errors
    /// What stopped it. What was written until then stays.
    pub fn run(self, stop: &AtomicBool, on_progress: impl Fn()) -> Result<bool, RunError> {
        let Self { context, spans, outputs } = self;
        create_topics(&context.settings, &outputs)?;
        context
            .settings
            .formats
            .register_schemas(&context.topics.contract_topics(&context.ruleset.get().output_teams()))?;
        context.expect_end_of_input();
        context.workers.end_of_input.complete_input();
        for (partition, span) in (0..).zip(spans) {
            let own = context.clone();
            let work =
                move |control: &_| Worker::new(&own, partition, control, InputSource::Span(span)).run();
            context.workers.start(partition, (context.clock)(), work)?;
        }
        let mut failure = None;
        while failure.is_none() && !stop.load(Ordering::Relaxed) && !context.workers.is_done() {
            pause(POLL_INTERVAL);
            on_progress();
            failure = context.workers.failure();
        }
        context.workers.stop_all();
        match failure.or_else(|| context.workers.failure()) {
            Some(e) => Err(e),
            None => Ok(context.workers.end_of_input.is_done()),
        }
    }
}
