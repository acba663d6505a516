//! Fetches the end offsets of logs, over connections of its own.
//!
//! A broker answers the requests of a connection in order, and a fetch delays those behind it until records
//! arrive or `fetch.wait.max.ms` has passed. Over a reader's connection, the end offset of a quiet log would
//! arrive half a second late.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::client_context::{ReaderContext, create_consumer};
use crate::{KafkaSettings, RunError, client_error};

/// Longest wait for a broker's answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A client that fetches end offsets; all tasks of a process share it.
pub(crate) struct EndOffsets(BaseConsumer<ReaderContext>);

impl EndOffsets {
    /// Creates the client; nothing is connected yet.
    pub fn new(settings: &KafkaSettings) -> Result<Self, RunError> {
        Ok(Self(create_consumer(settings)?))
    }

    /// Returns the current end offset of a partition of each topic, in the order of `topics`: the offset
    /// after the last committed record. Refreshes the leaders and tries once more after a failure.
    pub fn fetch(&self, topics: &[&str], partition: i32) -> Result<Vec<i64>, RunError> {
        // The client reads nothing; polling lets it report errors.
        let _ = self.0.poll(Duration::ZERO);
        self.request(topics, partition).or_else(|_| {
            self.refresh_leaders(topics)?;
            self.request(topics, partition)
        })
    }

    fn request(&self, topics: &[&str], partition: i32) -> Result<Vec<i64>, RunError> {
        let mut requested = TopicPartitionList::new();
        for topic in topics {
            requested
                .add_partition_offset(topic, partition, Offset::End)
                .map_err(client_error("fetch end offsets"))?;
        }
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let offsets = self
            .0
            .offsets_for_times(requested, REQUEST_TIMEOUT)
            .map_err(client_error("fetch end offsets"))?;
        let end = |topic: &&str| {
            let late = || RunError::Timeout(format!("{topic}: the brokers returned no end offset"));
            let found = offsets.find_partition(topic, partition).ok_or_else(late)?;
            found.error().map_err(client_error(format!("fetch the end offset of {topic}")))?;
            if let Offset::Offset(end) = found.offset() { Ok(end) } else { Err(late()) }
        };
        topics.iter().map(end).collect()
    }

    /// Fetches the leaders of the partitions again. The client refreshes the metadata only of topics that it
    /// reads. Without this, it would keep the incomplete metadata of a broker that was still starting.
    fn refresh_leaders(&self, topics: &[&str]) -> Result<(), RunError> {
        for topic in topics {
            self.0
                .fetch_metadata(Some(topic), REQUEST_TIMEOUT)
                .map_err(client_error(format!("fetch the leaders of {topic}")))?;
        }
        Ok(())
    }
}
