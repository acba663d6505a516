//! Tests of the projection: records go in through [`Store::apply`], queries read the result.

use firewatch_domain::{EventTime, Level};
use serde_json::Value;

use super::*;

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
        let batch: Vec<IncomingRecord> = (offset..)
            .zip(values)
            .map(|(offset, value)| IncomingRecord {
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

fn id(item: &InboxItem) -> String {
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
        assert!(paged.len() <= ranked.len(), "an item is repeated: {paged:?}");
        let Some(next) = page.next else { break };
        after = Some(Cursor::parse(&next).unwrap());
    }
    assert_eq!(paged, ranked);
    assert!(Cursor::parse("1~2~x~y").is_err() && Cursor::parse("").is_err());
}

#[tokio::test]
async fn what_is_old_is_let_go_and_of_a_minute_one_score_is_kept() {
    let mut fed = Fed::new().await;
    let score = |conversation: &str, at: &str, reshares: u64| {
        serde_json::json!({
            "v": 1, "id": at, "conversation": conversation, "at": at, "risk": 20.0, "risk_low": 20.0, "risk_high": 20.0,
            "complaint": 0.9, "viral": 0.2, "flags": [], "reach": { "low": 1, "estimate": 1, "high": 1, "unknown": 0 },
            "velocity": { "per_minute_1": 0.0, "per_minute_5": 0.0, "per_minute_60": 0.0, "discounted_5": 0.0, "trend": 0.0 },
            "forecast": [], "engagements": { "reshares": reshares, "replies": 0, "quotes": 0, "likes": 0 },
            "contributions": [], "reasons": ["r"],
        })
    };
    let scores = [
        score("c-a", "2026-03-10T14:00:01Z", 3),
        score("c-a", "2026-03-10T14:00:59Z", 9),
        score("c-a", "2026-03-10T14:01:00Z", 12),
        score("nobody-was-told", "2026-03-10T14:00:01Z", 1),
    ];
    fed.feed(Kind::Score, &scores).await;
    let over = escalation("over", 0, "resolved", "low", 5.0);
    fed.feed(Kind::Escalation, &[escalation("a", 0, "open", "low", 5.0), over]).await;
    let kept = async |fed: &Fed| -> Vec<i64> {
        let count = async |of: &'static str| -> i64 {
            let (n,) = sqlx::query_as(of).fetch_one(&fed.store.pool).await.unwrap();
            n
        };
        vec![
            count("SELECT COUNT(*) FROM points WHERE conversation = 'c-a'").await,
            count("SELECT MAX(reshares) FROM points WHERE at < 1773151260000").await,
            count("SELECT COUNT(*) FROM scores").await,
            count("SELECT COUNT(*) FROM escalations").await,
            count("SELECT COUNT(*) FROM history").await,
        ]
    };
    assert_eq!(kept(&fed).await, [2, 9, 2, 2, 2]);
    fed.store.prune(EventTime::parse("2026-03-11T14:00:00Z").unwrap()).await.unwrap();
    assert_eq!(kept(&fed).await, [2, 9, 2, 2, 2]);
    fed.store.prune(EventTime::parse("2026-04-20T14:00:00Z").unwrap()).await.unwrap();
    assert_eq!(kept(&fed).await, [2, 9, 1, 1, 1], "open escalations stay at any age");
}

