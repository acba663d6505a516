//! One worker: takes over a partition, restores its processor, then reads, processes and commits, round after
//! round.
//!
//! Each worker has its own thread, because client calls block on brokers. A round is one transaction. When a
//! round fails before its commit is requested, its changes are undone in memory, and a new writer
//! processes its records again. When the outcome of a commit is unknown, the worker restarts from the changelog.

use std::collections::VecDeque;
use std::time::Duration as Wait;

use firewatch_domain::{Duration, EventTime};
use firewatch_engine::Stream;
use rdkafka::Message;
use rdkafka::message::OwnedMessage;

use crate::backoff::Backoff;
use crate::error::Remedy;
use crate::group_member::{self, GroupMember};
use crate::headers::{to_input, traceparent};
use crate::log::{Log, LogWriter};
use crate::merge::{NextInput, next_input};
use crate::positions::Positions;
use crate::processor::{Processor, WorkerEvent};
use crate::progress::Progress;
use crate::restore::restore;
use crate::task_reader::{InputTopic, TaskReader};
use crate::task_writer::TaskWriter;
use crate::worker_context::{InputSource, WorkerContext};
use crate::workers::{Phase, WorkerControl};
use crate::{Guarantee, RunError, WallClock};

/// Longest time between two fetches of the end offsets.
const END_OFFSET_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The worker of one partition.
pub(crate) struct Worker<'a, L, F> {
    context: &'a WorkerContext<L>,
    partition: u32,
    control: &'a WorkerControl,
    source: InputSource,
    new_processor: F,
    /// Whether the end-of-stream watermarks were sent and committed.
    end_sent: bool,
}

/// State of a worker from taking over the partition until it restarts or ends.
struct Session<P, W, Q> {
    reader: TaskReader<Q>,
    pipeline: Pipeline<P, W>,
}

/// The way of a record after it is read: the processor, the writer of its effects, and the position.
struct Pipeline<P, W> {
    processor: P,
    writer: TaskWriter<W>,
    progress: Progress,
    clock: WallClock,
}

/// The session of a worker on a log.
type SessionOn<P, L> = Session<P, <L as Log>::Writer, <L as Log>::Queue>;

impl<'a, L: Log, P: Processor, F: Fn() -> P> Worker<'a, L, F> {
    /// Creates a worker; `new_processor` returns a processor without state.
    pub fn new(
        context: &'a WorkerContext<L>,
        partition: u32,
        control: &'a WorkerControl,
        source: InputSource,
        new_processor: F,
    ) -> Self {
        Self { context, partition, control, source, new_processor, end_sent: false }
    }

