//! The console in a real browser: live updates, keyboard, roles, and no serious accessibility barrier.
//!
//! Screenshots go to `target/pictures`; with `FIREWATCH_PICTURES=docs/src/images/console` they replace those
//! in the docs.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use firewatch_kafka::TopicTail;
use firewatch_tests::browser::{Chromium, SCREENS, Screen, can_browse};
use firewatch_tests::console::{ConsoleProcess, ConsoleSetup, PASSWORD, WAIT_DEADLINE};
use firewatch_tests::{event, firewatch, post, root};
use serde_json::{Value, json};

fn url(console: &ConsoleProcess, path: &str) -> String {
    format!("http://{}{path}", console.address)
}

fn storm(members: u64) -> Value {
    json!({
        "conversation": "storm/aldermere/2026-03-10T14:05:00Z", "incident": "storm", "members": members, "topics": ["portal"], "level": "high",
        "risk": null, "reasons": ["41 complaints about portal within 5m where 3 are usual"],
    })
}

/// Returns the next action that is sent.
fn sent(actions: &TopicTail) -> Value {
    serde_json::from_slice(&actions.next(WAIT_DEADLINE).unwrap().unwrap().value).unwrap()
}

#[test]
fn a_storm_is_handled_by_keyboard_and_another_browser_sees_it() {
    if !can_browse() {
        return;
    }
    let setup = ConsoleSetup::new("");
    let console = setup.start();
    let actions = TopicTail::new(&setup.settings, std::slice::from_ref(&setup.topics.actions)).unwrap();
    let (mine, other) = (Chromium::start(), Chromium::start());
    for browser in [&mine, &other] {
        browser.open(&url(&console, "/"));
        browser.wait_for("No open escalations.");
        browser.wait("document.querySelector('#link').textContent === 'live'");
    }
    setup.escalate("mild", 0, &json!({ "excerpt": "the app is slow" }));
    setup.escalate("storm", 0, &storm(41));
    mine.wait_for("Storm at aldermere: portal (41 posts)");
    assert_eq!(
        mine.evaluate("document.querySelector('#inbox li').dataset.id"),
        "storm",
        "the most severe is first"
    );
    setup.escalate("storm", 1, &json!({ "members": 96, "news": "grew", "incident": "storm", "conversation": storm(1)["conversation"], "topics": ["portal"], "level": "high" }));
    mine.wait_for("(96 posts)");
    mine.press("j");
    mine.press("a");
    let seen = other.wait_for("assigned to console");
    println!("another browser sees it after {} ms", seen.as_millis());
    let action = sent(&actions);
    assert_eq!(
        (&action["kind"], &action["conversation"]),
        (&"acknowledge".into(), &storm(1)["conversation"])
    );
    mine.wait_for("acknowledge: sent");
    // The other three actions by their keys; the dialogs are answered with a number.
    mine.press("j");
    mine.press("s");
    mine.wait_for("Silence for how long?");
    mine.press("2");
    let action = sent(&actions);
    assert_eq!((&action["kind"], &action["conversation"]), (&"silence".into(), &"c-mild".into()));
    mine.press("h");
    // Its own team is not on offer.
    mine.wait_for("Hand over to which team?");
    mine.press("1");
    let action = sent(&actions);
    assert_eq!((&action["kind"], &action["team"]), (&"hand_over".into(), &"support".into()));
    mine.press("r");
    assert_eq!(sent(&actions)["kind"], "resolve");
    // A resolved escalation leaves the list and the selection moves to the next.
    setup.escalate("mild", 1, &json!({ "state": "resolved", "news": "moved" }));
    for browser in [&mine, &other] {
        browser.wait("document.querySelectorAll('#inbox li').length === 1");
    }
    mine.press("?");
    mine.wait("document.querySelector('#help').open");
    mine.press("Escape");
    mine.press("/");
    mine.type_in("portal");
    mine.press("Enter");
    mine.wait("location.search === '?text=portal'");
    mine.wait_for("Storm at aldermere");
    mine.press("j");
    mine.press("Enter");
    mine.wait_for("What happened");
    assert_eq!(mine.evaluate("window.ran"), Value::Null);
}

