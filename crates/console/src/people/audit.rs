//! The audit trail: who signed in, who did what, and who saw what was written unredacted. It is written before the thing is done, and
//! nothing in the console deletes from it.

use firewatch_domain::EventTime;
use schemars::JsonSchema;
use serde::Serialize;

use super::{People, token};
use crate::store::StoreError;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditAction {
    /// Signed in.
    SignedIn,
    /// Tried to, and was refused.
    Refused,
    /// Signed out.
    SignedOut,
    /// A session's cookie was used by somebody else.
    SessionStolen,
    /// Made an account of an invitation.
    Joined,
    /// Invited somebody.
    Invited,
    /// Removed somebody.
    Removed,
    /// Acted on an escalation.
    Acted,
    /// Saw what was written, unredacted.
    ViewedUnredacted,
    /// Read the audit trail.
    ReadAuditTrail,
    /// Had a notification sent: a test, or one that was refused before.
    Notified,
}

impl AuditAction {
    fn as_str(self) -> &'static str {
        match self {
            Self::SignedIn => "signed in",
            Self::Refused => "was refused",
            Self::SignedOut => "signed out",
            Self::SessionStolen => "lost a session",
            Self::Joined => "joined",
            Self::Invited => "invited",
            Self::Removed => "removed",
            Self::Acted => "acted",
            Self::ViewedUnredacted => "saw unredacted",
            Self::ReadAuditTrail => "read the audit trail",
            Self::Notified => "had a notification sent",
        }
    }
}

/// An entry of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Entry")]
pub struct AuditEntry {
    /// When.
    pub at: EventTime,
    /// Who.
    pub who: String,
    /// What was done.
    pub deed: String,
    /// To what.
    pub about: String,
    /// From where.
    pub address: String,
}

impl People {
    /// Writes an entry: by whom and from where, what, and to what.
    ///
    /// # Errors
    /// When it could not be written; the thing must not be done then.
    pub async fn write_audit(
        &self,
        (who, address): (&str, &str),
        deed: AuditAction,
        about: &str,
        now: EventTime,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO audit VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(token()?)
            .bind(now.as_millis())
            .bind(who)
            .bind(deed.as_str())
            .bind(about)
            .bind(address)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The latest entries, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_entries(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let rows: Vec<(i64, String, String, String, String)> =
            sqlx::query_as("SELECT at, who, deed, about, address FROM audit ORDER BY at DESC, id LIMIT $1")
                .bind(i64::from(limit))
                .fetch_all(&self.pool)
                .await?;
        let entry = |(at, who, deed, about, address)| AuditEntry {
            at: EventTime::from_millis(at),
            who,
            deed,
            about,
            address,
        };
        Ok(rows.into_iter().map(entry).collect())
    }
}
