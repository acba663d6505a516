//! How far a worker has come: the positions it has processed, committed and reported, and its limits.

use firewatch_domain::{Duration, EventTime};
use firewatch_engine::{ChangelogEntry, Stream};

use crate::positions::{self, Positions};

/// Lowest limit of records in a round, reached when rounds keep failing.
const MIN_ROUND_RECORDS: usize = 50;
/// How often the committed positions are reported to the group.
const OFFSET_REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Positions, times and the record limit of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    /// Positions as of the last commit.
    pub committed: Positions,
    /// Positions as of the last record processed.
    processed: Positions,
    /// Positions last reported to the group, and when.
    reported: Positions,
    reported_at: EventTime,
    /// When the last event was processed, or the partition was last marked idle.
    pub idle_since: EventTime,
    /// When the end offsets were last fetched.
    pub last_check: EventTime,
    /// Limit of records in a round. A failed round halves it, because the round may have been too large for
    /// its transaction timeout; a commit doubles it.
    pub max_records: usize,
}

impl Progress {
    /// Starts from committed positions.
    pub fn new(committed: Positions, max_records: usize, now: EventTime) -> Self {
        Self {
            processed: committed.clone(),
            reported: committed.clone(),
            committed,
            reported_at: now,
            idle_since: now,
            last_check: now,
            max_records,
        }
    }

    /// Moves the position past a record.
    pub fn advance(&mut self, stream: Stream, offset: i64) {
        self.processed.insert(stream, offset + 1);
    }

    /// Returns the positions as a changelog entry, if they changed since the last commit.
    pub fn changelog_entry(&self) -> Option<ChangelogEntry> {
        (self.processed != self.committed).then(|| positions::changelog_entry(&self.processed))
    }

    /// Notes that everything processed is committed. `max_records` is the configured limit.
    pub fn record_commit(&mut self, max_records: usize) {
        self.max_records = (self.max_records * 2).min(max_records);
        self.committed.clone_from(&self.processed);
    }

    /// Returns to the last commit after a failed round. `max_records` is the configured limit.
    pub fn rewind(&mut self, max_records: usize) {
        self.max_records = (self.max_records / 2).max(MIN_ROUND_RECORDS.min(max_records));
        self.processed.clone_from(&self.committed);
    }

    /// Counts idle time and checks from `now` on, after a pause.
    pub fn restart_clocks(&mut self, now: EventTime) {
        self.idle_since = now;
        self.last_check = now;
    }

    /// Returns the committed positions if they are due to be reported to the group: at once when `is_final`,
    /// otherwise every `OFFSET_REPORT_INTERVAL`.
    pub fn due_report(&mut self, is_final: bool, now: EventTime) -> Option<&Positions> {
        if self.reported == self.committed || !is_final && now - self.reported_at < OFFSET_REPORT_INTERVAL {
            return None;
        }
        self.reported.clone_from(&self.committed);
        self.reported_at = now;
        Some(&self.reported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_round_leaves_no_position_behind_and_halves_the_next() {
        let start = Positions::from([(Stream::Events, 10)]);
        let mut progress = Progress::new(start.clone(), 1000, EventTime::EARLIEST);
        progress.advance(Stream::Events, 14);
        progress.advance(Stream::Signals, 3);
        assert!(progress.changelog_entry().is_some());
        progress.rewind(1000);
        assert_eq!((progress.changelog_entry(), progress.max_records), (None, 500));
        progress.record_commit(1000);
        assert_eq!((&progress.committed, progress.max_records), (&start, 1000));
    }
}
