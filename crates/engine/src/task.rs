//! One partition's work: a record in, its effects out.
//!
//! A task owns the conversations whose events are in its partition and the brands whose signals are. It shares
//! nothing with other tasks. Time is the stream's: the latest event time, never ahead of arrival.

use firewatch_domain::{
    Action, ConversationUpdate, Duration, Event, EventTime, SCHEMA_VERSION, Signal, SignalBody,
};
use firewatch_escalation::{Decision, DecisionTrace, Dispatcher, storm_brand};
use firewatch_scoring::Scratch;

use crate::conversation::Context;
use crate::conversation::ConversationView;
use crate::conversation_store::ConversationStore;
use crate::entry_store::{Dispatchers, EntryStore, Progress};
use crate::record::{DecodeResult, Handled, Input, Record};
use crate::signals::{change_from_action, signal_id};
use crate::{ChangelogEntry, Effect, Fold, Outcome, Ruleset, StateError, dead_letters};

/// Conversations that a task follows at most, unless told otherwise: about half a gigabyte.
const MAX_CONVERSATIONS: usize = 1_000_000;

/// The state of one partition.
pub struct Task {
    partition: u32,
    progress: Progress,
    conversations: ConversationStore,
    dispatchers: Dispatchers,
    entries: EntryStore,
    /// What differs from the last commit, once asked for.
    changes: Vec<ChangelogEntry>,
    max_conversations: usize,
    scratch: Scratch,
    /// Decisions of the desks that tell nobody, by policy, when somebody asks; in words or not.
    decision_trace: Option<(bool, Vec<(u32, Decision)>)>,
}

impl Task {
    /// An empty task for a partition of an events topic that has `partitions`.
    #[must_use]
    pub fn new(partition: u32, partitions: u32) -> Self {
        Self {
            partition,
            progress: Progress { partitions, stream_time: None, watermark: EventTime::EARLIEST, idle: false },
            conversations: ConversationStore::default(),
            dispatchers: Dispatchers::new(),
            entries: EntryStore::default(),
            changes: Vec::new(),
            max_conversations: MAX_CONVERSATIONS,
            scratch: Scratch::default(),
            decision_trace: None,
        }
    }

    /// Follows at most so many conversations at once; beyond it the one silent for longest is over.
    #[must_use]
    pub fn with_max_conversations(self, max: usize) -> Self {
        Self { max_conversations: max.max(1), ..self }
    }

    /// Takes note of what the desks decide without telling anybody.
    #[must_use]
    pub fn with_decision_trace(self) -> Self {
        Self { decision_trace: Some((true, Vec::new())), ..self }
    }

    /// Takes note of what holds alerts back, without words.
    #[must_use]
    pub fn with_suppression_trace(self) -> Self {
        Self { decision_trace: Some((false, Vec::new())), ..self }
    }

    /// The notes since they were last taken, each with its policy: 0 for the one in force.
    pub fn take_decisions(&mut self) -> Vec<(u32, Decision)> {
        self.decision_trace.as_mut().map(|(_, decisions)| std::mem::take(decisions)).unwrap_or_default()
    }

    /// Takes a record in JSON; its effects are pushed to `out` in the order they are to be written.
    pub fn handle(&mut self, input: &Input<'_>, ruleset: &Ruleset, out: &mut Vec<Effect>) -> Handled {
        self.handle_decoded(Record::decode(input), input, ruleset, out)
    }

