//! Processes one partition: takes a record, returns its effects.
//!
//! A task owns the conversations whose events its partition holds, and the dispatchers of the brands whose
//! signals it holds. It shares no state with other tasks. Its time is stream time: the latest event time,
//! never later than arrival.

mod forwarding;
mod time;

use firewatch_domain::{Action, Event, EventTime, IncidentId, Signal, SignalBody};
use firewatch_escalation::{Decision, DecisionTrace, Dispatcher};
use firewatch_scoring::Scratch;

use crate::conversation::ConversationView;
use crate::conversation_store::ConversationStore;
use crate::decide::Decider;
use crate::entry_store::{Dispatchers, Entries, EntryStore, Progress};
use crate::known_brands::KnownBrands;
use crate::observe::observe;
use crate::record::{DecodeResult, Handled, Input, Record, RecordMeta};
use crate::signals::{Stamp, emit_action_to};
use crate::{ChangelogEntry, Effect, Fold, Outcome, Partitioner, Ruleset, StateError, dead_letters};

/// Default maximum number of conversations of a task, at 600 to 900 bytes each.
const MAX_CONVERSATIONS: usize = 1_000_000;

/// The state of one partition.
pub struct Task {
    partition: u32,
    progress: Progress,
    conversations: ConversationStore,
    dispatchers: Dispatchers,
    brands: KnownBrands,
    entries: EntryStore,
    /// The changes that the last call of [`changes`](Self::changes) returned; empty after their commit.
    changes: Vec<ChangelogEntry>,
    max_conversations: usize,
    /// Where conversations live; `None` when every record is processed where it is read.
    partitioner: Option<Partitioner>,
    /// All events of the partition are processed, so that a forwarded one may advance time.
    is_caught_up: bool,
    scratch: Scratch,
    trace_mode: TraceMode,
    /// Kept decisions, each with its policy slot.
    decisions: Vec<(u32, Decision)>,
}

/// Which decisions of its dispatchers a task keeps for [`Task::take_decisions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TraceMode {
    /// None.
    Off,
    /// Only those that suppressed an alert, without a description.
    Suppressions,
    /// All, each with its description.
    All,
}

impl Task {
    /// A task without state, for one partition of an events topic that has `partitions` partitions.
    #[must_use]
    pub fn new(partition: u32, partitions: u32) -> Self {
        Self {
            partition,
            progress: Progress::new(partitions),
            conversations: ConversationStore::default(),
            dispatchers: Dispatchers::new(),
            brands: KnownBrands::default(),
            entries: EntryStore::default(),
            changes: Vec::new(),
            max_conversations: MAX_CONVERSATIONS,
            partitioner: None,
            is_caught_up: true,
            scratch: Scratch::default(),
            trace_mode: TraceMode::Off,
            decisions: Vec::new(),
        }
    }

    /// Limits the number of conversations to `max`; beyond it the one inactive for longest expires.
    #[must_use]
    pub fn with_max_conversations(self, max: usize) -> Self {
        Self { max_conversations: max.max(1), ..self }
    }

    /// Forwards events and actions whose conversation lives in another partition by `partitioner`. A conversation that
    /// the task follows already stays.
    #[must_use]
    pub fn with_partitioner(self, partitioner: Partitioner) -> Self {
        Self { partitioner: Some(partitioner), ..self }
    }

    /// Says whether all events of the partition are processed. Until then a forwarded event does not advance stream time:
    /// its partition may be further, and would end the conversations of what is still to be read here.
    pub fn set_caught_up(&mut self, is_caught_up: bool) {
        self.is_caught_up = is_caught_up;
    }

    /// Keeps every decision of the dispatchers, with its description.
    #[must_use]
    pub fn with_decision_trace(self) -> Self {
        Self { trace_mode: TraceMode::All, ..self }
    }

    /// Keeps the decisions that suppressed an alert, without descriptions.
    #[must_use]
    pub fn with_suppression_trace(self) -> Self {
        Self { trace_mode: TraceMode::Suppressions, ..self }
    }

    /// Takes the decisions kept since the last call, each with its policy slot; slot 0 is the active policy.
    pub fn take_decisions(&mut self) -> Vec<(u32, Decision)> {
        std::mem::take(&mut self.decisions)
    }

    /// Decodes and processes a JSON record. Pushes its effects to `out` in the order in which they must be
    /// written.
    pub fn handle(&mut self, input: &Input<'_>, ruleset: &Ruleset, out: &mut Vec<Effect>) -> Handled {
        self.handle_decoded(Record::decode(input), input, ruleset, out)
    }

