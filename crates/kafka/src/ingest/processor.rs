//! The ingester of a payload source as a processor: decodes payloads, and writes their events and dead letters.

use firewatch_domain::{EventTime, RejectionCode};
use firewatch_engine::{ChangelogEntry, Input, dead_letters};
use firewatch_ingest::{DecodedPayload, Ingester, Rejection, rejected_parts};

use super::SourceContext;
use crate::RunError;
use crate::log::LogWriter;
use crate::processor::Processor;
use crate::task_writer::TaskWriter;

/// Faults of one payload that its dead letter lists.
const MAX_REPORTED_FAULTS: usize = 3;

/// The ingester of one partition of a raw topic.
pub(super) struct IngestProcessor<'a, L> {
    source: &'a SourceContext<L>,
    ingester: Ingester,
    /// The changes that `changes` returned last.
    changes: Vec<ChangelogEntry>,
    uncommitted: PayloadCounts,
}

/// Counts since the last commit, metered with the next.
#[derive(Default)]
struct PayloadCounts {
    payloads: u64,
    kinds: Vec<&'static str>,
    rejected: Vec<&'static str>,
}

impl<'a, L> IngestProcessor<'a, L> {
    /// Creates a processor without state.
    pub fn new(source: &'a SourceContext<L>) -> Self {
        let max_conversations = source.worker.settings.max_conversations;
        Self {
            source,
            ingester: Ingester::new(source.raw_source.decoder.clone(), max_conversations),
            changes: Vec::new(),
            uncommitted: PayloadCounts::default(),
        }
    }
}

impl<L> Processor for IngestProcessor<'_, L> {
    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), RunError> {
        if self.ingester.restore(key, value) {
            return Ok(());
        }
        let topic = &self.source.worker.topics.state;
        Err(RunError::Changelog(format!("{topic} holds an entry that this build cannot read")))
    }

    fn process<W: LogWriter>(
        &mut self,
        input: &Input<'_>,
        writer: &mut TaskWriter<W>,
    ) -> Result<(), RunError> {
        let SourceContext { worker, raw_source, events_topic, .. } = self.source;
        let json = worker.settings.formats.json(input.value)?;
        let decoded = match &json {
            Ok(json) => self.ingester.ingest(json, input.arrival),
            Err(rejection) => {
                DecodedPayload { rejections: vec![rejection.clone()], ..DecodedPayload::default() }
            }
        };
        let counts = &mut self.uncommitted;
        counts.payloads += 1;
        for event in &decoded.events {
            writer.write_event(events_topic, event, &raw_source.name, input.trace)?;
            counts.kinds.push(event.kind());
        }
        counts.rejected.extend(decoded.rejections.iter().map(|rejection| rejection.code.as_str()));
        let Some(mut rejection) = combine_faults(&decoded.rejections) else { return Ok(()) };
        if decoded.rejections.iter().all(|rejection| rejection.code != RejectionCode::NotPublic) {
            return dead_letters(input, &rejection)
                .try_for_each(|letter| writer.write_effect(&letter, input.trace));
        }
        let parts = rejected_parts(json.as_deref().unwrap_or_default(), &decoded.rejections);
        rejection
            .detail
            .push_str("; the payload also holds what is not public, so only the faulty parts are kept");
        let input = Input { value: &parts, ..*input };
        dead_letters(&input, &rejection).try_for_each(|letter| writer.write_effect(&letter, input.trace))
    }

    fn changes(&mut self) -> Result<&[ChangelogEntry], RunError> {
        self.changes = self.ingester.changes().map(|(key, value)| ChangelogEntry { key, value }).collect();
        Ok(&self.changes)
    }

    fn committed(&mut self, _now: EventTime) {
        self.ingester.committed();
        let PayloadCounts { payloads, kinds, rejected } = std::mem::take(&mut self.uncommitted);
        if payloads > 0 {
            self.source.metrics.committed(&self.source.raw_source.name, payloads, &kinds, &rejected);
        }
    }

    fn rewind(&mut self) -> Result<(), RunError> {
        self.ingester.rewind();
        self.uncommitted = PayloadCounts::default();
        Ok(())
    }
}

/// Combines the faults of a payload into one rejection. Rejections that are no faults, such as content of no
/// interest, are left out.
fn combine_faults(rejections: &[Rejection]) -> Option<Rejection> {
    let mut faults = rejections.iter().filter(|rejection| rejection.code.is_fault());
    let first = faults.next()?;
    let others: Vec<&Rejection> = faults.collect();
    let mut detail = place(first) + &first.detail;
    for other in others.iter().take(MAX_REPORTED_FAULTS - 1) {
        detail += &format!("; {other}");
    }
    if others.len() >= MAX_REPORTED_FAULTS {
        detail += &format!("; and {} more", others.len() + 1 - MAX_REPORTED_FAULTS);
    }
    Some(Rejection::new(first.code, detail))
}

/// Returns the place of a rejection in front of its detail.
fn place(rejection: &Rejection) -> String {
    if rejection.pointer.is_empty() { String::new() } else { format!("{}: ", rejection.pointer) }
}