#[test]
fn a_silence_is_shown_listed_and_ended_and_every_action_is_confirmed() {
    if !can_browse() {
        return;
    }
    let setup = ConsoleSetup::new("");
    let console = setup.start();
    let actions = TopicTail::new(&setup.settings, std::slice::from_ref(&setup.topics.actions)).unwrap();
    let browser = Chromium::start();
    setup.escalate("a", 0, &json!({ "excerpt": "the app is slow" }));
    setup.escalate("b", 0, &json!({ "excerpt": "the line is dead" }));
    let _ = console.wait_for("/api/escalations", "c-b");
    browser.open(&url(&console, "/escalations/a"));
    browser.wait("document.querySelector('#link').textContent === 'live'");
    browser.press("s");
    browser.wait_for("Silence for how long?");
    browser.press("2");
    let silence = sent(&actions);
    assert_eq!((&silence["kind"], &silence["escalation"]), (&"silence".into(), &"a".into()));
    let silenced = json!({ "news": "silenced", "happened": "silenced by console", "silenced_until": "2099-01-01T00:00:00Z" });
    setup.escalate("a", 1, &silenced);
    browser.wait_for("silenced by console");
    browser.wait_for("silenced until");
    browser.wait("document.querySelector('[data-kind=unsilence]') !== null");
    // The list of silences holds this one alone.
    browser.open(&url(&console, "/?silenced=true"));
    browser.wait_for("the app is slow");
    assert_eq!(browser.evaluate("document.querySelectorAll('#inbox li').length"), 1);
    browser.wait("document.querySelector('#link').textContent === 'live'");
    browser.press("j");
    browser.press("s");
    assert_eq!(sent(&actions)["kind"], "unsilence");
    setup.escalate("a", 2, &json!({ "news": "silenced", "happened": "silence ended by console" }));
    browser.wait("document.querySelectorAll('#inbox li').length === 0");
    browser.wait_for("silence ended by console");
    // A closed escalation can be reopened, and the page shows the buttons of an open one again.
    setup.escalate("a", 3, &json!({ "news": "moved", "state": "resolved", "happened": "resolved by kim" }));
    browser.open(&url(&console, "/escalations/a"));
    browser.wait("document.querySelector('[data-kind=acknowledge]') === null");
    browser.wait("document.querySelector('#link').textContent === 'live'");
    browser.press("z");
    assert_eq!(sent(&actions)["kind"], "undo");
    let _ = browser.evaluate("document.querySelector('[data-kind=reopen]').click()");
    assert_eq!(sent(&actions)["kind"], "reopen");
    setup.escalate(
        "a",
        4,
        &json!({ "news": "moved", "state": "reopened", "happened": "reopened by console" }),
    );
    browser.wait("document.querySelector('[data-kind=acknowledge]') !== null");
    let _ = browser.evaluate("document.querySelector('[data-kind=hand_off]').click()");
    browser.wait_for("Where does the conversation continue?");
    browser.press("1");
    let hand_off = sent(&actions);
    assert_eq!((&hand_off["kind"], &hand_off["channel"]), (&"hand_off".into(), &"dm".into()));
    // Without an engine nothing has happened, and the page says so.
    browser.wait_for("sent, but nothing has happened");
}

