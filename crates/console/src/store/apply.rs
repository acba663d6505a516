//! Records into the projection. Taking one in twice changes nothing, and an older step never undoes a newer one.

use std::collections::BTreeMap;

use firewatch_domain::{Escalation, EventTime};
use serde::de::DeserializeOwned;
use sqlx::{Any, Transaction};

use super::project_escalation::project_escalation;
use super::project_records::{project_action, project_score, project_signal};
use super::{Store, StoreError};

/// What a record is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of a team's topic.
    Escalation,
    /// Of the scores.
    Score,
    /// Of the actions.
    Action,
    /// Of the signals.
    Signal,
}

/// A record as it was read from a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingRecord {
    /// What it is read as.
    pub kind: Kind,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: i64,
    /// The value.
    pub value: Vec<u8>,
}

impl Store {
    /// Takes a batch in at a time, with the places after it and what channels tell of it; tells the number of the last change, and how
    /// many records could not be read.
    ///
    /// # Errors
    /// When the database fails: nothing of the batch is taken in then.
    pub async fn apply(&self, batch: &[IncomingRecord], now: EventTime) -> Result<(i64, usize), StoreError> {
        let mut change = self.pool.begin().await?;
        let mut seq = lock_last_change(&mut change).await?;
        let mut unread = 0;
        let mut escalations = Vec::new();
        for record in batch {
            match apply_record(&mut change, record, seq + 1).await? {
                Applied::Undecodable => unread += 1,
                Applied::Changed => seq += 1,
                Applied::Unchanged => {}
                Applied::Escalated(escalation, is_news) => {
                    seq += i64::from(is_news);
                    escalations.push((*escalation, (record.topic.as_str(), record.partition, record.offset)));
                }
            }
        }
        if let Some(outbox) = &self.outbox {
            let escalations: Vec<_> =
                escalations.iter().map(|(escalation, place)| (escalation, *place)).collect();
            outbox.queue(&mut change, &escalations, now).await?;
        }
        store_positions(&mut change, batch).await?;
        sqlx::query("UPDATE meta SET value = $1 WHERE name = 'seq'")
            .bind(seq.to_string())
            .execute(&mut *change)
            .await?;
        change.commit().await?;
        Ok((seq, unread))
    }
}

/// What a record did.
enum Applied {
    /// It cannot be read.
    Undecodable,
    /// Somebody's list changed.
    Changed,
    /// Nobody's did.
    Unchanged,
    /// It is one of a team's, and whether it is news.
    Escalated(Box<Escalation>, bool),
}

async fn apply_record(
    change: &mut Transaction<'_, Any>,
    record: &IncomingRecord,
    seq: i64,
) -> Result<Applied, StoreError> {
    let value = &record.value;
    Ok(match record.kind {
        Kind::Escalation => match decode::<Escalation>(value) {
            Some(e) => {
                let is_news = project_escalation(change, &e, seq).await?;
                Applied::Escalated(Box::new(e), is_news)
            }
            None => Applied::Undecodable,
        },
        Kind::Action => match decode(value) {
            Some(action) if project_action(change, &action, value, seq).await? => Applied::Changed,
            Some(_) => Applied::Unchanged,
            None => Applied::Undecodable,
        },
        Kind::Score => match decode(value) {
            Some(score) => project_score(change, &score).await.map(|()| Applied::Unchanged)?,
            None => Applied::Undecodable,
        },
        Kind::Signal => match decode(value) {
            Some(signal) if project_signal(change, &signal, seq).await? => Applied::Changed,
            Some(_) => Applied::Unchanged,
            None => Applied::Undecodable,
        },
    })
}

fn decode<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}

/// Keeps the places after a batch.
async fn store_positions(
    change: &mut Transaction<'_, Any>,
    batch: &[IncomingRecord],
) -> Result<(), StoreError> {
    let places = batch.iter().map(|record| ((record.topic.as_str(), record.partition), record.offset + 1));
    let next: BTreeMap<(&str, u32), i64> = places.collect();
    for ((topic, partition), next) in next {
        // Another console on this database may be further.
        sqlx::query(
            "INSERT INTO positions VALUES ($1, $2, $3) ON CONFLICT (topic, part) DO UPDATE SET \
             next = CASE WHEN excluded.next > positions.next THEN excluded.next ELSE positions.next END",
        )
        .bind(topic)
        .bind(i64::from(partition))
        .bind(next)
        .execute(&mut **change)
        .await?;
    }
    Ok(())
}

/// The number of the last change. Whoever asks is the only one to count on until the transaction ends.
async fn lock_last_change(change: &mut Transaction<'_, Any>) -> Result<i64, StoreError> {
    sqlx::query("UPDATE meta SET value = value WHERE name = 'seq'").execute(&mut **change).await?;
    let (seq,): (String,) =
        sqlx::query_as("SELECT value FROM meta WHERE name = 'seq'").fetch_one(&mut **change).await?;
    seq.parse().map_err(|_| StoreError::Row(format!("`{seq}` is no number of a change")))
}
