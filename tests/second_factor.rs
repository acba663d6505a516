//! Attacks on the second factor of a running console, by people who know a password or have a session.

use std::time::{Duration, SystemTime};

use firewatch_console::people::{People, TotpSecret, time_step};
use firewatch_console::store::Store;
use firewatch_domain::EventTime;
use firewatch_tests::console::{ConsoleProcess, ConsoleSetup, HttpAnswer, PASSWORD};
use firewatch_tests::{event, firewatch, post};
use serde_json::{Value, json};

/// Behind a proxy each attempt may have an address of its own, so that the limit of an address does not end a test.
const PROXY: &str = "sign_in = \"local\"\nproxy = true\nurl = \"https://fw.example\"\n";
const PAGE: &str = "/account/second-factor";

/// An authenticator app.
struct Phone {
    secret: TotpSecret,
    last: i64,
}

fn now() -> EventTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    EventTime::from_millis(i64::try_from(since.as_millis()).unwrap())
}

impl Phone {
    /// Returns a code that was not used yet and is right for ten more seconds at least.
    fn next_code(&mut self) -> String {
        loop {
            let present = time_step(now());
            let is_early = now().as_millis() % 30_000 < 20_000;
            let first = if is_early { present - 1 } else { present };
            let step = first.max(self.last + 1);
            if step <= present + 1 {
                self.last = step;
                return self.secret.code(step);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Returns a code that is wrong now and soon.
    fn wrong_code(&self) -> String {
        let present = time_step(now());
        let near: Vec<String> = (-3..=9).map(|off| self.secret.code(present + off)).collect();
        (0..).map(|n: u32| format!("{n:06}")).find(|code| !near.contains(code)).unwrap()
    }
}

/// Posts a form from an address that nobody else has.
fn form(console: &ConsoleProcess, path: &str, fields: &str) -> HttpAnswer {
    static ADDRESS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    let address = ADDRESS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let head = format!(
        "POST {path} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         X-Forwarded-For: 2001:db8:{:x}:{:x}::1",
        address >> 16,
        address & 0xffff
    );
    console.request(&head, fields)
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    text.split(start).skip(1).filter_map(|rest| rest.split(end).next()).collect()
}

/// Returns the cookie that an answer sets under a name.
fn cookie(answer: &HttpAnswer, name: &str) -> Option<String> {
    let set = answer.text.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
    let mut pairs = set.filter_map(|line| line.split(';').next());
    pairs
        .find(|pair| pair.split_once('=').is_some_and(|(key, value)| key == name && !value.is_empty()))
        .map(Into::into)
}

/// Turns on the second factor of the person who is signed in; returns the phone and the recovery codes.
fn turn_on(console: &ConsoleProcess) -> (Phone, Vec<String>) {
    let page = console.get(PAGE).text;
    let csrf = between(&page, "name=\"csrf\" content=\"", "\"")[0].to_owned();
    assert_eq!(form(console, &format!("{PAGE}/start"), &format!("csrf={csrf}")).header("location"), PAGE);
    let page = console.get(PAGE).text;
    assert!(page.contains("<svg") && !page.contains("style="), "{page}");
    let mut phone =
        Phone { secret: TotpSecret::parse(between(&page, "Secret: <code>", "<")[0]).unwrap(), last: 0 };
    let on = |code: &str| form(console, &format!("{PAGE}/on"), &format!("csrf={csrf}&code={code}"));
    let wrong = on(&phone.wrong_code());
    assert!(wrong.status == 400 && wrong.text.contains("Wrong code"), "{}", wrong.text);
    let done = on(&phone.next_code());
    assert_eq!(done.status, 200, "{}", done.text);
    let codes: Vec<String> = between(&done.text, "<li><code>", "<").into_iter().map(Into::into).collect();
    assert_eq!(codes.len(), 10, "{}", done.text);
    assert!(!console.get(PAGE).text.contains(&phone.secret.grouped()), "a secret is shown until it is on");
    (phone, codes)
}

/// Enters the password; returns the answer, and the cookie of the second step.
fn password_step(console: &mut ConsoleProcess, name: &str) -> (HttpAnswer, String) {
    console.cookie.clear();
    console.csrf.clear();
    let fields = format!("name={name}&password={}&to=/wall", PASSWORD.replace(' ', "+"));
    let answer = form(console, "/sign-in", &fields);
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/sign-in/code?to=/wall"),
        "{}",
        answer.text
    );
    assert_eq!(cookie(&answer, "__Host-firewatch"), None, "there is no session yet");
    let step = cookie(&answer, "__Host-firewatch-code").unwrap();
    (answer, step)
}

/// Enters the password and a code.
fn sign_in(console: &mut ConsoleProcess, name: &str, code: &str) -> HttpAnswer {
    let (_, step) = password_step(console, name);
    console.cookie = step;
    form(console, "/sign-in/code", &format!("code={code}&to=/wall"))
}

/// Continues in the session that an answer started.
fn enter(console: &mut ConsoleProcess, answer: &HttpAnswer) {
    assert_eq!((answer.status, answer.header("location")), (303, "/wall"), "{}", answer.text);
    console.cookie = cookie(answer, "__Host-firewatch").unwrap();
    console.csrf.clear();
    console.csrf = console.get("/api/me").json()["csrf"].as_str().unwrap().into();
}

/// Returns what the audit trail has of a deed.
fn audited(console: &ConsoleProcess, deed: &str) -> Vec<String> {
    let all = console.get("/api/audit").json();
    let entries = all.as_array().unwrap().iter().filter(|entry| entry["deed"] == deed);
    entries
        .map(|entry| format!("{}: {}", entry["who"].as_str().unwrap(), entry["about"].as_str().unwrap()))
        .collect()
}

/// Opens the accounts of a console, as the machine may.
fn people(setup: &ConsoleSetup) -> (tokio::runtime::Runtime, People) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = format!("sqlite://{}", setup.folder.path().join("console.db").display());
    let people = runtime.block_on(async { Store::open(&url).await.unwrap().people().await.unwrap() });
    (runtime, people)
}

#[test]
fn a_sign_in_needs_the_password_and_a_code_that_was_not_used() {
    let setup = ConsoleSetup::new(PROXY);
    let mut console = setup.start();
    console.set_up("kim");
    let elsewhere = console.cookie.clone();
    console.cookie.clear();
    let answer =
        form(&console, "/sign-in", &format!("name=kim&password={}&to=/wall", PASSWORD.replace(' ', "+")));
    enter(&mut console, &answer);
    let (mut phone, _) = turn_on(&console);
    assert_eq!(console.get("/api/me").status, 200, "the session that turned it on stays");
    console.cookie = elsewhere;
    assert_eq!(console.get("/api/me").status, 401, "the others end");
    let wrong = sign_in(&mut console, "kim", &phone.wrong_code());
    assert!(wrong.status == 401 && wrong.text.contains("Wrong code"), "{}", wrong.text);
    assert_eq!(cookie(&wrong, "__Host-firewatch"), None);
    let code = phone.next_code();
    let answer = sign_in(&mut console, "kim", &code);
    enter(&mut console, &answer);
    let replayed = sign_in(&mut console, "kim", &code);
    assert!(replayed.status == 401 && replayed.text.contains("used already"), "{}", replayed.text);
    let answer = sign_in(&mut console, "kim", &phone.next_code());
    enter(&mut console, &answer);
    assert_eq!(audited(&console, "turned on the second factor"), ["kim: "]);
    assert_eq!(
        audited(&console, "entered a wrong code"),
        ["kim: at sign-in; used before", "kim: at sign-in"]
    );
    assert!(audited(&console, "signed in").contains(&"kim: by password and code".into()));
}

#[test]
fn a_recovery_code_signs_in_once_and_is_stored_as_a_hash() {
    let setup = ConsoleSetup::new(PROXY);
    let mut console = setup.start();
    console.set_up("kim");
    let (phone, codes) = turn_on(&console);
    let answer = sign_in(&mut console, "kim", &codes[4].to_uppercase());
    enter(&mut console, &answer);
    assert_eq!(audited(&console, "used a recovery code"), ["kim: at sign-in; 9 left"]);
    assert_eq!(sign_in(&mut console, "kim", &codes[4]).status, 401, "it was used");
    let stored: Vec<u8> = ["console.db", "console.db-wal"]
        .iter()
        .flat_map(|file| std::fs::read(setup.folder.path().join(file)).unwrap())
        .collect();
    let is_stored = |text: &str| stored.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(is_stored(&phone.secret.base32()), "the console needs the secret itself");
    assert!(!codes.iter().any(|code| is_stored(code) || is_stored(&code.replace('-', ""))));
}

#[test]
fn a_sign_in_that_waits_for_its_code_opens_nothing_else_and_has_five_tries() {
    let setup = ConsoleSetup::new(PROXY);
    let mut console = setup.start();
    console.set_up("kim");
    let (mut phone, _) = turn_on(&console);
    let (_, step) = password_step(&mut console, "kim");
    let token = step.split_once('=').unwrap().1.to_owned();
    for cookie in [step.clone(), format!("{step}; __Host-firewatch={token}; firewatch={token}")] {
        console.cookie = cookie;
        for path in ["/api/me", "/api/escalations", "/api/audit", "/api/changes"] {
            assert_eq!(console.get(path).status, 401, "{path}");
        }
        for path in ["/", "/account", PAGE, "/people", "/confirm"] {
            assert!(console.get(path).header("location").starts_with("/sign-in?to="), "{path}");
        }
        assert_ne!(console.form(&format!("{PAGE}/off"), "csrf=&password=&code=").status, 200);
    }
    console.cookie = step.clone();
    let other_browser = console.request(
        "POST /sign-in/code HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nUser-Agent: other",
        &format!("code={}", phone.next_code()),
    );
    assert!(other_browser.status == 401 && other_browser.text.contains("expired"), "{}", other_browser.text);
    let wrong = format!("code={}", phone.wrong_code());
    for _ in 0..5 {
        assert!(form(&console, "/sign-in/code", &wrong).text.contains("Wrong code"));
    }
    let right = format!("code={}", phone.next_code());
    let sixth = form(&console, "/sign-in/code", &right);
    assert!(sixth.status == 401 && sixth.text.contains("Enter your password again"), "{}", sixth.text);
    // What it was entered for is gone, and the code was not used up.
    assert!(form(&console, "/sign-in/code", &right).text.contains("expired"));
    let (_, step) = password_step(&mut console, "kim");
    console.cookie = step.clone();
    let answer = form(&console, "/sign-in/code", &format!("{right}&to=/wall"));
    enter(&mut console, &answer);
    console.cookie = step;
    let again = form(&console, "/sign-in/code", &format!("code={}", phone.next_code()));
    assert!(again.text.contains("expired"), "a waiting sign-in ends with its session: {}", again.text);
}

#[test]
fn codes_of_one_address_are_limited_as_passwords_are() {
    let setup = ConsoleSetup::new("sign_in = \"local\"\n");
    let mut console = setup.start();
    console.set_up("kim");
    let (phone, _) = turn_on(&console);
    let fields = format!("name=kim&password={}", PASSWORD.replace(' ', "+"));
    let wrong = format!("code={}", phone.wrong_code());
    let statuses: Vec<u16> = (0..3)
        .flat_map(|_| {
            console.cookie.clear();
            let answer = console.form("/sign-in", &fields);
            console.cookie = cookie(&answer, "firewatch-code").unwrap_or_default();
            [answer.status, console.form("/sign-in/code", &wrong).status]
        })
        .collect();
    assert_eq!(statuses, [303, 401, 303, 401, 303, 429]);
}

#[test]
fn the_setting_demands_a_second_factor_before_anything_else() {
    let setup = ConsoleSetup::new(&format!("{PROXY}second_factor = \"officers\"\n"));
    let mut console = setup.start();
    console.set_up("kim");
    for path in ["/api/me", "/api/escalations", "/api/people", "/api/audit", "/api/changes"] {
        let refused = console.get(path);
        assert!(refused.status == 403 && refused.text.contains(PAGE), "{path}: {}", refused.text);
    }
    for path in ["/", "/wall", "/people", "/account", "/audit", "/nothing"] {
        assert_eq!(console.get(path).header("location"), PAGE, "{path}");
    }
    assert!(console.get(PAGE).text.contains("needs a second factor"));
    let (mut phone, _) = turn_on(&console);
    console.csrf = console.get("/api/me").json()["csrf"].as_str().unwrap().into();
    let officer = console.cookie.clone();
    let viewer = console.invite("vic", &["viewer", "responder"]);
    console.cookie = viewer;
    assert_eq!(console.get("/api/me").status, 200, "a responder is no officer");
    // Turned off, it is demanded again.
    console.cookie = officer;
    let fields = format!("csrf={}&password={}&code=", console.csrf, PASSWORD.replace(' ', "+"));
    assert_eq!(form(&console, &format!("{PAGE}/off"), &format!("{fields}{}", phone.next_code())).status, 303);
    assert_eq!(console.get("/api/me").status, 403);
}

#[test]
fn everyone_means_viewers_too_and_the_setting_is_for_local_accounts() {
    let setup = ConsoleSetup::new(&format!("{PROXY}second_factor = \"everyone\"\n"));
    let mut console = setup.start();
    console.set_up("kim");
    turn_on(&console);
    console.csrf = console.get("/api/me").json()["csrf"].as_str().unwrap().into();
    console.cookie = console.invite("vic", &["viewer"]);
    assert_eq!(console.get("/api/escalations").status, 403);
    assert_eq!(console.get("/").header("location"), PAGE);
    let other = ConsoleSetup::new("second_factor = \"everyone\"\n");
    let output = firewatch().args(["check", "--config", &other.config()]).output().unwrap();
    let shown = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(shown.contains("console.second_factor: needs console.sign_in"), "{shown}");
}

#[test]
fn a_reset_ends_the_sessions_and_only_a_privacy_officer_resets_one() {
    let setup = ConsoleSetup::new(PROXY);
    let mut console = setup.start();
    console.set_up("root");
    let root = (console.cookie.clone(), console.csrf.clone());
    let reset = |console: &ConsoleProcess, name: &str| {
        console.request(&format!("DELETE /api/people/{name}/second-factor HTTP/1.1"), "").status
    };
    let owner = console.invite("mallory", &["policy_owner"]);
    let vic = console.invite("vic", &["viewer"]);
    let pat = console.invite("pat", &["privacy_officer"]);
    assert_eq!(reset(&console, "vic"), 404, "there is none");
    for cookie in [&vic, &pat, &root.0] {
        console.cookie.clone_from(cookie);
        console.csrf.clear();
        turn_on(&console);
    }
    let (_, waiting) = password_step(&mut console, "vic");
    console.cookie.clone_from(&vic);
    console.csrf = console.get("/api/me").json()["csrf"].as_str().unwrap().into();
    assert_eq!(reset(&console, "pat"), 403, "a viewer");
    console.cookie.clone_from(&owner);
    console.csrf = console.get("/api/me").json()["csrf"].as_str().unwrap().into();
    assert_eq!((reset(&console, "pat"), reset(&console, "root")), (403, 403), "they are privacy officers");
    assert!(console.get("/people").text.contains("data-reset=\"vic\""));
    assert_eq!(reset(&console, "vic"), 204);
    console.cookie = vic;
    assert_eq!(console.get("/api/me").status, 401, "the session has ended");
    console.cookie = waiting;
    assert!(form(&console, "/sign-in/code", "code=123456").text.contains("expired"));
    (console.cookie, console.csrf) = root;
    assert_eq!((reset(&console, "root"), reset(&console, "pat")), (409, 204));
    console.cookie.clone_from(&pat);
    assert_eq!(console.get("/api/me").status, 401);
    console.cookie.clear();
    let answer =
        form(&console, "/sign-in", &format!("name=pat&password={}&to=/wall", PASSWORD.replace(' ', "+")));
    enter(&mut console, &answer);
    let resets = audited(&console, "reset the second factor of");
    assert_eq!(resets, ["root: pat", "mallory: vic"]);
    // At the machine, where nobody is signed in.
    let at_the_machine = |name: &str| {
        let out =
            firewatch().args(["people", "reset-second-factor", name, "--config", &setup.config()]).output();
        out.unwrap().status.code()
    };
    assert_eq!((at_the_machine("root"), at_the_machine("vic")), (Some(0), Some(1)));
    assert!(
        audited(&console, "reset the second factor of").contains(&"somebody at the machine: root".into())
    );
}

#[test]
fn a_link_that_replaces_the_password_does_not_replace_the_code() {
    let setup = ConsoleSetup::new(PROXY);
    let mut console = setup.start();
    console.set_up("kim");
    turn_on(&console);
    let token = console.invite_at_the_machine("kim", &["viewer"]);
    console.cookie.clear();
    let answer = form(&console, "/set-up", &format!("token={token}&password={PASSWORD}"));
    assert_eq!(answer.header("location"), "/sign-in/code?to=/", "{}", answer.text);
    assert_eq!(cookie(&answer, "__Host-firewatch"), None);
}

#[test]
fn turning_off_needs_the_password_and_a_code() {
    let setup = ConsoleSetup::new(PROXY);
    let mut console = setup.start();
    console.set_up("kim");
    let (mut phone, codes) = turn_on(&console);
    let csrf = console.csrf.clone();
    let off = |password: &str, code: &str| {
        let fields = format!("csrf={csrf}&password={}&code={code}", password.replace(' ', "+"));
        form(&console, &format!("{PAGE}/off"), &fields)
    };
    assert_eq!(off("a password that is wrong", &codes[0]).status, 401);
    assert_eq!(off(PASSWORD, &phone.wrong_code()).status, 401);
    assert!(console.get("/account").text.contains("It is on"));
    let done = off(PASSWORD, &phone.next_code());
    assert_eq!(done.status, 303, "{}", done.text);
    assert!(console.get("/account").text.contains("It is off"));
    assert_eq!(audited(&console, "turned off the second factor"), ["kim: "]);
    console.cookie.clear();
    let fields = format!("name=kim&password={}&to=/wall", PASSWORD.replace(' ', "+"));
    let answer = form(&console, "/sign-in", &fields);
    enter(&mut console, &answer);
}

#[test]
fn original_text_and_a_new_secret_need_a_fresh_proof() {
    let setup = ConsoleSetup::new(PROXY);
    let mut console = setup.start();
    console.set_up("kim");
    let first: Value = event("1", "c-a", 0.0, &post(235, "call 415-555-0132"));
    setup.send(&setup.topics.events, "c-a", &first);
    setup.escalate("a", 0, &json!({ "posted_at": "2026-03-10T14:00:00Z" }));
    let _ = console.wait_for("/api/escalations", "c-a");
    let original = "/api/threads/a?unredacted=true";
    assert!(console.get(original).text.contains("415-555-0132"), "the sign-in is a proof");
    let (runtime, people) = people(&setup);
    let minutes_ago = |minutes| now() - firewatch_domain::Duration::from_mins(minutes);
    let begin = |minutes| {
        let session = runtime.block_on(people.begin_session("kim", "", minutes_ago(minutes))).unwrap();
        format!("__Host-firewatch={session}")
    };
    console.cookie = begin(14);
    assert_eq!(console.get(original).status, 200);
    console.cookie = begin(16);
    let seen = audited(&console, "saw unredacted").len();
    let refused = console.get(original);
    assert!(refused.status == 403 && refused.text.contains("at /confirm"), "{}", refused.text);
    assert_eq!(audited(&console, "saw unredacted").len(), seen, "nothing was seen");
    assert!(console.get("/api/threads/a").text.contains("[phone]"), "redacted text needs none");
    let csrf = console.get("/api/me").json()["csrf"].as_str().unwrap().to_owned();
    let start = form(&console, &format!("{PAGE}/start"), &format!("csrf={csrf}"));
    assert_eq!(start.header("location"), format!("/confirm?to={PAGE}"));
    let confirm = |console: &ConsoleProcess, proof: &str| {
        let csrf = console.get("/api/me").json()["csrf"].as_str().unwrap().to_owned();
        let fields = format!("csrf={csrf}&proof={}&to=/escalations/a", proof.replace(' ', "+"));
        form(console, "/confirm", &fields)
    };
    assert!(console.get("/confirm").text.contains("type=\"password\""));
    assert_eq!(confirm(&console, "a password that is wrong").status, 401);
    assert_eq!(console.get(original).status, 403);
    assert_eq!(confirm(&console, PASSWORD).header("location"), "/escalations/a");
    assert_eq!(console.get(original).status, 200);
    assert_eq!(audited(&console, "entered a wrong password"), ["kim: in a session"]);
    // With a second factor the code is the proof, and the password is none.
    let (mut phone, codes) = turn_on(&console);
    console.cookie = begin(16);
    assert_eq!(console.get(original).status, 403);
    assert!(console.get("/confirm").text.contains("one-time-code"));
    assert_eq!(confirm(&console, PASSWORD).status, 401);
    assert_eq!(console.get(original).status, 403);
    assert_eq!(confirm(&console, &phone.next_code()).status, 303);
    assert_eq!(console.get(original).status, 200);
    console.cookie = begin(16);
    assert_eq!(confirm(&console, &codes[0]).status, 303);
    assert_eq!(console.get(original).status, 200);
}