#[test]
fn keys_act_on_the_row_for_which_they_were_pressed() {
    if !can_browse() {
        return;
    }
    let setup = ConsoleSetup::new("");
    let console = setup.start();
    let actions = TopicTail::new(&setup.settings, std::slice::from_ref(&setup.topics.actions)).unwrap();
    let browser = Chromium::start();
    for (id, level) in [("a", "critical"), ("b", "high"), ("c", "low")] {
        setup.escalate(id, 0, &json!({ "excerpt": format!("post {id}"), "level": level }));
    }
    let _ = console.wait_for("/api/escalations", "c-c");
    browser.open(&url(&console, "/"));
    browser.wait("document.querySelector('#link').textContent === 'live'");
    browser.press("j");
    browser.press("r");
    assert_eq!(sent(&actions)["escalation"], "a");
    let resolved =
        |by: &str| json!({ "news": "moved", "state": "resolved", "happened": format!("resolved by {by}") });
    setup.escalate("a", 1, &resolved("console"));
    browser.wait("document.querySelector('.picked').dataset.id === 'b'");
    // Undo is about the row that has left.
    browser.press("z");
    let undo = sent(&actions);
    assert_eq!((&undo["kind"], &undo["escalation"]), (&"undo".into(), &"a".into()));
    // A dialog stays with its row, although somebody else takes that away.
    browser.press("s");
    browser.wait_for("Silence for how long? (post b)");
    setup.escalate("b", 1, &resolved("kim"));
    browser.wait("document.querySelectorAll('#inbox li').length === 1");
    browser.press("1");
    browser.wait_for("Not sent: it is closed; reopen it first");
    // No other row is selected by that; the next key selects it.
    assert_eq!(browser.evaluate("document.querySelector('.picked')"), Value::Null);
    browser.press("j");
    browser.press("a");
    assert_eq!(sent(&actions)["escalation"], "c");
    // A page from before the projection was built again starts anew.
    let first = "fetch('/api/changes?since=999999').then((answer) => answer.body.getReader().read())
        .then((part) => new TextDecoder().decode(part.value))";
    let first = browser.evaluate(first);
    assert!(first.as_str().is_some_and(|text| text.contains("event: restart")), "{first}");
}

#[test]
fn nothing_is_missing_after_a_server_restart() {
    if !can_browse() {
        return;
    }
    let setup = ConsoleSetup::new("");
    let console = setup.start();
    let browser = Chromium::start();
    setup.escalate("first", 0, &json!({ "excerpt": "the first" }));
    let _ = console.wait_for("/api/escalations", "c-first");
    browser.open(&url(&console, "/"));
    browser.wait_for("the first");
    browser.wait("document.querySelector('#link').textContent === 'live'");
    browser.press("j");
    drop(console);
    browser.wait_for("disconnected; reconnecting");
    for i in 0..5 {
        setup.escalate(&format!("away{i}"), 0, &json!({ "excerpt": format!("meanwhile {i}") }));
    }
    setup.escalate("first", 1, &json!({ "level": "critical", "news": "raised" }));
    let _console = setup.start();
    browser.wait("document.querySelectorAll('#inbox li').length === 6");
    browser.wait("document.querySelector('#link').textContent === 'live'");
    browser.wait("document.querySelector('#inbox .picked').dataset.level === 'critical'");
    let ids = "[...document.querySelectorAll('#inbox li')].map((li) => li.dataset.id).join()";
    assert_eq!(browser.evaluate(ids), "first,away0,away1,away2,away3,away4");
}

