//! Reads the state that version 10 of the changelog wrote, and turns it into the present one.
//!
//! Version 10 distinguished kinds of incidents by the beginning of their ids, and kept no reasons, no memberships
//! and no ends. What it did not keep is filled in with the value that notifies nobody again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use firewatch_domain::{
    Contribution, EscalationState, EventTime, IncidentId, IncidentKind, Level, Reason, ReasonKind,
    SignalBody, SimHash, Tenths,
};
use serde::Deserialize;

use super::clock::SourceProgress;
use super::collection::{Collection, Membership};
use super::cross_posts::CrossPostIndex;
use super::digest::BudgetDigest;
use super::group::OpenGroup;
use super::growth::Growth;
use super::incident::{ActiveRoute, BudgetWait, ConversationDetails, Details, HandOffRequest, Incident};
use super::related::Related;
use super::state::as_json;
use super::storm::Storm;
use super::{Dispatcher, DispatcherCore, StatePartKey, WindowClock};
use crate::baseline::{ComplaintCounts, CurrentBucket, VolumeHistory};
use crate::lifecycle::Ended;
use crate::seasonal_profile::SeasonalProfile;
use crate::{Lifecycle, Policy, RouteRef};

/// One part of a brand's state as version 10 wrote it.
#[derive(Debug, Clone, Deserialize)]
pub enum StatePartV10 {
    /// Everything that has no part of its own.
    Core(Box<CoreV10>),
    /// Usual volume.
    Profile(Box<SeasonalProfile>),
    /// Volume of the last two hours.
    History(Box<VolumeHistory>),
    /// An incident, with its id.
    Incident(String, Box<IncidentV10>),
    /// A pending signal, with its time and id.
    Pending(EventTime, String, #[serde(with = "as_json")] SignalBody),
}

/// The core of version 10, with the clock in it.
#[derive(Debug, Clone, Deserialize)]
pub struct CoreV10 {
    sources: BTreeMap<u32, SourceProgress>,
    expected_sources: u32,
    latest_watermark: EventTime,
    next_window: Option<EventTime>,
    current_bucket: CurrentBucket,
    storms: Vec<StormV10>,
    openings: BTreeMap<String, VecDeque<EventTime>>,
    groups: BTreeMap<(String, String), GroupV10>,
    hidden: BTreeMap<(String, String), HiddenV10>,
    digests: BTreeMap<String, DigestV10>,
    cross_posts: CrossPostIndex,
}

#[derive(Debug, Clone, Deserialize)]
struct StormV10 {
    id: String,
    words: Vec<String>,
    growth: Growth,
    recent_joins: VecDeque<u32>,
}

#[derive(Debug, Clone, Deserialize)]
struct GroupV10 {
    id: String,
    growth: Growth,
    _last_joined_at: EventTime,
}

#[derive(Debug, Clone, Deserialize)]
struct HiddenV10 {
    _count: u64,
    _named: Vec<String>,
    notified: bool,
}

#[derive(Debug, Clone, Deserialize)]
struct DigestV10 {
    id: String,
    notified_ids: Vec<String>,
    notified_at: EventTime,
}

/// An incident of version 10, which had the fields of every kind.
#[derive(Debug, Clone, Deserialize)]
pub struct IncidentV10 {
    began: Option<EventTime>,
    posted_at: Option<EventTime>,
    platform: Option<String>,
    risk: Option<Tenths>,
    excerpt: Option<String>,
    reasons: Vec<String>,
    contributions: Vec<Contribution>,
    advice: Vec<String>,
    topics: Vec<String>,
    sim_hash: Option<SimHash>,
    related: Vec<Related>,
    routes: Vec<ActiveRouteV10>,
    lifecycles: Vec<LifecycleV10>,
    answered_at: Option<EventTime>,
    hand_off_request: Option<HandOffRequestV10>,
    silenced_until: Option<EventTime>,
    silences: Vec<String>,
    counts_for_storms: bool,
    storm_id: Option<String>,
    in_groups: Vec<String>,
    members: Option<u64>,
    over_budget_teams: Vec<String>,
    trace: Option<String>,
    next_due: Option<EventTime>,
}

#[derive(Debug, Clone, Deserialize)]
struct ActiveRouteV10 {
    route: String,
    level: Level,
    reason: String,
    group: Option<String>,
    due: Option<EventTime>,
    ends_at: Option<EventTime>,
    lapsed: bool,
    decided: bool,
}

#[derive(Debug, Clone, Deserialize)]
struct LifecycleV10 {
    team: String,
    owner: String,
    open_count: u32,
    step: u32,
    state: EscalationState,
    level: Level,
    route: String,
    notified_at: EventTime,
    open_since: EventTime,
    tier: usize,
    overdue_at: Option<EventTime>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct HandOffRequestV10 {
    at: EventTime,
    deadline: EventTime,
    stall_notified: bool,
}

impl StatePartV10 {
    /// Returns whether the part's key in the changelog is another now.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        matches!(self, Self::Incident(id, incident) if !incident_id(id, incident).is_conversation())
    }
}

impl Dispatcher {
    /// Builds a dispatcher from all parts that version 10 wrote of it. Every part counts as changed.
    #[must_use]
    pub fn from_v10(parts: Vec<StatePartV10>, policy: &Policy) -> Self {
        let mut dispatcher = Self::new(policy);
        let mut incidents = Vec::new();
        for part in parts {
            match part {
                StatePartV10::Core(core) => {
                    (dispatcher.clock, dispatcher.core) = core.convert(policy);
                }
                StatePartV10::Profile(profile) => dispatcher.profile = *profile,
                StatePartV10::History(history) => dispatcher.history = *history,
                StatePartV10::Incident(id, incident) => {
                    incidents.push((incident_id(&id, &incident), incident));
                }
                StatePartV10::Pending(at, id, body) => {
                    dispatcher.pending.insert((at, id), body);
                }
            }
        }
        // A collection exists before its members are counted.
        incidents.sort_by_key(|(id, _)| (id.is_conversation(), id.clone()));
        for (id, incident) in incidents {
            let incident = incident.convert(&id, &dispatcher.core);
            dispatcher.incidents.check_in(&id, incident, policy);
        }
        let whole = [StatePartKey::Clock, StatePartKey::Core, StatePartKey::Profile, StatePartKey::History];
        dispatcher.changed.extend(whole);
        let pending = dispatcher.pending.keys().map(|(at, id)| StatePartKey::Pending(*at, id.clone()));
        dispatcher.changed.extend(pending.collect::<BTreeSet<_>>());
        dispatcher
    }
}

impl CoreV10 {
    fn convert(self, policy: &Policy) -> (WindowClock, DispatcherCore) {
        let clock = WindowClock {
            sources: self.sources,
            expected_sources: self.expected_sources,
            latest_watermark: self.latest_watermark,
            next_window: self.next_window,
        };
        let storm = |old: StormV10| {
            Storm::from_parts(typed(&old.id), Level::Medium, old.words, old.growth, old.recent_joins)
        };
        let group = |(key, old): ((String, String), GroupV10)| {
            (key, OpenGroup::from_parts(typed(&old.id), old.growth))
        };
        let hidden = |(key, old): ((String, String), HiddenV10)| {
            let until = policy.silences.get(&key.0).map(|silence| silence.until);
            let notified_for = until.filter(|_| old.notified);
            (key, notified_for)
        };
        let digest = |(team, old): (String, DigestV10)| {
            let ids = old.notified_ids.iter().map(|id| typed(id)).collect();
            (team, BudgetDigest::from_parts(typed(&old.id), ids, old.notified_at))
        };
        let core = DispatcherCore {
            current_bucket: self.current_bucket,
            storm_window: (None, ComplaintCounts::default()),
            storms: self.storms.into_iter().map(storm).collect(),
            openings: self.openings,
            groups: self.groups.into_iter().map(group).collect(),
            hidden: self.hidden.into_iter().map(hidden).collect(),
            digests: self.digests.into_iter().map(digest).collect(),
            digest_due: BTreeMap::new(),
            group_waits: BTreeMap::new(),
            cross_posts: self.cross_posts,
            policy_hash: policy.hash.clone(),
        };
        (clock, core)
    }
}

impl IncidentV10 {
    fn convert(self, id: &IncidentId, core: &DispatcherCore) -> Incident {
        let kind = id.kind();
        let in_storm = self.storm_id.is_some();
        let routes: Vec<ActiveRoute> = self
            .routes
            .into_iter()
            .map(|old| {
                let muted = in_storm && old.decided && self.lifecycles.is_empty();
                ActiveRoute {
                    route: route_ref(kind, old.route),
                    level: old.level,
                    reason: old.reason,
                    since: EventTime::EARLIEST,
                    group: old.group,
                    due: old.due,
                    ends_at: old.ends_at,
                    lapsed: old.lapsed,
                    decided: old.decided,
                    muted,
                    deferred: false,
                    calm_since: None,
                }
            })
            .collect();
        let team = self.lifecycles.first().map(|lifecycle| lifecycle.team.clone()).unwrap_or_default();
        let stalled = self.hand_off_request.is_some_and(|request| request.stall_notified);
        let lifecycles: Vec<Lifecycle> =
            self.lifecycles.into_iter().map(|old| old.convert(kind, &routes, stalled)).collect();
        let members = self.members.unwrap_or_default();
        let details = match kind {
            IncidentKind::Conversation => Details::Conversation(Box::new(ConversationDetails {
                began: self.began.unwrap_or(EventTime::EARLIEST),
                platform: self.platform,
                risk: self.risk,
                excerpt: self.excerpt,
                contributions: self.contributions,
                sim_hash: self.sim_hash,
                related: self.related,
                answered_at: self.answered_at,
                hand_off_request: self
                    .hand_off_request
                    .map(|old| HandOffRequest { at: old.at, deadline: old.deadline }),
                silences: self.silences,
                hidden_by: vec![],
                counts_for_storms: self.counts_for_storms,
                storm: self.storm_id.as_deref().map(typed),
                memberships: memberships(&self.in_groups, &routes, core),
                expired: None,
                expires_at: None,
            })),
            IncidentKind::Storm => Details::Storm { members },
            IncidentKind::Group => Details::Group(Collection { joined: members, ..Collection::default() }),
            IncidentKind::Digest => Details::BudgetDigest { team, waiting: members },
            IncidentKind::SilenceNotice => Details::SilenceNotice { hidden: members },
        };
        let since = self.posted_at.unwrap_or(EventTime::EARLIEST);
        let budget_waits =
            self.over_budget_teams.into_iter().map(|team| BudgetWait { team, since }).collect();
        Incident {
            details,
            posted_at: self.posted_at,
            reasons: self.reasons.into_iter().map(|text| Reason::new(ReasonKind::Other, text)).collect(),
            advice: self.advice,
            topics: self.topics,
            routes,
            lifecycles,
            silenced_until: self.silenced_until,
            unsilenced: vec![],
            budget_waits,
            trace: self.trace,
            next_due: self.next_due,
        }
    }
}

impl LifecycleV10 {
    fn convert(self, kind: IncidentKind, routes: &[ActiveRoute], stalled: bool) -> Lifecycle {
        let route = route_ref(kind, self.route);
        let known = routes.iter().find(|active| active.route == route && !active.reason.is_empty());
        let reason = known.map_or_else(|| format!("on route {route}"), |active| active.reason.clone());
        let still_matches = routes.iter().any(|active| active.route == route && !active.lapsed);
        let ended = Ended { at: self.notified_at, by_person: still_matches };
        Lifecycle {
            tiers_of: self.team.clone(),
            team: self.team,
            owner: self.owner,
            open_count: self.open_count,
            step: self.step,
            state: self.state,
            level: self.level,
            route,
            reason,
            notified_at: self.notified_at,
            open_since: self.open_since,
            tier: self.tier,
            overdue_at: self.overdue_at,
            ended: self.state.is_final().then_some(ended),
            acknowledged_by: None,
            silenced_until: None,
            reminders_held_until: None,
            tier_held_until: None,
            stalled,
            undo: None,
        }
    }
}

/// Returns the groups that a conversation is in: version 10 kept their routes, and each route its group's key.
fn memberships(in_groups: &[String], routes: &[ActiveRoute], core: &DispatcherCore) -> Vec<Membership> {
    let membership = |route: &String| {
        let active = routes.iter().find(|active| active.route.policy_name() == Some(route))?;
        let group = core.groups.get(&(route.clone(), active.group.clone()?))?;
        Some(Membership { of: group.id.clone(), route: active.route.clone(), respond_by: None })
    };
    in_groups.iter().filter_map(membership).collect()
}

fn incident_id(id: &str, incident: &IncidentV10) -> IncidentId {
    if incident.began.is_some() { IncidentId::conversation(id) } else { typed(id) }
}

fn typed(id: &str) -> IncidentId {
    IncidentId::from_prefix(id).unwrap_or_else(|| IncidentId::conversation(id))
}

fn route_ref(kind: IncidentKind, route: String) -> RouteRef {
    match kind {
        IncidentKind::Conversation | IncidentKind::Group => RouteRef::Policy(route),
        IncidentKind::Storm => RouteRef::Storm,
        IncidentKind::Digest => RouteRef::Digest,
        IncidentKind::SilenceNotice => RouteRef::Silence,
    }
}
