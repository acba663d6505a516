//! The console as programs use it: fed from the topics, live, and sending actions.

use std::time::Duration;

use firewatch_kafka::TopicTail;
use firewatch_tests::console::{ConsoleSetup, WAIT_DEADLINE, escalation};
use firewatch_tests::{event, firewatch, post, reshare};
use serde_json::{Value, json};

#[test]
fn escalations_are_shown_at_once_and_actions_are_sent_and_seen_by_others() {
    let setup = ConsoleSetup::new("");
    let console = setup.start();
    assert!(console.get("/").text.contains("No open escalations."));
    let mut other = console.changes("x-none: 1");
    setup.escalate("a", 0, &json!({ "excerpt": "the app is down", "platform": "x" }));
    let (first, change) = other.next_change();
    assert_eq!((&change["record"]["escalation"], &change["live"]), (&"a".into(), &true.into()));
    let page = console.wait_for("/", "the app is down");
    assert!(
        page.contains("risk 20") && page.contains("it spreads") && page.contains("<option>support"),
        "{page}"
    );
    assert!(console.get("/escalations/a").text.contains("What happened"));
    for _ in 0..2 {
        // A browser that got no response sends the same request again.
        let answer = console.act("key-1", &json!({ "conversation": "c-a", "kind": "acknowledge" }));
        assert_eq!(answer.status, 202, "{}", answer.text);
    }
    let (second, change) = other.next_change();
    assert_eq!((&change["taken_by"], &change["record"]["escalation"]), (&"console".into(), &"a".into()));
    let tail = TopicTail::new(&setup.settings, std::slice::from_ref(&setup.topics.actions)).unwrap();
    let sent = tail.next(WAIT_DEADLINE).unwrap().unwrap();
    let action: Value = serde_json::from_slice(&sent.value).unwrap();
    assert_eq!(
        (sent.key.as_deref(), &action["id"], &action["v"]),
        (Some(&b"c-a"[..]), &"key-1".into(), &1.into())
    );
    // A client that was disconnected resumes from its last event and gets none twice.
    setup.escalate("b", 0, &json!({ "brand": "other", "platform": "facebook" }));
    let (_, change) = console.changes(&format!("last-event-id: {second}")).next_change();
    assert_eq!(change["record"]["escalation"], "b");
    let (_, change) = console.changes(&format!("last-event-id: {first}")).next_change();
    assert_eq!(change["record"]["escalation"], "a");
    let found = |query: &str| -> Vec<String> {
        let page = console.get(&format!("/api/escalations?{query}")).json();
        let ids = page["items"].as_array().unwrap().iter();
        ids.map(|item| item["record"]["escalation"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(found(""), ["a", "b"]);
    for (query, only) in [
        ("platform=x", "a"),
        ("brand=other", "b"),
        ("owner=console", "a"),
        ("owner=-", "b"),
        ("text=APP", "a"),
    ] {
        assert_eq!(found(query), [only], "{query}");
    }
    // The query as a form with empty fields sends it.
    assert_eq!(found("text=&team=&level=&brand=&platform=&owner=&over="), ["a", "b"]);
    assert!(
        found("over=true").is_empty() && found("level=high").is_empty() && found("team=support").is_empty()
    );
    setup.escalate("a", 1, &json!({ "state": "resolved", "news": "moved" }));
    let list = console.wait_for("/api/escalations", "\"seq\":4");
    assert_eq!(found("over=true"), ["a"]);
    assert!(!list.contains("the app is down") && list.contains("c-b"), "{list}");
    let tag = list.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let again = console.request(&format!("GET /api/escalations HTTP/1.1\r\nif-none-match: {tag}"), "");
    assert_eq!(again.status, 304, "{}", again.text);
}

#[test]
fn a_killed_console_resumes_and_a_rebuilt_one_shows_the_same() {
    let mut setup = ConsoleSetup::new("");
    let mut console = setup.start();
    setup.escalate("before", 0, &json!({}));
    let _ = console.wait_for("/api/escalations", "c-before");
    console.child.kill().unwrap();
    let _ = console.child.wait();
    setup.escalate("meanwhile", 0, &json!({}));
    setup.escalate("before", 1, &json!({ "level": "critical", "news": "raised" }));
    let console = setup.start();
    let list = console.wait_for("/api/escalations", "c-meanwhile");
    let list =
        if list.contains("critical") { list } else { console.wait_for("/api/escalations", "critical") };
    assert!(list.find("c-before") < list.find("c-meanwhile"), "the more severe one is first: {list}");
    assert_eq!(list.matches("\"escalation\":\"before\"").count(), 1);
    drop(console);
    setup.arguments = vec!["--rebuild".into()];
    let console = setup.start();
    let _ = console.wait_for("/api/escalations", "c-meanwhile");
    let list = console.wait_for("/api/escalations", "critical");
    assert_eq!(list.matches("\"escalation\":").count(), 2);
}

#[test]
fn a_thread_is_read_from_the_events_redacted_and_with_its_largest_accounts() {
    let setup = ConsoleSetup::new("");
    let console = setup.start();
    let send = |event: Value| setup.send(&setup.topics.events, "c-a", &event);
    let mut first = event("1", "c-a", 0.0, &post(235, "my wife's chemo is late, call 415-555-0132"));
    first["post"]["author"]["handle"] = "kim".into();
    send(first.clone());
    send(first);
    send(event("2", "c-a", 5.0, &reshare("big", 2_400_000)));
    send(event("3", "c-a", 6.0, &reshare("small", 12)));
    send(event(
        "4",
        "c-a",
        9.0,
        &json!({ "brand_reply": { "account": "care", "text": "Claim 8834521907? Please DM us" } }),
    ));
    setup.send(&setup.topics.events, "c-b", &event("1", "c-b", 0.0, &post(1, "another one")));
    setup.escalate("a", 0, &json!({ "posted_at": "2026-03-10T14:00:00Z" }));
    let _ = console.wait_for("/api/escalations", "c-a");
    let thread = console.get("/api/threads/a").json();
    let texts: Vec<&str> =
        thread["said"].as_array().unwrap().iter().map(|s| s["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["my wife's [health] is late, call [phone]", "Claim [number]? Please DM us"]);
    let voices: Vec<String> = thread["voices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| format!("{} {}", v["name"], v["followers"]))
        .collect();
    // Accounts with many followers are named; those with few are not.
    assert_eq!(voices, ["\"big\" 2400000", "null 235", "null 12"]);
    assert_eq!(console.get("/api/threads/a?unredacted=true").status, 403);
    assert_eq!(console.get("/api/threads/nobody").status, 404);
    let page = console.get("/escalations/a").text;
    assert!(page.contains("Show the conversation") && !page.contains("unredacted"), "{page}");
    let judged = |draft: &str| console.post("/api/guard", &json!({ "draft": draft })).json();
    assert_eq!(judged("We are sorry. Please send us a DM so that we can help.")["send"], true);
    assert_eq!(judged("Your chemo is approved, member 8834521907.")["send"], false);
}

#[test]
fn a_storm_shows_its_volume_words_and_posts_and_the_wall_shows_counts() {
    let setup = ConsoleSetup::new("");
    let console = setup.start();
    let signal = |i: i64, topic: &str| {
        let at = firewatch_domain::EventTime::from_millis(1_773_151_200_000 + i * 20_000);
        let matched = json!({
            "conversation": format!("s{i}"), "began": at, "posted_at": at, "routes": [], "counts": true,
            "topics": ["portal|Portal", topic], "near": "00000000000000ff", "risk": (i % 30) as f64, "reasons": [],
            "contributions": [], "excerpt": format!("portal down {i}"),
        });
        json!({ "v": 1, "id": format!("s{i}"), "brand": "aldermere", "at": at, "source": 0, "matched": matched })
    };
    for i in 0..40 {
        setup.send(&setup.topics.signals, "aldermere", &signal(i, "login"));
    }
    let storm = json!({
        "conversation": "storm/aldermere/2026-03-10T14:05:00Z", "incident": "storm", "members": 40, "topics": ["Portal"], "level": "high",
        "posted_at": "2026-03-10T14:00:00Z", "risk": null, "reasons": ["40 complaints about Portal within 5m where 3 are usual"],
    });
    setup.escalate("storm", 0, &storm);
    let _ = console.wait_for("/", "Storm at aldermere: Portal (40 posts)");
    let page = console.wait_for("/escalations/storm", "40 complaints:");
    for expected in
        ["40 complaints", "Peak: 15 complaints in five minutes", "Portal <small>40</small>", "portal down 29"]
    {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    let storm_detail = console.get("/api/storms/storm").json();
    assert_eq!((&storm_detail["count"], storm_detail["members"].as_array().unwrap().len()), (&40.into(), 40));
    assert_eq!(console.get("/api/storms/nobody").status, 404);
    // Copies of a post are found, whatever the escalation says.
    setup.escalate("copy", 0, &json!({ "conversation": "s3", "respond_by": "2026-03-10T14:09:00Z" }));
    let page = console.wait_for("/escalations/copy", "Near-copies");
    // The storm's own text, known from a signal, is its title and heading; ten posts are listed.
    assert_eq!(page.matches("portal down").count(), 2 + 10, "{page}");
    setup.escalate("copy", 1, &json!({ "conversation": "s3", "state": "answered", "news": "moved" }));
    let wall = console.get("/api/wall").json();
    assert_eq!(wall["storms"][0][2], 40);
    assert_eq!((&wall["open"][1], &wall["open"][2], &wall["untaken"]), (&1.into(), &1.into(), &2.into()));
    assert!(console.get("/wall").text.contains("posts at aldermere"));
}

#[test]
fn invalid_requests_are_refused_and_send_nothing() {
    let setup = ConsoleSetup::new("");
    let console = setup.start();
    setup.escalate("x", 0, &json!({}));
    let _ = console.wait_for("/api/escalations", "c-x");
    let action = |kind: &str| json!({ "conversation": "c-x", "kind": kind });
    let refused = |action: &Value, status: u16, expected: &str| {
        let answer = console.act("k", action);
        assert!(answer.status == status && answer.text.contains(expected), "{}", answer.text);
    };
    let answer = console.post("/api/actions", &action("resolve"));
    assert!(answer.status == 400 && answer.text.contains("idempotency-key is missing"), "{}", answer.text);
    refused(&action("hand_over"), 400, "`team` is missing");
    let nobody = json!({ "conversation": "c-x", "kind": "hand_over", "team": "nobody" });
    refused(&nobody, 400, "unknown team; use one of pr, support");
    refused(&action("burn"), 400, "unknown variant");
    refused(
        &json!({ "conversation": "c-y", "kind": "resolve" }),
        404,
        "no escalation about the conversation",
    );
    let tail = TopicTail::new(&setup.settings, std::slice::from_ref(&setup.topics.actions)).unwrap();
    assert!(tail.next(Duration::from_millis(500)).unwrap().is_none(), "nothing was sent");
    assert!(console.get("/api/escalations?after=nonsense").text.contains("not a cursor"));
    assert!(console.get("/api/escalations?level=loud").text.contains("unknown level"));
    assert_eq!(console.get("/escalations/nobody").status, 404);
    let page = console.request("GET /nothing HTTP/1.1\r\naccept: text/html", "");
    assert!(page.status == 404 && page.text.contains("<h1>This did not work</h1>"), "{}", page.text);
}

#[test]
fn the_api_answers_match_its_openapi_document() {
    let setup = ConsoleSetup::new("");
    let console = setup.start();
    setup.escalate("a", 0, &json!({ "excerpt": "the app is down" }));
    let _ = console.wait_for("/api/escalations", "c-a");
    let document = console.get("/api/openapi.json").json();
    let printed = firewatch().args(["schema", "--openapi"]).output().unwrap().stdout;
    assert_eq!(serde_json::from_slice::<Value>(&printed).unwrap(), document);
    for (path, documented_path) in [
        ("/api/escalations", "/api/escalations"),
        ("/api/escalations/a", "/api/escalations/{id}"),
        ("/api/threads/a", "/api/threads/{id}"),
        ("/api/wall", "/api/wall"),
        ("/api/me", "/api/me"),
    ] {
        let mut schema =
            document["paths"][documented_path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
                .clone();
        schema["components"] = document["components"].clone();
        let answer = console.get(path).json();
        let valid = jsonschema::validate(&schema, &answer);
        assert!(valid.is_ok(), "{path}: {valid:?}\n{answer}");
    }
    assert!(escalation("a", 0, &json!({}))["v"] == 1);
}