    /// Processes records until asked to finish or, for finite input, until the end of the stream.
    ///
    /// Fails with the first error that no retry can resolve, unless it was asked to finish.
    pub fn run(&mut self) -> Result<(), RunError> {
        let mut backoff = Backoff::new(self.context.first_retry_wait);
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
            // The session's processor is gone, and the metrics need none of its state.
            (self.new_processor)().meter(WorkerEvent::Released);
        }
        Ok(())
    }

    /// Fences the previous owner of the partition and restores what it committed. Returns `None` when asked
    /// to finish meanwhile.
    fn open_session(&self) -> Result<Option<SessionOn<P, L>>, RunError> {
        let WorkerContext { settings, clock, .. } = self.context;
        let mut writer = self.open_writer()?;
        let mut processor = (self.new_processor)();
        let committed = match &self.source {
            InputSource::Span(span) => span.first.clone(),
            InputSource::Group(_) => {
                let unwanted = || {
                    self.control.heartbeat(clock());
                    self.control.should_finish()
                };
                let restored = restore(self.context, self.partition, &mut processor, &mut writer, unwanted)?;
                let Some(positions) = restored else {
                    return Ok(None);
                };
                positions
            }
        };
        let reader = self.open_reader(&committed)?;
        let progress = Progress::new(committed, settings.commit_records, clock());
        Ok(Some(Session { reader, pipeline: Pipeline { processor, writer, progress, clock: *clock } }))
    }

    fn open_writer(&self) -> Result<TaskWriter<L::Writer>, RunError> {
        let WorkerContext { settings, topics, log, .. } = self.context;
        Ok(TaskWriter::new(log.open_writer(self.partition)?, self.partition, topics, &settings.formats))
    }

    fn open_reader(&self, positions: &Positions) -> Result<TaskReader<L::Queue>, RunError> {
        let WorkerContext { inputs, log, .. } = self.context;
        let ends = match &self.source {
            InputSource::Group(_) => &Positions::new(),
            InputSource::Span(span) => &span.end,
        };
        TaskReader::open(log, inputs, self.partition, positions, ends)
    }

    /// Returns to the last commit after a failed round, with a new writer. Returns `None` when asked to
    /// finish meanwhile.
    ///
    /// The writer that began a transaction does not abort it: what it sent may still be in flight to a broker
    /// and would count as part of the next transaction. The writer that takes over has a new epoch, which
    /// every broker learns with the abort, so brokers refuse such stragglers.
    fn recover(
        &self,
        session: SessionOn<P, L>,
        e: RunError,
        backoff: &mut Backoff,
    ) -> Result<Option<SessionOn<P, L>>, RunError> {
        let WorkerContext { settings, clock, .. } = self.context;
        let Session { reader, pipeline: Pipeline { mut processor, writer, mut progress, .. } } = session;
        drop((writer, reader));
        processor.meter(WorkerEvent::Aborted);
        processor.rewind()?;
        progress.rewind(settings.commit_records);
        let mut problem = e;
        loop {
            self.retry_after(problem, backoff)?;
            if self.control.should_finish() {
                return Ok(None);
            }
            let reopened = self.open_writer().and_then(|writer| {
                let reader = self.open_reader(&progress.committed)?;
                Ok((writer, reader))
            });
            match reopened {
                Ok((writer, reader)) => {
                    progress.restart_clocks(clock());
                    return Ok(Some(Session {
                        reader,
                        pipeline: Pipeline { processor, writer, progress, clock: *clock },
                    }));
                }
                Err(e) if self.remedy(&e) == Remedy::Redo => problem = e,
                Err(e) => return Err(e),
            }
        }
    }

    /// Runs rounds until asked to finish or until the stream ends.
    fn run_rounds(&mut self, mut session: SessionOn<P, L>, backoff: &mut Backoff) -> Result<(), RunError> {
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

    /// Reads, processes and commits. Returns whether the worker is done: its stream has ended, or another worker
    /// owns the partition.
    fn run_round(&mut self, session: &mut SessionOn<P, L>) -> Result<bool, RunError> {
        let end_of_input = &self.context.workers.end_of_input;
        self.control.heartbeat((self.context.clock)());
        // These flags must be read before the end offsets are fetched: once the input is complete and nothing more is
        // forwarded, the fetch sees all of it.
        let (is_complete, is_drained) = (end_of_input.is_input_complete(), end_of_input.is_drained());
        let all_ends_received = self.end_sent && end_of_input.is_done();
        let processed = self.process_batch(session)?;
        if self.control.is_abandoned() {
            // Another worker owns the partition by now, and brokers would refuse a commit.
            return Ok(true);
        }
        let Session { reader, pipeline: Pipeline { processor, writer, .. } } = &mut *session;
        let has_read_all = is_complete
            && reader.pending_actions.is_empty()
            && reader.at_end(Stream::Events)?
            && reader.at_end(Stream::Actions)?;
        let ends = has_read_all && is_drained && processed == 0 && !self.end_sent;
        let ends = ends && reader.at_end(Stream::Signals)?;
        if ends {
            processor.end_of_stream(writer)?;
        }
        self.commit(session)?;
        if has_read_all {
            end_of_input.mark_drained(self.partition);
        }
        self.end_sent |= ends;
        Ok(all_ends_received && processed == 0)
    }

    /// Commits the effects, the changed state and the positions since the last commit. The positions are a
    /// changelog entry; the group's own offsets are only reported afterwards. A replay writes no changelog.
    fn commit(&self, session: &mut SessionOn<P, L>) -> Result<(), RunError> {
        let Pipeline { processor, writer, progress, .. } = &mut session.pipeline;
        let WorkerContext { settings, clock, .. } = self.context;
        let changes = processor.changes()?;
        if let InputSource::Group(_) = &self.source {
            for change in changes.iter().chain(&progress.changelog_entry()) {
                writer.write_change(change)?;
            }
        }
        if writer.commit()? {
            processor.meter(WorkerEvent::Committed);
        }
        processor.committed(clock());
        progress.record_commit(settings.commit_records);
        if let InputSource::Group(member) = &self.source
            && let Some(member) = member.upgrade()
        {
            self.report_offsets(&member, progress);
        }
        Ok(())
    }

    /// Reports the committed positions to the group, for tools that show lag.
    fn report_offsets(&self, member: &GroupMember, progress: &mut Progress) {
        let WorkerContext { inputs, clock, .. } = self.context;
        if let Some(positions) = progress.due_report(self.control.should_finish(), clock()) {
            let position =
                |input: &'a InputTopic| Some((input.topic.as_str(), *positions.get(&input.stream)?));
            let next = inputs.iter().filter_map(position);
            group_member::report_offsets(member, self.partition as i32, next);
        }
    }

    /// Reads for one commit interval and processes what arrived. Returns the number of records processed.
    fn process_batch(&self, session: &mut SessionOn<P, L>) -> Result<usize, RunError> {
        let WorkerContext { settings, workers, log, clock, .. } = self.context;
        let Session { reader, pipeline } = session;
        let interval = Wait::from_millis(settings.commit_interval_ms);
        let mut waiting = std::mem::take(&mut reader.pending_actions);
        let (mut batch, actions) =
            reader.poll_batch(interval, pipeline.progress.max_records, || self.control.should_finish())?;
        waiting.extend(actions);
        // Records read after a policy reload are decided by the new policy.
        pipeline.processor.begin_round();
        let now = clock();
        let mut processed = batch.signals.len();
        let end_of_input = &workers.end_of_input;
        let is_check_due = now - pipeline.progress.last_check >= END_OFFSET_CHECK_INTERVAL
            || end_of_input.is_input_complete();
        let has_input = !batch.events.is_empty() || !waiting.is_empty() || processed > 0;
        if reader.reads_actions() && (is_check_due || has_input) {
            // Fetched after the events were read: every action that precedes them is then read before the
            // two are merged.
            pipeline.progress.last_check = now;
            reader.fetch_end_offsets(log)?;
            waiting.extend(reader.drain_actions()?);
        }
        let events_at_end = reader.at_end(Stream::Events)?;
        let any = !batch.events.is_empty();
        processed += pipeline.process_merged(&mut batch.events, &mut waiting, events_at_end)?;
        // Signals wait in windows of event time, so their place among the events does not matter. A forwarded event
        // comes after those that were read before it.
        pipeline.processor.set_caught_up(events_at_end);
        for signal in batch.signals.drain(..) {
            pipeline.process_record(Stream::Signals, &signal)?;
        }
        drop(batch);
        reader.pending_actions = waiting;
        if any {
            pipeline.progress.idle_since = now;
        } else if is_check_due && events_at_end && !end_of_input.is_finite() {
            pipeline.mark_idle_if_due(now, Duration::from_millis(settings.idle_after_ms as i64))?;
        }
        for (stream, records) in reader.lags() {
            pipeline.processor.meter(WorkerEvent::Lag { stream, records });
        }
        Ok(processed)
    }

    /// Logs the error and waits before the next try. Returns the error when a retry is pointless.
    fn retry_after(&self, e: RunError, backoff: &mut Backoff) -> Result<(), RunError> {
        let WorkerContext { settings, topics, clock, .. } = self.context;
        if self.remedy(&e) == Remedy::Stop && !self.control.should_finish() {
            return Err(e);
        }
        let problem = format!("{} [{}]: {e}", topics.events, self.partition);
        self.control.wait_before_retry(&problem, backoff, settings.retry_timeout_ms, *clock)
    }

    fn remedy(&self, e: &RunError) -> Remedy {
        let transactional = self.context.settings.guarantee == Guarantee::ExactlyOnce;
        match (e.remedy(), &self.source) {
            // A replay keeps no changelog, so it cannot restart in the middle. Without transactions, it would
            // write the effects of a failed round twice.
            (Remedy::Restart, InputSource::Span(_)) => Remedy::Stop,
            (Remedy::Redo, InputSource::Span(_)) if !transactional => Remedy::Stop,
            (remedy, _) => remedy,
        }
    }
}

