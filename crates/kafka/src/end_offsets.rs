//! Where logs end, asked over connections of their own.
//!
//! A broker answers the requests of a connection in order, and a fetch holds up those behind it until there is something
//! to read or `fetch.wait.max.ms` is over. Asked by a reader, the end of a quiet log would come half a second late.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::client_context::{ReaderContext, create_consumer};
use crate::{KafkaSettings, RunError, client_error};

/// Longest wait for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Who asks; all tasks of a process share it.
pub(crate) struct EndOffsets(BaseConsumer<ReaderContext>);

impl EndOffsets {
    /// Connects to nothing yet.
    pub fn new(settings: &KafkaSettings) -> Result<Self, RunError> {
        Ok(Self(create_consumer(settings)?))
    }

    /// Where a partition of each topic ends now, in their order: after the last record that is committed.
    pub fn fetch(&self, topics: &[&str], partition: i32) -> Result<Vec<i64>, RunError> {
        // It reads nothing; this lets the client tell what troubles it.
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
                .map_err(client_error("ask where the topics end"))?;
        }
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let offsets = self
            .0
            .offsets_for_times(requested, REQUEST_TIMEOUT)
            .map_err(client_error("ask where the topics end"))?;
        let end = |topic: &&str| {
            let late = || RunError::Timeout(format!("{topic} did not tell its end"));
            let found = offsets.find_partition(topic, partition).ok_or_else(late)?;
            found.error().map_err(client_error(format!("ask where {topic} ends")))?;
            if let Offset::Offset(end) = found.offset() { Ok(end) } else { Err(late()) }
        };
        topics.iter().map(end).collect()
    }

    /// Asks anew who leads the partitions. The client looks after topics that it reads, and only those: here it would go on
    /// believing a broker that told only half of it while it started up.
    fn refresh_leaders(&self, topics: &[&str]) -> Result<(), RunError> {
        for topic in topics {
            self.0
                .fetch_metadata(Some(topic), REQUEST_TIMEOUT)
                .map_err(client_error(format!("ask who leads {topic}")))?;
        }
        Ok(())
    }
}
