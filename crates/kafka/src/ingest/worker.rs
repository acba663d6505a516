//! One partition of a raw topic at work: takes it over, restores the ingester's memory, then reads, decodes
//! and commits, round after round.
//!
//! Events, memory and position are committed in one transaction. After any failure the worker takes over the
//! partition again and restores from the changelog, which is small.

use std::sync::{Arc, Weak};
use std::time::Duration;

use firewatch_domain::EventTime;
use firewatch_engine::{ChangelogEntry, Input, Stream, dead_letters};
use firewatch_ingest::{DecodedPayload, Ingester, Rejection};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::SourceContext;
use crate::backoff::{Backoff, Stopwatch};
use crate::client_context::{ReaderContext, create_consumer};
use crate::error::Remedy;
use crate::group_member::{self, GroupMember};
use crate::headers::traceparent;
use crate::partition_reader::{PartitionReader, poll_client};
use crate::positions::{self, Positions};
use crate::restore::{read_changelog, resume_offset};
use crate::span::log_bounds;
use crate::task_writer::TaskWriter;
use crate::workers::{Phase, WorkerControl};
use crate::{RunError, client_error};

/// Longest wait for the next payload before the worker checks the time and its orders.
const POLL_TIMEOUT: Duration = Duration::from_millis(5);
/// Faults of one payload that its dead letter lists.
const MAX_REPORTED_FAULTS: usize = 3;

/// The worker of one partition.
pub(super) struct IngestWorker<'a> {
    pub source: &'a SourceContext,
    pub partition: u32,
    pub control: &'a WorkerControl,
    pub member: Weak<GroupMember>,
}

/// State of a worker from taking over the partition until it restarts or ends.
struct IngestSession {
    ingester: Ingester,
    writer: TaskWriter,
    consumer: Arc<BaseConsumer<ReaderContext>>,
    reader: PartitionReader,
}

/// Counts of a round, metered once it is committed.
#[derive(Default)]
struct RoundCounts {
    payloads: u64,
    kinds: Vec<&'static str>,
    rejected: Vec<&'static str>,
}

