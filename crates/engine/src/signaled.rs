//! What a conversation has sent to its brand's dispatchers, kept so that it sends only changes.

use firewatch_domain::EventTime;
use firewatch_scoring::short_hash;
use serde::{Deserialize, Serialize};

use crate::routes::RouteLevels;

/// What the brand's dispatchers know of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SignaledState {
    /// Whether the signals go to the dispatcher of the brands that the policy does not list.
    pub is_unlisted: bool,
    /// When the conversation began; part of the ids of its escalations.
    pub began: EventTime,
    /// One entry for each policy whose dispatcher received a signal.
    slots: Vec<SlotState>,
}

/// What one policy's dispatcher knows of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SlotState {
    /// The policy's slot; 0 is the active policy.
    pub slot: u32,
    /// Whether the conversation counts as a complaint for storms.
    pub counts_for_storms: bool,
    /// The routes that the conversation matches.
    pub routes: RouteLevels,
    /// Hash of the names of the policy's silences that match it; 0 when none does.
    pub silences: u32,
}

impl SlotState {
    /// Returns whether the dispatcher knows other silences of the conversation.
    pub fn has_other_silences(&self, names: &[String]) -> bool {
        self.silences != silences_hash(names)
    }
}

/// Returns the hash of the names of silences; 0 for none.
pub(crate) fn silences_hash(names: &[String]) -> u32 {
    if names.is_empty() { 0 } else { short_hash(&names.join("\n")) }
}

impl SignaledState {
    /// A state in which no policy's dispatcher has received a signal.
    pub fn new(is_unlisted: bool, began: EventTime) -> Self {
        Self { is_unlisted, began, slots: vec![] }
    }

    /// Whether the conversation matches no route of any policy.
    pub fn is_on_no_route(&self) -> bool {
        self.slots.iter().all(|state| state.routes.is_empty())
    }

    /// Returns the states of all policies whose dispatchers received a signal.
    pub fn slots(&self) -> &[SlotState] {
        &self.slots
    }

    /// Returns what the dispatcher of the policy in a slot knows.
    pub fn slot(&self, slot: u32) -> Option<&SlotState> {
        self.slots.iter().find(|state| state.slot == slot)
    }

    /// Returns the slot's state for changes; adds an empty one if there is none.
    pub fn slot_mut(&mut self, slot: u32) -> &mut SlotState {
        let i = self.slots.iter().position(|state| state.slot == slot).unwrap_or_else(|| {
            let (routes, silences) = (RouteLevels::NONE, 0);
            self.slots.push(SlotState { slot, counts_for_storms: false, routes, silences });
            self.slots.len() - 1
        });
        &mut self.slots[i]
    }
}
