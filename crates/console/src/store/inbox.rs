//! Queries of the inbox: pages of escalations, and the changes since a change number.

use firewatch_domain::{Escalation, EventTime, Level};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use super::{Store, StoreError};

/// Maximum number of items on a page.
pub const MAX_ITEMS: u32 = 200;

/// Filters of the inbox; an empty text matches everything.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Team that owns the escalation.
    pub team: String,
    /// Brand of the escalation.
    pub brand: String,
    /// Platform of the post.
    pub platform: String,
    /// Assignee; `-` for unassigned escalations.
    pub owner: String,
    /// Minimum level.
    pub level: Option<Level>,
    /// Closed escalations instead of open ones.
    pub over: bool,
    /// Only escalations that a person has silenced beyond this time.
    pub silenced_at: Option<EventTime>,
    /// Text to find in the excerpt, the reasons, the topics or the conversation's id.
    pub text: String,
}

/// The values that the filters offer, from the open escalations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facets {
    /// Brands.
    pub brands: Vec<String>,
    /// Platforms.
    pub platforms: Vec<String>,
    /// Assignees.
    pub owners: Vec<String>,
    /// Number of open escalations.
    pub open: i64,
}

/// The last item of a page; the next page starts after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    level: i64,
    due: i64,
    risk: f64,
    id: String,
}

/// An escalation as the inbox shows it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Item")]
pub struct InboxItem {
    /// Number of its last change.
    pub seq: i64,
    /// Whether the escalation is still open.
    pub live: bool,
    /// The beginning of its post, redacted, as received by a signal; empty if unknown. For records without an
    /// excerpt.
    #[serde(rename = "said")]
    pub signal_excerpt: String,
    /// The assignee, derived from the actions; empty if unassigned.
    pub taken_by: String,
    /// The latest escalation record, completed with details of earlier ones.
    #[schemars(with = "Escalation")]
    pub record: Box<RawValue>,
}

/// A page of the inbox, the most urgent escalations first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Page")]
pub struct InboxPage {
    /// The items.
    pub items: Vec<InboxItem>,
    /// Cursor of the next page; `None` on the last page.
    pub next: Option<String>,
    /// Number of the last change that the page includes.
    pub seq: i64,
}

/// A text is not a cursor.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?}: not a cursor; use the `next` value of the previous page")]
pub struct InvalidCursor(pub String);

impl Cursor {
    /// Returns the cursor before the first item.
    fn start() -> Self {
        Self { level: i64::MAX, due: 0, risk: 0.0, id: String::new() }
    }

    /// Parses a cursor from [`InboxPage::next`].
    ///
    /// # Errors
    /// When the text is not a cursor.
    pub fn parse(text: &str) -> Result<Self, InvalidCursor> {
        let parts: Option<Self> = (|| {
            let mut parts = text.splitn(4, '~');
            let (level, due) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            let risk = parts.next()?.parse::<f64>().ok().filter(|risk| risk.is_finite())?;
            Some(Self { level, due, risk, id: parts.next()?.to_owned() })
        })();
        parts.ok_or_else(|| InvalidCursor(text.to_owned()))
    }

    fn encode(&self) -> String {
        format!("{}~{}~{}~{}", self.level, self.due, self.risk, self.id)
    }
}

pub(super) type EscalationRow = (String, String, i64, i64, i64, i64, f64, String, String);

pub(super) fn item(row: &EscalationRow, record: &str) -> Result<InboxItem, StoreError> {
    let (_, taken_by, seq, live, .., signal_excerpt) = row;
    let record = RawValue::from_string(record.to_owned()).map_err(|e| StoreError::Row(e.to_string()))?;
    Ok(InboxItem {
        seq: *seq,
        live: *live == 1,
        signal_excerpt: signal_excerpt.clone(),
        taken_by: taken_by.clone(),
        record,
    })
}

fn items(rows: &[EscalationRow]) -> Result<Vec<InboxItem>, StoreError> {
    rows.iter().map(|row| item(row, &row.0)).collect()
}

