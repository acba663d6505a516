//! One task at work: take the partition over, restore, then read, handle and commit, round after round.
//!
//! Each worker has a thread of its own, as the client's calls wait for brokers. A round is one transaction. When one
//! fails before its commit was asked for, what it did is undone in memory and done again by a new writer. When it is not
//! known how a commit ended, the task begins anew from the changelog.

use std::sync::{Arc, Weak};
use std::time::Duration as Wait;

use firewatch_domain::Duration;
use firewatch_engine::{InForce, Stream, Task};
use firewatch_telemetry::EngineMetrics;
use rdkafka::Message;
use rdkafka::message::OwnedMessage;

use crate::metering;
use crate::crew::{Crew, Phase, Post};
use crate::desk::{Desk, Undone};
use crate::ends::Ends;
use crate::error::Remedy;
use crate::member::Member;
use crate::merge::{Turn, turn};
use crate::positions::Positions;
use crate::reader::Reader;
use crate::restore::Restore;
use crate::span::Span;
use crate::wait::Backoff;
use crate::writer::Writer;
use crate::{Clock, Guarantee, KafkaSettings, RunError, Topics};

/// How often a silent partition is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What all workers of a process share.
pub(crate) struct Job {
    pub settings: KafkaSettings,
    pub topics: Topics,
    pub brain: Arc<InForce>,
    pub metrics: EngineMetrics,
    pub clock: Clock,
    pub partitions: u32,
    pub crew: Arc<Crew>,
    pub ends: Ends,
}

impl Job {
    /// The stream has an end, and its time is not the wall clock's.
    pub fn has_an_end(&self) {
        self.crew.course.end_with(self.brain.get().signal_keys().count(), self.partitions);
    }
}

/// Where a worker's records come from, and whether anybody takes note of how far it has come.
pub(crate) enum Source {
    /// The group's share of the logs, from where it was committed, with the state that belongs to it.
    Group(Weak<Member>),
    /// A span of the logs, from an empty state; no note is taken.
    Span(Span),
}

/// One worker.
pub(crate) struct Worker<'a> {
    job: &'a Job,
    partition: u32,
    post: &'a Post,
    source: Source,
    /// The end of the stream has been told.
    ended: bool,
}

/// What a worker has while it works.
struct Bench {
    task: Task,
    reader: Reader,
    desk: Desk,
}

impl<'a> Worker<'a> {
    pub fn new(job: &'a Job, partition: u32, post: &'a Post, source: Source) -> Self {
        Self { job, partition, post, source, ended: false }
    }

    /// Works until told to finish, or until the stream's end when it has one.
    pub fn run(&mut self) -> Result<(), RunError> {
        let mut backoff = Backoff::new();
        while !self.post.is_to_finish() {
            self.post.set(Phase::Restoring);
            let ran = match self.take_over() {
                Ok(Some(bench)) => self.rounds(bench, &mut backoff),
                Ok(None) => Ok(()),
                Err(e) => Err(e),
            };
            match ran {
                Ok(()) => break,
                Err(e) => self.wait_after(e, &mut backoff)?,
            }
        }
        if self.post.is_to_finish() {
            self.job.metrics.forget(self.partition);
        }
        Ok(())
    }

    /// Shuts out whoever worked on the partition before, and reads what it has committed.
    fn take_over(&self) -> Result<Option<Bench>, RunError> {
        let Job { settings, topics, brain, metrics, clock, partitions, .. } = self.job;
        let partition = self.partition;
        let mut writer = Writer::open(settings, topics, partition)?;
        let fresh = Task::new(partition, *partitions).with_most_conversations(settings.most_conversations);
        let (task, committed) = match &self.source {
            Source::Span(span) => (fresh, span.first.clone()),
            Source::Group(_) => {
                let restore = Restore { settings, topics, brain: &brain.get(), metrics, partition };
                let unwanted = || {
                    self.post.beat(clock());
                    self.post.is_to_finish()
                };
                let Some(restored) = restore.state(fresh, &mut writer, unwanted)? else { return Ok(None) };
                restored
            }
        };
        let reader = self.read_from(&committed)?;
        Ok(Some(Bench { task, reader, desk: Desk::new(writer, committed, self.job) }))
    }

    fn read_from(&self, positions: &Positions) -> Result<Reader, RunError> {
        let Job { settings, topics, .. } = self.job;
        let ends = match &self.source {
            Source::Group(_) => &Positions::new(),
            Source::Span(span) => &span.end,
        };
        Reader::open(settings, topics, self.partition, positions, ends)
    }

    /// Goes back to the last commit after a round that failed, with a new writer. None when told to finish meanwhile.
    fn begin_again(
        &self,
        bench: Bench,
        e: RunError,
        backoff: &mut Backoff,
    ) -> Result<Option<Bench>, RunError> {
        let Bench { mut task, desk, .. } = bench;
        self.job.metrics.round("aborted");
        task.rewind(&self.job.brain.get())?;
        let undone = desk.undo(self.job);
        let mut problem = e;
        loop {
            self.wait_after(problem, backoff)?;
            if self.post.is_to_finish() {
                return Ok(None);
            }
            match self.reopen(&undone) {
                Ok((desk, reader)) => return Ok(Some(Bench { task, reader, desk })),
                Err(e) if self.remedy(&e) == Remedy::Redo => problem = e,
                Err(e) => return Err(e),
            }
        }
    }

    fn reopen(&self, undone: &Undone) -> Result<(Desk, Reader), RunError> {
        let Job { settings, topics, .. } = self.job;
        let writer = Writer::open(settings, topics, self.partition)?;
        let reader = self.read_from(&undone.committed)?;
        Ok((Desk::after(undone, writer, self.job), reader))
    }

