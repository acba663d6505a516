//! A log in memory in which any call can fail, compiled for tests only. It has one partition, whose
//! transactions and fencing follow Kafka's rules.
//!
//! Unlike Kafka's, its offsets have no gaps, as it writes no transaction markers, and a fenced writer fails at
//! its commit and not before.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedMessage;
use rdkafka::{Offset, Timestamp};

use crate::RunError;
use crate::client_context::lock;
use crate::headers::{HeaderPair, to_kafka_headers};
use crate::log::{Log, LogWriter, OutgoingRecord, Polled, ReadStart, RecordQueue};

/// Timestamp of every record that a worker writes, milliseconds.
const WRITE_TIME: i64 = 1_773_151_200_000;

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call has no effect, and the client says so.
    Failure,
    /// No answer comes in time, and the call has no effect. A commit fails so before it is requested.
    Timeout,
    /// Another process takes over the partition before the call.
    Fencing,
    /// A commit has its effect, but the answer is lost. Any other call times out without effect.
    AnswerLost,
    /// A commit has no effect, and whether it had is unknown. Any other call times out without effect.
    RequestLost,
    /// The cluster refuses for good, so the process ends, as if it were killed here.
    Refusal,
    /// A record takes longer to arrive, which only a queue notices.
    Delay,
}

impl Fault {
    pub const ALL: [Self; 7] = [
        Self::Failure,
        Self::Timeout,
        Self::Fencing,
        Self::AnswerLost,
        Self::RequestLost,
        Self::Refusal,
        Self::Delay,
    ];

    /// Returns the error of a call that fails without effect.
    fn error(self, call: &str) -> RunError {
        match self {
            Self::Refusal => client_failure(call, RDKafkaErrorCode::TopicAuthorizationFailed),
            Self::Failure => client_failure(call, RDKafkaErrorCode::BrokerTransportFailure),
            _ => RunError::Timeout(format!("{call}: no answer")),
        }
    }
}

fn client_failure(call: &str, code: RDKafkaErrorCode) -> RunError {
    RunError::Client(call.to_owned(), KafkaError::MessageProduction(code))
}

/// Decides by the number of calls so far whether the next one fails.
type Schedule = Box<dyn FnMut(usize) -> Option<Fault> + Send>;

/// A record of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredRecord {
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    pub headers: Vec<HeaderPair>,
    /// Milliseconds.
    pub timestamp: i64,
}

/// Called when a queue is read to its end.
type EndCallback = Box<dyn Fn() + Send>;

/// The committed records by topic, and who may write.
struct Contents {
    topics: BTreeMap<String, Vec<StoredRecord>>,
    /// Epoch of the writer that took the partition over last.
    epoch: u64,
    calls: usize,
    schedule: Schedule,
    /// Whether the present call is delayed.
    is_delayed: bool,
    /// The topic whose end is reported, and to whom.
    at_end: Option<(String, EndCallback)>,
}

impl Contents {
    /// Counts a call. Returns the fault that it must suffer, after a takeover by another process.
    fn begin_call(&mut self) -> Option<Fault> {
        let fault = (self.schedule)(self.calls);
        self.calls += 1;
        self.is_delayed = fault == Some(Fault::Delay);
        if fault == Some(Fault::Fencing) {
            self.epoch += 1;
        }
        fault.filter(|fault| !matches!(fault, Fault::Fencing | Fault::Delay))
    }
}

/// A simulated cluster.
#[derive(Clone)]
pub(crate) struct SimulatedLog(Arc<Mutex<Contents>>);

impl SimulatedLog {
    /// Creates a cluster whose calls all succeed.
    pub fn new() -> Self {
        let schedule: Schedule = Box::new(|_| None);
        Self(Arc::new(Mutex::new(Contents {
            topics: BTreeMap::new(),
            epoch: 0,
            calls: 0,
            schedule,
            is_delayed: false,
            at_end: None,
        })))
    }

    /// Sets which calls fail, by their number.
    pub fn fail_calls(&self, schedule: impl FnMut(usize) -> Option<Fault> + Send + 'static) {
        lock(&self.0).schedule = Box::new(schedule);
    }

    /// Calls `callback` whenever a reader reaches the end of a topic. It must not call this log, which is
    /// locked meanwhile. Replaces the callback before.
    pub fn at_end_of(&self, topic: &str, callback: impl Fn() + Send + 'static) {
        lock(&self.0).at_end = Some((topic.to_owned(), Box::new(callback)));
    }

    /// Returns the number of calls so far.
    pub fn calls(&self) -> usize {
        lock(&self.0).calls
    }

    /// Appends a committed record to an input.
    pub fn append(&self, topic: &str, key: &str, payload: &[u8], timestamp: i64) {
        let (key, payload) = (Some(key.as_bytes().to_vec()), Some(payload.to_vec()));
        let record = StoredRecord { key, payload, headers: Vec::new(), timestamp };
        lock(&self.0).topics.entry(topic.to_owned()).or_default().push(record);
    }

    /// Returns the committed records of all topics.
    pub fn topics(&self) -> BTreeMap<String, Vec<StoredRecord>> {
        lock(&self.0).topics.clone()
    }

