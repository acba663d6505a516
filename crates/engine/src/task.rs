//! Processes one partition: takes a record, returns its effects.
//!
//! A task owns the conversations whose events its partition holds, and the dispatchers of the brands whose
//! signals it holds. It shares no state with other tasks. Its time is stream time: the latest event time,
//! never later than arrival.

use firewatch_domain::{
    Action, Duration, Event, EventTime, Forwarded, ForwardedRecord, IncidentId, SCHEMA_VERSION, Signal,
    SignalBody,
};
use firewatch_escalation::{Decision, DecisionTrace, Dispatcher};
use firewatch_scoring::Scratch;

use crate::conversation::ConversationView;
use crate::conversation_store::ConversationStore;
use crate::decide::Decider;
use crate::entry_store::{Dispatchers, EntryStore, Progress};
use crate::observe::observe;
use crate::record::{DecodeResult, Handled, Input, Record, RecordMeta};
use crate::signals::{Stamp, emit_incident_action};
use crate::{ChangelogEntry, Effect, Fold, Outcome, Partitioner, Ruleset, StateError, dead_letters};

/// Longest time between two watermarks of an idle partition.
const MAX_IDLE_INTERVAL: Duration = Duration::from_secs(10);

/// Default maximum number of conversations of a task, at 600 to 900 bytes each.
const MAX_CONVERSATIONS: usize = 1_000_000;

/// The state of one partition.
pub struct Task {
    partition: u32,
    progress: Progress,
    conversations: ConversationStore,
    dispatchers: Dispatchers,
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

    fn handle_record(
        &mut self,
        record: Record,
        input: &Input<'_>,
        ruleset: &Ruleset,
        out: &mut Vec<Effect>,
    ) -> Outcome {
        let meta = RecordMeta { arrival: input.arrival, trace: input.trace };
        let home = self.home_elsewhere(&record);
        match (record, home) {
            (Record::Event(event), Some(home)) => {
                let at = event.at.min(input.arrival);
                out.push(forwarded(ForwardedRecord::Event(event), input, home));
                self.follow_events(at, ruleset, out);
                Outcome::Forwarded
            }
            (Record::Action(action), Some(home)) => {
                out.push(forwarded(ForwardedRecord::Action(action), input, home));
                Outcome::Forwarded
            }
            (Record::Event(event), None) => self.handle_event(&event, meta, ruleset, out),
            (Record::Action(action), None) => self.handle_action(&action, meta, ruleset, out),
            (Record::Signal(signal), _) => self.handle_signal(signal, ruleset, out),
            (Record::Forwarded(forwarded), _) => {
                let meta = RecordMeta { arrival: forwarded.arrival, ..meta };
                match &forwarded.record {
                    ForwardedRecord::Event(event) if !self.is_caught_up => {
                        let outcome = self.apply_event(event, meta, ruleset, out);
                        self.keep_within_limit(ruleset, out);
                        outcome
                    }
                    ForwardedRecord::Event(event) => self.handle_event(event, meta, ruleset, out),
                    ForwardedRecord::Action(action) => self.handle_action(action, meta, ruleset, out),
                }
            }
        }
    }

    /// Returns the partition in which the conversation of an event or action lives, if it is another one.
    fn home_elsewhere(&self, record: &Record) -> Option<u32> {
        let has_home = match record {
            Record::Event(_) => true,
            // Every task can report an action on an incident of a brand.
            Record::Action(action) => IncidentId::from_prefix(&action.conversation).is_none(),
            Record::Signal(_) | Record::Forwarded(_) => false,
        };
        let conversation = record.key();
        let partitioner = self.partitioner.filter(|_| has_home)?;
        let home = partitioner.partition(conversation.as_bytes(), self.progress.partitions);
        (home != self.partition && !self.conversations.contains(conversation)).then_some(home)
    }

