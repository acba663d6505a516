//! Reads one partition of a stream and tracks the position in it, and whether it is read to its end.

use std::cell::Cell;
use std::time::Duration;

use firewatch_engine::Stream;
use rdkafka::Message;

use crate::RunError;
use crate::backoff::Stopwatch;
use crate::kafka_log::KafkaQueue;
use crate::log::{Polled, RecordQueue};

/// Much longer than a partition is without a leader during a failover.
const LEADER_FAILOVER_TIME: Duration = Duration::from_secs(20);
/// Wait after which a gap before the end offset counts as transaction markers, which the client never
/// delivers. A record that exists arrives within this time.
pub(crate) const TRANSACTION_MARKER_GRACE: Duration = Duration::from_millis(50);

/// Reads one partition of one stream's topic.
pub(crate) struct PartitionReader<Q = KafkaQueue> {
    pub stream: Stream,
    pub topic: String,
    pub queue: Q,
    /// Where to stop reading, exclusive; `None` follows the log.
    pub stop_offset: Option<i64>,
    /// The offset after the last record delivered.
    pub next_offset: Cell<i64>,
    /// Whether the client reported the end of the log after the last record delivered.
    pub at_eof: Cell<bool>,
    /// End offset of the log as fetched last, and when it last changed.
    pub end_offset: Cell<i64>,
    pub end_since: Cell<Stopwatch>,
}

impl<Q: RecordQueue> PartitionReader<Q> {
    /// Creates a reader of a queue that starts at the offset `from`; it stops at `until`, if given.
    pub fn new(queue: Q, topic: &str, stream: Stream, from: i64, until: Option<i64>) -> Self {
        Self {
            stream,
            topic: topic.to_owned(),
            queue,
            stop_offset: until,
            next_offset: Cell::new(from),
            at_eof: Cell::new(false),
            end_offset: Cell::new(until.unwrap_or_default()),
            end_since: Cell::new(Stopwatch::start()),
        }
    }

    /// Returns the next record, if one arrives within `wait`.
    pub fn poll(&self, wait: Duration) -> Result<Option<Q::Record<'_>>, RunError> {
        let is_beyond = |offset: i64| self.stop_offset.is_some_and(|until| offset >= until);
        if is_beyond(self.next_offset.get()) {
            return Ok(None);
        }
        match self.queue.poll(wait)? {
            Polled::Nothing => Ok(None),
            Polled::Record(record) => {
                self.next_offset.set(record.offset() + 1);
                self.at_eof.set(false);
                Ok(Some(record).filter(|record| !is_beyond(record.offset())))
            }
            Polled::EndOfLog => {
                self.at_eof.set(true);
                Ok(None)
            }
        }
    }

    /// How long a gap before the end offset is waited for before it counts as transaction markers. Events may
    /// be held up while their partition changes its leader, and no action may overtake them.
    fn end_grace(&self) -> Duration {
        if self.stream == Stream::Events { LEADER_FAILOVER_TIME } else { TRANSACTION_MARKER_GRACE }
    }

    /// Returns whether the log is read up to the end offset fetched last. A gap before an end offset that has
    /// been unchanged for a while consists of transaction markers.
    pub fn at_end(&self) -> bool {
        self.next_offset.get() >= self.end_offset.get()
            || (self.at_eof.get() && self.end_since.get().elapsed() >= self.end_grace())
    }

    /// Returns whether a reader with a stop offset has delivered all its records. Transaction markers may
    /// precede that offset, so the end of the log counts too.
    pub fn is_exhausted(&self) -> bool {
        self.at_eof.get() || self.stop_offset.is_some_and(|until| self.next_offset.get() >= until)
    }
}
