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
    /// Was refused at sign-in, or sent a request from another site's page.
    Refused,
    /// Asked for something without the right to it, or without the token of the session.
    Denied,
    /// Signed out.
    SignedOut,
    /// A session's cookie was used by another browser, which ended the session.
    SessionStolen,
    /// Created an account from an invitation.
    Joined,
    /// Chose another password by an invitation.
    ResetPassword,
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
    const ALL: [Self; 21] = [
        Self::SignedIn,
        Self::Refused,
        Self::Denied,
        Self::SignedOut,
        Self::SessionStolen,
        Self::Joined,
        Self::ResetPassword,
        Self::ChangedPassword,
        Self::TurnedOnSecondFactor,
        Self::TurnedOffSecondFactor,
        Self::ResetSecondFactor,
        Self::UsedRecoveryCode,
        Self::WrongCode,
        Self::WrongPassword,
        Self::Invited,
        Self::Withdrew,
        Self::Removed,
        Self::Acted,
        Self::ViewedUnredacted,
        Self::ReadAuditTrail,
        Self::Notified,
    ];

    /// Returns the names of all kinds.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        Self::ALL.into_iter().map(Self::as_str).collect()
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::SignedIn => "signed in",
            Self::Refused => "was refused",
            Self::Denied => "was denied",
            Self::SignedOut => "signed out",
            Self::SessionStolen => "lost a session",
            Self::Joined => "joined",
            Self::ResetPassword => "reset the password",
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
    /// The id of the entry.
    pub id: String,
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

/// Which entries to list; an empty text means all.
#[derive(Debug, Clone, Copy)]
pub struct AuditFilter<'a> {
    /// Only those after this one in the list, which are older.
    pub before: &'a str,
    /// Only those of this person.
    pub who: &'a str,
    /// Only those of this kind.
    pub deed: &'a str,
}

impl People {
    /// Writes an entry: the person and their address, the action and its object. The log has it too, so that a copy can be
    /// kept where the console cannot write.
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
        tracing::info!(target: "firewatch::audit", who, deed = deed.as_str(), about, address, "audit");
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

    /// Returns entries, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_entries(
        &self,
        AuditFilter { before, who, deed }: AuditFilter<'_>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let rows: Vec<(String, i64, String, String, String, String)> = sqlx::query_as(
            "SELECT a.id, a.at, a.who, a.deed, a.about, a.address \
             FROM audit a LEFT JOIN audit b ON b.id = $1 \
             WHERE ($1 = '' OR a.at < b.at OR (a.at = b.at AND a.id > b.id)) \
             AND ($2 = '' OR a.who = $2) AND ($3 = '' OR a.deed = $3) \
             ORDER BY a.at DESC, a.id LIMIT $4",
        )
        .bind(before)
        .bind(who)
        .bind(deed)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let entry = |(id, at, who, deed, about, address)| AuditEntry {
            id,
            at: EventTime::from_millis(at),
            who,
            deed,
            about,
            address,
        };
        Ok(rows.into_iter().map(entry).collect())
    }

    /// Returns whether there is an entry with an id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_audit_entry(&self, id: &str) -> Result<bool, StoreError> {
        let found: Option<(String,)> =
            sqlx::query_as("SELECT id FROM audit WHERE id = $1").bind(id).fetch_optional(&self.pool).await?;
        Ok(found.is_some())
    }
}
