//! Attacks on a running console: what people without rights, or with some, try.

use std::os::unix::fs::PermissionsExt;

use firewatch_tests::console::{ConsoleProcess, ConsoleSetup, HttpAnswer, PASSWORD};
use firewatch_tests::firewatch;
use serde_json::{Value, json};

const LOCAL: &str = "sign_in = \"local\"\n";
/// Behind a proxy the client's address is what the proxy says.
const PROXY: &str = "sign_in = \"local\"\nproxy = true\nurl = \"https://fw.example\"\n";

/// Tries to sign in from an address, behind the lines of a header that the client wrote itself.
fn sign_in_from(console: &ConsoleProcess, name: &str, password: &str, lines: &[&str]) -> HttpAnswer {
    let lines: String = lines.iter().map(|line| format!("\r\nX-Forwarded-For: {line}")).collect();
    let head = format!("POST /sign-in HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded{lines}");
    console.request(&head, &format!("name={name}&password={password}"))
}

/// Returns the memory of a process in MiB.
fn memory(console: &ConsoleProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", console.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

fn audit(console: &ConsoleProcess) -> Vec<Value> {
    console.get("/api/audit").json().as_array().unwrap().clone()
}

#[test]
fn sign_ins_from_many_addresses_at_once_take_little_memory() {
    let setup = ConsoleSetup::new(PROXY);
    let mut console = setup.start();
    console.set_up("kim");
    let before = memory(&console);
    let attack = |i: u32| {
        let address = format!("2001:db8:{i:x}::1");
        sign_in_from(&console, &format!("name{i}"), "a password that is wrong", &[&address]).status
    };
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..80).map(|i| scope.spawn(move || attack(i))).collect();
        assert_eq!(console.get("/api/me").status, 200, "those who are signed in are served");
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|status| [401, 503].contains(status)), "{answers:?}");
    let more = memory(&console).saturating_sub(before);
    assert!(more < 150, "{more} MiB for 80 sign-ins, which are 1,520 MiB without a bound");
}

#[test]
fn an_address_is_what_the_proxy_wrote_last_and_a_host_has_one() {
    let setup = ConsoleSetup::new(PROXY);
    let mut console = setup.start();
    console.set_up("kim");
    let tries: Vec<u16> = (0..30)
        .map(|i| {
            let forged = format!("6.6.6.{i}");
            sign_in_from(&console, &format!("a{i}"), "wrong", &[&forged, "203.0.113.77"]).status
        })
        .collect();
    assert_eq!(tries.iter().filter(|status| **status == 429).count(), 10, "{tries:?}");
    let of_host = (0..30).map(|i| {
        let address = format!("2001:db8::{i:x}");
        sign_in_from(&console, &format!("b{i}"), "wrong", &[&address]).status
    });
    assert!(of_host.filter(|status| *status == 429).count() >= 10, "a host of IPv6 has 64 bits of addresses");
    let long = "A".repeat(20_000);
    let _ = sign_in_from(&console, "c", "wrong", &[&long]);
    assert!(audit(&console).iter().all(|entry| !entry["address"].as_str().unwrap().contains("AAAA")));
}

#[test]
fn refused_sign_ins_neither_fill_the_audit_trail_nor_lock_a_person_out() {
    let setup = ConsoleSetup::new(PROXY);
    let mut console = setup.start();
    console.set_up("kim");
    let refused = |entries: &[Value]| entries.iter().filter(|entry| entry["deed"] == "was refused").count();
    let before = refused(&audit(&console));
    for _ in 0..60 {
        let _ = sign_in_from(&console, "kim", "wrong", &["198.51.100.9"]);
    }
    let after = audit(&console);
    assert!((1..=2).contains(&(refused(&after) - before)), "{after:?}");
    // The person, from elsewhere.
    let answer = sign_in_from(&console, "kim", &PASSWORD.replace(' ', "+"), &["198.51.100.10"]);
    assert_eq!(answer.status, 303, "{}", answer.text);
}

