//! The detail of one escalation: its records, the actions on it, and the scores of its conversation.

use firewatch_domain::{Action, Escalation, EventTime, Score};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::inbox::{EscalationRow, InboxItem, item};
use super::{Store, StoreError};

/// One escalation with its history, actions and scores.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Detail")]
pub struct EscalationDetail {
    /// The escalation as in the inbox.
    #[serde(flatten)]
    pub item: InboxItem,
    /// Every record of the escalation, in the order of its steps.
    #[schemars(with = "Vec<Escalation>")]
    pub history: Vec<Box<RawValue>>,
    /// Actions on its conversation, in order of time.
    #[schemars(with = "Vec<Action>")]
    pub actions: Vec<Box<RawValue>>,
    /// The latest score of its conversation.
    #[schemars(with = "Option<Score>")]
    pub score: Option<Box<RawValue>>,
    /// History of the scores: time in milliseconds, risk, reshares and reach.
    pub points: Vec<(i64, f64, i64, i64)>,
}

fn raw(rows: Vec<(String,)>) -> Result<Vec<Box<RawValue>>, StoreError> {
    let read = |(text,): (String,)| RawValue::from_string(text).map_err(|e| StoreError::Row(e.to_string()));
    rows.into_iter().map(read).collect()
}

impl Store {
    /// Returns the team that owns an escalation of a conversation, the person who acknowledged it, empty if
    /// nobody did, and whether it is still open.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn owner(
        &self,
        id: &str,
        conversation: &str,
    ) -> Result<Option<(String, String, bool)>, StoreError> {
        let found: Option<(String, String, i64)> = sqlx::query_as(
            "SELECT team, taken_by, live FROM escalations WHERE id = $1 AND conversation = $2",
        )
        .bind(id)
        .bind(conversation)
        .fetch_optional(&self.pool)
        .await?;
        Ok(found.map(|(team, taken_by, live)| (team, taken_by, live == 1)))
    }

    /// Returns the conversation of an escalation and the time of its first post; `None` if there is no such
    /// escalation.
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

    /// Returns whether any escalation is about a conversation.
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

    /// Returns the detail of an escalation; `None` if there is no such escalation.
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
