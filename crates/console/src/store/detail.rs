//! All about one escalation: its records, what people did, how its conversation went.

use firewatch_domain::{Action, Escalation, EventTime, Score};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::inbox::{EscalationRow, InboxItem, item};
use super::{Store, StoreError};

/// All about one escalation.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Detail")]
pub struct EscalationDetail {
    /// As in the inbox.
    #[serde(flatten)]
    pub item: InboxItem,
    /// Every record of it, the first one first.
    #[schemars(with = "Vec<Escalation>")]
    pub history: Vec<Box<RawValue>>,
    /// What people did about its conversation, in order.
    #[schemars(with = "Vec<Action>")]
    pub actions: Vec<Box<RawValue>>,
    /// The last score of its conversation.
    #[schemars(with = "Option<Score>")]
    pub score: Option<Box<RawValue>>,
    /// How risk, reshares and reach went: time in milliseconds, then the three.
    pub points: Vec<(i64, f64, i64, i64)>,
}

fn raw(rows: Vec<(String,)>) -> Result<Vec<Box<RawValue>>, StoreError> {
    let read = |(text,): (String,)| RawValue::from_string(text).map_err(|e| StoreError::Row(e.to_string()));
    rows.into_iter().map(read).collect()
}

impl Store {
    /// The conversation of an escalation, and since when it may have been spoken in; none when there is no such escalation.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn conversation(&self, id: &str) -> Result<Option<(String, EventTime)>, StoreError> {
        let found: Option<(String, i64)> =
            sqlx::query_as("SELECT conversation, posted FROM escalations WHERE id = $1")
                .bind(id)
                .fetch_optional(&self.pool)
                .await?;
        Ok(found.map(|(conversation, posted)| (conversation, EventTime::from_millis(posted))))
    }

    /// Whether any escalation is about a conversation.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_conversation(&self, conversation: &str) -> Result<bool, StoreError> {
        let found: Option<(i64,)> =
            sqlx::query_as("SELECT live FROM escalations WHERE conversation = $1 LIMIT 1")
                .bind(conversation)
                .fetch_optional(&self.pool)
                .await?;
        Ok(found.is_some())
    }

    /// All about one escalation; none when there is no such.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn escalation(&self, id: &str) -> Result<Option<EscalationDetail>, StoreError> {
        let row: Option<EscalationRow> = sqlx::query_as(
            "SELECT record, taken_by, seq, live, level, due, risk, conversation, \
             COALESCE((SELECT excerpt FROM complaints c WHERE c.conversation = escalations.conversation), '') FROM escalations WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let conversation = &row.7;
        let history = sqlx::query_as("SELECT record FROM history WHERE escalation = $1 ORDER BY step")
            .bind(id)
            .fetch_all(&self.pool)
            .await?;
        let actions = sqlx::query_as("SELECT record FROM actions WHERE conversation = $1 ORDER BY at, id")
            .bind(conversation)
            .fetch_all(&self.pool)
            .await?;
        let score = sqlx::query_as("SELECT record FROM scores WHERE conversation = $1")
            .bind(conversation)
            .fetch_all(&self.pool)
            .await?;
        let points = sqlx::query_as(
            "SELECT at, risk, reshares, reach FROM points WHERE conversation = $1 ORDER BY at",
        )
        .bind(conversation)
        .fetch_all(&self.pool)
        .await?;
        Ok(Some(EscalationDetail {
            item: item(&row, &row.0)?,
            history: raw(history)?,
            actions: raw(actions)?,
            score: raw(score)?.pop(),
            points,
        }))
    }
}
