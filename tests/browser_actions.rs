//! Keys, buttons and dialogs of the console in a real browser: each sends its action, and shows what follows.

use firewatch_kafka::TopicTail;
use firewatch_tests::browser::{Chromium, can_browse};
use firewatch_tests::console::{ConsoleProcess, ConsoleSetup, WAIT_DEADLINE};
use serde_json::{Value, json};

/// A console without an engine, and what it sends to the actions topic.
struct ActionBench {
    setup: ConsoleSetup,
    console: ConsoleProcess,
    actions: TopicTail,
}

impl ActionBench {
    fn start() -> Self {
        let setup = ConsoleSetup::new("");
        let console = setup.start();
        let actions = TopicTail::new(&setup.settings, std::slice::from_ref(&setup.topics.actions)).unwrap();
        Self { setup, console, actions }
    }

    /// Opens a page and waits until it is live.
    fn open(&self, browser: &Chromium, path: &str) {
        browser.open(&self.console.url(path));
        browser.wait("document.querySelector('#link').textContent === 'live'");
    }

    /// Returns the next action that is sent.
    fn sent(&self) -> Value {
        serde_json::from_slice(&self.actions.next(WAIT_DEADLINE).unwrap().unwrap().value).unwrap()
    }
}

fn storm(members: u64) -> Value {
    json!({
        "conversation": "storm/aldermere/2026-03-10T14:05:00Z", "incident": "storm", "members": members, "topics": ["portal"], "level": "high",
        "risk": null, "reasons": ["41 complaints about portal within 5m where 3 are usual"],
    })
}

#[test]
fn a_storm_is_handled_by_keyboard_and_another_browser_sees_it() {
    if !can_browse() {
        return;
    }
    let bench = ActionBench::start();
    let (mine, other) = (Chromium::start(), Chromium::start());
    for browser in [&mine, &other] {
        bench.open(browser, "/");
        browser.wait_for("No open escalations.");
    }
    bench.setup.escalate("mild", 0, &json!({ "excerpt": "the app is slow" }));
    bench.setup.escalate("storm", 0, &storm(41));
    mine.wait_for("Storm at aldermere: portal (41 posts)");
    assert_eq!(
        mine.evaluate("document.querySelector('#inbox li').dataset.id"),
        "storm",
        "the most severe is first"
    );
    bench.setup.escalate("storm", 1, &json!({ "members": 96, "news": "grew", "incident": "storm", "conversation": storm(1)["conversation"], "topics": ["portal"], "level": "high" }));
    mine.wait_for("(96 posts)");
    mine.press("j");
    mine.press("a");
    let seen = other.wait_for("assigned to console");
    println!("another browser sees it after {} ms", seen.as_millis());
    let action = bench.sent();
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
    let action = bench.sent();
    assert_eq!((&action["kind"], &action["conversation"]), (&"silence".into(), &"c-mild".into()));
    mine.press("h");
    // Its own team is not on offer.
    mine.wait_for("Hand over to which team?");
    mine.press("1");
    let action = bench.sent();
    assert_eq!((&action["kind"], &action["team"]), (&"hand_over".into(), &"support".into()));
    mine.press("r");
    assert_eq!(bench.sent()["kind"], "resolve");
    // A resolved escalation leaves the list and the selection moves to the next.
    bench.setup.escalate("mild", 1, &json!({ "state": "resolved", "news": "moved" }));
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
    let bench = ActionBench::start();
    let browser = Chromium::start();
    bench.setup.escalate("a", 0, &json!({ "excerpt": "the app is slow" }));
    bench.setup.escalate("b", 0, &json!({ "excerpt": "the line is dead" }));
    let _ = bench.console.wait_for("/api/escalations", "c-b");
    bench.open(&browser, "/escalations/a");
    browser.press("s");
    browser.wait_for("Silence for how long?");
    browser.press("2");
    let silence = bench.sent();
    assert_eq!((&silence["kind"], &silence["escalation"]), (&"silence".into(), &"a".into()));
    let silenced = json!({ "news": "silenced", "happened": "silenced by console", "silenced_until": "2099-01-01T00:00:00Z" });
    bench.setup.escalate("a", 1, &silenced);
    browser.wait_for("silenced by console");
    browser.wait_for("silenced until");
    browser.wait("document.querySelector('[data-kind=unsilence]') !== null");
    // The list of silences holds this one alone.
    bench.open(&browser, "/?silenced=true");
    browser.wait_for("the app is slow");
    assert_eq!(browser.evaluate("document.querySelectorAll('#inbox li').length"), 1);
    browser.press("j");
    browser.press("s");
    assert_eq!(bench.sent()["kind"], "unsilence");
    bench.setup.escalate("a", 2, &json!({ "news": "silenced", "happened": "silence ended by console" }));
    browser.wait("document.querySelectorAll('#inbox li').length === 0");
    browser.wait_for("silence ended by console");
    // A closed escalation can be reopened, and the page shows the buttons of an open one again.
    bench.setup.escalate(
        "a",
        3,
        &json!({ "news": "moved", "state": "resolved", "happened": "resolved by kim" }),
    );
    bench.open(&browser, "/escalations/a");
    browser.wait("document.querySelector('[data-kind=acknowledge]') === null");
    browser.press("z");
    assert_eq!(bench.sent()["kind"], "undo");
    let _ = browser.evaluate("document.querySelector('[data-kind=reopen]').click()");
    assert_eq!(bench.sent()["kind"], "reopen");
    bench.setup.escalate(
        "a",
        4,
        &json!({ "news": "moved", "state": "reopened", "happened": "reopened by console" }),
    );
    browser.wait("document.querySelector('[data-kind=acknowledge]') !== null");
    let _ = browser.evaluate("document.querySelector('[data-kind=hand_off]').click()");
    browser.wait_for("Where does the conversation continue?");
    browser.press("1");
    let hand_off = bench.sent();
    assert_eq!((&hand_off["kind"], &hand_off["channel"]), (&"hand_off".into(), &"dm".into()));
    // Without an engine nothing has happened, and the page says so.
    browser.wait_for("sent, but nothing has happened");
}

