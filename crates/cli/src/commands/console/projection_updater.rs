//! Brings the topics' records into the console's projection, batch by batch.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firewatch_console::store::{IncomingRecord, Kind, Store, StoreError};
use firewatch_console::web::Clock;
use firewatch_domain::{Duration as Span, EventTime};
use firewatch_kafka::{ReceivedRecord, RunError, TopicTail};
use tokio::runtime::Handle;

use super::ConsoleInput;
use crate::common::{Failure, count};

/// Records in a batch, at most.
const MAX_BATCH: usize = 1_000;
/// Longest wait for the first record of a batch.
const BATCH_WAIT: Duration = Duration::from_millis(50);
/// Wait before a failed database write is retried.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// How long failed database writes are retried.
const DATABASE_TIMEOUT: Span = Span::from_mins(10);
/// How often old records are pruned from the projection.
const PRUNE_INTERVAL: Span = Span::from_mins(60);

/// The topics to read, each with the kind of its records.
pub struct ProjectionTopics(BTreeMap<String, Kind>);

impl ProjectionTopics {
    pub fn new(source: &ConsoleInput<'_>) -> Self {
        let names = source.topics;
        let teams = source.teams.iter().map(|team| (names.team_topic(team), Kind::Escalation));
        let others = [
            (names.scores.clone(), Kind::Score),
            (names.actions.clone(), Kind::Action),
            (names.signals.clone(), Kind::Signal),
        ];
        Self(teams.chain(others).collect())
    }

    pub fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn incoming(&self, record: ReceivedRecord) -> Option<IncomingRecord> {
        let ReceivedRecord { topic, partition, offset, value, .. } = record;
        Some(IncomingRecord { kind: *self.0.get(&topic)?, topic, partition, offset, value })
    }
}

/// Follows the topics and writes their records to the console's store.
pub struct ProjectionUpdater {
    pub runtime: Handle,
    pub store: Store,
    pub tail: TopicTail,
    pub topics: ProjectionTopics,
    pub clock: Clock,
}

impl ProjectionUpdater {
    /// Applies records to the projection, batch by batch, until `stop` is set.
    pub fn follow(&self, stop: &AtomicBool, changed: &dyn Fn(i64)) -> Result<(), Failure> {
        // What expired while the console was down goes first; records of a rebuilt projection may be older.
        let mut pruned = self.prune();
        while !stop.load(Ordering::Relaxed) {
            let batch = self.batch().map_err(|e| Failure::Running(e.to_string()))?;
            let now = (self.clock)();
            if !batch.is_empty() {
                let Some((seq, unread)) = self.apply_batch(&batch, stop)? else { break };
                if unread > 0 {
                    let what = count(unread, "record");
                    tracing::warn!("skipped {what} that could not be decoded");
                }
                changed(seq);
            } else if now - pruned > PRUNE_INTERVAL {
                // Pruned only when there is nothing else to do, so that no record waits for it.
                pruned = self.prune();
            }
        }
        Ok(())
    }

    /// Deletes what is past its retention time; returns when that was tried.
    fn prune(&self) -> EventTime {
        let now = (self.clock)();
        if let Err(e) = self.runtime.block_on(self.store.prune(now)) {
            tracing::warn!("{e}; pruning will be tried again later");
        }
        now
    }

    /// Applies a batch. While the database is unavailable it retries, because nothing of the batch was
    /// applied. Returns `None` when `stop` is set first.
    fn apply_batch(
        &self,
        batch: &[IncomingRecord],
        stop: &AtomicBool,
    ) -> Result<Option<(i64, usize)>, Failure> {
        let began = (self.clock)();
        let mut is_reported = false;
        while !stop.load(Ordering::Relaxed) {
            let now = (self.clock)();
            let e = match self.runtime.block_on(self.store.apply(batch, now)) {
                Ok(taken) => return Ok(Some(taken)),
                Err(e) => e,
            };
            if !matches!(e, StoreError::Database(_)) || now - began > DATABASE_TIMEOUT {
                return Err(Failure::Running(e.to_string()));
            }
            if !is_reported {
                tracing::warn!("{e}; retrying for {DATABASE_TIMEOUT}");
                is_reported = true;
            }
            // A timer must be created inside the runtime.
            self.runtime.block_on(async { tokio::time::sleep(RETRY_INTERVAL).await });
        }
        Ok(None)
    }

    /// Returns the records that are available, or arrive within `BATCH_WAIT`.
    fn batch(&self) -> Result<Vec<IncomingRecord>, RunError> {
        let mut batch = Vec::new();
        while batch.len() < MAX_BATCH {
            let wait = if batch.is_empty() { BATCH_WAIT } else { Duration::ZERO };
            let Some(record) = self.tail.next(wait)? else { break };
            batch.extend(self.topics.incoming(record));
        }
        Ok(batch)
    }
}
