//! One task at work: takes over the partition, restores its state, then reads, processes and commits, round
//! after round.
//!
//! Each worker has its own thread, because client calls block on brokers. A round is one transaction. When a
//! round fails before its commit is requested, its changes are undone in memory and repeated with a new
//! writer. When the outcome of a commit is unknown, the task restarts from the changelog.

use std::sync::{Arc, Weak};
use std::time::Duration as Wait;

use firewatch_domain::Duration;
use firewatch_engine::{ActiveRuleset, Stream, Task};
use firewatch_telemetry::EngineMetrics;
use rdkafka::Message;
use rdkafka::message::OwnedMessage;

use crate::backoff::Backoff;
use crate::commit_buffer::{CommitBuffer, Recovered};
use crate::end_offsets::EndOffsets;
use crate::error::Remedy;
use crate::group_member::GroupMember;
use crate::merge::{NextInput, next_input};
use crate::metering;
use crate::positions::Positions;
use crate::restore::Restore;
use crate::span::Span;
use crate::task_reader::TaskReader;
use crate::task_writer::TaskWriter;
use crate::workers::{Phase, WorkerControl, Workers};
use crate::{Guarantee, KafkaSettings, RunError, Topics, WallClock};

/// How often the end offsets of a silent partition are checked.
const IDLE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Settings, ruleset and clients that all workers of a process share.
pub(crate) struct WorkerContext {
    pub settings: KafkaSettings,
    pub topics: Topics,
    pub ruleset: Arc<ActiveRuleset>,
    pub metrics: EngineMetrics,
    pub clock: WallClock,
    pub partitions: u32,
    pub workers: Arc<Workers>,
    pub end_offsets: EndOffsets,
}

impl WorkerContext {
    /// Declares the input finite: its event time is not the wall clock's, so silence does not advance it.
    pub fn expect_end_of_input(&self) {
        self.workers.end_of_input.expect_ends(self.ruleset.get().signal_keys().count(), self.partitions);
    }
}

/// Where a worker reads from, and whether it records its progress.
pub(crate) enum InputSource {
    /// The partition assigned by the group, from the committed positions and with the committed state.
    Group(Weak<GroupMember>),
    /// A span of the logs, from an empty state. Neither state nor positions are recorded.
    Span(Span),
}

/// The worker of one partition.
pub(crate) struct Worker<'a> {
    context: &'a WorkerContext,
    partition: u32,
    control: &'a WorkerControl,
    source: InputSource,
    /// Whether the end-of-stream watermarks were sent and committed.
    end_sent: bool,
}

/// State of a worker from taking over the partition until it restarts or ends.
struct Session {
    task: Task,
    reader: TaskReader,
    buffer: CommitBuffer,
}

impl<'a> Worker<'a> {
    pub fn new(
        context: &'a WorkerContext,
        partition: u32,
        control: &'a WorkerControl,
        source: InputSource,
    ) -> Self {
        Self { context, partition, control, source, end_sent: false }
    }

    /// Processes records until asked to finish or, for finite input, until the end of the stream.
    ///
    /// Fails with the first error that no retry can resolve.
    pub fn run(&mut self) -> Result<(), RunError> {
        let mut backoff = Backoff::new();
        while !self.control.should_finish() {
            self.control.set_phase(Phase::Restoring);
            let ran = match self.open_session() {
                Ok(Some(session)) => self.run_rounds(session, &mut backoff),
                Ok(None) => Ok(()),
                Err(e) => Err(e),
            };
            match ran {
                Ok(()) => break,
                Err(e) => {
                    if self.remedy(&e) == Remedy::Restart {
                        tracing::warn!(
                            "fenced, or a commit is in doubt; taking the partition over again: {e}"
                        );
                    }
                    self.retry_after(e, &mut backoff)?;
                }
            }
        }
        if self.control.should_finish() {
            self.context.metrics.forget(self.partition);
        }
        Ok(())
    }

