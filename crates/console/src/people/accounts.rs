//! Local accounts with name and password.
//!
//! Accounts are created with [invitations](super::Invitation).

use schemars::JsonSchema;
use serde::Serialize;
use thiserror::Error;

use super::password_rules::{MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS, check_password};
use super::second_factor::{delete_second_factor, end_sessions_of};
use super::{People, Role, parse_roles};
use crate::error::StoreError;

const MAX_NAME_CHARS: usize = 64;

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
    /// The password is a piece repeated, or a run of neighbouring keys.
    #[error("the password is a pattern of few characters or neighbouring keys; choose another")]
    PasswordPattern,
    /// The password is among those that are tried first.
    #[error("the password is known to be common; choose another")]
    PasswordKnown,
    /// The present password, which a change needs, is another.
    #[error("the present password is wrong")]
    WrongPassword,
    /// The name looks like that of another account.
    #[error("the name looks like that of another account; choose another")]
    NameLikeAnother,
}

/// A local account, without its password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Account")]
pub struct LocalAccount {
    /// Name to sign in with.
    pub name: String,
    /// Roles of the account.
    pub roles: Vec<Role>,
    /// Whether the account has a second factor.
    pub second_factor: bool,
}

impl People {
    /// Returns the accounts in the order of their names.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn accounts(&self) -> Result<Vec<LocalAccount>, StoreError> {
        let rows: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT p.name, p.roles, COALESCE(f.since, 0) FROM people p \
             LEFT JOIN second_factors f ON f.name = p.name ORDER BY p.name",
        )
        .fetch_all(&self.pool)
        .await?;
        let account = |(name, roles, since): (String, String, i64)| LocalAccount {
            name,
            roles: parse_roles(&roles),
            second_factor: since > 0,
        };
        Ok(rows.into_iter().map(account).collect())
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

    /// Changes the password of an account, which ends its other sessions; returns why it was refused.
    ///
    /// # Errors
    /// When the database fails, or too many others sign in.
    pub async fn change_password(
        &self,
        name: &str,
        present: String,
        new: String,
    ) -> Result<Result<(), AccountError>, StoreError> {
        if !self.verify_password(name, present).await? {
            return Ok(Err(AccountError::WrongPassword));
        }
        if let Err(problem) = check_password(&new, name) {
            return Ok(Err(problem));
        }
        let hashed = self.passwords.hash(new).await?;
        let mut change = self.pool.begin().await?;
        sqlx::query("UPDATE people SET password = $2 WHERE name = $1")
            .bind(name)
            .bind(hashed)
            .execute(&mut *change)
            .await?;
        end_sessions_of(&mut change, name).await?;
        change.commit().await?;
        Ok(Ok(()))
    }

    /// Removes an account with its sessions and invitations; returns whether it existed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove(&self, name: &str) -> Result<bool, StoreError> {
        let mut change = self.pool.begin().await?;
        end_sessions_of(&mut change, name).await?;
        delete_second_factor(&mut change, name).await?;
        sqlx::query("DELETE FROM invitations WHERE name = $1").bind(name).execute(&mut *change).await?;
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