impl Store {
    /// Returns a page of escalations, the most urgent first: by level, within a level storms first, then the
    /// earliest due, then the highest risk. `limit` is clamped to 1 to [`MAX_ITEMS`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn inbox(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<InboxPage, StoreError> {
        let seq = self.seq().await?;
        let after = after.unwrap_or_else(Cursor::start);
        let limit = limit.clamp(1, MAX_ITEMS);
        let like = match filter.text.trim() {
            "" => String::new(),
            text => format!("%{}%", text.to_lowercase().replace(['%', '_'], " ")),
        };
        let rows: Vec<EscalationRow> = sqlx::query_as(
            "SELECT record, taken_by, seq, live, level, due, risk, id, \
             COALESCE((SELECT excerpt FROM complaints c WHERE c.conversation = escalations.conversation), '') FROM escalations WHERE live = $12 \
             AND ($1 = '' OR team = $1) AND ($2 = '' OR brand = $2) AND level >= $3 AND ($4 = '' OR words LIKE $4) \
             AND ($13 = 0 OR silenced > $13) AND ($10 = '' OR platform = $10) AND ($11 = '' OR taken_by = $11 OR ($11 = '-' AND taken_by = '')) \
             AND (level < $5 OR (level = $5 AND (due > $6 OR (due = $6 AND (risk < $7 OR (risk = $7 AND id > $8)))))) \
             ORDER BY level DESC, due, risk DESC, id LIMIT $9",
        )
        .bind(&filter.team)
        .bind(&filter.brand)
        .bind(filter.level.map_or(0, |level| level as i64))
        .bind(like)
        .bind(after.level)
        .bind(after.due)
        .bind(after.risk)
        .bind(&after.id)
        .bind(i64::from(limit))
        .bind(&filter.platform)
        .bind(&filter.owner)
        .bind(i64::from(!filter.over))
        .bind(filter.silenced_at.map_or(0, EventTime::as_millis))
        .fetch_all(&self.pool)
        .await?;
        let last = rows.last().filter(|_| rows.len() == limit as usize);
        let next = last.map(|(_, _, _, _, level, due, risk, id, _)| {
            Cursor { level: *level, due: *due, risk: *risk, id: id.clone() }.encode()
        });
        Ok(InboxPage { items: items(&rows)?, next, seq })
    }

    /// Returns the number of the last change.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn seq(&self) -> Result<i64, StoreError> {
        let (seq,): (String,) =
            sqlx::query_as("SELECT value FROM meta WHERE name = 'seq'").fetch_one(&self.pool).await?;
        seq.parse().map_err(|_| StoreError::Row(format!("`{seq}`: not a change number")))
    }

    /// Returns up to [`MAX_ITEMS`] escalations that changed after change `seq`, in the order of their
    /// changes, closed ones included.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn since(&self, seq: i64) -> Result<Vec<InboxItem>, StoreError> {
        let rows: Vec<EscalationRow> = sqlx::query_as(
            "SELECT record, taken_by, seq, live, level, due, risk, id, \
             COALESCE((SELECT excerpt FROM complaints c WHERE c.conversation = escalations.conversation), '') FROM escalations WHERE seq > $1 \
             ORDER BY seq, id LIMIT $2",
        )
        .bind(seq)
        .bind(i64::from(MAX_ITEMS))
        .fetch_all(&self.pool)
        .await?;
        items(&rows)
    }

    /// Returns the brands, platforms and assignees of the open escalations, and how many are open.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn facets(&self) -> Result<Facets, StoreError> {
        let mut facets = Facets::default();
        for (column, into) in [
            ("brand", &mut facets.brands),
            ("platform", &mut facets.platforms),
            ("taken_by", &mut facets.owners),
        ] {
            let query = format!(
                "SELECT DISTINCT {column} FROM escalations WHERE live = 1 AND {column} <> '' ORDER BY 1 LIMIT 200"
            );
            let rows: Vec<(String,)> =
                sqlx::query_as(sqlx::AssertSqlSafe(query)).fetch_all(&self.pool).await?;
            *into = rows.into_iter().map(|(value,)| value).collect();
        }
        (facets.open,) =
            sqlx::query_as("SELECT COUNT(*) FROM escalations WHERE live = 1").fetch_one(&self.pool).await?;
        Ok(facets)
    }
}
