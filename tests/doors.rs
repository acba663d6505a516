//! Access control of the console: sign-in, roles, and attempts to get around them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use firewatch_kafka::TopicTail;
use firewatch_tests::browser::{Chromium, can_browse};
use firewatch_tests::console::{ConsoleProcess, ConsoleSetup, PASSWORD, WAIT_DEADLINE};
use firewatch_tests::{event, firewatch, post, root};
use serde_json::json;

const LOCAL: &str = "sign_in = \"local\"\n";

fn sign_in(console: &ConsoleProcess, name: &str, password: &str) -> firewatch_tests::console::HttpAnswer {
    console.form("/sign-in", &format!("name={name}&password={password}"))
}

#[test]
fn access_needs_a_session_and_the_first_account_needs_the_setup_token() {
    let setup = ConsoleSetup::new(LOCAL);
    let mut console = setup.start();
    setup.escalate("a", 0, &json!({ "excerpt": "the app is down" }));
    for path in [
        "/api/escalations",
        "/api/escalations/a",
        "/api/changes",
        "/api/me",
        "/api/audit",
        "/api/threads/a",
        "/api/wall",
    ] {
        let answer = console.get(path);
        assert!(answer.status == 401 && !answer.text.contains("the app"), "{path}: {}", answer.text);
    }
    for path in ["/", "/escalations/a", "/wall", "/people", "/audit", "/notifications"] {
        let answer = console.get(path);
        assert_eq!(
            (
                answer.status,
                answer.header("location").starts_with("/sign-in?to=%2F")
                    || answer.header("location").starts_with("/sign-in?to=/")
            ),
            (303, true),
            "{path}"
        );
    }
    assert_eq!(console.act("k", &json!({ "conversation": "c-a", "kind": "resolve" })).status, 401);
    assert_eq!(console.form("/set-up", &format!("token=guessed&name=eve&password={PASSWORD}")).status, 400);
    let token = console.token.clone().unwrap();
    for (password, expected) in [
        ("short", "15 to 512 characters"),
        ("kim kim kim kim kim", "contains the name"),
        ("aaaaaaaaaaaaaaaaaaa", "is a pattern"),
        ("correct horse battery staple", "known to be common"),
    ] {
        let answer = console.form("/set-up", &format!("token={token}&name=kim&password={password}"));
        assert!(answer.status == 400 && answer.text.contains(expected), "{}", answer.text);
    }
    console.set_up("kim");
    assert!(console.wait_for("/", "the app is down").contains("Sign out"));
    let again = console.form("/set-up", &format!("token={token}&name=eve&password={PASSWORD}"));
    assert!(again.status == 400 && again.text.contains("was used"), "{}", again.text);
    // Of a password only its argon2id hash is stored.
    let file = std::fs::read(setup.folder.path().join("console.db-wal")).unwrap();
    let holds = |text: &str| file.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(holds("$argon2id$") && !holds(PASSWORD) && !holds(&token) && !holds(&console.cookie[10..]));
}

#[test]
fn a_session_ends_at_sign_out_and_when_its_cookie_is_stolen() {
    let setup = ConsoleSetup::new(LOCAL);
    let mut console = setup.start();
    console.set_up("kim");
    assert_eq!(console.get("/api/me").json()["name"], "kim");
    let answer = sign_in(&console, "kim", PASSWORD);
    let cookie = answer.header("set-cookie").to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Lax") && cookie.contains("Max-Age=43200"), "{cookie}");
    console.sign_in_as(&answer);
    // The thief's browser has another user agent: the session ends for both, and the audit log records it.
    let thief = console.request("GET /api/me HTTP/1.1\r\nuser-agent: thief", "");
    assert_eq!((thief.status, console.get("/api/me").status), (401, 401));
    let again = sign_in(&console, "kim", PASSWORD);
    console.sign_in_as(&again);
    let trail = console.get("/api/audit").text;
    assert!(trail.contains("lost a session"), "{trail}");
    // After sign-out the cookie is invalid.
    let left = console.form("/sign-out", &format!("csrf={}", console.csrf));
    assert!(left.status == 303 && left.header("set-cookie").contains("Max-Age=0"), "{}", left.text);
    assert_eq!(console.get("/api/me").status, 401);
    console.cookie = "firewatch=made-up".into();
    assert_eq!(console.get("/api/me").status, 401);
}

