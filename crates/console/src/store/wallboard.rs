//! The data of the wallboard: reply times, open escalations, active storms, and a comparison with last week.

use firewatch_domain::{Duration, EventTime};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Store, StoreError};

const DAY: Duration = Duration::from_mins(24 * 60);
const WEEK: Duration = Duration::from_mins(7 * 24 * 60);

/// The figures of the wallboard.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Wall")]
pub struct Wallboard {
    /// Open escalations by level, the lowest level first.
    pub open: [i64; 4],
    /// Open escalations that are unassigned.
    pub untaken: i64,
    /// Open escalations with the first reply overdue.
    pub late: i64,
    /// First replies of the last 24 hours.
    pub replies: ReplyTimes,
    /// First replies of the same 24 hours a week ago.
    pub replies_last_week: ReplyTimes,
    /// Escalations opened in the last 24 hours, and in the same 24 hours a week ago.
    pub opened: [i64; 2],
    /// Active storms: escalation id, brand and number of posts.
    pub storms: Vec<(String, String, i64)>,
}

/// Statistics of first replies.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[schemars(rename = "Replies")]
pub struct ReplyTimes {
    /// Number of replies.
    pub count: usize,
    /// Replies that came before they were due.
    pub in_time: usize,
    /// Median time from post to reply, in minutes.
    pub median: f64,
    /// 90th percentile of the time from post to reply, in minutes.
    #[serde(rename = "ninth")]
    pub p90: f64,
}

impl Store {
    /// Returns the wallboard at a time, of one team or, if `team` is empty, of all.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn wallboard(&self, team: &str, now: EventTime) -> Result<Wallboard, StoreError> {
        let rows: Vec<(i64, i64, i64, i64)> = sqlx::query_as(
            "SELECT level, COUNT(*), CAST(SUM(CASE WHEN taken_by = '' THEN 1 ELSE 0 END) AS BIGINT), \
             CAST(SUM(CASE WHEN due > 0 AND due < $1 THEN 1 ELSE 0 END) AS BIGINT) FROM escalations WHERE live = 1 AND ($2 = '' OR team = $2) \
             GROUP BY level",
        )
        .bind(now.as_millis())
        .bind(team)
        .fetch_all(&self.pool)
        .await?;
        let mut open = [0; 4];
        for (level, n, ..) in &rows {
            if let Some(count) = open.get_mut(*level as usize) {
                *count = *n;
            }
        }
        let storms: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT id, brand, record FROM escalations WHERE live = 1 AND incident = 'storm' AND ($1 = '' OR team = $1) \
             ORDER BY level DESC, at DESC LIMIT 20",
        )
        .bind(team)
        .fetch_all(&self.pool)
        .await?;
        let members = |record: &str| {
            let record: serde_json::Value = serde_json::from_str(record).unwrap_or_default();
            record["members"].as_i64().unwrap_or_default()
        };
        Ok(Wallboard {
            open,
            untaken: rows.iter().map(|row| row.2).sum(),
            late: rows.iter().map(|row| row.3).sum(),
            replies: self.replies(team, now).await?,
            replies_last_week: self.replies(team, now - WEEK).await?,
            opened: [self.opened(team, now).await?, self.opened(team, now - WEEK).await?],
            storms: storms.into_iter().map(|(id, brand, record)| (id, brand, members(&record))).collect(),
        })
    }

    /// Returns the statistics of first replies in the 24 hours before a time.
    async fn replies(&self, team: &str, to: EventTime) -> Result<ReplyTimes, StoreError> {
        let rows: Vec<(i64, i64, i64)> = sqlx::query_as(
            "SELECT posted, promised, answered FROM escalations WHERE answered > $1 AND answered <= $2 AND ($3 = '' OR team = $3)",
        )
        .bind((to - DAY).as_millis())
        .bind(to.as_millis())
        .bind(team)
        .fetch_all(&self.pool)
        .await?;
        let in_time =
            rows.iter().filter(|(_, promised, answered)| *promised == 0 || answered <= promised).count();
        let mut minutes: Vec<f64> =
            rows.iter().map(|(posted, _, answered)| (answered - posted).max(0) as f64 / 60_000.0).collect();
        minutes.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let rank = (share * minutes.len() as f64).ceil() as usize;
            minutes.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        };
        Ok(ReplyTimes { count: minutes.len(), in_time, median: at(0.5), p90: at(0.9) })
    }

    async fn opened(&self, team: &str, to: EventTime) -> Result<i64, StoreError> {
        let (n,): (i64,) = sqlx::query_as(
            "SELECT COUNT(*) FROM escalations WHERE opened > $1 AND opened <= $2 AND ($3 = '' OR team = $3)",
        )
        .bind((to - DAY).as_millis())
        .bind(to.as_millis())
        .bind(team)
        .fetch_one(&self.pool)
        .await?;
        Ok(n)
    }
}
