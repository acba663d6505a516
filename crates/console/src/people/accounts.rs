//! Local accounts: who is known by name and password, and how one comes to be. Passwords are hashed by argon2id; the first account
//! is made with a token that is told at the start, others with an invitation.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use firewatch_domain::{Duration, EventTime};
use schemars::JsonSchema;
use serde::Serialize;

use super::{People, Role, hash, join_roles, parse_roles, token};
use crate::store::StoreError;

/// Shortest password, characters; what NIST SP 800-63B asks of one that is used alone.
pub const MIN_PASSWORD_CHARS: usize = 15;
const MAX_PASSWORD_CHARS: usize = 512;
const MAX_NAME_CHARS: usize = 64;
/// How long an invitation holds.
const INVITATION_LIFETIME: Duration = Duration::from_mins(24 * 60);

/// An account, without its password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Account")]
pub struct LocalAccount {
    /// The name.
    pub name: String,
    /// The roles.
    pub roles: Vec<Role>,
}

/// What an account is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Whose it is to be; empty for the first one, who chooses.
    pub name: String,
    /// The roles it will have.
    pub roles: Vec<Role>,
}

impl People {
    /// The accounts, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn accounts(&self) -> Result<Vec<LocalAccount>, StoreError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT name, roles FROM people ORDER BY name").fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|(name, roles)| LocalAccount { name, roles: parse_roles(&roles) }).collect())
    }

    /// A token for the first account, when there is none yet. Tokens told before are void.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn first_token(&self, now: EventTime) -> Result<Option<String>, StoreError> {
        if !self.accounts().await?.is_empty() {
            return Ok(None);
        }
        sqlx::query("DELETE FROM invitations WHERE name = ''").execute(&self.pool).await?;
        self.invite("", &Role::ALL, now).await.map(Some)
    }

    /// Invites somebody; tells the token.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn invite(&self, name: &str, roles: &[Role], now: EventTime) -> Result<String, StoreError> {
        let token = token()?;
        sqlx::query("INSERT INTO invitations VALUES ($1, $2, $3, $4)")
            .bind(hash(&token))
            .bind(name)
            .bind(join_roles(roles))
            .bind((now + INVITATION_LIFETIME).as_millis())
            .execute(&self.pool)
            .await?;
        Ok(token)
    }

    /// What a token invites to; none when it is void, used or too old.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn invitation(&self, token: &str, now: EventTime) -> Result<Option<Invitation>, StoreError> {
        let found: Option<(String, String)> =
            sqlx::query_as("SELECT name, roles FROM invitations WHERE token = $1 AND until > $2")
                .bind(hash(token))
                .bind(now.as_millis())
                .fetch_optional(&self.pool)
                .await?;
        Ok(found.map(|(name, roles)| Invitation { name, roles: parse_roles(&roles) }))
    }

    /// Makes the account that a token invites to, or gives it another password; the token is used up. Tells what is wrong with
    /// the name or password, or that the token is void.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn accept(
        &self,
        (token, now): (&str, EventTime),
        name: &str,
        password: String,
    ) -> Result<Result<String, String>, StoreError> {
        let Some(invitation) = self.invitation(token, now).await? else {
            return Ok(Err("this link was used or is too old; ask for another".into()));
        };
        let name = if invitation.name.is_empty() { name.trim() } else { &invitation.name };
        if let Err(problem) = check_name(name).and_then(|()| check_password(&password, name)) {
            return Ok(Err(problem));
        }
        let hashed = hash_password(password).await?;
        let mut change = self.pool.begin().await?;
        let used = sqlx::query("DELETE FROM invitations WHERE token = $1")
            .bind(hash(token))
            .execute(&mut *change)
            .await?;
        if used.rows_affected() == 0 {
            return Ok(Err("this link was used; ask for another".into()));
        }
        sqlx::query(
            "INSERT INTO people VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO UPDATE SET roles = excluded.roles, \
             password = excluded.password",
        )
        .bind(name)
        .bind(join_roles(&invitation.roles))
        .bind(hashed)
        .bind(now.as_millis())
        .execute(&mut *change)
        .await?;
        change.commit().await?;
        Ok(Ok(name.to_owned()))
    }

    /// Whether somebody of this name has this password. One who is not known takes as long.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn verify_password(&self, name: &str, password: String) -> Result<bool, StoreError> {
        let found: Option<(String,)> = sqlx::query_as("SELECT password FROM people WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await?;
        let Some((kept,)) = found else {
            return hash_password(password).await.map(|_| false);
        };
        let check = move || {
            let kept = PasswordHash::new(&kept).ok()?;
            Argon2::default().verify_password(password.as_bytes(), &kept).ok()
        };
        Ok(tokio::task::spawn_blocking(check).await.ok().flatten().is_some())
    }

    /// Removes somebody, with all sessions and invitations; tells whether there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove(&self, name: &str) -> Result<bool, StoreError> {
        let mut change = self.pool.begin().await?;
        for delete in ["DELETE FROM sessions WHERE name = $1", "DELETE FROM invitations WHERE name = $1"] {
            sqlx::query(delete).bind(name).execute(&mut *change).await?;
        }
        let removed =
            sqlx::query("DELETE FROM people WHERE name = $1").bind(name).execute(&mut *change).await?;
        change.commit().await?;
        Ok(removed.rows_affected() > 0)
    }
}

/// Whether a name can be one, or why not.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_alphanumeric() || ".-_@ ".contains(c);
    if (1..=MAX_NAME_CHARS).contains(&name.chars().count()) && name.chars().all(legal) {
        return Ok(());
    }
    Err(format!("a name has 1 to {MAX_NAME_CHARS} letters, digits, spaces, `.`, `-`, `_` or `@`"))
}

fn check_password(password: &str, name: &str) -> Result<(), String> {
    if !(MIN_PASSWORD_CHARS..=MAX_PASSWORD_CHARS).contains(&password.chars().count()) {
        return Err(format!(
            "a password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters; several words will do"
        ));
    }
    let first = password.chars().next();
    if password.to_lowercase().contains(&name.to_lowercase()) && name.chars().count() > 2 {
        return Err("the password holds the name; choose another".into());
    }
    if password.chars().all(|c| Some(c) == first) {
        return Err("the password is one character over and over; choose another".into());
    }
    Ok(())
}

/// Argon2id with 19 MiB, two passes and a salt of its own: what OWASP asks.
async fn hash_password(password: String) -> Result<String, StoreError> {
    let hash = move || Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string());
    let done = tokio::task::spawn_blocking(hash).await;
    done.ok().and_then(Result::ok).ok_or_else(|| StoreError::Row("a password could not be hashed".into()))
}