    /// Processes a decoded record. `input` is the raw record, for its dead letter.
    pub fn handle_decoded(
        &mut self,
        decoded: DecodeResult,
        input: &Input<'_>,
        ruleset: &Ruleset,
        out: &mut Vec<Effect>,
    ) -> Handled {
        match decoded {
            Ok(record) => {
                let at = Some(record.at());
                let outcome = self.handle_record(record, input, ruleset, out);
                Handled { outcome, at, rejection: None }
            }
            Err(rejection) => {
                out.extend(dead_letters(input, &rejection));
                Handled { outcome: Outcome::Rejected(rejection.code), at: None, rejection: Some(rejection) }
            }
        }
    }

    /// Calls `read` with the view of a conversation; returns `None` when the task does not hold it.
    pub fn view<R>(
        &mut self,
        id: &str,
        ruleset: &Ruleset,
        read: impl FnOnce(&ConversationView<'_>) -> R,
    ) -> Option<R> {
        self.conversations.visit(id, ruleset.policy.retention, |conversation| read(&conversation.view()))
    }

    /// Returns the number of final watermarks that the dispatchers of the active policy have received: one
    /// from each task for each brand in the end.
    #[must_use]
    pub fn received_ends(&self) -> usize {
        let active = self.dispatchers.iter().filter(|((slot, _), _)| *slot == 0);
        active.map(|(_, dispatcher)| dispatcher.ended_sources()).sum()
    }

    /// Processes a signal that never left this process and so needs no decoding.
    pub fn handle_signal(&mut self, signal: Signal, ruleset: &Ruleset, out: &mut Vec<Effect>) -> Outcome {
        self.handle_signal_for(&|_| true, signal, ruleset, out);
        Outcome::Folded(Fold::Signal)
    }

    /// Processes a signal for the policy slots that `owns_slot` accepts; other tasks process the rest. A
    /// watermark goes to all accepted slots, any other signal only to its own.
    pub fn handle_signal_for(
        &mut self,
        owns_slot: &impl Fn(u32) -> bool,
        signal: Signal,
        ruleset: &Ruleset,
        out: &mut Vec<Effect>,
    ) {
        if !matches!(signal.body, SignalBody::Watermark { .. }) {
            if owns_slot(signal.slot) {
                self.decide(signal, ruleset, out);
            }
            return;
        }
        for (slot, _) in ruleset.policies().filter(|(slot, _)| owns_slot(*slot)) {
            self.decide(Signal { slot, ..signal.clone() }, ruleset, out);
        }
    }

    /// Applies a signal to the dispatcher of its policy and brand.
    fn decide(&mut self, signal: Signal, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        let slot = signal.slot;
        // A shadow policy that was removed decides nothing.
        let Some(policy) = ruleset.policy_in_slot(slot) else { return };
        let dispatcher =
            self.dispatchers.entry((slot, signal.brand.clone())).or_insert_with(|| Dispatcher::new(policy));
        let mut decisions = Vec::new();
        let trace = match self.trace_mode {
            TraceMode::Off => DecisionTrace::Off,
            TraceMode::Suppressions => DecisionTrace::Suppressions(&mut decisions),
            TraceMode::All => DecisionTrace::All(&mut decisions),
        };
        let escalations = dispatcher.apply_traced(signal, policy, trace);
        self.decisions.extend(decisions.into_iter().map(|decision| (slot, decision)));
        for escalation in escalations {
            if slot > 0 {
                out.push(Effect::Shadow(slot, Box::new(escalation)));
                continue;
            }
            if let Some(previous_team) = escalation.handed_over_by.clone() {
                out.push(Effect::HandedOver(Box::new(escalation.clone()), previous_team));
            }
            out.push(Effect::Escalation(Box::new(escalation)));
        }
    }

    /// Returns the number of conversations in the state.
    #[must_use]
    pub fn conversations(&self) -> usize {
        self.conversations.len()
    }

    /// Returns the number of live incidents and pending signals of the active policy's dispatchers.
    #[must_use]
    pub fn complaints(&self) -> usize {
        self.dispatchers
            .iter()
            .filter(|((slot, _), _)| *slot == 0)
            .map(|(_, dispatcher)| dispatcher.open_count())
            .sum()
    }

    /// Returns the size of the committed state in bytes, keys included.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        self.conversations.bytes() + self.entries.bytes()
    }

    /// Returns the state entries that changed since the last commit. Write them in the same transaction as
    /// the effects, then call [`committed`](Self::committed).
    ///
    /// # Errors
    /// When the state cannot be encoded, which is a bug of the build.
    pub fn changes(&mut self) -> Result<&[ChangelogEntry], StateError> {
        self.changes.clear();
        self.conversations.changes(&mut self.changes)?;
        self.entries.changes(self.progress, &self.brands, &mut self.dispatchers, &mut self.changes)?;
        Ok(&self.changes)
    }

    /// Marks the changes that [`changes`](Self::changes) last returned as committed.
    pub fn committed(&mut self) {
        for mut change in self.changes.drain(..) {
            if !self.conversations.commit(&mut change) {
                self.entries.commit(change);
            }
        }
        self.conversations.committed();
    }

