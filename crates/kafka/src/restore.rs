//! Restores a task: its state from the changelog, and the positions that were committed with it.
//!
//! A restore finds the end of a changelog by writing to it: once its own barrier record is read back,
//! everything committed before it has been read. Neither a timeout nor a stale end offset can cut it short.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use firewatch_engine::{ChangelogEntry, Ruleset, Stream, Task};
use firewatch_telemetry::EngineMetrics;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::backoff::Stopwatch;
use crate::client_context::create_consumer;
use crate::positions::{self, Positions};
use crate::span::log_bounds;
use crate::task_writer::TaskWriter;
use crate::{KafkaSettings, RunError, Topics, client_error};

/// Key of the barrier record, whose value is unique to each start.
const BARRIER: &[u8] = b"barrier";
/// Longest wait for the next record of the changelog.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// How often to check whether the task is still wanted.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// The task to restore and the settings for it.
pub(crate) struct Restore<'a> {
    pub settings: &'a KafkaSettings,
    pub topics: &'a Topics,
    pub ruleset: &'a Ruleset,
    pub metrics: &'a EngineMetrics,
    pub partition: u32,
}

impl Restore<'_> {
    /// Restores a task's state and returns it with the offsets to read from. Returns `None` once `unwanted`
    /// returns true.
    pub fn restore_task(
        &self,
        task: Task,
        writer: &mut TaskWriter,
        unwanted: impl Fn() -> bool,
    ) -> Result<Option<(Task, Positions)>, RunError> {
        let (start, mut task, mut entries) = (Stopwatch::start(), task, 0_u64);
        let take = |key: &[u8], value: Option<&[u8]>| {
            entries += 1;
            Ok(task.restore(key, value, self.ruleset)?)
        };
        let changelog = &self.topics.state;
        let restored = read_changelog(self.settings, changelog, self.partition, writer, unwanted, take)?;
        let Some(positions) = restored else {
            return Ok(None);
        };
        task.finish_restore(self.ruleset)?;
        self.metrics.restored(self.partition, entries, start.elapsed());
        let ms = start.elapsed().as_millis() as u64;
        tracing::info!(entries, ms, "state restored");
        Ok(Some((task, self.resume_offsets(&positions)?)))
    }

    /// Returns the offsets to read from. A stream without a committed position starts at its beginning;
    /// events start at their end if `auto.offset.reset` says so.
    fn resume_offsets(&self, committed: &Positions) -> Result<Positions, RunError> {
        let consumer = create_consumer(self.settings)?;
        let partition = self.partition as i32;
        let mut positions = Positions::new();
        for (topic, stream) in self.topics.inputs() {
            let (low, high) = log_bounds(&consumer, topic, partition)?;
            let position = match committed.get(&stream) {
                Some(next) => self.resume_stream(stream, *next, low, high)?,
                None if self.settings.begins_at_end() && stream == Stream::Events => high,
                None => low,
            };
            positions.insert(stream, position);
        }
        Ok(positions)
    }

    /// Returns the offset to read from after a committed one. Logs and counts the records that were deleted
    /// before they were read.
    fn resume_stream(&self, stream: Stream, next: i64, low: i64, high: i64) -> Result<i64, RunError> {
        let place = format!("{} [{}]", stream.as_str(), self.partition);
        let at = resume_offset(&place, next, low, high)?;
        if at > next {
            self.metrics.missed(stream.as_str(), (at - next).unsigned_abs());
        }
        Ok(at)
    }
}

/// Reads a partition of a changelog to its end. Passes every entry but the positions to `take` and returns
/// the positions. Returns `None` once `unwanted` returns true.
pub(crate) fn read_changelog(
    settings: &KafkaSettings,
    topic: &str,
    partition: u32,
    writer: &mut TaskWriter,
    unwanted: impl Fn() -> bool,
    mut take: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), RunError>,
) -> Result<Option<Positions>, RunError> {
    let barrier = barrier();
    writer.write_change(&ChangelogEntry { key: BARRIER.to_vec(), value: Some(barrier.clone()) })?;
    writer.commit()?;
    let consumer = create_consumer(settings)?;
    let mut whole = TopicPartitionList::new();
    whole
        .add_partition_offset(topic, partition as i32, Offset::Beginning)
        .and_then(|()| consumer.assign(&whole))
        .map_err(client_error("read the changelog"))?;
    let (mut positions, mut last_record) = (None, Stopwatch::start());
    loop {
        match consumer.poll(POLL_TIMEOUT) {
            None | Some(Err(KafkaError::PartitionEOF(_))) if last_record.elapsed() > READ_TIMEOUT => {
                return Err(RunError::Timeout(format!(
                    "could not read {topic} [{partition}] to its end in time"
                )));
            }
            None | Some(Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(e @ KafkaError::MessageConsumptionFatal(_))) => {
                return Err(RunError::Client("read the changelog".into(), e));
            }
            // The client retries by itself and has logged the problem.
            Some(Err(_)) => {}
            Some(Ok(message)) => {
                last_record = Stopwatch::start();
                match message.key().unwrap_or_default() {
                    BARRIER if message.payload() == Some(&barrier) => break,
                    BARRIER => {}
                    positions::POSITIONS_KEY => {
                        positions = message.payload().map(positions::parse_entry).transpose()?;
                    }
                    key => take(key, message.payload())?,
                }
            }
        }
        if unwanted() {
            return Ok(None);
        }
    }
    Ok(Some(positions.unwrap_or_default()))
}

/// Returns the offset to read from after a committed one. Logs how many records were deleted before they were
/// read.
pub(crate) fn resume_offset(place: &str, next: i64, low: i64, high: i64) -> Result<i64, RunError> {
    let at = checked_offset(place, next, low, high)?;
    if at > next {
        let missed = at - next;
        tracing::warn!(
            missed,
            "{place}: the committed offset is {next}, but the log begins at {low}: {missed} \
             records were deleted before they were read"
        );
    }
    Ok(at)
}

/// Returns the committed offset if the log still has it, else the first one after it. A committed offset
/// beyond the end of the log is an error: either a deposed leader hides the rest, or records were lost. In
/// both cases reading from another offset could process records twice.
fn checked_offset(place: &str, next: i64, low: i64, high: i64) -> Result<i64, RunError> {
    if next > high {
        return Err(RunError::Timeout(format!(
            "{place}: the committed offset is {next}, but the log ends at {high}; if its brokers have lost \
             records, start again with another group and an empty state topic"
        )));
    }
    Ok(next.max(low))
}

/// Returns bytes that are unique to this start, from the random keys of a hasher.
fn barrier() -> Vec<u8> {
    let random = || RandomState::new().hash_one(std::process::id());
    [random(), random()].iter().flat_map(|n| n.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_deleted_is_passed_over_and_what_is_hidden_is_waited_for() {
        let at = |next| checked_offset("events [0]", next, 10, 20).map_err(|e| e.to_string());
        assert_eq!((at(3), at(15), at(20)), (Ok(10), Ok(15), Ok(20)));
        let problem = at(21).unwrap_err();
        assert!(
            problem.contains("events [0]: the committed offset is 21, but the log ends at 20"),
            "{problem}"
        );
        assert_eq!(
            checked_offset("events [0]", 21, 10, 20).unwrap_err().remedy(),
            crate::error::Remedy::Redo
        );
    }
}