#[test]
fn a_new_password_ends_old_sessions_and_an_older_invitation_grants_nothing() {
    let setup = ConsoleSetup::new(LOCAL);
    let mut console = setup.start();
    console.set_up("root");
    let root = console.cookie.clone();
    let old_session = console.invite("rob", &["viewer"]);
    let path = |answer: &HttpAnswer| answer.json()["path"].as_str().unwrap().to_owned();
    let older = path(&console.post("/api/people", &json!({ "name": "rob", "roles": ["responder"] })));
    let _ = console.invite("rob", &["viewer"]);
    console.cookie = old_session;
    assert_eq!(console.get("/api/me").status, 401, "the session of the old password");
    let token = older.split_once("token=").unwrap().1;
    assert_eq!(console.form("/set-up", &format!("token={token}&password={PASSWORD}")).status, 400);
    console.cookie = root;
    assert_eq!(console.get("/api/me").status, 200);
}

#[test]
fn privacy_officers_are_removed_by_each_other_and_one_stays() {
    let setup = ConsoleSetup::new(LOCAL);
    let mut console = setup.start();
    console.set_up("root");
    let owner = console.invite("mallory", &["policy_owner"]);
    let _ = console.invite("paula", &["privacy_officer"]);
    let root = (console.cookie.clone(), console.csrf.clone());
    console.cookie = owner;
    console.csrf = console.get("/api/me").json()["csrf"].as_str().unwrap().into();
    let remove = |console: &ConsoleProcess, name: &str| {
        console.request(&format!("DELETE /api/people/{name} HTTP/1.1"), "").status
    };
    assert_eq!((remove(&console, "paula"), remove(&console, "root")), (403, 403));
    (console.cookie, console.csrf) = root;
    assert_eq!(remove(&console, "paula"), 204);
    let demoted = console.post("/api/people", &json!({ "name": "root", "roles": ["viewer"] }));
    assert_eq!(demoted.status, 409, "{}", demoted.text);
}

