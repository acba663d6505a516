//! A task's reader: its partition of each input stream, the position in each, and whether each is at its end.
//!
//! The reader joins no group. The worker decides where to read from and what is committed.

use std::collections::VecDeque;
use std::time::Duration;

use firewatch_engine::Stream;
use rdkafka::Offset;
use rdkafka::message::OwnedMessage;

use crate::RunError;
use crate::backoff::{Stopwatch, pause};
use crate::log::{Log, ReadStart, RecordQueue};
use crate::partition_reader::{PartitionReader, TRANSACTION_MARKER_GRACE};
use crate::positions::Positions;

/// Longest wait for records that are known to exist.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the next event before the other streams are polled.
const EVENT_POLL_TIMEOUT: Duration = Duration::from_millis(5);
/// Resolution of the client's timeouts; it treats a shorter wait as none.
const CLIENT_TIME_RESOLUTION: Duration = Duration::from_millis(1);
/// An answer that took this long may be out of date.
const MAX_ANSWER_TIME: Duration = Duration::from_secs(2);
/// How often the end offsets are fetched before a slow answer is accepted.
const MAX_END_OFFSET_TRIES: u32 = 5;

/// A topic that a task reads, and the stream of its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InputTopic {
    pub topic: String,
    pub stream: Stream,
}

/// Records read and not yet processed. Actions are kept elsewhere, because they may have to wait for events
/// of a later batch.
pub(crate) struct Batch<'a, Q: RecordQueue + 'a> {
    pub events: VecDeque<Q::Record<'a>>,
    pub signals: VecDeque<Q::Record<'a>>,
}

/// Reads one partition of every input topic.
pub(crate) struct TaskReader<Q> {
    partition: u32,
    streams: Vec<PartitionReader<Q>>,
    /// Actions read and not yet processed.
    pub pending_actions: VecDeque<OwnedMessage>,
}

impl<Q: RecordQueue> TaskReader<Q> {
    /// Starts to read a partition of each topic from `positions`, up to `ends` where these are given.
    pub fn open(
        log: &impl Log<Queue = Q>,
        inputs: &[InputTopic],
        partition: u32,
        positions: &Positions,
        ends: &Positions,
    ) -> Result<Self, RunError> {
        let from = |input: &InputTopic| positions.get(&input.stream).copied().unwrap_or_default();
        let starts: Vec<ReadStart<'_>> = inputs
            .iter()
            .map(|input| ReadStart { topic: &input.topic, offset: Offset::Offset(from(input)) })
            .collect();
        let queues = log.open_queues(partition, &starts)?;
        let streams = inputs.iter().zip(queues).map(|(input, queue)| {
            let until = ends.get(&input.stream).copied();
            PartitionReader::new(queue, &input.topic, input.stream, from(input), until)
        });
        Ok(Self { partition, streams: streams.collect(), pending_actions: VecDeque::new() })
    }

    /// Returns whether the task merges actions with its events.
    pub fn reads_actions(&self) -> bool {
        self.streams.iter().any(|reader| reader.stream == Stream::Actions)
    }

    /// Reads until `wait` has passed, `max_records` are read or `enough` returns true. Each stream gets a
    /// share of the batch, so that a backlog of events does not delay the signals to brands.
    pub fn poll_batch(
        &self,
        wait: Duration,
        max_records: usize,
        enough: impl Fn() -> bool,
    ) -> Result<(Batch<'_, Q>, Vec<OwnedMessage>), RunError> {
        let start = Stopwatch::start();
        let share = (max_records / self.streams.len()).max(1);
        let (mut batch, mut actions, mut read) =
            (Batch { events: VecDeque::new(), signals: VecDeque::new() }, Vec::new(), 0);
        while read < max_records && !enough() {
            self.service_client()?;
            let before = read;
            for stream in &self.streams {
                let limit = max_records.min(read + share);
                while read < limit
                    && let Some(message) = stream.poll(Duration::ZERO)?
                {
                    read += 1;
                    match stream.stream {
                        Stream::Events => batch.events.push_back(message),
                        Stream::Signals => batch.signals.push_back(message),
                        Stream::Actions => actions.push(Q::detach(&message)),
                    }
                }
            }
            let left = wait.saturating_sub(start.elapsed());
            if left < CLIENT_TIME_RESOLUTION {
                break;
            }
            if read == before
                && let Some(message) =
                    self.stream_reader(Stream::Events)?.poll(left.min(EVENT_POLL_TIMEOUT))?
            {
                read += 1;
                batch.events.push_back(message);
            }
        }
        Ok((batch, actions))
    }

    /// Fetches the end offset of each log. Events come last, so that every event that precedes a known action
    /// lies before the end of the events. A broker that hung may answer before it learns that it is no longer
    /// the leader, and its end offset is then too low. So a slow answer is fetched again.
    pub fn fetch_end_offsets(&self, log: &impl Log) -> Result<(), RunError> {
        for _ in 0..MAX_END_OFFSET_TRIES {
            let start = Stopwatch::start();
            self.fetch_stream_end_offsets(log, |stream| stream != Stream::Events)?;
            self.fetch_stream_end_offsets(log, |stream| stream == Stream::Events)?;
            if start.elapsed() < MAX_ANSWER_TIME {
                break;
            }
            pause(MAX_ANSWER_TIME / 2);
        }
        Ok(())
    }

