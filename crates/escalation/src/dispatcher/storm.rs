//! Storms: many complaints with one topic become one escalation that grows.

use std::collections::{BTreeMap, VecDeque};

use firewatch_domain::{EventTime, IncidentId, IncidentKind, Level, Reason, ReasonKind, SimHash};
use serde::{Deserialize, Serialize};

use super::Dispatcher;
use super::active_route::ActiveRoute;
use super::emitter::{DecisionKind, Emitter};
use super::growth::Growth;
use super::incident::{Details, Incident};
use super::part_key::StatePartKey;
use super::storm_window::{RECENT, STORM_STEP, ends_storm_window, recent_windows};
use super::verdict::{Suppression, quiet};
use crate::baseline::{Alarm, ComplaintCounts, stem};
use crate::{Policy, RouteRef};

/// Notice on every storm that its posts are muted.
const MUTED_NOTICE: &str = "alerts for individual posts are muted while the storm lasts";
/// How many times further from usual an open storm must be than a new one of the same level. A storm that grows quickly
/// would otherwise be raised seconds after it opened.
const RAISE_FACTOR: f64 = 3.0;

/// An open storm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Storm {
    pub id: IncidentId,
    pub level: Level,
    /// Its team has been notified of it.
    pub is_emitted: bool,
    /// Stems that its posts share. Empty for a storm without a common topic.
    pub words: Vec<String>,
    growth: Growth,
    /// Number of members that joined in each of the latest storm windows, the one in progress last.
    recent_joins: VecDeque<u32>,
    /// Number of members when a person ended its escalation.
    members_at_end: Option<u64>,
}

impl Storm {
    /// Builds a storm whose escalation no person has ended.
    pub(super) fn from_parts(
        id: IncidentId,
        level: Level,
        words: Vec<String>,
        growth: Growth,
        recent_joins: VecDeque<u32>,
    ) -> Self {
        Self { id, level, is_emitted: false, words, growth, recent_joins, members_at_end: None }
    }

    /// Returns whether a complaint belongs to the storm: it shares a topic word, or is a near-copy of a text
    /// that is copied in it. A storm without a topic holds every complaint.
    pub fn holds(&self, topics: &[String], sim_hash: Option<SimHash>) -> bool {
        let is_named = |topic: &String| self.words.iter().any(|word| word == stem(topic));
        self.words.is_empty() || topics.iter().any(is_named) || self.growth.is_copied(sim_hash)
    }

    fn count_join(&mut self) {
        match self.recent_joins.back_mut() {
            Some(current) => *current += 1,
            None => self.recent_joins.push_back(1),
        }
    }

    fn end_storm_window(&mut self, policy: &Policy) {
        while self.recent_joins.len() >= recent_windows(policy) {
            self.recent_joins.pop_front();
        }
        self.recent_joins.push_back(0);
    }
}

impl Incident {
    /// Returns whether an open storm mutes the conversation, so that its end decides about it.
    pub(super) fn waits_in_storm(&self, open: &[Storm]) -> bool {
        let storm = self.conversation().and_then(|conversation| conversation.storm.as_ref());
        storm.is_some_and(|storm| open.iter().any(|one| one.id == *storm))
            && self.routes.iter().any(|active| active.muted && !active.lapsed)
    }
}

impl Dispatcher {
    /// Returns whether an open storm holds a complaint.
    pub(super) fn is_in_storm(&self, topics: &[String], sim_hash: Option<SimHash>) -> bool {
        self.core.storms.iter().any(|storm| storm.holds(topics, sim_hash))
    }

