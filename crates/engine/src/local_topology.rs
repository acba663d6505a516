//! Runs the topology of one partition in one process without a broker. It feeds signals back at once.
//!
//! `firewatch score`, policy tests, explanations and tests run on it. Several partitions over Kafka emit the
//! same escalations.

use std::collections::BTreeMap;

use firewatch_domain::{Duration, EventTime};
use firewatch_ingest::Rejection;

use crate::{Effect, Handled, Input, Outcome, Ruleset, StateError, Stream, Task};

/// Counts of records by outcome; `records` is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records read.
    pub records: u64,
    /// Records that led to a new score.
    pub scored: u64,
    /// Records that were accepted without a new score.
    pub folded: u64,
    /// Records that became dead letters.
    pub rejected: u64,
}

impl Tally {
    /// Counts one outcome.
    pub fn count(&mut self, outcome: Outcome) {
        self.records += 1;
        match outcome {
            Outcome::Scored => self.scored += 1,
            Outcome::Folded(_) | Outcome::Forwarded => self.folded += 1,
            Outcome::Rejected(_) => self.rejected += 1,
        }
    }
}

/// The number of records after which [`LocalTopology::push_line`] packs the state, as a commit does.
const PACK_AFTER: u64 = 10_000;

/// A file of events, one event per line.
#[derive(Debug, Clone, Copy)]
pub struct LineSource<'a> {
    /// The file's name in dead letters.
    pub name: &'a str,
    /// The arrival time of all its lines.
    pub arrival: EventTime,
}

/// A task whose signals come back to it at once, as through a signals topic of one partition.
pub struct LocalTopology {
    task: Task,
    tally: Tally,
    /// Number of lines that were pushed, blank ones included.
    lines: i64,
    /// The state at the last [`commit`](Self::commit), as a changelog holds it after compaction.
    changelog: BTreeMap<Vec<u8>, Vec<u8>>,
    effects: Vec<Effect>,
    decided: Vec<Effect>,
}

impl Default for LocalTopology {
    fn default() -> Self {
        Self::new(Task::new(0, 1))
    }
}

impl LocalTopology {
    /// A topology around a task of partition 0 of 1.
    #[must_use]
    pub fn new(task: Task) -> Self {
        let (effects, decided) = (Vec::new(), Vec::new());
        Self { task, tally: Tally::default(), lines: 0, changelog: BTreeMap::new(), effects, decided }
    }

    /// Returns the task, for operations other than processing records.
    pub fn task(&mut self) -> &mut Task {
        &mut self.task
    }

    /// Processes a record. `sink` receives each of its effects in order, including signals, then the effects
    /// of the dispatchers that received those signals.
    pub fn handle(
        &mut self,
        input: &Input<'_>,
        ruleset: &Ruleset,
        sink: &mut impl FnMut(&Effect),
    ) -> Handled {
        let handled = self.task.handle(input, ruleset, &mut self.effects);
        self.tally.count(handled.outcome);
        self.feed_back(ruleset, sink);
        handled
    }

    /// Processes one line of an events file; a blank one holds no record. Returns the rejection of a line that became a dead letter.
    pub fn push_line(
        &mut self,
        line: &[u8],
        file: LineSource<'_>,
        ruleset: &Ruleset,
        sink: &mut impl FnMut(&Effect),
    ) -> Option<Rejection> {
        self.lines += 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        let offset = self.lines;
        let LineSource { name, arrival } = file;
        let input = Input { offset, arrival, ..Input::new(Stream::Events, name, line) };
        let rejection = self.handle(&input, ruleset, sink).rejection;
        // State that cannot be packed stays unpacked and takes more memory.
        if self.tally.records.is_multiple_of(PACK_AFTER) && self.task.changes().is_ok() {
            self.task.committed();
        }
        rejection
    }

    /// Marks the partition as idle for `span`, see [`Task::mark_idle`].
    pub fn mark_idle(&mut self, span: Duration, ruleset: &Ruleset, sink: &mut impl FnMut(&Effect)) {
        self.task.mark_idle(span, ruleset, &mut self.effects);
        self.feed_back(ruleset, sink);
    }

    /// Advances stream time to `now`, see [`Task::advance_time`].
    pub fn advance_time(&mut self, now: EventTime, ruleset: &Ruleset, sink: &mut impl FnMut(&Effect)) {
        self.task.advance_time(now, ruleset, &mut self.effects);
        self.feed_back(ruleset, sink);
    }

    /// Ends the stream: dispatchers decide everything pending. Returns the counts of records by outcome.
    pub fn end_of_stream(&mut self, ruleset: &Ruleset, sink: &mut impl FnMut(&Effect)) -> Tally {
        self.task.end_of_stream(ruleset, &mut self.effects);
        self.feed_back(ruleset, sink);
        self.tally
    }

    /// Writes the changed state entries to the changelog, as a commit does.
    ///
    /// # Errors
    /// When the state cannot be encoded, which is a bug of the build.
    pub fn commit(&mut self) -> Result<(), StateError> {
        for change in self.task.changes()? {
            match &change.value {
                Some(value) => self.changelog.insert(change.key.clone(), value.clone()),
                None => self.changelog.remove(&change.key),
            };
        }
        self.task.committed();
        Ok(())
    }

    /// Replaces the task by one that restores its state from the changelog, as after a crash. Uncommitted
    /// state is lost.
    ///
    /// # Errors
    /// When the changelog cannot be decoded.
    pub fn restart(&mut self, task: Task, ruleset: &Ruleset) -> Result<(), StateError> {
        self.task = task;
        for (key, value) in &self.changelog {
            self.task.restore(key, Some(value), ruleset)?;
        }
        self.task.finish_restore(ruleset)
    }

    /// Passes effects to `sink` and signals back to the task, then passes on the effects of those signals.
    fn feed_back(&mut self, ruleset: &Ruleset, sink: &mut impl FnMut(&Effect)) {
        for effect in self.effects.drain(..) {
            sink(&effect);
            if let Effect::Signal(signal) = effect {
                self.task.handle_signal(*signal, ruleset, &mut self.decided);
            }
        }
        for effect in self.decided.drain(..) {
            sink(&effect);
        }
    }
}
