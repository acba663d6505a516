//! State of a brand in parts, each written to the changelog when it changes.
//!
//! A brand can have thousands of open complaints, so a change of one must not write all of them. The changelog
//! depends on the order of fields and variants: a change needs a new version of the state entries.

use std::collections::{BTreeMap, VecDeque};

use firewatch_domain::{EventTime, SignalBody};
use serde::{Deserialize, Serialize};

use crate::baseline::{CurrentBucket, VolumeHistory};
use crate::seasonal_profile::SeasonalProfile;

use super::cross_posts::CrossPostIndex;
use super::digest::Digest;
use super::group::IncidentGroup;
use super::incident::Incident;
use super::silence::HiddenBySilence;
use super::storm::Storm;

/// One part of a brand's state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum StatePart {
    /// Everything that has no part of its own.
    Core(Box<DispatcherCore>),
    /// Usual volume. It changes hourly.
    Profile(Box<SeasonalProfile>),
    /// Volume of the last two hours. It changes every five minutes.
    History(Box<VolumeHistory>),
    /// An incident, with its id.
    Incident(String, Box<Incident>),
    /// A pending signal, with its time and id.
    Pending(EventTime, String, #[serde(with = "as_json")] SignalBody),
}

/// State of a brand apart from its incidents, pending signals, profile and volume history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DispatcherCore {
    /// Progress of each source partition.
    pub(crate) sources: BTreeMap<u32, SourceProgress>,
    /// Number of source partitions; `u32::MAX` until the first watermark, so that nothing is decided before.
    pub(crate) expected_sources: u32,
    /// The latest watermark of any source, the final ones left out.
    pub(crate) latest_watermark: EventTime,
    /// Start of the next window to decide.
    pub(crate) next_window: Option<EventTime>,
    /// Volume of the last five minutes.
    pub(crate) current_bucket: CurrentBucket,
    pub(crate) storms: Vec<Storm>,
    /// When escalations were opened for each team with a budget, within the last hour.
    pub(crate) openings: BTreeMap<String, VecDeque<EventTime>>,
    /// Open groups, by route and `group_by` values.
    pub(crate) groups: BTreeMap<(String, String), IncidentGroup>,
    /// What policy silences hide, by silence and team.
    pub(crate) hidden: HiddenBySilence,
    /// Open digests, by team.
    pub(crate) digests: BTreeMap<String, Digest>,
    /// Recent complaints, to recognise cross-posts.
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

/// Watermark of a source, and whether the source is idle.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct SourceProgress {
    pub at: EventTime,
    pub idle: bool,
}

/// Serialises a signal as JSON: wire records omit absent fields, which a binary format cannot.
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
