//! One partition's work: a record in, its effects out.
//!
//! A task owns the conversations whose events are in its partition and the brands whose signals are. It shares
//! nothing with other tasks. Time is the stream's: the latest event time, never ahead of arrival.

use firewatch_domain::{Action, Duration, Event, EventTime, Happened, SCHEMA_VERSION, Signal, SignalBody};
use firewatch_escalation::{Desk, Note, Notes, storm_brand};
use firewatch_scoring::Scratch;

use crate::conversation::Context;
use crate::conversation::Seen;
use crate::ledger::{Desks, Ledger, Progress};
use crate::record::{Decoded, Handled, Input, Record};
use crate::store::Conversations;
use crate::tells::{signal_id, what_was_done};
use crate::{Brain, Change, Effect, Fold, Outcome, StateError, dead_letters};

/// Conversations that a task follows at most, unless told otherwise: about half a gigabyte.
const MOST_CONVERSATIONS: usize = 1_000_000;

/// The state of one partition.
pub struct Task {
    partition: u32,
    progress: Progress,
    conversations: Conversations,
    desks: Desks,
    ledger: Ledger,
    /// What differs from the last commit, once asked for.
    changes: Vec<Change>,
    most_conversations: usize,
    scratch: Scratch,
    /// Decisions of the desks that tell nobody, by policy, when somebody asks; in words or not.
    notes: Option<(bool, Vec<(u32, Note)>)>,
}

impl Task {
    /// An empty task for a partition of an events topic that has `partitions`.
    #[must_use]
    pub fn new(partition: u32, partitions: u32) -> Self {
        Self {
            partition,
            progress: Progress { partitions, stream_time: None, ticked: EventTime::EARLIEST, idle: false },
            conversations: Conversations::default(),
            desks: Desks::new(),
            ledger: Ledger::default(),
            changes: Vec::new(),
            most_conversations: MOST_CONVERSATIONS,
            scratch: Scratch::default(),
            notes: None,
        }
    }

    /// Follows at most so many conversations at once; beyond it the one silent for longest is over.
    #[must_use]
    pub fn with_most_conversations(self, most: usize) -> Self {
        Self { most_conversations: most.max(1), ..self }
    }

    /// Takes note of what the desks decide without telling anybody.
    #[must_use]
    pub fn with_notes(self) -> Self {
        Self { notes: Some((true, Vec::new())), ..self }
    }

    /// Takes note of what holds alerts back, without words.
    #[must_use]
    pub fn with_held_back(self) -> Self {
        Self { notes: Some((false, Vec::new())), ..self }
    }

    /// The notes since they were last taken, each with its policy: 0 for the one in force.
    pub fn take_notes(&mut self) -> Vec<(u32, Note)> {
        self.notes.as_mut().map(|(_, notes)| std::mem::take(notes)).unwrap_or_default()
    }

    /// Takes a record in JSON; its effects are pushed to `out` in the order they are to be written.
    pub fn handle(&mut self, input: &Input<'_>, brain: &Brain, out: &mut Vec<Effect>) -> Handled {
        self.take(Record::decode(input), input, brain, out)
    }

