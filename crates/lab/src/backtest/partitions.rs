//! The engine over several partitions in one process, a chunk of records at a time, on all cores.
//!
//! A conversation is in the partition that its id hashes to and a brand in that of its name, as with Kafka; so what comes
//! of it is the same as there, however many partitions there are.

use crate::recorded::{Chunk, hash};
use firewatch_domain::{EventTime, Signal};
use firewatch_engine::{Brain, Effect, Outcome, Record, Seen, Task};

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

/// The conversations of a partition, and what they have to hand on.
struct Conversations {
    task: Task,
    taken: usize,
    /// What they tell, by the partition that the brand is in.
    signals: Vec<Vec<Signal>>,
    made: Vec<Effect>,
}

/// The brands' desks of a partition: a task of their own, so that they work beside the conversations of the next chunk.
struct Desks {
    task: Task,
    waiting: Vec<Signal>,
    told: Vec<Effect>,
}

/// All partitions.
pub struct Partitions {
    brain: Brain,
    conversations: Vec<Conversations>,
    desks: Vec<Desks>,
}

/// The partition of a key.
pub fn partition_of(key: &str, partitions: usize) -> usize {
    (hash(key) % partitions.max(1) as u64) as usize
}

impl Partitions {
    /// Empty ones.
    pub fn new(brain: Brain, partitions: usize) -> Self {
        let task = |i| Task::new(i as u32, partitions as u32).with_most_conversations(usize::MAX);
        let conversations =
            |i| Conversations { task: task(i), taken: 0, signals: vec![vec![]; partitions], made: vec![] };
        let desks = |i| Desks { task: task(i), waiting: vec![], told: vec![] };
        Self {
            brain,
            conversations: (0..partitions).map(conversations).collect(),
            desks: (0..partitions).map(desks).collect(),
        }
    }

    /// Takes records in; `watch` sees each with what became of it, on the thread of its partition, beside that partition's
    /// own `watchers` entry. Hands on what was told of the records before.
    pub fn take<W: Send>(
        &mut self,
        chunk: &Chunk,
        watchers: &mut [W],
        watch: impl Fn(&mut W, Taken<'_>) + Sync,
        sink: &mut impl FnMut(Effect),
    ) {
        let brain = &self.brain;
        std::thread::scope(|scope| {
            self.desks.iter_mut().for_each(|desks| drop(scope.spawn(|| desks.decide(brain))));
            for ((i, conversations), watcher) in self.conversations.iter_mut().enumerate().zip(watchers) {
                let watch = &watch;
                scope.spawn(move || conversations.take(chunk, i, brain, &mut |taken| watch(watcher, taken)));
            }
        });
        self.hand_on(sink);
    }

    /// Nothing more comes: what waits is decided.
    pub fn finish(&mut self, sink: &mut impl FnMut(Effect)) {
        for conversations in &mut self.conversations {
            conversations.task.end_of_stream(&self.brain, &mut conversations.made);
            conversations.sort();
        }
        self.hand_on(sink);
        self.desks.iter_mut().for_each(|desks| desks.decide(&self.brain));
        self.hand_on(sink);
    }

    /// Conversations that are followed.
    pub fn conversations(&self) -> usize {
        self.conversations.iter().map(|partition| partition.task.conversations()).sum()
    }

    /// Hands what was decided to the sink, and signals to the desks.
    fn hand_on(&mut self, sink: &mut impl FnMut(Effect)) {
        self.desks.iter_mut().flat_map(|desks| desks.told.drain(..)).for_each(sink);
        for conversations in &mut self.conversations {
            for (desks, signals) in self.desks.iter_mut().zip(&mut conversations.signals) {
                desks.waiting.append(signals);
            }
        }
    }
}

impl Desks {
    fn decide(&mut self, brain: &Brain) {
        for signal in self.waiting.drain(..) {
            self.task.signal(signal, brain, &mut self.told);
        }
    }
}

impl Conversations {
    /// Takes the records of a partition.
    fn take(&mut self, chunk: &Chunk, partition: usize, brain: &Brain, watch: &mut impl FnMut(Taken<'_>)) {
        let count = self.signals.len() as u64;
        for (hash, record) in chunk.hashes.iter().zip(&chunk.records) {
            if let (true, Ok(record)) = (*hash % count == partition as u64, record) {
                self.take_one(record, brain, watch);
            }
        }
        // Time passes here too, as the other partitions have come so far.
        if let Some(until) = chunk.records.iter().flatten().map(Record::at).max() {
            self.task.pass(until, brain, &mut self.made);
            self.sort();
        }
    }

    fn take_one(&mut self, record: &Record, brain: &Brain, watch: &mut impl FnMut(Taken<'_>)) {
        let from = (EventTime::END, None);
        let outcome = match record {
            Record::Event(event) => self.task.event(event, from, brain, &mut self.made),
            Record::Action(action) => self.task.action(action, from, brain, &mut self.made),
            // They are made here, and not recorded.
            Record::Signal(_) => return,
        };
        let key = record.key();
        let seen = self.task.look(key, brain, |seen| watch(Taken { record, outcome, seen: Some(seen) }));
        if seen.is_none() {
            watch(Taken { record, outcome, seen: None });
        }
        self.sort();
        self.taken += 1;
        if self.taken.is_multiple_of(PACK_AFTER) && self.task.changes().is_ok() {
            self.task.committed();
        }
    }

    /// Keeps the signals for the desks; nothing else that conversations make is asked for.
    fn sort(&mut self) {
        for effect in self.made.drain(..) {
            if let Effect::Signal(signal) = effect {
                let to = partition_of(&signal.brand, self.signals.len());
                self.signals[to].push(*signal);
            }
        }
    }
}