    /// Advances stream time to `now`, because other partitions of the same recording have reached it.
    pub fn advance_time(&mut self, now: EventTime, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        self.advance(now, ruleset, out);
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

    /// Marks the partition as idle: it was read to its end and has had no record for `span` since. Advances
    /// stream time by `span`. Nothing earlier can wait unread, so dispatchers decide up to that time, and do
    /// not wait for this partition any more. The longer it is idle, the fewer watermarks it sends.
    pub fn mark_idle(&mut self, span: Duration, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        let newly_idle = !std::mem::replace(&mut self.progress.idle, true);
        let Some(previous) = self.progress.stream_time else {
            if newly_idle {
                self.emit_watermark(self.progress.watermark, ruleset, out);
            }
            return;
        };
        let now = previous + span;
        self.advance_stream_time(now, ruleset, out);
        let step = ruleset.policy.windows.step;
        let idle_for = now - self.progress.last_record_at.unwrap_or(now);
        let interval = Duration::from_millis(idle_for.as_millis() / 6).min(MAX_IDLE_INTERVAL).max(step);
        let watermark = now.floor(step).max(self.progress.watermark);
        if newly_idle || watermark - self.progress.watermark >= interval {
            self.emit_watermark(watermark, ruleset, out);
        }
    }

    /// Ends the stream: sends the final watermark, so that dispatchers decide everything pending. Expires
    /// nothing. A stream that has ended is not ended again.
    pub fn end_of_stream(&mut self, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        self.progress.idle = false;
        if self.progress.watermark < EventTime::END {
            self.emit_watermark(EventTime::END, ruleset, out);
        }
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
        self.entries.changes(self.progress, &mut self.dispatchers, &mut self.changes)?;
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
        let (progress, dispatchers) = self.entries.load(ruleset)?;
        self.progress = progress.unwrap_or_else(|| Progress::new(partitions));
        self.dispatchers = dispatchers;
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
        let mut decider = Decider { ruleset, stamp, out };
        let retention = ruleset.policy.retention;
        let outcome = self.conversations.visit_or_create(&event.conversation, retention, |conversation| {
            let observed = observe(conversation, event, ruleset, scratch);
            decider.event(conversation, event, observed)
        });
        // The store creates a missing conversation, so there is always an outcome.
        outcome.unwrap_or(Outcome::Folded(Fold::Unchanged))
    }

    /// Notes an event of time `at`.
    fn follow_events(&mut self, at: EventTime, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        self.progress.idle = false;
        self.progress.last_record_at = self.progress.last_record_at.max(Some(at));
        self.advance(at, ruleset, out);
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
        let mut decider = Decider { ruleset, stamp, out };
        let retention = ruleset.policy.retention;
        let outcome = self
            .conversations
            .visit(&action.conversation, retention, |conversation| decider.action(conversation, action));
        match (outcome, IncidentId::from_prefix(&action.conversation)) {
            (Some(outcome), _) => outcome,
            (None, Some(id)) => {
                for (slot, _) in ruleset.policies() {
                    emit_incident_action(action, &id, slot, ruleset.signal_keys(), &stamp, out);
                }
                Outcome::Folded(Fold::Action)
            }
            (None, None) => Outcome::Folded(Fold::UnknownConversation),
        }
    }

    /// Returns the stamp of the signals that a record of time `at` causes.
    fn stamp<'a>(&self, at: EventTime, trace: Option<&'a str>) -> Stamp<'a> {
        let Progress { watermark, .. } = self.progress;
        Stamp { partition: self.partition, watermark, now: self.progress.time_with(at), trace }
    }

    /// Advances stream time, never back. Expires inactive conversations and sends brands a due watermark.
    fn advance(&mut self, now: EventTime, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        if self.progress.stream_time.is_some_and(|t| now <= t) {
            return;
        }
        self.advance_stream_time(now, ruleset, out);
        let windows = &ruleset.policy.windows;
        let watermark = (now - windows.lateness).floor(windows.step);
        if watermark > self.progress.watermark {
            self.emit_watermark(watermark, ruleset, out);
        }
    }

    /// Advances stream time, and expires inactive conversations.
    fn advance_stream_time(&mut self, now: EventTime, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        self.progress.stream_time = Some(now);
        while let Some((id, due, expired)) = self.conversations.pop_expired(now) {
            let reason = format!("no activity for {}", ruleset.policy.retention);
            let mut decider = Decider { ruleset, stamp: self.stamp(now, None), out };
            decider.expiry(&expired, &id, due, reason);
        }
    }

    /// Expires the conversations inactive for longest until the limit holds.
    fn keep_within_limit(&mut self, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        let max = self.max_conversations;
        while self.conversations.len() > max {
            let Some((id, _, expired)) = self.conversations.pop_expired(EventTime::END) else { return };
            let now = self.progress.stream_time.unwrap_or(EventTime::EARLIEST);
            let reason = format!("more than {max} conversations at once; this one was inactive for longest");
            let mut decider = Decider { ruleset, stamp: self.stamp(now, None), out };
            decider.expiry(&expired, &id, now, reason);
        }
    }

    /// Sends every brand a watermark.
    fn emit_watermark(&mut self, at: EventTime, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        self.progress.watermark = at;
        for brand in ruleset.signal_keys() {
            out.push(Effect::Signal(Box::new(Signal {
                v: SCHEMA_VERSION,
                id: format!("tick/{}/{at}", self.partition),
                brand: brand.into(),
                at,
                source: self.partition,
                slot: 0,
                body: SignalBody::Watermark { sources: self.progress.partitions, idle: self.progress.idle },
            })));
        }
    }
}

/// Returns the effect that passes a record on to the task of the partition `home`.
fn forwarded(record: ForwardedRecord, input: &Input<'_>, home: u32) -> Effect {
    let id = format!("{}/{}/{}", input.topic, input.partition, input.offset);
    let forwarded = Forwarded { v: SCHEMA_VERSION, id, arrival: input.arrival, record };
    Effect::Forwarded(Box::new(forwarded), home)
}