impl IngestWorker<'_> {
    /// Processes payloads until asked to finish. Fails with the first error that no retry can resolve.
    pub fn run(&self) -> Result<(), RunError> {
        let SourceContext { settings, raw_source: source, clock, .. } = self.source;
        let mut backoff = Backoff::new();
        while !self.control.should_finish() {
            self.control.set_phase(Phase::Restoring);
            let Err(e) = self.run_session(&mut backoff) else { break };
            if e.remedy() == Remedy::Stop && !self.control.should_finish() {
                return Err(e);
            }
            let problem = format!("{} [{}]: {e}", source.topic, self.partition);
            self.control.wait_before_retry(&problem, &mut backoff, settings.retry_timeout_ms, *clock)?;
        }
        Ok(())
    }

    fn run_session(&self, backoff: &mut Backoff) -> Result<(), RunError> {
        let Some(mut session) = self.open_session()? else { return Ok(()) };
        self.control.set_phase(Phase::Working);
        while !self.control.should_finish() {
            self.run_round(&mut session)?;
            backoff.reset();
        }
        Ok(())
    }

    /// Fences the previous owner of the partition and restores what it committed. Returns `None` when asked
    /// to finish meanwhile.
    fn open_session(&self) -> Result<Option<IngestSession>, RunError> {
        let SourceContext { settings, topics, raw_source: source, clock, .. } = self.source;
        let mut writer = TaskWriter::open(settings, topics, self.partition)?;
        let mut ingester = Ingester::new(source.decoder.clone(), settings.max_conversations);
        let unwanted = || {
            self.control.heartbeat(clock());
            self.control.should_finish()
        };
        let take = |key: &[u8], value: Option<&[u8]>| {
            if ingester.restore(key, value) {
                return Ok(());
            }
            Err(RunError::Changelog(format!("{} holds an entry that this build cannot read", topics.state)))
        };
        let restored = read_changelog(settings, &topics.state, self.partition, &mut writer, unwanted, take)?;
        let Some(positions) = restored else {
            return Ok(None);
        };
        let consumer = Arc::new(create_consumer(settings)?);
        let partition = self.partition as i32;
        let (low, high) = log_bounds(consumer.as_ref(), &source.topic, partition)?;
        let place = format!("{} [{partition}]", source.topic);
        let next = match positions.get(&Stream::Events) {
            Some(next) => resume_offset(&place, *next, low, high)?,
            None if settings.begins_at_end() => high,
            None => low,
        };
        let reader = PartitionReader::open(&consumer, &source.topic, partition, Stream::Events, next, None)?;
        let mut wanted = TopicPartitionList::new();
        wanted
            .add_partition_offset(&source.topic, partition, Offset::Offset(next))
            .and_then(|()| consumer.assign(&wanted))
            .map_err(client_error("start reading"))?;
        Ok(Some(IngestSession { ingester, writer, consumer, reader }))
    }

    /// Reads for one commit interval, writes the decoded events and commits.
    fn run_round(&self, session: &mut IngestSession) -> Result<(), RunError> {
        let SourceContext { settings, raw_source: source, metrics, clock, .. } = self.source;
        self.control.heartbeat(clock());
        let (start, mut counts) = (Stopwatch::start(), RoundCounts::default());
        let interval = Duration::from_millis(settings.commit_interval_ms);
        let IngestSession { ingester, writer, consumer, reader } = session;
        while counts.payloads < settings.commit_records as u64 && !self.control.should_finish() {
            poll_client(consumer)?;
            let left = interval.saturating_sub(start.elapsed());
            match reader.poll(left.min(POLL_TIMEOUT))? {
                Some(message) => self.ingest_payload(&message, ingester, writer, &mut counts)?,
                None if left.is_zero() => break,
                None => {}
            }
            if left.is_zero() {
                break;
            }
        }
        if counts.payloads == 0 || self.control.is_abandoned() {
            return Ok(());
        }
        let next = reader.next_offset.get();
        let position = Positions::from([(Stream::Events, next)]);
        let known = ingester.changes().map(|(key, value)| ChangelogEntry { key, value });
        for change in known.chain([positions::changelog_entry(&position)]) {
            writer.write_change(&change)?;
        }
        writer.commit()?;
        ingester.committed();
        metrics.committed(&source.name, counts.payloads, &counts.kinds, &counts.rejected);
        if let Some(member) = self.member.upgrade() {
            group_member::report_offsets(&member, writer.partition(), [(source.topic.as_str(), next)]);
        }
        Ok(())
    }

    /// Decodes a payload and writes its events and dead letters.
    fn ingest_payload(
        &self,
        message: &BorrowedMessage<'_>,
        ingester: &mut Ingester,
        writer: &mut TaskWriter,
        counts: &mut RoundCounts,
    ) -> Result<(), RunError> {
        let now = (self.source.clock)();
        let arrival = message.timestamp().to_millis().map_or(now, EventTime::from_millis);
        let trace = traceparent(message.headers());
        let payload = message.payload().unwrap_or_default();
        let decoded = match self.source.settings.formats.json(payload)? {
            Ok(json) => ingester.ingest(&json, arrival),
            Err(rejection) => DecodedPayload { rejections: vec![rejection], ..DecodedPayload::default() },
        };
        counts.payloads += 1;
        for event in &decoded.events {
            writer.write_event(
                &self.source.events_topic,
                event,
                &self.source.raw_source.name,
                trace.as_deref(),
            )?;
            counts.kinds.push(event.kind());
        }
        counts.rejected.extend(decoded.rejections.iter().map(|rejection| rejection.code.as_str()));
        let Some(rejection) = combine_faults(&decoded.rejections) else { return Ok(()) };
        let input = Input {
            stream: Stream::Events,
            topic: message.topic(),
            partition: self.partition,
            offset: message.offset(),
            arrival,
            key: message.key(),
            trace: trace.as_deref(),
            value: payload,
        };
        dead_letters(&input, &rejection).try_for_each(|letter| writer.write_effect(&letter, trace.as_deref()))
    }
}

/// Combines the faults of a payload into one rejection. Rejections that are no faults, such as content of no
/// interest, are left out.
fn combine_faults(rejections: &[Rejection]) -> Option<Rejection> {
    let mut faults = rejections.iter().filter(|rejection| rejection.code.is_fault());
    let first = faults.next()?;
    let others: Vec<&Rejection> = faults.collect();
    let mut detail = first.detail.clone();
    for other in others.iter().take(MAX_REPORTED_FAULTS - 1) {
        detail += &format!("; {other}");
    }
    if others.len() >= MAX_REPORTED_FAULTS {
        detail += &format!("; and {} more", others.len() + 1 - MAX_REPORTED_FAULTS);
    }
    Some(Rejection::new(first.code, detail))
}
