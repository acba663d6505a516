//! Complaints that belong together across networks: what the same author wrote on another one within minutes, and what quotes another.
//!
//! Authors are compared by a hash of their names as people keep them alike on several networks. Where one network tells no name,
//! the same words are all that is known, and that is what is said.

use std::collections::VecDeque;

use firewatch_domain::{Duration, EventTime, RoutesMatched, SimHash};
use serde::{Deserialize, Serialize};

use super::incident::Incident;

/// How far apart two posts of one author are written at most.
const MAX_TIME_APART: Duration = Duration::from_mins(10);
/// How many are remembered; in a storm that is less than ten minutes.
const MAX_REMEMBERED: usize = 64;
/// What a case is told to belong with at most.
const MAX_RELATED: usize = 4;

/// A complaint that another may be a twin of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct CrossPostCandidate {
    conversation: String,
    platform: String,
    sim_hash: SimHash,
    author: Option<u32>,
    at: EventTime,
}

/// Complaints of the last minutes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CrossPostIndex(VecDeque<CrossPostCandidate>);

/// Why a conversation belongs with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RelationKind {
    /// The same author wrote the same on another network.
    SameAuthor,
    /// The same words are on another network, and it is not told by whom.
    SameText,
    /// It quotes the other.
    Quote,
}

/// A conversation that another belongs with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Related {
    pub conversation: String,
    pub kind: RelationKind,
}

impl CrossPostIndex {
    /// Remembers a complaint; tells the twin that it has, if it has one.
    pub fn observe(&mut self, routes_matched: &RoutesMatched, at: EventTime) -> Option<Related> {
        let (sim_hash, platform) = (routes_matched.sim_hash?, routes_matched.platform.clone()?);
        let at = routes_matched.posted_at.unwrap_or(at);
        self.0.retain(|candidate| {
            at - candidate.at <= MAX_TIME_APART && candidate.conversation != routes_matched.conversation
        });
        let related = self.0.iter().rev().find_map(|candidate| {
            let is_elsewhere = candidate.platform != platform && candidate.at - at <= MAX_TIME_APART;
            let kind = match (candidate.author, routes_matched.author) {
                (Some(one), Some(other)) if one == other && candidate.sim_hash.is_near(sim_hash) => {
                    RelationKind::SameAuthor
                }
                (Some(_), Some(_)) => return None,
                _ if candidate.sim_hash == sim_hash => RelationKind::SameText,
                _ => return None,
            };
            is_elsewhere.then(|| Related { conversation: candidate.conversation.clone(), kind })
        });
        if self.0.len() == MAX_REMEMBERED {
            self.0.pop_front();
        }
        let conversation = routes_matched.conversation.clone();
        self.0.push_back(CrossPostCandidate {
            conversation,
            platform,
            sim_hash,
            author: routes_matched.author,
            at,
        });
        related
    }

    /// Forgets a conversation whose words were taken back.
    pub fn forget(&mut self, conversation: &str) {
        self.0.retain(|candidate| candidate.conversation != conversation);
    }
}

impl Incident {
    /// Takes note that it belongs with another.
    pub(crate) fn relate(&mut self, related: Related) {
        let is_known = self.related.iter().any(|known| known.conversation == related.conversation);
        if !is_known && self.related.len() < MAX_RELATED {
            self.related.push(related);
        }
    }
}

impl Related {
    /// In words.
    pub fn describe(&self) -> String {
        let Self { conversation, kind } = self;
        match kind {
            RelationKind::SameAuthor => {
                format!("its author wrote the same on another network: {conversation}")
            }
            RelationKind::SameText => format!("the same words are on another network: {conversation}"),
            RelationKind::Quote => format!("it quotes {conversation}"),
        }
    }
}
