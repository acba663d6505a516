//! The audit trail: who signed in, who acted on what, and who viewed unredacted text.
//!
//! Except for new accounts, new second factors and sign-outs, an entry is written before the operation it describes.
//! The console never deletes entries.

use firewatch_domain::EventTime;
use schemars::JsonSchema;
use serde::Serialize;

use super::{People, token};
use crate::error::StoreError;

/// The kind of an audit entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditAction {
    /// Signed in.
    SignedIn,
    /// Was refused at sign-in.
    Refused,
    /// Signed out.
    SignedOut,
    /// A session's cookie was used by another browser, which ended the session.
    SessionStolen,
    /// Created an account from an invitation.
    Joined,
    /// Changed the own password.
    ChangedPassword,
    /// Turned on the own second factor.
    TurnedOnSecondFactor,
    /// Turned off the own second factor.
    TurnedOffSecondFactor,
    /// Reset the second factor of another account.
    ResetSecondFactor,
    /// Entered a recovery code in the place of a code of the app.
    UsedRecoveryCode,
    /// Entered a wrong code.
    WrongCode,
    /// Entered a wrong password in a session, to confirm who is there.
    WrongPassword,
    /// Invited somebody.
    Invited,
    /// Withdrew an invitation.
    Withdrew,
    /// Removed an account.
    Removed,
    /// Acted on an escalation.
    Acted,
    /// Viewed unredacted text.
    ViewedUnredacted,
    /// Read the audit trail.
    ReadAuditTrail,
    /// Sent a test notification, or resent refused ones.
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
            Self::ChangedPassword => "changed the password",
            Self::TurnedOnSecondFactor => "turned on the second factor",
            Self::TurnedOffSecondFactor => "turned off the second factor",
            Self::ResetSecondFactor => "reset the second factor of",
            Self::UsedRecoveryCode => "used a recovery code",
            Self::WrongCode => "entered a wrong code",
            Self::WrongPassword => "entered a wrong password",
            Self::Invited => "invited",
            Self::Withdrew => "withdrew the invitation of",
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
    /// When it was done.
    pub at: EventTime,
    /// Name of the person.
    pub who: String,
    /// What was done, such as `signed in`.
    pub deed: String,
    /// What it was done to, such as a conversation or an account.
    pub about: String,
    /// Address of the client; `-` if unknown.
    pub address: String,
}

impl People {
    /// Writes an entry: the person and their address, the action and its object.
    ///
    /// # Errors
    /// When the entry cannot be written; the caller must not do the action then.
    pub async fn write_audit(
        &self,
        who: &str,
        address: &str,
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

    /// Returns the latest entries, the newest first.
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
