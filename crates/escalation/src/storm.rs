//! Storms: many complaints about one thing, told as one escalation that grows.

use std::collections::{BTreeMap, VecDeque};

use firewatch_domain::{EscalationState, Level, SimHash};
use serde::{Deserialize, Serialize};

use crate::PartKey;
use crate::Policy;
use crate::baseline::{Alarm, Window, span_windows, stem};
use crate::desk::case::{Case, OnRoute};
use crate::desk::growth::Growth;
use crate::desk::tell::{NoteKind, Telling};
use crate::desk::{Desk, STORM};

/// What a storm says of its posts.
const MUTED: &str = "its posts are not told one by one while it lasts";

/// A storm that is on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Storm {
    pub id: String,
    /// The words that its posts share.
    pub words: Vec<String>,
    growth: Growth,
    /// Members that joined in each of the latest windows.
    recent: VecDeque<u32>,
}

/// The brand that a storm's id names.
#[must_use]
pub fn storm_brand(conversation: &str) -> Option<&str> {
    conversation.strip_prefix("storm/")?.rsplit_once('/').map(|(brand, _)| brand)
}

impl Storm {
    /// Whether a complaint is about what the storm is about, or says what many of its posts say. A storm without a topic
    /// holds them all.
    pub fn holds(&self, topics: &[String], near: Option<SimHash>) -> bool {
        let is_named = |topic: &String| self.words.iter().any(|word| word == stem(topic));
        self.words.is_empty() || topics.iter().any(is_named) || self.growth.is_copied(near)
    }

    fn joined(&mut self, n: u32, policy: &Policy) {
        self.recent.push_back(n);
        while self.recent.len() > span_windows(policy) {
            self.recent.pop_front();
        }
    }
}

impl Desk {
    /// Takes a window of complaints in that no storm accounts for, and opens a storm when there are too many. Tells
    /// whether it did.
    pub(crate) fn watch_for_storm(&mut self, counted: Window, out: &Telling<'_>) -> bool {
        let policy = out.policy;
        // A storm about everything leaves nothing to learn from.
        let learns = self.head.storms.iter().all(|storm| !storm.words.is_empty());
        let mut volume = self.volume();
        let closed = volume.push(counted, (out.now - policy.windows.step, out.now), learns);
        let alarm = volume.alarm(out.now, policy).filter(|_| learns);
        if let Some(alarm) = &alarm {
            volume.account_for(&alarm.words);
        }
        if closed.bucket || alarm.is_some() {
            self.changed.insert(PartKey::Lately);
        }
        if closed.hour {
            self.changed.insert(PartKey::Season);
        }
        let Some(Alarm { posts, span, usual, deviations, words }) = alarm else { return false };
        let level = if deviations >= 3.0 * policy.storms.deviations { Level::High } else { Level::Medium };
        let topics = self.written(&words);
        let about = if words.is_empty() { String::new() } else { format!(" about {}", topics.join(", ")) };
        let reason = format!("{posts} complaints{about} within {span} where {usual:.0} are usual");
        let id = format!("storm/{}/{}", out.brand, out.now);
        let mut case = Case::new(None);
        case.routes.push(OnRoute::due(STORM, level, reason, out.now));
        case.topics = topics;
        case.reasons.push(MUTED.into());
        case.advice = policy.advised_for_storms();
        self.put_back(id.clone(), case, policy);
        let recent = VecDeque::new();
        self.head.storms.push(Storm { id, words, growth: Growth::new(out.now), recent });
        true
    }

    /// Stems as they are written most often of late.
    fn written(&self, stems: &[String]) -> Vec<String> {
        let topics = || self.cases.values().filter(|case| case.counts).flat_map(|case| &case.topics);
        let word = |wanted: &String| {
            let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
            for topic in topics().filter(|topic| stem(topic) == wanted) {
                *counts.entry(topic.rsplit('|').next().unwrap_or(topic)).or_default() += 1;
            }
            counts
                .into_iter()
                .max_by_key(|(_, n)| *n)
                .map_or_else(|| wanted.clone(), |(word, _)| word.to_owned())
        };
        stems.iter().map(word).collect()
    }

