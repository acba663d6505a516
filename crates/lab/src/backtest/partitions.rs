//! The engine over several partitions in one process, a chunk of records at a time, on all cores.
//!
//! A conversation is in the partition that its id hashes to and a brand in that of its name, as with Kafka; so what comes
//! of it is the same as there, however many partitions there are.

use std::hash::Hasher;

use firewatch_domain::{EventTime, Signal};
use firewatch_engine::{Brain, Effect, Outcome, Record, Seen, Task};
use fnv::FnvHasher;

use crate::recorded::Decoded;

/// Records after which a task packs its conversations.
const PACK_AFTER: usize = 200_000;

/// What became of a record in its conversation.
pub struct Taken<'r> {
    /// The record.
    pub record: &'r Record,
    /// What became of it.
    pub outcome: Outcome,
    /// Its conversation as it is now, if it is followed.
    pub seen: Option<&'r Seen<'r>>,
}

/// One partition: a task, and what it has to hand on.
struct Partition {
    task: Task,
    taken: usize,
    /// What its conversations tell, by the partition that the brand is in.
    signals: Vec<Vec<Signal>>,
    told: Vec<Effect>,
}

/// All partitions.
pub struct Partitions {
    brain: Brain,
    partitions: Vec<Partition>,
}

/// The partition of a key.
pub fn partition_of(key: &str, partitions: usize) -> usize {
    let mut hasher = FnvHasher::default();
    hasher.write(key.as_bytes());
    (hasher.finish() % partitions.max(1) as u64) as usize
}

impl Partitions {
    /// Empty ones.
    pub fn new(brain: Brain, partitions: usize) -> Self {
        let empty = |i| Partition {
            task: Task::new(i as u32, partitions as u32).with_most_conversations(usize::MAX),
            taken: 0,
            signals: vec![vec![]; partitions],
            told: vec![],
        };
        Self { brain, partitions: (0..partitions).map(empty).collect() }
    }

    /// Takes records in; `watch` sees each with what became of it, on the thread of its partition, beside that partition's
    /// own `watchers` entry. Hands on what was told.
    pub fn take<W: Send>(
        &mut self,
        records: &[Decoded],
        watchers: &mut [W],
        watch: impl Fn(&mut W, Taken<'_>) + Sync,
        sink: &mut impl FnMut(Effect),
    ) {
        let (brain, count) = (&self.brain, self.partitions.len());
        // Whose conversations a partition has is known once for all of them.
        let until = records.iter().flatten().map(Record::at).max();
        std::thread::scope(|scope| {
            for ((i, partition), watcher) in self.partitions.iter_mut().enumerate().zip(watchers) {
                let watch = &watch;
                scope.spawn(move || {
                    for record in records.iter().flatten().filter(|r| partition_of(r.key(), count) == i) {
                        partition.take(record, brain, &mut |taken| watch(watcher, taken));
                    }
                    if let Some(until) = until {
                        partition.pass(until, brain);
                    }
                });
            }
        });
        self.settle(sink);
    }

    /// Nothing more comes: what waits is decided.
    pub fn finish(&mut self, sink: &mut impl FnMut(Effect)) {
        let brain = &self.brain;
        for partition in &mut self.partitions {
            let mut made = Vec::new();
            partition.task.end_of_stream(brain, &mut made);
            partition.sort(made);
        }
        self.settle(sink);
    }

    /// Conversations that are followed.
    pub fn conversations(&self) -> usize {
        self.partitions.iter().map(|partition| partition.task.conversations()).sum()
    }

    /// Hands signals to the brands' desks, and what they decide to the sink.
    fn settle(&mut self, sink: &mut impl FnMut(Effect)) {
        let count = self.partitions.len();
        let mut inbox: Vec<Vec<Signal>> = vec![vec![]; count];
        for partition in &mut self.partitions {
            for (to, signals) in inbox.iter_mut().zip(&mut partition.signals) {
                to.append(signals);
            }
        }
        let brain = &self.brain;
        std::thread::scope(|scope| {
            for (partition, signals) in self.partitions.iter_mut().zip(inbox) {
                scope.spawn(move || {
                    for signal in signals {
                        partition.task.signal(signal, brain, &mut partition.told);
                    }
                });
            }
        });
        self.partitions.iter_mut().flat_map(|partition| partition.told.drain(..)).for_each(sink);
    }
}

impl Partition {
    fn take(&mut self, record: &Record, brain: &Brain, watch: &mut impl FnMut(Taken<'_>)) {
        let mut made = Vec::new();
        let from = (EventTime::END, None);
        let outcome = match record {
            Record::Event(event) => self.task.event(event, from, brain, &mut made),
            Record::Action(action) => self.task.action(action, from, brain, &mut made),
            // They are made here, and not recorded.
            Record::Signal(_) => return,
        };
        let key = record.key();
        let seen = self.task.look(key, brain, |seen| watch(Taken { record, outcome, seen: Some(seen) }));
        if seen.is_none() {
            watch(Taken { record, outcome, seen: None });
        }
        self.sort(made);
        self.taken += 1;
        if self.taken.is_multiple_of(PACK_AFTER) && self.task.changes().is_ok() {
            self.task.committed();
        }
    }

    /// Time passes, as the other partitions have come so far.
    fn pass(&mut self, until: EventTime, brain: &Brain) {
        let mut made = Vec::new();
        self.task.pass(until, brain, &mut made);
        self.sort(made);
    }

    /// Keeps what was made until it can be handed on.
    fn sort(&mut self, made: Vec<Effect>) {
        for effect in made {
            match effect {
                Effect::Signal(signal) => {
                    let to = partition_of(&signal.brand, self.signals.len());
                    self.signals[to].push(*signal);
                }
                other => self.told.push(other),
            }
        }
    }
}
