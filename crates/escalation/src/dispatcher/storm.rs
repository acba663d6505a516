//! Storms: many complaints with one topic become one escalation that grows.

use std::collections::{BTreeMap, VecDeque};

use firewatch_domain::{EscalationState, Level, SimHash};
use serde::{Deserialize, Serialize};

use super::emitter::{DecisionKind, Emitter};
use super::growth::Growth;
use super::incident::{ActiveRoute, Incident};
use super::part_key::StatePartKey;
use super::{Dispatcher, STORM_ROUTE};
use crate::Policy;
use crate::baseline::{Alarm, ComplaintCounts, span_windows, stem};

/// Notice on every storm that its posts are muted.
const MUTED_NOTICE: &str = "alerts for individual posts are muted while the storm lasts";

/// An open storm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Storm {
    pub id: String,
    /// Stems that its posts share. Empty for a storm without a common topic.
    pub words: Vec<String>,
    growth: Growth,
    /// Number of members that joined in each of the latest windows.
    recent_joins: VecDeque<u32>,
}

/// Returns the brand in a storm's id, or `None` for any other id.
#[must_use]
pub fn storm_brand(conversation: &str) -> Option<&str> {
    conversation.strip_prefix("storm/")?.rsplit_once('/').map(|(brand, _)| brand)
}

impl Storm {
    /// Returns whether a complaint belongs to the storm: it shares a topic word, or is a near-copy of a text
    /// that is copied in it. A storm without a topic holds every complaint.
    pub fn holds(&self, topics: &[String], sim_hash: Option<SimHash>) -> bool {
        let is_named = |topic: &String| self.words.iter().any(|word| word == stem(topic));
        self.words.is_empty() || topics.iter().any(is_named) || self.growth.is_copied(sim_hash)
    }

    fn record_joined(&mut self, n: u32, policy: &Policy) {
        self.recent_joins.push_back(n);
        while self.recent_joins.len() > span_windows(policy) {
            self.recent_joins.pop_front();
        }
    }
}

impl Dispatcher {
    /// Adds a window of complaints that belong to no storm, and opens a storm when there are too many.
    /// Returns whether it opened one.
    pub(crate) fn detect_storm(&mut self, counts: ComplaintCounts, out: &Emitter<'_>) -> bool {
        let policy = out.policy;
        // A storm without a topic holds every complaint, so there is nothing to learn from.
        let learns = self.core.storms.iter().all(|storm| !storm.words.is_empty());
        let mut volume = self.volume();
        let rolled = volume.push(counts, out.now - policy.windows.step, out.now, learns);
        let alarm = volume.alarm(out.now, policy).filter(|_| learns);
        if let Some(alarm) = &alarm {
            volume.subtract_storm(&alarm.words);
        }
        if rolled.bucket || alarm.is_some() {
            self.changed.insert(StatePartKey::History);
        }
        if rolled.hour {
            self.changed.insert(StatePartKey::Profile);
        }
        let Some(Alarm { posts, span, expected, deviations, words }) = alarm else { return false };
        let level = if deviations >= 3.0 * policy.storms.deviations { Level::High } else { Level::Medium };
        let topics = self.common_spellings(&words);
        let about = if words.is_empty() { String::new() } else { format!(" about {}", topics.join(", ")) };
        let reason = format!("{posts} complaints{about} within {span} (usual: {expected:.0})");
        let id = format!("storm/{}/{}", out.brand, out.now);
        let mut incident = Incident::new(None);
        incident.routes.push(ActiveRoute::new(STORM_ROUTE, level, reason, out.now));
        incident.topics = topics;
        incident.reasons.push(MUTED_NOTICE.into());
        incident.advice = policy.storm_advice();
        self.put_back(id.clone(), incident, policy);
        let recent_joins = VecDeque::new();
        self.core.storms.push(Storm { id, words, growth: Growth::new(out.now), recent_joins });
        true
    }

