//! When a password or a code was last entered in a session, for what needs to know who is there now.

use firewatch_domain::{Duration, EventTime};

use super::sessions::LOCAL_ROLES;
use super::{People, hash};
use crate::error::StoreError;

/// How long a password or a code proves who is there.
pub const PROOF_LIFETIME: Duration = Duration::from_mins(15);

impl People {
    /// Notes that a password or a code was entered in a session.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_proof(&self, session: &str, now: EventTime) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM proofs WHERE at < $1")
            .bind((now - PROOF_LIFETIME).as_millis())
            .execute(&self.pool)
            .await?;
        sqlx::query("INSERT INTO proofs VALUES ($1, $2) ON CONFLICT (token) DO UPDATE SET at = excluded.at")
            .bind(hash(session))
            .bind(now.as_millis())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Returns whether a password or a code was entered in a session of a local account within [`PROOF_LIFETIME`]. The
    /// sign-in counts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_fresh_proof(&self, session: &str, now: EventTime) -> Result<bool, StoreError> {
        let found: Option<(String,)> = sqlx::query_as(
            "SELECT s.name FROM sessions s LEFT JOIN proofs p ON p.token = s.token \
             WHERE s.token = $1 AND s.roles = $2 AND (s.made >= $3 OR p.at >= $3)",
        )
        .bind(hash(session))
        .bind(LOCAL_ROLES)
        .bind((now - PROOF_LIFETIME).as_millis())
        .fetch_optional(&self.pool)
        .await?;
        Ok(found.is_some())
    }
}
