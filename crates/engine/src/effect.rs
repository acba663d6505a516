//! The engine's output: records to write, each with its key.
//!
//! Ids are deterministic, so that a repeated run writes the same records.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use firewatch_domain::{DeadLetter, Escalation, EventTime, Forwarded, Origin, SCHEMA_VERSION, Score, Signal};
use firewatch_ingest::Rejection;
use serde::{Serialize, Serializer};

use crate::Input;

/// Maximum raw bytes in one dead letter. Base64 turns 3 bytes into 4, and brokers accept 1 MiB by default.
const MAX_DEAD_LETTER_BYTES: usize = 512 << 10;

/// One record to write, by destination.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// To the scores topic.
    Score(Box<Score>),
    /// To the topic of its team.
    Escalation(Box<Escalation>),
    /// The same record to the topic of the team that handed the escalation over, or did not acknowledge it.
    HandedOver(Box<Escalation>, String),
    /// An escalation of the shadow policy in this slot (from 1), to the shadow topic and no team.
    Shadow(u32, Box<Escalation>),
    /// To the signals topic, which firewatch itself reads.
    Signal(Box<Signal>),
    /// To this partition of the signals topic, where the conversation lives.
    Forwarded(Box<Forwarded>, u32),
    /// To the dead letters topic, under the original key.
    DeadLetter(Box<DeadLetter>, Option<Vec<u8>>),
}

impl Effect {
    /// Returns the record's key; `None` only for the dead letter of a record without one.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Score(r) => Some(r.conversation.as_bytes()),
            Self::Escalation(r) | Self::HandedOver(r, _) | Self::Shadow(_, r) => {
                Some(r.conversation.as_bytes())
            }
            Self::Signal(r) => Some(r.brand.as_bytes()),
            Self::Forwarded(r, _) => Some(r.conversation().as_bytes()),
            Self::DeadLetter(_, key) => key.as_deref(),
        }
    }

    /// Returns the partition that the record must be written to; `None` when its key decides.
    #[must_use]
    pub fn partition(&self) -> Option<u32> {
        match self {
            Self::Forwarded(_, partition) => Some(*partition),
            _ => None,
        }
    }

    /// Returns the record's id, which is the same whenever the same input is processed again.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Score(r) => &r.id,
            Self::Escalation(r) | Self::HandedOver(r, _) | Self::Shadow(_, r) => &r.id,
            Self::Signal(r) => &r.id,
            Self::Forwarded(r, _) => &r.id,
            Self::DeadLetter(r, _) => &r.id,
        }
    }

    /// Returns the record's kind, as in its CloudEvents type and in metric labels.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Score(_) => "score",
            Self::Escalation(_) | Self::HandedOver(..) => "escalation",
            Self::Shadow(..) => "trial",
            Self::Signal(_) => "signal",
            Self::Forwarded(..) => "forwarded",
            Self::DeadLetter(..) => "dead_letter",
        }
    }

    /// Returns the record's event time; `None` for a dead letter, whose time cannot be trusted.
    #[must_use]
    pub fn at(&self) -> Option<EventTime> {
        match self {
            Self::Score(r) => Some(r.at),
            Self::Escalation(r) | Self::HandedOver(r, _) | Self::Shadow(_, r) => Some(r.at),
            Self::Signal(r) => Some(r.at),
            Self::Forwarded(r, _) => Some(r.at()),
            Self::DeadLetter(..) => None,
        }
    }

    /// Returns the W3C trace context of the record that caused an escalation. Other effects return `None`:
    /// the record being processed caused them.
    #[must_use]
    pub fn trace(&self) -> Option<&str> {
        match self {
            Self::Escalation(r) | Self::HandedOver(r, _) | Self::Shadow(_, r) => r.trace.as_deref(),
            _ => None,
        }
    }
}

/// Serializes the record without its destination or key.
impl Serialize for Effect {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Score(r) => r.serialize(serializer),
            Self::Escalation(r) | Self::HandedOver(r, _) | Self::Shadow(_, r) => r.serialize(serializer),
            Self::Signal(r) => r.serialize(serializer),
            Self::Forwarded(r, _) => r.serialize(serializer),
            Self::DeadLetter(r, _) => r.serialize(serializer),
        }
    }
}

/// Returns the dead letters of a rejected record: one, or several parts if it exceeds 512 KiB.
pub fn dead_letters<'a>(input: &'a Input<'_>, rejection: &'a Rejection) -> impl Iterator<Item = Effect> + 'a {
    let parts = input.value.len().div_ceil(MAX_DEAD_LETTER_BYTES).max(1);
    (0..parts).map(move |i| {
        let start = i * MAX_DEAD_LETTER_BYTES;
        let end = input.value.len().min(start + MAX_DEAD_LETTER_BYTES);
        let raw = STANDARD.encode(input.value.get(start..end).unwrap_or_default());
        let origin = Origin { topic: input.topic.into(), partition: input.partition, offset: input.offset };
        let letter = DeadLetter {
            v: SCHEMA_VERSION,
            id: format!("{}/{}/{}/{}", input.topic, input.partition, input.offset, i + 1),
            code: rejection.code,
            detail: rejection.detail.clone(),
            origin,
            raw,
            part: i as u32 + 1,
            parts: parts as u32,
        };
        Effect::DeadLetter(Box::new(letter), input.key.map(<[u8]>::to_vec))
    })
}

#[cfg(test)]
mod tests {
    use firewatch_domain::RejectionCode;

    use super::*;
    use crate::Stream;

    #[test]
    fn a_very_large_record_is_kept_whole_in_parts_a_broker_takes() {
        let value: Vec<u8> = (0..1_300_000_u32).map(|i| i as u8).collect();
        let arrival = EventTime::EARLIEST;
        let input = Input {
            stream: Stream::Events,
            topic: "t",
            partition: 3,
            offset: 7,
            arrival,
            key: None,
            trace: None,
            value: &value,
        };
        let rejection = Rejection::new(RejectionCode::TooLarge, "too large");
        let mut raw = Vec::new();
        for (i, effect) in dead_letters(&input, &rejection).enumerate() {
            let json = serde_json::to_vec(&effect).unwrap();
            assert!(json.len() < 1_000_000);
            let Effect::DeadLetter(letter, _) = effect else { panic!("no dead letter") };
            assert_eq!((letter.part, letter.parts), (i as u32 + 1, 3));
            assert_eq!(letter.id, format!("t/3/7/{}", i + 1));
            raw.extend(STANDARD.decode(letter.raw).unwrap());
        }
        assert_eq!(raw, value);
    }
}