    /// Fences the previous owner of the partition and restores what it committed. Returns `None` when asked
    /// to finish meanwhile.
    fn open_session(&self) -> Result<Option<Session>, RunError> {
        let WorkerContext { settings, topics, ruleset, metrics, clock, partitions, .. } = self.context;
        let partition = self.partition;
        let mut writer = TaskWriter::open(settings, topics, partition)?;
        let fresh = Task::new(partition, *partitions).with_max_conversations(settings.max_conversations);
        let (task, committed) = match &self.source {
            InputSource::Span(span) => (fresh, span.first.clone()),
            InputSource::Group(_) => {
                let restore = Restore { settings, topics, ruleset: &ruleset.get(), metrics, partition };
                let unwanted = || {
                    self.control.heartbeat(clock());
                    self.control.should_finish()
                };
                let Some(restored) = restore.restore_task(fresh, &mut writer, unwanted)? else {
                    return Ok(None);
                };
                restored
            }
        };
        let reader = self.read_from(&committed)?;
        Ok(Some(Session { task, reader, buffer: CommitBuffer::new(writer, committed, self.context) }))
    }

    fn read_from(&self, positions: &Positions) -> Result<TaskReader, RunError> {
        let WorkerContext { settings, topics, .. } = self.context;
        let ends = match &self.source {
            InputSource::Group(_) => &Positions::new(),
            InputSource::Span(span) => &span.end,
        };
        TaskReader::open(settings, topics, self.partition, positions, ends)
    }

    /// Returns to the last commit after a failed round, with a new writer. Returns `None` when asked to
    /// finish meanwhile.
    fn recover(
        &self,
        session: Session,
        e: RunError,
        backoff: &mut Backoff,
    ) -> Result<Option<Session>, RunError> {
        let Session { mut task, buffer, .. } = session;
        self.context.metrics.round("aborted");
        task.rewind(&self.context.ruleset.get())?;
        let recovered = buffer.into_recovered(self.context);
        let mut problem = e;
        loop {
            self.retry_after(problem, backoff)?;
            if self.control.should_finish() {
                return Ok(None);
            }
            match self.reopen(&recovered) {
                Ok((buffer, reader)) => return Ok(Some(Session { task, reader, buffer })),
                Err(e) if self.remedy(&e) == Remedy::Redo => problem = e,
                Err(e) => return Err(e),
            }
        }
    }

    fn reopen(&self, recovered: &Recovered) -> Result<(CommitBuffer, TaskReader), RunError> {
        let WorkerContext { settings, topics, .. } = self.context;
        let writer = TaskWriter::open(settings, topics, self.partition)?;
        let reader = self.read_from(&recovered.committed)?;
        Ok((CommitBuffer::resume(recovered, writer, self.context), reader))
    }

    /// Runs rounds until asked to finish or until the stream ends.
    fn run_rounds(&mut self, mut session: Session, backoff: &mut Backoff) -> Result<(), RunError> {
        self.control.set_phase(Phase::Working);
        loop {
            let finish = self.control.should_finish();
            match self.run_round(&mut session) {
                Ok(done) => {
                    self.control.set_phase(Phase::Working);
                    backoff.reset();
                    if done || finish {
                        return Ok(());
                    }
                }
                Err(e) if self.remedy(&e) == Remedy::Redo => match self.recover(session, e, backoff)? {
                    Some(again) => session = again,
                    None => return Ok(()),
                },
                Err(e) => return Err(e),
            }
        }
    }

    /// Reads, processes and commits. Returns whether the stream has ended.
    fn run_round(&mut self, session: &mut Session) -> Result<bool, RunError> {
        let context = self.context;
        let end_of_input = &context.workers.end_of_input;
        self.control.heartbeat((context.clock)());
        // Read before the end offsets are fetched: records added later are seen in the next round.
        let (is_complete, over) = (end_of_input.is_input_complete(), self.end_sent && end_of_input.is_done());
        let processed = self.process_batch(session)?;
        if self.control.is_abandoned() {
            // Another worker owns the partition by now, and brokers would refuse a commit.
            return Ok(true);
        }
        let Session { task, reader, buffer } = &mut *session;
        let quiet = processed == 0 && reader.pending_actions.is_empty();
        let sends_end = quiet && is_complete && !self.end_sent;
        let ends = sends_end && reader.at_end(Stream::Events)? && reader.at_end(Stream::Actions)?;
        if ends {
            buffer.end_of_stream(task)?;
        }
        self.commit(session)?;
        self.end_sent |= ends;
        context.metrics.state(self.partition, metering::state_size(&session.task));
        Ok(over && processed == 0)
    }

