//! A task's reader: its partition of each stream, where each has come to, and whether it is at its end.
//!
//! It has no place in a group; where to read and what is committed are the worker's to say.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use firewatch_engine::Stream;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, OwnedMessage};
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{Reading, reader};
use crate::ends::Ends;
use crate::lane::{Lane, MARKERS, serve};
use crate::positions::Positions;
use crate::wait::{Since, pause};
use crate::{KafkaSettings, RunError, Topics, doing};

/// Longest wait for records that are known to be there.
const ASK: Duration = Duration::from_secs(10);
/// Longest wait for the next event before the other streams are looked at.
const GLANCE: Duration = Duration::from_millis(5);
/// The client counts time in these; a shorter wait is none to it.
const TICK: Duration = Duration::from_millis(1);
/// An answer that took so long may be out of date.
const STALE: Duration = Duration::from_secs(2);
/// How often to ask before a slow answer is taken.
const TRIES: u32 = 5;

/// Records read and not yet worked on. Actions may have to wait for events of a later batch, so they are not here.
#[derive(Default)]
pub(crate) struct Batch<'a> {
    pub events: VecDeque<BorrowedMessage<'a>>,
    pub signals: VecDeque<BorrowedMessage<'a>>,
}

/// The reader.
pub(crate) struct Reader {
    consumer: Arc<BaseConsumer<Reading>>,
    partition: i32,
    lanes: Vec<Lane>,
    /// Actions read and not yet worked on.
    pub actions: VecDeque<OwnedMessage>,
}

impl Reader {
    /// Starts to read a partition of each stream at these positions, up to those ends that are given.
    pub fn open(
        settings: &KafkaSettings,
        topics: &Topics,
        partition: u32,
        positions: &Positions,
        ends: &Positions,
    ) -> Result<Self, RunError> {
        let consumer = Arc::new(reader(settings)?);
        let partition = partition as i32;
        let mut wanted = TopicPartitionList::new();
        for (topic, stream) in topics.read() {
            let at = positions.get(&stream).copied().unwrap_or_default();
            wanted
                .add_partition_offset(topic, partition, Offset::Offset(at))
                .map_err(doing("start reading"))?;
        }
        let mut lanes = Vec::new();
        for (topic, stream) in topics.read() {
            let from = positions.get(&stream).copied().unwrap_or_default();
            let until = ends.get(&stream).copied();
            lanes.push(Lane::open(&consumer, (topic, partition), stream, (from, until))?);
        }
        consumer.assign(&wanted).map_err(doing("start reading"))?;
        Ok(Self { consumer, partition, lanes, actions: VecDeque::new() })
    }

    /// Reads until the time is up, there are `most` records, or `enough` says so. With more at hand than that, each stream
    /// gets its share: a backlog of events must not keep brands from what was told to them.
    pub fn gather(
        &self,
        wait: Duration,
        most: usize,
        enough: impl Fn() -> bool,
    ) -> Result<(Batch<'_>, Vec<OwnedMessage>), RunError> {
        let start = Since::now();
        let share = (most / self.lanes.len()).max(1);
        let (mut batch, mut actions, mut read) = (Batch::default(), Vec::new(), 0);
        while read < most && !enough() {
            serve(&self.consumer)?;
            let before = read;
            for lane in &self.lanes {
                let limit = most.min(read + share);
                while read < limit
                    && let Some(message) = lane.next(Duration::ZERO)?
                {
                    read += 1;
                    match lane.stream {
                        Stream::Events => batch.events.push_back(message),
                        Stream::Signals => batch.signals.push_back(message),
                        Stream::Actions => actions.push(message.detach()),
                    }
                }
            }
            let left = wait.saturating_sub(start.elapsed());
            if left < TICK {
                break;
            }
            if read == before
                && let Some(message) = self.lane(Stream::Events)?.next(left.min(GLANCE))?
            {
                read += 1;
                batch.events.push_back(message);
            }
        }
        Ok((batch, actions))
    }

    /// Asks where each log ends now; the events after the others, so that whatever an action followed is before the end
    /// of the events. A broker that hung may answer before it learns that it leads no longer, and then it tells an end
    /// that others have passed: what took long is asked again.
    pub fn ask_ends(&self, ends: &Ends) -> Result<(), RunError> {
        for _ in 0..TRIES {
            let start = Since::now();
            self.ask_ends_of(ends, |stream| stream != Stream::Events)?;
            self.ask_ends_of(ends, |stream| stream == Stream::Events)?;
            if start.elapsed() < STALE {
                break;
            }
            pause(STALE / 2);
        }
        Ok(())
    }

