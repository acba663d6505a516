//! Turns a worker's records into effects, and keeps account of everything not committed yet.
//!
//! A failed round drops the buffer; only the state in [`Recovered`] survives it.

use std::sync::Arc;

use firewatch_domain::{Duration, EventTime};
use firewatch_engine::{ChangelogEntry, Effect, Handled, Input, Ruleset, Stream, Task};
use rdkafka::Message;

use crate::RunError;
use crate::group_member::{self, GroupMember};
use crate::headers::traceparent;
use crate::metering;
use crate::positions::{self, Positions};
use crate::task_writer::TaskWriter;
use crate::worker::WorkerContext;

/// Lowest limit of records in a round, reached when rounds keep failing.
const MIN_ROUND_RECORDS: usize = 50;

/// How often the committed positions are reported to the group.
const OFFSET_REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// State that survives a failed round.
pub(crate) struct Recovered {
    pub committed: Positions,
    reported_offsets: (Positions, EventTime),
    max_records: usize,
}

/// Effects, positions and counts of a worker since its last commit.
pub(crate) struct CommitBuffer {
    pub writer: TaskWriter,
    /// The ruleset of this round.
    pub ruleset: Arc<Ruleset>,
    /// Positions as of the last commit.
    pub committed: Positions,
    /// Positions as of the last record processed.
    processed: Positions,
    /// Records processed since the last commit, with their arrival.
    uncommitted: Vec<(Stream, Handled, EventTime)>,
    /// Kinds of the effects written since the last commit.
    effect_kinds: Vec<&'static str>,
    effects: Vec<Effect>,
    /// Positions last reported to the group, and when.
    reported_offsets: (Positions, EventTime),
    pub silent_since: EventTime,
    pub last_check: EventTime,
    /// Limit of records in a round. A failed round halves it, because the round may have been too large for
    /// its transaction timeout; a commit doubles it.
    pub max_records: usize,
}

impl CommitBuffer {
    pub fn new(writer: TaskWriter, committed: Positions, context: &WorkerContext) -> Self {
        let now = (context.clock)();
        Self {
            writer,
            ruleset: context.ruleset.get(),
            processed: committed.clone(),
            reported_offsets: (committed.clone(), now),
            committed,
            uncommitted: vec![],
            effect_kinds: vec![],
            effects: vec![],
            silent_since: now,
            last_check: now,
            max_records: context.settings.commit_records,
        }
    }

    /// Continues after a failed round, with a writer that fences the previous one.
    pub fn resume(recovered: &Recovered, writer: TaskWriter, context: &WorkerContext) -> Self {
        let Recovered { committed, reported_offsets, max_records } = recovered;
        Self {
            reported_offsets: reported_offsets.clone(),
            max_records: *max_records,
            ..Self::new(writer, committed.clone(), context)
        }
    }

    /// Processes a record and writes its effects.
    pub fn handle_record(
        &mut self,
        stream: Stream,
        message: &impl Message,
        task: &mut Task,
        context: &WorkerContext,
    ) -> Result<(), RunError> {
        let now = (context.clock)();
        let parent = traceparent(message.headers());
        let input = Input {
            stream,
            topic: message.topic(),
            partition: u32::try_from(message.partition()).unwrap_or_default(),
            offset: message.offset(),
            arrival: message.timestamp().to_millis().map_or(now, EventTime::from_millis),
            key: message.key(),
            trace: parent.as_deref(),
            value: message.payload().unwrap_or_default(),
        };
        let decoded = context.settings.formats.decode(&input)?;
        let handled = task.handle_decoded(decoded, &input, &self.ruleset, &mut self.effects);
        self.uncommitted.push((stream, handled, input.arrival));
        self.processed.insert(stream, message.offset() + 1);
        self.write_effects(parent.as_deref())
    }

    /// Passes the pending effects to the writer.
    fn write_effects(&mut self, traceparent: Option<&str>) -> Result<(), RunError> {
        for effect in self.effects.drain(..) {
            self.writer.write_effect(&effect, traceparent)?;
            self.effect_kinds.push(effect.kind());
        }
        Ok(())
    }

    /// Advances time for a partition that is read to its end and has been silent for `idle_after_ms`.
    pub fn advance_idle(
        &mut self,
        now: EventTime,
        task: &mut Task,
        context: &WorkerContext,
    ) -> Result<(), RunError> {
        let silent = now - self.silent_since;
        if silent >= Duration::from_millis(context.settings.idle_after_ms as i64) {
            task.mark_idle(silent, &self.ruleset, &mut self.effects);
            self.silent_since = now;
        }
        self.write_effects(None)
    }

    /// Sends an end-of-stream watermark to every brand.
    pub fn end_of_stream(&mut self, task: &mut Task) -> Result<(), RunError> {
        task.end_of_stream(&self.ruleset, &mut self.effects);
        self.write_effects(None)
    }

    /// Returns the positions as a changelog entry, if they changed since the last commit.
    pub fn position_change(&self) -> Option<ChangelogEntry> {
        (self.processed != self.committed).then(|| positions::changelog_entry(&self.processed))
    }

    /// Reports the committed positions to the group, for tools that show lag: at once when `is_final`,
    /// otherwise every `OFFSET_REPORT_INTERVAL`.
    pub fn report_offsets(&mut self, member: &GroupMember, is_final: bool, context: &WorkerContext) {
        let (reported, at) = &self.reported_offsets;
        let now = (context.clock)();
        if *reported == self.committed || !is_final && now - *at < OFFSET_REPORT_INTERVAL {
            return;
        }
        let read = context.topics.inputs().into_iter();
        let next = read.filter_map(|(topic, stream)| Some((topic, *self.committed.get(&stream)?)));
        group_member::report_offsets(member, self.writer.partition(), next);
        self.reported_offsets = (self.committed.clone(), now);
    }

    /// Records that everything processed is committed, and meters it.
    pub fn record_commit(&mut self, context: &WorkerContext) {
        self.max_records = (self.max_records * 2).min(context.settings.commit_records);
        self.committed.clone_from(&self.processed);
        let now = (context.clock)();
        for (stream, handled, arrival) in self.uncommitted.drain(..) {
            metering::handled(&context.metrics, stream, &handled);
            metering::committed(&context.metrics, now, handled.at, arrival);
            if stream == Stream::Signals && handled.at == Some(EventTime::END) {
                context.workers.end_of_input.record_end();
            }
        }
        self.effect_kinds.drain(..).for_each(|kind| context.metrics.effect(kind));
    }

    /// Discards everything processed since the last commit, together with the writer.
    ///
    /// The writer that began a transaction does not abort it: what it sent may still be in flight to a broker
    /// and would count as part of the next transaction. The writer that takes over has a new epoch, which
    /// every broker learns with the abort, so brokers refuse such stragglers.
    pub fn into_recovered(self, context: &WorkerContext) -> Recovered {
        let max_records = (self.max_records / 2).max(MIN_ROUND_RECORDS.min(context.settings.commit_records));
        Recovered { committed: self.committed, reported_offsets: self.reported_offsets, max_records }
    }
}
