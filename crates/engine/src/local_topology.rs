//! The whole topology in one process without a broker: lines in, effects out, signals fed back at once.
//!
//! It runs the one task that an events topic of one partition would have.

use firewatch_domain::EventTime;
use firewatch_ingest::Rejection;

use crate::{Effect, Input, Outcome, Ruleset, Stream, Task};

/// How many records came to which end; `records` is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records read.
    pub records: u64,
    /// Records that told a new score.
    pub scored: u64,
    /// Records taken in with nothing new to tell.
    pub folded: u64,
    /// Records with a dead letter.
    pub rejected: u64,
}

impl Tally {
    /// Counts one outcome.
    pub fn count(&mut self, outcome: Outcome) {
        self.records += 1;
        match outcome {
            Outcome::Scored => self.scored += 1,
            Outcome::Folded(_) => self.folded += 1,
            Outcome::Rejected(_) => self.rejected += 1,
        }
    }
}

/// Records after which state is packed, as a commit does.
const PACK_AFTER: u64 = 10_000;

/// A task fed line by line.
pub struct LocalTopology<'a> {
    ruleset: &'a Ruleset,
    task: Task,
    name: &'a str,
    arrival: EventTime,
    tally: Tally,
    effects: Vec<Effect>,
}

impl<'a> LocalTopology<'a> {
    /// A pipe whose lines are told as `name`, all taken to arrive at `arrival`.
    #[must_use]
    pub fn new(ruleset: &'a Ruleset, name: &'a str, arrival: EventTime) -> Self {
        Self {
            ruleset,
            task: Task::new(0, 1),
            name,
            arrival,
            tally: Tally::default(),
            effects: Vec::new(),
        }
    }

    /// Takes one line; hands each effect but signals to `sink`. Tells why the line was rejected, if it was.
    pub fn push(&mut self, line: &[u8], sink: &mut impl FnMut(Effect)) -> Option<Rejection> {
        let input = Input {
            stream: Stream::Events,
            topic: self.name,
            partition: 0,
            offset: self.tally.records as i64 + 1,
            arrival: self.arrival,
            key: None,
            trace: None,
            value: line,
        };
        let handled = self.task.handle(&input, self.ruleset, &mut self.effects);
        self.tally.count(handled.outcome);
        self.feed_back_signals(sink);
        // State that cannot be packed stays as it is, at the price of memory.
        if self.tally.records.is_multiple_of(PACK_AFTER) && self.task.changes().is_ok() {
            self.task.committed();
        }
        handled.rejection
    }

    /// Ends the stream: what waits is decided.
    pub fn finish(mut self, sink: &mut impl FnMut(Effect)) -> Tally {
        self.task.end_of_stream(self.ruleset, &mut self.effects);
        self.feed_back_signals(sink);
        self.tally
    }

    /// Conversations in memory.
    #[must_use]
    pub fn conversations(&self) -> usize {
        self.task.conversations()
    }

    fn feed_back_signals(&mut self, sink: &mut impl FnMut(Effect)) {
        let mut outputs = Vec::new();
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Signal(signal) => {
                    self.task.handle_signal(*signal, self.ruleset, &mut outputs);
                }
                other => sink(other),
            }
        }
        outputs.into_iter().for_each(sink);
    }
}
