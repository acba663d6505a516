//! Events of the streaming API and of webhooks: a name, and a status or its id.

use firewatch_domain::RejectionCode as Code;

use super::Status;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant};
use crate::{Rejection, Result, json};

/// Decodes a server-sent event: `event: NAME`, then `data: PAYLOAD`. Lines that begin with a colon are
/// comments.
pub(super) fn read_sent_event(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Rejection::new(Code::NotUtf8, format!("byte {} is not UTF-8", e.valid_up_to())))?;
    let (mut event, mut data) = (None, String::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("event:") {
            event = Some(name.trim());
        } else if let Some(more) = line.strip_prefix("data:") {
            data.push_str(more.strip_prefix(' ').unwrap_or(more));
        }
    }
    match event {
        Some(event) => read_event(event, &data, out),
        None => Err(not_relevant("a stream heartbeat")),
    }
}

pub(super) fn read_event(event: &str, data: &str, out: &mut DecodeOutput<'_>) -> Result<()> {
    match event {
        "update" | "status.update" | "status.created" | "status.updated" | "notification" => {
            return json::one::<Status>(data.as_bytes())?.read(out);
        }
        "delete" => {}
        "conversation" => return Err(not_public("a private conversation")),
        _ => return Err(not_relevant("a stream event without a status")),
    }
    let id = data.trim().trim_matches('"');
    if id.is_empty() {
        return Err(missing("payload"));
    }
    out.delete(Occurrence { root: id, at: out.arrival }, id)
}
