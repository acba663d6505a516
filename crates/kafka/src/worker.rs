//! One task at work: take the partition over, restore, then read, handle and commit, round after round.
//!
//! Each worker has a thread of its own, as the client's calls wait for brokers. A round is one transaction. When one
//! fails, what it did is undone in memory and done again; what cannot be undone so begins anew from the changelog.

use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration as Wait;

use firewatch_domain::{Duration, EventTime};
use firewatch_engine::{Brain, Effect, Handled, Input, Metrics, Stream, Task};
use rdkafka::message::OwnedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::crew::{Crew, Phase, Post};
use crate::error::Remedy;
use crate::headers::traceparent;
use crate::member::Member;
use crate::merge::{Turn, turn};
use crate::reader::{Positions, Reader};
use crate::restore::Restore;
use crate::wait::{Backoff, pause};
use crate::writer::{Consumed, Writer};
use crate::{Clock, KafkaSettings, RunError, Topics, doing};

/// How often a silent partition is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Records in a round at most, when rounds keep failing.
const LEAST_RECORDS: usize = 50;

/// What all workers of a process share.
pub(crate) struct Job {
    pub settings: KafkaSettings,
    pub topics: Topics,
    pub brain: Arc<Brain>,
    pub metrics: Metrics,
    pub clock: Clock,
    pub partitions: u32,
    pub crew: Arc<Crew>,
}

/// One worker.
pub(crate) struct Worker<'a> {
    job: &'a Job,
    partition: u32,
    post: &'a Post,
    member: Weak<Member>,
    /// The end of the stream has been told.
    ended: bool,
}

/// What a worker has while it works.
struct Bench {
    task: Task,
    reader: Reader,
    desk: Desk,
}

/// Where records become effects.
struct Desk {
    writer: Writer,
    /// As of the last commit, and as of the last record.
    committed: Positions,
    worked: Positions,
    /// Records worked on since the last commit, with their arrival.
    open: Vec<(Stream, Handled, EventTime)>,
    /// Kinds of effects written since.
    told: Vec<&'static str>,
    made: Vec<Effect>,
    silent_since: EventTime,
    looked: EventTime,
    /// Records in a round at most: fewer after a round that failed, as it may have been too much for its time-out.
    most: usize,
}

impl<'a> Worker<'a> {
    pub fn new(job: &'a Job, partition: u32, post: &'a Post, member: Weak<Member>) -> Self {
        Self { job, partition, post, member, ended: false }
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
        let restore = Restore { settings, topics, brain, metrics, partition };
        let unwanted = || {
            self.post.beat(clock());
            self.post.is_to_finish()
        };
        let fresh = Task::new(partition, *partitions).with_most_conversations(settings.most_conversations);
        let Some(task) = restore.state(fresh, &mut writer, unwanted)? else { return Ok(None) };
        let committed = restore.positions()?;
        let reader = Reader::open(settings, topics, partition, &committed)?;
        let (worked, silent_since) = (committed.clone(), clock());
        let desk = Desk {
            writer,
            committed,
            worked,
            open: vec![],
            told: vec![],
            made: vec![],
            silent_since,
            looked: silent_since,
            most: settings.commit_records,
        };
        Ok(Some(Bench { task, reader, desk }))
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
                Err(e) if e.remedy() == Remedy::Redo => {
                    bench.desk.writer.abort()?;
                    self.job.metrics.round("aborted");
                    self.wait_after(e, backoff)?;
                    if self.post.is_to_finish() {
                        return Ok(());
                    }
                    bench.undo(self.job, self.partition)?;
                }
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
        let fed = course.fed.load(Ordering::Relaxed);
        let last = self.ended && course.last.load(Ordering::Relaxed);
        let worked = self.work(bench)?;
        if self.post.is_abandoned() {
            // Another works here by now, and a commit would only be refused.
            return Ok(true);
        }
        let Bench { task, reader, desk } = bench;
        let quiet = worked == 0 && reader.actions.is_empty();
        if quiet && fed && !self.ended && reader.at_end(Stream::Events)? && reader.at_end(Stream::Actions)? {
            task.end_of_stream(&job.brain, &mut desk.made);
            desk.write(None)?;
            desk.commit(task, reader, job, self.member.upgrade().as_deref())?;
            self.ended = true;
            course.ended.fetch_add(1, Ordering::Relaxed);
            return Ok(false);
        }
        let over = last && worked == 0 && reader.at_end(Stream::Signals)?;
        desk.commit(task, reader, job, self.member.upgrade().as_deref())?;
        job.metrics.state(self.partition, task);
        Ok(over)
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
        let now = (job.clock)();
        let mut worked = batch.signals.len();
        for signal in batch.signals.drain(..) {
            desk.take(Stream::Signals, &signal, task, job)?;
        }
        let look = now - desk.looked >= LOOK || job.crew.course.fed.load(Ordering::Relaxed);
        if look || !batch.events.is_empty() || !waiting.is_empty() {
            desk.looked = now;
            reader.ask_ends()?;
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
            job.metrics.lag(stream, self.partition, lag);
        }
        Ok(worked)
    }