#[tokio::test]
async fn who_comes_back_learns_of_every_change_and_repeats_change_nothing() {
    let mut fed = Fed::new().await;
    let opened = [escalation("a", 0, "open", "low", 5.0), escalation("b", 0, "open", "low", 5.0)];
    let (seq, unread) = fed.feed(Kind::Escalation, &opened).await;
    assert_eq!((seq, unread), (2, 0));
    // A hand-over arrives by two topics, and a topic that lags delivers late.
    let mut raised = escalation("b", 1, "open", "low", 5.0);
    raised["news"] = "raised".into();
    raised["excerpt"] = "the app is down".into();
    raised["reasons"] = serde_json::json!(["complaint", "said so"]);
    let mut late = escalation("b", 2, "open", "low", 5.0);
    late["reasons"] = serde_json::json!(["it is late"]);
    fed.feed(Kind::Escalation, &[raised, late]).await;
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
    assert_eq!(changes.iter().map(|item| (id(item), item.live)).collect::<Vec<_>>(), [("a".into(), false)]);
    let did = |id: &str, kind: &str| serde_json::json!({ "v": 1, "id": id, "conversation": "c-b", "at": "2026-03-10T14:05:00Z", "by": "kim", "kind": kind });
    let (last, _) =
        fed.feed(Kind::Action, &[did("1", "acknowledge"), did("1", "acknowledge"), did("2", "useful")]).await;
    assert_eq!(last, 6, "a verdict changes nothing in the inbox");
    let changes = fed.store.since(after).await.unwrap();
    assert_eq!(
        changes.iter().map(|item| (id(item), item.taken_by.clone())).collect::<Vec<_>>(),
        [("b".into(), "kim".into())]
    );
    let detail = fed.store.escalation("b").await.unwrap().unwrap();
    assert_eq!((detail.history.len(), detail.actions.len()), (3, 2));
    assert!(fed.store.escalation("nobody").await.unwrap().is_none());
    // A restarted console resumes at its positions.
    let url = format!("sqlite://{}", fed.folder.path().join("console.db").display());
    let again = Store::open(&url).await.unwrap();
    assert_eq!(again.positions().await.unwrap(), [(("t".to_owned(), 0), 11)].into());
    assert_eq!(again.inbox(&Filter::default(), None, 10).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn who_took_it_is_known_whichever_topic_was_read_first() {
    let mut fed = Fed::new().await;
    let did = |id: &str, at: &str, by: &str, kind: &str| serde_json::json!({ "v": 1, "id": id, "conversation": "c-a", "at": at, "by": by, "kind": kind });
    let actions = [
        did("0", "2026-03-10T13:00:00Z", "who had it before", "acknowledge"),
        did("1", "2026-03-10T14:01:00Z", "lee", "acknowledge"),
        did("2", "2026-03-10T14:02:00Z", "kim", "acknowledge"),
        did("3", "2026-03-10T14:03:00Z", "sam", "useful"),
    ];
    fed.feed(Kind::Action, &actions[..1]).await;
    fed.feed(Kind::Escalation, &[escalation("a", 0, "open", "low", 5.0)]).await;
    let owner = async |fed: &Fed| fed.store.escalation("a").await.unwrap().unwrap().item.taken_by;
    assert_eq!(owner(&fed).await, "");
    fed.store.clear().await.unwrap();
    assert!(fed.ids(&Filter::default()).await.is_empty() && fed.store.positions().await.unwrap().is_empty());
    fed.feed(Kind::Action, &actions).await;
    fed.feed(Kind::Escalation, &[escalation("a", 0, "open", "low", 5.0)]).await;
    assert_eq!(owner(&fed).await, "kim");
}

fn signal(at: &str, body: Value) -> Value {
    let mut signal = serde_json::json!({ "v": 1, "id": at, "brand": "aldermere", "at": at, "source": 0 });
    if let (Some(signal), Value::Object(body)) = (signal.as_object_mut(), body) {
        signal.extend(body);
    }
    signal
}

fn matched() -> Value {
    serde_json::json!({ "matched": {
        "conversation": "c-a", "began": "2026-03-10T14:00:00Z", "routes": [], "counts": true, "topics": ["hold|holding"],
        "risk": 9.0, "reasons": [], "contributions": [], "excerpt": "My secret begins",
    } })
}

/// Returns all text in the projection, in lower case.
async fn everything(fed: &Fed) -> String {
    let mut all = String::new();
    for (table, column) in [
        ("escalations", "record || words"),
        ("history", "record"),
        ("complaints", "excerpt || topics || near"),
        ("rewritten", "excerpt"),
    ] {
        let query = format!("SELECT {column} FROM {table}");
        let rows: Vec<(String,)> =
            sqlx::query_as(sqlx::AssertSqlSafe(query)).fetch_all(&fed.store.pool).await.unwrap();
        rows.iter().for_each(|(row,)| all += row);
    }
    all.to_lowercase()
}

#[tokio::test]
async fn what_an_author_takes_back_is_gone_whichever_topic_was_read_first() {
    let opened = || {
        let mut e = escalation("a", 0, "open", "high", 70.0);
        e["reasons"] = serde_json::json!(["the risk is 70", "reads as “secret”", "12 reshares"]);
        e["reason_kinds"] = serde_json::json!(["route", "complaint", "size"]);
        e["excerpt"] = "My secret begins".into();
        e
    };
    let edited = serde_json::json!({ "happened": { "conversation": "c-a", "what": "edited", "excerpt": "It is calm now" } });
    let deleted =
        serde_json::json!({ "happened": { "conversation": "c-a", "what": "deleted", "all": true } });
    for signals_first in [false, true] {
        let mut fed = Fed::new().await;
        let signals =
            [signal("2026-03-10T14:01:00Z", matched()), signal("2026-03-10T14:02:00Z", edited.clone())];
        if signals_first {
            fed.feed(Kind::Signal, &signals).await;
            fed.feed(Kind::Escalation, &[opened()]).await;
        } else {
            fed.feed(Kind::Escalation, &[opened()]).await;
            let before = fed.store.seq().await.unwrap();
            let (after, _) = fed.feed(Kind::Signal, &signals).await;
            assert!(after > before, "viewers get the change");
        }
        let all = everything(&fed).await;
        assert!(all.contains("it is calm now") && !all.contains("my secret begins"), "{all}");
        assert!(all.contains("“secret”"), "the reasons stay while the post exists");
        fed.feed(Kind::Signal, &[signal("2026-03-10T14:03:00Z", deleted.clone())]).await;
        fed.feed(Kind::Escalation, &[opened(), escalation("a", 1, "expired", "high", 70.0)]).await;
        let all = everything(&fed).await;
        assert!(!all.contains("secret") && !all.contains("calm") && !all.contains("hold"), "{all}");
        assert!(all.contains("the risk is 70") && all.contains("12 reshares"), "{all}");
    }
}

#[tokio::test]
async fn a_post_that_is_public_again_is_shown_again() {
    let deleted =
        serde_json::json!({ "happened": { "conversation": "c-a", "what": "deleted", "all": true } });
    let began = |at: &str| {
        let mut matched = matched();
        matched["matched"]["began"] = at.into();
        matched
    };
    let again = || {
        let mut e = escalation("b", 0, "open", "high", 70.0);
        (e["conversation"], e["excerpt"]) = ("c-a".into(), "My secret begins".into());
        e
    };
    let mut fed = Fed::new().await;
    fed.feed(Kind::Signal, &[signal("2026-03-10T14:01:00Z", began("2026-03-10T14:00:00Z"))]).await;
    fed.feed(Kind::Signal, &[signal("2026-03-10T14:02:00Z", deleted.clone())]).await;
    fed.feed(Kind::Signal, &[signal("2026-03-10T14:02:00Z", began("2026-03-10T14:00:00Z"))]).await;
    fed.feed(Kind::Escalation, &[again()]).await;
    assert!(!everything(&fed).await.contains("my secret begins"), "of the same conversation as before");
    fed.feed(Kind::Signal, &[signal("2026-03-10T14:05:00Z", began("2026-03-10T14:04:00Z"))]).await;
    let mut next = again();
    next["step"] = 1.into();
    fed.feed(Kind::Escalation, &[next]).await;
    assert!(everything(&fed).await.contains("my secret begins"));
    fed.feed(Kind::Signal, &[signal("2026-03-10T14:06:00Z", deleted)]).await;
    assert!(!everything(&fed).await.contains("my secret begins"));
}
