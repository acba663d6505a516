//! What else is heard of: scores, what people did, and complaints as storms count them.

use firewatch_domain::{ActionKind, Duration, EventTime, Matched, Score, Signal, SignalBody};
use serde::Deserialize;
use sqlx::{Any, Transaction};

use super::StoreError;
use super::rewritten::{Rewritten, rewrite};

/// Complaints are counted in slots of this length.
pub const SLOT: Duration = Duration::from_mins(5);
/// Of the scores of a conversation one is kept for each of these.
const POINT: Duration = Duration::from_mins(1);

/// Of an action, what the projection needs.
#[derive(Deserialize)]
pub(super) struct Did {
    id: String,
    conversation: String,
    at: EventTime,
    by: String,
    kind: ActionKind,
    team: Option<String>,
}

impl Did {
    /// Who has it then; none for a verdict.
    pub(super) fn shown(&self) -> Option<String> {
        match self.kind {
            ActionKind::HandOver => Some(self.team.clone().unwrap_or_default()),
            kind if kind.verdict().is_some() => None,
            _ => Some(self.by.clone()),
        }
    }
}

/// Counts a complaint, once, and takes what its author took back; tells whether somebody's list changed.
pub(super) async fn signalled(
    change: &mut Transaction<'_, Any>,
    signal: &Signal,
    seq: i64,
) -> Result<bool, StoreError> {
    if signal.trial != 0 {
        return Ok(false);
    }
    match &signal.body {
        SignalBody::Matched(matched) if matched.counts => {
            complained(change, signal, matched).await.map(|()| false)
        }
        SignalBody::Happened(happened) => match Rewritten::of(happened, signal.at) {
            Some(now) => rewrite(change, &happened.conversation, &now, seq).await,
            None => Ok(false),
        },
        SignalBody::Matched(_) | SignalBody::Tick { .. } => Ok(false),
    }
}

async fn complained(
    change: &mut Transaction<'_, Any>,
    signal: &Signal,
    matched: &Matched,
) -> Result<(), StoreError> {
    let new =
        sqlx::query("INSERT INTO complaints VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING")
            .bind(&matched.conversation)
            .bind(&signal.brand)
            .bind(signal.at.as_millis())
            .bind(matched.risk.value())
            .bind(topics(&matched.topics))
            .bind(matched.near.map_or_else(String::new, |near| format!("{:016x}", near.0)))
            .bind(matched.excerpt.as_deref().unwrap_or_default())
            .execute(&mut **change)
            .await?;
    if new.rows_affected() > 0 {
        sqlx::query(
            "INSERT INTO volume VALUES ($1, $2, 1) ON CONFLICT (brand, slot) DO UPDATE SET n = volume.n + 1",
        )
        .bind(&signal.brand)
        .bind(signal.at.floor(SLOT).as_millis())
        .execute(&mut **change)
        .await?;
    }
    Ok(())
}

/// Topics as they are written, each between bars so that one can be looked for.
fn topics(topics: &[String]) -> String {
    let written = topics.iter().map(|topic| topic.rsplit('|').next().unwrap_or(topic));
    written.fold(String::from("|"), |all, topic| all + topic + "|")
}

pub(super) async fn scored(change: &mut Transaction<'_, Any>, score: &Score) -> Result<(), StoreError> {
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
    sqlx::query(
        "INSERT INTO points VALUES ($1, $2, $3, $4, $5) ON CONFLICT (conversation, at) DO UPDATE SET risk = excluded.risk, \
         reshares = excluded.reshares, reach = excluded.reach",
    )
        .bind(&score.conversation)
        .bind(score.at.floor(POINT).as_millis())
        .bind(score.risk.value())
        .bind((counts.reshares + counts.quotes) as i64)
        .bind(score.reach.estimate as i64)
        .execute(&mut **change)
        .await?;
    Ok(())
}

/// Keeps what was done; who takes an escalation is shown at once, and not when the engine has heard of it.
pub(super) async fn acted(
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
    let Some(shown) = did.shown().filter(|_| kept.rows_affected() > 0) else { return Ok(false) };
    let taken =
        sqlx::query("UPDATE escalations SET taken_by = $1, seq = $2 WHERE conversation = $3 AND live = 1")
            .bind(shown)
            .bind(seq)
            .bind(&did.conversation)
            .execute(&mut **change)
            .await?;
    Ok(taken.rows_affected() > 0)
}
