//! Runs the engine over several partitions in one process, a chunk of records at a time, on all cores.
//!
//! A conversation belongs to the partition that its id hashes to, as in Kafka. A brand's dispatchers, one for
//! each policy, are spread over as many tasks. The output does not depend on the number of partitions.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use firewatch_domain::{EventTime, Signal, SignalBody};
use firewatch_engine::{ConversationView, Effect, Outcome, Record, RecordMeta, Ruleset, Task};

use crate::recordings::{Chunk, key_hash};

/// Number of records after which a task packs its conversations to save memory.
const PACK_EVERY: usize = 200_000;

/// A processed record with its effect on its conversation.
pub struct ProcessedRecord<'r> {
    /// The record.
    pub record: &'r Record,
    /// The outcome of processing.
    pub outcome: Outcome,
    /// The conversation after the record, if it is followed.
    pub conversation: Option<&'r ConversationView<'r>>,
}

/// The conversations of a partition, and the signals they emit.
struct ConversationPartition {
    task: Task,
    processed: usize,
    /// Signals for the dispatchers.
    signals: Vec<Signal>,
    effects: Vec<Effect>,
}

/// Some of the dispatchers, in a task of their own, so that they decide while the next chunk's conversations
/// are processed. A brand's dispatchers for different policies are in different partitions.
struct DispatcherPartition {
    task: Task,
    waiting: Arc<Vec<Signal>>,
    effects: Vec<Effect>,
    /// Conversations with suppressed alerts, by policy slot and reason.
    held_back: BTreeMap<(u32, &'static str), HashSet<Box<str>>>,
}

/// All partitions of conversations and dispatchers.
pub struct Partitions {
    ruleset: Ruleset,
    conversations: Vec<ConversationPartition>,
    dispatchers: Vec<DispatcherPartition>,
}

/// Returns the partition of a key.
pub fn partition_of(key: &str, partitions: usize) -> usize {
    (key_hash(key) % partitions.max(1) as u64) as usize
}

impl Partitions {
    /// Creates empty partitions.
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

    /// Processes a chunk, and passes the effects of the chunk before to `sink`. `watch` sees each processed
    /// record on the thread of its partition, with that partition's entry of `watchers`.
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
                scope.spawn(move || dispatchers.decide(i, count, ruleset));
            }
            for ((i, conversations), watcher) in self.conversations.iter_mut().enumerate().zip(watchers) {
                let watch = &watch;
                scope.spawn(move || {
                    let mut watch = |processed: ProcessedRecord<'_>| watch(watcher, processed);
                    conversations.process(chunk, i, count, ruleset, &mut watch);
                });
            }
        });
        self.forward(sink);
    }

    /// Ends the stream and decides everything that waits.
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

    /// Lets the dispatchers process the waiting signals.
    fn decide(&mut self) {
        let (ruleset, count) = (&self.ruleset, self.dispatchers.len());
        std::thread::scope(|scope| {
            for (i, dispatchers) in self.dispatchers.iter_mut().enumerate() {
                scope.spawn(move || dispatchers.decide(i, count, ruleset));
            }
        });
    }

    /// Returns the number of conversations with suppressed alerts by reason, for a policy slot.
    pub fn held_back(&self, slot: u32) -> BTreeMap<&'static str, u64> {
        let mut held = BTreeMap::new();
        for ((of_slot, reason), conversations) in self.dispatchers.iter().flat_map(|desks| &desks.held_back) {
            if *of_slot == slot {
                *held.entry(*reason).or_default() += conversations.len() as u64;
            }
        }
        held
    }

    /// Returns why alerts of a conversation were suppressed, for a policy slot.
    pub fn held_back_reason(&self, slot: u32, conversation: &str) -> Option<&'static str> {
        let mut held = self.dispatchers.iter().flat_map(|dispatchers| &dispatchers.held_back);
        held.find(|((of_slot, _), all)| *of_slot == slot && all.contains(conversation))
            .map(|((_, reason), _)| *reason)
    }

    /// Returns the number of followed conversations.
    pub fn conversations(&self) -> usize {
        self.conversations.iter().map(|partition| partition.task.conversations()).sum()
    }

    /// Passes the dispatchers' effects to the sink, and the new signals to the dispatchers.
    fn forward(&mut self, sink: &mut impl FnMut(Effect)) {
        self.dispatchers.iter_mut().flat_map(|desks| desks.effects.drain(..)).for_each(sink);
        let signals: Vec<Signal> =
            self.conversations.iter_mut().flat_map(|conversations| conversations.signals.drain(..)).collect();
        let waiting = Arc::new(signals);
        self.dispatchers.iter_mut().for_each(|desks| desks.waiting = waiting.clone());
    }
}

impl DispatcherPartition {
    /// Processes the waiting signals that belong to the dispatchers of partition `place` of `count`.
    fn decide(&mut self, place: usize, count: usize, ruleset: &Ruleset) {
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
    /// Processes the records of a chunk that belong to one partition of `count`.
    fn process(
        &mut self,
        chunk: &Chunk,
        partition: usize,
        count: usize,
        ruleset: &Ruleset,
        watch: &mut impl FnMut(ProcessedRecord<'_>),
    ) {
        for (hash, record) in chunk.hashes.iter().zip(&chunk.records) {
            if let (true, Ok(record)) = (*hash % count as u64 == partition as u64, record) {
                self.process_record(record, ruleset, watch);
            }
        }
        // Advance to the time of the whole chunk, because the other partitions have come that far.
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
        let meta = RecordMeta { arrival: EventTime::END, trace: None };
        let outcome = match record {
            Record::Event(event) => self.task.handle_event(event, meta, ruleset, &mut self.effects),
            Record::Action(action) => {
                // Live, time goes on while a partition is silent, so what was due before the action is decided.
                self.task.advance_time(action.at, ruleset, &mut self.effects);
                self.task.handle_action(action, meta, ruleset, &mut self.effects)
            }
            // Signals are produced here and not part of a recording, and every record is in the right partition.
            Record::Signal(_) | Record::Forwarded(_) => return,
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

    /// Keeps the signals for the dispatchers and drops other effects of conversations.
    fn keep_signals(&mut self) {
        for effect in self.effects.drain(..) {
            if let Effect::Signal(signal) = effect {
                self.signals.push(*signal);
            }
        }
    }
}