#[test]
fn forged_requests_of_other_sites_are_refused() {
    let setup = ConsoleSetup::new(LOCAL);
    let mut console = setup.start();
    console.set_up("kim");
    setup.escalate("a", 0, &json!({}));
    let _ = console.wait_for("/api/escalations", "c-a");
    let body = json!({ "conversation": "c-a", "kind": "resolve" }).to_string();
    let forged = |headers: &str| {
        let head = format!("POST /api/actions HTTP/1.1\r\nidempotency-key: k\r\n{headers}");
        console.request(&head, &body).status
    };
    let json = "content-type: application/json";
    assert_eq!(forged(&format!("{json}\r\norigin: https://evil.example")), 403);
    assert_eq!(forged(&format!("{json}\r\norigin: null")), 403);
    assert_eq!(
        forged(&format!("{json}\r\norigin: http://127.0.0.1:1")),
        403,
        "a page on another port of this machine"
    );
    assert_eq!(forged(&format!("{json}\r\nsec-fetch-site: cross-site")), 403);
    assert_eq!(forged("content-type: text/plain"), 415);
    assert_eq!(forged("content-type: application/x-www-form-urlencoded"), 415);
    let csrf = std::mem::take(&mut console.csrf);
    for token in ["", "x-csrf-token: guessed\r\n"] {
        let head = format!("POST /api/actions HTTP/1.1\r\nidempotency-key: k\r\n{token}{json}");
        let answer = console.request(&head, &body);
        assert!(answer.status == 403 && answer.text.contains("x-csrf-token"), "{}", answer.text);
    }
    assert_eq!(console.form("/sign-out", "csrf=guessed").status, 403);
    assert_eq!(console.get("/api/me").status, 200, "nobody was signed out");
    console.csrf = csrf;
    assert_eq!(console.act("k", &json!({ "conversation": "c-a", "kind": "resolve" })).status, 202);
    let tail = TopicTail::new(&setup.settings, std::slice::from_ref(&setup.topics.actions)).unwrap();
    let sent = tail.next(WAIT_DEADLINE).unwrap().unwrap();
    assert!(String::from_utf8_lossy(&sent.value).contains("\"by\":\"kim\""));
    assert!(tail.next(Duration::from_millis(300)).unwrap().is_none(), "a forged action was sent");
    // A page on another host name that resolves to this server is refused.
    let mut stream = TcpStream::connect(&console.address).unwrap();
    stream.set_read_timeout(Some(WAIT_DEADLINE)).unwrap();
    write!(stream, "GET /api/escalations HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 421") && !answer.contains("escalation\":"), "{answer}");
}