    /// Makes complaints members of the storms that they are about: those of this window, and when a storm was just
    /// `opened`, all that nobody was told of yet.
    pub(crate) fn join_storms(&mut self, new: &[String], opened: bool, out: &mut Telling<'_>) {
        let mut joined = vec![0; self.head.storms.len()];
        let mut ids = new.to_vec();
        if opened {
            let waiting = self.cases.iter().filter(|(_, case)| case.counts && case.lives.is_empty());
            ids.extend(waiting.map(|(id, _)| id.clone()));
        }
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let Some(case) = self.cases.get_mut(&id).filter(|case| case.in_storm.is_none()) else { continue };
            let Some(i) = self.head.storms.iter().position(|storm| storm.holds(&case.topics, case.near))
            else {
                continue;
            };
            joined[i] += 1;
            self.head.storms[i].growth.take(case.near);
            case.in_storm = Some(self.head.storms[i].id.clone());
            self.changed.insert(PartKey::Case(id.clone()));
            out.note(NoteKind::OnRoute, &id, || format!("part of {}", self.head.storms[i].id));
            let (storm, posted_at) = (self.head.storms[i].id.clone(), case.posted_at);
            if let Some(case) = self.cases.get_mut(&storm) {
                case.posted_at = case.posted_at.into_iter().chain(posted_at).min();
            }
        }
        for (storm, n) in self.head.storms.iter_mut().zip(joined) {
            storm.joined(n, out.policy);
            if let Some(case) = self.cases.get_mut(&storm.id) {
                case.members = Some(storm.growth.members);
                if case.lives.is_empty() {
                    case.reasons = storm.growth.copies().into_iter().chain([MUTED.to_owned()]).collect();
                }
                self.changed.insert(PartKey::Case(storm.id.clone()));
            }
        }
    }

    /// Tells of storms that have grown, and ends those that are over.
    pub(crate) fn tell_or_end_storms(&mut self, out: &mut Telling<'_>) {
        let calm = self.volume().calm(out.now, out.policy);
        for mut storm in std::mem::take(&mut self.head.storms) {
            let Some(mut case) = self.cases.remove(&storm.id) else { continue };
            let interval = out.policy.storms.group_interval;
            storm.growth.tell((&storm.id, &mut case), interval, out);
            let recent: u32 = storm.recent.iter().sum();
            let is_over = storm.recent.len() >= span_windows(out.policy) && f64::from(recent) <= calm;
            if is_over {
                let reason = format!("{recent} posts about it in five minutes");
                out.move_all(&storm.id, &mut case, EscalationState::Resolved, &reason);
            }
            self.put_back(storm.id.clone(), case, out.policy);
            if is_over {
                self.drop_case(&storm.id);
            } else {
                self.head.storms.push(storm);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use firewatch_domain::EventTime;

    use super::*;

    #[test]
    fn a_storm_holds_what_shares_its_topics_and_one_without_topics_holds_all() {
        let about = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let mut storm = Storm {
            id: String::new(),
            words: vec![],
            growth: Growth::new(EventTime::EARLIEST),
            recent: VecDeque::new(),
        };
        assert!(storm.holds(&about(&["bill"]), None) && storm.holds(&[], None));
        storm.words = about(&["portal", "down"]);
        assert!(storm.holds(&about(&["login", "down"]), None));
        assert!(!storm.holds(&about(&["bill"]), None) && !storm.holds(&[], None));
        let (copy, other) = (Some(SimHash(7)), Some(SimHash(u64::MAX)));
        (0..3).for_each(|_| storm.growth.take(copy));
        assert!(storm.holds(&about(&["bill"]), copy), "a copy of what is copied in it");
        assert!(!storm.holds(&about(&["bill"]), other));
    }
}
