//! Local accounts with name and password.
//!
//! The first account is created with a token that the console prints at start; later ones with an invitation.

use firewatch_domain::{Duration, EventTime};
use schemars::JsonSchema;
use serde::Serialize;
use thiserror::Error;

use super::{People, Role, hash, join_roles, parse_roles, token};
use crate::error::StoreError;

/// Minimum length of a password in characters: what NIST SP 800-63B requires without a second factor.
pub const MIN_PASSWORD_CHARS: usize = 15;
const MAX_PASSWORD_CHARS: usize = 512;
const MAX_NAME_CHARS: usize = 64;
/// How long an invitation is valid.
const INVITATION_LIFETIME: Duration = Duration::from_mins(24 * 60);

/// Why an account is not created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AccountError {
    /// No invitation has the token, or it has expired.
    #[error("this link was used or has expired; ask for a new one")]
    NoInvitation,
    /// Another request used the invitation at the same time.
    #[error("this link was used; ask for a new one")]
    InvitationUsed,
    /// The name is too long, empty or has other characters.
    #[error("invalid name; use 1 to {MAX_NAME_CHARS} letters, digits, spaces, `.`, `-`, `_` or `@`")]
    Name,
    /// The password is too short or too long.
    #[error(
        "wrong length; use {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters, such as several words"
    )]
    PasswordLength,
    /// The password contains the name.
    #[error("the password contains the name; choose another")]
    PasswordContainsName,
    /// The password is one character, repeated.
    #[error("the password repeats one character; choose another")]
    PasswordRepeatsCharacter,
}

/// A local account, without its password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Account")]
pub struct LocalAccount {
    /// Name to sign in with.
    pub name: String,
    /// Roles of the account.
    pub roles: Vec<Role>,
}

/// The account that a token allows to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Name of the account; empty for the first account, whose owner chooses it.
    pub name: String,
    /// Roles the account will have.
    pub roles: Vec<Role>,
}

impl People {
    /// Returns the accounts in the order of their names.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn accounts(&self) -> Result<Vec<LocalAccount>, StoreError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT name, roles FROM people ORDER BY name").fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|(name, roles)| LocalAccount { name, roles: parse_roles(&roles) }).collect())
    }

    /// Returns a token for the first account, or `None` if there is an account already. Earlier tokens are void.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn first_token(&self, now: EventTime) -> Result<Option<String>, StoreError> {
        if !self.accounts().await?.is_empty() {
            return Ok(None);
        }
        self.invite("", &Role::ALL, now).await.map(Some)
    }

    /// Creates an invitation and returns its token. Earlier ones for the name become void: what they grant was right
    /// when they were made.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn invite(&self, name: &str, roles: &[Role], now: EventTime) -> Result<String, StoreError> {
        let token = token()?;
        let mut change = self.pool.begin().await?;
        sqlx::query("DELETE FROM invitations WHERE name = $1").bind(name).execute(&mut *change).await?;
        sqlx::query("INSERT INTO invitations VALUES ($1, $2, $3, $4)")
            .bind(hash(&token))
            .bind(name)
            .bind(join_roles(roles))
            .bind((now + INVITATION_LIFETIME).as_millis())
            .execute(&mut *change)
            .await?;
        change.commit().await?;
        Ok(token)
    }

    /// Returns the invitation of a token; `None` if the token is unknown, used or expired.
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

    /// Creates the account of an invitation, or replaces its roles and password, which ends its sessions; the token is
    /// used up. Returns the name, or why the token, the name or the password was refused.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn accept(
        &self,
        token: &str,
        name: &str,
        password: String,
        now: EventTime,
    ) -> Result<Result<String, AccountError>, StoreError> {
        let Some(invitation) = self.invitation(token, now).await? else {
            return Ok(Err(AccountError::NoInvitation));
        };
        let name = if invitation.name.is_empty() { name.trim() } else { &invitation.name };
        if let Err(problem) = check_name(name).and_then(|()| check_password(&password, name)) {
            return Ok(Err(problem));
        }
        let hashed = self.passwords.hash(password).await?;
        let mut change = self.pool.begin().await?;
        let used = sqlx::query("DELETE FROM invitations WHERE token = $1")
            .bind(hash(token))
            .execute(&mut *change)
            .await?;
        if used.rows_affected() == 0 {
            return Ok(Err(AccountError::InvitationUsed));
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
        sqlx::query("DELETE FROM sessions WHERE name = $1").bind(name).execute(&mut *change).await?;
        change.commit().await?;
        Ok(Ok(name.to_owned()))
    }

    /// Verifies a password. An unknown name takes as long as a wrong password, so that names cannot be
    /// probed.
    ///
    /// # Errors
    /// When the database fails, or too many others sign in.
    pub async fn verify_password(&self, name: &str, password: String) -> Result<bool, StoreError> {
        let found: Option<(String,)> = sqlx::query_as("SELECT password FROM people WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await?;
        match found {
            Some((hash,)) => self.passwords.verify(password, hash).await,
            None => self.passwords.hash(password).await.map(|_| false),
        }
    }

    /// Removes an account with its sessions and invitations; returns whether it existed.
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

/// Checks that a name is allowed; returns the rule if it is not.
pub(crate) fn check_name(name: &str) -> Result<(), AccountError> {
    let legal = |c: char| c.is_alphanumeric() || ".-_@ ".contains(c);
    if (1..=MAX_NAME_CHARS).contains(&name.chars().count()) && name.chars().all(legal) {
        return Ok(());
    }
    Err(AccountError::Name)
}

fn check_password(password: &str, name: &str) -> Result<(), AccountError> {
    if !(MIN_PASSWORD_CHARS..=MAX_PASSWORD_CHARS).contains(&password.chars().count()) {
        return Err(AccountError::PasswordLength);
    }
    let first = password.chars().next();
    if password.to_lowercase().contains(&name.to_lowercase()) && name.chars().count() > 2 {
        return Err(AccountError::PasswordContainsName);
    }
    if password.chars().all(|c| Some(c) == first) {
        return Err(AccountError::PasswordRepeatsCharacter);
    }
    Ok(())
}