    /// Counts complaints that belong to no storm. At the end of a storm window it opens a storm when there are
    /// too many, and returns whether it did.
    pub(super) fn count_complaints(&mut self, counts: &ComplaintCounts, out: &Emitter<'_>) -> bool {
        let step = out.policy.windows.step;
        let (start, window) = &mut self.core.storm_window;
        if counts.posts > 0 {
            window.add(counts);
        }
        let start = *start.get_or_insert(out.now - step);
        if !ends_storm_window(out.now, step) {
            return false;
        }
        let counts = std::mem::take(&mut self.core.storm_window.1);
        self.core.storm_window.0 = Some(out.now);
        // A gap in which nobody looked is not counted as a time without complaints.
        let start = start.max(out.now - step.max(STORM_STEP));
        self.detect_storm(counts, start, out)
    }

    /// Opens a storm when the complaints are too many. Returns whether it opened one.
    fn detect_storm(&mut self, counts: ComplaintCounts, start: EventTime, out: &Emitter<'_>) -> bool {
        let policy = out.policy;
        // A storm without a topic holds every complaint, so there is nothing to learn from.
        let learns = self.core.storms.iter().all(|storm| !storm.words.is_empty());
        let mut volume = self.volume();
        let rolled = volume.push(counts, start, out.now, learns);
        let alarm = volume.alarm(start, out.now, policy).filter(|_| learns);
        if let Some(alarm) = &alarm {
            volume.subtract_storm(&alarm.words);
        }
        if rolled.bucket || alarm.is_some() {
            self.changed.insert(StatePartKey::History);
        }
        if rolled.hour {
            self.changed.insert(StatePartKey::Profile);
        }
        let Some(Alarm { posts, about: of_topic, span, expected, deviations, words }) = alarm else {
            return false;
        };
        let level = level_of(deviations, policy);
        let topics = self.common_spellings(&words);
        let about = about(&topics);
        let about = if topics.is_empty() || of_topic == posts {
            about
        } else {
            format!(", at least {of_topic} of them{about},")
        };
        let reason = format!("{posts} complaints{about} within {span} (usual: {expected:.0})");
        let id = IncidentId::storm(out.brand, out.now);
        let mut incident = Incident::new(Details::Storm { members: 0 });
        incident.routes.push(ActiveRoute::new(RouteRef::Storm, level, reason, out.now));
        incident.topics = topics;
        incident.reasons.push(muted_notice());
        incident.advice = policy.storm_advice();
        self.incidents.check_in(&id, incident, policy);
        let (growth, recent_joins) = (Growth::new(out.now), VecDeque::from([0]));
        self.core.storms.push(Storm::from_parts(id, level, words, growth, recent_joins));
        true
    }

