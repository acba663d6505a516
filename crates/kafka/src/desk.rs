//! Where a worker turns records into effects, with an account of what is not committed yet.

use std::sync::Arc;

use firewatch_domain::{Duration, EventTime};
use firewatch_engine::{Brain, Change, Effect, Handled, Input, Stream, Task};
use rdkafka::Message;

use crate::metering;
use crate::RunError;
use crate::headers::traceparent;
use crate::member::{self, Member};
use crate::positions::{self, Positions};
use crate::worker::Job;
use crate::writer::Writer;

/// Records in a round at most, when rounds keep failing.
const LEAST_RECORDS: usize = 50;

/// How often the group is told how far a task has come.
const TELL_GROUP: Duration = Duration::from_secs(1);

/// What outlasts a round that failed.
pub(crate) struct Undone {
    pub committed: Positions,
    told_group: (Positions, EventTime),
    most: usize,
}

/// The desk.
pub(crate) struct Desk {
    pub writer: Writer,
    /// The brain of this round.
    pub brain: Arc<Brain>,
    /// As of the last commit, and as of the last record.
    pub committed: Positions,
    worked: Positions,
    /// Records worked on since the last commit, with their arrival.
    open: Vec<(Stream, Handled, EventTime)>,
    /// Kinds of effects written since.
    told: Vec<&'static str>,
    made: Vec<Effect>,
    /// What the group was last told, and when.
    told_group: (Positions, EventTime),
    pub silent_since: EventTime,
    pub looked: EventTime,
    /// Records in a round at most: fewer after a round that failed, as it may have been too much for its time-out.
    pub most: usize,
}

impl Desk {
    pub fn new(writer: Writer, committed: Positions, job: &Job) -> Self {
        let now = (job.clock)();
        Self {
            writer,
            brain: job.brain.get(),
            worked: committed.clone(),
            told_group: (committed.clone(), now),
            committed,
            open: vec![],
            told: vec![],
            made: vec![],
            silent_since: now,
            looked: now,
            most: job.settings.commit_records,
        }
    }

    /// Goes on after a round that failed, with a writer that shuts the one before out.
    pub fn after(undone: &Undone, writer: Writer, job: &Job) -> Self {
        let Undone { committed, told_group, most } = undone;
        Self { told_group: told_group.clone(), most: *most, ..Self::new(writer, committed.clone(), job) }
    }

    /// Works on a record and writes what comes of it.
    pub fn take(
        &mut self,
        stream: Stream,
        message: &impl Message,
        task: &mut Task,
        job: &Job,
    ) -> Result<(), RunError> {
        let now = (job.clock)();
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
        let decoded = job.settings.formats.decode(&input)?;
        let handled = task.take(decoded, &input, &self.brain, &mut self.made);
        self.open.push((stream, handled, input.arrival));
        self.worked.insert(stream, message.offset() + 1);
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
    pub fn silence(&mut self, now: EventTime, task: &mut Task, job: &Job) -> Result<(), RunError> {
        let silent = now - self.silent_since;
        if silent >= Duration::from_millis(job.settings.idle_after_ms as i64) {
            task.idle(silent, &self.brain, &mut self.made);
            self.silent_since = now;
        }
        self.write(None)
    }

    /// Tells the brands that nothing will follow.
    pub fn end_of_stream(&mut self, task: &mut Task) -> Result<(), RunError> {
        task.end_of_stream(&self.brain, &mut self.made);
        self.write(None)
    }

    /// How far it has come since the last commit, for the changelog.
    pub fn progress(&self) -> Option<Change> {
        (self.worked != self.committed).then(|| positions::entry(&self.worked))
    }

    /// Lets tools know how far it has come: at once when it is `over`, otherwise now and then.
    pub fn tell_group(&mut self, member: &Member, over: bool, job: &Job) {
        let (told, at) = &self.told_group;
        let now = (job.clock)();
        if *told == self.committed || !over && now - *at < TELL_GROUP {
            return;
        }
        let read = job.topics.read().into_iter();
        let next = read.filter_map(|(topic, stream)| Some((topic, *self.committed.get(&stream)?)));
        member::tell(member, self.writer.partition(), next);
        self.told_group = (self.committed.clone(), now);
    }

    /// All that was worked on is committed: counts it.
    pub fn settle(&mut self, job: &Job) {
        self.most = (self.most * 2).min(job.settings.commit_records);
        self.committed.clone_from(&self.worked);
        let now = (job.clock)();
        for (stream, handled, arrival) in self.open.drain(..) {
            metering::handled(&job.metrics, stream, &handled);
            metering::committed(&job.metrics, now, (handled.at, arrival));
            if stream == Stream::Signals && handled.at == Some(EventTime::END) {
                job.crew.course.heard();
            }
        }
        self.told.drain(..).for_each(|kind| job.metrics.effect(kind));
    }

    /// Forgets what was worked on since the last commit, and the writer with it.
    ///
    /// A transaction is not aborted by the writer that began it: what it sent may still be on its way to a broker, and
    /// would count as part of the transaction that comes next. The writer that takes over has a new epoch, which every
    /// broker learns with the abort, so that such stragglers are refused.
    pub fn undo(self, job: &Job) -> Undone {
        let most = (self.most / 2).max(LEAST_RECORDS.min(job.settings.commit_records));
        Undone { committed: self.committed, told_group: self.told_group, most }
    }
}
