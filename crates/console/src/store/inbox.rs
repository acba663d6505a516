//! What the projection is asked: the inbox a page at a time, what changed since, and all about one escalation.

use firewatch_domain::{Action, Escalation, EventTime, Level, Score};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Store, StoreError};

/// Items of a page, at most.
pub const MOST_ITEMS: u32 = 200;

/// Which escalations are asked for.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// The owning team.
    pub team: String,
    /// The brand.
    pub brand: String,
    /// The network.
    pub platform: String,
    /// Who took it last; `-` for what nobody has taken.
    pub owner: String,
    /// The mildest level.
    pub level: Option<Level>,
    /// What is over, instead of what is open.
    pub over: bool,
    /// Words in the excerpt, the reasons or the conversation's id.
    pub text: String,
}

/// What can be filtered by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facets {
    /// Brands of what is open.
    pub brands: Vec<String>,
    /// Networks it was seen on.
    pub platforms: Vec<String>,
    /// People who have taken some.
    pub owners: Vec<String>,
    /// How many are open.
    pub open: i64,
}

/// Where a page ends, and the next one goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    level: i64,
    due: i64,
    risk: f64,
    id: String,
}

/// An escalation in the inbox.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Item {
    /// The number of its last change.
    pub seq: i64,
    /// It is still somebody's to deal with.
    pub live: bool,
    /// How its post begins, redacted, where the record does not tell it and a signal did.
    pub said: String,
    /// Who took it last, as far as the actions tell; empty: nobody.
    pub taken_by: String,
    /// The last record of it, as the teams' topic has it.
    #[schemars(with = "Escalation")]
    pub record: Box<RawValue>,
}

/// A page of the inbox, the most urgent first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Page {
    /// The items.
    pub items: Vec<Item>,
    /// Where the next page begins; none for the last one.
    pub next: Option<String>,
    /// The number of the last change that the page knows of.
    pub seq: i64,
}

/// All about one escalation.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Detail {
    /// As in the inbox.
    #[serde(flatten)]
    pub item: Item,
    /// Every record of it, the first one first.
    #[schemars(with = "Vec<Escalation>")]
    pub history: Vec<Box<RawValue>>,
    /// What people did about its conversation, in order.
    #[schemars(with = "Vec<Action>")]
    pub actions: Vec<Box<RawValue>>,
    /// The last score of its conversation.
    #[schemars(with = "Option<Score>")]
    pub score: Option<Box<RawValue>>,
    /// How risk, reshares and reach went: time in milliseconds, then the three.
    pub points: Vec<(i64, f64, i64, i64)>,
}

impl Cursor {
    /// Before the first item.
    fn start() -> Self {
        Self { level: i64::MAX, due: 0, risk: 0.0, id: String::new() }
    }

    /// Reads what [`Page::next`] told.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &str) -> Result<Self, String> {
        let parts: Option<Self> = (|| {
            let mut parts = text.splitn(4, '~');
            let (level, due) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            let risk = parts.next()?.parse::<f64>().ok().filter(|risk| risk.is_finite())?;
            Some(Self { level, due, risk, id: parts.next()?.to_owned() })
        })();
        parts.ok_or_else(|| format!("{text:?} is no cursor; give what `next` of the page before told"))
    }

    fn tell(&self) -> String {
        format!("{}~{}~{}~{}", self.level, self.due, self.risk, self.id)
    }
}

type Row = (String, String, i64, i64, i64, i64, f64, String, String);

fn item((_, taken_by, seq, live, .., said): &Row, record: &str) -> Result<Item, StoreError> {
    let record = RawValue::from_string(record.to_owned()).map_err(|e| StoreError::Row(e.to_string()))?;
    Ok(Item { seq: *seq, live: *live == 1, said: said.clone(), taken_by: taken_by.clone(), record })
}

fn items(rows: &[Row]) -> Result<Vec<Item>, StoreError> {
    rows.iter().map(|row| item(row, &row.0)).collect()
}

fn raw(rows: Vec<(String,)>) -> Result<Vec<Box<RawValue>>, StoreError> {
    let read = |(text,): (String,)| RawValue::from_string(text).map_err(|e| StoreError::Row(e.to_string()));
    rows.into_iter().map(read).collect()
}

