//! Reads the state of a brand as version 11 of the changelog wrote it: its incidents had no links.

use firewatch_domain::{ConversationUpdate, EventTime, IncidentId, Reason, SignalBody};
use serde::Deserialize;

use super::WindowClock;
use super::active_route::ActiveRoute;
use super::incident::{BudgetWait, Details, Incident};
use super::state::{DispatcherCore, StatePart, as_json};
use crate::Lifecycle;
use crate::baseline::VolumeHistory;
use crate::seasonal_profile::SeasonalProfile;

/// One part of a brand's state in version 11.
#[derive(Deserialize)]
pub enum StatePartV11 {
    /// As [`StatePart::Clock`].
    Clock(Box<WindowClock>),
    /// As [`StatePart::Core`].
    Core(Box<DispatcherCore>),
    /// As [`StatePart::Profile`].
    Profile(Box<SeasonalProfile>),
    /// As [`StatePart::History`].
    History(Box<VolumeHistory>),
    /// An incident without links, with its id.
    Incident(IncidentId, Box<IncidentV11>),
    /// As [`StatePart::Pending`].
    Pending(EventTime, String, #[serde(with = "as_json")] SignalBody),
    /// As [`StatePart::Action`].
    Action(EventTime, EventTime, String, #[serde(with = "as_json")] ConversationUpdate),
}

/// An incident of version 11.
#[derive(Deserialize)]
pub struct IncidentV11 {
    details: Details,
    posted_at: Option<EventTime>,
    reasons: Vec<Reason>,
    advice: Vec<String>,
    topics: Vec<String>,
    routes: Vec<ActiveRoute>,
    lifecycles: Vec<Lifecycle>,
    silenced_until: Option<EventTime>,
    unsilenced: Vec<String>,
    budget_waits: Vec<BudgetWait>,
    trace: Option<String>,
    next_due: Option<EventTime>,
}

impl From<StatePartV11> for StatePart {
    fn from(old: StatePartV11) -> Self {
        match old {
            StatePartV11::Clock(clock) => Self::Clock(clock),
            StatePartV11::Core(core) => Self::Core(core),
            StatePartV11::Profile(profile) => Self::Profile(profile),
            StatePartV11::History(history) => Self::History(history),
            StatePartV11::Incident(id, incident) => Self::Incident(id, Box::new((*incident).into())),
            StatePartV11::Pending(at, id, body) => Self::Pending(at, id, body),
            StatePartV11::Action(at, acted_at, id, update) => Self::Action(at, acted_at, id, update),
        }
    }
}

impl From<IncidentV11> for Incident {
    fn from(old: IncidentV11) -> Self {
        Self {
            posted_at: old.posted_at,
            reasons: old.reasons,
            advice: old.advice,
            topics: old.topics,
            routes: old.routes,
            lifecycles: old.lifecycles,
            silenced_until: old.silenced_until,
            unsilenced: old.unsilenced,
            budget_waits: old.budget_waits,
            trace: old.trace,
            next_due: old.next_due,
            ..Self::new(old.details)
        }
    }
}
