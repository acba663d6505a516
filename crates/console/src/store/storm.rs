//! The data of a storm's page: its complaints, and their volume against the usual one. Also finds near-copies
//! of a complaint.

use firewatch_domain::{Escalation, EventTime, IncidentId, SimHash};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Store, StoreError, VOLUME_SLOT};

/// Maximum number of complaints shown for a storm.
const MAX_MEMBERS: i64 = 50;
/// Maximum number of near-copies shown.
const MAX_NEAR_COPIES: usize = 10;
/// Maximum number of complaints searched for members of a storm or for near-copies.
const MAX_COMPARED: i64 = 5_000;

/// A storm, reconstructed from the signals.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Storm")]
pub struct StormDetail {
    /// Complaints by slot of five minutes: start in milliseconds, number of complaints, and the usual number
    /// at that time.
    pub volume: Vec<(i64, i64, f64)>,
    /// Time from which complaints can belong to the storm.
    pub from: EventTime,
    /// Complaints that can belong to the storm, the highest risk first; at most 50.
    pub members: Vec<Complaint>,
    /// Number of complaints that can belong to the storm.
    pub count: i64,
    /// Topics of the complaints with their counts, the most frequent first; at most 12.
    pub words: Vec<(String, usize)>,
}

/// A conversation that counts as a complaint.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Complaint {
    /// Id of the conversation.
    pub conversation: String,
    /// When it first counted as a complaint.
    pub at: EventTime,
    /// Its risk at that time, 0 to 100.
    pub risk: f64,
    /// Its topics.
    pub topics: Vec<String>,
    /// The redacted beginning of its post; empty if it was not kept.
    pub excerpt: String,
    /// Id of an escalation about it, if there is one.
    pub escalation: Option<String>,
}

type ComplaintRow = (String, i64, f64, String, String, Option<String>);

fn complaint(row: ComplaintRow) -> Complaint {
    let (conversation, at, risk, topics, excerpt, escalation) = row;
    let topics = topics.split('|').filter(|topic| !topic.is_empty()).map(str::to_owned).collect();
    Complaint { conversation, at: EventTime::from_millis(at), risk, topics, excerpt, escalation }
}

impl Store {
    /// Returns the storm of an escalation; `None` if the escalation does not exist or is not about a storm.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn storm_for_escalation(&self, id: &str) -> Result<Option<StormDetail>, StoreError> {
        let found: Option<(String, i64, i64, i64)> = sqlx::query_as(
            "SELECT record, posted, at, live FROM escalations WHERE id = $1 AND incident = 'storm'",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        let Some((record, posted, at, live)) = found else { return Ok(None) };
        let record: Escalation = serde_json::from_str(&record).map_err(|e| StoreError::Row(e.to_string()))?;
        let id = IncidentId::from_prefix(&record.conversation);
        let brand = id.as_ref().and_then(IncidentId::storm_brand).unwrap_or_default();
        // Later complaints can still belong to a storm that is not over.
        let to = if live == 1 { EventTime::END } else { EventTime::from_millis(at) };
        self.storm(brand, &record.topics, EventTime::from_millis(posted), to).await.map(Some)
    }

    /// Returns a brand's complaints between two times that have one of these topics; without topics, all of
    /// them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn storm(
        &self,
        brand: &str,
        topics: &[String],
        from: EventTime,
        to: EventTime,
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
        Ok(StormDetail { volume: self.volume(brand, from, to).await?, from, members, count, words })
    }

    /// Returns complaints by slot, from three hours before the span to its end, each with the usual number:
    /// the mean of the same hour on up to 13 days before, or of the day before the span if no such day was
    /// counted.
    async fn volume(
        &self,
        brand: &str,
        from: EventTime,
        to: EventTime,
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
            // The hour around the same time on each earlier day that was counted.
            let days = (1..=13).map(|day| at - day * DAY).filter(|at| at - 6 * slot >= first);
            let (sums, n) = days.fold((0, 0), |(s, n), at| (s + sum(at - 6 * slot, at + 6 * slot), n + 12));
            let before = (storm - DAY).max(first);
            match n {
                0 => sum(before, storm) as f64 * slot as f64 / (storm - before).max(slot) as f64,
                n => sums as f64 / f64::from(n),
            }
        };
        // Nothing is known about the time after the last counted slot.
        let end = rows.last().map_or(begin, |(at, _)| *at).min(to.as_millis());
        let slots = (0..).map(|i| begin + i * slot).take_while(|at| *at <= end);
        Ok(slots.take(2_000).map(|at| (at, sum(at, at + slot), usual(at))).collect())
    }

    /// Returns up to ten near-copies of a conversation's complaint within its brand, the latest first.
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
        // Read only the hashes of all candidates; the matches are read in full below.
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
