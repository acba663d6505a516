//! A task's writer: encodes effects, events and state changes, each for its topic, and commits them together.

use firewatch_domain::{DeadLetter, Event};
use firewatch_engine::{ChangelogEntry, Effect};
use firewatch_wire::{Contract, Format};
use serde::Serialize;

use crate::headers::{HeaderPair, effect_headers, event_headers};
use crate::log::{LogWriter, OutgoingRecord};
use crate::{Formats, RunError, Topics};

/// Writes and commits for one task.
pub(crate) struct TaskWriter<W> {
    log: W,
    partition: u32,
    topics: Topics,
    formats: Formats,
    encode_buffer: Vec<u8>,
}

impl<W: LogWriter> TaskWriter<W> {
    /// Creates the writer of a partition's task.
    pub fn new(log: W, partition: u32, topics: &Topics, formats: &Formats) -> Self {
        Self { log, partition, topics: topics.clone(), formats: formats.clone(), encode_buffer: Vec::new() }
    }

    /// Writes an effect to its topic; `traceparent` is that of the record that caused it.
    pub fn write_effect(&mut self, effect: &Effect, traceparent: Option<&str>) -> Result<(), RunError> {
        match effect {
            Effect::DeadLetter(letter, key) if !self.topics.dead_letter_bytes => {
                if letter.part > 1 {
                    return Ok(());
                }
                let bare = DeadLetter { raw: String::new(), parts: 1, ..(**letter).clone() };
                self.write_whole(&Effect::DeadLetter(Box::new(bare), key.clone()), traceparent)
            }
            effect => self.write_whole(effect, traceparent),
        }
    }

    fn write_whole(&mut self, effect: &Effect, traceparent: Option<&str>) -> Result<(), RunError> {
        let (topic, contract) = (self.topics.topic_for(effect), contract(effect));
        let format = contract.map_or(Format::Json, |contract| self.formats.format_for(contract));
        let headers = effect_headers(effect, format, traceparent);
        let partition = effect.partition().map(|partition| partition as i32);
        self.encode(contract, effect, OutgoingRecord { partition, ..to(&topic, effect.key(), &headers) })
    }

    /// Writes an event decoded from a source's payload; `traceparent` is that of the payload.
    pub fn write_event(
        &mut self,
        topic: &str,
        event: &Event,
        source: &str,
        traceparent: Option<&str>,
    ) -> Result<(), RunError> {
        let headers = event_headers(event, source, self.formats.format_for(Contract::Event), traceparent);
        let key = event.conversation.as_bytes();
        self.encode(Some(Contract::Event), event, to(topic, Some(key), &headers))
    }

    /// Writes a value, in the format configured for its contract, as the payload of `record`.
    fn encode(
        &mut self,
        contract: Option<Contract>,
        value: &impl Serialize,
        record: OutgoingRecord<'_>,
    ) -> Result<(), RunError> {
        self.encode_buffer.clear();
        self.formats.write(contract, record.topic, value, &mut self.encode_buffer)?;
        self.log.send(&OutgoingRecord { payload: Some(self.encode_buffer.as_slice()), ..record })
    }

    /// Writes a state change to the changelog.
    pub fn write_change(&mut self, change: &ChangelogEntry) -> Result<(), RunError> {
        self.log.send(&OutgoingRecord {
            topic: &self.topics.state,
            partition: Some(self.partition as i32),
            key: Some(&change.key),
            payload: change.value.as_deref(),
            headers: &[],
        })
    }

    /// Commits what was written. Returns whether there was anything to commit.
    pub fn commit(&mut self) -> Result<bool, RunError> {
        self.log.commit()
    }
}

/// Returns a record for a topic without a payload; its key chooses the partition.
fn to<'a>(topic: &'a str, key: Option<&'a [u8]>, headers: &'a [HeaderPair]) -> OutgoingRecord<'a> {
    OutgoingRecord { topic, partition: None, key, payload: None, headers }
}

/// Returns the contract of an effect's record; `None` for signals, which only firewatch reads.
fn contract(effect: &Effect) -> Option<Contract> {
    match effect {
        Effect::Score(_) => Some(Contract::Score),
        Effect::Escalation(_) | Effect::HandedOver(..) | Effect::Shadow(..) => Some(Contract::Escalation),
        Effect::DeadLetter(..) => Some(Contract::DeadLetter),
        Effect::Signal(_) | Effect::Forwarded(..) => None,
    }
}
