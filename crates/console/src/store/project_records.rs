//! Applies scores, actions and signals to the projection.

use firewatch_domain::{ActionKind, Duration, EventTime, RoutesMatched, Score, Signal, SignalBody};
use serde::Deserialize;
use sqlx::{Any, Transaction};

use super::StoreError;
use super::retraction::{Retraction, restore, retract};

/// Length of the slots in which complaints are counted.
pub const VOLUME_SLOT: Duration = Duration::from_mins(5);
/// One score of a conversation is kept for each interval of this length.
const POINT_INTERVAL: Duration = Duration::from_mins(1);

/// The fields of an action that the projection needs.
#[derive(Deserialize)]
pub(super) struct ActionRecord {
    id: String,
    conversation: String,
    at: EventTime,
    by: String,
    kind: ActionKind,
    team: Option<String>,
    escalation: Option<String>,
}

impl ActionRecord {
    /// Returns who works on the escalation after the action: the person who acknowledged it, and nobody after
    /// a hand-over. `None` when the action does not change that.
    pub(super) fn new_owner(&self) -> Option<String> {
        match self.kind {
            ActionKind::Acknowledge => Some(self.by.clone()),
            ActionKind::HandOver => Some(String::new()),
            _ => None,
        }
    }

    /// Returns whether it is about an escalation, as far as ids and teams show.
    pub(super) fn is_about(&self, escalation: &str, team: &str) -> bool {
        let of_team = self.team.as_deref().filter(|_| self.kind != ActionKind::HandOver);
        match &self.escalation {
            Some(id) => id == escalation,
            None => of_team.is_none_or(|wanted| wanted == team),
        }
    }
}

/// Counts a complaint once and applies edits, deletions and their end; returns whether an escalation changed. Signals of
/// shadow policies are ignored.
pub(super) async fn project_signal(
    change: &mut Transaction<'_, Any>,
    signal: &Signal,
    seq: i64,
) -> Result<bool, StoreError> {
    if signal.slot != 0 {
        return Ok(false);
    }
    match &signal.body {
        SignalBody::RoutesMatched(matched) => {
            restore(change, matched).await?;
            if matched.counts_for_storms {
                count_complaint(change, signal, matched).await?;
            }
            Ok(false)
        }
        SignalBody::ConversationUpdated(happened) => match Retraction::from_change(happened, signal.at) {
            Some(now) => retract(change, &happened.conversation, &now, seq).await,
            None => Ok(false),
        },
        SignalBody::Watermark { .. } => Ok(false),
    }
}

async fn count_complaint(
    change: &mut Transaction<'_, Any>,
    signal: &Signal,
    matched: &RoutesMatched,
) -> Result<(), StoreError> {
    let new =
        sqlx::query("INSERT INTO complaints VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING")
            .bind(&matched.conversation)
            .bind(&signal.brand)
            .bind(signal.at.as_millis())
            .bind(matched.risk.value())
            .bind(join_topics(&matched.topics))
            .bind(matched.sim_hash.map_or_else(String::new, |near| format!("{:016x}", near.0)))
            .bind(matched.excerpt.as_deref().unwrap_or_default())
            .execute(&mut **change)
            .await?;
    if new.rows_affected() > 0 {
        sqlx::query(
            "INSERT INTO volume VALUES ($1, $2, 1) ON CONFLICT (brand, slot) DO UPDATE SET n = volume.n + 1",
        )
        .bind(&signal.brand)
        .bind(signal.at.floor(VOLUME_SLOT).as_millis())
        .execute(&mut **change)
        .await?;
    }
    Ok(())
}

/// Joins the display forms of topics, each between bars, so that a query can match a whole topic.
fn join_topics(topics: &[String]) -> String {
    let written = topics.iter().map(|topic| topic.rsplit('|').next().unwrap_or(topic));
    written.fold(String::from("|"), |all, topic| all + topic + "|")
}

pub(super) async fn project_score(
    change: &mut Transaction<'_, Any>,
    score: &Score,
) -> Result<(), StoreError> {
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
        .bind(score.at.floor(POINT_INTERVAL).as_millis())
        .bind(score.risk.value())
        .bind((counts.reshares + counts.quotes) as i64)
        .bind(score.reach.estimate as i64)
        .execute(&mut **change)
        .await?;
    Ok(())
}

/// Stores an action and returns whether an escalation changed. The new owner is shown at once, without
/// waiting for the engine to process the action, unless a later record of the escalation is known.
pub(super) async fn project_action(
    change: &mut Transaction<'_, Any>,
    action: &ActionRecord,
    value: &[u8],
    seq: i64,
) -> Result<bool, StoreError> {
    let kept = sqlx::query("INSERT INTO actions VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
        .bind(&action.conversation)
        .bind(&action.id)
        .bind(action.at.as_millis())
        .bind(String::from_utf8_lossy(value).into_owned())
        .execute(&mut **change)
        .await?;
    let Some(shown) = action.new_owner().filter(|_| kept.rows_affected() > 0) else { return Ok(false) };
    let live: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT id, team, taken_by FROM escalations WHERE conversation = $1 AND live = 1 AND at <= $2",
    )
    .bind(&action.conversation)
    .bind(action.at.as_millis())
    .fetch_all(&mut **change)
    .await?;
    let mut changed = false;
    for (id, team, taken_by) in live {
        // Whoever acknowledged it first has it.
        let is_taken = action.kind == ActionKind::Acknowledge && !taken_by.is_empty();
        if is_taken || !action.is_about(&id, &team) {
            continue;
        }
        sqlx::query("UPDATE escalations SET taken_by = $1, seq = $2 WHERE id = $3")
            .bind(&shown)
            .bind(seq)
            .bind(&id)
            .execute(&mut **change)
            .await?;
        changed = true;
    }
    Ok(changed)
}