#[test]
fn roles_limit_actions_and_nobody_can_raise_their_own_role() {
    let setup = ConsoleSetup::new(LOCAL);
    let mut console = setup.start();
    console.set_up("root");
    let text = "my wife's chemo is late";
    setup.send(&setup.topics.events, "c-a", &event("1", "c-a", 0.0, &post(235, text)));
    setup.escalate("a", 0, &json!({}));
    let _ = console.wait_for("/api/escalations", "c-a");
    let root = console.cookie.clone();
    let names = ["viewer", "responder", "policy_owner", "privacy_officer"];
    let cookies = names.map(|role| console.invite(role, &[role]));
    let become_one = |console: &mut ConsoleProcess, cookie: &str| {
        console.cookie = cookie.into();
        console.csrf.clear();
        console.csrf = console.get("/api/me").json()["csrf"].as_str().unwrap().into();
    };
    let mut may = Vec::new();
    for (name, cookie) in names.iter().zip(&cookies) {
        become_one(&mut console, cookie);
        let status = [
            console.get("/api/escalations").status,
            console.act(name, &json!({ "conversation": "c-a", "kind": "useful" })).status,
            console.get("/api/people").status,
            console.get("/api/notifications").status,
            console.get("/api/audit").status,
            console.get("/api/threads/a?unredacted=true").status,
        ];
        may.push(status);
        let thread = console.get("/api/threads/a").text;
        assert!(thread.contains("[health]") && !thread.contains("chemo"), "{thread}");
        let page = console.get("/escalations/a").text;
        assert_eq!(
            page.contains("data-kind=\"resolve\""),
            matches!(*name, "responder" | "policy_owner"),
            "{name}"
        );
    }
    assert_eq!(
        may,
        [
            [200, 403, 403, 403, 403, 403],
            [200, 202, 403, 403, 403, 403],
            [200, 202, 200, 200, 403, 403],
            [200, 403, 403, 403, 200, 200],
        ]
    );
    // A user manager cannot give anybody, or himself, the right to see unredacted data.
    become_one(&mut console, &cookies[2]);
    for name in ["policy_owner", "friend"] {
        let answer = console.post("/api/people", &json!({ "name": name, "roles": ["privacy_officer"] }));
        assert!(
            answer.status == 403 && answer.text.contains("the role privacy officer may"),
            "{}",
            answer.text
        );
    }
    // Nor can he take over the account of a user who has it.
    let answer = console.post("/api/people", &json!({ "name": "privacy_officer", "roles": ["viewer"] }));
    assert_eq!(answer.status, 403, "{}", answer.text);
    assert_eq!(console.request("DELETE /api/people/policy_owner HTTP/1.1", "").status, 409);
    // A removed user loses access at once.
    assert_eq!(console.request("DELETE /api/people/viewer HTTP/1.1", "").status, 204);
    console.cookie = cookies[0].clone();
    assert_eq!(console.get("/api/escalations").status, 401);
    // The audit log records every view and action.
    console.cookie = root;
    let trail = console.get("/api/audit").json();
    let has = |who: &str, deed: &str, about: &str| {
        trail.as_array().unwrap().iter().any(|e| e["who"] == who && e["deed"] == deed && e["about"] == about)
    };
    assert!(
        has("privacy_officer", "saw unredacted", "c-a") && has("responder", "acted", "useful c-a"),
        "{trail}"
    );
    assert!(
        has("policy_owner", "removed", "viewer") && has("root", "invited", "viewer as viewer"),
        "{trail}"
    );
}

#[test]
fn repeated_wrong_passwords_are_blocked() {
    let setup = ConsoleSetup::new(LOCAL);
    let mut console = setup.start();
    console.set_up("kim");
    console.cookie.clear();
    let tries: Vec<u16> = (0..8).map(|_| sign_in(&console, "kim", "wrong").status).collect();
    assert_eq!(tries[..5], [401; 5]);
    assert_eq!(tries[5..], [429; 3]);
    assert_eq!(sign_in(&console, "nobody", "wrong").status, 401, "other users can still try");
}