#[test]
fn a_viewer_cannot_act_and_sees_redacted_text() {
    if !can_browse() {
        return;
    }
    let setup = ConsoleSetup::new("sign_in = \"local\"\n");
    let mut console = setup.start();
    console.set_up("root");
    setup.send(&setup.topics.events, "c-a", &event("1", "c-a", 0.0, &post(235, "my wife's chemo is late")));
    setup.escalate("a", 0, &json!({ "excerpt": "my wife's [health] is late" }));
    let _ = console.wait_for("/api/escalations", "c-a");
    let _ = (console.invite("kim", &["viewer"]), console.invite("lee", &["privacy_officer"]));
    let browser = Chromium::start();
    let sign_in = |name: &str| {
        browser.open(&url(&console, "/escalations/a"));
        browser.wait_for("Sign in");
        browser.type_in(name);
        let _ = browser.evaluate("document.querySelector('[name=password]').focus()");
        browser.type_in(PASSWORD);
        browser.press("Enter");
        browser.wait_for("What happened");
    };
    sign_in("kim");
    assert_eq!(
        browser.evaluate("document.querySelectorAll('[data-kind], #guard, #show-unredacted').length"),
        0
    );
    browser.press("r");
    browser.wait_for("You have read-only access;");
    let forced = "fetch('/api/actions', { method: 'POST', headers: { 'content-type': 'application/json', 'idempotency-key': 'k',
        'x-csrf-token': document.querySelector('meta[name=csrf]').content }, body: '{\"conversation\":\"c-a\",\"kind\":\"resolve\"}' })
        .then((answer) => answer.status)";
    assert_eq!(browser.evaluate(forced), 403);
    let _ = browser.evaluate("document.querySelector('#show-thread').click()");
    browser.wait("document.querySelector('#thread').innerText.includes('[health]')");
    assert_eq!(browser.evaluate("document.body.innerText.includes('chemo')"), false);
    let _ = browser.evaluate("document.querySelector('.me button').click()");
    browser.wait_for("Sign in");
    sign_in("lee");
    let _ = browser.evaluate("document.querySelector('#show-unredacted').click()");
    browser.wait("document.querySelector('#thread').innerText.includes('chemo')");
    browser.open(&url(&console, "/audit"));
    browser.wait_for("saw unredacted");
}

/// Post text in every place where it would run as a script if it was not escaped.
#[test]
fn text_of_posts_never_runs_as_script() {
    if !can_browse() {
        return;
    }
    let setup = ConsoleSetup::new("");
    let console = setup.start();
    let hostile =
        "</script><script>alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)>\"'`${alert(4)}";
    let change = json!({
        "excerpt": hostile, "reasons": [hostile, hostile], "brand": hostile, "platform": hostile, "team": hostile, "advice": [hostile],
    });
    let browser = Chromium::start();
    browser.open(&url(&console, "/"));
    browser.wait("document.querySelector('#link').textContent === 'live'");
    let mut posted = event("1", "c-x", 0.0, &post(3, hostile));
    posted["post"]["author"]["handle"] = hostile.into();
    setup.send(&setup.topics.events, "c-x", &posted);
    setup.escalate("x", 0, &change);
    browser.wait_for("onerror=alert(2)");
    for path in [
        "/",
        "/escalations/x",
        "/?text=%3C/script%3E%3Cscript%3Ealert(5)%3C/script%3E&brand=%22onload=alert(6)",
    ] {
        browser.open(&url(&console, path));
        browser.wait("document.readyState === 'complete'");
        assert_eq!(browser.evaluate("window.ran"), Value::Null, "{path}");
    }
    browser.open(&url(&console, "/escalations/x"));
    let _ = browser.evaluate("document.querySelector('#show-thread').click()");
    browser.wait("document.querySelector('#thread').innerText.includes('onerror')");
    assert_eq!(browser.evaluate("window.ran"), Value::Null);
    assert_eq!(
        browser.evaluate("document.querySelectorAll('main img, main script, main svg[onload]').length"),
        0
    );
}

