//! The projection: what the topics say now, in a database that can be asked.
//!
//! A batch of records and the places after them are one transaction, so a console that was killed goes on where its
//! projection is. Every change of an escalation has a number; who knows the last number can ask what came after it.

mod apply;
mod inbox;
mod schema;

use std::collections::BTreeMap;
use std::fmt;

use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;

pub use apply::{Incoming, Kind};
pub use inbox::{Cursor, Detail, Filter, Item, Page};

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
                    "the console's database: {problem}; delete it, and it is built again from the topics"
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
}

/// The offset after the last record taken in, by topic and partition.
pub type Positions = BTreeMap<(String, u32), i64>;

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
        let pool = AnyPoolOptions::new().max_connections(CONNECTIONS).connect(&url).await?;
        if url.starts_with("sqlite:") {
            // Readers do not wait for the writer, and a crash loses no transaction's half.
            sqlx::query("PRAGMA journal_mode = WAL").execute(&pool).await?;
        }
        let store = Self { pool };
        store.make().await?;
        Ok(store)
    }

    /// Where reading goes on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn positions(&self) -> Result<Positions, StoreError> {
        let rows: Vec<(String, i64, i64)> =
            sqlx::query_as("SELECT topic, part, next FROM positions").fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|(topic, part, next)| ((topic, part as u32), next)).collect())
    }
}
