//! What a storm's page shows: how many complaints there were beside what is usual, and which they are. And what is nearly the same as one
//! complaint.

use firewatch_domain::{Escalation, EventTime, SimHash};
use firewatch_escalation::storm_brand;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Store, StoreError, VOLUME_SLOT};

/// Complaints that are shown of a storm.
const MAX_MEMBERS: i64 = 50;
/// Near-copies that are shown.
const MAX_NEAR_COPIES: usize = 10;
/// Complaints that are looked through for near-copies, the latest.
const MAX_COMPARED: i64 = 5_000;

/// A storm, as far as the signals tell.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Storm")]
pub struct StormDetail {
    /// Complaints by slot of five minutes: its start in milliseconds, how many there were, and how many are usual at that hour.
    pub volume: Vec<(i64, i64, f64)>,
    /// From when complaints may be part of it.
    pub from: EventTime,
    /// Complaints that may be part of it, the riskiest first.
    pub members: Vec<Complaint>,
    /// How many there are of them.
    pub count: i64,
    /// Their words, the most frequent first.
    pub words: Vec<(String, usize)>,
}

/// A complaint.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Complaint {
    /// The conversation.
    pub conversation: String,
    /// When it came to count as one.
    pub at: EventTime,
    /// Its risk then.
    pub risk: f64,
    /// What it is about.
    pub topics: Vec<String>,
    /// How it begins, with what is personal replaced, when that was kept.
    pub excerpt: String,
    /// The escalation about it, if there is one.
    pub escalation: Option<String>,
}

type ComplaintRow = (String, i64, f64, String, String, Option<String>);

fn complaint((conversation, at, risk, topics, excerpt, escalation): ComplaintRow) -> Complaint {
    let topics = topics.split('|').filter(|topic| !topic.is_empty()).map(str::to_owned).collect();
    Complaint { conversation, at: EventTime::from_millis(at), risk, topics, excerpt, escalation }
}

impl Store {
    /// What there is to a storm that an escalation tells of; none when there is no such.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn storm_for_escalation(&self, id: &str) -> Result<Option<StormDetail>, StoreError> {
        let found: Option<(String, i64, i64, i64)> = sqlx::query_as(
            "SELECT record, posted, at, live FROM escalations WHERE id = $1 AND conversation LIKE 'storm/%'",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        let Some((record, posted, at, live)) = found else { return Ok(None) };
        let record: Escalation = serde_json::from_str(&record).map_err(|e| StoreError::Row(e.to_string()))?;
        let brand = storm_brand(&record.conversation).unwrap_or_default();
        // While it is on, whatever comes may be part of it.
        let to = if live == 1 { EventTime::END } else { EventTime::from_millis(at) };
        self.storm(brand, &record.topics, (EventTime::from_millis(posted), to)).await.map(Some)
    }

