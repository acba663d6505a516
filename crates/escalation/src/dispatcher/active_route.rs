//! A route that an incident is on: since when, at which level, and when its team may be notified.

use firewatch_domain::{Duration, EventTime, Level, RouteMatch};
use serde::{Deserialize, Serialize};

use crate::RouteRef;
use crate::policy::{Policy, Route};

/// Time below a level, or off a route, after which its return is a flare-up. A route's `clear_after` replaces it.
const MIN_CALM: Duration = Duration::from_mins(10);

/// A route that an incident is on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ActiveRoute {
    pub route: RouteRef,
    pub level: Level,
    pub reason: String,
    /// When it began to match, or flared up.
    pub since: EventTime,
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
    /// The reason not to was a storm.
    pub muted: bool,
    /// A silence, quiet hours or a budget put `due` off.
    pub deferred: bool,
    /// Since when it has been below its highest level, or has not matched; `None` at its highest level.
    pub calm_since: Option<EventTime>,
}

impl ActiveRoute {
    /// Creates a route that matches from `at` on, whose team may be notified at once.
    pub(crate) fn new(route: RouteRef, level: Level, reason: String, at: EventTime) -> Self {
        Self {
            route,
            level,
            reason,
            since: at,
            group: None,
            due: Some(at),
            ends_at: None,
            lapsed: false,
            decided: false,
            muted: false,
            deferred: false,
            calm_since: None,
        }
    }

    /// Describes the route for `policy explain`.
    pub(crate) fn describe(&self) -> String {
        let Self { route, level, due, ends_at, lapsed, muted, .. } = self;
        match (due, ends_at) {
            (Some(due), _) => format!("on route {route} at {level}; decided from {due} on if it still holds"),
            (None, Some(over_at)) => {
                format!("the conditions of {route} no longer hold; it leaves the route at {over_at}")
            }
            (None, None) if *lapsed && *muted => {
                format!("the conditions of {route} no longer hold; nobody was notified of it")
            }
            (None, None) if *lapsed => {
                format!("the conditions of {route} no longer hold; a person has to resolve it")
            }
            (None, None) => format!("on route {route} at {level}"),
        }
    }

    /// Returns whether its route waits for the brand to answer.
    pub(crate) fn waits_for_answer(&self, policy: &Policy) -> bool {
        let route = self.route.policy_name().and_then(|name| policy.routes.get(name));
        route.is_some_and(|route| route.unless_answered)
    }

    pub(super) fn is_due(&self, now: EventTime) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Applies that it matches, again or still. A rise and a return after a calm are news.
    pub(super) fn matches(&mut self, new: RouteMatch, at: EventTime, route: Option<&Route>) {
        let matches_again = std::mem::take(&mut self.lapsed);
        self.ends_at = None;
        let rises = new.level > self.level;
        let calm = route.and_then(|route| route.clear_after).unwrap_or(MIN_CALM);
        let was_calm = if rises || matches_again { self.calm_since.take() } else { None };
        let has_flared_up = was_calm.is_some_and(|since| at >= since + calm);
        if has_flared_up {
            self.since = at;
        }
        if rises || has_flared_up {
            let hold = route.map_or(at, |route| at + route.hold);
            (self.due, self.deferred) = (Some(self.due.map_or(hold, |due| due.min(hold))), false);
        }
        if rises {
            self.group = new.group.or(self.group.take());
        } else if new.level < self.level {
            self.calm_since.get_or_insert(at);
        }
        self.level = new.level;
        if !new.reason.is_empty() {
            self.reason = new.reason;
        }
    }
}