    /// Round after round, until told to finish.
    fn rounds(&mut self, mut bench: Bench, backoff: &mut Backoff) -> Result<(), RunError> {
        self.post.set(Phase::Working);
        loop {
            let finish = self.post.is_to_finish();
            match self.round(&mut bench) {
                Ok(done) => {
                    self.post.set(Phase::Working);
                    backoff.reset();
                    if done || finish {
                        return Ok(());
                    }
                }
                Err(e) if self.remedy(&e) == Remedy::Redo => match self.begin_again(bench, e, backoff)? {
                    Some(again) => bench = again,
                    None => return Ok(()),
                },
                Err(e) => return Err(e),
            }
        }
    }

    /// Reads, works and commits. Tells whether the stream has come to its end.
    fn round(&mut self, bench: &mut Bench) -> Result<bool, RunError> {
        let job = self.job;
        let course = &job.crew.course;
        self.post.beat((job.clock)());
        // Asked before the ends of the logs are: what is added afterwards is seen in the next round.
        let (fed, over) = (course.is_fed(), self.ended && course.is_over());
        let worked = self.work(bench)?;
        if self.post.is_abandoned() {
            // Another works here by now, and a commit would only be refused.
            return Ok(true);
        }
        let Bench { task, reader, desk } = &mut *bench;
        let quiet = worked == 0 && reader.actions.is_empty();
        let ends = quiet && fed && !self.ended;
        let ends = ends && reader.at_end(Stream::Events)? && reader.at_end(Stream::Actions)?;
        if ends {
            desk.end_of_stream(task)?;
        }
        self.commit(bench)?;
        self.ended |= ends;
        job.metrics.state(self.partition, metering::state_size(&bench.task));
        Ok(over && worked == 0)
    }

    /// Commits what was done since the last commit, and how far that came.
    fn commit(&self, bench: &mut Bench) -> Result<(), RunError> {
        let Bench { task, desk, .. } = bench;
        let job = self.job;
        let changes = task.changes()?;
        if let Source::Group(_) = &self.source {
            for change in changes.iter().chain(&desk.progress()) {
                desk.writer.state(change)?;
            }
        }
        if desk.writer.commit()? {
            job.metrics.round("committed");
        }
        task.committed();
        desk.settle(job);
        if let Source::Group(member) = &self.source
            && let Some(member) = member.upgrade()
        {
            desk.tell_group(&member, self.post.is_to_finish(), job);
        }
        Ok(())
    }

    /// Reads for a commit interval and works on what came; tells how many records that were.
    fn work(&self, bench: &mut Bench) -> Result<usize, RunError> {
        let (job, post) = (self.job, self.post);
        let Bench { task, reader, desk } = bench;
        let settings = &job.settings;
        let interval = Wait::from_millis(settings.commit_interval_ms);
        let mut waiting = std::mem::take(&mut reader.actions);
        let (mut batch, actions) = reader.gather(interval, desk.most, || post.is_to_finish())?;
        waiting.extend(actions);
        // What arrives once another policy is in force is decided by it.
        desk.brain = job.brain.get();
        let now = (job.clock)();
        let mut worked = batch.signals.len();
        for signal in batch.signals.drain(..) {
            desk.take(Stream::Signals, &signal, task, job)?;
        }
        let look = now - desk.looked >= LOOK || job.crew.course.is_fed();
        if look || !batch.events.is_empty() || !waiting.is_empty() {
            desk.looked = now;
            reader.ask_ends(&job.ends)?;
            waiting.extend(reader.rest_of_actions()?);
        }
        let events_at_end = reader.at_end(Stream::Events)?;
        let any = !batch.events.is_empty();
        let stamp = |at: rdkafka::Timestamp| at.to_millis().unwrap_or_default();
        while let Some(turn) = turn(
            batch.events.front().map(|m| stamp(m.timestamp())),
            waiting.front().map(|m: &OwnedMessage| stamp(m.timestamp())),
            events_at_end,
        ) {
            worked += 1;
            match turn {
                Turn::Event => {
                    if let Some(event) = batch.events.pop_front() {
                        desk.take(Stream::Events, &event, task, job)?;
                    }
                }
                Turn::Action => {
                    if let Some(action) = waiting.pop_front() {
                        desk.take(Stream::Actions, &action, task, job)?;
                    }
                }
            }
        }
        drop(batch);
        reader.actions = waiting;
        if any {
            desk.silent_since = now;
        } else if look && events_at_end && !job.crew.course.is_finite() {
            desk.silence(now, task, job)?;
        }
        for (stream, lag) in reader.lags() {
            job.metrics.lag(stream.as_str(), self.partition, lag);
        }
        Ok(worked)
    }

    /// Tells what is wrong and waits before the next try, unless it is pointless.
    fn wait_after(&self, e: RunError, backoff: &mut Backoff) -> Result<(), RunError> {
        let Job { settings, clock, .. } = self.job;
        if self.remedy(&e) == Remedy::Stop && !self.post.is_to_finish() {
            return Err(e);
        }
        let problem = format!("partition {}: {e}", self.partition);
        self.post.wait_after(&problem, backoff, settings.patience_ms, *clock)
    }

    fn remedy(&self, e: &RunError) -> Remedy {
        let transactional = self.job.settings.guarantee == Guarantee::ExactlyOnce;
        match (e.remedy(), &self.source) {
            // What a replay has told is in its outputs only, so it cannot begin anew in the middle.
            (Remedy::Restart, Source::Span(_)) => Remedy::Stop,
            (Remedy::Redo, Source::Span(_)) if !transactional => Remedy::Stop,
            (remedy, _) => remedy,
        }
    }
}
