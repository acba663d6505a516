//! A brand's state in parts, each written down when it changes.
//!
//! A brand can have thousands of open complaints; a change of one must not cost the writing of all.

use std::collections::{BTreeMap, VecDeque};

use firewatch_domain::{EventTime, SignalBody};
use serde::{Deserialize, Serialize};

use crate::baseline::{CurrentBucket, VolumeHistory};
use crate::seasonal_profile::SeasonalProfile;
use crate::storm::Storm;

use super::cross_posts::CrossPostIndex;
use super::digest::Digest;
use super::group::IncidentGroup;
use super::incident::Incident;
use super::silence::HiddenBySilence;

/// Which part of a brand's state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatePartKey {
    /// All but what the others hold.
    Core,
    /// What is usual; it changes by the hour.
    Profile,
    /// The last two hours; it changes every five minutes.
    History,
    /// A conversation, a storm or a digest.
    Incident(String),
    /// A signal that waits, by time and id.
    Pending(EventTime, String),
}

/// A part of a brand's state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum StatePart {
    /// All but what the others hold.
    Core(Box<DispatcherCore>),
    /// What is usual; it changes by the hour.
    Profile(Box<SeasonalProfile>),
    /// The last two hours; it changes every five minutes.
    History(Box<VolumeHistory>),
    /// A conversation, a storm or a digest.
    Incident(String, Box<Incident>),
    /// A signal that waits.
    Pending(EventTime, String, #[serde(with = "as_json")] SignalBody),
}

/// What is known of a brand but for its cases.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DispatcherCore {
    /// How far each source partition has come.
    pub(crate) sources: BTreeMap<u32, SourceProgress>,
    /// How many there are.
    pub(crate) expected_sources: u32,
    /// The latest tick of any source but that of its end.
    pub(crate) latest_watermark: EventTime,
    /// The start of the next window to decide.
    pub(crate) next_window: Option<EventTime>,
    /// The last five minutes.
    pub(crate) current_bucket: CurrentBucket,
    pub(crate) storms: Vec<Storm>,
    /// When each team with a budget was told of something new, within the last hour.
    pub(crate) openings: BTreeMap<String, VecDeque<EventTime>>,
    /// Groups that are open, by route and what is alike in them.
    pub(crate) groups: BTreeMap<(String, String), IncidentGroup>,
    /// What the policy's silences hide.
    pub(crate) hidden: HiddenBySilence,
    /// What is told of those that wait for a team's budget.
    pub(crate) digests: BTreeMap<String, Digest>,
    /// By which posts of one author on several networks are known.
    pub(crate) cross_posts: CrossPostIndex,
}

impl DispatcherCore {
    pub(crate) fn new() -> Self {
        Self {
            sources: BTreeMap::new(),
            expected_sources: u32::MAX,
            latest_watermark: EventTime::EARLIEST,
            next_window: None,
            current_bucket: CurrentBucket::new(),
            storms: vec![],
            openings: BTreeMap::new(),
            groups: BTreeMap::new(),
            hidden: BTreeMap::new(),
            digests: BTreeMap::new(),
            cross_posts: CrossPostIndex::default(),
        }
    }
}

/// How far a source has come, and whether it is silent.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct SourceProgress {
    pub at: EventTime,
    pub idle: bool,
}

/// The wire's records leave out what is absent, which a binary format cannot: a signal is kept as it came.
mod as_json {
    use firewatch_domain::SignalBody;
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(body: &SignalBody, s: S) -> Result<S::Ok, S::Error> {
        serde_json::to_string(body).map_err(S::Error::custom)?.serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<SignalBody, D::Error> {
        serde_json::from_str(&String::deserialize(d)?).map_err(D::Error::custom)
    }
}