#[test]
fn the_database_is_its_owners_and_no_setting_shows_a_secret() {
    let setup = ConsoleSetup::new(LOCAL);
    let mut console = setup.start();
    console.set_up("kim");
    for file in ["console.db", "console.db-wal", "console.db-shm"] {
        let mode = std::fs::metadata(setup.folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let secret = "90210481516234242";
    for variable in ["FIREWATCH_REGISTRY_PASSWORD", "FIREWATCH_CONSOLE_OIDC_CLIENT_SECRET"] {
        let output = firewatch().args(["check", "--config", &setup.config()]).env(variable, secret).output();
        let output = output.unwrap();
        let shown = [output.stdout, output.stderr].concat();
        assert!(!String::from_utf8_lossy(&shown).contains(secret), "{variable}");
    }
}

#[test]
fn a_stream_ends_with_its_session_and_a_person_has_few() {
    let setup = ConsoleSetup::new(LOCAL);
    let mut console = setup.start();
    console.set_up("root");
    let root = (console.cookie.clone(), console.csrf.clone());
    let viewer = console.invite("vic", &["viewer"]);
    setup.escalate("a", 0, &json!({}));
    let _ = console.wait_for("/api/escalations", "c-a");
    console.cookie = viewer;
    let open = |_| console.changes("Accept: text/event-stream\r\nConnection: close");
    let mut streams: Vec<_> = (0..16).map(open).collect();
    for stream in &mut streams {
        let _ = stream.next_change();
    }
    assert_eq!(console.get("/api/changes").status, 429);
    (console.cookie, console.csrf) = root;
    assert_eq!(console.request("DELETE /api/people/vic HTTP/1.1", "").status, 204);
    setup.escalate("b", 0, &json!({ "excerpt": "not for vic" }));
    let _ = console.wait_for("/api/escalations", "c-b");
    assert_eq!(streams[0].rest().matches("not for vic").count(), 0);
}

#[test]
fn the_api_takes_no_form_in_the_place_of_the_header_against_forgery() {
    let setup = ConsoleSetup::new(LOCAL);
    let mut console = setup.start();
    console.set_up("root");
    let _ = console.invite("vic", &["viewer"]);
    console.csrf.clear();
    let head = "DELETE /api/people/vic HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded";
    assert_eq!(console.request(head, "").status, 403);
}

#[test]
fn the_first_link_is_in_a_file_of_its_owner_and_makes_no_privacy_officer() {
    let setup = ConsoleSetup::new(LOCAL);
    let mut console = setup.start();
    let file = setup.folder.path().join("firewatch-first-account");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = console.token.clone().unwrap();
    let answer = console.form("/set-up", &format!("token={token}&name=kim&password={PASSWORD}"));
    console.sign_in_as(&answer);
    assert_eq!(console.get("/api/me").json()["roles"], json!(["viewer", "responder", "policy_owner"]));
    assert_eq!(console.get("/api/audit").status, 403);
    let officer = console.post("/api/people", &json!({ "name": "pat", "roles": ["privacy_officer"] }));
    assert_eq!(officer.status, 403, "only the machine makes the first one");
}

#[test]
fn a_password_is_changed_by_its_owner_who_knows_it() {
    let setup = ConsoleSetup::new(LOCAL);
    let mut console = setup.start();
    console.set_up("kim");
    let stolen = console.cookie.clone();
    let csrf = console.csrf.clone();
    let change = |console: &ConsoleProcess, present: &str, new: &str| {
        console.form("/account", &format!("csrf={csrf}&present={present}&new={new}"))
    };
    let new = "other plain words in a row";
    assert_eq!(change(&console, "a password that is wrong", new).status, 400);
    assert_eq!(change(&console, PASSWORD, "1234567890123456").status, 400);
    let changed = change(&console, PASSWORD, new);
    assert_eq!(changed.status, 303, "{}", changed.text);
    console.cookie = stolen;
    assert_eq!(console.get("/api/me").status, 401, "the session of the old password");
    let answer = sign_in_from(&console, "kim", &new.replace(' ', "+"), &[]);
    assert_eq!(answer.status, 303, "{}", answer.text);
}

#[test]
fn invitations_are_listed_and_withdrawn_and_no_name_looks_like_another() {
    let setup = ConsoleSetup::new(LOCAL);
    let mut console = setup.start();
    console.set_up("admin");
    for name in ["ADMIN", "\u{430}dmin"] {
        let answer = console.post("/api/people", &json!({ "name": name, "roles": ["viewer"] }));
        assert!(
            answer.status == 400 && answer.text.contains("looks like that of another"),
            "{}",
            answer.text
        );
    }
    let path = console.post("/api/people", &json!({ "name": "vic", "roles": ["viewer"] })).json();
    let token = path["path"].as_str().unwrap().split_once("token=").unwrap().1.to_owned();
    assert_eq!(console.get("/api/invitations").json()[0]["name"], "vic");
    assert_eq!(console.request("DELETE /api/invitations/vic HTTP/1.1", "").status, 204);
    assert_eq!(console.get("/api/invitations").json(), json!([]));
    assert_eq!(console.form("/set-up", &format!("token={token}&password={PASSWORD}")).status, 400);
}

#[test]
fn an_identity_provider_is_reached_over_tls() {
    let setup = ConsoleSetup::new(
        "sign_in = \"oidc\"\nurl = \"https://console.example\"\n[console.oidc]\nissuer = \"http://idp.example\"\n\
         client_id = \"fw\"\ngroups = { responder = [\"pr\"] }\n",
    );
    let output = firewatch().args(["check", "--config", &setup.config()]).output().unwrap();
    let shown = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(shown.contains("console.oidc.issuer") && shown.contains("not https"), "{shown}");
}

/// The rows of a kind, of those listed with a query.
fn rows(console: &ConsoleProcess, query: &str) -> Vec<(String, String)> {
    let listed = console.get(&format!("/api/audit{query}"));
    assert_eq!(listed.status, 200, "{}", listed.text);
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
    let entries = listed.json();
    entries.as_array().unwrap().iter().map(|entry| (text(entry, "who"), text(entry, "about"))).collect()
}

#[test]
fn what_is_denied_and_forged_is_in_the_audit_trail_which_is_read_to_its_end() {
    let setup = ConsoleSetup::new(PROXY);
    let mut console = setup.start();
    console.set_up("root");
    let _ = console.invite("vic", &["viewer"]);
    let viewer = console.invite("vic", &["viewer"]);
    let root = (std::mem::replace(&mut console.cookie, viewer), console.csrf.clone());
    for _ in 0..5 {
        assert_eq!(console.get("/api/audit").status, 403);
    }
    console.csrf = "forged".into();
    assert_eq!(console.post("/api/people", &json!({ "name": "x", "roles": ["viewer"] })).status, 403);
    let head = "POST /sign-out HTTP/1.1\r\nOrigin: https://evil.example\r\nX-Forwarded-For: 203.0.113.9";
    assert_eq!(console.request(head, "").status, 403);
    (console.cookie, console.csrf) = root;
    assert_eq!(rows(&console, "?deed=was+denied"), [("vic".into(), "GET /api/audit".into())]);
    let forged = rows(&console, "?deed=was+refused&who=-");
    assert_eq!(forged, [("-".into(), "a request from another site to /sign-out".into())]);
    let resets = rows(&console, "?deed=reset+the+password");
    assert!(resets.contains(&("vic".into(), "by an invitation".into())), "{resets:?}");
    // All pages together are the whole, and each is new.
    let page = |before: &str| console.get(&format!("/api/audit?limit=2&before={before}")).json();
    let (mut ids, mut before) = (Vec::new(), String::new());
    loop {
        let entries = page(&before);
        let entries = entries.as_array().unwrap();
        assert!(entries.len() <= 2);
        // Reading is a row as well, which is newer than what is read.
        ids.extend(entries.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()));
        match entries.last() {
            Some(last) => before = last["id"].as_str().unwrap().into(),
            None => break,
        }
    }
    let mut unique = ids.clone();
    unique.sort();
    unique.dedup();
    assert!(ids.len() > 8 && unique.len() == ids.len(), "{ids:?}");
    assert_eq!(console.get("/api/audit?before=nothing").status, 400);
    let html = console.get("/audit?deed=was+denied").text;
    assert!(html.contains("GET /api/audit") && !html.contains("another site"), "{html}");
}

#[test]
fn strangers_write_few_rows_a_minute_whatever_addresses_they_have() {
    let setup = ConsoleSetup::new(PROXY);
    let mut console = setup.start();
    console.set_up("kim");
    for i in 0..120 {
        let head = format!(
            "POST /sign-out HTTP/1.1\r\nOrigin: https://evil.example\r\nX-Forwarded-For: 198.51.100.{i}"
        );
        assert_eq!(console.request(&head, "").status, 403);
    }
    let written = rows(&console, "?deed=was+refused").len();
    assert!((50..=65).contains(&written), "{written} rows of 120 addresses");
}

#[test]
fn no_token_is_in_a_path_and_a_browser_has_one_session() {
    let setup = ConsoleSetup::new(LOCAL);
    let mut console = setup.start();
    console.set_up("root");
    let invited = console.post("/api/people", &json!({ "name": "rob", "roles": ["viewer"] })).json();
    let (path, token) = invited["path"].as_str().unwrap().split_once("#token=").unwrap();
    let root = std::mem::take(&mut console.cookie);
    // What a browser sends of the link, and then what the page sends.
    let page = console.get(path);
    assert!(page.status == 200 && page.text.contains("/assets/set-up.js"), "{}", page.text);
    assert!(console.form("/set-up/open", &format!("token={token}")).text.contains("Welcome, rob"));
    assert_eq!(console.form("/set-up/open", "token=guessed").status, 403);
    // A sign-in with the cookie of another session.
    console.cookie = root;
    assert_eq!(console.get("/api/me").status, 200);
    let password = PASSWORD.replace(' ', "+");
    assert_eq!(console.form("/sign-in", &format!("name=root&password={password}")).status, 303);
    assert_eq!(console.get("/api/me").status, 401, "the session before");
}
