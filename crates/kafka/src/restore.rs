//! Restores a processor: its state from the changelog, and the positions that were committed with it.
//!
//! A restore finds the end of a changelog by writing to it: once its own barrier record is read back,
//! everything committed before it has been read. Neither a timeout nor a stale end offset can cut it short.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::time::Duration;

use firewatch_engine::{ChangelogEntry, Stream};
use rdkafka::{Message, Offset};

use crate::RunError;
use crate::backoff::Stopwatch;
use crate::log::{Log, Polled, ReadStart, RecordQueue};
use crate::positions::{self, Positions};
use crate::processor::{Processor, WorkerEvent};
use crate::task_writer::TaskWriter;
use crate::worker_context::WorkerContext;

/// Key of the barrier record, whose value is unique to each start.
const BARRIER: &[u8] = b"barrier";
/// Longest wait for the next record of the changelog.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// How often to check whether the task is still wanted.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// Restores a new processor of a partition and returns the offsets to read from. Returns `None` once
/// `unwanted` returns true.
pub(crate) fn restore<L: Log>(
    context: &WorkerContext<L>,
    partition: u32,
    processor: &mut impl Processor,
    writer: &mut TaskWriter<L::Writer>,
    unwanted: impl Fn() -> bool,
) -> Result<Option<Positions>, RunError> {
    let (start, mut entries) = (Stopwatch::start(), 0_u64);
    let take = |key: &[u8], value: Option<&[u8]>| {
        entries += 1;
        processor.restore(key, value)
    };
    let Some(positions) = read_changelog(context, partition, writer, unwanted, take)? else {
        return Ok(None);
    };
    processor.finish_restore()?;
    processor.meter(WorkerEvent::Restored { entries, took: start.elapsed() });
    let ms = start.elapsed().as_millis() as u64;
    tracing::info!(entries, ms, "state restored");
    Ok(Some(resume_offsets(context, partition, &positions, processor)?))
}

/// Returns the offsets to read from. A stream without a committed position starts at its beginning; events
/// start at their end if `auto.offset.reset` says so. Logs and counts the records that were deleted before
/// they were read.
fn resume_offsets<L: Log>(
    context: &WorkerContext<L>,
    partition: u32,
    committed: &Positions,
    processor: &impl Processor,
) -> Result<Positions, RunError> {
    let topics: Vec<&str> = context.inputs.iter().map(|input| input.topic.as_str()).collect();
    let mut positions = Positions::new();
    for (input, bounds) in context.inputs.iter().zip(context.log.bounds(&topics, partition)?) {
        let position = match committed.get(&input.stream) {
            Some(next) => {
                let place = format!("{} [{partition}]", input.topic);
                let at = resume_offset(&place, *next, &bounds)?;
                if at > *next {
                    let records = (at - next).unsigned_abs();
                    processor.meter(WorkerEvent::Missed { stream: input.stream, records });
                }
                at
            }
            None if context.settings.begins_at_end() && input.stream == Stream::Events => bounds.end,
            None => bounds.start,
        };
        positions.insert(input.stream, position);
    }
    Ok(positions)
}

/// Reads a partition of the changelog to its end. Passes every entry but the positions to `take` and returns
/// the positions. Returns `None` once `unwanted` returns true.
fn read_changelog<L: Log>(
    context: &WorkerContext<L>,
    partition: u32,
    writer: &mut TaskWriter<L::Writer>,
    unwanted: impl Fn() -> bool,
    mut take: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), RunError>,
) -> Result<Option<Positions>, RunError> {
    let barrier = barrier();
    writer.write_change(&ChangelogEntry { key: BARRIER.to_vec(), value: Some(barrier.clone()) })?;
    writer.commit()?;
    let topic = context.topics.state.as_str();
    let queues = context.log.open_queues(partition, &[ReadStart { topic, offset: Offset::Beginning }])?;
    let (mut positions, mut last_record) = (None, Stopwatch::start());
    for queue in queues.iter().cycle() {
        queue.service_client()?;
        if let Polled::Record(record) = queue.poll(POLL_TIMEOUT)? {
            last_record = Stopwatch::start();
            match record.key().unwrap_or_default() {
                BARRIER if record.payload() == Some(&barrier) => break,
                BARRIER => {}
                positions::POSITIONS_KEY => {
                    positions = record.payload().map(positions::parse_entry).transpose()?;
                }
                key => take(key, record.payload())?,
            }
        } else if last_record.elapsed() > READ_TIMEOUT {
            let problem = format!("could not read {topic} [{partition}] to its end in time");
            return Err(RunError::Timeout(problem));
        }
        if unwanted() {
            return Ok(None);
        }
    }
    Ok(Some(positions.unwrap_or_default()))
}

/// Returns the offset to read from after a committed one. Logs how many records were deleted before they were
/// read.
fn resume_offset(place: &str, next: i64, bounds: &Range<i64>) -> Result<i64, RunError> {
    let at = checked_offset(place, next, bounds)?;
    if at > next {
        let (missed, low) = (at - next, bounds.start);
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
fn checked_offset(place: &str, next: i64, bounds: &Range<i64>) -> Result<i64, RunError> {
    let high = bounds.end;
    if next > high {
        return Err(RunError::Timeout(format!(
            "{place}: the committed offset is {next}, but the log ends at {high}; if its brokers have lost \
             records, start again with another group and an empty state topic"
        )));
    }
    Ok(next.max(bounds.start))
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
        let at = |next| checked_offset("events [0]", next, &(10..20)).map_err(|e| e.to_string());
        assert_eq!((at(3), at(15), at(20)), (Ok(10), Ok(15), Ok(20)));
        let problem = at(21).unwrap_err();
        assert!(
            problem.contains("events [0]: the committed offset is 21, but the log ends at 20"),
            "{problem}"
        );
        assert_eq!(
            checked_offset("events [0]", 21, &(10..20)).unwrap_err().remedy(),
            crate::error::Remedy::Redo
        );
    }
}
