//! One partition of a raw topic at work: take it over, restore what is known, then read, decode and commit, round after round.
//!
//! Events, what is known and the position are one transaction. Whatever goes wrong, the partition is taken over anew from the
//! changelog: what is known is small.

use std::sync::{Arc, Weak};
use std::time::Duration;

use firewatch_domain::EventTime;
use firewatch_engine::{Change, Input, Stream, dead_letters};
use firewatch_ingest::{Decoded, Intake, Rejection};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::Line;
use crate::client::{Reading, reader};
use crate::crew::{Phase, Post};
use crate::error::Remedy;
use crate::headers::traceparent;
use crate::lane::{Lane, serve};
use crate::member::{self, Member};
use crate::positions::{self, Positions};
use crate::restore::{read_changelog, resumed};
use crate::span::bounds;
use crate::wait::{Backoff, Since};
use crate::writer::Writer;
use crate::{RunError, doing};

/// Longest wait for the next payload before looking around.
const GLANCE: Duration = Duration::from_millis(5);
/// Faults of one payload that are told with it.
const TOLD: usize = 3;

/// One worker.
pub(super) struct Worker<'a> {
    pub line: &'a Line,
    pub partition: u32,
    pub post: &'a Post,
    pub member: Weak<Member>,
}

/// What a worker has while it works.
struct Bench {
    intake: Intake,
    writer: Writer,
    consumer: Arc<BaseConsumer<Reading>>,
    lane: Lane,
}

/// What a round counts, once it is committed.
#[derive(Default)]
struct Account {
    payloads: u64,
    kinds: Vec<&'static str>,
    rejected: Vec<&'static str>,
}

impl Worker<'_> {
    /// Works until told to finish.
    pub fn run(&self) -> Result<(), RunError> {
        let Line { settings, source, clock, .. } = self.line;
        let mut backoff = Backoff::new();
        while !self.post.is_to_finish() {
            self.post.set(Phase::Restoring);
            let Err(e) = self.work(&mut backoff) else { break };
            if e.remedy() == Remedy::Stop && !self.post.is_to_finish() {
                return Err(e);
            }
            let problem = format!("{} [{}]: {e}", source.topic, self.partition);
            self.post.wait_after(&problem, &mut backoff, settings.patience_ms, *clock)?;
        }
        Ok(())
    }

    fn work(&self, backoff: &mut Backoff) -> Result<(), RunError> {
        let Some(mut bench) = self.take_over()? else { return Ok(()) };
        self.post.set(Phase::Working);
        while !self.post.is_to_finish() {
            self.round(&mut bench)?;
            backoff.reset();
        }
        Ok(())
    }

    /// Shuts out whoever worked on the partition before, and reads what it has committed.
    fn take_over(&self) -> Result<Option<Bench>, RunError> {
        let Line { settings, topics, source, clock, .. } = self.line;
        let mut writer = Writer::open(settings, topics, self.partition)?;
        let mut intake = Intake::new(source.reader.clone(), settings.most_conversations);
        let unwanted = || {
            self.post.beat(clock());
            self.post.is_to_finish()
        };
        let changelog = (topics.state.as_str(), self.partition);
        let take = |key: &[u8], value: Option<&[u8]>| {
            if intake.restore(key, value) {
                return Ok(());
            }
            Err(RunError::Topics(format!("{} holds an entry that this build does not read", topics.state)))
        };
        let Some(positions) = read_changelog(settings, changelog, &mut writer, unwanted, take)? else {
            return Ok(None);
        };
        let consumer = Arc::new(reader(settings)?);
        let partition = self.partition as i32;
        let (low, high) = bounds(consumer.as_ref(), &source.topic, partition)?;
        let place = format!("{} [{partition}]", source.topic);
        let next = match positions.get(&Stream::Events) {
            Some(next) => resumed(&place, *next, low, high)?,
            None if settings.begins_at_end() => high,
            None => low,
        };
        let lane = Lane::open(&consumer, (&source.topic, partition), Stream::Events, (next, None))?;
        let mut wanted = TopicPartitionList::new();
        wanted
            .add_partition_offset(&source.topic, partition, Offset::Offset(next))
            .and_then(|()| consumer.assign(&wanted))
            .map_err(doing("start reading"))?;
        Ok(Some(Bench { intake, writer, consumer, lane }))
    }

    /// Reads for a commit interval, writes what comes of it, and commits.
    fn round(&self, bench: &mut Bench) -> Result<(), RunError> {
        let Line { settings, source, metrics, clock, .. } = self.line;
        self.post.beat(clock());
        let (start, mut account) = (Since::now(), Account::default());
        let interval = Duration::from_millis(settings.commit_interval_ms);
        let Bench { intake, writer, consumer, lane } = bench;
        while account.payloads < settings.commit_records as u64 && !self.post.is_to_finish() {
            serve(consumer)?;
            let left = interval.saturating_sub(start.elapsed());
            match lane.next(left.min(GLANCE))? {
                Some(message) => self.take(&message, (intake, writer), &mut account)?,
                None if left.is_zero() => break,
                None => {}
            }
            if left.is_zero() {
                break;
            }
        }
        if account.payloads == 0 || self.post.is_abandoned() {
            return Ok(());
        }
        let next = lane.fetched.get();
        let position = Positions::from([(Stream::Events, next)]);
        let known = intake.changes().map(|(key, value)| Change { key, value });
        for change in known.chain([positions::entry(&position)]) {
            writer.state(&change)?;
        }
        writer.commit()?;
        intake.committed();
        metrics.committed(&source.name, account.payloads, &account.kinds, &account.rejected);
        if let Some(member) = self.member.upgrade() {
            member::tell(&member, writer.partition(), [(source.topic.as_str(), next)]);
        }
        Ok(())
    }

    /// Works on a payload.
    fn take(
        &self,
        message: &BorrowedMessage<'_>,
        (intake, writer): (&mut Intake, &mut Writer),
        account: &mut Account,
    ) -> Result<(), RunError> {
        let now = (self.line.clock)();
        let arrival = message.timestamp().to_millis().map_or(now, EventTime::from_millis);
        let trace = traceparent(message.headers());
        let payload = message.payload().unwrap_or_default();
        let decoded = match self.line.settings.formats.json(payload)? {
            Ok(json) => intake.take(&json, arrival),
            Err(rejection) => Decoded { rejections: vec![rejection], ..Decoded::default() },
        };
        account.payloads += 1;
        for event in &decoded.events {
            writer.event(&self.line.events, event, &self.line.source.name, trace.as_deref())?;
            account.kinds.push(event.kind());
        }
        account.rejected.extend(decoded.rejections.iter().map(|rejection| rejection.code.as_str()));
        let Some(rejection) = in_one(&decoded.rejections) else { return Ok(()) };
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
        dead_letters(&input, &rejection).try_for_each(|letter| writer.effect(&letter, trace.as_deref()))
    }
}

/// What is to be mended in a payload, as one: what is only of no interest is not.
fn in_one(rejections: &[Rejection]) -> Option<Rejection> {
    let mut faults = rejections.iter().filter(|rejection| rejection.code.is_fault());
    let first = faults.next()?;
    let others: Vec<&Rejection> = faults.collect();
    let mut detail = first.detail.clone();
    for other in others.iter().take(TOLD - 1) {
        detail += &format!("; {other}");
    }
    if others.len() >= TOLD {
        detail += &format!("; and {} more", others.len() + 1 - TOLD);
    }
    Some(Rejection::new(first.code, detail))
}