    /// Runs a call that has no effect when it fails.
    fn call<T>(&self, name: &str, effect: impl FnOnce(&mut Contents) -> T) -> Result<T, RunError> {
        let mut contents = lock(&self.0);
        match contents.begin_call() {
            Some(fault) => Err(fault.error(name)),
            None => Ok(effect(&mut contents)),
        }
    }
}

impl Log for SimulatedLog {
    type Writer = SimulatedWriter;
    type Queue = SimulatedQueue;

    fn open_writer(&self, _partition: u32) -> Result<SimulatedWriter, RunError> {
        let epoch = self.call("take over the partition", |contents| {
            contents.epoch += 1;
            contents.epoch
        })?;
        Ok(SimulatedWriter { log: self.clone(), epoch, sent: Vec::new() })
    }

    fn open_queues(&self, partition: u32, starts: &[ReadStart<'_>]) -> Result<Vec<SimulatedQueue>, RunError> {
        self.call("start reading", |_| ())?;
        let open = |start: &ReadStart<'_>| {
            let from = if let Offset::Offset(from) = start.offset { from } else { 0 };
            let (log, topic) = (self.clone(), start.topic.to_owned());
            SimulatedQueue { log, topic, partition: partition as i32, next: Cell::new(from) }
        };
        Ok(starts.iter().map(open).collect())
    }

    fn bounds(&self, topics: &[&str], _partition: u32) -> Result<Vec<Range<i64>>, RunError> {
        self.call("fetch the first and last offsets", |contents| {
            topics.iter().map(|topic| 0..end(contents, topic)).collect()
        })
    }

    fn end_offsets(&self, topics: &[&str], _partition: u32) -> Result<Vec<i64>, RunError> {
        self.call("fetch end offsets", |contents| topics.iter().map(|topic| end(contents, topic)).collect())
    }
}

fn end(contents: &Contents, topic: &str) -> i64 {
    contents.topics.get(topic).map_or(0, Vec::len) as i64
}

/// A transactional writer.
pub(crate) struct SimulatedWriter {
    log: SimulatedLog,
    epoch: u64,
    /// Records of the open transaction, with their topics.
    sent: Vec<(String, StoredRecord)>,
}

impl LogWriter for SimulatedWriter {
    fn send(&mut self, record: &OutgoingRecord<'_>) -> Result<(), RunError> {
        let stored = StoredRecord {
            key: record.key.map(<[u8]>::to_vec),
            payload: record.payload.map(<[u8]>::to_vec),
            headers: record.headers.to_vec(),
            timestamp: WRITE_TIME,
        };
        let topic = record.topic.to_owned();
        self.log.call("write", |_| ())?;
        self.sent.push((topic, stored));
        Ok(())
    }

    fn commit(&mut self) -> Result<bool, RunError> {
        if self.sent.is_empty() {
            return Ok(false);
        }
        let mut contents = lock(&self.log.0);
        let fault = contents.begin_call();
        if contents.epoch != self.epoch {
            return Err(client_failure("commit", RDKafkaErrorCode::ProducerFenced));
        }
        match fault {
            Some(Fault::RequestLost) => return Err(RunError::InDoubt("the request was lost".into())),
            None | Some(Fault::AnswerLost) => {}
            Some(fault) => return Err(fault.error("commit")),
        }
        for (topic, record) in self.sent.drain(..) {
            contents.topics.entry(topic).or_default().push(record);
        }
        match fault {
            Some(_) => Err(RunError::InDoubt("the answer was lost".into())),
            None => Ok(true),
        }
    }
}

/// Reads the committed records of a topic.
pub(crate) struct SimulatedQueue {
    log: SimulatedLog,
    topic: String,
    partition: i32,
    next: Cell<i64>,
}

impl SimulatedQueue {
    fn to_message(&self, record: &StoredRecord, offset: i64) -> OwnedMessage {
        let StoredRecord { key, payload, headers, timestamp } = record.clone();
        let (created, headers) = (Timestamp::CreateTime(timestamp), Some(to_kafka_headers(&headers)));
        OwnedMessage::new(payload, key, self.topic.clone(), created, self.partition, offset, headers)
    }
}

impl RecordQueue for SimulatedQueue {
    type Record<'a> = OwnedMessage;

    fn poll(&self, _wait: Duration) -> Result<Polled<OwnedMessage>, RunError> {
        let at = self.next.get();
        let read = |contents: &mut Contents| {
            if contents.is_delayed {
                return Polled::Nothing;
            }
            if let Some(record) =
                contents.topics.get(&self.topic).and_then(|records| records.get(at as usize))
            {
                return Polled::Record(self.to_message(record, at));
            }
            if let Some((topic, callback)) = &contents.at_end
                && *topic == self.topic
            {
                callback();
            }
            Polled::EndOfLog
        };
        let polled = self.log.call("read", read)?;
        if let Polled::Record(_) = &polled {
            self.next.set(at + 1);
        }
        Ok(polled)
    }

    fn seek(&self, offset: i64) -> Result<(), RunError> {
        self.log.call("seek", |_| self.next.set(offset))
    }

    fn service_client(&self) -> Result<(), RunError> {
        self.log.call("poll the client", |_| ())
    }

    fn detach(record: &OwnedMessage) -> OwnedMessage {
        record.clone()
    }
}
