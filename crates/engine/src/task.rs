//! One partition's work: a record in, its effects out.
//!
//! A task owns the conversations whose events are in its partition and the brands whose signals are. It shares
//! nothing with other tasks. Time is the stream's: the latest event time, never ahead of arrival.

use std::collections::{BTreeMap, HashMap};

use firewatch_domain::{Action, Duration, Event, EventTime, SCHEMA_VERSION, Signal, SignalBody};
use firewatch_escalation::{BrandWatch, storm_brand};
use firewatch_ingest::{Rejection, decode_action, decode_event, decode_signal};
use firewatch_scoring::Stems;

use crate::conversation::{Context, Conversation};
use crate::{Brain, Effect, Fold, Outcome, dead_letters};

/// How exactly silent conversations expire.
const EXPIRY_STEP: Duration = Duration::from_mins(1);

/// The streams a task reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Posts, engagement, counters and brand replies.
    Events,
    /// What people did.
    Actions,
    /// What conversations tell their brands.
    Signals,
}

impl Stream {
    /// The stream's name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Actions => "actions",
            Self::Signals => "signals",
        }
    }
}

/// One record as it was read.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What it is read as.
    pub stream: Stream,
    /// The topic's name, or the file's.
    pub topic: &'a str,
    /// The partition.
    pub partition: u32,
    /// The offset, or the line from 1.
    pub offset: i64,
    /// When it arrived.
    pub arrival: EventTime,
    /// Its key, if it has one.
    pub key: Option<&'a [u8]>,
    /// Its bytes.
    pub value: &'a [u8],
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Handled {
    /// The outcome.
    pub outcome: Outcome,
    /// The record's own time, when it could be read.
    pub at: Option<EventTime>,
    /// Why it was rejected, if it was.
    pub rejection: Option<Rejection>,
}

/// The state of one partition.
pub struct Task {
    partition: u32,
    partitions: u32,
    // Looked up only; whatever is told for several conversations goes by `due`, which is ordered.
    conversations: HashMap<String, Conversation>,
    brands: BTreeMap<String, BrandWatch>,
    /// Conversations to look at again, by the time they may have expired.
    due: BTreeMap<EventTime, Vec<String>>,
    stream_time: Option<EventTime>,
    ticked: EventTime,
    /// The brands were told that this partition is silent.
    idle: bool,
    stems: Stems,
}

impl Task {
    /// An empty task for a partition of an events topic that has `partitions`.
    #[must_use]
    pub fn new(partition: u32, partitions: u32) -> Self {
        Self {
            partition,
            partitions,
            conversations: HashMap::new(),
            brands: BTreeMap::new(),
            due: BTreeMap::new(),
            stream_time: None,
            ticked: EventTime::EARLIEST,
            idle: false,
            stems: Stems::default(),
        }
    }

    /// Takes a record; its effects are pushed to `out` in the order they are to be written.
    pub fn handle(&mut self, input: &Input<'_>, brain: &Brain, out: &mut Vec<Effect>) -> Handled {
        let taken = match input.stream {
            Stream::Events => decode_event(input.value, input.key, input.arrival)
                .map(|event| (event.at, self.event(&event, input.arrival, brain, out))),
            Stream::Actions => decode_action(input.value, input.key, input.arrival)
                .map(|action| (action.at, self.action(&action, input.arrival, brain, out))),
            Stream::Signals => decode_signal(input.value, input.key)
                .map(|signal| (signal.at, self.signal(signal, brain, out))),
        };
        match taken {
            Ok((at, outcome)) => Handled { outcome, at: Some(at), rejection: None },
            Err(rejection) => {
                out.extend(dead_letters(input, &rejection));
                Handled { outcome: Outcome::Rejected(rejection.code), at: None, rejection: Some(rejection) }
            }
        }
    }

    /// The partition is read to its end and has been silent for `span` more: its time passes, and nobody waits for it.
    pub fn idle(&mut self, span: Duration, brain: &Brain, out: &mut Vec<Effect>) {
        let (news, before) = (!self.idle, self.ticked);
        self.idle = true;
        if let Some(now) = self.stream_time {
            self.advance(now + span, brain, out);
        }
        if news && self.ticked == before {
            self.tick(before, brain, out);
        }
    }

    /// No record will follow: what waits for others is decided now. Nothing expires.
    pub fn end_of_stream(&mut self, brain: &Brain, out: &mut Vec<Effect>) {
        self.idle = false;
        self.tick(EventTime::END, brain, out);
    }

    /// Takes a signal that needs no decoding, as it never left this process.
    pub fn signal(&mut self, signal: Signal, brain: &Brain, out: &mut Vec<Effect>) -> Outcome {
        let watch = self.brands.entry(signal.brand.clone()).or_insert_with(|| BrandWatch::new(&brain.policy));
        out.extend(watch.take(signal, &brain.policy).into_iter().map(|e| Effect::Escalation(Box::new(e))));
        Outcome::Folded(Fold::Signal)
    }