    /// Returns the most frequent recent spelling of each stem.
    fn common_spellings(&self, stems: &[String]) -> Vec<String> {
        let topics = || {
            let complaints = self.incidents.iter().filter(|(_, incident)| {
                incident.conversation().is_some_and(|conversation| conversation.counts_for_storms)
            });
            complaints.flat_map(|(_, incident)| &incident.topics)
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
    /// `opened`, all that wait.
    pub(super) fn join_storms(&mut self, new: &[String], opened: bool, out: &mut Emitter<'_>) {
        if self.core.storms.is_empty() {
            return;
        }
        let mut ids: Vec<IncidentId> = new.iter().map(IncidentId::conversation).collect();
        if opened {
            let waiting = self.incidents.iter().filter(|(_, incident)| incident.joins_new_storm(out.policy));
            ids.extend(waiting.map(|(id, _)| id.clone()));
        }
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            self.join_storm(&id, out);
        }
        for storm in &self.core.storms {
            let (members, copies) = (storm.growth.members, storm.growth.describe_copies());
            let known = self.incidents.get(&storm.id).and_then(|incident| incident.details.members());
            if known == Some(members) {
                continue;
            }
            self.incidents.edit(&storm.id, |incident| {
                incident.details = Details::Storm { members };
                if incident.lifecycles.is_empty() {
                    let copies = copies.map(|text| Reason::new(ReasonKind::Copies, text));
                    incident.reasons = copies.into_iter().chain([muted_notice()]).collect();
                }
            });
        }
    }

    /// Adds a complaint to the storm it belongs to, unless it is in one.
    fn join_storm(&mut self, id: &IncidentId, out: &mut Emitter<'_>) {
        let Some(incident) = self.incidents.get(id) else { return };
        let Some(conversation) = incident.conversation().filter(|c| c.storm.is_none()) else { return };
        let (sim_hash, posted_at) = (conversation.sim_hash, incident.posted_at);
        let holds = |storm: &&mut Storm| storm.holds(&incident.topics, sim_hash);
        let Some(storm) = self.core.storms.iter_mut().find(holds) else { return };
        storm.count_join();
        storm.growth.add_member(sim_hash);
        let storm_id = storm.id.clone();
        out.record_decision(DecisionKind::RouteChanged, id, || format!("part of {storm_id}"));
        if let Some(mut incident) = self.incidents.check_out(id) {
            if let Some(conversation) = incident.conversation_mut() {
                conversation.storm = Some(storm_id.clone());
            }
            incident.decide_in_storm(out.now, out.policy);
            self.incidents.check_in(id, incident, out.policy);
        }
        self.incidents.edit(&storm_id, |storm| {
            storm.posted_at = storm.posted_at.into_iter().chain(posted_at).min();
        });
    }

    /// Emits growth of storms, and ends storms that have calmed down.
    pub(super) fn update_storms(&mut self, out: &mut Emitter<'_>) {
        let ends_window = ends_storm_window(out.now, out.policy.windows.step);
        let calm = if ends_window { self.volume().calm_threshold(out.now, out.policy) } else { 0.0 };
        for mut storm in std::mem::take(&mut self.core.storms) {
            let Some(incident) = self.incidents.get(&storm.id) else { continue };
            storm.is_emitted |= !incident.lifecycles.is_empty();
            self.notify_growth(&storm.id, &mut storm.growth, out.policy.storms.group_interval, out);
            let recent: u32 = storm.recent_joins.iter().sum();
            let is_whole = storm.recent_joins.len() >= recent_windows(out.policy);
            if ends_window && is_whole && f64::from(recent) <= calm {
                self.end_storm(&storm, recent, out);
                continue;
            }
            if ends_window {
                self.raise_storm(&mut storm, recent, out);
                storm.end_storm_window(out.policy);
            }
            self.reopen_storm(&mut storm, out);
            self.core.storms.push(storm);
        }
    }

    /// Raises the level of a storm that has become clearly worse; it never falls.
    fn raise_storm(&mut self, storm: &mut Storm, recent: u32, out: &Emitter<'_>) {
        let (deviations, usual) = self.volume().deviations_of_storm(recent, &storm.words, out.now);
        let level = level_of(deviations / RAISE_FACTOR, out.policy);
        if level <= storm.level {
            return;
        }
        storm.level = level;
        let Some(mut incident) = self.incidents.check_out(&storm.id) else { return };
        let about = about(&incident.topics);
        if let Some(active) = incident.routes.first_mut() {
            active.reason = format!("{recent} complaints{about} within {RECENT} (usual: {usual:.0})");
            (active.level, active.due) = (level, Some(out.now));
        }
        self.incidents.check_in(&storm.id, incident, out.policy);
    }

    /// Opens the escalation of a storm again that a person ended and that has doubled since. What waits to be opened
    /// again names the number of posts at that time.
    fn reopen_storm(&mut self, storm: &mut Storm, out: &mut Emitter<'_>) {
        let Some(incident) = self.incidents.get(&storm.id) else { return };
        let is_ended = incident.lifecycles.first().is_some_and(|lifecycle| !lifecycle.is_live());
        if !is_ended {
            storm.members_at_end = None;
            return;
        }
        let members = storm.growth.members;
        let at_end = *storm.members_at_end.get_or_insert(members);
        if members < 2 * at_end.max(1) {
            return;
        }
        let Some(mut incident) = self.incidents.check_out(&storm.id) else { return };
        let about = about(&incident.topics);
        if let Some(active) = incident.routes.first_mut() {
            active.reason =
                format!("{members} complaints{about}; there were {at_end} when a person ended it");
            if active.due.is_none() {
                (active.since, active.due) = (out.now, Some(out.now));
            }
        }
        self.incidents.check_in(&storm.id, incident, out.policy);
    }

    fn end_storm(&mut self, storm: &Storm, recent: u32, out: &mut Emitter<'_>) {
        let topics = self.incidents.get(&storm.id).map_or_else(Vec::new, |incident| incident.topics.clone());
        let posts = if recent == 1 { "1 post" } else { &format!("{recent} posts") };
        let happened = format!("only {posts} joined in the last five minutes");
        let incident = self.incidents.get(&storm.id);
        let is_due = incident.is_some_and(|one| one.routes.iter().any(|active| active.due.is_some()));
        if !is_due || !self.keep_slept_storm(storm, out) {
            self.end_incident(&storm.id, &happened, out);
        }
        self.make_storm_digests(&storm.id, &topics, out);
        self.group_waiting(&storm.id, &about(&topics), out);
        self.remove_ended_members(&storm.id, out);
    }

    /// Removes the conversations that ended while the storm muted them, unless a digest lists them.
    fn remove_ended_members(&mut self, storm: &IncidentId, out: &mut Emitter<'_>) {
        let members =
            self.incidents.iter().filter(|(_, one)| one.is_in_storm(storm.as_str()) && one.is_over());
        for id in members.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.remove_if_ended(&id, out);
        }
    }

