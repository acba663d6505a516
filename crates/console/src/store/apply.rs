//! Records into the projection. Taking one in twice changes nothing, and an older step never undoes a newer one.

use std::collections::BTreeMap;

use firewatch_domain::{ActionKind, Escalation, Score};
use serde::Deserialize;
use sqlx::{Any, Transaction};

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

/// Of an action, what the projection needs.
#[derive(Deserialize)]
struct Did {
    id: String,
    conversation: String,
    at: firewatch_domain::EventTime,
    by: String,
    kind: ActionKind,
    team: Option<String>,
}

impl Store {
    /// Takes a batch in, with the places after it; tells the number of the last change, and how many records could not be
    /// read.
    ///
    /// # Errors
    /// When the database fails: nothing of the batch is taken in then.
    pub async fn apply(&self, batch: &[Incoming]) -> Result<(i64, usize), StoreError> {
        let mut change = self.pool.begin().await?;
        let mut seq = last_change(&mut change).await?;
        let mut unread = 0;
        let mut next: BTreeMap<(&str, u32), i64> = BTreeMap::new();
        for record in batch {
            let taken = match record.kind {
                Kind::Escalation => match serde_json::from_slice(&record.value) {
                    Ok(escalation) => {
                        seq += i64::from(escalated(&mut change, &escalation, seq + 1).await?);
                        true
                    }
                    Err(_) => false,
                },
                Kind::Score => match serde_json::from_slice(&record.value) {
                    Ok(score) => scored(&mut change, &score).await.map(|()| true)?,
                    Err(_) => false,
                },
                Kind::Action => match serde_json::from_slice(&record.value) {
                    Ok(did) => {
                        seq += i64::from(acted(&mut change, &did, &record.value, seq + 1).await?);
                        true
                    }
                    Err(_) => false,
                },
            };
            unread += usize::from(!taken);
            next.insert((&record.topic, record.partition), record.offset + 1);
        }
        for ((topic, partition), next) in next {
            sqlx::query(
                "INSERT INTO positions VALUES ($1, $2, $3) ON CONFLICT (topic, part) DO UPDATE SET next = excluded.next",
            )
            .bind(topic)
            .bind(i64::from(partition))
            .bind(next)
            .execute(&mut *change)
            .await?;
        }
        sqlx::query("UPDATE meta SET value = $1 WHERE name = 'seq'")
            .bind(seq.to_string())
            .execute(&mut *change)
            .await?;
        change.commit().await?;
        Ok((seq, unread))
    }
}

async fn last_change(change: &mut Transaction<'_, Any>) -> Result<i64, StoreError> {
    let (seq,): (String,) =
        sqlx::query_as("SELECT value FROM meta WHERE name = 'seq'").fetch_one(&mut **change).await?;
    seq.parse().map_err(|_| StoreError::Row(format!("`{seq}` is no number of a change")))
}