impl Store {
    /// A page of what is open, the most urgent first: by level, storms first, then by what is due soonest, then by risk.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn inbox(&self, filter: &Filter, after: Option<Cursor>, most: u32) -> Result<Page, StoreError> {
        let seq = self.seq().await?;
        let after = after.unwrap_or_else(Cursor::start);
        let most = most.clamp(1, MOST_ITEMS);
        let like = match filter.text.trim() {
            "" => String::new(),
            text => format!("%{}%", text.to_lowercase().replace(['%', '_'], " ")),
        };
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT record, taken_by, seq, live, level, due, risk, id, \
             COALESCE((SELECT excerpt FROM complaints c WHERE c.conversation = escalations.conversation), '') FROM escalations WHERE live = $12 \
             AND ($1 = '' OR team = $1) AND ($2 = '' OR brand = $2) AND level >= $3 AND ($4 = '' OR words LIKE $4) \
             AND ($10 = '' OR platform = $10) AND ($11 = '' OR taken_by = $11 OR ($11 = '-' AND taken_by = '')) \
             AND (level < $5 OR (level = $5 AND (due > $6 OR (due = $6 AND (risk < $7 OR (risk = $7 AND id > $8)))))) \
             ORDER BY level DESC, due, risk DESC, id LIMIT $9",
        )
        .bind(&filter.team)
        .bind(&filter.brand)
        .bind(filter.level.map_or(0, |level| level as i64))
        .bind(like)
        .bind(after.level)
        .bind(after.due)
        .bind(after.risk)
        .bind(&after.id)
        .bind(i64::from(most))
        .bind(&filter.platform)
        .bind(&filter.owner)
        .bind(i64::from(!filter.over))
        .fetch_all(&self.pool)
        .await?;
        let last = rows.last().filter(|_| rows.len() == most as usize);
        let next = last.map(|(_, _, _, _, level, due, risk, id, _)| {
            Cursor { level: *level, due: *due, risk: *risk, id: id.clone() }.tell()
        });
        Ok(Page { items: items(&rows)?, next, seq })
    }

    /// The number of the last change.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn seq(&self) -> Result<i64, StoreError> {
        let (seq,): (String,) =
            sqlx::query_as("SELECT value FROM meta WHERE name = 'seq'").fetch_one(&self.pool).await?;
        seq.parse().map_err(|_| StoreError::Row(format!("`{seq}` is no number of a change")))
    }

    /// What changed after a change, in the order of the changes; those that are over are among them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn since(&self, seq: i64) -> Result<Vec<Item>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT record, taken_by, seq, live, level, due, risk, id, \
             COALESCE((SELECT excerpt FROM complaints c WHERE c.conversation = escalations.conversation), '') FROM escalations WHERE seq > $1 \
             ORDER BY seq, id LIMIT $2",
        )
        .bind(seq)
        .bind(i64::from(MOST_ITEMS))
        .fetch_all(&self.pool)
        .await?;
        items(&rows)
    }

    /// The conversation of an escalation, and since when it may have been spoken in; none when there is no such escalation.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn conversation(&self, id: &str) -> Result<Option<(String, EventTime)>, StoreError> {
        let found: Option<(String, i64)> =
            sqlx::query_as("SELECT conversation, posted FROM escalations WHERE id = $1")
                .bind(id)
                .fetch_optional(&self.pool)
                .await?;
        Ok(found.map(|(conversation, posted)| (conversation, EventTime::from_millis(posted))))
    }

    /// Whether any escalation is about a conversation.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_conversation(&self, conversation: &str) -> Result<bool, StoreError> {
        let found: Option<(i64,)> =
            sqlx::query_as("SELECT live FROM escalations WHERE conversation = $1 LIMIT 1")
                .bind(conversation)
                .fetch_optional(&self.pool)
                .await?;
        Ok(found.is_some())
    }

    /// What can be filtered by: brands, platforms and owners of what is open, and how much there is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn facets(&self) -> Result<Facets, StoreError> {
        let mut facets = Facets::default();
        for (column, into) in [
            ("brand", &mut facets.brands),
            ("platform", &mut facets.platforms),
            ("taken_by", &mut facets.owners),
        ] {
            let of = format!(
                "SELECT DISTINCT {column} FROM escalations WHERE live = 1 AND {column} <> '' ORDER BY 1 LIMIT 200"
            );
            let rows: Vec<(String,)> = sqlx::query_as(sqlx::AssertSqlSafe(of)).fetch_all(&self.pool).await?;
            *into = rows.into_iter().map(|(value,)| value).collect();
        }
        (facets.open,) =
            sqlx::query_as("SELECT COUNT(*) FROM escalations WHERE live = 1").fetch_one(&self.pool).await?;
        Ok(facets)
    }

    /// All about one escalation; none when there is no such.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn escalation(&self, id: &str) -> Result<Option<Detail>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT record, taken_by, seq, live, level, due, risk, conversation, \
             COALESCE((SELECT excerpt FROM complaints c WHERE c.conversation = escalations.conversation), '') FROM escalations WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let conversation = &row.7;
        let history = sqlx::query_as("SELECT record FROM history WHERE escalation = $1 ORDER BY step")
            .bind(id)
            .fetch_all(&self.pool)
            .await?;
        let actions = sqlx::query_as("SELECT record FROM actions WHERE conversation = $1 ORDER BY at, id")
            .bind(conversation)
            .fetch_all(&self.pool)
            .await?;
        let score = sqlx::query_as("SELECT record FROM scores WHERE conversation = $1")
            .bind(conversation)
            .fetch_all(&self.pool)
            .await?;
        let points = sqlx::query_as(
            "SELECT at, risk, reshares, reach FROM points WHERE conversation = $1 ORDER BY at",
        )
        .bind(conversation)
        .fetch_all(&self.pool)
        .await?;
        Ok(Some(Detail {
            item: item(&row, &row.0)?,
            history: raw(history)?,
            actions: raw(actions)?,
            score: raw(score)?.pop(),
            points,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Incoming, Kind};
    use super::*;
    use serde_json::Value;

    struct Fed {
        store: Store,
        folder: tempfile::TempDir,
        offset: i64,
    }

    impl Fed {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}", folder.path().join("console.db").display());
            Self { store: Store::open(&url).await.unwrap(), folder, offset: 0 }
        }

        async fn feed(&mut self, kind: Kind, values: &[Value]) -> (i64, usize) {
            let offset = self.offset;
            let batch: Vec<Incoming> = (offset..)
                .zip(values)
                .map(|(offset, value)| Incoming {
                    kind,
                    topic: "t".into(),
                    partition: 0,
                    offset,
                    value: value.to_string().into_bytes(),
                })
                .collect();
            self.offset += values.len() as i64;
            self.store.apply(&batch, EventTime::from_millis(0)).await.unwrap()
        }

        async fn ids(&self, filter: &Filter) -> Vec<String> {
            let page = self.store.inbox(filter, None, 50).await.unwrap();
            page.items.iter().map(id).collect()
        }
    }

    fn id(item: &Item) -> String {
        let record: Value = serde_json::from_str(item.record.get()).unwrap();
        record["escalation"].as_str().unwrap().to_owned()
    }

    fn escalation(id: &str, step: u32, state: &str, level: &str, risk: f64) -> Value {
        serde_json::json!({
            "v": 1, "id": format!("{id}/{step}"), "escalation": id, "step": step, "news": "opened", "state": state,
            "team": if id.starts_with('s') { "support" } else { "pr" }, "level": level, "conversation": format!("c-{id}"),
            "brand": "aldermere", "at": "2026-03-10T14:00:00Z", "risk": risk, "reasons": ["Reads as a Complaint"],
            "policy": "p", "policy_hash": "h",
        })
    }

    #[tokio::test]
    async fn the_inbox_is_ranked_paged_filtered_and_holds_what_is_open() {
        let mut fed = Fed::new().await;
        let mut due = escalation("due", 0, "open", "low", 1.0);
        due["respond_by"] = "2026-03-10T14:09:00Z".into();
        let all = [
            escalation("mild", 0, "open", "low", 50.0),
            escalation("grave", 0, "open", "high", 40.0),
            escalation("graver", 0, "open", "high", 60.0),
            escalation("support", 0, "open", "medium", 0.0),
            escalation("over", 0, "resolved", "critical", 90.0),
            due,
        ];
        fed.feed(Kind::Escalation, &all).await;
        let ranked = ["graver", "grave", "support", "due", "mild"];
        assert_eq!(fed.ids(&Filter::default()).await, ranked);
        assert_eq!(fed.ids(&Filter { team: "support".into(), ..Filter::default() }).await, ["support"]);
        let medium = Filter { level: Some(Level::Medium), ..Filter::default() };
        assert_eq!(fed.ids(&medium).await, ranked[..3]);
        assert_eq!(fed.ids(&Filter { text: "A COMPLAINT".into(), ..Filter::default() }).await, ranked);
        assert_eq!(fed.ids(&Filter { text: "c-gra".into(), ..Filter::default() }).await, ranked[..2]);
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = fed.store.inbox(&Filter::default(), after, 2).await.unwrap();
            paged.extend(page.items.iter().map(id));
            assert!(paged.len() <= ranked.len(), "it repeats: {paged:?}");
            let Some(next) = page.next else { break };
            after = Some(Cursor::read(&next).unwrap());
        }
        assert_eq!(paged, ranked);
        assert!(Cursor::read("1~2~x~y").is_err() && Cursor::read("").is_err());
    }

    #[tokio::test]
    async fn who_comes_back_learns_of_every_change_and_repeats_change_nothing() {
        let mut fed = Fed::new().await;
        let opened = [escalation("a", 0, "open", "low", 5.0), escalation("b", 0, "open", "low", 5.0)];
        let (seq, unread) = fed.feed(Kind::Escalation, &opened).await;
        assert_eq!((seq, unread), (2, 0));
        // A hand-over comes by two topics, and one that is behind comes late.
        let mut said = escalation("b", 1, "open", "low", 5.0);
        said["news"] = "raised".into();
        said["excerpt"] = "the app is down".into();
        said["reasons"] = serde_json::json!(["complaint", "said so"]);
        let mut late = escalation("b", 2, "open", "low", 5.0);
        late["reasons"] = serde_json::json!(["it is late"]);
        fed.feed(Kind::Escalation, &[said, late]).await;
        let kept = fed.store.escalation("b").await.unwrap().unwrap();
        assert!(kept.item.record.get().contains("the app is down") && kept.history.len() == 3);
        assert!(kept.item.record.get().contains("[\"it is late\",\"said so\"]"), "{}", kept.item.record);
        let seq = kept.item.seq;
        let steps = [
            escalation("a", 2, "resolved", "low", 5.0),
            escalation("a", 2, "resolved", "low", 5.0),
            escalation("a", 1, "acknowledged", "low", 5.0),
            serde_json::json!({ "no": "escalation" }),
        ];
        let (after, unread) = fed.feed(Kind::Escalation, &steps).await;
        assert_eq!((after, unread), (5, 1));
        let changes = fed.store.since(seq).await.unwrap();
        assert_eq!(
            changes.iter().map(|item| (id(item), item.live)).collect::<Vec<_>>(),
            [("a".into(), false)]
        );
        let did = |id: &str, kind: &str| serde_json::json!({ "v": 1, "id": id, "conversation": "c-b", "at": "2026-03-10T14:05:00Z", "by": "kim", "kind": kind });
        let (last, _) = fed
            .feed(Kind::Action, &[did("1", "acknowledge"), did("1", "acknowledge"), did("2", "useful")])
            .await;
        assert_eq!(last, 6, "a verdict changes nothing that is seen");
        let changes = fed.store.since(after).await.unwrap();
        assert_eq!(
            changes.iter().map(|item| (id(item), item.taken_by.clone())).collect::<Vec<_>>(),
            [("b".into(), "kim".into())]
        );
        let detail = fed.store.escalation("b").await.unwrap().unwrap();
        assert_eq!((detail.history.len(), detail.actions.len()), (3, 2));
        assert!(fed.store.escalation("nobody").await.unwrap().is_none());
        // One that was killed goes on where it was.
        let url = format!("sqlite://{}", fed.folder.path().join("console.db").display());
        let again = Store::open(&url).await.unwrap();
        assert_eq!(again.positions().await.unwrap(), [(("t".to_owned(), 0), 11)].into());
        assert_eq!(again.inbox(&Filter::default(), None, 10).await.unwrap().items.len(), 1);
    }
}
