//! What a worker is given: the settings, topics and clients that its process shares, and where to read.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::group_member::GroupMember;
use crate::span::Span;
use crate::task_reader::InputTopic;
use crate::workers::Workers;
use crate::{KafkaSettings, Topics, WallClock};

/// What all workers of one group share.
pub(crate) struct WorkerContext<L> {
    pub settings: KafkaSettings,
    pub topics: Topics,
    /// The topics to read.
    pub inputs: Vec<InputTopic>,
    pub clock: WallClock,
    pub workers: Arc<Workers>,
    pub log: L,
    /// Wait before the first retry.
    pub first_retry_wait: Duration,
}

/// Where a worker reads from, and whether it records its progress.
pub(crate) enum InputSource {
    /// The partition assigned by the group, from the committed positions and with the committed state.
    Group(Weak<GroupMember>),
    /// A span of the logs, from an empty state. Neither state nor positions are recorded.
    Span(Span),
}