    /// Undoes all changes since the last commit, as if the records since had never been read.
    ///
    /// # Errors
    /// When the committed state cannot be decoded.
    pub fn rewind(&mut self, ruleset: &Ruleset) -> Result<(), StateError> {
        self.changes.clear();
        self.conversations.rewind(ruleset.policy.retention)?;
        self.rebuild_from_entries(ruleset)
    }

    /// Loads one changelog entry; call [`finish_restore`](Self::finish_restore) after the last one.
    ///
    /// # Errors
    /// When the entry cannot be decoded.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>, ruleset: &Ruleset) -> Result<(), StateError> {
        if !self.conversations.restore(key, value, ruleset.policy.retention)? {
            self.entries.commit(ChangelogEntry { key: key.to_vec(), value: value.map(<[u8]>::to_vec) });
        }
        Ok(())
    }

    /// Rebuilds progress and dispatchers after the last changelog entry.
    ///
    /// # Errors
    /// When an entry cannot be decoded, or the state was written for another number of partitions.
    pub fn finish_restore(&mut self, ruleset: &Ruleset) -> Result<(), StateError> {
        self.rebuild_from_entries(ruleset)
    }

    /// Sets progress and dispatchers to the committed entries.
    fn rebuild_from_entries(&mut self, ruleset: &Ruleset) -> Result<(), StateError> {
        let partitions = self.progress.partitions;
        let Entries { progress, brands, dispatchers } = self.entries.load(ruleset)?;
        self.progress = progress.unwrap_or_else(|| Progress::new(partitions));
        (self.brands, self.dispatchers) = (brands, dispatchers);
        if self.progress.partitions == partitions {
            return Ok(());
        }
        Err(StateError::partition_count_changed(self.progress.partitions, partitions))
    }

    /// Processes one event, and advances stream time to it.
    pub fn handle_event(
        &mut self,
        event: &Event,
        meta: RecordMeta<'_>,
        ruleset: &Ruleset,
        out: &mut Vec<Effect>,
    ) -> Outcome {
        // What was silent for too long has ended, also when it is this conversation.
        self.expire_inactive(self.progress.time_with(event.at.min(meta.arrival)), ruleset, out);
        let outcome = self.apply_event(event, meta, ruleset, out);
        self.follow_events(event.at.min(meta.arrival), ruleset, out);
        self.keep_within_limit(ruleset, out);
        outcome
    }

    /// Applies an event to its conversation: observe, assess, decide.
    fn apply_event(
        &mut self,
        event: &Event,
        meta: RecordMeta<'_>,
        ruleset: &Ruleset,
        out: &mut Vec<Effect>,
    ) -> Outcome {
        let stamp = self.stamp(event.at.min(meta.arrival), meta.trace);
        let scratch = &mut self.scratch;
        let mut decider = Decider { ruleset, brands: &self.brands, stamp, out };
        let retention = ruleset.policy.retention;
        let outcome = self.conversations.visit_or_create(&event.conversation, retention, |conversation| {
            let observed = observe(conversation, event, ruleset, scratch);
            decider.event(conversation, event, observed)
        });
        // The store creates a missing conversation, so there is always an outcome.
        outcome.unwrap_or(Outcome::Folded(Fold::Unchanged))
    }

    /// Processes one person's action on an escalation.
    pub fn handle_action(
        &mut self,
        action: &Action,
        meta: RecordMeta<'_>,
        ruleset: &Ruleset,
        out: &mut Vec<Effect>,
    ) -> Outcome {
        // Stream time is that of events: an action on an old recording must not end its conversations.
        let stamp = self.stamp(action.at.min(meta.arrival), meta.trace);
        let mut decider = Decider { ruleset, brands: &self.brands, stamp, out };
        let retention = ruleset.policy.retention;
        let outcome = self
            .conversations
            .visit(&action.conversation, retention, |conversation| decider.action(conversation, action));
        match (outcome, IncidentId::from_prefix(&action.conversation)) {
            (Some(outcome), _) => outcome,
            (None, Some(id)) => {
                // A brand whose name has slashes can share its ids' beginning with another.
                let brands = self.brands.signal_keys(ruleset).filter(|brand| id.may_be_of_brand(brand));
                emit_action_to(&brands, ruleset.slots(), action, &stamp, out);
                Outcome::Folded(Fold::Action)
            }
            (None, None) => {
                emit_action_to(&self.brands.signal_keys(ruleset), ruleset.slots(), action, &stamp, out);
                Outcome::Folded(Fold::UnknownConversation)
            }
        }
    }

    /// Returns the stamp of the signals that a record of time `at` causes.
    fn stamp<'a>(&self, at: EventTime, trace: Option<&'a str>) -> Stamp<'a> {
        let Progress { watermark, .. } = self.progress;
        Stamp { partition: self.partition, watermark, now: self.progress.time_with(at), trace }
    }
}
