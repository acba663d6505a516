//! The trait that decides about the records of one partition.
//!
//! Two processors exist: the engine's task, and the ingester of a payload source. The worker above them reads,
//! commits and retries; a processor decides, and handles no errors of clients.

use std::time::Duration;

use firewatch_domain::EventTime;
use firewatch_engine::{ChangelogEntry, Input, Stream};

use crate::RunError;
use crate::log::LogWriter;
use crate::task_writer::TaskWriter;

/// Processes the records of one partition, and keeps its state.
///
/// Order of calls: `restore` for each changelog entry, then `finish_restore`; a replay skips both. In each
/// round `begin_round`, `process` for each event and action, `set_caught_up`, `process` for each signal, `mark_idle` or `end_of_stream` if due, then `changes`, and
/// `committed` after the commit. `rewind` takes the place of the rest of a failed round. When it is unknown
/// whether a commit happened, the processor is dropped.
pub(crate) trait Processor {
    /// Loads one changelog entry.
    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), RunError>;

    /// Called after the last changelog entry.
    fn finish_restore(&mut self) -> Result<(), RunError> {
        Ok(())
    }

    /// Called before the records of a round, so that a changed policy applies to all of them.
    fn begin_round(&mut self) {}

    /// Says, before the signals of a round, whether all events of the partition are processed, so that a forwarded one
    /// is no earlier than they.
    fn set_caught_up(&mut self, _is_caught_up: bool) {}

    /// Processes a record and writes its effects.
    fn process<W: LogWriter>(
        &mut self,
        input: &Input<'_>,
        writer: &mut TaskWriter<W>,
    ) -> Result<(), RunError>;

    /// Advances time by the silence of a partition that is read to its end.
    fn mark_idle<W: LogWriter>(
        &mut self,
        _silence: firewatch_domain::Duration,
        _writer: &mut TaskWriter<W>,
    ) -> Result<(), RunError> {
        Ok(())
    }

    /// Declares that no record will follow.
    fn end_of_stream<W: LogWriter>(&mut self, _writer: &mut TaskWriter<W>) -> Result<(), RunError> {
        Ok(())
    }

    /// Returns the state entries that changed since the last commit.
    fn changes(&mut self) -> Result<&[ChangelogEntry], RunError>;

    /// Called after each commit.
    fn committed(&mut self, now: EventTime);

    /// Undoes everything since the last commit.
    fn rewind(&mut self) -> Result<(), RunError>;

    /// Counts an event of the worker in the metrics.
    fn meter(&self, _event: WorkerEvent) {}
}

/// An event of a worker to count; a lag replaces the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerEvent {
    /// The state was restored from this many changelog entries.
    Restored { entries: u64, took: Duration },
    /// Records of a stream were deleted before they were read.
    Missed { stream: Stream, records: u64 },
    /// A round was committed.
    Committed,
    /// A round failed and was undone.
    Aborted,
    /// The number of unread records of a stream.
    Lag { stream: Stream, records: i64 },
    /// The worker was asked to finish, and gives up its partition.
    Released,
}
