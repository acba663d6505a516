//! Records into the projection. Taking one in twice changes nothing, and an older step never undoes a newer one.

use std::collections::BTreeMap;

use firewatch_domain::{Escalation, EventTime};
use serde::de::DeserializeOwned;
use sqlx::{Any, Transaction};

use super::escalated::escalated;
use super::heard::{acted, scored, signalled};
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
pub struct Incoming {
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
    pub async fn apply(&self, batch: &[Incoming], now: EventTime) -> Result<(i64, usize), StoreError> {
        let mut change = self.pool.begin().await?;
        let mut seq = last_change(&mut change).await?;
        let mut unread = 0;
        let mut told = Vec::new();
        for record in batch {
            match take(&mut change, record, seq + 1).await? {
                Taken::Unread => unread += 1,
                Taken::Changed => seq += 1,
                Taken::Same => {}
                Taken::Told(escalation, is_news) => {
                    seq += i64::from(is_news);
                    told.push((*escalation, (record.topic.as_str(), record.partition, record.offset)));
                }
            }
        }
        if let Some(outbox) = &self.outbox {
            let told: Vec<_> = told.iter().map(|(escalation, place)| (escalation, *place)).collect();
            outbox.queue(&mut change, &told, now).await?;
        }
        come_to(&mut change, batch).await?;
        sqlx::query("UPDATE meta SET value = $1 WHERE name = 'seq'")
            .bind(seq.to_string())
            .execute(&mut *change)
            .await?;
        change.commit().await?;
        Ok((seq, unread))
    }
}

/// What a record did.
enum Taken {
    /// It cannot be read.
    Unread,
    /// Somebody's list changed.
    Changed,
    /// Nobody's did.
    Same,
    /// It is one of a team's, and whether it is news.
    Told(Box<Escalation>, bool),
}

async fn take(change: &mut Transaction<'_, Any>, record: &Incoming, seq: i64) -> Result<Taken, StoreError> {
    let value = &record.value;
    Ok(match record.kind {
        Kind::Escalation => match read::<Escalation>(value) {
            Some(e) => {
                let is_news = escalated(change, &e, seq).await?;
                Taken::Told(Box::new(e), is_news)
            }
            None => Taken::Unread,
        },
        Kind::Action => match read(value) {
            Some(did) if acted(change, &did, value, seq).await? => Taken::Changed,
            Some(_) => Taken::Same,
            None => Taken::Unread,
        },
        Kind::Score => match read(value) {
            Some(score) => scored(change, &score).await.map(|()| Taken::Same)?,
            None => Taken::Unread,
        },
        Kind::Signal => match read(value) {
            Some(signal) if signalled(change, &signal, seq).await? => Taken::Changed,
            Some(_) => Taken::Same,
            None => Taken::Unread,
        },
    })
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}

/// Keeps the places after a batch.
async fn come_to(change: &mut Transaction<'_, Any>, batch: &[Incoming]) -> Result<(), StoreError> {
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
async fn last_change(change: &mut Transaction<'_, Any>) -> Result<i64, StoreError> {
    sqlx::query("UPDATE meta SET value = value WHERE name = 'seq'").execute(&mut **change).await?;
    let (seq,): (String,) =
        sqlx::query_as("SELECT value FROM meta WHERE name = 'seq'").fetch_one(&mut **change).await?;
    seq.parse().map_err(|_| StoreError::Row(format!("`{seq}` is no number of a change")))
}
