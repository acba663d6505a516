//! Complaints that belong together across networks: what the same author wrote on another one within minutes, and what quotes another.
//!
//! Authors are compared by a hash of their names as people keep them alike on several networks. Where one network tells no name,
//! the same words are all that is known, and that is what is said.

use std::collections::VecDeque;

use firewatch_domain::{Duration, EventTime, Matched, SimHash};
use serde::{Deserialize, Serialize};

use super::case::Case;

/// How far apart two posts of one author are written at most.
const APART: Duration = Duration::from_mins(10);
/// How many are remembered; in a storm that is less than ten minutes.
const MOST: usize = 64;
/// What a case is told to belong with at most.
const TOLD: usize = 4;

/// A complaint that another may be a twin of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Twin {
    conversation: String,
    platform: String,
    near: SimHash,
    author: Option<u32>,
    at: EventTime,
}

/// Complaints of the last minutes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Twins(VecDeque<Twin>);

/// Why a conversation belongs with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum By {
    /// The same author wrote the same on another network.
    Author,
    /// The same words are on another network, and it is not told by whom.
    Words,
    /// It quotes the other.
    Quote,
}

/// A conversation that another belongs with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Related {
    pub conversation: String,
    pub by: By,
}

impl Twins {
    /// Remembers a complaint; tells the twin that it has, if it has one.
    pub fn take(&mut self, matched: &Matched, at: EventTime) -> Option<Related> {
        let (near, platform) = (matched.near?, matched.platform.clone()?);
        let at = matched.posted_at.unwrap_or(at);
        self.0.retain(|twin| at - twin.at <= APART && twin.conversation != matched.conversation);
        let related = self.0.iter().rev().find_map(|twin| {
            let is_elsewhere = twin.platform != platform && twin.at - at <= APART;
            let by = match (twin.author, matched.author) {
                (Some(one), Some(other)) if one == other && twin.near.is_near(near) => By::Author,
                (Some(_), Some(_)) => return None,
                _ if twin.near == near => By::Words,
                _ => return None,
            };
            is_elsewhere.then(|| Related { conversation: twin.conversation.clone(), by })
        });
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        let conversation = matched.conversation.clone();
        self.0.push_back(Twin { conversation, platform, near, author: matched.author, at });
        related
    }

    /// Forgets a conversation whose words were taken back.
    pub fn forget(&mut self, conversation: &str) {
        self.0.retain(|twin| twin.conversation != conversation);
    }
}

impl Case {
    /// Takes note that it belongs with another.
    pub(crate) fn relate(&mut self, related: Related) {
        let is_known = self.related.iter().any(|known| known.conversation == related.conversation);
        if !is_known && self.related.len() < TOLD {
            self.related.push(related);
        }
    }
}

impl Related {
    /// In words.
    pub fn in_words(&self) -> String {
        let Self { conversation, by } = self;
        match by {
            By::Author => format!("its author wrote the same on another network: {conversation}"),
            By::Words => format!("the same words are on another network: {conversation}"),
            By::Quote => format!("it quotes {conversation}"),
        }
    }
}
