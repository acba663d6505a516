//! Processes a span of the input again, into topics of its own, with any policy and models.
//!
//! A replay joins no group and commits no offsets, so the live group does not notice it. This process works
//! on all partitions, from an empty state; each round of outputs is still one transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firewatch_engine::{ActiveRuleset, Ruleset};
use firewatch_telemetry::EngineMetrics;

use crate::backoff::{FIRST_RETRY_WAIT, pause};
use crate::engine_processor::EngineContext;
use crate::kafka_log::KafkaLog;
use crate::span::{Span, SpanBounds, resolve_spans};
use crate::topic_admin::{TopicPlan, create_topics, plan_outputs};
use crate::worker_context::{InputSource, WorkerContext};
use crate::workers::Workers;
use crate::{KafkaSettings, RunError, Topics, WallClock};

/// How often to report progress and to check for the end.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A replay that has not started.
pub struct Replay {
    context: Arc<EngineContext<KafkaLog>>,
    spans: Vec<Span>,
    outputs: Vec<TopicPlan>,
}

impl Replay {
    /// Resolves the span and checks that no output topic exists yet. `settings` and `topics` are those of
    /// the live processes; outputs go to topics with `prefix` before their names.
    ///
    /// # Errors
    /// When no broker answers, the span is empty or not within the log, or an output topic exists.
    pub fn new(
        settings: &KafkaSettings,
        topics: &Topics,
        prefix: &str,
        bounds: &SpanBounds,
        ruleset: Arc<Ruleset>,
        metrics: EngineMetrics,
        clock: WallClock,
    ) -> Result<Self, RunError> {
        let spans = resolve_spans(settings, topics, bounds)?;
        let partitions = spans.len() as u32;
        let topics = topics.with_prefix(prefix);
        let outputs = plan_outputs(settings, &topics, &ruleset.output_teams(), partitions)?;
        // The replay has transactional ids of its own; with those of the live tasks it would fence them.
        let settings = KafkaSettings { group: format!("{prefix}{}", settings.group), ..settings.clone() };
        let workers = Arc::new(Workers::default());
        let log = KafkaLog::new(&settings)?;
        let ruleset = Arc::new(ActiveRuleset::new(ruleset));
        let inputs = topics.task_inputs();
        let first_retry_wait = FIRST_RETRY_WAIT;
        let worker = WorkerContext { settings, topics, inputs, clock, workers, log, first_retry_wait };
        let context = Arc::new(EngineContext { worker, ruleset, metrics, partitions });
        Ok(Self { context, spans, outputs })
    }

    /// Returns the span of each partition.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Returns the output topics.
    #[must_use]
    pub fn outputs(&self) -> &[TopicPlan] {
        &self.outputs
    }

    /// Creates the outputs and processes the span; calls `on_progress` every 50 ms. Returns whether the end
    /// was reached before `stop` was set.
    ///
    /// # Errors
    /// The error that stopped the replay. What was written until then stays.
    pub fn run(self, stop: &AtomicBool, on_progress: impl Fn()) -> Result<bool, RunError> {
        let Self { context, spans, outputs } = self;
        let WorkerContext { settings, topics, workers, .. } = &context.worker;
        create_topics(settings, &outputs)?;
        let written = topics.contract_topics(&context.ruleset.get().output_teams());
        settings.formats.register_schemas(&written)?;
        context.expect_end_of_input();
        workers.end_of_input.complete_input();
        for (partition, span) in (0..).zip(spans) {
            let own = context.clone();
            let work = move |control: &_| own.run_task(partition, control, InputSource::Span(span));
            workers.start(partition, (context.worker.clock)(), work)?;
        }
        let mut failure = None;
        while failure.is_none() && !stop.load(Ordering::Relaxed) && !workers.is_done() {
            pause(POLL_INTERVAL);
            on_progress();
            failure = workers.failure();
        }
        workers.stop_all();
        match failure.or_else(|| workers.failure()) {
            Some(e) => Err(e),
            None => Ok(workers.end_of_input.is_done()),
        }
    }
}
