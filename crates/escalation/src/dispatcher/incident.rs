//! An incident: what it is about, the routes it is on, and one lifecycle of escalations for each team.

use firewatch_domain::{Contribution, EventTime, IncidentId, Reason, SimHash, Tenths};
use serde::{Deserialize, Serialize};

use crate::lifecycle::Trigger;
use crate::policy::Policy;
use crate::{Lifecycle, RouteRef};

use super::active_route::ActiveRoute;
use super::collection::{Collection, Membership};
use super::links::Links;
use super::related::Related;

/// What a dispatcher keeps of one thing worth an alert: a conversation, storm, group, digest or silence
/// notice.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Incident {
    /// What only this kind of incident has.
    pub(crate) details: Details,
    /// When the post was written, or the first of several.
    pub(crate) posted_at: Option<EventTime>,
    /// Reasons that follow the decisive one when it opens or is raised.
    pub(crate) reasons: Vec<Reason>,
    pub(crate) advice: Vec<String>,
    /// Topic words; for a storm in their most common spelling.
    pub(crate) topics: Vec<String>,
    /// Routes that it is on.
    pub(crate) routes: Vec<ActiveRoute>,
    /// Lifecycles of its escalations, one for each team.
    pub(crate) lifecycles: Vec<Lifecycle>,
    /// A person silenced it for every team until then.
    pub(crate) silenced_until: Option<EventTime>,
    /// Teams for which a person ended that silence.
    pub(crate) unsilenced: Vec<String>,
    /// Teams whose budget it waits for.
    pub(crate) budget_waits: Vec<BudgetWait>,
    /// Trace context of its latest signal.
    pub(crate) trace: Option<String>,
    /// When it must be processed next.
    pub(crate) next_due: Option<EventTime>,
    /// Addresses of the post and its author; of a conversation only.
    pub(crate) links: Option<Box<Links>>,
}

/// What only one kind of incident has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Details {
    Conversation(Box<ConversationDetails>),
    Storm {
        /// Number of complaints that joined it.
        members: u64,
    },
    Group(Collection),
    /// The digest of what a storm muted.
    StormDigest {
        team: String,
        collection: Collection,
    },
    /// The digest of what waits for a team's budget.
    BudgetDigest {
        team: String,
        waiting: u64,
    },
    SilenceNotice {
        /// Number of conversations that the silence hides.
        hidden: u64,
    },
}

/// What only the incident of a conversation has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ConversationDetails {
    /// When the conversation began: part of its escalation ids.
    pub began: EventTime,
    pub platform: Option<String>,
    pub risk: Option<Tenths>,
    pub excerpt: Option<String>,
    pub contributions: Vec<Contribution>,
    /// SimHash by which near-copies are recognised.
    pub sim_hash: Option<SimHash>,
    pub related: Vec<Related>,
    /// When the brand first answered.
    pub answered_at: Option<EventTime>,
    /// The brand's request to continue in private, if nothing has followed yet.
    pub hand_off_request: Option<HandOffRequest>,
    /// Silences of the policy that match it.
    pub silences: Vec<String>,
    /// Silences, each with the team, that have counted it as hidden.
    pub hidden_by: Vec<(String, String)>,
    /// It counts as a complaint for storm detection.
    pub counts_for_storms: bool,
    /// The storm that it is a member of.
    pub storm: Option<IncidentId>,
    /// The groups and digests that it is a member of.
    pub memberships: Vec<Membership>,
    /// Why the conversation has ended. Its incident stays while a team has still to be notified of it.
    pub expired: Option<String>,
    /// When escalations end that go on after the end of the conversation.
    pub expires_at: Option<EventTime>,
}

/// A team for whose budget an incident waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BudgetWait {
    pub team: String,
    pub since: EventTime,
}

/// A request by the brand to continue in private.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandOffRequest {
    pub at: EventTime,
    pub deadline: EventTime,
}

impl Details {
    /// Creates those of a conversation.
    pub(crate) fn conversation(began: EventTime) -> Self {
        Self::Conversation(Box::new(ConversationDetails {
            began,
            platform: None,
            risk: None,
            excerpt: None,
            contributions: vec![],
            sim_hash: None,
            related: vec![],
            answered_at: None,
            hand_off_request: None,
            silences: vec![],
            hidden_by: vec![],
            counts_for_storms: false,
            storm: None,
            memberships: vec![],
            expired: None,
            expires_at: None,
        }))
    }