    fn ask_ends_of(&self, ends: &Ends, wanted: impl Fn(Stream) -> bool) -> Result<(), RunError> {
        let live = || self.lanes.iter().filter(|lane| lane.until.is_none() && wanted(lane.stream));
        let topics: Vec<&str> = live().map(|lane| lane.topic.as_str()).collect();
        for (lane, end) in live().zip(ends.of(&topics, self.partition)?) {
            if lane.end.replace(end) != end {
                lane.end_since.set(Since::now());
            }
        }
        Ok(())
    }

    /// Reads the actions to the end last asked for, and no further: what was added since may follow events that were added
    /// since as well, and those are not known yet.
    pub fn rest_of_actions(&self) -> Result<Vec<OwnedMessage>, RunError> {
        let lane = self.lane(Stream::Actions)?;
        let (start, mut rest, mut wait, mut sought) = (Since::now(), Vec::new(), Duration::ZERO, false);
        while lane.fetched.get() < lane.end.get() {
            match lane.next(wait)? {
                Some(message) => rest.push(message.detach()),
                None if sought && lane.ended.get() => break,
                None if start.elapsed() >= ASK => {
                    return Err(RunError::Late(format!("{} could not be read to its end", lane.topic)));
                }
                None if !sought && start.elapsed() >= MARKERS => {
                    // Either markers follow, or the records are held up. Read anew, the end is told when it is reached.
                    lane.ended.set(false);
                    sought = true;
                    let here = Offset::Offset(lane.fetched.get());
                    self.consumer
                        .seek(&lane.topic, self.partition, here, ASK)
                        .map_err(doing(format!("read {} to its end", lane.topic)))?;
                }
                None => {
                    serve(&self.consumer)?;
                    wait = GLANCE;
                }
            }
        }
        Ok(rest)
    }

    /// Whether a stream is read to the end last asked for.
    pub fn at_end(&self, stream: Stream) -> Result<bool, RunError> {
        Ok(self.lane(stream)?.at_end())
    }

    /// Records not read yet, by stream, as last asked for.
    pub fn lags(&self) -> impl Iterator<Item = (Stream, i64)> {
        self.lanes.iter().map(|lane| {
            let lag = if lane.at_end() { 0 } else { lane.end.get() - lane.fetched.get() };
            (lane.stream, lag)
        })
    }

    fn lane(&self, stream: Stream) -> Result<&Lane, RunError> {
        let found = self.lanes.iter().find(|lane| lane.stream == stream);
        found.ok_or_else(|| RunError::Topics(format!("no topic for {}", stream.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Embedded, Feed};

    fn embedded() -> (Embedded, KafkaSettings, Reader) {
        let topics = Topics::default();
        let broker = Embedded::start(&topics, &[], 1).unwrap();
        let mut settings = KafkaSettings::local(&broker.bootstrap_servers(), "test");
        settings.consumer.push(("fetch.wait.max.ms".into(), "20".into()));
        let start = Positions::new();
        let reader = Reader::open(&settings, &topics, 0, &start, &start).unwrap();
        (broker, settings, reader)
    }

    #[test]
    fn a_backlog_of_events_leaves_room_for_the_other_streams() {
        let (_broker, settings, reader) = embedded();
        let (topics, feed) = (Topics::default(), Feed::new(&settings).unwrap());
        for _ in 0..100 {
            for topic in [&topics.events, &topics.signals] {
                feed.send(topic, Some("c"), b"{}", &[]).unwrap();
            }
        }
        feed.flush().unwrap();
        // Long enough for all to be at hand.
        pause(Duration::from_millis(500));
        let (batch, _) = reader.gather(Duration::from_secs(5), 30, || false).unwrap();
        let (events, signals) = (batch.events.len(), batch.signals.len());
        assert!(
            events >= 10 && signals >= 10 && events + signals == 30,
            "{events} events, {signals} signals"
        );
    }

    #[test]
    fn no_action_is_read_whose_event_may_not_be_known() {
        let (_broker, settings, reader) = embedded();
        let ends = Ends::new(&settings).unwrap();
        reader.ask_ends(&ends).unwrap();
        let (topics, feed) = (Topics::default(), Feed::new(&settings).unwrap());
        for topic in [&topics.events, &topics.actions] {
            feed.send(topic, Some("c"), b"first the event, then the action", &[]).unwrap();
            feed.flush().unwrap();
        }
        // Long enough for the action to be at hand.
        pause(Duration::from_millis(500));
        // More than once, as the first answer may be that the log has ended.
        for _ in 0..3 {
            assert!(
                reader.rest_of_actions().unwrap().is_empty(),
                "it was added after the ends were asked for"
            );
        }
        reader.ask_ends(&ends).unwrap();
        assert_eq!(reader.rest_of_actions().unwrap().len(), 1);
        assert!(!reader.at_end(Stream::Events).unwrap(), "the event before it is still to be read");
        let (batch, _) = reader.gather(Duration::from_millis(500), 1, || false).unwrap();
        assert_eq!(batch.events.len(), 1);
        assert!(reader.at_end(Stream::Events).unwrap());
    }
}
