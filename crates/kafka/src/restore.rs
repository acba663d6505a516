//! Where a task begins: its state from the changelog, and the offsets that were committed with it.
//!
//! The end of a changelog is found by writing to it: once a barrier of our own is read back, everything that was
//! committed before it has been read. No time-out and no stale answer about offsets can cut it short.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use firewatch_engine::{Brain, Change, Metrics, Stream, Task};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::client::reader;
use crate::reader::Positions;
use crate::wait::Since;
use crate::writer::Writer;
use crate::{KafkaSettings, RunError, Topics, doing};

/// The barrier's key; its value is unlike that of any other start.
const BARRIER: &[u8] = b"barrier";
/// Longest wait for the next record of the changelog, and for an answer about offsets.
const ASK: Duration = Duration::from_secs(20);
/// How often to look whether the task is still wanted.
const GLANCE: Duration = Duration::from_millis(100);

/// What is needed to restore a task.
pub(crate) struct Restore<'a> {
    pub settings: &'a KafkaSettings,
    pub topics: &'a Topics,
    pub brain: &'a Brain,
    pub metrics: &'a Metrics,
    pub partition: u32,
}

impl Restore<'_> {
    /// Reads a task's state. None when `unwanted` says that there is no need any more.
    pub fn state(
        &self,
        task: Task,
        writer: &mut Writer,
        unwanted: impl Fn() -> bool,
    ) -> Result<Option<Task>, RunError> {
        let start = Since::now();
        let barrier = barrier();
        writer.state(&Change { key: BARRIER.to_vec(), value: Some(barrier.clone()) })?;
        writer.commit(None)?;
        let consumer = reader(self.settings)?;
        let mut whole = TopicPartitionList::new();
        whole
            .add_partition_offset(&self.topics.state, self.partition as i32, Offset::Beginning)
            .and_then(|()| consumer.assign(&whole))
            .map_err(doing("read the changelog"))?;
        let (mut task, mut entries, mut heard) = (task, 0_u64, Since::now());
        loop {
            match consumer.poll(GLANCE) {
                None | Some(Err(KafkaError::PartitionEOF(_))) if heard.elapsed() > ASK => {
                    let problem =
                        format!("{} [{}] could not be read to its end", self.topics.state, self.partition);
                    return Err(RunError::Late(problem));
                }
                None | Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(e @ KafkaError::MessageConsumptionFatal(_))) => {
                    return Err(RunError::Client("read the changelog".into(), e));
                }
                // The client tries again by itself and has told what is wrong.
                Some(Err(_)) => {}
                Some(Ok(message)) => {
                    heard = Since::now();
                    let key = message.key().unwrap_or_default();
                    if key == BARRIER {
                        if message.payload() == Some(&barrier) {
                            break;
                        }
                        continue;
                    }
                    task.restore(key, message.payload(), self.brain)?;
                    entries += 1;
                }
            }
            if unwanted() {
                return Ok(None);
            }
        }
        task.restored(self.brain)?;
        self.metrics.restored(self.partition, entries, start.elapsed());
        Ok(Some(task))
    }

    /// The offsets to read on from; those of a stream never read are its beginning, or its end if the settings say so.
    pub fn positions(&self) -> Result<Positions, RunError> {
        let consumer = reader(self.settings)?;
        let partition = self.partition as i32;
        let mut asked = TopicPartitionList::new();
        for (topic, _) in self.topics.read() {
            asked.add_partition(topic, partition);
        }
        let committed =
            consumer.committed_offsets(asked, ASK).map_err(doing("ask for the committed offsets"))?;
        let mut positions = Positions::new();
        for (topic, stream) in self.topics.read() {
            let (low, high) = consumer
                .fetch_watermarks(topic, partition, ASK)
                .map_err(doing(format!("ask where {topic} begins and ends")))?;
            let entry = committed.find_partition(topic, partition);
            let position = match entry.map(|entry| (entry.error(), entry.offset())) {
                Some((Err(e), _)) => return Err(RunError::Client("ask for the committed offsets".into(), e)),
                Some((Ok(()), Offset::Offset(next))) => self.sound(stream, next, low, high),
                _ if self.settings.begins_at_end() && stream == Stream::Events => high,
                _ => low,
            };
            positions.insert(stream, position);
        }
        Ok(positions)
    }

    /// A committed offset that the log still has, or the nearest one, told with what is missing.
    fn sound(&self, stream: Stream, next: i64, low: i64, high: i64) -> i64 {
        let within = next.clamp(low, high);
        if within != next {
            let partition = self.partition;
            eprintln!(
                "{} [{partition}]: the committed offset is {next}, but the log has {low} to {high}; \
                 reading on from {within}. {} records were deleted before they were read",
                stream.as_str(),
                (within - next).max(0),
            );
            self.metrics.missed(stream, (within - next).max(0) as u64);
        }
        within
    }
}

/// Bytes that no other start has: the keys of a hasher are random.
fn barrier() -> Vec<u8> {
    let random = || RandomState::new().hash_one(std::process::id());
    [random(), random()].iter().flat_map(|n| n.to_le_bytes()).collect()
}
