//! The engine's task as a processor: decodes records, lets the task decide, and writes the effects.

use std::sync::Arc;

use firewatch_domain::{Duration, EventTime};
use firewatch_engine::{
    ActiveRuleset, ChangelogEntry, Effect, Handled, Input, Outcome, Ruleset, Stream, Task,
};
use firewatch_telemetry::EngineMetrics;

use crate::RunError;
use crate::log::{Log, LogWriter};
use crate::metering;
use crate::processor::{Processor, WorkerEvent};
use crate::task_writer::TaskWriter;
use crate::worker::Worker;
use crate::worker_context::{InputSource, WorkerContext};
use crate::workers::WorkerControl;

/// Shared by all engine tasks of a process.
pub(crate) struct EngineContext<L> {
    pub worker: WorkerContext<L>,
    pub ruleset: Arc<ActiveRuleset>,
    pub metrics: EngineMetrics,
    pub partitions: u32,
}

impl<L: Log> EngineContext<L> {
    /// Declares the input finite: event time follows the records only, and idleness does not advance it.
    pub fn expect_end_of_input(&self) {
        let brands = self.ruleset.get().signal_keys().count();
        self.worker.workers.end_of_input.expect_ends(brands, self.partitions);
    }

    /// Runs the task of a partition until it is asked to finish or its input ends.
    pub fn run_task(
        &self,
        partition: u32,
        control: &WorkerControl,
        source: InputSource,
    ) -> Result<(), RunError> {
        Worker::new(&self.worker, partition, control, source, || EngineProcessor::new(self, partition)).run()
    }
}

/// Adapts a [`Task`] to [`Processor`], and counts its records after each commit.
pub(crate) struct EngineProcessor<'a, L> {
    context: &'a EngineContext<L>,
    partition: u32,
    task: Task,
    /// The ruleset of this round.
    ruleset: Arc<Ruleset>,
    effects: Vec<Effect>,
    /// Records processed since the last commit.
    uncommitted: Vec<UncommittedRecord>,
    /// Kinds of the effects written since the last commit.
    effect_kinds: Vec<&'static str>,
    /// Whether a record was forwarded since the worker began.
    has_forwarded: bool,
}

/// A record that is processed and not committed.
struct UncommittedRecord {
    stream: Stream,
    handled: Handled,
    arrival: EventTime,
}

impl<'a, L: Log> EngineProcessor<'a, L> {
    fn new(context: &'a EngineContext<L>, partition: u32) -> Self {
        let max_conversations = context.worker.settings.max_conversations;
        Self {
            context,
            partition,
            task: Task::new(partition, context.partitions)
                .with_max_conversations(max_conversations)
                .with_partitioner(context.worker.settings.partitioner()),
            has_forwarded: false,
            ruleset: context.ruleset.get(),
            effects: Vec::new(),
            uncommitted: Vec::new(),
            effect_kinds: Vec::new(),
        }
    }

    /// Says once that records come to other partitions than their conversations live in.
    fn warn_of_other_partitioner(&self, input: &Input<'_>) {
        tracing::warn!(
            "{} [{}] offset {}: the conversation lives in another partition by `{}`, and the record is forwarded there, \
             as all others like it. `firewatch topics check` shows which partitioner the producers use",
            input.topic,
            input.partition,
            input.offset,
            self.context.worker.settings.partitioner().property(),
        );
    }

    /// Passes the pending effects to the writer.
    fn write_effects<W: LogWriter>(
        &mut self,
        writer: &mut TaskWriter<W>,
        traceparent: Option<&str>,
    ) -> Result<(), RunError> {
        for effect in self.effects.drain(..) {
            writer.write_effect(&effect, traceparent)?;
            self.effect_kinds.push(effect.kind());
        }
        Ok(())
    }
}

impl<L: Log> Processor for EngineProcessor<'_, L> {
    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), RunError> {
        Ok(self.task.restore(key, value, &self.ruleset)?)
    }

    fn finish_restore(&mut self) -> Result<(), RunError> {
        Ok(self.task.finish_restore(&self.ruleset)?)
    }

    fn begin_round(&mut self) {
        self.ruleset = self.context.ruleset.get();
    }

    fn set_caught_up(&mut self, is_caught_up: bool) {
        self.task.set_caught_up(is_caught_up);
    }

    fn process<W: LogWriter>(
        &mut self,
        input: &Input<'_>,
        writer: &mut TaskWriter<W>,
    ) -> Result<(), RunError> {
        let decoded = self.context.worker.settings.formats.decode(input)?;
        let handled = self.task.handle_decoded(decoded, input, &self.ruleset, &mut self.effects);
        if handled.outcome == Outcome::Forwarded && !std::mem::replace(&mut self.has_forwarded, true) {
            self.warn_of_other_partitioner(input);
        }
        self.uncommitted.push(UncommittedRecord { stream: input.stream, handled, arrival: input.arrival });
        self.write_effects(writer, input.trace)
    }

    fn mark_idle<W: LogWriter>(
        &mut self,
        silence: Duration,
        writer: &mut TaskWriter<W>,
    ) -> Result<(), RunError> {
        self.task.mark_idle(silence, &self.ruleset, &mut self.effects);
        self.write_effects(writer, None)
    }

    fn end_of_stream<W: LogWriter>(&mut self, writer: &mut TaskWriter<W>) -> Result<(), RunError> {
        self.task.end_of_stream(&self.ruleset, &mut self.effects);
        self.write_effects(writer, None)
    }

    fn changes(&mut self) -> Result<&[ChangelogEntry], RunError> {
        Ok(self.task.changes()?)
    }

    fn committed(&mut self, now: EventTime) {
        self.task.committed();
        let EngineContext { worker, metrics, .. } = self.context;
        // Effects first, so that whoever sees a record counted sees what it led to.
        self.effect_kinds.drain(..).for_each(|kind| metrics.effect(kind));
        for UncommittedRecord { stream, handled, arrival } in self.uncommitted.drain(..) {
            metering::handled(metrics, stream, &handled);
            metering::committed(metrics, now, handled.at, arrival);
        }
        worker.workers.end_of_input.set_received(self.partition, self.task.received_ends());
        metrics.state(self.partition, metering::state_size(&self.task));
    }

    fn rewind(&mut self) -> Result<(), RunError> {
        self.uncommitted.clear();
        self.effect_kinds.clear();
        Ok(self.task.rewind(&self.ruleset)?)
    }

    fn meter(&self, event: WorkerEvent) {
        let metrics = &self.context.metrics;
        match event {
            WorkerEvent::Restored { entries, took } => metrics.restored(self.partition, entries, took),
            WorkerEvent::Missed { stream, records } => metrics.missed(stream.as_str(), records),
            WorkerEvent::Committed => metrics.round("committed"),
            WorkerEvent::Aborted => metrics.round("aborted"),
            WorkerEvent::Lag { stream, records } => metrics.lag(stream.as_str(), self.partition, records),
            WorkerEvent::Released => metrics.forget(self.partition),
        }
    }
}
