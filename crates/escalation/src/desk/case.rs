//! What a desk keeps of one conversation, or of one storm: the routes it is on, and the escalations about it.

use firewatch_domain::{Contribution, EventTime, Level, Matched, SimHash, Tenths};
use serde::{Deserialize, Serialize};

use crate::Life;
use crate::life::Reached;
use crate::policy::Policy;

use super::twins::Related;

/// A conversation that a team may have to be told of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Case {
    /// When it began: part of the names of its escalations. None for a storm, whose own name tells.
    pub(crate) began: Option<EventTime>,
    pub(crate) posted_at: Option<EventTime>,
    pub(crate) platform: Option<String>,
    pub(crate) risk: Option<Tenths>,
    pub(crate) excerpt: Option<String>,
    /// What it says when it is told first, or raised.
    pub(crate) reasons: Vec<String>,
    pub(crate) contributions: Vec<Contribution>,
    pub(crate) advice: Vec<String>,
    /// What it is about; of a storm, as most people write it.
    pub(crate) topics: Vec<String>,
    /// By which near-copies of it are known.
    pub(crate) near: Option<SimHash>,
    /// Conversations that it belongs with.
    pub(crate) related: Vec<Related>,
    /// Routes that it is on.
    pub(crate) routes: Vec<OnRoute>,
    /// Escalations about it, one for each team.
    pub(crate) lives: Vec<Life>,
    /// When the brand answered first.
    pub(crate) answered: Option<EventTime>,
    /// When the brand asked to go on in private, and by when that should have happened.
    pub(crate) asked: Option<Asked>,
    pub(crate) silenced_until: Option<EventTime>,
    /// The policy's silences that are on it.
    pub(crate) silences: Vec<String>,
    /// It counts for storms.
    pub(crate) counts: bool,
    /// The storm that it is told of as a part of.
    pub(crate) in_storm: Option<String>,
    /// Routes by whose groups it is told of.
    pub(crate) in_groups: Vec<String>,
    /// Of a storm or a group: how many are in it.
    pub(crate) members: Option<u64>,
    /// Teams whose budget it waits for.
    pub(crate) waits_for: Vec<String>,
    /// The trace context of what it was last heard of by.
    pub(crate) trace: Option<String>,
    /// When it has to be looked at next.
    pub(crate) next: Option<EventTime>,
}

/// A route that a case is on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OnRoute {
    pub route: String,
    pub level: Level,
    pub reason: String,
    /// The group of the route that it belongs to.
    pub group: Option<String>,
    /// When its team is told, at the earliest; none once it was.
    pub due: Option<EventTime>,
    /// When it is over by itself, since its conditions do not hold any more.
    pub over_at: Option<EventTime>,
    /// Its conditions do not hold any more.
    pub left: bool,
    /// Its team was told, or has its reason not to be.
    pub settled: bool,
}

/// A hand-off that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub at: EventTime,
    pub by: EventTime,
    pub told: bool,
}

impl OnRoute {
    /// One that its team is told of from a time on.
    pub(crate) fn due(route: &str, level: Level, reason: String, at: EventTime) -> Self {
        Self {
            route: route.into(),
            level,
            reason,
            group: None,
            due: Some(at),
            over_at: None,
            left: false,
            settled: false,
        }
    }

    /// Where it stands, as a note says it.
    pub(crate) fn in_words(&self) -> String {
        let Self { route, level, due, over_at, left, .. } = self;
        match (due, over_at) {
            (Some(due), _) => format!("on route {route} at {level}; told from {due} on, if it stays"),
            (None, Some(over_at)) => {
                format!("the conditions of {route} do not hold any more; it is over at {over_at}")
            }
            (None, None) if *left => {
                format!("the conditions of {route} do not hold any more; a person ends it")
            }
            (None, None) => format!("on route {route} at {level}"),
        }
    }
}

impl Case {
    /// One that nothing is known of yet.
    pub(crate) fn new(began: Option<EventTime>) -> Self {
        Self {
            began,
            posted_at: None,
            platform: None,
            risk: None,
            excerpt: None,
            reasons: vec![],
            contributions: vec![],
            advice: vec![],
            topics: vec![],
            near: None,
            related: vec![],
            routes: vec![],
            lives: vec![],
            answered: None,
            asked: None,
            silenced_until: None,
            silences: vec![],
            counts: false,
            in_storm: None,
            in_groups: vec![],
            members: None,
            waits_for: vec![],
            trace: None,
            next: None,
        }
    }