    /// The same of a record that was decoded, in whatever form `input` has it.
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
                let from = (input.arrival, input.trace);
                let outcome = match record {
                    Record::Event(event) => self.handle_event(&event, from, ruleset, out),
                    Record::Action(action) => self.handle_action(&action, from, ruleset, out),
                    Record::Signal(signal) => self.handle_signal(signal, ruleset, out),
                };
                Handled { outcome, at, rejection: None }
            }
            Err(rejection) => {
                out.extend(dead_letters(input, &rejection));
                Handled { outcome: Outcome::Rejected(rejection.code), at: None, rejection: Some(rejection) }
            }
        }
    }

    /// Time passes, as other partitions of the same recording have come so far.
    pub fn advance_time(&mut self, now: EventTime, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        self.advance(now, ruleset, out);
    }

    /// Looks at a conversation that is followed.
    pub fn view<R>(
        &mut self,
        id: &str,
        ruleset: &Ruleset,
        read: impl FnOnce(&ConversationView<'_>) -> R,
    ) -> Option<R> {
        self.conversations.visit(id, ruleset.policy.retention, |conversation| read(&conversation.view()))
    }

    /// The partition is read to its end and has been silent for `span` more: its time passes, and nobody waits for it.
    pub fn mark_idle(&mut self, span: Duration, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        let (newly_idle, previous_watermark) = (!self.progress.idle, self.progress.watermark);
        self.progress.idle = true;
        if let Some(now) = self.progress.stream_time {
            self.advance(now + span, ruleset, out);
        }
        if newly_idle && self.progress.watermark == previous_watermark {
            self.emit_watermark(previous_watermark, ruleset, out);
        }
    }

    /// No record will follow: what waits for others is decided now. Nothing expires.
    pub fn end_of_stream(&mut self, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        self.progress.idle = false;
        self.emit_watermark(EventTime::END, ruleset, out);
    }

    /// Takes a signal that needs no decoding, as it never left this process.
    pub fn handle_signal(&mut self, signal: Signal, ruleset: &Ruleset, out: &mut Vec<Effect>) -> Outcome {
        self.handle_signal_for(&|_| true, signal, ruleset, out);
        Outcome::Folded(Fold::Signal)
    }

    /// The same for some policies alone, where others are another task's.
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

    /// Hands a signal to the desk of its policy.
    fn decide(&mut self, signal: Signal, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        let slot = signal.slot;
        // A policy that is on trial no more decides nothing.
        let Some(policy) = ruleset.policy_in_slot(slot) else { return };
        let dispatcher =
            self.dispatchers.entry((slot, signal.brand.clone())).or_insert_with(|| Dispatcher::new(policy));
        let mut new_decisions = Vec::new();
        let decision_trace = match &self.decision_trace {
            None => DecisionTrace::Off,
            Some((true, _)) => DecisionTrace::All(&mut new_decisions),
            Some((false, _)) => DecisionTrace::Suppressions(&mut new_decisions),
        };
        let escalations = dispatcher.apply_traced(signal, policy, decision_trace);
        if let Some((_, decisions)) = &mut self.decision_trace {
            decisions.extend(new_decisions.into_iter().map(|decision| (slot, decision)));
        }
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

    /// Conversations followed.
    #[must_use]
    pub fn conversations(&self) -> usize {
        self.conversations.len()
    }

    /// Complaints that support was told of and that are not over, or that wait to be told.
    #[must_use]
    pub fn complaints(&self) -> usize {
        self.dispatchers
            .iter()
            .filter(|((slot, _), _)| *slot == 0)
            .map(|(_, dispatcher)| dispatcher.open_count())
            .sum()
    }

    /// Bytes of the state as committed, keys included.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        self.conversations.bytes() + self.entries.bytes()
    }

    /// What differs from the last commit, to be written in the same transaction as the effects.
    ///
    /// # Errors
    /// When state cannot be written, which is a fault of the build.
    pub fn changes(&mut self) -> Result<&[ChangelogEntry], StateError> {
        self.changes.clear();
        self.conversations.changes(&mut self.changes)?;
        self.entries.changes(self.progress, &mut self.dispatchers, &mut self.changes)?;
        Ok(&self.changes)
    }

    /// The changes last asked for are written for good.
    pub fn committed(&mut self) {
        for mut change in self.changes.drain(..) {
            if !self.conversations.commit(&mut change) {
                self.entries.commit(change);
            }
        }
        self.conversations.committed();
    }

    /// Undoes all since the last commit, as if those records had never been seen.
    ///
    /// # Errors
    /// When the state as committed cannot be read.
    pub fn rewind(&mut self, ruleset: &Ruleset) -> Result<(), StateError> {
        self.changes.clear();
        self.conversations.rewind(ruleset.policy.retention)?;
        self.rebuild_from_entries(ruleset)
    }

    /// Takes in an entry of the changelog; call [`restored`](Self::restored) after the last one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>, ruleset: &Ruleset) -> Result<(), StateError> {
        if !self.conversations.restore(key, value, ruleset.policy.retention)? {
            self.entries.commit(ChangelogEntry { key: key.to_vec(), value: value.map(<[u8]>::to_vec) });
        }
        Ok(())
    }

    /// The changelog is read to its end.
    ///
    /// # Errors
    /// When it cannot be read, or was written for another number of partitions.
    pub fn finish_restore(&mut self, ruleset: &Ruleset) -> Result<(), StateError> {
        self.rebuild_from_entries(ruleset)
    }

    fn rebuild_from_entries(&mut self, ruleset: &Ruleset) -> Result<(), StateError> {
        let partitions = self.progress.partitions;
        let (progress, dispatchers) = self.entries.load(ruleset)?;
        let fresh = Progress { partitions, stream_time: None, watermark: EventTime::EARLIEST, idle: false };
        self.progress = progress.unwrap_or(fresh);
        self.dispatchers = dispatchers;
        if self.progress.partitions == partitions {
            return Ok(());
        }
        Err(StateError::partition_count_changed(self.progress.partitions, partitions))
    }

    /// Takes an event, which arrived at a time and may have a trace context.
    pub fn handle_event(
        &mut self,
        event: &Event,
        (arrival, trace): (EventTime, Option<&str>),
        ruleset: &Ruleset,
        out: &mut Vec<Effect>,
    ) -> Outcome {
        let at = event.at.min(arrival);
        let id = &event.conversation;
        let mut cx = Context {
            ruleset,
            scratch: &mut self.scratch,
            partition: self.partition,
            watermark: self.progress.watermark,
            now: self.progress.time_with(at),
            trace,
            out,
        };
        let outcome = self
            .conversations
            .visit_or_create(id, ruleset.policy.retention, |c| c.apply_event(event, &mut cx));
        self.progress.idle = false;
        self.advance(at, ruleset, out);
        self.keep_within_limit(ruleset, out);
        // It was begun just now, if it was not there.
        outcome.unwrap_or(Outcome::Folded(Fold::Unchanged))
    }

    /// Takes an action, likewise.
    pub fn handle_action(
        &mut self,
        action: &Action,
        (arrival, trace): (EventTime, Option<&str>),
        ruleset: &Ruleset,
        out: &mut Vec<Effect>,
    ) -> Outcome {
        let now = self.progress.time_with(action.at.min(arrival));
        if let Some(brand) = storm_brand(&action.conversation) {
            let brand = ruleset.signal_key(Some(brand));
            for (slot, _) in ruleset.policies() {
                let change = self.storm_update_signal(slot, (action, trace), brand, now);
                out.extend(change.map(|signal| Effect::Signal(Box::new(signal))));
            }
            return Outcome::Folded(Fold::Action);
        }
        let mut cx = Context {
            ruleset,
            scratch: &mut self.scratch,
            partition: self.partition,
            watermark: self.progress.watermark,
            now,
            trace,
            out,
        };
        let retention = ruleset.policy.retention;
        let outcome =
            self.conversations.visit(&action.conversation, retention, |c| c.apply_action(action, &mut cx));
        // What nobody knows any more needs nothing done about it.
        outcome.unwrap_or(Outcome::Folded(Fold::Action))
    }

    /// A storm lives with its brand, so what was done about it is passed on.
    fn storm_update_signal(
        &self,
        slot: u32,
        (action, trace): (&Action, Option<&str>),
        brand: &str,
        now: EventTime,
    ) -> Option<Signal> {
        let conversation = action.conversation.clone();
        let update = ConversationUpdate {
            conversation,
            change: change_from_action(action)?,
            by: action.by.clone(),
            trace: trace.map(Into::into),
        };
        Some(Signal {
            v: SCHEMA_VERSION,
            id: signal_id(slot, format_args!("{}/{}", action.conversation, action.id)),
            brand: brand.into(),
            at: action.at.min(now).max(self.progress.watermark),
            source: self.partition,
            slot,
            body: SignalBody::ConversationUpdated(update),
        })
    }

    /// Moves stream time on, never back: conversations expire and brands hear how far this partition has come.
    fn advance(&mut self, now: EventTime, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        if self.progress.stream_time.is_some_and(|t| now <= t) {
            return;
        }
        self.progress.stream_time = Some(now);
        while let Some((id, due, expired)) = self.conversations.pop_expired(now) {
            let reason = format!("nothing was heard for {}", ruleset.policy.retention);
            expired.expire(&id, due, &reason, &mut self.context(now, ruleset, out));
        }
        let windows = &ruleset.policy.windows;
        let watermark = (now - windows.lateness).floor(windows.step);
        if watermark > self.progress.watermark {
            self.emit_watermark(watermark, ruleset, out);
        }
    }

    fn keep_within_limit(&mut self, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        let max = self.max_conversations;
        while self.conversations.len() > max {
            let Some((id, _, expired)) = self.conversations.pop_expired(EventTime::END) else { return };
            let now = self.progress.stream_time.unwrap_or(EventTime::EARLIEST);
            let reason =
                format!("more than {max} conversations at once, and this one was silent for longest");
            expired.expire(&id, now, &reason, &mut self.context(now, ruleset, out));
        }
    }

    fn context<'a>(
        &'a mut self,
        now: EventTime,
        ruleset: &'a Ruleset,
        out: &'a mut Vec<Effect>,
    ) -> Context<'a> {
        let Progress { watermark, .. } = self.progress;
        Context {
            ruleset,
            scratch: &mut self.scratch,
            partition: self.partition,
            watermark,
            now,
            trace: None,
            out,
        }
    }

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
