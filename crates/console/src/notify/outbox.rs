//! The outbox: queues notifications in the transaction that applies the record and sends them at least once.
//!
//! A failed delivery is retried with growing waits; a refused one is kept with its reason. Each channel's
//! position in each topic is stored apart from the projection, so a rebuilt projection repeats no
//! notification and a new channel sends none for old records.

use std::sync::Arc;

use firewatch_domain::{Duration, Escalation, EventTime};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{Any, AnyPool, Transaction};

use super::{Message, NotificationChannel, SendResult, Sender};
use crate::store::{StoreError, TopicPositions};

/// Waits before the second and later tries, in seconds; the last value repeats.
const RETRY_WAITS_SECS: [i64; 7] = [2, 10, 30, 120, 300, 600, 1800];
/// A delivery that still fails after this time is marked as refused.
const GIVE_UP_AFTER: Duration = Duration::from_mins(24 * 60);
/// How long a console holds its claim on a delivery before another console may send it.
const CLAIM_DURATION: Duration = Duration::from_secs(60);
/// How long sent deliveries are kept, so that the page can count them.
const SENT_RETENTION: Duration = Duration::from_mins(7 * 24 * 60);
/// Maximum number of deliveries sent at once.
const MAX_BATCH: i64 = 50;

const TABLES: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS channels (name TEXT NOT NULL, topic TEXT NOT NULL, part BIGINT NOT NULL, next BIGINT NOT NULL, \
     PRIMARY KEY (name, topic, part))",
    "CREATE TABLE IF NOT EXISTS deliveries (channel TEXT NOT NULL, id TEXT NOT NULL, escalation TEXT NOT NULL, step BIGINT NOT NULL, \
     message TEXT NOT NULL, state TEXT NOT NULL, due BIGINT NOT NULL, tries BIGINT NOT NULL, problem TEXT NOT NULL, \
     made BIGINT NOT NULL, PRIMARY KEY (channel, id))",
    "CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (state, due)",
];

/// Queues and sends the notifications of all channels.
#[derive(Clone)]
pub struct Outbox {
    pool: AnyPool,
    channels: Arc<[NotificationChannel]>,
    /// The console's URL, for links.
    base: Arc<str>,
}

/// A delivery that has not succeeded, as the notifications page shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Delivery {
    /// Name of the channel.
    pub channel: String,
    /// Id of the escalation record.
    pub id: String,
    /// Id of the escalation.
    pub escalation: String,
    /// `waiting`, `sent` or `refused`.
    pub state: String,
    /// Number of tries so far.
    pub tries: i64,
    /// Why the last try failed.
    pub problem: String,
    /// When the delivery was queued.
    pub made: EventTime,
}

/// The delivery counts of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChannelState {
    /// Name of the channel.
    pub name: String,
    /// Kind of the transport, such as `slack`.
    pub kind: String,
    /// Deliveries still to be sent.
    pub waiting: i64,
    /// Deliveries sent in the last seven days.
    pub sent: i64,
    /// Deliveries refused for good.
    pub refused: i64,
}

/// A row of `deliveries` that is due: channel, record id, message (JSON), due time, tries and queueing time
/// (both times in milliseconds).
type DueDelivery = (String, String, String, i64, i64, i64);

/// Returns the state of a delivery after a try, the problem if it failed, and the time it is due next.
fn next_state(
    sent: SendResult,
    tries: usize,
    made: EventTime,
    now: EventTime,
) -> (&'static str, String, EventTime) {
    match sent {
        SendResult::Accepted => ("sent", String::new(), now),
        SendResult::Refused(problem) => ("refused", problem, now),
        SendResult::RetryLater(problem) if now - made > GIVE_UP_AFTER => {
            ("refused", format!("gave up after 24 h: {problem}"), now)
        }
        SendResult::RetryLater(problem) => {
            let wait = RETRY_WAITS_SECS.get(tries).or(RETRY_WAITS_SECS.last()).copied().unwrap_or_default();
            ("waiting", problem, now + Duration::from_secs(wait))
        }
    }
}