    /// Commits the effects, the changed state and the positions since the last commit.
    fn commit(&self, session: &mut Session) -> Result<(), RunError> {
        let Session { task, buffer, .. } = session;
        let context = self.context;
        let changes = task.changes()?;
        if let InputSource::Group(_) = &self.source {
            for change in changes.iter().chain(&buffer.position_change()) {
                buffer.writer.write_change(change)?;
            }
        }
        if buffer.writer.commit()? {
            context.metrics.round("committed");
        }
        task.committed();
        buffer.record_commit(context);
        if let InputSource::Group(member) = &self.source
            && let Some(member) = member.upgrade()
        {
            buffer.report_offsets(&member, self.control.should_finish(), context);
        }
        Ok(())
    }

    /// Reads for one commit interval and processes what arrived. Returns the number of records processed.
    fn process_batch(&self, session: &mut Session) -> Result<usize, RunError> {
        let (context, control) = (self.context, self.control);
        let Session { task, reader, buffer } = session;
        let settings = &context.settings;
        let interval = Wait::from_millis(settings.commit_interval_ms);
        let mut waiting = std::mem::take(&mut reader.pending_actions);
        let (mut batch, actions) =
            reader.poll_batch(interval, buffer.max_records, || control.should_finish())?;
        waiting.extend(actions);
        // Records read after a policy reload are decided by the new policy.
        buffer.ruleset = context.ruleset.get();
        let now = (context.clock)();
        let mut processed = batch.signals.len();
        for signal in batch.signals.drain(..) {
            buffer.handle_record(Stream::Signals, &signal, task, context)?;
        }
        let is_check_due = now - buffer.last_check >= IDLE_CHECK_INTERVAL
            || context.workers.end_of_input.is_input_complete();
        if is_check_due || !batch.events.is_empty() || !waiting.is_empty() {
            buffer.last_check = now;
            reader.fetch_end_offsets(&context.end_offsets)?;
            waiting.extend(reader.drain_actions()?);
        }
        let events_at_end = reader.at_end(Stream::Events)?;
        let any = !batch.events.is_empty();
        let stamp = |at: rdkafka::Timestamp| at.to_millis().unwrap_or_default();
        while let Some(next) = next_input(
            batch.events.front().map(|m| stamp(m.timestamp())),
            waiting.front().map(|m: &OwnedMessage| stamp(m.timestamp())),
            events_at_end,
        ) {
            processed += 1;
            match next {
                NextInput::Event => {
                    if let Some(event) = batch.events.pop_front() {
                        buffer.handle_record(Stream::Events, &event, task, context)?;
                    }
                }
                NextInput::Action => {
                    if let Some(action) = waiting.pop_front() {
                        buffer.handle_record(Stream::Actions, &action, task, context)?;
                    }
                }
            }
        }
        drop(batch);
        reader.pending_actions = waiting;
        if any {
            buffer.silent_since = now;
        } else if is_check_due && events_at_end && !context.workers.end_of_input.is_finite() {
            buffer.advance_idle(now, task, context)?;
        }
        for (stream, lag) in reader.lags() {
            context.metrics.lag(stream.as_str(), self.partition, lag);
        }
        Ok(processed)
    }

    /// Logs the error and waits before the next try. Returns the error when a retry is pointless.
    fn retry_after(&self, e: RunError, backoff: &mut Backoff) -> Result<(), RunError> {
        let WorkerContext { settings, clock, .. } = self.context;
        if self.remedy(&e) == Remedy::Stop && !self.control.should_finish() {
            return Err(e);
        }
        let problem = format!("partition {}: {e}", self.partition);
        self.control.wait_before_retry(&problem, backoff, settings.retry_timeout_ms, *clock)
    }

    fn remedy(&self, e: &RunError) -> Remedy {
        let transactional = self.context.settings.guarantee == Guarantee::ExactlyOnce;
        match (e.remedy(), &self.source) {
            // A replay keeps no changelog, so it cannot restart in the middle.
            (Remedy::Restart, InputSource::Span(_)) => Remedy::Stop,
            (Remedy::Redo, InputSource::Span(_)) if !transactional => Remedy::Stop,
            (remedy, _) => remedy,
        }
    }
}