    /// Returns the most frequent recent spelling of each stem.
    fn common_spellings(&self, stems: &[String]) -> Vec<String> {
        let topics = || {
            self.incidents
                .values()
                .filter(|incident| incident.counts_for_storms)
                .flat_map(|incident| &incident.topics)
        };
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

    /// Adds complaints to the storms they belong to: those of this window and, when a storm has just
    /// `opened`, all that have not been notified yet.
    pub(crate) fn join_storms(&mut self, new: &[String], opened: bool, out: &mut Emitter<'_>) {
        let mut joined = vec![0; self.core.storms.len()];
        let mut ids = new.to_vec();
        if opened {
            let waiting = self
                .incidents
                .iter()
                .filter(|(_, incident)| incident.counts_for_storms && incident.lifecycles.is_empty());
            ids.extend(waiting.map(|(id, _)| id.clone()));
        }
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let Some(incident) = self.incidents.get_mut(&id).filter(|incident| incident.storm_id.is_none())
            else {
                continue;
            };
            let Some(i) =
                self.core.storms.iter().position(|storm| storm.holds(&incident.topics, incident.sim_hash))
            else {
                continue;
            };
            joined[i] += 1;
            self.core.storms[i].growth.add_member(incident.sim_hash);
            incident.storm_id = Some(self.core.storms[i].id.clone());
            self.changed.insert(StatePartKey::Incident(id.clone()));
            out.record_decision(DecisionKind::RouteChanged, &id, || {
                format!("part of {}", self.core.storms[i].id)
            });
            let (storm, posted_at) = (self.core.storms[i].id.clone(), incident.posted_at);
            if let Some(incident) = self.incidents.get_mut(&storm) {
                incident.posted_at = incident.posted_at.into_iter().chain(posted_at).min();
            }
        }
        for (storm, n) in self.core.storms.iter_mut().zip(joined) {
            storm.record_joined(n, out.policy);
            if let Some(incident) = self.incidents.get_mut(&storm.id) {
                incident.members = Some(storm.growth.members);
                if incident.lifecycles.is_empty() {
                    incident.reasons =
                        storm.growth.describe_copies().into_iter().chain([MUTED_NOTICE.to_owned()]).collect();
                }
                self.changed.insert(StatePartKey::Incident(storm.id.clone()));
            }
        }
    }

    /// Emits growth of storms, and ends storms that have calmed down.
    pub(crate) fn update_storms(&mut self, out: &mut Emitter<'_>) {
        let calm = self.volume().calm_threshold(out.now, out.policy);
        for mut storm in std::mem::take(&mut self.core.storms) {
            let Some(mut incident) = self.incidents.remove(&storm.id) else { continue };
            let interval = out.policy.storms.group_interval;
            storm.growth.notify_growth(&storm.id, &mut incident, interval, out);
            let recent_posts: u32 = storm.recent_joins.iter().sum();
            let is_over =
                storm.recent_joins.len() >= span_windows(out.policy) && f64::from(recent_posts) <= calm;
            if is_over {
                let reason = format!("only {recent_posts} posts joined in the last five minutes");
                out.move_all(&storm.id, &mut incident, EscalationState::Resolved, &reason);
            }
            self.put_back(storm.id.clone(), incident, out.policy);
            if is_over {
                self.remove_incident(&storm.id);
            } else {
                self.core.storms.push(storm);
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
            recent_joins: VecDeque::new(),
        };
        assert!(storm.holds(&about(&["bill"]), None) && storm.holds(&[], None));
        storm.words = about(&["portal", "down"]);
        assert!(storm.holds(&about(&["login", "down"]), None));
        assert!(!storm.holds(&about(&["bill"]), None) && !storm.holds(&[], None));
        let (copy, other) = (Some(SimHash(7)), Some(SimHash(u64::MAX)));
        (0..3).for_each(|_| storm.growth.add_member(copy));
        assert!(storm.holds(&about(&["bill"]), copy), "a copy of what is copied in it");
        assert!(!storm.holds(&about(&["bill"]), other));
    }
}