/// Tells whether it was news: a hand-over comes by two topics.
async fn escalated(change: &mut Transaction<'_, Any>, e: &Escalation, seq: i64) -> Result<bool, StoreError> {
    let text = |e: &Escalation| serde_json::to_string(e).map_err(|e| StoreError::Row(e.to_string()));
    let record = text(e)?;
    sqlx::query("INSERT INTO history VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(&e.escalation)
        .bind(i64::from(e.step))
        .bind(&record)
        .execute(&mut **change)
        .await?;
    let e = &with_what_was_told(change, e).await?;
    let record = text(e)?;
    let done = sqlx::query(
        "INSERT INTO escalations VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, '', $13) \
         ON CONFLICT (id) DO UPDATE SET step = excluded.step, live = excluded.live, level = excluded.level, \
         due = excluded.due, risk = excluded.risk, team = excluded.team, at = excluded.at, seq = excluded.seq, \
         words = excluded.words, record = excluded.record, \
         taken_by = CASE WHEN excluded.live = 0 THEN '' ELSE escalations.taken_by END \
         WHERE excluded.step > escalations.step",
    )
    .bind(&e.escalation)
    .bind(i64::from(e.step))
    .bind(i64::from(!e.state.is_final()))
    .bind(e.level as i64)
    .bind(e.respond_by.map_or(i64::MAX, |due| due.as_millis()))
    .bind(e.risk.map_or(0.0, |risk| risk.value()))
    .bind(&e.team)
    .bind(e.brand.as_deref().unwrap_or_default())
    .bind(&e.conversation)
    .bind(e.at.as_millis())
    .bind(seq)
    .bind(words(e))
    .bind(&record)
    .execute(&mut **change)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A record with what earlier ones of its escalation told and it does not tell again: what was said, and what to do.
async fn with_what_was_told(
    change: &mut Transaction<'_, Any>,
    e: &Escalation,
) -> Result<Escalation, StoreError> {
    let before: Option<(String,)> = sqlx::query_as("SELECT record FROM escalations WHERE id = $1")
        .bind(&e.escalation)
        .fetch_optional(&mut **change)
        .await?;
    let Some((before,)) = before else { return Ok(e.clone()) };
    let before: Escalation = serde_json::from_str(&before).map_err(|e| StoreError::Row(e.to_string()))?;
    let mut e = e.clone();
    e.excerpt = e.excerpt.or(before.excerpt);
    // A step tells what is new; why it was opened stays true.
    if e.reasons.len() == 1 {
        e.reasons.extend(before.reasons.into_iter().skip(1));
    }
    if e.advice.is_empty() {
        e.advice = before.advice;
    }
    if e.contributions.is_empty() {
        e.contributions = before.contributions;
    }
    Ok(e)
}

/// What a search looks through: in small letters, the excerpt and the reasons.
fn words(e: &Escalation) -> String {
    let excerpt = e.excerpt.as_deref().unwrap_or_default();
    [&[e.conversation.as_str(), excerpt][..], &e.reasons.iter().map(String::as_str).collect::<Vec<_>>()]
        .concat()
        .join(" ")
        .to_lowercase()
}

async fn scored(change: &mut Transaction<'_, Any>, score: &Score) -> Result<(), StoreError> {
    let record = serde_json::to_string(score).map_err(|e| StoreError::Row(e.to_string()))?;
    let at = score.at.as_millis();
    sqlx::query(
        "INSERT INTO scores VALUES ($1, $2, $3) ON CONFLICT (conversation) DO UPDATE SET at = excluded.at, \
         record = excluded.record WHERE excluded.at >= scores.at",
    )
    .bind(&score.conversation)
    .bind(at)
    .bind(record)
    .execute(&mut **change)
    .await?;
    let counts = &score.engagements;
    sqlx::query("INSERT INTO points VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING")
        .bind(&score.conversation)
        .bind(at)
        .bind(score.risk.value())
        .bind((counts.reshares + counts.quotes) as i64)
        .bind(score.reach.estimate as i64)
        .execute(&mut **change)
        .await?;
    Ok(())
}

/// Keeps what was done; who takes an escalation is shown at once, and not when the engine has heard of it.
async fn acted(
    change: &mut Transaction<'_, Any>,
    did: &Did,
    value: &[u8],
    seq: i64,
) -> Result<bool, StoreError> {
    let kept = sqlx::query("INSERT INTO actions VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
        .bind(&did.conversation)
        .bind(&did.id)
        .bind(did.at.as_millis())
        .bind(String::from_utf8_lossy(value).into_owned())
        .execute(&mut **change)
        .await?;
    let shown = match did.kind {
        ActionKind::HandOver => did.team.clone().unwrap_or_default(),
        _ => did.by.clone(),
    };
    if kept.rows_affected() == 0 || did.kind.verdict().is_some() {
        return Ok(false);
    }
    let taken =
        sqlx::query("UPDATE escalations SET taken_by = $1, seq = $2 WHERE conversation = $3 AND live = 1")
            .bind(shown)
            .bind(seq)
            .bind(&did.conversation)
            .execute(&mut **change)
            .await?;
    Ok(taken.rows_affected() > 0)
}
