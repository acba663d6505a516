//! What a desk keeps of one conversation, or of one storm: the routes it is on, and the escalations about it.

use firewatch_domain::{Contribution, EventTime, Level, RoutesMatched, SimHash, Tenths};
use serde::{Deserialize, Serialize};

use crate::Lifecycle;
use crate::lifecycle::Trigger;
use crate::policy::Policy;

use super::cross_posts::Related;

/// A conversation that a team may have to be told of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Incident {
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
    pub(crate) sim_hash: Option<SimHash>,
    /// Conversations that it belongs with.
    pub(crate) related: Vec<Related>,
    /// Routes that it is on.
    pub(crate) routes: Vec<ActiveRoute>,
    /// Escalations about it, one for each team.
    pub(crate) lifecycles: Vec<Lifecycle>,
    /// When the brand answered first.
    pub(crate) answered_at: Option<EventTime>,
    /// When the brand asked to go on in private, and by when that should have happened.
    pub(crate) hand_off_request: Option<HandOffRequest>,
    pub(crate) silenced_until: Option<EventTime>,
    /// The policy's silences that are on it.
    pub(crate) silences: Vec<String>,
    /// It counts for storms.
    pub(crate) counts_for_storms: bool,
    /// The storm that it is told of as a part of.
    pub(crate) storm_id: Option<String>,
    /// Routes by whose groups it is told of.
    pub(crate) in_groups: Vec<String>,
    /// Of a storm or a group: how many are in it.
    pub(crate) members: Option<u64>,
    /// Teams whose budget it waits for.
    pub(crate) over_budget_teams: Vec<String>,
    /// The trace context of what it was last heard of by.
    pub(crate) trace: Option<String>,
    /// When it has to be looked at next.
    pub(crate) next_due: Option<EventTime>,
}

/// A route that a case is on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ActiveRoute {
    pub route: String,
    pub level: Level,
    pub reason: String,
    /// The group of the route that it belongs to.
    pub group: Option<String>,
    /// When its team is told, at the earliest; none once it was.
    pub due: Option<EventTime>,
    /// When it is over by itself, since its conditions do not hold any more.
    pub ends_at: Option<EventTime>,
    /// Its conditions do not hold any more.
    pub lapsed: bool,
    /// Its team was told, or has its reason not to be.
    pub decided: bool,
}

/// A hand-off that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandOffRequest {
    pub at: EventTime,
    pub deadline: EventTime,
    pub stall_notified: bool,
}

impl ActiveRoute {
    /// One that its team is told of from a time on.
    pub(crate) fn new(route: &str, level: Level, reason: String, at: EventTime) -> Self {
        Self {
            route: route.into(),
            level,
            reason,
            group: None,
            due: Some(at),
            ends_at: None,
            lapsed: false,
            decided: false,
        }
    }

    /// Where it stands, as a note says it.
    pub(crate) fn describe(&self) -> String {
        let Self { route, level, due, ends_at, lapsed, .. } = self;
        match (due, ends_at) {
            (Some(due), _) => format!("on route {route} at {level}; told from {due} on, if it stays"),
            (None, Some(over_at)) => {
                format!("the conditions of {route} do not hold any more; it is over at {over_at}")
            }
            (None, None) if *lapsed => {
                format!("the conditions of {route} do not hold any more; a person ends it")
            }
            (None, None) => format!("on route {route} at {level}"),
        }
    }
}

