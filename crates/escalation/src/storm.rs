//! A storm: many complaints about one thing, told as one escalation that grows.

use firewatch_domain::{EventTime, Level};
use serde::{Deserialize, Serialize};

use crate::{Life, Step, Storms};

/// Many complaints about one thing: one escalation that grows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Storm {
    pub id: String,
    pub life: Life,
    pub first_post: Option<EventTime>,
    pub topics: Vec<String>,
    pub members: u64,
    told_members: u64,
    told_at: EventTime,
    /// Why it was opened, until that is told.
    opened: Option<Step>,
}

/// The brand that a storm's id names.
#[must_use]
pub fn storm_brand(conversation: &str) -> Option<&str> {
    conversation.strip_prefix("storm/")?.rsplit_once('/').map(|(brand, _)| brand)
}

impl Storm {
    /// A storm seen at a time, without members yet and not told.
    pub fn new(brand: &str, at: EventTime, level: Level, opened: Step) -> Self {
        Self {
            id: format!("storm/{brand}/{at}"),
            life: Life::open(level, None),
            first_post: None,
            topics: Vec::new(),
            members: 0,
            told_members: 0,
            told_at: at,
            opened: Some(opened),
        }
    }

    /// Its opening, or its growth when it is time to tell that and nobody has called it done.
    pub fn news(&mut self, now: EventTime, policy: &Storms) -> Option<Step> {
        let step = match self.opened.take() {
            Some(opened) => opened,
            None if self.life.state.is_final() => return None,
            None if now - self.told_at < policy.group_interval || self.members == self.told_members => {
                return None;
            }
            None => {
                self.life.step += 1;
                Step { reason: format!("grew from {} to {} posts", self.told_members, self.members) }
            }
        };
        self.told_at = now;
        self.told_members = self.members;
        Some(step)
    }

    /// Whether a complaint is about what the storm is about. A storm without a topic holds them all.
    pub fn holds(&self, topics: &[String]) -> bool {
        self.topics.is_empty() || topics.iter().any(|t| self.topics.contains(t))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_holds_what_shares_its_topics_and_one_without_topics_holds_all() {
        let opened = Step { reason: String::new() };
        let mut storm = Storm::new("acme", EventTime::EARLIEST, Level::Medium, opened);
        let about = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        assert!(storm.holds(&about(&["bill"])) && storm.holds(&[]));
        storm.topics = about(&["portal", "down"]);
        assert!(storm.holds(&about(&["login", "down"])));
        assert!(!storm.holds(&about(&["bill"])) && !storm.holds(&[]));
    }
}
