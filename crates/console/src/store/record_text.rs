//! Escalations as texts of the database: the record itself, and what a search matches.

use firewatch_domain::Escalation;

use super::StoreError;

/// Decodes a stored record.
pub(super) fn parse_record(record: &str) -> Result<Escalation, StoreError> {
    serde_json::from_str(record).map_err(|e| StoreError::Row(e.to_string()))
}

/// Encodes a record to store it.
pub(super) fn record_text(e: &Escalation) -> Result<String, StoreError> {
    serde_json::to_string(e).map_err(|e| StoreError::Row(e.to_string()))
}

/// Returns the text that a search matches, in lower case: conversation id, excerpt, reasons and topics.
pub(super) fn search_text(e: &Escalation) -> String {
    let excerpt = e.excerpt.as_deref().unwrap_or_default();
    let texts = e.reasons.texts().chain(e.topics.iter().map(String::as_str));
    [e.conversation.as_str(), excerpt].into_iter().chain(texts).collect::<Vec<_>>().join(" ").to_lowercase()
}