impl Outbox {
    /// Opens the outbox for `channels` and creates its tables; `base` is the console's URL. `ends` holds the
    /// end of each topic partition: a new channel starts there and sends only later changes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open(
        pool: AnyPool,
        channels: &[NotificationChannel],
        base: &str,
        ends: &TopicPositions,
    ) -> Result<Self, StoreError> {
        for table in TABLES {
            sqlx::query(table).execute(&pool).await?;
        }
        for channel in channels {
            for ((topic, part), end) in ends {
                // A recreated topic can end before the stored position; start again at its end.
                sqlx::query(
                    "INSERT INTO channels VALUES ($1, $2, $3, $4) ON CONFLICT (name, topic, part) DO UPDATE SET \
                     next = CASE WHEN channels.next > excluded.next THEN excluded.next ELSE channels.next END",
                )
                .bind(&channel.name)
                .bind(topic)
                .bind(i64::from(*part))
                .bind(end)
                .execute(&pool)
                .await?;
            }
        }
        Ok(Self { pool, channels: channels.into(), base: base.into() })
    }

    /// The console's URL without a trailing slash.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Queues the notifications for records, in the transaction that applies them. Each record comes with its
    /// topic, partition and offset; a channel skips records before its position.
    pub(crate) async fn queue(
        &self,
        change: &mut Transaction<'_, Any>,
        records: &[(&Escalation, (&str, u32, i64))],
        now: EventTime,
    ) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        for channel in self.channels.iter() {
            let rows: Vec<(String, i64, i64)> =
                sqlx::query_as("SELECT topic, part, next FROM channels WHERE name = $1")
                    .bind(&channel.name)
                    .fetch_all(&mut **change)
                    .await?;
            let come: TopicPositions =
                rows.into_iter().map(|(topic, part, next)| ((topic, part as u32), next)).collect();
            let mut next = TopicPositions::new();
            for (e, (topic, part, offset)) in records {
                let place = ((*topic).to_owned(), *part);
                if come.get(&place).is_some_and(|come| offset < come) {
                    continue;
                }
                next.insert(place, offset + 1);
                if channel.wants(e) {
                    self.enqueue(change, channel, e, now).await?;
                }
            }
            for ((topic, part), next) in next {
                sqlx::query(
                    "INSERT INTO channels VALUES ($1, $2, $3, $4) ON CONFLICT (name, topic, part) DO UPDATE SET \
                     next = excluded.next",
                )
                .bind(&channel.name)
                .bind(topic)
                .bind(i64::from(part))
                .bind(next)
                .execute(&mut **change)
                .await?;
            }
        }
        Ok(())
    }

    async fn enqueue(
        &self,
        change: &mut Transaction<'_, Any>,
        channel: &NotificationChannel,
        e: &Escalation,
        now: EventTime,
    ) -> Result<(), StoreError> {
        let message = serde_json::to_string(&Message::from_escalation(e, &self.base))
            .map_err(|e| StoreError::Row(e.to_string()))?;
        sqlx::query(
            "INSERT INTO deliveries VALUES ($1, $2, $3, $4, $5, 'waiting', $6, 0, '', $7) ON CONFLICT DO NOTHING",
        )
        .bind(&channel.name)
        .bind(&e.id)
        .bind(&e.escalation)
        .bind(i64::from(e.step))
        .bind(message)
        .bind(channel.due(now, e.level).as_millis())
        .bind(now.as_millis())
        .execute(&mut **change)
        .await?;
        Ok(())
    }

    /// Sends the deliveries that are due and returns how many were tried. Deliveries of one escalation are
    /// sent in the order of its steps.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn send_due(
        &self,
        sender: &Sender,
        clock: impl Fn() -> EventTime + Send + Sync,
    ) -> Result<usize, StoreError> {
        let due: Vec<DueDelivery> = sqlx::query_as(
            "SELECT channel, id, message, due, tries, made FROM deliveries d WHERE state = 'waiting' AND due <= $1 \
             AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.channel = d.channel AND e.escalation = d.escalation \
             AND e.state = 'waiting' AND e.step < d.step) ORDER BY due LIMIT $2",
        )
        .bind(clock().as_millis())
        .bind(MAX_BATCH)
        .fetch_all(&self.pool)
        .await?;
        for done in
            futures_util::future::join_all(due.iter().map(|due| self.send_one(sender, due, &clock))).await
        {
            done?;
        }
        Ok(due.len())
    }

    async fn send_one(
        &self,
        sender: &Sender,
        one: &DueDelivery,
        clock: &(impl Fn() -> EventTime + Sync),
    ) -> Result<(), StoreError> {
        let (channel, id, message, due, tries, made) = one;
        // Several consoles may share the database: the first to move `due` sends. If it dies, the delivery
        // becomes due again when the claim runs out.
        let claimed = sqlx::query(
            "UPDATE deliveries SET due = $1 WHERE channel = $2 AND id = $3 AND due = $4 AND state = 'waiting'",
        )
        .bind((clock() + CLAIM_DURATION).as_millis())
        .bind(channel)
        .bind(id)
        .bind(due)
        .execute(&self.pool)
        .await?;
        if claimed.rows_affected() == 0 {
            return Ok(());
        }
        let sent = match serde_json::from_str(message) {
            Ok(message) => sender.send(channel, &message, clock()).await,
            Err(e) => SendResult::Refused(e.to_string()),
        };
        let (state, problem, due) = next_state(sent, *tries as usize, EventTime::from_millis(*made), clock());
        sqlx::query(
            "UPDATE deliveries SET state = $1, problem = $2, due = $3, tries = tries + 1 WHERE channel = $4 AND id = $5",
        )
        .bind(state)
        .bind(problem)
        .bind(due.as_millis())
        .bind(channel)
        .bind(id)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Deletes deliveries sent more than seven days ago. Refused ones stay until somebody requeues them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_sent(&self, now: EventTime) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM deliveries WHERE state = 'sent' AND due < $1")
            .bind((now - SENT_RETENTION).as_millis())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Returns the delivery counts of every channel.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn channel_states(&self) -> Result<Vec<ChannelState>, StoreError> {
        let rows: Vec<(String, String, i64)> =
            sqlx::query_as("SELECT channel, state, COUNT(*) FROM deliveries GROUP BY channel, state")
                .fetch_all(&self.pool)
                .await?;
        let count = |channel: &str, state: &str| {
            rows.iter().find(|(c, s, _)| c == channel && s == state).map_or(0, |(.., n)| *n)
        };
        let state = |channel: &NotificationChannel| ChannelState {
            name: channel.name.clone(),
            kind: channel.transport.name().into(),
            waiting: count(&channel.name, "waiting"),
            sent: count(&channel.name, "sent"),
            refused: count(&channel.name, "refused"),
        };
        Ok(self.channels.iter().map(state).collect())
    }

    /// Returns the deliveries that were refused or that wait after a failed try, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn undelivered(&self, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let rows: Vec<(String, String, String, String, i64, String, i64)> = sqlx::query_as(
            "SELECT channel, id, escalation, state, tries, problem, made FROM deliveries \
             WHERE state = 'refused' OR (state = 'waiting' AND tries > 0) ORDER BY made DESC, id LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let delivery = |(channel, id, escalation, state, tries, problem, made)| Delivery {
            channel,
            id,
            escalation,
            state,
            tries,
            problem,
            made: EventTime::from_millis(made),
        };
        Ok(rows.into_iter().map(delivery).collect())
    }

    /// Requeues the refused deliveries of a channel and returns how many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn requeue_refused(&self, channel: &str, now: EventTime) -> Result<u64, StoreError> {
        let again = sqlx::query(
            "UPDATE deliveries SET state = 'waiting', tries = 0, due = $1, made = $1 WHERE channel = $2 AND state = 'refused'",
        )
        .bind(now.as_millis())
        .bind(channel)
        .execute(&self.pool)
        .await?;
        Ok(again.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_deliveries_are_retried_with_longer_waits_and_given_up_after_a_day() {
        let made = EventTime::from_millis(0);
        let wait = |tries, secs: i64| {
            let now = made + Duration::from_secs(secs);
            let (state, _, due) = next_state(SendResult::RetryLater("busy".into()), tries, made, now);
            (state, (due - now).as_millis() / 1000)
        };
        assert_eq!(
            [wait(0, 0), wait(1, 2), wait(6, 3_000), wait(60, 80_000)].map(|(_, wait)| wait),
            [2, 10, 1_800, 1_800]
        );
        assert_eq!(wait(60, 86_401), ("refused", 0));
        assert_eq!(next_state(SendResult::Accepted, 3, made, made).0, "sent");
        assert_eq!(
            next_state(SendResult::Refused("no".into()), 0, made, made),
            ("refused", "no".into(), made)
        );
    }
}
