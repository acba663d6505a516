//! Likes and deletions in the API v1.1 stream, in account activity webhooks, and in results of compliance jobs.

use firewatch_domain::EngagementKind;
use serde::Deserialize;

use super::v1::{Status, User};
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence};
use crate::json_values::{Count, Id};
use crate::{Result, platform_time};

/// A like of a post.
#[derive(Debug, Deserialize)]
pub(super) struct Favorite {
    id: Option<Id>,
    timestamp_ms: Option<Count>,
    created_at: Option<String>,
    favorited_status: Option<Status>,
    user: Option<User>,
}

/// The deletion of a post.
#[derive(Debug, Deserialize)]
pub(super) struct Deletion {
    status: Option<Gone>,
    timestamp_ms: Option<Count>,
}

/// A post that a batch compliance job asks to remove: it was deleted, or its account is protected, suspended or gone.
#[derive(Debug, Deserialize)]
pub(super) struct Redaction {
    id: Option<Id>,
    redacted_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Gone {
    id: Option<Id>,
    id_str: Option<Id>,
}

impl Favorite {
    pub(super) fn read(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let status = self.favorited_status.ok_or_else(|| missing("favorited_status"))?;
        let at = match platform_time::millis(self.timestamp_ms) {
            Some(at) => at,
            None => platform_time::text("created_at", self.created_at.as_deref())?,
        };
        let user = self.user.ok_or_else(|| missing("user"))?;
        status.read(out)?;
        let id = self.id.ok_or_else(|| missing("id"))?.0;
        out.engagement(Occurrence { root: status.root()?, at }, id, user.reaction(EngagementKind::Like))
    }
}

impl Deletion {
    pub(super) fn read(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let gone = self.status.ok_or_else(|| missing("status"))?;
        let id = gone.id_str.or(gone.id).ok_or_else(|| missing("status.id"))?.0;
        let at = platform_time::millis(self.timestamp_ms).unwrap_or(out.arrival);
        out.delete(Occurrence { root: &id, at }, &id)
    }
}

impl Redaction {
    pub(super) fn read(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let id = self.id.ok_or_else(|| missing("id"))?.0;
        let at = self.redacted_at.as_deref();
        let at = at.map_or(Ok(out.arrival), |at| platform_time::text("redacted_at", Some(at)))?;
        out.delete(Occurrence { root: &id, at }, &id)
    }
}
