//! Incidents: what a dispatcher keeps of one thing worth an alert, and their ids.
//!
//! The id of a conversation is the conversation's own. Other incidents have a prefix on the wire; nothing but
//! this module reads it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::EventTime;

/// What an incident is about.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum IncidentKind {
    /// One conversation.
    #[default]
    Conversation,
    /// Many complaints at once, usually about one topic.
    Storm,
    /// Conversations on one route with equal `group_by` values.
    Group,
    /// What waits for a team's budget, or what a storm muted.
    Digest,
    /// A silence of the policy that lapses soon.
    SilenceNotice,
}

impl IncidentKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Conversation, Self::Storm, Self::Group, Self::Digest, Self::SilenceNotice];

    /// Returns the kind as spelled on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::Storm => "storm",
            Self::Group => "group",
            Self::Digest => "digest",
            Self::SilenceNotice => "silence_notice",
        }
    }

    /// Returns the first segment of the ids of this kind; `None` for conversations, which have none.
    fn prefix(self) -> Option<&'static str> {
        match self {
            Self::Conversation => None,
            Self::Storm => Some("storm/"),
            Self::Group => Some("group/"),
            Self::Digest => Some("digest/"),
            Self::SilenceNotice => Some("silence/"),
        }
    }
}

/// Id of an incident.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId {
    id: String,
    kind: IncidentKind,
}

impl IncidentId {
    /// The incident of one conversation.
    #[must_use]
    pub fn conversation(id: impl Into<String>) -> Self {
        Self { id: id.into(), kind: IncidentKind::Conversation }
    }

    /// A storm of a brand that opened at a time.
    #[must_use]
    pub fn storm(brand: &str, opened_at: EventTime) -> Self {
        Self { id: format!("storm/{brand}/{opened_at}"), kind: IncidentKind::Storm }
    }

    /// A group on a route; `key` has the values of its `group_by` keys.
    #[must_use]
    pub fn group(brand: &str, route: &str, key: &str, opened_at: EventTime) -> Self {
        Self { id: format!("group/{brand}/{route}/{key}/{opened_at}"), kind: IncidentKind::Group }
    }

    /// A digest for a team.
    #[must_use]
    pub fn digest(brand: &str, team: &str, opened_at: EventTime) -> Self {
        Self { id: format!("digest/{brand}/{team}/{opened_at}"), kind: IncidentKind::Digest }
    }

    /// The notice of a silence of the policy.
    #[must_use]
    pub fn silence_notice(brand: &str, silence: &str) -> Self {
        Self { id: format!("silence/{brand}/{silence}"), kind: IncidentKind::SilenceNotice }
    }

    /// Reads an id from the wire as that of anything but a conversation; `None` when it has no known prefix.
    #[must_use]
    pub fn from_prefix(id: &str) -> Option<Self> {
        let has_prefix = |kind: &IncidentKind| kind.prefix().is_some_and(|prefix| id.starts_with(prefix));
        let kind = IncidentKind::ALL.into_iter().find(has_prefix)?;
        Some(Self { id: id.to_owned(), kind })
    }

    /// Returns the id as spelled on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.id
    }

    /// Returns what the incident is about.
    #[must_use]
    pub fn kind(&self) -> IncidentKind {
        self.kind
    }

    /// Returns whether it is the incident of one conversation.
    #[must_use]
    pub fn is_conversation(&self) -> bool {
        self.kind == IncidentKind::Conversation
    }

    /// Returns whether the incident can be one of a brand's. A name with slashes can fit several ids, so this
    /// may hold for two brands; false for conversations, whose ids name no brand.
    #[must_use]
    pub fn may_be_of_brand(&self, brand: &str) -> bool {
        let rest = self.kind.prefix().and_then(|prefix| self.id.strip_prefix(prefix));
        rest.and_then(|rest| rest.strip_prefix(brand)).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Returns a storm's brand: all of its id between the prefix and the time.
    #[must_use]
    pub fn storm_brand(&self) -> Option<&str> {
        let rest = self.id.strip_prefix("storm/").filter(|_| self.kind == IncidentKind::Storm)?;
        rest.rsplit_once('/').map(|(brand, _)| brand)
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_back_with_their_kind() {
        let at = EventTime::EARLIEST;
        for id in [
            IncidentId::storm("a/b", at),
            IncidentId::group("a", "storm", "x+en", at),
            IncidentId::digest("a", "pr", at),
            IncidentId::silence_notice("a", "digest/x"),
        ] {
            assert_eq!(IncidentId::from_prefix(id.as_str()), Some(id.clone()));
        }
        assert_eq!(IncidentId::from_prefix("x:1"), None);
        assert_eq!(IncidentId::conversation("storm/a/1").kind(), IncidentKind::Conversation);
    }

    #[test]
    fn a_brand_with_a_slash_keeps_its_incidents() {
        let storm = IncidentId::storm("a/b", EventTime::EARLIEST);
        assert_eq!(storm.storm_brand(), Some("a/b"));
        assert!(storm.may_be_of_brand("a/b") && storm.may_be_of_brand("a"));
        assert!(!storm.may_be_of_brand("a/bc") && !storm.may_be_of_brand("b"));
        assert!(!IncidentId::conversation("storm/a/1").may_be_of_brand("a"));
    }
}
