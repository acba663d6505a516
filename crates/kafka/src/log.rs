//! The log as a worker needs it: writers that commit, queues that read, and where each log begins and ends.
//!
//! Two implementations exist: Kafka, and a simulation for tests in which any call can fail. Everything that
//! decides about errors lies above these traits and runs on both.

use std::ops::Range;
use std::time::Duration;

use rdkafka::message::OwnedMessage;
use rdkafka::{Message, Offset};

use crate::RunError;
use crate::headers::HeaderPair;

/// A cluster: the partitions of its topics, each of them a log.
pub(crate) trait Log {
    type Writer: LogWriter;
    type Queue: RecordQueue;

    /// Takes over a partition. With transactions, this fences the partition's previous writer and aborts what
    /// that writer left open.
    fn open_writer(&self, partition: u32) -> Result<Self::Writer, RunError>;

    /// Starts to read a partition of each topic; returns the queues in the order of `starts`.
    fn open_queues(&self, partition: u32, starts: &[ReadStart<'_>]) -> Result<Vec<Self::Queue>, RunError>;

    /// Returns the log start offset and the last stable offset of a partition of each topic, in the order of
    /// `topics`.
    fn bounds(&self, topics: &[&str], partition: u32) -> Result<Vec<Range<i64>>, RunError>;

    /// Returns the last stable offset of a partition of each topic, in the order of `topics`.
    fn end_offsets(&self, topics: &[&str], partition: u32) -> Result<Vec<i64>, RunError>;
}

/// Where to start reading in a topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadStart<'a> {
    pub topic: &'a str,
    pub offset: Offset,
}

/// Writes records and commits them together. After any error the writer must be dropped and another one be
/// opened: what it sent may still be in flight.
pub(crate) trait LogWriter {
    /// Sends a record; the first one after a commit begins a transaction. Blocks while the
    /// client's buffer is full.
    fn send(&mut self, record: &OutgoingRecord<'_>) -> Result<(), RunError>;

    /// Waits until everything sent is acknowledged, and commits it. Returns whether there was anything to
    /// commit. Fails with [`RunError::InDoubt`] when the commit may or may not have happened.
    fn commit(&mut self) -> Result<bool, RunError>;
}

/// A record to send. Without a partition, the partitioner chooses one by the key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutgoingRecord<'a> {
    pub topic: &'a str,
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    pub payload: Option<&'a [u8]>,
    pub headers: &'a [HeaderPair],
}

/// The committed records of one partition, in order.
pub(crate) trait RecordQueue {
    type Record<'a>: Message
    where
        Self: 'a;

    /// Returns what comes next, if it arrives within `wait`.
    fn poll(&self, wait: Duration) -> Result<Polled<Self::Record<'_>>, RunError>;

    /// Continues from another offset.
    fn seek(&self, offset: i64) -> Result<(), RunError>;

    /// Lets the client that feeds this queue do its background work; due before each round of polls.
    fn service_client(&self) -> Result<(), RunError>;

    /// Copies a record out of the client's memory.
    fn detach(record: &Self::Record<'_>) -> OwnedMessage;
}

/// The result of a poll.
#[derive(Debug)]
pub(crate) enum Polled<R> {
    /// The next record.
    Record(R),
    /// The client has reached the end of the log.
    EndOfLog,
    /// Nothing yet.
    Nothing,
}
