//! Edits and deletions of posts: an edited post keeps only its new text, and a deleted one keeps no text at
//! all.

use firewatch_domain::{ConversationChange, ConversationUpdate, Escalation, EventTime, RoutesMatched};
use sqlx::{Any, Transaction};

use super::StoreError;
use super::record_text::{parse_record, record_text, search_text};

/// The effect of the latest edit or deletion in a conversation on its stored texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Retraction {
    at: EventTime,
    /// A post was deleted: topics, contributions and the reasons that can quote it are removed.
    is_deleted: bool,
    /// The new excerpt of the root post, empty to remove it; `None` if the excerpt is unchanged.
    excerpt: Option<String>,
}

impl Retraction {
    /// Returns the retraction for an edit or deletion; `None` for other changes.
    pub(super) fn from_change(happened: &ConversationUpdate, at: EventTime) -> Option<Self> {
        let (is_deleted, excerpt) = match &happened.change {
            ConversationChange::Edited { excerpt } => (false, Some(excerpt.clone().unwrap_or_default())),
            ConversationChange::Deleted { is_root: all } => (true, all.then(String::new)),
            _ => return None,
        };
        Some(Self { at, is_deleted, excerpt })
    }

    pub(super) async fn find(
        change: &mut Transaction<'_, Any>,
        conversation: &str,
    ) -> Result<Option<Self>, StoreError> {
        let found: Option<(i64, i64, i64, String)> =
            sqlx::query_as("SELECT at, gone, stays, excerpt FROM rewritten WHERE conversation = $1")
                .bind(conversation)
                .fetch_optional(&mut **change)
                .await?;
        Ok(found.map(|(at, gone, stays, excerpt)| Self {
            at: EventTime::from_millis(at),
            is_deleted: gone != 0,
            excerpt: (stays == 0).then_some(excerpt),
        }))
    }

    /// Removes retracted text from a record. A record decided after an edit already has the new text and
    /// keeps it.
    pub(super) fn apply(&self, e: &mut Escalation) {
        if self.is_deleted {
            e.topics.clear();
            e.contributions.clear();
            (e.url, e.author_url) = (None, None);
            e.reasons.erase_quotes();
        }
        if let Some(now) = self.excerpt.as_ref().filter(|_| self.is_deleted || e.at <= self.at) {
            e.excerpt = e.excerpt.take().map(|_| now.clone()).filter(|now| !now.is_empty());
        }
    }
}

/// Ends the retraction of a root post that was deleted and is public again: what is signaled of a conversation that
/// began later than that is new.
pub(super) async fn restore(
    change: &mut Transaction<'_, Any>,
    matched: &RoutesMatched,
) -> Result<(), StoreError> {
    let ended = sqlx::query(
        "DELETE FROM rewritten WHERE conversation = $1 AND gone = 1 AND stays = 0 AND excerpt = '' AND at <= $2",
    )
    .bind(&matched.conversation)
    .bind(matched.began.as_millis())
    .execute(&mut **change)
    .await?;
    if ended.rows_affected() > 0 {
        sqlx::query("DELETE FROM complaints WHERE conversation = $1")
            .bind(&matched.conversation)
            .execute(&mut **change)
            .await?;
    }
    Ok(())
}

/// Applies a retraction to everything stored about a conversation; returns whether any escalation is about
/// it.
pub(super) async fn retract(
    change: &mut Transaction<'_, Any>,
    conversation: &str,
    now: &Retraction,
    seq: i64,
) -> Result<bool, StoreError> {
    sqlx::query(
        "INSERT INTO rewritten VALUES ($1, $2, $3, $4, $5) ON CONFLICT (conversation) DO UPDATE SET at = excluded.at, \
         gone = CASE WHEN rewritten.gone = 0 THEN excluded.gone ELSE rewritten.gone END, stays = excluded.stays, \
         excerpt = excluded.excerpt WHERE excluded.at >= rewritten.at",
    )
    .bind(conversation)
    .bind(now.at.as_millis())
    .bind(i64::from(now.is_deleted))
    .bind(i64::from(now.excerpt.is_none()))
    .bind(now.excerpt.as_deref().unwrap_or_default())
    .execute(&mut **change)
    .await?;
    if now.is_deleted {
        sqlx::query("UPDATE complaints SET topics = '|', near = '' WHERE conversation = $1")
            .bind(conversation)
            .execute(&mut **change)
            .await?;
    }
    if let Some(excerpt) = &now.excerpt {
        sqlx::query("UPDATE complaints SET excerpt = $1 WHERE conversation = $2")
            .bind(excerpt)
            .bind(conversation)
            .execute(&mut **change)
            .await?;
    }
    let escalations: Vec<(String, String)> =
        sqlx::query_as("SELECT id, record FROM escalations WHERE conversation = $1")
            .bind(conversation)
            .fetch_all(&mut **change)
            .await?;
    for (id, record) in &escalations {
        let mut e = parse_record(record)?;
        now.apply(&mut e);
        sqlx::query("UPDATE escalations SET record = $1, words = $2, seq = $3 WHERE id = $4")
            .bind(record_text(&e)?)
            .bind(search_text(&e))
            .bind(seq)
            .bind(id)
            .execute(&mut **change)
            .await?;
        rewrite_history(change, id, now).await?;
    }
    Ok(!escalations.is_empty())
}

async fn rewrite_history(
    change: &mut Transaction<'_, Any>,
    escalation: &str,
    now: &Retraction,
) -> Result<(), StoreError> {
    let steps: Vec<(i64, String)> = sqlx::query_as("SELECT step, record FROM history WHERE escalation = $1")
        .bind(escalation)
        .fetch_all(&mut **change)
        .await?;
    for (step, record) in steps {
        let mut e = parse_record(&record)?;
        now.apply(&mut e);
        sqlx::query("UPDATE history SET record = $1 WHERE escalation = $2 AND step = $3")
            .bind(record_text(&e)?)
            .bind(escalation)
            .bind(step)
            .execute(&mut **change)
            .await?;
    }
    Ok(())
}
