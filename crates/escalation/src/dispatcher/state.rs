//! State of a brand in parts, each written to the changelog when it changes.
//!
//! A brand can have thousands of open complaints, so a change of one must not write all of them. The changelog
//! depends on the order of fields and variants: a change needs a new version of the state entries.

use std::collections::{BTreeMap, VecDeque};

use firewatch_domain::{ConversationUpdate, EventTime, IncidentId, SignalBody};
use serde::{Deserialize, Serialize};

use crate::baseline::{ComplaintCounts, CurrentBucket, VolumeHistory};
use crate::seasonal_profile::SeasonalProfile;

use super::cross_posts::CrossPostIndex;
use super::digest::BudgetDigest;
use super::group::OpenGroup;
use super::incident::Incident;
use super::silence::HiddenBySilence;
use super::storm::Storm;
use super::{Dispatcher, StatePartKey, WindowClock};

/// One part of a brand's state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum StatePart {
    /// How far the sources have come. It changes with every watermark.
    Clock(Box<WindowClock>),
    /// Everything that has no part of its own.
    Core(Box<DispatcherCore>),
    /// Usual volume. It changes hourly.
    Profile(Box<SeasonalProfile>),
    /// Volume of the last two hours. It changes every five minutes.
    History(Box<VolumeHistory>),
    /// An incident, with its id.
    Incident(IncidentId, Box<Incident>),
    /// A pending signal, with its time and its place among those of one time.
    Pending(EventTime, String, #[serde(with = "as_json")] SignalBody),
    /// A pending action, with its place among the windows, its time and its id.
    Action(EventTime, EventTime, String, #[serde(with = "as_json")] ConversationUpdate),
}

/// State of a brand apart from its clock, incidents, pending signals, profile and volume history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DispatcherCore {
    /// Volume of the last five minutes.
    pub(crate) current_bucket: CurrentBucket,
    /// Complaints of the storm window in progress, and when it began.
    pub(crate) storm_window: (Option<EventTime>, ComplaintCounts),
    pub(crate) storms: Vec<Storm>,
    /// When escalations were opened for each team with a budget, within the last hour.
    pub(crate) openings: BTreeMap<String, VecDeque<EventTime>>,
    /// Groups that new conversations join, by route and `group_by` values.
    pub(crate) groups: BTreeMap<(String, String), OpenGroup>,
    /// What policy silences hide, by silence and team.
    pub(crate) hidden: HiddenBySilence,
    /// Open digests of what waits for budgets, by team.
    pub(crate) digests: BTreeMap<String, BudgetDigest>,
    /// When a digest opens for teams that have none and for whose budget something started to wait.
    pub(crate) digest_due: BTreeMap<String, EventTime>,
    /// When a group that does not exist yet opens at the earliest, by route and `group_by` values.
    pub(crate) group_waits: BTreeMap<(String, String), EventTime>,
    /// Recent complaints, to recognise cross-posts.
    pub(crate) cross_posts: CrossPostIndex,
    /// Hash of the policy that decided the last window.
    pub(crate) policy_hash: String,
}

impl DispatcherCore {
    pub(crate) fn new() -> Self {
        Self {
            current_bucket: CurrentBucket::new(),
            storm_window: (None, ComplaintCounts::default()),
            storms: vec![],
            openings: BTreeMap::new(),
            groups: BTreeMap::new(),
            hidden: HiddenBySilence::new(),
            digests: BTreeMap::new(),
            digest_due: BTreeMap::new(),
            group_waits: BTreeMap::new(),
            cross_posts: CrossPostIndex::default(),
            policy_hash: String::new(),
        }
    }
}

impl Dispatcher {
    /// Returns the parts that changed since the last call, in their present form; `None` for a part that is
    /// gone.
    pub fn changes(&mut self) -> Vec<(StatePartKey, Option<StatePart>)> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.extend(self.incidents.take_changed().into_iter().map(StatePartKey::Incident));
        changed.into_iter().map(|key| (key.clone(), self.part(&key))).collect()
    }

    /// Returns every part of the state, as a complete changelog holds them.
    #[must_use]
    pub fn parts(&self) -> Vec<(StatePartKey, StatePart)> {
        let whole = [StatePartKey::Clock, StatePartKey::Core, StatePartKey::Profile, StatePartKey::History];
        let incidents = self.incidents.iter().map(|(id, _)| StatePartKey::Incident(id.clone()));
        let actions =
            self.actions.keys().map(|(at, acted, id)| StatePartKey::Action(*at, *acted, id.clone()));
        let keys = whole.into_iter().chain(incidents).chain(self.pending.keys()).chain(actions);
        keys.filter_map(|key| self.part(&key).map(|part| (key, part))).collect()
    }

    fn part(&self, key: &StatePartKey) -> Option<StatePart> {
        match key {
            StatePartKey::Clock => Some(StatePart::Clock(Box::new(self.clock.clone()))),
            StatePartKey::Core => Some(StatePart::Core(Box::new(self.core.clone()))),
            StatePartKey::Profile => Some(StatePart::Profile(Box::new(self.profile.clone()))),
            StatePartKey::History => Some(StatePart::History(Box::new(self.history.clone()))),
            StatePartKey::Incident(id) => {
                let incident = self.incidents.get(id)?;
                Some(StatePart::Incident(id.clone(), Box::new(incident.clone())))
            }
            StatePartKey::Pending(at, place) => {
                let body = self.pending.get(*at, place)?;
                Some(StatePart::Pending(*at, place.clone(), body.clone()))
            }
            StatePartKey::Action(at, acted_at, id) => {
                let update = self.actions.get(&(*at, *acted_at, id.clone()))?;
                Some(StatePart::Action(*at, *acted_at, id.clone(), update.clone()))
            }
        }
    }

    /// Restores a part from the changelog, and returns its key.
    pub fn restore_part(&mut self, part: StatePart) -> StatePartKey {
        match part {
            StatePart::Clock(clock) => {
                self.clock = *clock;
                StatePartKey::Clock
            }
            StatePart::Core(core) => {
                self.core = *core;
                StatePartKey::Core
            }
            StatePart::Profile(profile) => {
                self.profile = *profile;
                StatePartKey::Profile
            }
            StatePart::History(history) => {
                self.history = *history;
                StatePartKey::History
            }
            StatePart::Incident(id, incident) => {
                self.incidents.restore(id.clone(), *incident);
                StatePartKey::Incident(id)
            }
            StatePart::Pending(at, place, body) => {
                self.pending.insert(at, place.clone(), body);
                StatePartKey::Pending(at, place)
            }
            StatePart::Action(at, acted_at, id, update) => {
                self.actions.insert((at, acted_at, id.clone()), update);
                StatePartKey::Action(at, acted_at, id)
            }
        }
    }

    /// Lets a part be written with the next changes.
    pub fn mark_changed(&mut self, part: StatePartKey) {
        self.changed.insert(part);
    }
}

/// Serialises a signal as JSON: wire records omit absent fields, which a binary format cannot.
pub(super) mod as_json {
    use serde::de::{DeserializeOwned, Error as _};
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<T: Serialize, S: Serializer>(body: &T, s: S) -> Result<S::Ok, S::Error> {
        serde_json::to_string(body).map_err(S::Error::custom)?.serialize(s)
    }

    pub fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(d: D) -> Result<T, D::Error> {
        serde_json::from_str(&String::deserialize(d)?).map_err(D::Error::custom)
    }
}
