//! Settings that are allowed but probably not intended, as `firewatch policy check` prints them.

use std::collections::BTreeMap;

use firewatch_domain::{EventTime, Level};
use firewatch_settings::Fault;

use super::{Policy, Route};
use crate::{Condition, Satisfiability};

/// Names of the routes that firewatch adds to those of the policy.
const BUILT_IN_ROUTES: [&str; 3] = ["storm", "digest", "silence"];

impl Policy {
    /// Returns settings that are allowed but probably not intended; silences that end by `now` have lapsed.
    #[must_use]
    pub fn warnings(&self, now: EventTime) -> Vec<Fault> {
        let mut warnings = Warnings { policy: self, found: Vec::new() };
        for (name, route) in &self.routes {
            warnings.route(name, route);
        }
        warnings.silences(now);
        warnings.advice();
        warnings.brands();
        warnings.teams();
        warnings.found
    }
}

/// Collects the warnings of a policy.
struct Warnings<'p> {
    policy: &'p Policy,
    found: Vec<Fault>,
}

impl Warnings<'_> {
    fn warn(&mut self, key: String, problem: String) {
        self.found.push(Fault { key, problem });
    }

    fn route(&mut self, name: &str, route: &Route) {
        if BUILT_IN_ROUTES.contains(&name) {
            let problem =
                format!("records of firewatch's own route for {name}s have this name too; choose another");
            self.warn(format!("routes.{name}"), problem);
        }
        for (i, (level, condition)) in route.when.iter().enumerate() {
            let key = format!("routes.{name}.when.{level}");
            let problem = match condition.satisfiability() {
                Satisfiability::Never => "can never hold, so it notifies nobody",
                Satisfiability::Always => "holds for every conversation",
                Satisfiability::Sometimes => {
                    self.level_order(&key, condition, &route.when[i + 1..]);
                    continue;
                }
            };
            self.warn(key, format!("`{}` {problem}", condition.source()));
        }
        self.route_end(name, route);
        let max_level = route.when.iter().map(|(level, _)| *level).max().unwrap_or(Level::Low);
        if self.policy.teams.get(&route.team).is_some_and(|team| team.never_wakes_for(max_level)) {
            let problem = format!(
                "never notifies {}: that team has quiet hours at all times, and level {max_level} does not end them",
                route.team
            );
            self.warn(format!("routes.{name}"), problem);
        }
        if route.hold + route.group_wait >= self.policy.retention {
            let problem = format!(
                "is as long as the horizon of {}, so most conversations end before",
                self.policy.retention
            );
            self.warn(format!("routes.{name}.for"), problem);
        }
    }

    /// Warns of a level that a higher one always hides.
    fn level_order(&mut self, key: &str, condition: &Condition, higher: &[(Level, Condition)]) {
        let hiding = higher.iter().find(|(_, other)| !condition.can_hold_without(other));
        if let Some((level, other)) = hiding {
            let problem = format!(
                "`{}` never decides: `{}` holds whenever it does, at level {level}; give higher levels stricter conditions",
                condition.source(),
                other.source()
            );
            self.warn(key.to_owned(), problem);
        }
    }

    fn route_end(&mut self, name: &str, route: &Route) {
        let Some(until) = &route.until else { return };
        let problem = match until.satisfiability() {
            Satisfiability::Never => "can never hold, so the route never ends",
            Satisfiability::Always => "always holds; leave it out",
            Satisfiability::Sometimes => return,
        };
        self.warn(format!("routes.{name}.until"), format!("`{}` {problem}", until.source()));
    }

    fn silences(&mut self, now: EventTime) {
        for (name, silence) in &self.policy.silences {
            if silence.until <= now {
                let problem = format!("lapsed at {}; remove it, or give a later time", silence.until);
                self.warn(format!("silences.{name}.until"), problem);
            }
            let hides = match silence.when.satisfiability() {
                Satisfiability::Never => "can never hold, so it hides nothing",
                Satisfiability::Always => "holds for every conversation, so it hides everything",
                Satisfiability::Sometimes => "",
            };
            if !hides.is_empty() {
                self.warn(format!("silences.{name}.when"), format!("`{}` {hides}", silence.when.source()));
            }
            self.unlisted_brands(&format!("silences.{name}.when"), &silence.when);
        }
    }

    fn advice(&mut self) {
        for advice in &self.policy.advice {
            let Some(when) = &advice.when else { continue };
            let key = format!("advice: {:?}", advice.text.chars().take(40).collect::<String>());
            if when.satisfiability() == Satisfiability::Never {
                self.warn(key.clone(), format!("`{}` can never hold, so nobody gets it", when.source()));
            }
            self.unlisted_brands(&key, when);
        }
        self.unlisted_brands("storms.counts", &self.policy.storms.complaint_when);
    }

    fn unlisted_brands(&mut self, key: &str, condition: &Condition) {
        for brand in condition.brands().into_iter().filter(|brand| !brand.is_empty()) {
            if !self.policy.brands.contains_key(brand) {
                let known: Vec<&str> = self.policy.brands.keys().map(String::as_str).collect();
                let problem = format!("brand {brand:?} is not listed; give one of {}", known.join(", "));
                self.warn(key.to_owned(), problem);
            }
        }
    }

    fn brands(&mut self) {
        let mut by_lower_case: BTreeMap<String, &str> = BTreeMap::new();
        for (name, brand) in &self.policy.brands {
            if brand.handles.is_empty() && brand.handles_on.is_empty() {
                let problem = "no handles are given, so only `brand_reply` events count as its answers";
                self.warn(format!("brands.{name}.handles"), problem.into());
            }
            if let Some(other) = by_lower_case.insert(name.to_lowercase(), name) {
                let problem = format!(
                    "differs from {other:?} only in case; events belong to the brand that they spell exactly"
                );
                self.warn(format!("brands.{name}"), problem);
            }
        }
    }

    fn teams(&mut self) {
        let policy = self.policy;
        let is_notified = |team: &String| {
            let tiers = policy.teams.values().flat_map(|t| &t.tiers).any(|tier| tier.team == *team);
            tiers || policy.storms.team == *team || policy.routes.values().any(|route| route.team == *team)
        };
        for (name, team) in &policy.teams {
            if !is_notified(name) {
                self.warn(format!("teams.{name}"), "no route, tier or storm notifies this team".into());
            }
            for tier in &team.tiers {
                if policy.teams.get(&tier.team).is_some_and(|next| next.never_wakes_for(Level::Low)) {
                    let problem = "has quiet hours at all times, so most escalations never reach this tier";
                    self.warn(format!("teams.{name}.tiers.{}", tier.team), problem.into());
                }
            }
        }
    }
}