    /// The same of a record that was decoded, in whatever form `input` has it.
    pub fn take(
        &mut self,
        decoded: Decoded,
        input: &Input<'_>,
        brain: &Brain,
        out: &mut Vec<Effect>,
    ) -> Handled {
        match decoded {
            Ok(record) => {
                let at = Some(record.at());
                let from = (input.arrival, input.trace);
                let outcome = match record {
                    Record::Event(event) => self.event(&event, from, brain, out),
                    Record::Action(action) => self.action(&action, from, brain, out),
                    Record::Signal(signal) => self.signal(signal, brain, out),
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
    pub fn pass(&mut self, now: EventTime, brain: &Brain, out: &mut Vec<Effect>) {
        self.advance(now, brain, out);
    }

    /// Looks at a conversation that is followed.
    pub fn look<R>(&mut self, id: &str, brain: &Brain, look: impl FnOnce(&Seen<'_>) -> R) -> Option<R> {
        self.conversations.visit(id, brain.policy.horizon, |conversation| look(&conversation.seen()))
    }

    /// The partition is read to its end and has been silent for `span` more: its time passes, and nobody waits for it.
    pub fn idle(&mut self, span: Duration, brain: &Brain, out: &mut Vec<Effect>) {
        let (news, before) = (!self.progress.idle, self.progress.ticked);
        self.progress.idle = true;
        if let Some(now) = self.progress.stream_time {
            self.advance(now + span, brain, out);
        }
        if news && self.progress.ticked == before {
            self.tick(before, brain, out);
        }
    }

    /// No record will follow: what waits for others is decided now. Nothing expires.
    pub fn end_of_stream(&mut self, brain: &Brain, out: &mut Vec<Effect>) {
        self.progress.idle = false;
        self.tick(EventTime::END, brain, out);
    }

    /// Takes a signal that needs no decoding, as it never left this process.
    pub fn signal(&mut self, signal: Signal, brain: &Brain, out: &mut Vec<Effect>) -> Outcome {
        self.signal_to(&|_| true, signal, brain, out);
        Outcome::Folded(Fold::Signal)
    }

    /// The same for some policies alone, where others are another task's.
    pub fn signal_to(
        &mut self,
        is_own: &impl Fn(u32) -> bool,
        signal: Signal,
        brain: &Brain,
        out: &mut Vec<Effect>,
    ) {
        if !matches!(signal.body, SignalBody::Tick { .. }) {
            if is_own(signal.trial) {
                self.decide(signal, brain, out);
            }
            return;
        }
        for (trial, _) in brain.policies().filter(|(trial, _)| is_own(*trial)) {
            self.decide(Signal { trial, ..signal.clone() }, brain, out);
        }
    }

    /// Hands a signal to the desk of its policy.
    fn decide(&mut self, signal: Signal, brain: &Brain, out: &mut Vec<Effect>) {
        let trial = signal.trial;
        // A policy that is on trial no more decides nothing.
        let Some(policy) = brain.policy_on_trial(trial) else { return };
        let desk = self.desks.entry((trial, signal.brand.clone())).or_insert_with(|| Desk::new(policy));
        let mut taken = Vec::new();
        let notes = match &self.notes {
            None => Notes::None,
            Some((true, _)) => Notes::All(&mut taken),
            Some((false, _)) => Notes::HeldBack(&mut taken),
        };
        let all_told = desk.take_noting(signal, policy, notes);
        if let Some((_, notes)) = &mut self.notes {
            notes.extend(taken.into_iter().map(|note| (trial, note)));
        }
        for told in all_told {
            if trial > 0 {
                out.push(Effect::Trial(trial, Box::new(told)));
                continue;
            }
            if let Some(before) = told.handed_over_by.clone() {
                out.push(Effect::HandedOver(Box::new(told.clone()), before));
            }
            out.push(Effect::Escalation(Box::new(told)));
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
        self.desks.iter().filter(|((trial, _), _)| *trial == 0).map(|(_, desk)| desk.open()).sum()
    }

    /// Bytes of the state as committed, keys included.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        self.conversations.bytes() + self.ledger.bytes()
    }

    /// What differs from the last commit, to be written in the same transaction as the effects.
    ///
    /// # Errors
    /// When state cannot be written, which is a fault of the build.
    pub fn changes(&mut self) -> Result<&[Change], StateError> {
        self.changes.clear();
        self.conversations.changes(&mut self.changes)?;
        self.ledger.changes(self.progress, &mut self.desks, &mut self.changes)?;
        Ok(&self.changes)
    }

    /// The changes last asked for are written for good.
    pub fn committed(&mut self) {
        for mut change in self.changes.drain(..) {
            if !self.conversations.commit(&mut change) {
                self.ledger.commit(change);
            }
        }
        self.conversations.committed();
    }

    /// Undoes all since the last commit, as if those records had never been seen.
    ///
    /// # Errors
    /// When the state as committed cannot be read.
    pub fn rewind(&mut self, brain: &Brain) -> Result<(), StateError> {
        self.changes.clear();
        self.conversations.rewind(brain.policy.horizon)?;
        self.recall(brain)
    }

    /// Takes in an entry of the changelog; call [`restored`](Self::restored) after the last one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>, brain: &Brain) -> Result<(), StateError> {
        if !self.conversations.restore(key, value, brain.policy.horizon)? {
            self.ledger.commit(Change { key: key.to_vec(), value: value.map(<[u8]>::to_vec) });
        }
        Ok(())
    }

    /// The changelog is read to its end.
    ///
    /// # Errors
    /// When it cannot be read, or was written for another number of partitions.
    pub fn restored(&mut self, brain: &Brain) -> Result<(), StateError> {
        self.recall(brain)
    }

    fn recall(&mut self, brain: &Brain) -> Result<(), StateError> {
        let partitions = self.progress.partitions;
        let (progress, desks) = self.ledger.read(brain)?;
        let fresh = Progress { partitions, stream_time: None, ticked: EventTime::EARLIEST, idle: false };
        self.progress = progress.unwrap_or(fresh);
        self.desks = desks;
        if self.progress.partitions == partitions {
            return Ok(());
        }
        Err(StateError::other_partitions(self.progress.partitions, partitions))
    }

    /// Takes an event, which arrived at a time and may have a trace context.
    pub fn event(
        &mut self,
        event: &Event,
        (arrival, trace): (EventTime, Option<&str>),
        brain: &Brain,
        out: &mut Vec<Effect>,
    ) -> Outcome {
        let at = event.at.min(arrival);
        let id = &event.conversation;
        let mut cx = Context {
            brain,
            scratch: &mut self.scratch,
            source: self.partition,
            ticked: self.progress.ticked,
            now: self.progress.time_with(at),
            trace,
            out,
        };
        let outcome =
            self.conversations.visit_or_begin(id, brain.policy.horizon, |c| c.apply(event, &mut cx));
        self.progress.idle = false;
        self.advance(at, brain, out);
        self.keep_within_limit(brain, out);
        // It was begun just now, if it was not there.
        outcome.unwrap_or(Outcome::Folded(Fold::Unchanged))
    }

    /// Takes an action, likewise.
    pub fn action(
        &mut self,
        action: &Action,
        (arrival, trace): (EventTime, Option<&str>),
        brain: &Brain,
        out: &mut Vec<Effect>,
    ) -> Outcome {
        let now = self.progress.time_with(action.at.min(arrival));
        if let Some(brand) = storm_brand(&action.conversation) {
            let brand = brain.signal_key(Some(brand));
            for (trial, _) in brain.policies() {
                let change = self.storm_change(trial, (action, trace), brand, now);
                out.extend(change.map(|signal| Effect::Signal(Box::new(signal))));
            }
            return Outcome::Folded(Fold::Action);
        }
        let mut cx = Context {
            brain,
            scratch: &mut self.scratch,
            source: self.partition,
            ticked: self.progress.ticked,
            now,
            trace,
            out,
        };
        let horizon = brain.policy.horizon;
        let outcome = self.conversations.visit(&action.conversation, horizon, |c| c.act(action, &mut cx));
        // What nobody knows any more needs nothing done about it.
        outcome.unwrap_or(Outcome::Folded(Fold::Action))
    }

    /// A storm lives with its brand, so what was done about it is passed on.
    fn storm_change(
        &self,
        trial: u32,
        (action, trace): (&Action, Option<&str>),
        brand: &str,
        now: EventTime,
    ) -> Option<Signal> {
        let conversation = action.conversation.clone();
        let happened = Happened {
            conversation,
            what: what_was_done(action)?,
            by: action.by.clone(),
            trace: trace.map(Into::into),
        };
        Some(Signal {
            v: SCHEMA_VERSION,
            id: signal_id(trial, format_args!("{}/{}", action.conversation, action.id)),
            brand: brand.into(),
            at: action.at.min(now).max(self.progress.ticked),
            source: self.partition,
            trial,
            body: SignalBody::Happened(happened),
        })
    }

    /// Moves stream time on, never back: conversations expire and brands hear how far this partition has come.
    fn advance(&mut self, now: EventTime, brain: &Brain, out: &mut Vec<Effect>) {
        if self.progress.stream_time.is_some_and(|t| now <= t) {
            return;
        }
        self.progress.stream_time = Some(now);
        while let Some((id, due, over)) = self.conversations.expired(now) {
            let reason = format!("nothing was heard for {}", brain.policy.horizon);
            over.expire(&id, due, &reason, &mut self.context(now, brain, out));
        }
        let windows = &brain.policy.windows;
        let mark = (now - windows.lateness).floor(windows.step);
        if mark > self.progress.ticked {
            self.tick(mark, brain, out);
        }
    }

    fn keep_within_limit(&mut self, brain: &Brain, out: &mut Vec<Effect>) {
        let most = self.most_conversations;
        while self.conversations.len() > most {
            let Some((id, _, over)) = self.conversations.expired(EventTime::END) else { return };
            let now = self.progress.stream_time.unwrap_or(EventTime::EARLIEST);
            let reason =
                format!("more than {most} conversations at once, and this one was silent for longest");
            over.expire(&id, now, &reason, &mut self.context(now, brain, out));
        }
    }

    fn context<'a>(&'a mut self, now: EventTime, brain: &'a Brain, out: &'a mut Vec<Effect>) -> Context<'a> {
        let Progress { ticked, .. } = self.progress;
        Context { brain, scratch: &mut self.scratch, source: self.partition, ticked, now, trace: None, out }
    }

    fn tick(&mut self, at: EventTime, brain: &Brain, out: &mut Vec<Effect>) {
        self.progress.ticked = at;
        for brand in brain.signal_keys() {
            out.push(Effect::Signal(Box::new(Signal {
                v: SCHEMA_VERSION,
                id: format!("tick/{}/{at}", self.partition),
                brand: brand.into(),
                at,
                source: self.partition,
                trial: 0,
                body: SignalBody::Tick { sources: self.progress.partitions, idle: self.progress.idle },
            })));
        }
    }
}
