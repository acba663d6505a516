//! The tables of the projection. Their version is stored in `meta`; a projection of another version is
//! recreated.

use super::{Store, StoreError};

const VERSION: &str = "5";

const TABLES: [&str; 16] = [
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS positions (topic TEXT NOT NULL, part BIGINT NOT NULL, next BIGINT NOT NULL, \
     PRIMARY KEY (topic, part))",
    // `due` is the largest integer if no reply is due; `seq` is the number of the last change. `promised` is
    // when the first reply was due and `answered` when it came, 0 if it did not. `silenced` is the end of a
    // person's silence, 0 without one.
    "CREATE TABLE IF NOT EXISTS escalations (id TEXT PRIMARY KEY, step BIGINT NOT NULL, live BIGINT NOT NULL, \
     level BIGINT NOT NULL, due BIGINT NOT NULL, risk DOUBLE PRECISION NOT NULL, team TEXT NOT NULL, \
     brand TEXT NOT NULL, conversation TEXT NOT NULL, at BIGINT NOT NULL, seq BIGINT NOT NULL, words TEXT NOT NULL, \
     taken_by TEXT NOT NULL, record TEXT NOT NULL, platform TEXT NOT NULL, posted BIGINT NOT NULL, promised BIGINT NOT NULL, \
     answered BIGINT NOT NULL, opened BIGINT NOT NULL, incident TEXT NOT NULL, silenced BIGINT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS escalations_inbox ON escalations (live, level DESC, due, risk DESC, id)",
    "CREATE INDEX IF NOT EXISTS escalations_seq ON escalations (seq)",
    "CREATE INDEX IF NOT EXISTS escalations_of ON escalations (conversation)",
    "CREATE TABLE IF NOT EXISTS history (escalation TEXT NOT NULL, step BIGINT NOT NULL, record TEXT NOT NULL, \
     PRIMARY KEY (escalation, step))",
    "CREATE TABLE IF NOT EXISTS actions (conversation TEXT NOT NULL, id TEXT NOT NULL, at BIGINT NOT NULL, \
     record TEXT NOT NULL, PRIMARY KEY (conversation, id))",
    "CREATE TABLE IF NOT EXISTS scores (conversation TEXT PRIMARY KEY, at BIGINT NOT NULL, record TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS points (conversation TEXT NOT NULL, at BIGINT NOT NULL, risk DOUBLE PRECISION NOT NULL, \
     reshares BIGINT NOT NULL, reach BIGINT NOT NULL, PRIMARY KEY (conversation, at))",
    "CREATE INDEX IF NOT EXISTS escalations_opened ON escalations (opened)",
    "CREATE TABLE IF NOT EXISTS complaints (conversation TEXT PRIMARY KEY, brand TEXT NOT NULL, at BIGINT NOT NULL, \
     risk DOUBLE PRECISION NOT NULL, topics TEXT NOT NULL, near TEXT NOT NULL, excerpt TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS complaints_of ON complaints (brand, at)",
    // Number of complaints about a brand in a slot of five minutes.
    "CREATE TABLE IF NOT EXISTS volume (brand TEXT NOT NULL, slot BIGINT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (brand, slot))",
    "CREATE INDEX IF NOT EXISTS scores_at ON scores (at)",
    // Conversations with an edited or deleted post. `gone`: topics and reasons must be removed; `stays`: the
    // excerpt is unchanged, else `excerpt` is the new one.
    "CREATE TABLE IF NOT EXISTS rewritten (conversation TEXT PRIMARY KEY, at BIGINT NOT NULL, gone BIGINT NOT NULL, \
     stays BIGINT NOT NULL, excerpt TEXT NOT NULL)",
];

const DROP_TABLES: [&str; 10] = [
    "DROP TABLE IF EXISTS meta",
    "DROP TABLE IF EXISTS positions",
    "DROP TABLE IF EXISTS escalations",
    "DROP TABLE IF EXISTS history",
    "DROP TABLE IF EXISTS actions",
    "DROP TABLE IF EXISTS scores",
    "DROP TABLE IF EXISTS points",
    "DROP TABLE IF EXISTS complaints",
    "DROP TABLE IF EXISTS volume",
    "DROP TABLE IF EXISTS rewritten",
];

impl Store {
    /// Creates the tables. With `reset`, or if they have another version, drops them first.
    pub(super) async fn create_tables(&self, reset: bool) -> Result<(), StoreError> {
        let mut change = self.pool.begin().await?;
        sqlx::query(TABLES[0]).execute(&mut *change).await?;
        let found: Option<(String,)> = sqlx::query_as("SELECT value FROM meta WHERE name = 'version'")
            .fetch_optional(&mut *change)
            .await?;
        if found.is_some_and(|(version,)| reset || version != VERSION) {
            for drop in DROP_TABLES {
                sqlx::query(drop).execute(&mut *change).await?;
            }
        }
        for table in TABLES {
            sqlx::query(table).execute(&mut *change).await?;
        }
        sqlx::query("INSERT INTO meta VALUES ('version', $1), ('seq', '0') ON CONFLICT DO NOTHING")
            .bind(VERSION)
            .execute(&mut *change)
            .await?;
        change.commit().await?;
        Ok(())
    }
}
