//! Decides what happens to the due routes of one incident and team, as a pure function with a reason.
//!
//! The rules are tried in the order of [`decide`]; the book documents the same order.

use firewatch_domain::{EventTime, IncidentId, Level};

use super::active_route::ActiveRoute;
use super::incident::Incident;
use super::state::DispatcherCore;
use super::storm::Storm;
use crate::RouteRef;
use crate::lifecycle::Trigger;
use crate::policy::Policy;

/// What happens to the due routes of one incident and team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A first escalation opens, if the team's budget allows it.
    Open(Trigger),
    /// An escalation opens again after its end, if the team's budget allows it.
    Reopen(Trigger),
    /// The live escalation is raised.
    Raise(Trigger),
    /// The conversation joins the group of its route with this key. The group has an escalation of its own.
    Join { trigger: Trigger, key: String },
    /// The team is not notified.
    Suppress(Suppression),
    /// The team is not notified before a time.
    Defer(EventTime, Suppression),
}

/// Why a team is not notified, or not yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Suppression {
    /// The brand has answered, and the route has `unless_answered`.
    Answered,
    /// The live escalation has this level already.
    Known(Level),
    /// A person ended the escalation, and it has not become worse.
    ClosedByPerson(Level),
    /// A storm that it is part of mutes its level.
    InStorm { storm: IncidentId, up_to: Level },
    /// A person silenced it.
    SilencedByPerson(EventTime),
    /// A silence of the policy matches it.
    SilencedByPolicy { silence: String, until: EventTime },
    /// The team has quiet hours that the level does not end.
    Asleep { until: EventTime, level: Level },
    /// The team has quiet hours at all times that the level does not end, and the conversation has ended.
    NeverAwake(Level),
    /// The policy no longer has the route, and the conversation has ended.
    RouteRemoved(RouteRef),
    /// The team's budget is used up.
    OverBudget(EventTime),
    /// It is in a group, which is emitted instead.
    InGroup(IncidentId),
}

/// What a verdict depends on besides the incident.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub now: EventTime,
    pub policy: &'a Policy,
    pub core: &'a DispatcherCore,
}

/// Decides about the due routes of an incident for one team.
pub(crate) fn decide(incident: &Incident, team: &str, view: View<'_>) -> Verdict {
    let View { now, policy, .. } = view;
    let Some(trigger) = incident.due_trigger(team, now, policy) else {
        return Verdict::Suppress(Suppression::Answered);
    };
    let lifecycle = incident.lifecycles.iter().find(|lifecycle| lifecycle.team == team);
    let is_live = lifecycle.is_some_and(|lifecycle| lifecycle.is_live());
    if let Some(lifecycle) = lifecycle.filter(|lifecycle| !lifecycle.is_news(&trigger)) {
        let level = lifecycle.level;
        return Verdict::Suppress(if is_live {
            Suppression::Known(level)
        } else {
            Suppression::ClosedByPerson(level)
        });
    }
    if let Some(storm) = muting_storm(incident, trigger.level, view).filter(|_| !is_live) {
        return Verdict::Suppress(Suppression::InStorm { storm, up_to: policy.storms.mutes_up_to });
    }
    let owner = lifecycle.filter(|lifecycle| lifecycle.is_live()).map_or(team, |lifecycle| &lifecycle.owner);
    if let Some((until, suppression)) =
        silence(incident, team, now, policy).or_else(|| quiet(owner, trigger.level, now, policy))
    {
        return Verdict::Defer(until, suppression);
    }
    if is_live {
        return Verdict::Raise(trigger);
    }
    if let Some(group) = group_of_other_route(incident, team, &trigger, policy) {
        return Verdict::Suppress(Suppression::InGroup(group));
    }
    let active = incident.routes.iter().find(|active| active.route == trigger.route);
    let mutes = trigger.level <= policy.storms.mutes_up_to;
    let key = active.and_then(|active| active.group.clone());
    if let Some(key) = key.filter(|key| mutes || !incident.is_in_storm(key)) {
        return Verdict::Join { trigger, key };
    }
    if let Some(storm) = storm_of(incident, trigger.level, view) {
        let sleeper = &policy.storms.team;
        let reason = format!("{}; part of a storm that {sleeper} sleeps through", trigger.reason);
        return Verdict::Join { trigger: Trigger { reason, ..trigger }, key: storm.id.to_string() };
    }
    match lifecycle {
        Some(_) => Verdict::Reopen(trigger),
        None => Verdict::Open(trigger),
    }
}