#[test]
fn keys_act_on_the_row_for_which_they_were_pressed() {
    if !can_browse() {
        return;
    }
    let bench = ActionBench::start();
    let browser = Chromium::start();
    for (id, level) in [("a", "critical"), ("b", "high"), ("c", "low")] {
        bench.setup.escalate(id, 0, &json!({ "excerpt": format!("post {id}"), "level": level }));
    }
    let _ = bench.console.wait_for("/api/escalations", "c-c");
    bench.open(&browser, "/");
    browser.press("j");
    browser.press("r");
    assert_eq!(bench.sent()["escalation"], "a");
    let resolved =
        |by: &str| json!({ "news": "moved", "state": "resolved", "happened": format!("resolved by {by}") });
    bench.setup.escalate("a", 1, &resolved("console"));
    browser.wait("document.querySelector('.picked').dataset.id === 'b'");
    // Undo is about the row that has left.
    browser.press("z");
    let undo = bench.sent();
    assert_eq!((&undo["kind"], &undo["escalation"]), (&"undo".into(), &"a".into()));
    // A dialog stays with its row, although somebody else takes that away.
    browser.press("s");
    browser.wait_for("Silence for how long? (post b)");
    bench.setup.escalate("b", 1, &resolved("kim"));
    browser.wait("document.querySelectorAll('#inbox li').length === 1");
    browser.press("1");
    browser.wait_for("Not sent: it is closed; reopen it first");
    // No other row is selected by that; the next key selects it.
    assert_eq!(browser.evaluate("document.querySelector('.picked')"), Value::Null);
    browser.press("j");
    browser.press("a");
    assert_eq!(bench.sent()["escalation"], "c");
    // A page from before the projection was built again starts anew.
    let first = "fetch('/api/changes?since=999999').then((answer) => answer.body.getReader().read())
        .then((part) => new TextDecoder().decode(part.value))";
    let first = browser.evaluate(first);
    assert!(first.as_str().is_some_and(|text| text.contains("event: restart")), "{first}");
}