    /// Returns the number of conversations in it; `None` for a conversation.
    pub(crate) fn members(&self) -> Option<u64> {
        match self {
            Self::Conversation(_) => None,
            Self::Storm { members } => Some(*members),
            Self::Group(collection) | Self::StormDigest { collection, .. } => Some(collection.joined),
            Self::BudgetDigest { waiting, .. } => Some(*waiting),
            Self::SilenceNotice { hidden } => Some(*hidden),
        }
    }

    /// Returns what a group and the digest of a storm have in common.
    pub(crate) fn collection(&self) -> Option<&Collection> {
        match self {
            Self::Group(collection) | Self::StormDigest { collection, .. } => Some(collection),
            _ => None,
        }
    }

    /// Gives the digest of a storm to another team.
    pub(crate) fn replace_team(&mut self, by: Option<String>) {
        if let (Self::StormDigest { team, .. }, Some(by)) = (self, by) {
            *team = by;
        }
    }

    /// Returns what a group and the digest of a storm have in common, for changes.
    pub(crate) fn collection_mut(&mut self) -> Option<&mut Collection> {
        match self {
            Self::Group(collection) | Self::StormDigest { collection, .. } => Some(collection),
            _ => None,
        }
    }
}

impl Incident {
    /// Creates an incident that is on no route.
    pub(crate) fn new(details: Details) -> Self {
        Self {
            details,
            posted_at: None,
            reasons: vec![],
            advice: vec![],
            topics: vec![],
            routes: vec![],
            lifecycles: vec![],
            silenced_until: None,
            unsilenced: vec![],
            budget_waits: vec![],
            trace: None,
            next_due: None,
            links: None,
        }
    }

    /// Returns what only a conversation has.
    pub(crate) fn conversation(&self) -> Option<&ConversationDetails> {
        match &self.details {
            Details::Conversation(conversation) => Some(conversation),
            _ => None,
        }
    }

    /// Returns whether the conversation is, or was, part of the storm with this id.
    pub(crate) fn is_in_storm(&self, storm: &str) -> bool {
        let own = self.conversation().and_then(|conversation| conversation.storm.as_ref());
        own.is_some_and(|own| own.as_str() == storm)
    }

    /// Returns what only a conversation has, for changes.
    pub(crate) fn conversation_mut(&mut self) -> Option<&mut ConversationDetails> {
        match &mut self.details {
            Details::Conversation(conversation) => Some(conversation),
            _ => None,
        }
    }

    /// Returns the risk of a conversation; 0 for anything else.
    pub(crate) fn risk(&self) -> Tenths {
        self.conversation().and_then(|conversation| conversation.risk).unwrap_or_default()
    }

    /// Lets be decided now what waits for the end of a silence, quiet hours or a budget, and lets reminders come:
    /// those of a team, or of all.
    pub(crate) fn release(&mut self, team: Option<&str>, now: EventTime, policy: &Policy) {
        self.decide_deferred(team, now, policy);
        for lifecycle in self.lifecycles.iter_mut().filter(|one| team.is_none_or(|team| one.team == team)) {
            (lifecycle.reminders_held_until, lifecycle.tier_held_until) = (None, None);
        }
    }

    /// Lets the storm that it has joined decide about what waits for the end of a silence, quiet hours or a budget.
    pub(crate) fn decide_in_storm(&mut self, now: EventTime, policy: &Policy) {
        self.budget_waits.clear();
        self.decide_deferred(None, now, policy);
    }

    /// Lets be decided by its silence, not counted for a budget, what waits for the budget of a team, or of all.
    pub(crate) fn leave_budget(&mut self, team: Option<&str>, now: EventTime, policy: &Policy) {
        let of_team = |wait: &BudgetWait| team.is_none_or(|team| wait.team == team);
        if self.budget_waits.iter().any(of_team) {
            self.budget_waits.retain(|wait| !of_team(wait));
            self.decide_deferred(team, now, policy);
        }
    }

    fn decide_deferred(&mut self, team: Option<&str>, now: EventTime, policy: &Policy) {
        for active in self.routes_mut(team, policy).filter(|active| active.deferred) {
            (active.due, active.deferred) = (active.due.map(|_| now), false);
        }
    }

    /// Returns the trigger of a team's due routes: the highest level that they have reached. `None` when the
    /// brand has answered and all of them wait for an answer only.
    pub(crate) fn due_trigger(&self, team: &str, now: EventTime, policy: &Policy) -> Option<Trigger> {
        let answered = self.conversation().is_some_and(|conversation| conversation.answered_at.is_some());
        let own =
            self.routes.iter().filter(|active| active.is_due(now) && self.team(active, policy) == Some(team));
        let open = own.filter(|active| !(answered && active.waits_for_answer(policy)));
        // Of routes with the same level, the one decides by which it is in a group, or the one that matched last.
        let highest = open.max_by_key(|active| (active.level, self.is_member_by(&active.route)))?;
        Some(Trigger {
            route: highest.route.clone(),
            level: highest.level,
            reason: highest.reason.clone(),
            since: highest.since,
        })
    }