impl<P: Processor, W: LogWriter> Pipeline<P, W> {
    /// Processes a record and notes its position.
    fn process_record(&mut self, stream: Stream, record: &impl Message) -> Result<(), RunError> {
        self.progress.advance(stream, record.offset());
        let trace = traceparent(record.headers());
        let input = to_input(stream, record, trace.as_deref(), self.clock);
        self.processor.process(&input, &mut self.writer)
    }

    /// Processes events and actions in the order of time, as far as that order is known. Returns the number of
    /// records processed; the rest stays.
    fn process_merged(
        &mut self,
        events: &mut VecDeque<impl Message>,
        actions: &mut VecDeque<OwnedMessage>,
        events_at_end: bool,
    ) -> Result<usize, RunError> {
        let mut processed = 0;
        while let Some(next) =
            next_input(events.front().map(written_at), actions.front().map(written_at), events_at_end)
        {
            processed += 1;
            match next {
                NextInput::Event => {
                    if let Some(event) = events.pop_front() {
                        self.process_record(Stream::Events, &event)?;
                    }
                }
                NextInput::Action => {
                    if let Some(action) = actions.pop_front() {
                        self.process_record(Stream::Actions, &action)?;
                    }
                }
            }
        }
        Ok(processed)
    }

    /// Advances time for a partition that is read to its end and has been silent for `idle_after`.
    fn mark_idle_if_due(&mut self, now: EventTime, idle_after: Duration) -> Result<(), RunError> {
        let silence = now - self.progress.idle_since;
        if silence >= idle_after {
            self.processor.mark_idle(silence, &mut self.writer)?;
            self.progress.idle_since = now;
        }
        Ok(())
    }
}

/// Returns when a record was written, in milliseconds.
fn written_at(record: &impl Message) -> i64 {
    record.timestamp().to_millis().unwrap_or_default()
}