    /// Conversations in memory.
    #[must_use]
    pub fn conversations(&self) -> usize {
        self.conversations.len()
    }

    /// Complaints in memory that support was told of and that are not over, or that wait to be told.
    #[must_use]
    pub fn complaints(&self) -> usize {
        self.brands.values().map(BrandWatch::open).sum()
    }

    fn event(&mut self, event: &Event, arrival: EventTime, brain: &Brain, out: &mut Vec<Effect>) -> Outcome {
        let now = self.time_with(event.at.min(arrival));
        let conversation = match self.conversations.get_mut(&event.conversation) {
            Some(known) => known,
            None => {
                let due = (event.at + brain.policy.horizon).ceil(EXPIRY_STEP);
                self.due.entry(due).or_default().push(event.conversation.clone());
                self.conversations.entry(event.conversation.clone()).or_default()
            }
        };
        let mut cx =
            Context { brain, stems: &mut self.stems, source: self.partition, ticked: self.ticked, now, out };
        let outcome = conversation.apply(event, &mut cx);
        self.idle = false;
        self.advance(event.at.min(arrival), brain, out);
        outcome
    }

    fn action(
        &mut self,
        action: &Action,
        arrival: EventTime,
        brain: &Brain,
        out: &mut Vec<Effect>,
    ) -> Outcome {
        let now = self.time_with(action.at.min(arrival));
        if let Some(brand) = storm_brand(&action.conversation) {
            let change = self.storm_change(action, brain.signal_key(Some(brand)), now);
            out.extend(change.map(|signal| Effect::Signal(Box::new(signal))));
            return Outcome::Folded(Fold::Action);
        }
        let Some(conversation) = self.conversations.get_mut(&action.conversation) else {
            return Outcome::Folded(Fold::Action);
        };
        let mut cx =
            Context { brain, stems: &mut self.stems, source: self.partition, ticked: self.ticked, now, out };
        conversation.act(action, &mut cx)
    }

    /// A storm lives with its brand, so what was done about it is passed on.
    fn storm_change(&self, action: &Action, brand: &str, now: EventTime) -> Option<Signal> {
        let state = action.kind.leads_to()?;
        let conversation = action.conversation.clone();
        Some(Signal {
            v: SCHEMA_VERSION,
            id: format!("{conversation}/{}", action.id),
            brand: brand.into(),
            at: action.at.min(now).max(self.ticked),
            source: self.partition,
            body: SignalBody::Change { conversation, state, reason: format!("{state} by {}", action.by) },
        })
    }

    /// Stream time once a record of this time is taken in.
    fn time_with(&self, at: EventTime) -> EventTime {
        self.stream_time.map_or(at, |now| now.max(at))
    }

    /// Moves stream time on, never back: conversations expire and brands hear how far this partition has come.
    fn advance(&mut self, now: EventTime, brain: &Brain, out: &mut Vec<Effect>) {
        if self.stream_time.is_some_and(|t| now <= t) {
            return;
        }
        self.stream_time = Some(now);
        self.expire(now, brain, out);
        let storms = &brain.policy.storms;
        let mark = (now - storms.lateness).floor(storms.group_wait);
        if mark > self.ticked {
            self.tick(mark, brain, out);
        }
    }

    fn tick(&mut self, at: EventTime, brain: &Brain, out: &mut Vec<Effect>) {
        self.ticked = at;
        for brand in brain.signal_keys() {
            out.push(Effect::Signal(Box::new(Signal {
                v: SCHEMA_VERSION,
                id: format!("tick/{}/{at}", self.partition),
                brand: brand.into(),
                at,
                source: self.partition,
                body: SignalBody::Tick { sources: self.partitions, idle: self.idle },
            })));
        }
    }

    fn expire(&mut self, now: EventTime, brain: &Brain, out: &mut Vec<Effect>) {
        while let Some(entry) = self.due.first_entry().filter(|entry| *entry.key() <= now) {
            let (due, ids) = entry.remove_entry();
            for id in ids {
                let Some(last) = self.conversations.get(&id).map(|c| c.last().unwrap_or(due)) else {
                    continue;
                };
                let next = (last + brain.policy.horizon).ceil(EXPIRY_STEP);
                if next > due {
                    self.due.entry(next).or_default().push(id);
                } else if let Some(over) = self.conversations.remove(&id) {
                    let mut cx = Context {
                        brain,
                        stems: &mut self.stems,
                        source: self.partition,
                        ticked: self.ticked,
                        now,
                        out,
                    };
                    over.expire(&id, due, &mut cx);
                }
            }
        }
    }
}
