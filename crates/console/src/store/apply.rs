//! Applies records to the projection. Applying is idempotent: a repeated record changes nothing, and an older
//! step of an escalation never overwrites a newer one.

use std::collections::BTreeMap;

use firewatch_domain::{Escalation, EventTime};
use serde::de::DeserializeOwned;
use sqlx::{Any, Transaction};

use super::project_escalation::project_escalation;
use super::project_records::{project_action, project_score, project_signal};
use super::{Store, StoreError};

/// The type of a record, by the topic it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An escalation, from a team's topic.
    Escalation,
    /// A score, from the scores topic.
    Score,
    /// An action, from the actions topic.
    Action,
    /// A signal, from the signals topic.
    Signal,
}

/// A record as read from a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingRecord {
    /// The type of the record.
    pub kind: Kind,
    /// Topic it was read from.
    pub topic: String,
    /// Partition it was read from.
    pub partition: u32,
    /// Offset in the partition.
    pub offset: i64,
    /// Value of the record, JSON.
    pub value: Vec<u8>,
}

impl Store {
    /// Applies a batch in one transaction: its records, the positions after it and the notifications it
    /// causes. Returns the number of the last change and how many records could not be decoded.
    ///
    /// # Errors
    /// When the database fails; then no part of the batch is applied.
    pub async fn apply(&self, batch: &[IncomingRecord], now: EventTime) -> Result<(i64, usize), StoreError> {
        let mut tx = self.pool.begin().await?;
        let mut seq = lock_last_change(&mut tx).await?;
        let mut undecodable = 0;
        let mut escalations = Vec::new();
        for record in batch {
            match apply_record(&mut tx, record, seq + 1).await? {
                Applied::Undecodable => undecodable += 1,
                Applied::Changed => seq += 1,
                Applied::Unchanged => {}
                Applied::Escalated(escalation, is_news) => {
                    seq += i64::from(is_news);
                    // Repeats are passed on too; the outbox queues none twice. Each channel skips offsets
                    // before its position, and holds one delivery for each record id.
                    escalations.push((*escalation, (record.topic.as_str(), record.partition, record.offset)));
                }
            }
        }
        if let Some(outbox) = &self.outbox {
            let escalations: Vec<_> =
                escalations.iter().map(|(escalation, place)| (escalation, *place)).collect();
            outbox.queue(&mut tx, &escalations, now).await?;
        }
        store_positions(&mut tx, batch).await?;
        sqlx::query("UPDATE meta SET value = $1 WHERE name = 'seq'")
            .bind(seq.to_string())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok((seq, undecodable))
    }
}

/// The effect of a record on the projection.
enum Applied {
    /// The record could not be decoded.
    Undecodable,
    /// An escalation in the inbox changed.
    Changed,
    /// No escalation in the inbox changed.
    Unchanged,
    /// An escalation record, and whether it changed the projection.
    Escalated(Box<Escalation>, bool),
}

async fn apply_record(
    tx: &mut Transaction<'_, Any>,
    record: &IncomingRecord,
    seq: i64,
) -> Result<Applied, StoreError> {
    let value = &record.value;
    Ok(match record.kind {
        Kind::Escalation => match decode::<Escalation>(value) {
            Some(e) => {
                let is_news = project_escalation(tx, &e, seq).await?;
                Applied::Escalated(Box::new(e), is_news)
            }
            None => Applied::Undecodable,
        },
        Kind::Action => match decode(value) {
            Some(action) if project_action(tx, &action, value, seq).await? => Applied::Changed,
            Some(_) => Applied::Unchanged,
            None => Applied::Undecodable,
        },
        Kind::Score => match decode(value) {
            Some(score) => project_score(tx, &score).await.map(|()| Applied::Unchanged)?,
            None => Applied::Undecodable,
        },
        Kind::Signal => match decode(value) {
            Some(signal) if project_signal(tx, &signal, seq).await? => Applied::Changed,
            Some(_) => Applied::Unchanged,
            None => Applied::Undecodable,
        },
    })
}

fn decode<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}

/// Stores the positions after a batch.
async fn store_positions(tx: &mut Transaction<'_, Any>, batch: &[IncomingRecord]) -> Result<(), StoreError> {
    let places = batch.iter().map(|record| ((record.topic.as_str(), record.partition), record.offset + 1));
    // Offsets ascend within a partition, so the last one wins.
    let next: BTreeMap<(&str, u32), i64> = places.collect();
    for ((topic, partition), next) in next {
        // Another console on the same database may have read further.
        sqlx::query(
            "INSERT INTO positions VALUES ($1, $2, $3) ON CONFLICT (topic, part) DO UPDATE SET \
             next = CASE WHEN excluded.next > positions.next THEN excluded.next ELSE positions.next END",
        )
        .bind(topic)
        .bind(i64::from(partition))
        .bind(next)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Returns the number of the last change and locks its row, so that no other transaction takes a number until
/// this one ends.
async fn lock_last_change(tx: &mut Transaction<'_, Any>) -> Result<i64, StoreError> {
    sqlx::query("UPDATE meta SET value = value WHERE name = 'seq'").execute(&mut **tx).await?;
    let (seq,): (String,) =
        sqlx::query_as("SELECT value FROM meta WHERE name = 'seq'").fetch_one(&mut **tx).await?;
    seq.parse().map_err(|_| StoreError::Row(format!("`{seq}`: not a change number")))
}
