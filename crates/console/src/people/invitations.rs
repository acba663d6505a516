//! Invitations: links that create an account, or replace its roles and password, once.
//!
//! The first account has a link in a file that only the owner of the process can read. It has no rights of a privacy
//! officer, who is invited at the machine.

use firewatch_domain::{Duration, EventTime};
use schemars::JsonSchema;
use serde::Serialize;
use unicode_security::skeleton;

use super::password_rules::check_password;
use super::second_factor::end_sessions_of;
use super::{AccountError, People, Role, check_name, hash, join_roles, parse_roles, token};
use crate::error::StoreError;

/// How long an invitation is valid.
const INVITATION_LIFETIME: Duration = Duration::from_mins(24 * 60);
/// How long the link to the first account is valid.
const FIRST_LIFETIME: Duration = Duration::from_mins(60);
/// Roles of the first account.
const FIRST_ROLES: [Role; 3] = [Role::Viewer, Role::Responder, Role::PolicyOwner];

/// The account that a token allows to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Name of the account; empty for the first account, whose owner chooses it.
    pub name: String,
    /// Roles the account will have.
    pub roles: Vec<Role>,
}

/// An invitation that nobody has used yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OpenInvitation {
    /// Name of the account.
    pub name: String,
    /// Roles the account will have.
    pub roles: Vec<Role>,
    /// When it expires.
    pub until: EventTime,
}

impl People {
    /// Returns a token for the first account, or `None` if there is an account already. Earlier tokens are void.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn first_token(&self, now: EventTime) -> Result<Option<String>, StoreError> {
        if !self.accounts().await?.is_empty() {
            return Ok(None);
        }
        self.insert_invitation("", &FIRST_ROLES, now + FIRST_LIFETIME).await.map(Some)
    }

    /// Creates an invitation and returns its token. Earlier ones for the name become void: what they grant was right
    /// when they were made.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn invite(&self, name: &str, roles: &[Role], now: EventTime) -> Result<String, StoreError> {
        self.insert_invitation(name, roles, now + INVITATION_LIFETIME).await
    }

    async fn insert_invitation(
        &self,
        name: &str,
        roles: &[Role],
        until: EventTime,
    ) -> Result<String, StoreError> {
        let token = token()?;
        let mut change = self.pool.begin().await?;
        sqlx::query("DELETE FROM invitations WHERE name = $1").bind(name).execute(&mut *change).await?;
        sqlx::query("INSERT INTO invitations VALUES ($1, $2, $3, $4)")
            .bind(hash(&token))
            .bind(name)
            .bind(join_roles(roles))
            .bind(until.as_millis())
            .execute(&mut *change)
            .await?;
        change.commit().await?;
        Ok(token)
    }

    /// Returns the invitations that are open, in the order of their names.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn invitations(&self, now: EventTime) -> Result<Vec<OpenInvitation>, StoreError> {
        let rows: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT name, roles, until FROM invitations WHERE until > $1 AND name <> '' ORDER BY name",
        )
        .bind(now.as_millis())
        .fetch_all(&self.pool)
        .await?;
        let open = |(name, roles, until): (String, String, i64)| OpenInvitation {
            name,
            roles: parse_roles(&roles),
            until: EventTime::from_millis(until),
        };
        Ok(rows.into_iter().map(open).collect())
    }

    /// Withdraws the invitation of a name; returns whether there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn withdraw(&self, name: &str) -> Result<bool, StoreError> {
        let gone =
            sqlx::query("DELETE FROM invitations WHERE name = $1").bind(name).execute(&self.pool).await?;
        Ok(gone.rows_affected() > 0)
    }

    /// Returns whether a name looks like that of another account: the same letters in another case, or of another script.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_like_another(&self, name: &str) -> Result<bool, StoreError> {
        let look = look(name);
        let accounts = self.accounts().await?;
        Ok(accounts.iter().any(|account| account.name != name && self::look(&account.name) == look))
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
        if self.is_like_another(name).await? {
            return Ok(Err(AccountError::NameLikeAnother));
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
        end_sessions_of(&mut change, name).await?;
        change.commit().await?;
        Ok(Ok(name.to_owned()))
    }
}

/// Returns what a name looks like (Unicode TS 39, skeleton), whatever its case.
fn look(name: &str) -> String {
    skeleton(&name.to_lowercase()).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::look;

    #[test]
    fn names_that_look_alike_are_alike() {
        for (one, other) in
            [("admin", "\u{430}dmin"), ("admin", "ADMIN"), ("kim", "k\u{456}m"), ("lee", "1ee")]
        {
            assert_eq!(look(one), look(other), "{one} {other}");
        }
        assert_ne!(look("kim"), look("tim"));
    }
}
