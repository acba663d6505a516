//! Sign-ins that wait for a code after the password. Their tokens allow nothing but to enter one.

use firewatch_domain::{Duration, EventTime};

use super::{People, hash, token};
use crate::error::StoreError;

/// How long the code may be entered after the password.
pub const CODE_STEP_LIFETIME: Duration = Duration::from_mins(5);
/// Codes that may be tried after one password.
pub(super) const MAX_TRIES: i64 = 5;
/// Sign-ins of an account that may wait for their code.
pub(super) const MAX_CODE_STEPS: i64 = 5;

impl People {
    /// Starts the second step of a sign-in and returns its token, which allows nothing but to enter a code.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_code_step(
        &self,
        name: &str,
        agent: &str,
        now: EventTime,
    ) -> Result<String, StoreError> {
        let token = token()?;
        let mut change = self.pool.begin().await?;
        sqlx::query("DELETE FROM code_steps WHERE until <= $1")
            .bind(now.as_millis())
            .execute(&mut *change)
            .await?;
        sqlx::query(
            "DELETE FROM code_steps WHERE name = $1 AND token NOT IN \
             (SELECT token FROM code_steps WHERE name = $1 ORDER BY until DESC, token LIMIT $2)",
        )
        .bind(name)
        .bind(MAX_CODE_STEPS - 1)
        .execute(&mut *change)
        .await?;
        sqlx::query("INSERT INTO code_steps VALUES ($1, $2, $3, 0, $4)")
            .bind(hash(&token))
            .bind(name)
            .bind(hash(agent))
            .bind((now + CODE_STEP_LIFETIME).as_millis())
            .execute(&mut *change)
            .await?;
        change.commit().await?;
        Ok(token)
    }

    /// Returns the name of the account that waits for its code; `None` if the token is unknown, expired or of another
    /// browser.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn code_step(
        &self,
        token: &str,
        agent: &str,
        now: EventTime,
    ) -> Result<Option<String>, StoreError> {
        let found: Option<(String,)> =
            sqlx::query_as("SELECT name FROM code_steps WHERE token = $1 AND agent = $2 AND until > $3")
                .bind(hash(token))
                .bind(hash(agent))
                .bind(now.as_millis())
                .fetch_optional(&self.pool)
                .await?;
        Ok(found.map(|(name,)| name))
    }

    /// Counts a try of the second step; returns whether it may be made.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_try(&self, token: &str) -> Result<bool, StoreError> {
        let counted = sqlx::query("UPDATE code_steps SET tries = tries + 1 WHERE token = $1 AND tries < $2")
            .bind(hash(token))
            .bind(MAX_TRIES)
            .execute(&self.pool)
            .await?;
        Ok(counted.rows_affected() > 0)
    }

    /// Ends the second step of a sign-in; returns whether it was still open.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_code_step(&self, token: &str) -> Result<bool, StoreError> {
        let ended = sqlx::query("DELETE FROM code_steps WHERE token = $1")
            .bind(hash(token))
            .execute(&self.pool)
            .await?;
        Ok(ended.rows_affected() > 0)
    }
}
