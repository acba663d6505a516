//! The engine over several partitions in one process, a chunk of records at a time, on all cores.
//!
//! A conversation is in the partition that its id hashes to, as with Kafka; a brand's desks, one for each policy, lie with as
//! many tasks. What comes of it is the same as there, however many partitions there are.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use firewatch_domain::{EventTime, Signal, SignalBody};
use firewatch_engine::{ConversationView, Effect, Outcome, Record, Ruleset, Task};

use crate::recordings::{Chunk, key_hash};

/// Records after which a task packs its conversations.
const PACK_EVERY: usize = 200_000;

/// What became of a record in its conversation.
pub struct ProcessedRecord<'r> {
    /// The record.
    pub record: &'r Record,
    /// What became of it.
    pub outcome: Outcome,
    /// Its conversation as it is now, if it is followed.
    pub conversation: Option<&'r ConversationView<'r>>,
}

/// The conversations of a partition, and what they have to hand on.
struct ConversationPartition {
    task: Task,
    processed: usize,
    /// What they tell the desks.
    signals: Vec<Signal>,
    effects: Vec<Effect>,
}

/// Some of the desks, a brand's under one policy here and under the next one there: a task of their own, so that they
/// work beside the conversations of the next chunk.
struct DispatcherPartition {
    task: Task,
    waiting: Arc<Vec<Signal>>,
    effects: Vec<Effect>,
    /// What held alerts back, by policy: the conversations, each once.
    held_back: BTreeMap<(u32, &'static str), HashSet<Box<str>>>,
}

/// All partitions.
pub struct Partitions {
    ruleset: Ruleset,
    conversations: Vec<ConversationPartition>,
    dispatchers: Vec<DispatcherPartition>,
}

/// The partition of a key.
pub fn partition_of(key: &str, partitions: usize) -> usize {
    (key_hash(key) % partitions.max(1) as u64) as usize
}

impl Partitions {
    /// Empty ones.
    pub fn new(ruleset: Ruleset, partitions: usize) -> Self {
        let task = |i| Task::new(i as u32, partitions as u32).with_max_conversations(usize::MAX);
        let conversations =
            |i| ConversationPartition { task: task(i), processed: 0, signals: vec![], effects: vec![] };
        let dispatchers = |i| DispatcherPartition {
            task: task(i).with_suppression_trace(),
            waiting: Arc::default(),
            effects: vec![],
            held_back: BTreeMap::new(),
        };
        Self {
            ruleset,
            conversations: (0..partitions).map(conversations).collect(),
            dispatchers: (0..partitions).map(dispatchers).collect(),
        }
    }

    /// Takes records in; `watch` sees each with what became of it, on the thread of its partition, beside that partition's
    /// own `watchers` entry. Hands on what was told of the records before.
    pub fn process<W: Send>(
        &mut self,
        chunk: &Chunk,
        watchers: &mut [W],
        watch: impl Fn(&mut W, ProcessedRecord<'_>) + Sync,
        sink: &mut impl FnMut(Effect),
    ) {
        let (ruleset, count) = (&self.ruleset, self.dispatchers.len());
        std::thread::scope(|scope| {
            for (i, dispatchers) in self.dispatchers.iter_mut().enumerate() {
                scope.spawn(move || dispatchers.decide((i, count), ruleset));
            }
            for ((i, conversations), watcher) in self.conversations.iter_mut().enumerate().zip(watchers) {
                let watch = &watch;
                scope.spawn(move || {
                    conversations
                        .process((chunk, i, count), ruleset, &mut |processed| watch(watcher, processed));
                });
            }
        });
        self.forward(sink);
    }

    /// Nothing more comes: what waits is decided.
    pub fn finish(&mut self, sink: &mut impl FnMut(Effect)) {
        self.decide();
        for conversations in &mut self.conversations {
            conversations.task.end_of_stream(&self.ruleset, &mut conversations.effects);
            conversations.keep_signals();
        }
        self.forward(sink);
        self.decide();
        self.forward(sink);
    }

    /// Lets the desks take what waits for them.
    fn decide(&mut self) {
        let (ruleset, count) = (&self.ruleset, self.dispatchers.len());
        std::thread::scope(|scope| {
            for (i, dispatchers) in self.dispatchers.iter_mut().enumerate() {
                scope.spawn(move || dispatchers.decide((i, count), ruleset));
            }
        });
    }

    /// How many conversations each reason has held back alerts of, for a policy.
    pub fn held_back(&self, slot: u32) -> BTreeMap<&'static str, u64> {
        let mut held = BTreeMap::new();
        for ((of_slot, reason), conversations) in self.dispatchers.iter().flat_map(|desks| &desks.held_back) {
            if *of_slot == slot {
                *held.entry(*reason).or_default() += conversations.len() as u64;
            }
        }
        held
    }