    /// A brand's complaints between two times that have one of these topics; all when there are none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn storm(
        &self,
        brand: &str,
        topics: &[String],
        (from, to): (EventTime, EventTime),
    ) -> Result<StormDetail, StoreError> {
        let rows: Vec<ComplaintRow> = sqlx::query_as(
            "SELECT c.conversation, c.at, c.risk, c.topics, c.excerpt, (SELECT MIN(e.id) FROM escalations e \
             WHERE e.conversation = c.conversation) FROM complaints c WHERE c.brand = $1 AND c.at >= $2 AND c.at <= $3 \
             ORDER BY c.risk DESC, c.at DESC LIMIT $4",
        )
        .bind(brand)
        .bind(from.as_millis())
        .bind(to.as_millis())
        .bind(MAX_COMPARED)
        .fetch_all(&self.pool)
        .await?;
        let is_about =
            |c: &Complaint| topics.is_empty() || c.topics.iter().any(|topic| topics.contains(topic));
        let all: Vec<Complaint> = rows.into_iter().map(complaint).filter(is_about).collect();
        let words = topic_counts(&all);
        let count = all.len() as i64;
        let members = all.into_iter().take(MAX_MEMBERS as usize).collect();
        Ok(StormDetail { volume: self.volume(brand, (from, to)).await?, from, members, count, words })
    }

    /// Complaints by slot from three hours before a span to its end, with what is usual: the same hour on other days, and else the day
    /// before the span.
    async fn volume(
        &self,
        brand: &str,
        (from, to): (EventTime, EventTime),
    ) -> Result<Vec<(i64, i64, f64)>, StoreError> {
        const DAY: i64 = 86_400_000;
        let slot = VOLUME_SLOT.as_millis();
        let rows: Vec<(i64, i64)> =
            sqlx::query_as("SELECT slot, n FROM volume WHERE brand = $1 AND slot <= $2 ORDER BY slot")
                .bind(brand)
                .bind(to.as_millis())
                .fetch_all(&self.pool)
                .await?;
        let Some(first) = rows.first().map(|(at, _)| *at) else { return Ok(vec![]) };
        let sum = |a: i64, b: i64| -> i64 {
            rows.iter().filter(|(at, _)| *at >= a && *at < b).map(|(_, n)| n).sum()
        };
        let storm = from.floor(VOLUME_SLOT).as_millis();
        let begin = (storm - 36 * slot).max(first);
        let usual = |at: i64| {
            // An hour around the same time of the days before, those that were counted.
            let days = (1..=13).map(|day| at - day * DAY).filter(|at| at - 6 * slot >= first);
            let (sums, n) = days.fold((0, 0), |(s, n), at| (s + sum(at - 6 * slot, at + 6 * slot), n + 12));
            let before = (storm - DAY).max(first);
            match n {
                0 => sum(before, storm) as f64 * slot as f64 / (storm - before).max(slot) as f64,
                n => sums as f64 / f64::from(n),
            }
        };
        // Nothing is known of what comes after the last one that was counted.
        let end = rows.last().map_or(begin, |(at, _)| *at).min(to.as_millis());
        let slots = (0..).map(|i| begin + i * slot).take_while(|at| *at <= end);
        Ok(slots.take(2_000).map(|at| (at, sum(at, at + slot), usual(at))).collect())
    }

    /// Up to ten complaints of the same brand that are near-copies of a conversation's, the latest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn near_copies(&self, conversation: &str) -> Result<Vec<Complaint>, StoreError> {
        let own: Option<(String, String)> =
            sqlx::query_as("SELECT brand, near FROM complaints WHERE conversation = $1")
                .bind(conversation)
                .fetch_optional(&self.pool)
                .await?;
        let hash = |near: &str| u64::from_str_radix(near, 16).ok().map(SimHash);
        let Some((brand, Some(own))) = own.map(|(brand, near)| (brand, hash(&near))) else {
            return Ok(vec![]);
        };
        // Of all of them the hash alone is looked at.
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT c.conversation, c.near FROM complaints c WHERE c.brand = $1 AND c.conversation <> $2 \
             ORDER BY c.at DESC LIMIT $3",
        )
        .bind(brand)
        .bind(conversation)
        .bind(MAX_COMPARED)
        .fetch_all(&self.pool)
        .await?;
        let is_near = |near: &str| hash(near).is_some_and(|near| near.is_near(own));
        let near = rows.into_iter().filter(|(_, near)| is_near(near)).take(MAX_NEAR_COPIES);
        let mut copies = Vec::new();
        for (conversation, _) in near {
            let row: Option<ComplaintRow> = sqlx::query_as(
                "SELECT c.conversation, c.at, c.risk, c.topics, c.excerpt, (SELECT MIN(e.id) FROM escalations e \
                 WHERE e.conversation = c.conversation) FROM complaints c WHERE c.conversation = $1",
            )
            .bind(conversation)
            .fetch_optional(&self.pool)
            .await?;
            copies.extend(row.map(complaint));
        }
        Ok(copies)
    }
}

fn topic_counts(complaints: &[Complaint]) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for topic in complaints.iter().flat_map(|complaint| &complaint.topics) {
        *counts.entry(topic).or_default() += 1;
    }
    let mut words: Vec<(String, usize)> = counts.into_iter().map(|(word, n)| (word.to_owned(), n)).collect();
    words.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    words.truncate(12);
    words
}