    /// Returns the teams whose routes are due, sorted.
    pub(crate) fn teams_due(&self, now: EventTime, policy: &Policy) -> Vec<String> {
        let due = self.routes.iter().filter(|active| active.is_due(now));
        let mut teams: Vec<String> =
            due.filter_map(|active| self.team(active, policy)).map(str::to_owned).collect();
        teams.sort_unstable();
        teams.dedup();
        teams
    }

    /// Returns the routes of a team, or all of them, for changes.
    pub(crate) fn routes_mut(
        &mut self,
        team: Option<&str>,
        policy: &Policy,
    ) -> impl Iterator<Item = &mut ActiveRoute> {
        let is_of_team =
            |active: &ActiveRoute| team.is_none_or(|team| self.team(active, policy) == Some(team));
        let of_team: Vec<bool> = self.routes.iter().map(is_of_team).collect();
        self.routes.iter_mut().zip(of_team).filter_map(|(active, own)| own.then_some(active))
    }

    /// Returns the due routes of a team, for changes.
    fn due_routes_mut(
        &mut self,
        team: &str,
        now: EventTime,
        policy: &Policy,
    ) -> impl Iterator<Item = &mut ActiveRoute> {
        self.routes_mut(Some(team), policy).filter(move |active| active.is_due(now))
    }

    /// Defers the due routes of a team.
    pub(crate) fn defer(&mut self, team: &str, now: EventTime, until: EventTime, policy: &Policy) {
        self.due_routes_mut(team, now, policy)
            .for_each(|active| (active.due, active.deferred) = (Some(until), true));
    }

    /// Marks the due routes of a team as decided: the team was notified, or there was a reason not to. `muted`
    /// says whether that was a storm.
    pub(crate) fn mark_decided(&mut self, team: &str, now: EventTime, muted: bool, policy: &Policy) {
        for active in self.due_routes_mut(team, now, policy) {
            (active.due, active.decided, active.muted, active.deferred) = (None, true, muted, false);
        }
        self.budget_waits.retain(|wait| wait.team != team);
    }

    /// Returns whether a team has a route left that has not ended.
    pub(crate) fn has_route(&self, team: &str, policy: &Policy) -> bool {
        self.routes.iter().any(|active| self.team(active, policy) == Some(team))
    }

    /// Drops details that only an opening needs, once no route is due.
    pub(crate) fn clear_opening_details(&mut self) {
        if self.routes.iter().any(|active| active.due.is_some()) {
            return;
        }
        if let Some(conversation) = self.conversation_mut() {
            conversation.contributions.clear();
            // A storm is named by the words of complaints, and counts copies among them.
            if !conversation.counts_for_storms {
                conversation.sim_hash = None;
                self.topics.clear();
            }
            self.reasons.clear();
            self.advice.clear();
        }
    }

    /// Returns whether its conversations have ended and no team has to be notified of it any more.
    pub(crate) fn is_over(&self) -> bool {
        let has_ended = self.conversation().is_some_and(|conversation| conversation.expired.is_some());
        (has_ended || self.expires_at().is_some()) && !self.is_alive()
    }

    /// Returns whether a route is due or an escalation has not ended.
    pub(crate) fn is_alive(&self) -> bool {
        self.routes.iter().any(|active| active.due.is_some())
            || self.lifecycles.iter().any(Lifecycle::is_live)
    }

    /// Returns the team of a route; `None` when the policy no longer has the route.
    pub(crate) fn team<'a>(&'a self, active: &ActiveRoute, policy: &'a Policy) -> Option<&'a str> {
        self.team_of(&active.route, policy)
    }

    /// Returns the team of a route by its name.
    pub(crate) fn team_of<'a>(&'a self, route: &RouteRef, policy: &'a Policy) -> Option<&'a str> {
        match route {
            RouteRef::Policy(name) => policy.routes.get(name).map(|route| route.team.as_str()),
            RouteRef::Storm => Some(policy.storms.team.as_str()),
            RouteRef::Digest | RouteRef::Silence => match &self.details {
                Details::BudgetDigest { team, .. } | Details::StormDigest { team, .. } => Some(team),
                _ => None,
            },
        }
    }
}
