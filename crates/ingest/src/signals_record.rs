//! Decodes records of the signals topic, which only firewatch writes.

use firewatch_domain::{
    EventTime, Forwarded, ForwardedRecord, RejectionCode as Code, SCHEMA_VERSION, Signal,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::check::{compound_id, missing};
use crate::record::{decode_action, decode_event, version};
use crate::{Rejection, Result, json};

/// A forwarded record before validation.
#[derive(Deserialize)]
struct RawForwarded<'a> {
    v: Option<u32>,
    id: Option<String>,
    arrival: Option<EventTime>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    action: Option<&'a RawValue>,
}

/// What the signals topic holds, which only firewatch writes.
#[derive(Debug, Clone, PartialEq)]
pub enum SignalsRecord {
    /// What a conversation reports to the dispatcher of its brand.
    Signal(Box<Signal>),
    /// A record that another task has read.
    Forwarded(Box<Forwarded>),
}

/// Decodes a record of the signals topic. The key, if given, must equal the brand of a signal, or the conversation of
/// a forwarded record.
///
/// # Errors
/// A rejection with place, value and remedy.
pub fn decode_signals_record(bytes: &[u8], key: Option<&[u8]>) -> Result<SignalsRecord> {
    // Signals are the rule.
    let signal: Signal = match json::object(bytes) {
        Ok(signal) => signal,
        Err(rejection) => match serde_json::from_slice::<RawForwarded>(bytes) {
            Ok(raw) if raw.event.is_some() != raw.action.is_some() => {
                return forwarded(raw, key).map(Box::new).map(SignalsRecord::Forwarded);
            }
            _ => return Err(rejection),
        },
    };
    version(Some(signal.v))?;
    if key.is_some_and(|k| k != signal.brand.as_bytes()) {
        return Err(Rejection::new(Code::KeyMismatch, "the key is not `brand`; key signals by their brand"));
    }
    Ok(SignalsRecord::Signal(Box::new(signal)))
}

fn forwarded(raw: RawForwarded<'_>, key: Option<&[u8]>) -> Result<Forwarded> {
    version(raw.v)?;
    let arrival = raw.arrival.ok_or_else(|| missing("arrival"))?;
    let event = raw.event.map(|event| decode_event(event.get().as_bytes(), key, arrival)).transpose()?;
    let action = raw.action.map(|action| decode_action(action.get().as_bytes(), key, arrival)).transpose()?;
    let record = event.map(ForwardedRecord::Event).or(action.map(ForwardedRecord::Action));
    Ok(Forwarded {
        v: SCHEMA_VERSION,
        id: compound_id("id", raw.id)?,
        arrival,
        record: record.ok_or_else(|| missing("event"))?,
    })
}
