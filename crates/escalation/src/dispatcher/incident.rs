//! An incident: the routes it is on, and one lifecycle of escalations for each team.

use firewatch_domain::{Contribution, EventTime, Level, RoutesMatched, SimHash, Tenths};
use serde::{Deserialize, Serialize};

use crate::Lifecycle;
use crate::lifecycle::Trigger;
use crate::policy::Policy;

use super::related::Related;

/// What a dispatcher keeps of one thing worth an alert: a conversation, storm, group, digest or silence
/// notice.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Incident {
    /// When the conversation began: part of its escalation ids. `None` for other incidents, whose own id is
    /// unique.
    pub(crate) began: Option<EventTime>,
    pub(crate) posted_at: Option<EventTime>,
    pub(crate) platform: Option<String>,
    pub(crate) risk: Option<Tenths>,
    pub(crate) excerpt: Option<String>,
    /// Reasons that follow the first one when it opens or is raised.
    pub(crate) reasons: Vec<String>,
    pub(crate) contributions: Vec<Contribution>,
    pub(crate) advice: Vec<String>,
    /// Topic words; for a storm in their most common spelling.
    pub(crate) topics: Vec<String>,
    /// SimHash by which near-copies are recognised.
    pub(crate) sim_hash: Option<SimHash>,
    /// Related conversations.
    pub(crate) related: Vec<Related>,
    /// Routes that it is on.
    pub(crate) routes: Vec<ActiveRoute>,
    /// Lifecycles of its escalations, one for each team.
    pub(crate) lifecycles: Vec<Lifecycle>,
    /// When the brand first answered.
    pub(crate) answered_at: Option<EventTime>,
    /// The brand's request to continue in private, if nothing has followed yet.
    pub(crate) hand_off_request: Option<HandOffRequest>,
    pub(crate) silenced_until: Option<EventTime>,
    /// Silences of the policy that match it.
    pub(crate) silences: Vec<String>,
    /// It counts as a complaint for storm detection.
    pub(crate) counts_for_storms: bool,
    /// The storm that it is a member of.
    pub(crate) storm_id: Option<String>,
    /// Routes in whose groups it is a member.
    pub(crate) in_groups: Vec<String>,
    /// For a storm, a group or a silence notice: number of conversations.
    pub(crate) members: Option<u64>,
    /// Teams whose budget it waits for.
    pub(crate) over_budget_teams: Vec<String>,
    /// Trace context of its latest signal.
    pub(crate) trace: Option<String>,
    /// When it must be processed next.
    pub(crate) next_due: Option<EventTime>,
}

/// A route that an incident is on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ActiveRoute {
    pub route: String,
    pub level: Level,
    pub reason: String,
    /// Values of the route's `group_by` keys.
    pub group: Option<String>,
    /// Earliest time to notify the team; `None` once that is decided.
    pub due: Option<EventTime>,
    /// When the route ends by itself, because its conditions no longer hold.
    pub ends_at: Option<EventTime>,
    /// Its conditions no longer hold.
    pub lapsed: bool,
    /// The team was notified, or there was a reason not to.
    pub decided: bool,
}

/// A request by the brand to continue in private.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandOffRequest {
    pub at: EventTime,
    pub deadline: EventTime,
    pub stall_notified: bool,
}

impl ActiveRoute {
    /// Creates a route whose team may be notified from `at` on.
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

    /// Describes the route for `policy explain`.
    pub(crate) fn describe(&self) -> String {
        let Self { route, level, due, ends_at, lapsed, .. } = self;
        match (due, ends_at) {
            (Some(due), _) => format!("on route {route} at {level}; notifies from {due} if it still holds"),
            (None, Some(over_at)) => {
                format!("the conditions of {route} no longer hold; it leaves the route at {over_at}")
            }
            (None, None) if *lapsed => {
                format!("the conditions of {route} no longer hold; a person has to resolve it")
            }
            (None, None) => format!("on route {route} at {level}"),
        }
    }
}

impl Incident {
    /// Creates an empty incident.
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

    /// Applies the present state of a conversation.
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
        // A lapsed route whose team has not been notified did not hold for long enough.
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

    /// Returns the highest level that the due routes of a team have reached.
    pub(crate) fn due_trigger(&self, team: &str, now: EventTime, policy: &Policy) -> Option<Trigger> {
        let due = self.routes.iter().filter(|active| active.due.is_some_and(|due| due <= now));
        let own = due.filter(|active| route_team(active, policy) == Some(team));
        let open = own.filter(|active| {
            let route = policy.routes.get(&active.route);
            !(route.is_some_and(|r| r.unless_answered) && self.answered_at.is_some())
        });
        // Of routes with the same level, the one that matched last decides.
        let highest = open.max_by_key(|active| active.level)?;
        Some(Trigger { route: highest.route.clone(), level: highest.level, reason: highest.reason.clone() })
    }

    /// Returns the teams whose routes are due, sorted.
    pub(crate) fn teams_due(&self, now: EventTime, policy: &Policy) -> Vec<String> {
        let due = self.routes.iter().filter(|active| active.due.is_some_and(|due| due <= now));
        let mut teams: Vec<String> =
            due.filter_map(|active| route_team(active, policy)).map(str::to_owned).collect();
        teams.sort_unstable();
        teams.dedup();
        teams
    }

    /// Defers the due routes of a team.
    pub(crate) fn defer(&mut self, team: &str, now: EventTime, until: EventTime, policy: &Policy) {
        for active in &mut self.routes {
            if active.due.is_some_and(|due| due <= now) && route_team(active, policy) == Some(team) {
                active.due = Some(until);
            }
        }
    }

    /// Marks the due routes of a team as decided: the team was notified, or there was a reason not to.
    pub(crate) fn mark_decided(&mut self, team: &str, now: EventTime, policy: &Policy) {
        for active in &mut self.routes {
            if active.due.is_some_and(|due| due <= now) && route_team(active, policy) == Some(team) {
                (active.due, active.decided) = (None, true);
            }
        }
        self.over_budget_teams.retain(|waiting| waiting != team);
    }

    /// Returns whether a team has a route left that has not ended.
    pub(crate) fn has_route(&self, team: &str, policy: &Policy) -> bool {
        self.routes.iter().any(|active| route_team(active, policy) == Some(team))
    }

    /// Drops details that only an opening needs, once no route is due.
    pub(crate) fn clear_details(&mut self) {
        if self.routes.iter().all(|active| active.due.is_none()) {
            self.reasons.clear();
            self.contributions.clear();
            self.advice.clear();
            self.topics.clear();
            self.sim_hash = None;
        }
    }

    /// Returns whether a route is due or an escalation has not ended.
    pub(crate) fn is_alive(&self) -> bool {
        self.routes.iter().any(|active| active.due.is_some())
            || self.lifecycles.iter().any(|lifecycle| !lifecycle.state.is_final())
    }
}

/// Returns the team of a route; `None` when the policy no longer has the route.
pub(crate) fn route_team<'p>(active: &ActiveRoute, policy: &'p Policy) -> Option<&'p str> {
    if active.route == super::STORM_ROUTE {
        return Some(policy.storms.team.as_str());
    }
    policy.routes.get(&active.route).map(|route| route.team.as_str())
}