/// Returns the group or digest by which the team is notified of the conversation already: that of another of its
/// routes, at this level or above. A route that is due rises, so the team was not notified of its level.
fn group_of_other_route(
    incident: &Incident,
    team: &str,
    trigger: &Trigger,
    policy: &Policy,
) -> Option<IncidentId> {
    let notifies = |active: &&ActiveRoute| {
        active.route != trigger.route
            && active.level >= trigger.level
            && active.due.is_none()
            && !active.lapsed
            && incident.team(active, policy) == Some(team)
    };
    let mut others = incident.routes.iter().filter(notifies);
    let memberships = &incident.conversation()?.memberships;
    others.find_map(|active| memberships.iter().find(|m| m.route == active.route)).map(|m| m.of.clone())
}

/// Returns the storm that a conversation is part of, if it mutes this level.
fn storm_of<'a>(incident: &Incident, level: Level, view: View<'a>) -> Option<&'a Storm> {
    let storm = incident.conversation()?.storm.as_ref()?;
    let on = view.core.storms.iter().find(|on| on.id == *storm)?;
    (level <= view.policy.storms.mutes_up_to).then_some(on)
}

/// Returns the storm that mutes this level of a conversation. One that its team sleeps through is emitted to
/// nobody, so it mutes nothing.
fn muting_storm(incident: &Incident, level: Level, view: View<'_>) -> Option<IncidentId> {
    let View { now, policy, .. } = view;
    let storm = storm_of(incident, level, view)?;
    let is_known = storm.is_emitted || quiet(&policy.storms.team, storm.level, now, policy).is_none();
    is_known.then(|| storm.id.clone())
}

/// Returns until when a person or the policy silences an incident for a team, whichever is later.
pub(crate) fn silence(
    incident: &Incident,
    team: &str,
    now: EventTime,
    policy: &Policy,
) -> Option<(EventTime, Suppression)> {
    let by_person = incident.silenced_by_person(team).filter(|until| *until > now);
    let names = incident.conversation().map_or(&[][..], |conversation| &conversation.silences);
    let in_force = names.iter().filter_map(|name| policy.silences.get_key_value(name));
    let by_policy = in_force
        .filter(|(_, silence)| silence.until > now)
        .max_by_key(|(_, silence)| silence.until)
        .map(|(name, silence)| (name, silence.until));
    match (by_person, by_policy) {
        (Some(person), Some((_, until))) if person >= until => {
            Some((person, Suppression::SilencedByPerson(person)))
        }
        (_, Some((name, until))) => {
            Some((until, Suppression::SilencedByPolicy { silence: name.clone(), until }))
        }
        (Some(until), None) => Some((until, Suppression::SilencedByPerson(until))),
        (None, None) => None,
    }
}

/// Returns when a team's quiet hours end, if this level does not wake it now.
pub(crate) fn quiet(
    team: &str,
    level: Level,
    now: EventTime,
    policy: &Policy,
) -> Option<(EventTime, Suppression)> {
    let until = policy.teams.get(team)?.awake_at(now, level);
    (until > now).then_some((until, Suppression::Asleep { until, level }))
}

impl Suppression {
    /// Describes the decision about a team, with its reason.
    pub fn describe(&self, team: &str, policy: &Policy) -> String {
        match self {
            Self::Answered => format!("{team} is not notified: the brand has answered"),
            Self::Known(level) => format!("{team} is not notified again: its escalation is live at {level}"),
            Self::ClosedByPerson(level) => {
                format!(
                    "{team} is not notified: a person ended its escalation at {level}, and it is no worse"
                )
            }
            Self::InStorm { storm, up_to } => {
                format!("{team} is not notified separately: {storm} mutes its posts up to {up_to}")
            }
            Self::SilencedByPerson(until) => {
                format!("{team} is not notified: a person silenced it until {until}")
            }
            Self::SilencedByPolicy { silence: name, until } => {
                let of = policy.silences.get(name);
                let (by, reason) = of.map_or(("", ""), |silence| (&silence.by, &silence.reason));
                format!("{team} is not notified: silence {name} by {by} until {until} ({reason})")
            }
            Self::Asleep { level, .. }
                if policy.teams.get(team).is_some_and(|team| team.never_wakes_for(*level)) =>
            {
                format!("{team} has quiet hours at all times; level {level} does not wake it")
            }
            Self::Asleep { until, level } => {
                format!("{team} has quiet hours until {until}; level {level} does not wake it")
            }
            Self::NeverAwake(level) => {
                format!(
                    "{team} is not notified: it has quiet hours at all times, and level {level} does not wake it"
                )
            }
            Self::RouteRemoved(route) => format!("nobody is notified: the policy has no route {route}"),
            Self::OverBudget(until) => format!("over the budget of {team}; waits until {until}"),
            Self::InGroup(group) => format!("{team} is not notified separately: part of {group}"),
        }
    }
}
