//! Signals that wait for their window, by time and conversation. Those of one conversation come from one partition,
//! in the order in which things became known; what replaces a state never comes before the state that it replaces.

use std::collections::{BTreeMap, HashMap};

use firewatch_domain::{ConversationChange, ConversationUpdate, EventTime, SignalBody};

use super::part_key::StatePartKey;

/// Signals by time and by their place among those of one time.
pub(super) type Window = BTreeMap<(EventTime, String), SignalBody>;

/// The signals that wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct PendingSignals {
    by_place: Window,
    /// The latest time of the signals of each conversation that replace its state.
    latest: HashMap<String, EventTime>,
}

impl PendingSignals {
    /// Adds a signal after the others of its conversation and time. Returns its key.
    pub fn push(&mut self, at: EventTime, body: SignalBody) -> StatePartKey {
        let conversation = body.conversation().unwrap_or_default();
        let latest = self.latest.get(conversation).filter(|_| replaces_state(&body));
        let at = latest.map_or(at, |latest| at.max(*latest));
        let first = place_of(conversation, 0);
        let known = self.by_place.range((at, first.clone())..=(at, place_of(conversation, u32::MAX)));
        // Ids of other conversations may begin alike.
        let last = known.rev().map(|((_, place), _)| place).find(|place| place.len() == first.len());
        let last = last.and_then(|place| place[conversation.len() + 1..].parse::<u32>().ok());
        let place = last.map_or(first, |last| place_of(conversation, last + 1));
        self.insert(at, place.clone(), body);
        StatePartKey::Pending(at, place)
    }

    /// Adds a person's action, which comes in no order with the signals. It is after those of its conversation and
    /// time. Returns its key.
    pub fn push_action(&mut self, at: EventTime, id: &str, update: ConversationUpdate) -> StatePartKey {
        let place = format!("{}\0action/{id}", update.conversation);
        self.insert(at, place.clone(), SignalBody::ConversationUpdated(update));
        StatePartKey::Pending(at, place)
    }

    /// Adds a signal at a place.
    pub fn insert(&mut self, at: EventTime, place: String, body: SignalBody) {
        if let Some(conversation) = body.conversation().filter(|_| replaces_state(&body)) {
            let latest = self.latest.entry(conversation.to_owned()).or_insert(at);
            *latest = at.max(*latest);
        }
        self.by_place.insert((at, place), body);
    }

    /// Removes and returns the signals before a time. Most windows are empty.
    pub fn take_before(&mut self, end: EventTime) -> Window {
        if self.first_at().is_none_or(|at| at >= end) {
            return BTreeMap::new();
        }
        let later = self.by_place.split_off(&(end, String::new()));
        let window = std::mem::replace(&mut self.by_place, later);
        for conversation in window.values().filter_map(SignalBody::conversation) {
            if self.latest.get(conversation).is_some_and(|latest| *latest < end) {
                self.latest.remove(conversation);
            }
        }
        window
    }

    /// Returns the signal at a place.
    pub fn get(&self, at: EventTime, place: &str) -> Option<&SignalBody> {
        self.by_place.get(&(at, place.to_owned()))
    }

    /// Returns the keys of all, in order.
    pub fn keys(&self) -> impl Iterator<Item = StatePartKey> {
        self.by_place.keys().map(|(at, place)| StatePartKey::Pending(*at, place.clone()))
    }

    /// Returns the time of the first.
    pub fn first_at(&self) -> Option<EventTime> {
        self.by_place.first_key_value().map(|((at, _), _)| *at)
    }

    /// Returns the time of the last.
    pub fn last_at(&self) -> Option<EventTime> {
        self.by_place.last_key_value().map(|((at, _), _)| *at)
    }

    /// Returns the number of signals.
    pub fn len(&self) -> usize {
        self.by_place.len()
    }
}

/// Returns the place of a conversation's signal among those of one time.
fn place_of(conversation: &str, number: u32) -> String {
    format!("{conversation}\0{number:010}")
}

/// Returns whether a signal holds what is so of its conversation from its arrival on. The others say what happened at
/// their time.
fn replaces_state(body: &SignalBody) -> bool {
    match body {
        SignalBody::RoutesMatched(_) => true,
        SignalBody::ConversationUpdated(update) => {
            matches!(update.change, ConversationChange::Deleted { .. } | ConversationChange::Edited { .. })
        }
        SignalBody::Watermark { .. } => false,
    }
}
