//! People: accounts, roles, sessions and the audit trail.
//!
//! They are stored in the console's database beside the projection, but come from no topic, so they stay when
//! the projection is rebuilt. Tokens and passwords are stored as hashes only; secrets of
//! authenticator apps are stored as they are.

mod accounts;
mod audit;
mod code_steps;
mod invitations;
mod limits;
mod oidc;
mod password_rules;
mod passwords;
mod proofs;
mod second_factor;
mod sessions;
mod totp;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::AnyPool;

use crate::error::StoreError;

pub(crate) use accounts::check_name;
pub use accounts::{AccountError, LocalAccount};
pub use audit::{AuditAction, AuditEntry, AuditFilter};
pub use code_steps::CODE_STEP_LIFETIME;
pub use invitations::{Invitation, OpenInvitation};
pub use limits::{Attempt, Limits, OpenStream, Unwritten};
pub use oidc::{Oidc, OidcError, OidcSettings, StartedSignIn};
pub use password_rules::MIN_PASSWORD_CHARS;
use passwords::Passwords;
pub use proofs::PROOF_LIFETIME;
pub use second_factor::CodeCheck;
pub use sessions::{IDLE_TIMEOUT, MAX_SESSION};
pub use totp::{TotpSecret, time_step};

/// A role. Every role may view; the others add rights to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Views redacted text.
    Viewer,
    /// Acts on escalations.
    Responder,
    /// Acts on escalations, manages accounts and notifications.
    PolicyOwner,
    /// Views unredacted text and the audit trail.
    PrivacyOfficer,
}

/// A right that roles grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To view redacted text.
    View,
    /// To act on escalations.
    Act,
    /// To invite and remove people, and to manage notifications.
    Manage,
    /// To view unredacted text and the audit trail.
    Unredacted,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Responder, Self::PolicyOwner, Self::PrivacyOfficer];

    /// Returns the role's name in settings, the API and the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Responder => "responder",
            Self::PolicyOwner => "policy_owner",
            Self::PrivacyOfficer => "privacy_officer",
        }
    }

    /// Parses a role's name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    fn allows(self, right: Right) -> bool {
        match right {
            Right::View => true,
            Right::Act => matches!(self, Self::Responder | Self::PolicyOwner),
            Right::Manage => self == Self::PolicyOwner,
            Right::Unredacted => self == Self::PrivacyOfficer,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str().replace('_', " "))
    }
}

/// A signed-in person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Person {
    /// Name, which becomes the author of actions.
    pub name: String,
    /// Roles of the person.
    pub roles: Vec<Role>,
    /// CSRF token, which requests that change something must send in `x-csrf-token`.
    pub csrf: String,
}

impl Person {
    /// Returns the person of a console without sign-in: a policy owner named `console`.
    #[must_use]
    pub fn at_this_machine() -> Self {
        Self { name: "console".into(), roles: vec![Role::PolicyOwner], csrf: String::new() }
    }

    /// Returns whether any of the person's roles grants the right.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.roles.iter().any(|role| role.allows(right))
    }
}

/// Joins roles for storage; [`parse_roles`] is the inverse.
fn join_roles(roles: &[Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",")
}

fn parse_roles(roles: &str) -> Vec<Role> {
    roles.split(',').filter_map(Role::parse).collect()
}

/// A handle to the accounts, sessions and the audit trail.
#[derive(Clone)]
pub struct People {
    pool: AnyPool,
    passwords: Passwords,
}

const TABLES: [&str; 7] = [
    "CREATE TABLE IF NOT EXISTS people (name TEXT PRIMARY KEY, roles TEXT NOT NULL, password TEXT NOT NULL, made BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS invitations (token TEXT PRIMARY KEY, name TEXT NOT NULL, roles TEXT NOT NULL, until BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS sessions (token TEXT PRIMARY KEY, name TEXT NOT NULL, roles TEXT NOT NULL, agent TEXT NOT NULL, \
     made BIGINT NOT NULL, seen BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS audit (id TEXT PRIMARY KEY, at BIGINT NOT NULL, who TEXT NOT NULL, deed TEXT NOT NULL, \
     about TEXT NOT NULL, address TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS sign_ins (state TEXT PRIMARY KEY, nonce TEXT NOT NULL, verifier TEXT NOT NULL, until BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS identities (subject TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE INDEX IF NOT EXISTS audit_at ON audit (at)",
];

impl People {
    pub(crate) async fn open(pool: AnyPool) -> Result<Self, StoreError> {
        for table in TABLES.into_iter().chain(second_factor::TABLES) {
            sqlx::query(table).execute(&pool).await?;
        }
        Ok(Self { pool, passwords: Passwords::start()? })
    }
}

/// Returns a random token of 256 bits in URL-safe base64.
pub(crate) fn token() -> Result<String, StoreError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| StoreError::Row(format!("no random bytes: {e}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Hashes a token for storage. A fast hash is enough, because 256 random bits cannot be guessed.
fn hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_allow_what_they_are_for_and_nothing_else() {
        let may = |roles: &[Role]| {
            let person = Person { name: "kim".into(), roles: roles.to_vec(), csrf: String::new() };
            [Right::View, Right::Act, Right::Manage, Right::Unredacted].map(|right| person.may(right))
        };
        assert_eq!(may(&[]), [false; 4]);
        assert_eq!(may(&[Role::Viewer]), [true, false, false, false]);
        assert_eq!(may(&[Role::Responder]), [true, true, false, false]);
        assert_eq!(may(&[Role::PolicyOwner]), [true, true, true, false]);
        assert_eq!(may(&[Role::PrivacyOfficer]), [true, false, false, true]);
        assert_eq!(may(&Role::ALL), [true; 4]);
        assert_eq!(parse_roles(&join_roles(&Role::ALL)), Role::ALL);
    }
}