    fn fetch_stream_end_offsets(
        &self,
        log: &impl Log,
        wanted: impl Fn(Stream) -> bool,
    ) -> Result<(), RunError> {
        let live =
            || self.streams.iter().filter(|stream| stream.stop_offset.is_none() && wanted(stream.stream));
        let topics: Vec<&str> = live().map(|stream| stream.topic.as_str()).collect();
        for (stream, end) in live().zip(log.end_offsets(&topics, self.partition)?) {
            if stream.end_offset.replace(end) != end {
                stream.end_since.set(Stopwatch::start());
            }
        }
        Ok(())
    }

    /// Reads the actions up to the end offset fetched last, and no further. Later actions may follow events
    /// that are not known yet.
    pub fn drain_actions(&self) -> Result<Vec<OwnedMessage>, RunError> {
        let actions = self.stream_reader(Stream::Actions)?;
        let (start, mut rest, mut wait, mut sought) = (Stopwatch::start(), Vec::new(), Duration::ZERO, false);
        while actions.next_offset.get() < actions.end_offset.get() {
            match actions.poll(wait)? {
                Some(message) => rest.push(Q::detach(&message)),
                None if sought && actions.at_eof.get() => break,
                None if start.elapsed() >= DRAIN_TIMEOUT => {
                    return Err(RunError::Timeout(format!(
                        "could not read {} to its end in time",
                        actions.topic
                    )));
                }
                None if !sought && start.elapsed() >= TRANSACTION_MARKER_GRACE => {
                    // Either only transaction markers follow, or the records are held up. After a seek the
                    // client reports the end when it reaches it.
                    actions.at_eof.set(false);
                    sought = true;
                    actions.queue.seek(actions.next_offset.get())?;
                }
                None => {
                    self.service_client()?;
                    wait = EVENT_POLL_TIMEOUT;
                }
            }
        }
        Ok(rest)
    }

    /// Returns whether a stream is read up to the end offset fetched last.
    pub fn at_end(&self, stream: Stream) -> Result<bool, RunError> {
        Ok(self.stream_reader(stream)?.at_end())
    }

    /// Returns the number of unread records of each stream, by the end offsets fetched last.
    pub fn lags(&self) -> impl Iterator<Item = (Stream, i64)> {
        self.streams.iter().map(|stream| {
            let lag = if stream.at_end() { 0 } else { stream.end_offset.get() - stream.next_offset.get() };
            (stream.stream, lag)
        })
    }

    /// Lets the client that all queues share do its background work.
    fn service_client(&self) -> Result<(), RunError> {
        self.streams.first().map_or(Ok(()), |reader| reader.queue.service_client())
    }

    fn stream_reader(&self, stream: Stream) -> Result<&PartitionReader<Q>, RunError> {
        let found = self.streams.iter().find(|reader| reader.stream == stream);
        found.ok_or_else(|| RunError::Topics(format!("no input topic for the stream {}", stream.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topics;
    use crate::simulated_log::{SimulatedLog, SimulatedQueue};

    fn open_at_start(log: &SimulatedLog) -> TaskReader<SimulatedQueue> {
        let start = Positions::new();
        TaskReader::open(log, &Topics::default().task_inputs(), 0, &start, &start).unwrap()
    }

    #[test]
    fn a_backlog_of_events_leaves_room_for_the_other_streams() {
        let (log, topics) = (SimulatedLog::new(), Topics::default());
        for i in 0..100 {
            for topic in [&topics.events, &topics.signals] {
                log.append(topic, "c", b"{}", i);
            }
        }
        let reader = open_at_start(&log);
        let (batch, _) = reader.poll_batch(Duration::from_secs(5), 30, || false).unwrap();
        let (events, signals) = (batch.events.len(), batch.signals.len());
        assert!(
            events >= 10 && signals >= 10 && events + signals == 30,
            "{events} events, {signals} signals"
        );
    }

    #[test]
    fn no_action_is_read_whose_event_may_not_be_known() {
        let (log, topics) = (SimulatedLog::new(), Topics::default());
        let reader = open_at_start(&log);
        reader.fetch_end_offsets(&log).unwrap();
        for topic in [&topics.events, &topics.actions] {
            log.append(topic, "c", b"first the event, then the action", 0);
        }
        assert!(
            reader.drain_actions().unwrap().is_empty(),
            "it was added after the end offsets were fetched"
        );
        reader.fetch_end_offsets(&log).unwrap();
        assert_eq!(reader.drain_actions().unwrap().len(), 1);
        assert!(!reader.at_end(Stream::Events).unwrap(), "the event before it is still to be read");
        let (batch, _) = reader.poll_batch(Duration::ZERO, 1, || false).unwrap();
        assert_eq!(batch.events.len(), 1);
        assert!(reader.at_end(Stream::Events).unwrap());
    }
}