    /// Keeps the incident of a storm that ends while its team sleeps, so that the team is notified when it
    /// wakes. Returns whether it does.
    fn keep_slept_storm(&mut self, storm: &Storm, out: &mut Emitter<'_>) -> bool {
        let name = &out.policy.storms.team;
        let Some((_, asleep)) = quiet(name, storm.level, out.now, out.policy) else { return false };
        let wakes = out.policy.teams.get(name).is_some_and(|team| !team.never_wakes_for(storm.level));
        let suppression = if wakes { asleep } else { Suppression::NeverAwake(storm.level) };
        out.record_suppression(&suppression, &storm.id, name);
        if wakes {
            let members = storm.growth.members;
            self.incidents.edit(&storm.id, |incident| {
                incident.reasons.retain(|reason| reason.kind != ReasonKind::Muted);
                for active in &mut incident.routes {
                    let ended = format!("; {members} in all when it ended at {}", out.now);
                    active.reason.push_str(&ended);
                }
            });
        }
        wakes
    }

    /// Ends the escalation of a storm that had ended before its team was notified of it, or of its level.
    pub(super) fn end_slept_storm(&mut self, id: &IncidentId, out: &mut Emitter<'_>) {
        let is_ended =
            id.kind() == IncidentKind::Storm && self.core.storms.iter().all(|storm| storm.id != *id);
        let is_decided = |incident: &Incident| incident.routes.iter().all(|active| active.due.is_none());
        if is_ended && self.incidents.get(id).is_some_and(is_decided) {
            self.end_incident(id, "the storm had ended before its team was awake", out);
        }
    }
}

/// Returns the level of a storm whose complaints are this many deviations above the usual number.
fn level_of(deviations: f64, policy: &Policy) -> Level {
    if deviations >= 3.0 * policy.storms.deviations { Level::High } else { Level::Medium }
}

fn muted_notice() -> Reason {
    Reason::new(ReasonKind::Muted, MUTED_NOTICE)
}

/// Returns ` about` and the topics; empty when there are none.
pub(super) fn about(topics: &[String]) -> String {
    if topics.is_empty() { String::new() } else { format!(" about {}", topics.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_holds_what_shares_its_topics_and_one_without_topics_holds_all() {
        let about = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let mut storm = Storm {
            id: IncidentId::conversation(""),
            level: Level::Medium,
            is_emitted: true,
            words: vec![],
            growth: Growth::new(EventTime::EARLIEST),
            recent_joins: VecDeque::new(),
            members_at_end: None,
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
