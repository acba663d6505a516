//! The projection: the current state of the topics in a database that pages can query.
//!
//! A batch of records and the positions after it are one transaction, so a console that is killed resumes
//! exactly where its projection stands. Every change of an escalation gets a number; a client that knows the
//! last number can ask for the changes after it.

mod apply;
mod detail;
mod inbox;
mod project_escalation;
mod project_records;
mod record_text;
mod retraction;
mod schema;
mod storm;
#[cfg(test)]
mod tests;
mod wallboard;

use std::collections::BTreeMap;
use std::fs::{OpenOptions, Permissions};
use std::path::Path;

use firewatch_domain::{Duration, EventTime};
use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;

pub use crate::error::StoreError;
use crate::notify::{NotificationChannel, Outbox};
use crate::people::People;

pub use apply::{IncomingRecord, Kind};
pub use detail::EscalationDetail;
pub use inbox::{Cursor, Facets, Filter, InboxItem, InboxPage, InvalidCursor};
pub use project_records::VOLUME_SLOT;
pub use storm::{Complaint, StormDetail};
pub use wallboard::{ReplyTimes, Wallboard};

/// Maximum wait for a connection; after it the request fails with a database error.
const ACQUIRE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
/// Size of the connection pool. SQLite allows one writer at a time.
const CONNECTIONS: u32 = 8;

/// A handle to the projection's database; clones share one connection pool.
#[derive(Clone)]
pub struct Store {
    pool: AnyPool,
    outbox: Option<Outbox>,
}

/// How long closed escalations are kept.
const CLOSED_RETENTION: Duration = Duration::from_mins(30 * 24 * 60);
/// How long complaints are kept: two weeks show the usual volume at each hour.
const COMPLAINT_RETENTION: Duration = Duration::from_mins(14 * 24 * 60);
/// How long scores of conversations without an escalation are kept.
const SCORE_RETENTION: Duration = Duration::from_mins(2 * 24 * 60);

/// The next offset to read, by topic and partition.
pub type TopicPositions = BTreeMap<(String, u32), i64>;

/// Creates a database file that only its owner can read, or takes the rights of others to one that exists: it holds
/// password hashes and excerpts of posts. SQLite gives the files beside it the same rights.
fn keep_to_owner(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        return Ok(());
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))
}

impl Store {
    /// Opens the database at a URL, such as `sqlite://console.db` or `postgres://…`, and creates missing
    /// tables. A projection of another version is emptied, to be rebuilt.
    ///
    /// # Errors
    /// When the database cannot be reached or created.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let url = match url.strip_prefix("sqlite:") {
            Some(rest) if !rest.contains('?') => format!("sqlite:{rest}?mode=rwc"),
            _ => url.to_owned(),
        };
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.trim_start_matches("//").split('?').next().unwrap_or_default();
            keep_to_owner(Path::new(path)).map_err(sqlx::Error::Io)?;
        }
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect(&url)
            .await?;
        if url.starts_with("sqlite:") {
            // With a write-ahead log readers do not wait for the writer, and a crash leaves no partial
            // transaction.
            sqlx::query("PRAGMA journal_mode = WAL").execute(&pool).await?;
        }
        let store = Self { pool, outbox: None };
        store.create_tables(false).await?;
        Ok(store)
    }

    /// Empties the projection, to be rebuilt. Accounts, the audit trail and notifications stay.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn clear(&self) -> Result<(), StoreError> {
        self.create_tables(true).await
    }

    /// Opens the accounts and the audit trail in the same database.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn people(&self) -> Result<People, StoreError> {
        People::open(self.pool.clone()).await
    }

    /// Adds an outbox, which queues notifications for applied records. `base` is the console's URL, and
    /// `ends` holds the current end of each topic partition, where new channels start.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn with_channels(
        mut self,
        channels: &[NotificationChannel],
        base: &str,
        ends: &TopicPositions,
    ) -> Result<(Self, Outbox), StoreError> {
        let outbox = Outbox::open(self.pool.clone(), channels, base, ends).await?;
        self.outbox = Some(outbox.clone());
        Ok((self, outbox))
    }

    /// Deletes what is past its retention time.
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

    /// Returns the positions from which to read on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn positions(&self) -> Result<TopicPositions, StoreError> {
        let rows: Vec<(String, i64, i64)> =
            sqlx::query_as("SELECT topic, part, next FROM positions").fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|(topic, part, next)| ((topic, part as u32), next)).collect())
    }
}
