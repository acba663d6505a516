//! Links complaints across networks: cross-posts by one author within minutes, and quotes.
//!
//! Authors are compared by a hash of their normalised handle. Where a network provides no handle, only
//! identical text is evidence, and the reason says so.

use std::collections::VecDeque;

use firewatch_domain::{Duration, EventTime, RoutesMatched, SimHash};
use serde::{Deserialize, Serialize};

use super::incident::Incident;
use super::related::{Related, RelationKind};

/// Maximum time between two posts that count as a cross-post.
const MAX_TIME_APART: Duration = Duration::from_mins(10);
/// Maximum number of remembered complaints. In a storm they span less than ten minutes.
const MAX_REMEMBERED: usize = 64;
/// Maximum number of related conversations for each incident.
const MAX_RELATED: usize = 4;

/// A recent complaint that may be cross-posted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct CrossPostCandidate {
    conversation: String,
    platform: String,
    sim_hash: SimHash,
    author: Option<u32>,
    at: EventTime,
}

/// Complaints of the last minutes, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CrossPostIndex(VecDeque<CrossPostCandidate>);

impl CrossPostIndex {
    /// Remembers a complaint, and returns the complaint that it cross-posts, if any.
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

    /// Forgets a conversation whose text was deleted.
    pub fn forget(&mut self, conversation: &str) {
        self.0.retain(|candidate| candidate.conversation != conversation);
    }
}

impl Incident {
    /// Adds a related conversation, unless it is known or there are enough.
    pub(crate) fn relate(&mut self, related: Related) {
        let Some(known) = self.conversation_mut().map(|conversation| &mut conversation.related) else {
            return;
        };
        let is_known = known.iter().any(|known| known.conversation == related.conversation);
        if !is_known && known.len() < MAX_RELATED {
            known.push(related);
        }
    }
}
