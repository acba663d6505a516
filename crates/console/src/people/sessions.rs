//! Sessions: a cookie with 256 random bits, stored as a hash.
//!
//! A session ends after two idle hours, after twelve hours, when its account is removed, and when another
//! browser sends its cookie.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use firewatch_domain::{Duration, EventTime};
use sha2::{Digest, Sha256};

use super::{AuditAction, People, Person, Role, hash, join_roles, parse_roles, token};
use crate::error::StoreError;

/// A session ends after this time without a request.
pub const IDLE_TIMEOUT: Duration = Duration::from_mins(2 * 60);
/// Maximum lifetime of a session.
pub const MAX_SESSION: Duration = Duration::from_mins(12 * 60);
/// Resolution at which the time of the last request is stored.
const LAST_USE_RESOLUTION: Duration = Duration::from_mins(1);

/// Marks sessions of local accounts, whose roles are looked up for each request. Sessions from an identity
/// provider store the roles of the sign-in.
pub(super) const LOCAL_ROLES: &str = "local";

impl People {
    /// Starts a session of a local account and returns its token.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_session(&self, name: &str, agent: &str, now: EventTime) -> Result<String, StoreError> {
        self.insert_session(name, LOCAL_ROLES, agent, now).await
    }

    /// Starts a session of a person from an identity provider, with the roles of their groups; returns its
    /// token.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_session_with_roles(
        &self,
        name: &str,
        roles: &[Role],
        agent: &str,
        now: EventTime,
    ) -> Result<String, StoreError> {
        self.insert_session(name, &join_roles(roles), agent, now).await
    }

    async fn insert_session(
        &self,
        name: &str,
        roles: &str,
        agent: &str,
        now: EventTime,
    ) -> Result<String, StoreError> {
        let token = token()?;
        sqlx::query("DELETE FROM sessions WHERE made < $1 OR seen < $2")
            .bind((now - MAX_SESSION).as_millis())
            .bind((now - IDLE_TIMEOUT).as_millis())
            .execute(&self.pool)
            .await?;
        sqlx::query("INSERT INTO sessions VALUES ($1, $2, $3, $4, $5, $5)")
            .bind(hash(&token))
            .bind(name)
            .bind(roles)
            .bind(hash(agent))
            .bind(now.as_millis())
            .execute(&self.pool)
            .await?;
        Ok(token)
    }

    /// Returns the person of a session; `None` if the session has ended. A request from another browser ends
    /// the session and is audited with its address.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session(
        &self,
        token: &str,
        agent: &str,
        address: &str,
        now: EventTime,
    ) -> Result<Option<Person>, StoreError> {
        let Some((name, roles, expected_agent, seen)) = self.session_row(token, now).await? else {
            return Ok(None);
        };
        if expected_agent != hash(agent) {
            self.end_session(token).await?;
            let about = "another browser sent its cookie";
            self.write_audit(&name, address, AuditAction::SessionStolen, about, now).await?;
            return Ok(None);
        }
        if now.as_millis() - seen >= LAST_USE_RESOLUTION.as_millis() {
            sqlx::query("UPDATE sessions SET seen = $1 WHERE token = $2")
                .bind(now.as_millis())
                .bind(hash(token))
                .execute(&self.pool)
                .await?;
        }
        Ok(Some(Person { name, roles: parse_roles(&roles), csrf: csrf(token) }))
    }

    /// Returns whether a session holds, without prolonging it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn holds_session(&self, token: &str, now: EventTime) -> Result<bool, StoreError> {
        Ok(self.session_row(token, now).await?.is_some())
    }

    /// Returns the name, the roles, the hashed user agent and the last use of a session that has not ended.
    async fn session_row(
        &self,
        token: &str,
        now: EventTime,
    ) -> Result<Option<(String, String, String, i64)>, StoreError> {
        let found = sqlx::query_as(
            "SELECT s.name, CASE WHEN s.roles = $4 THEN COALESCE(p.roles, '') ELSE s.roles END, s.agent, s.seen \
             FROM sessions s LEFT JOIN people p ON p.name = s.name \
             WHERE s.token = $1 AND s.made >= $2 AND s.seen >= $3 AND (s.roles <> $4 OR p.name IS NOT NULL)",
        )
        .bind(hash(token))
        .bind((now - MAX_SESSION).as_millis())
        .bind((now - IDLE_TIMEOUT).as_millis())
        .bind(LOCAL_ROLES)
        .fetch_optional(&self.pool)
        .await?;
        Ok(found)
    }

    /// Ends the session of a token, if there is one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_session(&self, token: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sessions WHERE token = $1").bind(hash(token)).execute(&self.pool).await?;
        Ok(())
    }
}

/// Derives the CSRF token of a session. It proves that a request comes from the console's pages, because no
/// other site can read the cookie it is derived from.
fn csrf(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("csrf {token}")))
}
