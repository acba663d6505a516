//! What is still to be told: queued with the record, sent at least once, tried again with longer and longer waits, and kept with its
//! reason when it is refused for good.
//!
//! How far each channel has come in each topic is kept apart from the projection, so a projection that is built again tells nothing
//! twice, and a new channel tells nothing old.

use std::sync::Arc;

use firewatch_domain::{Duration, Escalation, EventTime};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{Any, AnyPool, Transaction};

use super::{Message, NotificationChannel, SendResult, Sender};
use crate::store::{StoreError, TopicPositions};

/// Waits before the second, third and further tries, seconds; the last one stays.
const RETRY_WAITS_SECS: [i64; 7] = [2, 10, 30, 120, 300, 600, 1800];
/// What was not taken within this is given up.
const GIVE_UP_AFTER: Duration = Duration::from_mins(24 * 60);
/// While one is being sent nobody else sends it.
const CLAIM_DURATION: Duration = Duration::from_secs(60);
/// What was sent is kept so long, to be shown.
const SENT_RETENTION: Duration = Duration::from_mins(7 * 24 * 60);
/// Sent in one round, at most.
const MAX_BATCH: i64 = 50;

const TABLES: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS channels (name TEXT NOT NULL, topic TEXT NOT NULL, part BIGINT NOT NULL, next BIGINT NOT NULL, \
     PRIMARY KEY (name, topic, part))",
    "CREATE TABLE IF NOT EXISTS deliveries (channel TEXT NOT NULL, id TEXT NOT NULL, escalation TEXT NOT NULL, step BIGINT NOT NULL, \
     message TEXT NOT NULL, state TEXT NOT NULL, due BIGINT NOT NULL, tries BIGINT NOT NULL, problem TEXT NOT NULL, \
     made BIGINT NOT NULL, PRIMARY KEY (channel, id))",
    "CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (state, due)",
];

/// What is queued, and for whom.
#[derive(Clone)]
pub struct Outbox {
    pool: AnyPool,
    channels: Arc<[NotificationChannel]>,
    /// Where the console is reached, for links.
    base: Arc<str>,
}

/// A delivery, as the page shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Delivery {
    /// The channel.
    pub channel: String,
    /// The record.
    pub id: String,
    /// The escalation.
    pub escalation: String,
    /// `waiting`, `sent` or `refused`.
    pub state: String,
    /// How often it was tried.
    pub tries: i64,
    /// Why it was not taken, the last time.
    pub problem: String,
    /// When it was queued.
    pub made: EventTime,
}

/// How a channel does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChannelState {
    /// Its name.
    pub name: String,
    /// What kind it is.
    pub kind: String,
    /// What it still has to tell.
    pub waiting: i64,
    /// What it told within a week.
    pub sent: i64,
    /// What was refused for good.
    pub refused: i64,
}

/// What is due: the channel, the record's id, the message, and when it is due, how often it was tried and when it was queued.
type DueDelivery = (String, String, String, i64, i64, i64);

/// Where a delivery stands after a try, why, and when it is due.
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
            ("refused", format!("given up after a day: {problem}"), now)
        }
        SendResult::RetryLater(problem) => {
            let wait = RETRY_WAITS_SECS.get(tries).or(RETRY_WAITS_SECS.last()).copied().unwrap_or_default();
            ("waiting", problem, now + Duration::from_secs(wait))
        }
    }
}

impl Outbox {
    /// For these channels. `ends` is where the topics end now: a channel that is new tells what comes after.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open(
        pool: AnyPool,
        (channels, base): (&[NotificationChannel], &str),
        ends: &TopicPositions,
    ) -> Result<Self, StoreError> {
        for table in TABLES {
            sqlx::query(table).execute(&pool).await?;
        }
        for channel in channels {
            for ((topic, part), end) in ends {
                // A topic that was made anew is shorter than what was told of it.
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

    /// Where the console is reached.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Queues what the channels tell of records, each with its place, in the transaction that takes them in.
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

    /// Sends what is due; tells how many were tried. Of an escalation the earlier news goes first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn send_due(&self, sender: &Sender, clock: fn() -> EventTime) -> Result<usize, StoreError> {
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
            futures_util::future::join_all(due.iter().map(|due| self.send_one(sender, due, clock))).await
        {
            done?;
        }
        Ok(due.len())
    }

    async fn send_one(
        &self,
        sender: &Sender,
        one: &DueDelivery,
        clock: fn() -> EventTime,
    ) -> Result<(), StoreError> {
        let (channel, id, message, due, tries, made) = one;
        // Of several consoles on one database one sends it; if that one dies, it is sent again later.
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

    /// Forgets what was sent long ago. What was refused stays until somebody has it sent again.
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

    /// How each channel does.
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

    /// What was not taken: refused for good, or tried and waiting; the newest first.
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

    /// Has what a channel refused sent again; tells how many.
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
