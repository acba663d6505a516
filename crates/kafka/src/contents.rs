//! What topics hold now, or what was written to them between two times: for reports on what was told and done.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use firewatch_domain::EventTime;
use firewatch_engine::Stream;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{Reading, reader};
use crate::feed::{Received, received};
use crate::lane::{Lane, serve};
use crate::span::{ASK, bounds, first_since};
use crate::wait::Since;
use crate::{Formats, KafkaSettings, RunError, doing};

/// Wait for a record before looking at the time.
const GLANCE: Duration = Duration::from_millis(20);

/// Times between which records were written: from one on, and before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Between {
    /// The first time; where the log begins when absent.
    pub from: Option<EventTime>,
    /// The time after the last; where the log ends by now when absent.
    pub to: Option<EventTime>,
}

/// Hands on the records of topics, a partition after the other, until it is told to break.
///
/// # Errors
/// When no broker answers or a topic is not there.
pub fn read_topics(
    settings: &KafkaSettings,
    topics: &[String],
    between: Between,
    sink: &mut dyn FnMut(&Received) -> ControlFlow<()>,
) -> Result<(), RunError> {
    let consumer = Arc::new(reader(settings)?);
    let mut logs = Vec::new();
    for topic in topics {
        for partition in partitions(&consumer, topic)? {
            let (from, until) = span(&consumer, topic, partition, between)?;
            logs.push((topic.as_str(), partition, from, until));
        }
    }
    let mut wanted = TopicPartitionList::new();
    for (topic, partition, from, _) in &logs {
        wanted
            .add_partition_offset(topic, *partition, Offset::Offset(*from))
            .map_err(doing("start reading"))?;
    }
    let lanes: Result<Vec<Lane>, RunError> = logs
        .into_iter()
        // Streams matter to those who follow live ones.
        .map(|(topic, i, from, until)| Lane::open(&consumer, (topic, i), Stream::Events, (from, Some(until))))
        .collect();
    let lanes = lanes?;
    consumer.assign(&wanted).map_err(doing("start reading"))?;
    for lane in &lanes {
        if read_lane((&consumer, &settings.formats), lane, sink)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// The records of a key in a topic, and whether there may be more than could be read in the time. All partitions are looked
/// through, as producers need not share a partitioner.
///
/// # Errors
/// When no broker answers or the topic is not there.
pub fn find(
    settings: &KafkaSettings,
    (topic, key): (&str, &str),
    between: Between,
    patience: Duration,
) -> Result<(Vec<Received>, bool), RunError> {
    let (mut found, mut is_cut) = (Vec::new(), false);
    let since = Since::now();
    read_topics(settings, &[topic.to_owned()], between, &mut |record| {
        if record.key.as_deref() == Some(key.as_bytes()) {
            found.push(record.clone());
        }
        is_cut = since.elapsed() > patience;
        if is_cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok((found, is_cut))
}

/// Where topics end now: the offset after the last by topic and partition.
///
/// # Errors
/// When no broker answers or a topic is not there.
pub fn ends_of(
    settings: &KafkaSettings,
    topics: &[String],
) -> Result<BTreeMap<(String, u32), i64>, RunError> {
    let consumer = reader(settings)?;
    let mut ends = BTreeMap::new();
    for topic in topics {
        for partition in partitions(&consumer, topic)? {
            let (_, end) = span(&consumer, topic, partition, Between::default())?;
            ends.insert((topic.clone(), partition.unsigned_abs()), end);
        }
    }
    Ok(ends)
}

fn read_lane(
    (consumer, formats): (&BaseConsumer<Reading>, &Formats),
    lane: &Lane,
    sink: &mut dyn FnMut(&Received) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, RunError> {
    let mut since = Since::now();
    while !lane.is_over() {
        let taken: Option<BorrowedMessage<'_>> = lane.next(GLANCE)?;
        if let Some(message) = taken {
            if sink(&received(&message, formats)?).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            since = Since::now();
        }
        serve(consumer)?;
        if since.elapsed() > ASK {
            return Err(RunError::Late(format!("{} could not be read to its end", lane.topic)));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn partitions(consumer: &BaseConsumer<Reading>, topic: &str) -> Result<Vec<i32>, RunError> {
    let metadata =
        consumer.fetch_metadata(Some(topic), ASK).map_err(doing(format!("ask about topic {topic}")))?;
    let all: Vec<i32> =
        metadata.topics().iter().flat_map(|t| t.partitions()).map(|partition| partition.id()).collect();
    if all.is_empty() {
        return Err(RunError::Topics(format!(
            "{topic} is not there; make it with `firewatch topics create`"
        )));
    }
    Ok(all)
}

/// The first offset, and the one after the last.
fn span(
    consumer: &BaseConsumer<Reading>,
    topic: &str,
    partition: i32,
    between: Between,
) -> Result<(i64, i64), RunError> {
    let (low, high) = bounds(consumer, topic, partition)?;
    let at = |time: Option<EventTime>, otherwise: i64| match time {
        None => Ok(otherwise),
        Some(time) => {
            first_since(consumer, (topic, partition), time.as_millis()).map(|at| at.unwrap_or(high))
        }
    };
    let from = at(between.from, low)?;
    Ok((from, at(between.to, high)?.max(from)))
}