    /// Takes in what a conversation is now.
    pub(crate) fn take(&mut self, matched: Matched, at: EventTime, policy: &Policy) {
        let Matched {
            posted_at,
            platform,
            routes,
            counts,
            topics,
            near,
            risk,
            reasons,
            contributions,
            advice,
            excerpt,
            silences,
            silenced_until,
            answered,
            trace,
            ..
        } = matched;
        self.trace = trace.or(self.trace.take());
        self.posted_at = self.posted_at.or(posted_at);
        self.platform = platform.or(self.platform.take());
        self.risk = Some(risk);
        self.excerpt = excerpt.or(self.excerpt.take());
        (self.reasons, self.contributions, self.advice) = (reasons, contributions, advice);
        self.counts |= counts;
        self.silences = silences;
        self.silenced_until = self.silenced_until.max(silenced_until);
        if !topics.is_empty() {
            self.topics = topics;
        }
        self.near = near.or(self.near);
        if answered {
            self.answered.get_or_insert(at);
        }
        for on in &mut self.routes {
            if !routes.iter().any(|m| m.route == on.route) && !on.left {
                on.left = true;
                let route = policy.routes.get(&on.route);
                on.over_at = route.and_then(|route| route.clear_after).map(|after| at + after);
            }
        }
        // One that nobody was told of yet has not held for long enough.
        self.routes.retain(|on| !on.left || on.settled);
        self.routes.iter_mut().filter(|on| on.left).for_each(|on| on.due = None);
        for new in routes {
            let waits = policy.routes.get(&new.route).map(|route| at + route.hold + route.group_wait);
            match self.routes.iter_mut().find(|on| on.route == new.route) {
                None => {
                    let on = OnRoute::due(&new.route, new.level, new.reason, waits.unwrap_or(at));
                    self.routes.push(OnRoute { group: new.group, ..on });
                }
                Some(on) => {
                    (on.over_at, on.left) = (None, false);
                    if new.level > on.level {
                        let hold = policy.routes.get(&on.route).map_or(at, |route| at + route.hold);
                        on.due = Some(on.due.map_or(hold, |due| due.min(hold)));
                        (on.level, on.reason) = (new.level, new.reason);
                    }
                }
            }
        }
    }

    /// What the routes of a team that are due have reached, the highest.
    pub(crate) fn reached(&self, team: &str, now: EventTime, policy: &Policy) -> Option<Reached> {
        let due = self.routes.iter().filter(|on| on.due.is_some_and(|due| due <= now));
        let own = due.filter(|on| team_of(on, policy) == Some(team));
        let open = own.filter(|on| {
            let route = policy.routes.get(&on.route);
            !(route.is_some_and(|r| r.unless_answered) && self.answered.is_some())
        });
        // Of the same level, the risk is what is told: its route comes last by name, and the last maximum is taken.
        let highest = open.max_by_key(|on| on.level)?;
        Some(Reached { route: highest.route.clone(), level: highest.level, reason: highest.reason.clone() })
    }

    /// Teams that routes which are due would tell.
    pub(crate) fn teams_due(&self, now: EventTime, policy: &Policy) -> Vec<String> {
        let due = self.routes.iter().filter(|on| on.due.is_some_and(|due| due <= now));
        let mut teams: Vec<String> = due.filter_map(|on| team_of(on, policy)).map(str::to_owned).collect();
        teams.sort_unstable();
        teams.dedup();
        teams
    }

    /// Puts off what is due for a team.
    pub(crate) fn put_off(&mut self, team: &str, now: EventTime, until: EventTime, policy: &Policy) {
        for on in &mut self.routes {
            if on.due.is_some_and(|due| due <= now) && team_of(on, policy) == Some(team) {
                on.due = Some(until);
            }
        }
    }

    /// What was due for a team has been told, or is not to be told.
    pub(crate) fn settle(&mut self, team: &str, now: EventTime, policy: &Policy) {
        for on in &mut self.routes {
            if on.due.is_some_and(|due| due <= now) && team_of(on, policy) == Some(team) {
                (on.due, on.settled) = (None, true);
            }
        }
        self.waits_for.retain(|waits| waits != team);
    }

    /// Whether a team has a route left that has not ended.
    pub(crate) fn has_route(&self, team: &str, policy: &Policy) -> bool {
        self.routes.iter().any(|on| team_of(on, policy) == Some(team))
    }

    /// Drops what was only needed to tell it first.
    pub(crate) fn slim(&mut self) {
        if self.routes.iter().all(|on| on.due.is_none()) {
            self.reasons.clear();
            self.contributions.clear();
            self.advice.clear();
            self.topics.clear();
            self.near = None;
        }
    }

    /// Whether somebody has to be told of it, or was and it is not over.
    pub(crate) fn is_alive(&self) -> bool {
        self.routes.iter().any(|on| on.due.is_some()) || self.lives.iter().any(|life| !life.state.is_final())
    }
}

/// The team of a route, as long as the policy has it.
pub(crate) fn team_of<'p>(on: &OnRoute, policy: &'p Policy) -> Option<&'p str> {
    if on.route == super::STORM {
        return Some(policy.storms.team.as_str());
    }
    policy.routes.get(&on.route).map(|route| route.team.as_str())
}
