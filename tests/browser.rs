//! The console in a real browser: reconnects, roles, hostile text, and no serious accessibility barrier.
//!
//! Screenshots go to `target/pictures`; with `FIREWATCH_PICTURES=docs/src/images/console` they replace those
//! in the docs.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use firewatch_tests::browser::{Chromium, SCREENS, Screen, can_browse};
use firewatch_tests::console::{ConsoleSetup, PASSWORD};
use firewatch_tests::{event, firewatch, post, root};
use serde_json::{Value, json};

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
    browser.open(&console.url("/"));
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
        browser.open(&console.url("/escalations/a"));
        browser.wait_for("Sign in");
        browser.type_in(name);
        let _ = browser.evaluate("document.querySelector('[name=password]').focus()");
        browser.type_in(PASSWORD);
        browser.press("Enter");
        browser.wait_for("What happened");
        // Keys are read once the script has run.
        browser.wait("document.readyState === 'complete'");
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
    browser.open(&console.url("/audit"));
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
    browser.open(&console.url("/"));
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
        browser.open(&console.url(path));
        browser.wait("document.readyState === 'complete'");
        assert_eq!(browser.evaluate("window.ran"), Value::Null, "{path}");
    }
    browser.open(&console.url("/escalations/x"));
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
            browser.open(&console.url(path));
            browser.wait("document.querySelector('h1')");
            suits(&browser, name, screen);
            browser.picture(&root().join(format!("target/pictures/{name}-{}.png", screen.name)), 1);
        }
    };
    check_page("sign-in", "/sign-in");
    check_page("set-up", &format!("/set-up#token={token}"));
    check_page("problem", "/set-up#token=none");
    browser.open(&console.url(&format!("/set-up#token={token}")));
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
    check_page("account", "/account");
    check_page("second-factor", "/account/second-factor");
    let _ = browser.evaluate("document.querySelector('main form button').click()");
    browser.wait_for("Scan this");
    check_page("second-factor-code", "/account/second-factor");
    // An invited user gets a link.
    browser.open(&console.url("/people"));
    let _ = browser.evaluate("document.querySelector('[name=name]').focus()");
    browser.type_in("lee");
    let _ = browser.evaluate(
        "document.querySelector('[value=viewer]').click(); document.querySelector('#invite button').click()",
    );
    browser.wait_for("/set-up#token=");
    console.cookie = String::new();
}