    /// Tells what is wrong and waits before the next try, unless it is pointless.
    fn wait_after(&self, e: RunError, backoff: &mut Backoff) -> Result<(), RunError> {
        if self.post.is_to_finish() {
            // The next owner works on from the last commit.
            return Ok(());
        }
        if e.remedy() == Remedy::Stop {
            return Err(e);
        }
        let wait = backoff.next();
        let patience = Wait::from_millis(self.job.settings.patience_ms);
        if backoff.lasted() > patience {
            let problem =
                format!("partition {}: tried again for {} s: {e}", self.partition, patience.as_secs());
            return Err(RunError::OutOfPatience(problem));
        }
        self.post.set(Phase::Troubled);
        eprintln!("firewatch: partition {}: {e}; trying again in {} ms", self.partition, wait.as_millis());
        let mut left = wait;
        while !left.is_zero() && !self.post.is_to_finish() {
            self.post.beat((self.job.clock)());
            let step = left.min(Wait::from_millis(50));
            pause(step);
            left -= step;
        }
        Ok(())
    }
}

impl Bench {
    /// Goes back to the last commit.
    fn undo(&mut self, job: &Job, partition: u32) -> Result<(), RunError> {
        self.task.rewind(&job.brain)?;
        self.desk.worked = self.desk.committed.clone();
        self.desk.most = (self.desk.most / 2).max(LEAST_RECORDS.min(job.settings.commit_records));
        self.desk.open.clear();
        self.desk.told.clear();
        self.desk.made.clear();
        self.reader = Reader::open(&job.settings, &job.topics, partition, &self.desk.committed)?;
        Ok(())
    }
}

impl Desk {
    fn take(
        &mut self,
        stream: Stream,
        message: &impl Message,
        task: &mut Task,
        job: &Job,
    ) -> Result<(), RunError> {
        let now = (job.clock)();
        let input = Input {
            stream,
            topic: message.topic(),
            partition: u32::try_from(message.partition()).unwrap_or_default(),
            offset: message.offset(),
            arrival: message.timestamp().to_millis().map_or(now, EventTime::from_millis),
            key: message.key(),
            value: message.payload().unwrap_or_default(),
        };
        let handled = task.handle(&input, &job.brain, &mut self.made);
        self.open.push((stream, handled, input.arrival));
        self.worked.insert(stream, message.offset() + 1);
        let parent = traceparent(message.headers());
        self.write(parent.as_deref())
    }

    /// Hands the effects made so far to the writer.
    fn write(&mut self, traceparent: Option<&str>) -> Result<(), RunError> {
        for effect in self.made.drain(..) {
            self.writer.effect(&effect, traceparent)?;
            self.told.push(effect.kind());
        }
        Ok(())
    }

    /// Lets time pass for a partition that is read to its end and silent.
    fn silence(&mut self, now: EventTime, task: &mut Task, job: &Job) -> Result<(), RunError> {
        let silent = now - self.silent_since;
        if silent >= Duration::from_millis(job.settings.idle_after_ms as i64) {
            task.idle(silent, &job.brain, &mut self.made);
            self.silent_since = now;
        }
        self.write(None)
    }

    fn commit(
        &mut self,
        task: &mut Task,
        reader: &Reader,
        job: &Job,
        member: Option<&Member>,
    ) -> Result<(), RunError> {
        let mut offsets = TopicPartitionList::new();
        for (topic, stream) in job.topics.read() {
            let (before, now) = (self.committed.get(&stream), self.worked.get(&stream));
            if let Some(next) = now.filter(|_| before != now) {
                offsets
                    .add_partition_offset(topic, self.writer.partition(), Offset::Offset(*next))
                    .map_err(doing("commit"))?;
            }
        }
        for change in task.changes()? {
            self.writer.state(change)?;
        }
        if self.writer.commit(Some(&Consumed { offsets, reader, member }))? {
            job.metrics.round("committed");
        }
        task.committed();
        self.most = (self.most * 2).min(job.settings.commit_records);
        self.committed.clone_from(&self.worked);
        let now = (job.clock)();
        for (stream, handled, arrival) in self.open.drain(..) {
            job.metrics.handled(stream, &handled);
            job.metrics.committed(now, handled.at, arrival);
        }
        self.told.drain(..).for_each(|kind| job.metrics.effect(kind));
        Ok(())
    }
}