#[test]
fn hostile_text_is_escaped_everywhere() {
    let setup = ConsoleSetup::new("");
    let console = setup.start();
    let hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>";
    let change = json!({
        "excerpt": hostile, "reasons": [hostile], "brand": hostile, "platform": hostile, "team": hostile, "advice": [hostile],
        "topics": [hostile],
    });
    setup.escalate("x\"><b>", 0, &change);
    let list = console.wait_for("/", "alert(1)");
    let one = console.wait_for("/escalations/x%22%3E%3Cb%3E", "alert(1)");
    for page in [list, one] {
        assert!(
            !page.contains("<script>alert") && !page.contains("<img") && !page.contains("\"><b>"),
            "{page}"
        );
        assert!(page.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{page}");
    }
    let search_page = console.get("/?text=%22%3E%3Cscript%3E&owner=%3Cimg%3E").text;
    assert!(!search_page.contains("\"><script>") && !search_page.contains("<img>"), "{search_page}");
}

#[test]
fn large_bodies_and_slow_clients_do_not_block_others() {
    let setup = ConsoleSetup::new("");
    let console = setup.start();
    let large = json!({ "conversation": "c".repeat(3 << 20), "kind": "resolve" });
    assert_eq!(console.act("k", &large).status, 413);
    let head = format!("GET / HTTP/1.1\r\nx-long: {}", "a".repeat(1 << 20));
    let mut stream = TcpStream::connect(&console.address).unwrap();
    stream.set_read_timeout(Some(WAIT_DEADLINE)).unwrap();
    let _ = stream.write_all(head.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    // 200 clients never finish their request: others are served, and the slow ones are disconnected.
    let slow: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(&console.address).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nx-").unwrap();
            stream
        })
        .collect();
    assert_eq!(console.get("/").status, 200);
    for mut stream in slow.into_iter().take(3) {
        stream.set_read_timeout(Some(WAIT_DEADLINE)).unwrap();
        let mut rest = Vec::new();
        assert!(stream.read_to_end(&mut rest).is_ok(), "a slow client was not disconnected");
    }
}

#[test]
fn it_listens_beyond_localhost_only_with_sign_in_and_tls() {
    let out = |more: &str, arguments: &[&str]| {
        let setup = ConsoleSetup::new(more);
        let mut command = firewatch();
        let out = command.args(["console", "--config", &setup.config()]).args(arguments).output().unwrap();
        assert!(!out.status.success());
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    let elsewhere = ["--listen", "0.0.0.0:0"];
    assert!(out("", &elsewhere).contains("set console.sign_in"));
    assert!(out(LOCAL, &elsewhere).contains("set console.tls.certificate and console.tls.key"));
    assert!(out("proxy = true\n", &[]).contains("set console.url"));
    assert!(out("proxy = true\nurl = \"https://fw.example\"\n", &[]).contains("set console.sign_in"));
    assert!(out("sign_in = \"oidc\"\n", &[]).contains("console.oidc.issuer: missing"));
    let missing = format!(
        "{LOCAL}url = \"https://fw.example\"\n[console.tls]\ncertificate = \"no.pem\"\nkey = \"no.key\"\n"
    );
    let output = out(&missing, &[]);
    assert!(output.contains("console.tls: ") && output.contains("no.pem"), "{output}");
}

#[test]
fn over_tls_the_cookie_is_bound_to_the_host() {
    if !can_browse() {
        return;
    }
    let files = root().join("tests/data");
    let more = format!(
        "{LOCAL}url = \"https://localhost\"\n[console.tls]\ncertificate = {:?}\nkey = {:?}\n",
        files.join("tls-test-certificate.pem"),
        files.join("tls-test-key.pem")
    );
    let setup = ConsoleSetup::new(&more);
    let console = setup.start();
    let plain = TcpStream::connect(&console.address).and_then(|mut stream| {
        stream.set_read_timeout(Some(WAIT_DEADLINE))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map(|_| answer)
    });
    assert!(
        !String::from_utf8_lossy(&plain.unwrap_or_default()).contains("HTTP/1.1 200"),
        "it serves plain HTTP"
    );
    let port = console.address.rsplit(':').next().unwrap();
    let browser = Chromium::start();
    browser.open(&format!("https://localhost:{port}/set-up#token={}", console.token.as_ref().unwrap()));
    browser.wait("document.querySelector('[type=password]')");
    browser.type_in("kim");
    let _ = browser.evaluate("document.querySelector('[type=password]').focus()");
    browser.type_in(PASSWORD);
    browser.press("Enter");
    browser.wait_for("0 open escalations");
    let cookies = browser.cookies();
    assert_eq!(cookies, ["__Host-firewatch secure http-only"]);
    assert_eq!(browser.evaluate("document.cookie"), "");
}
