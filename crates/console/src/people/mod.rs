//! Who uses the console, what they may do, and what they did.
//!
//! People, their sessions and the audit trail are in the console's database beside the projection, but they come from no topic:
//! they stay when the projection is built again. Of tokens and passwords only hashes are kept.

mod accounts;
mod audit;
mod limits;
mod oidc;
mod sessions;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::AnyPool;

use crate::store::StoreError;

pub(crate) use accounts::check_name;
pub use accounts::{Invitation, LocalAccount, MIN_PASSWORD_CHARS};
pub use audit::{AuditAction, AuditEntry};
pub use limits::Limits;
pub use oidc::{Oidc, OidcSettings, StartedSignIn};
pub use sessions::{IDLE_TIMEOUT, MAX_SESSION};

/// What somebody is to the console. Everybody who is known may look; the others add to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Acts on escalations.
    Responder,
    /// Acts, decides who else may use the console, and looks after notifications.
    PolicyOwner,
    /// Sees what was written unredacted, and the audit trail.
    PrivacyOfficer,
}

/// What a role allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To look, at what is redacted.
    View,
    /// To act on escalations.
    Act,
    /// To invite and remove people, and to look after notifications.
    Manage,
    /// To see what was written, unredacted, and who saw it.
    Unredacted,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Responder, Self::PolicyOwner, Self::PrivacyOfficer];

    /// The role as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Responder => "responder",
            Self::PolicyOwner => "policy_owner",
            Self::PrivacyOfficer => "privacy_officer",
        }
    }

    /// Reads one.
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

/// Somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Person {
    /// The name that actions bear.
    pub name: String,
    /// What they are.
    pub roles: Vec<Role>,
    /// What a request that changes something has to bear in `x-csrf-token`.
    pub csrf: String,
}

impl Person {
    /// Who is at this machine, where nobody signs in.
    #[must_use]
    pub fn at_this_machine() -> Self {
        Self { name: "console".into(), roles: vec![Role::PolicyOwner], csrf: String::new() }
    }

    /// Whether any of the roles allows it.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.roles.iter().any(|role| role.allows(right))
    }
}

/// Roles as they are kept, and back.
fn join_roles(roles: &[Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",")
}

fn parse_roles(roles: &str) -> Vec<Role> {
    roles.split(',').filter_map(Role::parse).collect()
}

/// People, sessions and the audit trail.
#[derive(Clone)]
pub struct People {
    pool: AnyPool,
}

const TABLES: [&str; 6] = [
    "CREATE TABLE IF NOT EXISTS people (name TEXT PRIMARY KEY, roles TEXT NOT NULL, password TEXT NOT NULL, made BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS invitations (token TEXT PRIMARY KEY, name TEXT NOT NULL, roles TEXT NOT NULL, until BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS sessions (token TEXT PRIMARY KEY, name TEXT NOT NULL, roles TEXT NOT NULL, agent TEXT NOT NULL, \
     made BIGINT NOT NULL, seen BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS audit (id TEXT PRIMARY KEY, at BIGINT NOT NULL, who TEXT NOT NULL, deed TEXT NOT NULL, \
     about TEXT NOT NULL, address TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS sign_ins (state TEXT PRIMARY KEY, nonce TEXT NOT NULL, verifier TEXT NOT NULL, until BIGINT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS audit_at ON audit (at)",
];

impl People {
    pub(crate) async fn open(pool: AnyPool) -> Result<Self, StoreError> {
        for table in TABLES {
            sqlx::query(table).execute(&pool).await?;
        }
        Ok(Self { pool })
    }
}

/// A name that nobody can guess: 256 bits.
pub(crate) fn token() -> Result<String, StoreError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| StoreError::Row(format!("no random bytes: {e}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of a token. It has 256 bits, so a plain hash cannot be searched.
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