impl Incident {
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
            sim_hash: None,
            related: vec![],
            routes: vec![],
            lifecycles: vec![],
            answered_at: None,
            hand_off_request: None,
            silenced_until: None,
            silences: vec![],
            counts_for_storms: false,
            storm_id: None,
            in_groups: vec![],
            members: None,
            over_budget_teams: vec![],
            trace: None,
            next_due: None,
        }
    }

    /// Takes in what a conversation is now.
    pub(crate) fn apply_match(&mut self, routes_matched: RoutesMatched, at: EventTime, policy: &Policy) {
        let RoutesMatched {
            posted_at,
            platform,
            routes,
            counts_for_storms,
            topics,
            sim_hash,
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
        } = routes_matched;
        self.trace = trace.or(self.trace.take());
        self.posted_at = self.posted_at.or(posted_at);
        self.platform = platform.or(self.platform.take());
        self.risk = Some(risk);
        self.excerpt = excerpt.or(self.excerpt.take());
        (self.reasons, self.contributions, self.advice) = (reasons, contributions, advice);
        self.counts_for_storms |= counts_for_storms;
        self.silences = silences;
        self.silenced_until = self.silenced_until.max(silenced_until);
        if !topics.is_empty() {
            self.topics = topics;
        }
        self.sim_hash = sim_hash.or(self.sim_hash);
        if answered {
            self.answered_at.get_or_insert(at);
        }
        for active in &mut self.routes {
            if !routes.iter().any(|m| m.route == active.route) && !active.lapsed {
                active.lapsed = true;
                let route = policy.routes.get(&active.route);
                active.ends_at = route.and_then(|route| route.clear_after).map(|after| at + after);
            }
        }
        // One that nobody was told of yet has not held for long enough.
        self.routes.retain(|active| !active.lapsed || active.decided);
        self.routes.iter_mut().filter(|active| active.lapsed).for_each(|active| active.due = None);
        for new in routes {
            let waits = policy.routes.get(&new.route).map(|route| at + route.hold + route.group_wait);
            match self.routes.iter_mut().find(|active| active.route == new.route) {
                None => {
                    let active = ActiveRoute::new(&new.route, new.level, new.reason, waits.unwrap_or(at));
                    self.routes.push(ActiveRoute { group: new.group, ..active });
                }
                Some(active) => {
                    (active.ends_at, active.lapsed) = (None, false);
                    if new.level > active.level {
                        let hold = policy.routes.get(&active.route).map_or(at, |route| at + route.hold);
                        active.due = Some(active.due.map_or(hold, |due| due.min(hold)));
                        (active.level, active.reason) = (new.level, new.reason);
                    }
                }
            }
        }
    }

    /// What the routes of a team that are due have reached, the highest.
    pub(crate) fn due_trigger(&self, team: &str, now: EventTime, policy: &Policy) -> Option<Trigger> {
        let due = self.routes.iter().filter(|active| active.due.is_some_and(|due| due <= now));
        let own = due.filter(|active| route_team(active, policy) == Some(team));
        let open = own.filter(|active| {
            let route = policy.routes.get(&active.route);
            !(route.is_some_and(|r| r.unless_answered) && self.answered_at.is_some())
        });
        // Of the same level, the risk is what is told: its route comes last by name, and the last maximum is taken.
        let highest = open.max_by_key(|active| active.level)?;
        Some(Trigger { route: highest.route.clone(), level: highest.level, reason: highest.reason.clone() })
    }

    /// Teams that routes which are due would tell.
    pub(crate) fn teams_due(&self, now: EventTime, policy: &Policy) -> Vec<String> {
        let due = self.routes.iter().filter(|active| active.due.is_some_and(|due| due <= now));
        let mut teams: Vec<String> =
            due.filter_map(|active| route_team(active, policy)).map(str::to_owned).collect();
        teams.sort_unstable();
        teams.dedup();
        teams
    }

    /// Puts off what is due for a team.
    pub(crate) fn defer(&mut self, team: &str, now: EventTime, until: EventTime, policy: &Policy) {
        for active in &mut self.routes {
            if active.due.is_some_and(|due| due <= now) && route_team(active, policy) == Some(team) {
                active.due = Some(until);
            }
        }
    }

    /// What was due for a team has been told, or is not to be told.
    pub(crate) fn mark_decided(&mut self, team: &str, now: EventTime, policy: &Policy) {
        for active in &mut self.routes {
            if active.due.is_some_and(|due| due <= now) && route_team(active, policy) == Some(team) {
                (active.due, active.decided) = (None, true);
            }
        }
        self.over_budget_teams.retain(|waiting| waiting != team);
    }

    /// Whether a team has a route left that has not ended.
    pub(crate) fn has_route(&self, team: &str, policy: &Policy) -> bool {
        self.routes.iter().any(|active| route_team(active, policy) == Some(team))
    }

    /// Drops what was only needed to tell it first.
    pub(crate) fn clear_details(&mut self) {
        if self.routes.iter().all(|active| active.due.is_none()) {
            self.reasons.clear();
            self.contributions.clear();
            self.advice.clear();
            self.topics.clear();
            self.sim_hash = None;
        }
    }

    /// Whether somebody has to be told of it, or was and it is not over.
    pub(crate) fn is_alive(&self) -> bool {
        self.routes.iter().any(|active| active.due.is_some())
            || self.lifecycles.iter().any(|lifecycle| !lifecycle.state.is_final())
    }
}

/// The team of a route, as long as the policy has it.
pub(crate) fn route_team<'p>(active: &ActiveRoute, policy: &'p Policy) -> Option<&'p str> {
    if active.route == super::STORM_ROUTE {
        return Some(policy.storms.team.as_str());
    }
    policy.routes.get(&active.route).map(|route| route.team.as_str())
}
