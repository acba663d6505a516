//! Decodes grouped notifications (Mastodon 4.3): accounts that boosted or liked one status, in one entry.

use firewatch_domain::{Engagement, EventTime, RejectionCode as Code};
use serde::Deserialize;

use super::{Account, Status, reaction_kind};
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence};
use crate::json_values::{Id, Items};
use crate::{Rejection, Result, platform_time};

/// Notifications of one kind about one status. The status and the accounts are elsewhere in the page.
#[derive(Debug, Deserialize)]
pub(super) struct NotificationGroup {
    #[serde(rename = "type")]
    kind: Option<String>,
    status_id: Option<Id>,
    /// The latest accounts. A large group names only some; the status's counters have them all.
    #[serde(default)]
    sample_account_ids: Items<Id>,
    latest_page_notification_at: Option<String>,
}

impl NotificationGroup {
    /// Emits the reaction of each account that the group names.
    pub(super) fn read(
        &self,
        statuses: &Items<Status>,
        accounts: &Items<Account>,
        out: &mut DecodeOutput<'_>,
    ) -> Result<()> {
        let Some((name, kind)) = self.kind.as_deref().and_then(reaction_kind) else { return Ok(()) };
        let wanted = self.status_id.as_ref().ok_or_else(|| missing("status_id"))?;
        let is_wanted = |status: &&Status| status.id.as_ref() == Some(wanted);
        let status = statuses.into_iter().flatten().find(is_wanted);
        let status = status.ok_or_else(|| {
            let problem = format!("`statuses` has no status {}; give the whole response", wanted.0);
            Rejection::new(Code::MissingField, problem)
        })?;
        if status.is_public().is_err() {
            // The status is rejected with its own reason.
            return Ok(());
        }
        let at = self.time()?;
        for by in (&self.sample_account_ids).into_iter().flatten() {
            let account = accounts.into_iter().flatten().find(|account| account.id.as_ref() == Some(by));
            let reaction = account.map_or_else(
                || Engagement::new(kind, Some(by.0.clone()), None),
                |account| account.reaction(kind),
            );
            out.engagement(Occurrence { root: status.root()?, at }, status.reaction_id(name, by)?, reaction)?;
        }
        Ok(())
    }

    fn time(&self) -> Result<EventTime> {
        platform_time::text("latest_page_notification_at", self.latest_page_notification_at.as_deref())
    }
}
