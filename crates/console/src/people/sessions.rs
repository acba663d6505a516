//! Sessions: a cookie with 256 random bits, of which the hash is kept. A session ends when it is not used, after half a day, when its
//! account is gone, and when another browser shows up with its cookie.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use firewatch_domain::{Duration, EventTime};
use sha2::{Digest, Sha256};

use super::{AuditAction, People, Person, Role, hash, join_roles, parse_roles, token};
use crate::store::StoreError;

/// A session that is not used for so long is over.
pub const IDLE_TIMEOUT: Duration = Duration::from_mins(2 * 60);
/// No session lasts longer.
pub const MAX_SESSION: Duration = Duration::from_mins(12 * 60);
/// The last use is kept to within this.
const LAST_USE_RESOLUTION: Duration = Duration::from_mins(1);

/// Of whom the roles are looked up anew with each request; who came by another's word keeps those of the sign-in.
const LOCAL_ROLES: &str = "local";

impl People {
    /// Begins a session of a local account; tells its token.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_session(&self, name: &str, agent: &str, now: EventTime) -> Result<String, StoreError> {
        self.insert_session(name, LOCAL_ROLES, (agent, now)).await
    }

    /// Begins a session of somebody whom an identity provider vouches for, with the roles it tells.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_session_with_roles(
        &self,
        person: (&str, &[Role]),
        agent: &str,
        now: EventTime,
    ) -> Result<String, StoreError> {
        self.insert_session(person.0, &join_roles(person.1), (agent, now)).await
    }

    async fn insert_session(
        &self,
        name: &str,
        roles: &str,
        (agent, now): (&str, EventTime),
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

    /// Whose session it is; none when there is no such session any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session(
        &self,
        token: &str,
        agent: &str,
        now: EventTime,
    ) -> Result<Option<Person>, StoreError> {
        let found: Option<(String, String, String, i64)> = sqlx::query_as(
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
        let Some((name, roles, expected_agent, seen)) = found else { return Ok(None) };
        if expected_agent != hash(agent) {
            self.end_session(token).await?;
            self.write_audit(
                (&name, "-"),
                AuditAction::SessionStolen,
                "its cookie came from another browser",
                now,
            )
            .await?;
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

    /// Ends a session.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_session(&self, token: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sessions WHERE token = $1").bind(hash(token)).execute(&self.pool).await?;
        Ok(())
    }
}

/// What proves that a request comes from a page of the session: it follows from the cookie, which no other site can read.
fn csrf(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("csrf {token}")))
}
