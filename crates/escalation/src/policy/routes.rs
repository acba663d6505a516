//! Routes: which team is notified of what, from when, and until when.

use std::collections::BTreeMap;

use firewatch_domain::{Duration, Level};
use firewatch_settings::Settings;

use super::hash;
use crate::{Condition, Facts, PR};

/// One route of the policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Hash of its name, unique in the policy: the lower 32 bits of FNV-1a.
    pub id: u32,
    /// The team that it notifies.
    pub team: String,
    /// Condition of each level, mildest first; never empty.
    pub when: Vec<(Level, Condition)>,
    /// Condition for leaving the route, once no level's condition holds; `None`: leave at once.
    pub until: Option<Condition>,
    /// How long a condition must hold before the team is notified.
    pub hold: Duration,
    /// Time off the route after which the escalation resolves by itself; `None`: a person has to resolve it.
    pub clear_after: Option<Duration>,
    /// Opens nothing once the brand has answered.
    pub unless_answered: bool,
    /// Further wait before a new escalation opens, so that a storm or a group can replace it.
    pub group_wait: Duration,
    /// What its conversations have in common to share one escalation that grows; empty: each has its own.
    pub group_by: Vec<GroupBy>,
    /// Minimum time between two updates of a growing group.
    pub group_interval: Duration,
    /// Time after which an unacknowledged escalation is emitted again; `None`: never.
    pub repeat_interval: Option<Duration>,
}

/// What conversations of a group have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// The brand, which all conversations of a dispatcher share.
    Brand,
    /// The network.
    Platform,
    /// The language.
    Lang,
    /// The most severe flag.
    Flag,
    /// The level.
    Level,
}

impl GroupBy {
    const ALL: [(&str, Self); 5] = [
        ("brand", Self::Brand),
        ("platform", Self::Platform),
        ("lang", Self::Lang),
        ("flag", Self::Flag),
        ("level", Self::Level),
    ];
}

impl Route {
    /// Returns the group of a conversation on this route; `None` when the route has no groups.
    #[must_use]
    pub fn group_key(&self, facts: &Facts<'_>, level: Level) -> Option<String> {
        let part = |by: &GroupBy| match by {
            GroupBy::Brand => "all",
            GroupBy::Platform => facts.platform,
            GroupBy::Lang => facts.lang,
            GroupBy::Flag => facts.flags.first().map_or("", |flag| flag.name()),
            GroupBy::Level => level.as_str(),
        };
        (!self.group_by.is_empty()).then(|| self.group_by.iter().map(part).collect::<Vec<_>>().join("+"))
    }

    /// Returns all of its conditions.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.when.iter().map(|(_, condition)| condition).chain(&self.until)
    }

    /// Returns the highest level whose condition holds, with the condition.
    #[must_use]
    pub fn highest_level(&self, facts: &Facts<'_>) -> Option<(Level, &Condition)> {
        self.when.iter().rev().find(|(_, c)| c.holds(facts)).map(|(level, c)| (*level, c))
    }

    /// Returns whether a matched route is kept although no level's condition holds any more.
    #[must_use]
    pub fn still_holds(&self, facts: &Facts<'_>) -> bool {
        self.until.as_ref().is_some_and(|until| !until.holds(facts))
    }
}

/// Routes of a policy without route sections.
const DEFAULT_ROUTES: &str = r#"
[routes.viral]
team = "pr"
when = { medium = "risk >= 15", high = "risk >= 35", critical = "risk >= 70" }
until = "risk < 10"
clear_after = "10m"
[routes.harm]
team = "pr"
when = { medium = '"safety_harm" in flags || "legal_threat" in flags' }
[routes.complaint]
team = "support"
when = { low = "complaint >= 0.6 || reply_complaint >= 0.6", medium = "complaint >= 0.9" }
unless_answered = true
group_wait = "30s"
"#;

/// Reads the route sections. Without any, the built-in routes apply.
pub(super) fn read(s: &mut Settings, teams: &[&str]) -> BTreeMap<String, Route> {
    let names = s.sections("routes");
    if names.is_empty()
        && let Ok(mut defaults) = Settings::parse("built-in routes", DEFAULT_ROUTES)
    {
        return all(&mut defaults, teams);
    }
    all(s, teams)
}

fn all(s: &mut Settings, teams: &[&str]) -> BTreeMap<String, Route> {
    let names = s.sections("routes");
    let mut routes: BTreeMap<String, Route> = BTreeMap::new();
    let mut ids: BTreeMap<u32, String> = BTreeMap::new();
    for name in names {
        let route = route(s, &name, teams);
        if let Some(other) = ids.insert(route.id, name.clone()) {
            s.add_fault(
                &format!("routes.{name}"),
                format_args!("the name has the same hash as `{other}`; rename it"),
            );
        }
        routes.insert(name, route);
    }
    routes
}

fn route(s: &mut Settings, name: &str, teams: &[&str]) -> Route {
    let key = |field: &str| format!("routes.{name}.{field}");
    let mut when = Vec::new();
    for level in Level::ALL {
        let key = key(&format!("when.{level}"));
        if let Some(condition) = optional_condition(s, &key) {
            when.push((level, condition));
        }
    }
    if !s.has(&key("when")) {
        let problem =
            "is missing; give a condition for at least one level, such as when = { medium = \"risk >= 15\" }";
        s.add_fault(&key("when"), problem);
    }
    let default = if teams.contains(&name) { name } else { PR };
    Route {
        id: hash(name) as u32,
        team: s.choice(&key("team"), default, teams),
        when,
        until: optional_condition(s, &key("until")),
        hold: s.duration(&key("for"), Duration::ZERO, 0.0..=86_400.0),
        clear_after: s.optional_duration(&key("clear_after"), 0.0..=604_800.0),
        unless_answered: s.flag(&key("unless_answered"), false),
        group_wait: s.duration(&key("group_wait"), Duration::ZERO, 0.0..=3_600.0),
        group_by: group_by(s, &key("group_by")),
        group_interval: s.duration(&key("group_interval"), Duration::from_mins(5), 30.0..=86_400.0),
        repeat_interval: s.optional_duration(&key("repeat_interval"), 60.0..=604_800.0),
    }
}

fn group_by(s: &mut Settings, key: &str) -> Vec<GroupBy> {
    let mut all = Vec::new();
    for name in s.texts(key) {
        match GroupBy::ALL.into_iter().find(|(own, _)| *own == name) {
            Some((_, by)) => all.push(by),
            None => {
                let known = GroupBy::ALL.map(|(name, _)| name).join(", ");
                s.add_fault(key, format_args!("{name:?} is not a grouping key; give any of {known}"));
            }
        }
    }
    all
}

/// Reads a condition. `default` must be valid.
pub(super) fn condition(s: &mut Settings, key: &str, default: &str) -> Condition {
    optional_condition(s, key).or_else(|| Condition::parse(default).ok()).unwrap_or_else(Condition::never)
}

pub(super) fn optional_condition(s: &mut Settings, key: &str) -> Option<Condition> {
    let source = s.text(key, "");
    if source.is_empty() {
        return None;
    }
    match Condition::parse(&source) {
        Ok(condition) => Some(condition),
        Err(problem) => {
            s.add_fault(key, problem);
            None
        }
    }
}

/// Reads a level.
pub(super) fn level(s: &mut Settings, key: &str, default: Level) -> Level {
    let chosen = s.choice(key, default.as_str(), &Level::ALL.map(Level::as_str));
    Level::ALL.into_iter().find(|level| level.as_str() == chosen).unwrap_or(default)
}
