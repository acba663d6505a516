//! How far the sources of a brand have come, and which window is decided next.

use std::collections::BTreeMap;

use firewatch_domain::EventTime;
use serde::{Deserialize, Serialize};

use crate::Policy;

/// Watermark of a source, and whether the source is idle.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct SourceProgress {
    pub at: EventTime,
    pub idle: bool,
}

/// Progress of the source partitions, and the next window.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WindowClock {
    /// Progress of each source partition.
    pub(crate) sources: BTreeMap<u32, SourceProgress>,
    /// Number of source partitions; `u32::MAX` until the first watermark, so that nothing is decided before.
    pub(crate) expected_sources: u32,
    /// The latest watermark of any source, the final ones left out.
    pub(crate) latest_watermark: EventTime,
    /// Start of the next window to decide.
    pub(crate) next_window: Option<EventTime>,
}

impl WindowClock {
    pub(crate) fn new() -> Self {
        Self {
            sources: BTreeMap::new(),
            expected_sources: u32::MAX,
            latest_watermark: EventTime::EARLIEST,
            next_window: None,
        }
    }

    fn source(&mut self, source: u32) -> &mut SourceProgress {
        self.sources.entry(source).or_insert(SourceProgress { at: EventTime::EARLIEST, idle: true })
    }

    /// Records a source's watermark.
    pub(crate) fn observe_watermark(&mut self, source: u32, at: EventTime, sources: u32, idle: bool) {
        self.expected_sources = sources;
        let progress = self.source(source);
        *progress = SourceProgress { at: at.max(progress.at), idle };
        if at < EventTime::END {
            self.latest_watermark = self.latest_watermark.max(at);
        }
    }

    /// Records that a source is active. Returns whether that is new.
    pub(crate) fn observe_signal(&mut self, source: u32) -> bool {
        std::mem::replace(&mut self.source(source).idle, false)
    }

    /// Returns the number of sources whose stream has ended.
    pub(crate) fn ended_sources(&self) -> usize {
        self.sources.values().filter(|progress| progress.at == EventTime::END).count()
    }

    /// Returns the time that every active source has passed, or the latest time when all are idle. At the end
    /// of all streams it is late enough to decide everything that still waits.
    pub(crate) fn watermark(&self, last_pending: Option<EventTime>, policy: &Policy) -> Option<EventTime> {
        let step = policy.windows.step;
        if self.sources.len() < self.expected_sources as usize {
            return None;
        }
        let active =
            self.sources.values().filter(|progress| !progress.idle).map(|progress| progress.at).min();
        match active.or_else(|| self.sources.values().map(|progress| progress.at).max()) {
            Some(EventTime::END) => {
                let last_pending = last_pending.map(|at| at.floor(step) + step);
                let last = last_pending.map_or(self.latest_watermark, |last| last.max(self.latest_watermark));
                let wait = policy.routes.values().map(|route| route.hold + route.group_wait).max();
                Some((last + wait.unwrap_or_default()).ceil(step))
            }
            watermark => watermark,
        }
    }
}
