//! The engine over several partitions in one process, a chunk of records at a time, on all cores.
//!
//! A conversation is in the partition that its id hashes to, as with Kafka; a brand's desks, one for each policy, lie with as
//! many tasks. What comes of it is the same as there, however many partitions there are.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use firewatch_domain::{EventTime, Signal, SignalBody};
use firewatch_engine::{Brain, Effect, Outcome, Record, Seen, Task};

use crate::recorded::{Chunk, hash};

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
    /// What they tell the desks.
    signals: Vec<Signal>,
    made: Vec<Effect>,
}

/// Some of the desks, a brand's under one policy here and under the next one there: a task of their own, so that they
/// work beside the conversations of the next chunk.
struct Desks {
    task: Task,
    waiting: Arc<Vec<Signal>>,
    told: Vec<Effect>,
    /// What held alerts back, by policy: the conversations, each once.
    held: BTreeMap<(u32, &'static str), HashSet<Box<str>>>,
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
        let conversations = |i| Conversations { task: task(i), taken: 0, signals: vec![], made: vec![] };
        let desks = |i| Desks {
            task: task(i).with_held_back(),
            waiting: Arc::default(),
            told: vec![],
            held: BTreeMap::new(),
        };
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
        let (brain, count) = (&self.brain, self.desks.len());
        std::thread::scope(|scope| {
            for (i, desks) in self.desks.iter_mut().enumerate() {
                scope.spawn(move || desks.decide((i, count), brain));
            }
            for ((i, conversations), watcher) in self.conversations.iter_mut().enumerate().zip(watchers) {
                let watch = &watch;
                scope.spawn(move || {
                    conversations.take((chunk, i, count), brain, &mut |taken| watch(watcher, taken));
                });
            }
        });
        self.hand_on(sink);
    }

    /// Nothing more comes: what waits is decided.
    pub fn finish(&mut self, sink: &mut impl FnMut(Effect)) {
        self.decide();
        for conversations in &mut self.conversations {
            conversations.task.end_of_stream(&self.brain, &mut conversations.made);
            conversations.sort();
        }
        self.hand_on(sink);
        self.decide();
        self.hand_on(sink);
    }

    /// Lets the desks take what waits for them.
    fn decide(&mut self) {
        let (brain, count) = (&self.brain, self.desks.len());
        std::thread::scope(|scope| {
            for (i, desks) in self.desks.iter_mut().enumerate() {
                scope.spawn(move || desks.decide((i, count), brain));
            }
        });
    }

    /// How many conversations each reason has held back alerts of, for a policy.
    pub fn held_back(&self, trial: u32) -> BTreeMap<&'static str, u64> {
        let mut held = BTreeMap::new();
        for ((of, reason), conversations) in self.desks.iter().flat_map(|desks| &desks.held) {
            if *of == trial {
                *held.entry(*reason).or_default() += conversations.len() as u64;
            }
        }
        held
    }

    /// What has held back alerts of a conversation, for a policy.
    pub fn held(&self, trial: u32, conversation: &str) -> Option<&'static str> {
        let mut held = self.desks.iter().flat_map(|desks| &desks.held);
        held.find(|((of, _), all)| *of == trial && all.contains(conversation)).map(|((_, reason), _)| *reason)
    }

    /// Conversations that are followed.
    pub fn conversations(&self) -> usize {
        self.conversations.iter().map(|partition| partition.task.conversations()).sum()
    }

    /// Hands what was decided to the sink, and signals to the desks.
    fn hand_on(&mut self, sink: &mut impl FnMut(Effect)) {
        self.desks.iter_mut().flat_map(|desks| desks.told.drain(..)).for_each(sink);
        let signals: Vec<Signal> =
            self.conversations.iter_mut().flat_map(|conversations| conversations.signals.drain(..)).collect();
        let waiting = Arc::new(signals);
        self.desks.iter_mut().for_each(|desks| desks.waiting = waiting.clone());
    }
}

impl Desks {
    /// Takes the signals that are for desks of this place among so many.
    fn decide(&mut self, (place, count): (usize, usize), brain: &Brain) {
        for signal in std::mem::take(&mut self.waiting).iter() {
            let first = partition_of(&signal.brand, count);
            let is_own = |trial: u32| (first + trial as usize) % count == place;
            if is_own(signal.trial) || matches!(signal.body, SignalBody::Tick { .. }) {
                self.task.signal_to(&is_own, signal.clone(), brain, &mut self.told);
            }
        }
        for (trial, note) in self.task.take_notes() {
            if let Some(reason) = note.kind.holds_back() {
                self.held.entry((trial, reason)).or_default().insert(note.conversation.into());
            }
        }
    }
}

impl Conversations {
    /// Takes the records of a partition among so many.
    fn take(
        &mut self,
        (chunk, partition, count): (&Chunk, usize, usize),
        brain: &Brain,
        watch: &mut impl FnMut(Taken<'_>),
    ) {
        for (hash, record) in chunk.hashes.iter().zip(&chunk.records) {
            if let (true, Ok(record)) = (*hash % count as u64 == partition as u64, record) {
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
                self.signals.push(*signal);
            }
        }
    }
}