/// A demo, played until its storm is at its peak, with its console.
struct Demo {
    child: Child,
    url: String,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Demo {
    fn played() -> Self {
        let mut command = firewatch();
        command.args([
            "demo",
            "--plain",
            "--speed",
            "0",
            "--minutes",
            "46",
            "--stay",
            "--listen",
            "127.0.0.1:0",
        ]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut url = String::new();
        for line in out.lines().map_while(Result::ok) {
            if let Some(at) = line.strip_prefix("the console is at ") {
                url = at.trim_end_matches('/').to_owned();
            }
            if line.starts_with("the console stays at ") {
                break;
            }
        }
        Self { child, url }
    }
}

/// Checks that a page fits its screen and has no accessibility barrier.
fn suits(browser: &Chromium, name: &str, screen: Screen) {
    let wide =
        browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    assert_eq!(wide, 0, "{name} on {} is wider than the screen", screen.name);
    let found = browser.violations().unwrap_or_default();
    assert!(found.is_empty(), "{name} on {}:\n{}", screen.name, found.join("\n"));
}

fn pictures() -> PathBuf {
    let folder = std::env::var_os("FIREWATCH_PICTURES")
        .map_or_else(|| PathBuf::from("target/pictures"), PathBuf::from);
    root().join(folder)
}

#[test]
fn every_page_is_accessible_on_every_screen() {
    if !can_browse() {
        return;
    }
    let demo = Demo::played();
    let browser = Chromium::start();
    browser.open(&demo.url);
    browser.wait("document.querySelectorAll('#inbox li').length > 20");
    let find = |what: &str| {
        let all = "fetch('/api/escalations?most=200').then((answer) => answer.json())";
        browser.evaluate(&format!(
            "{all}.then((page) => page.items.map((i) => i.record).find((r) => {what}).escalation)"
        ))
    };
    let storm = find("r.conversation.startsWith('storm/')");
    let one = find("r.excerpt && r.contributions.length > 2");
    let pages = [
        ("inbox", "/".to_owned()),
        ("escalation", format!("/escalations/{}", one.as_str().unwrap())),
        ("storm", format!("/escalations/{}", storm.as_str().unwrap())),
        ("wallboard", "/wall".into()),
    ];
    for screen in SCREENS {
        browser.set_screen(screen);
        for (name, path) in &pages {
            browser.open(&format!("{}{path}", demo.url));
            browser.wait("document.querySelector('#link').textContent === 'live'");
            if *name == "escalation" {
                let _ = browser.evaluate("document.querySelector('#show-thread').click()");
                browser.wait("document.querySelector('#thread ol')");
            }
            suits(&browser, name, screen);
            // The page of an escalation is long enough for a second picture.
            let screens = if *name == "escalation" { 2 } else { 1 };
            browser.picture(&pictures().join(format!("{name}-{}.png", screen.name)), screens);
        }
    }
}

#[test]
fn the_sign_in_and_admin_pages_are_accessible() {
    if !can_browse() {
        return;
    }
    let channel = "[notifications.pr]\nkind = \"slack\"\nurl = \"https://127.0.0.1:1/\"\n";
    let setup = ConsoleSetup::new(&format!("sign_in = \"local\"\n{channel}"));
    let mut console = setup.start();
    let browser = Chromium::start();
    let token = console.token.clone().unwrap();
    let check_page = |name: &str, path: &str| {
        for screen in SCREENS {
            browser.set_screen(screen);
            browser.open(&url(&console, path));
            browser.wait("document.querySelector('h1')");
            suits(&browser, name, screen);
            browser.picture(&root().join(format!("target/pictures/{name}-{}.png", screen.name)), 1);
        }
    };
    check_page("sign-in", "/sign-in");
    check_page("set-up", &format!("/set-up?token={token}"));
    check_page("problem", "/set-up?token=none");
    browser.open(&url(&console, &format!("/set-up?token={token}")));
    browser.type_in("kim");
    let _ = browser.evaluate("document.querySelector('[type=password]').focus()");
    browser.type_in(PASSWORD);
    browser.press("Enter");
    browser.wait_for("0 open escalations");
    setup.escalate("a", 0, &json!({}));
    browser.wait_for("it spreads");
    check_page("empty", "/?text=nothing-like-it");
    check_page("people", "/people");
    check_page("notifications", "/notifications");
    check_page("audit", "/audit");
    // An invited user gets a link.
    browser.open(&url(&console, "/people"));
    let _ = browser.evaluate("document.querySelector('[name=name]').focus()");
    browser.type_in("lee");
    let _ = browser.evaluate(
        "document.querySelector('[value=viewer]').click(); document.querySelector('#invite button').click()",
    );
    browser.wait_for("/set-up?token=");
    console.cookie = String::new();
}
