//! What the projection is asked: the inbox a page at a time, and what changed since.

use firewatch_domain::{Escalation, Level};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Store, StoreError};

/// Items of a page, at most.
pub const MAX_ITEMS: u32 = 200;

/// Which escalations are asked for.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// The owning team.
    pub team: String,
    /// The brand.
    pub brand: String,
    /// The network.
    pub platform: String,
    /// Who took it last; `-` for what nobody has taken.
    pub owner: String,
    /// The mildest level.
    pub level: Option<Level>,
    /// What is over, instead of what is open.
    pub over: bool,
    /// Words in the excerpt, the reasons or the conversation's id.
    pub text: String,
}

/// What can be filtered by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facets {
    /// Brands of what is open.
    pub brands: Vec<String>,
    /// Networks it was seen on.
    pub platforms: Vec<String>,
    /// People who have taken some.
    pub owners: Vec<String>,
    /// How many are open.
    pub open: i64,
}

/// Where a page ends, and the next one goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    level: i64,
    due: i64,
    risk: f64,
    id: String,
}

/// An escalation in the inbox.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Item")]
pub struct InboxItem {
    /// The number of its last change.
    pub seq: i64,
    /// It is still somebody's to deal with.
    pub live: bool,
    /// How its post begins, redacted, where the record does not tell it and a signal did.
    #[serde(rename = "said")]
    pub signal_excerpt: String,
    /// Who took it last, as far as the actions tell; empty: nobody.
    pub taken_by: String,
    /// The last record of it, as the teams' topic has it.
    #[schemars(with = "Escalation")]
    pub record: Box<RawValue>,
}

/// A page of the inbox, the most urgent first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Page")]
pub struct InboxPage {
    /// The items.
    pub items: Vec<InboxItem>,
    /// Where the next page begins; none for the last one.
    pub next: Option<String>,
    /// The number of the last change that the page knows of.
    pub seq: i64,
}

impl Cursor {
    /// Before the first item.
    fn start() -> Self {
        Self { level: i64::MAX, due: 0, risk: 0.0, id: String::new() }
    }

    /// Reads what [`Page::next`] told.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Option<Self> = (|| {
            let mut parts = text.splitn(4, '~');
            let (level, due) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            let risk = parts.next()?.parse::<f64>().ok().filter(|risk| risk.is_finite())?;
            Some(Self { level, due, risk, id: parts.next()?.to_owned() })
        })();
        parts.ok_or_else(|| format!("{text:?} is no cursor; give what `next` of the page before told"))
    }

    fn encode(&self) -> String {
        format!("{}~{}~{}~{}", self.level, self.due, self.risk, self.id)
    }
}

pub(super) type EscalationRow = (String, String, i64, i64, i64, i64, f64, String, String);

pub(super) fn item(
    (_, taken_by, seq, live, .., signal_excerpt): &EscalationRow,
    record: &str,
) -> Result<InboxItem, StoreError> {
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
    /// A page of what is open, the most urgent first: by level, storms first, then by what is due soonest, then by risk.
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
             AND ($10 = '' OR platform = $10) AND ($11 = '' OR taken_by = $11 OR ($11 = '-' AND taken_by = '')) \
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
        .fetch_all(&self.pool)
        .await?;
        let last = rows.last().filter(|_| rows.len() == limit as usize);
        let next = last.map(|(_, _, _, _, level, due, risk, id, _)| {
            Cursor { level: *level, due: *due, risk: *risk, id: id.clone() }.encode()
        });
        Ok(InboxPage { items: items(&rows)?, next, seq })
    }

    /// The number of the last change.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn seq(&self) -> Result<i64, StoreError> {
        let (seq,): (String,) =
            sqlx::query_as("SELECT value FROM meta WHERE name = 'seq'").fetch_one(&self.pool).await?;
        seq.parse().map_err(|_| StoreError::Row(format!("`{seq}` is no number of a change")))
    }

    /// What changed after a change, in the order of the changes; those that are over are among them.
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

    /// What can be filtered by: brands, platforms and owners of what is open, and how much there is.
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