    /// What has held back alerts of a conversation, for a policy.
    pub fn held_back_reason(&self, slot: u32, conversation: &str) -> Option<&'static str> {
        let mut held = self.dispatchers.iter().flat_map(|dispatchers| &dispatchers.held_back);
        held.find(|((of_slot, _), all)| *of_slot == slot && all.contains(conversation))
            .map(|((_, reason), _)| *reason)
    }

    /// Conversations that are followed.
    pub fn conversations(&self) -> usize {
        self.conversations.iter().map(|partition| partition.task.conversations()).sum()
    }

    /// Hands what was decided to the sink, and signals to the desks.
    fn forward(&mut self, sink: &mut impl FnMut(Effect)) {
        self.dispatchers.iter_mut().flat_map(|desks| desks.effects.drain(..)).for_each(sink);
        let signals: Vec<Signal> =
            self.conversations.iter_mut().flat_map(|conversations| conversations.signals.drain(..)).collect();
        let waiting = Arc::new(signals);
        self.dispatchers.iter_mut().for_each(|desks| desks.waiting = waiting.clone());
    }
}

impl DispatcherPartition {
    /// Takes the signals that are for desks of this place among so many.
    fn decide(&mut self, (place, count): (usize, usize), ruleset: &Ruleset) {
        for signal in std::mem::take(&mut self.waiting).iter() {
            let first = partition_of(&signal.brand, count);
            let is_own = |slot: u32| (first + slot as usize) % count == place;
            if is_own(signal.slot) || matches!(signal.body, SignalBody::Watermark { .. }) {
                self.task.handle_signal_for(&is_own, signal.clone(), ruleset, &mut self.effects);
            }
        }
        for (slot, note) in self.task.take_decisions() {
            if let Some(reason) = note.kind.suppression_reason() {
                self.held_back.entry((slot, reason)).or_default().insert(note.conversation.into());
            }
        }
    }
}

impl ConversationPartition {
    /// Takes the records of a partition among so many.
    fn process(
        &mut self,
        (chunk, partition, count): (&Chunk, usize, usize),
        ruleset: &Ruleset,
        watch: &mut impl FnMut(ProcessedRecord<'_>),
    ) {
        for (hash, record) in chunk.hashes.iter().zip(&chunk.records) {
            if let (true, Ok(record)) = (*hash % count as u64 == partition as u64, record) {
                self.process_record(record, ruleset, watch);
            }
        }
        // Time passes here too, as the other partitions have come so far.
        if let Some(until) = chunk.records.iter().flatten().map(Record::at).max() {
            self.task.advance_time(until, ruleset, &mut self.effects);
            self.keep_signals();
        }
    }

    fn process_record(
        &mut self,
        record: &Record,
        ruleset: &Ruleset,
        watch: &mut impl FnMut(ProcessedRecord<'_>),
    ) {
        let from = (EventTime::END, None);
        let outcome = match record {
            Record::Event(event) => self.task.handle_event(event, from, ruleset, &mut self.effects),
            Record::Action(action) => self.task.handle_action(action, from, ruleset, &mut self.effects),
            // They are made here, and not recorded.
            Record::Signal(_) => return,
        };
        let key = record.key();
        let conversation = self
            .task
            .view(key, ruleset, |seen| watch(ProcessedRecord { record, outcome, conversation: Some(seen) }));
        if conversation.is_none() {
            watch(ProcessedRecord { record, outcome, conversation: None });
        }
        self.keep_signals();
        self.processed += 1;
        if self.processed.is_multiple_of(PACK_EVERY) && self.task.changes().is_ok() {
            self.task.committed();
        }
    }

    /// Keeps the signals for the desks; nothing else that conversations make is asked for.
    fn keep_signals(&mut self) {
        for effect in self.effects.drain(..) {
            if let Effect::Signal(signal) = effect {
                self.signals.push(*signal);
            }
        }
    }
}
