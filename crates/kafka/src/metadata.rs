//! Fetches the metadata of topics, and reports why brokers or the client refuse a connection.
//!
//! librdkafka repeats a refused connection until the request times out, and reports the reason only to a client
//! that is polled.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::Metadata;

use crate::backoff::Stopwatch;
use crate::client_context::ReaderContext;
use crate::{RunError, client_error};

/// Longest wait for the first answer; it doubles with each attempt. Connections survive an attempt.
const FIRST_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(250);
/// Time for the client's reports after a failed attempt.
const REPORT_TIMEOUT: Duration = Duration::from_millis(20);

/// Fetches the metadata of a topic with a consumer that reads nothing yet. Attempts for up to `timeout` while no
/// broker answers.
pub(crate) fn fetch_topic_metadata(
    consumer: &BaseConsumer<ReaderContext>,
    topic: &str,
    timeout: Duration,
) -> Result<Metadata, RunError> {
    let (start, mut attempt) = (Stopwatch::start(), FIRST_ATTEMPT_TIMEOUT);
    loop {
        let error = match consumer.fetch_metadata(Some(topic), attempt) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => error,
        };
        // Nothing is assigned, so no record is lost here.
        let _ = consumer.poll(REPORT_TIMEOUT);
        if let Some(reason) = consumer.context().refusal() {
            return Err(RunError::Refused(reason));
        }
        let left = timeout.saturating_sub(start.elapsed());
        if left.is_zero() {
            let reason = consumer.context().last_reason().map_or_else(String::new, |why| format!(": {why}"));
            return Err(client_error(format!("fetch the metadata of topic {topic}{reason}"))(error));
        }
        attempt = (attempt * 2).min(left);
    }
}
