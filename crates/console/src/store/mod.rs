//! The projection: what the topics say now, in a database that can be asked.
//!
//! A batch of records and the places after them are one transaction, so a console that was killed goes on where its
//! projection is. Every change of an escalation has a number; who knows the last number can ask what came after it.

mod apply;
mod detail;
mod inbox;
mod project_escalation;
mod project_records;
mod retraction;
mod schema;
mod storm;
#[cfg(test)]
mod tests;
mod wallboard;

use std::collections::BTreeMap;
use std::fmt;

use firewatch_domain::{Duration, EventTime};
use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;

use crate::notify::{NotificationChannel, Outbox};
use crate::people::People;

pub use apply::{IncomingRecord, Kind};
pub use detail::EscalationDetail;
pub use inbox::{Cursor, Facets, Filter, InboxItem, InboxPage};
pub use project_records::VOLUME_SLOT;
pub use storm::{Complaint, StormDetail};
pub use wallboard::{ReplyTimes, Wallboard};

/// Longest wait for a connection: who asks is told that the database is away.
const ACQUIRE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
/// Connections to the database. SQLite has one writer at a time.
const CONNECTIONS: u32 = 8;

/// Why the projection cannot be read or written.
#[derive(Debug)]
pub enum StoreError {
    /// The database's own words.
    Database(sqlx::Error),
    /// A row that does not read as it should; the projection has to be built again.
    Row(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(e) => write!(f, "the console's database: {e}"),
            Self::Row(problem) => {
                write!(
                    f,
                    "the console's database: {problem}; start with --rebuild, and what the topics say is taken in again"
                )
            }
        }
    }
}

impl std::error::Error for StoreError {}

impl From<sqlx::Error> for StoreError {
    fn from(e: sqlx::Error) -> Self {
        Self::Database(e)
    }
}

/// The projection.
#[derive(Clone)]
pub struct Store {
    pool: AnyPool,
    outbox: Option<Outbox>,
}

/// What was closed so long ago is no longer shown.
const CLOSED_RETENTION: Duration = Duration::from_mins(30 * 24 * 60);
/// Complaints, and scores of what no team was told of, are kept so long: two weeks show what is usual at an hour.
const COMPLAINT_RETENTION: Duration = Duration::from_mins(14 * 24 * 60);
const SCORE_RETENTION: Duration = Duration::from_mins(2 * 24 * 60);

/// The offset after the last record taken in, by topic and partition.
pub type TopicPositions = BTreeMap<(String, u32), i64>;

impl Store {
    /// Opens the database at a URL, such as `sqlite://console.db` or `postgres://…`, and makes what is missing. One of another
    /// version is emptied, to be built again.
    ///
    /// # Errors
    /// When it cannot be reached or made.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let url = match url.strip_prefix("sqlite:") {
            Some(rest) if !rest.contains('?') => format!("sqlite:{rest}?mode=rwc"),
            _ => url.to_owned(),
        };
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect(&url)
            .await?;
        if url.starts_with("sqlite:") {
            // Readers do not wait for the writer, and a crash loses no transaction's half.
            sqlx::query("PRAGMA journal_mode = WAL").execute(&pool).await?;
        }
        let store = Self { pool, outbox: None };
        store.create_tables(false).await?;
        Ok(store)
    }

    /// Empties the projection, to be built again. People, the audit trail and what was sent stay.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn clear(&self) -> Result<(), StoreError> {
        self.create_tables(true).await
    }

    /// People, in the same database.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn people(&self) -> Result<People, StoreError> {
        People::open(self.pool.clone()).await
    }

    /// The same, queueing for channels what it takes in. The console is reached at `base`, and the topics end at `ends` now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn with_channels(
        mut self,
        channels: (&[NotificationChannel], &str),
        ends: &TopicPositions,
    ) -> Result<(Self, Outbox), StoreError> {
        let outbox = Outbox::open(self.pool.clone(), channels, ends).await?;
        self.outbox = Some(outbox.clone());
        Ok((self, outbox))
    }

    /// Lets go of what is too old to be shown.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune(&self, now: EventTime) -> Result<(), StoreError> {
        let escalated = "(SELECT conversation FROM escalations)";
        let (closed, counted, scored) =
            ((now - CLOSED_RETENTION).as_millis(), now - COMPLAINT_RETENTION, now - SCORE_RETENTION);
        let mut change = self.pool.begin().await?;
        let steps = [
            ("DELETE FROM history WHERE escalation IN (SELECT id FROM escalations WHERE live = 0 AND at < $1)".into(), closed),
            ("DELETE FROM escalations WHERE live = 0 AND at < $1".to_owned(), closed),
            ("DELETE FROM complaints WHERE at < $1".into(), counted.as_millis()),
            ("DELETE FROM volume WHERE slot < $1".into(), counted.as_millis()),
            (format!("DELETE FROM points WHERE at < $1 AND conversation NOT IN {escalated}"), scored.as_millis()),
            (format!("DELETE FROM scores WHERE at < $1 AND conversation NOT IN {escalated}"), scored.as_millis()),
            (format!("DELETE FROM actions WHERE at < $1 AND conversation NOT IN {escalated}"), closed),
        ];
        for (step, before) in steps {
            sqlx::query(sqlx::AssertSqlSafe(step)).bind(before).execute(&mut *change).await?;
        }
        change.commit().await?;
        Ok(())
    }

    /// Where reading goes on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn positions(&self) -> Result<TopicPositions, StoreError> {
        let rows: Vec<(String, i64, i64)> =
            sqlx::query_as("SELECT topic, part, next FROM positions").fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|(topic, part, next)| ((topic, part as u32), next)).collect())
    }
}
