//! Notifications over real HTTP and SMTP: at least once, in order, and without the text of posts.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use firewatch_tests::console::{ConsoleSetup, WAIT_DEADLINE};
use firewatch_tests::firewatch;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// A server that records messages and responds with the given statuses, then with 200.
struct Hooks {
    port: u16,
    received: Receiver<(String, Value)>,
}

impl Hooks {
    fn new(statuses: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, received) = channel();
        std::thread::spawn(move || {
            let mut statuses = statuses.iter();
            for stream in listener.incoming().flatten() {
                answer(stream, statuses.next().unwrap_or(&"200 OK"), &sender);
            }
        });
        Self { port, received }
    }

    /// Returns the head and body of the next message.
    fn next(&self) -> (String, Value) {
        self.received.recv_timeout(WAIT_DEADLINE).unwrap()
    }

    fn is_silent(&self) -> bool {
        self.received.recv_timeout(Duration::from_secs(2)).is_err()
    }
}

fn answer(stream: TcpStream, status: &str, sender: &Sender<(String, Value)>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while reader.read_line(&mut head).unwrap_or(0) > 2 && !head.ends_with("\r\n\r\n") {}
    let long = header(&head, "content-length").parse().unwrap_or(0);
    let mut body = vec![0; long];
    let _ = reader.read_exact(&mut body);
    let _ = sender.send((head, serde_json::from_slice(&body).unwrap_or_default()));
    let where_else = if status.starts_with("302") { "location: http://127.0.0.1:1/\r\n" } else { "" };
    let response =
        format!("HTTP/1.1 {status}\r\n{where_else}content-length: 2\r\nconnection: close\r\n\r\nno");
    let _ = reader.get_mut().write_all(response.as_bytes());
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let of = |line: &'a str| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name));
    head.lines().find_map(of).map_or("", |(_, value)| value)
}

fn section(name: &str, kind: &str, port: u16, more: &str) -> String {
    format!(
        "[notifications.{name}]\nkind = \"{kind}\"\nurl = \"http://127.0.0.1:{port}/secret\"\nallow_private = true\n{more}\n"
    )
}

fn escalation_change() -> Value {
    json!({ "excerpt": "my wife's [health] is late", "advice": ["Answer it"], "level": "high" })
}

#[test]
fn each_channel_is_notified_once_in_order_and_not_of_old_changes() {
    let (slack, teams, pager, hook) = (Hooks::new(&[]), Hooks::new(&[]), Hooks::new(&[]), Hooks::new(&[]));
    let secret = STANDARD.encode([7; 32]);
    let settings = [
        section("slack", "slack", slack.port, "from = \"high\""),
        section("teams", "teams", teams.port, ""),
        section("pager", "pagerduty", pager.port, "routing_key = \"KEY\""),
        section("hook", "webhook", hook.port, &format!("secret = \"whsec_{secret}\"")),
    ];
    let mut setup = ConsoleSetup::new(&settings.concat());
    setup.escalate("old", 0, &escalation_change());
    let console = setup.start();
    let _ = console.wait_for("/api/escalations", "c-old");
    setup.escalate("mild", 0, &json!({}));
    setup.escalate("a", 0, &escalation_change());
    setup.escalate("a", 1, &json!({ "news": "moved", "state": "acknowledged", "level": "high" }));
    let (_, body) = slack.next();
    assert!(body["text"].as_str().unwrap().starts_with("High \u{b7} pr for aldermere"), "{body}");
    assert!(body["blocks"][1]["elements"][0]["url"].as_str().unwrap().ends_with("/escalations/a"), "{body}");
    let (_, body) = teams.next();
    assert_eq!(body["attachments"][0]["contentType"], "application/vnd.microsoft.card.adaptive");
    let mut events: Vec<Value> = (0..3).map(|_| pager.next().1).collect();
    events.retain(|event| event["dedup_key"] == "a");
    let order: Vec<&str> = events.iter().map(|event| event["event_action"].as_str().unwrap()).collect();
    assert_eq!((order, &events[0]["routing_key"]), (vec!["trigger", "acknowledge"], &"KEY".into()));
    let received = [hook.next(), hook.next()];
    let (head, body) = received.iter().find(|(_, body)| body["escalation"] == "a").unwrap();
    assert_eq!((&body["id"], &body["news"]), (&"a/0".into(), &"opened".into()));
    let (id, time) = (header(head, "webhook-id"), header(head, "webhook-timestamp"));
    let mut mac = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
    mac.update(format!("{id}.{time}.{body}").as_bytes());
    assert_eq!(
        header(head, "webhook-signature"),
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    );
    for (head, body) in &received {
        assert!(!body.to_string().contains("wife") && !head.contains("wife"), "{body}");
    }
    // A rebuilt console sends no old notifications; a killed one resumes.
    drop(console);
    setup.arguments = vec!["--rebuild".into()];
    let console = setup.start();
    let _ = console.wait_for("/api/escalations", "c-mild");
    assert!(slack.is_silent() && hook.received.try_recv().is_err());
    setup.escalate("b", 0, &escalation_change());
    assert_eq!(hook.next().1["escalation"], "b");
}

#[test]
fn failures_are_retried_and_refused_notifications_can_be_sent_again() {
    let busy = Hooks::new(&["503 Busy", "429 Slow"]);
    let strict = Hooks::new(&["400 Bad"]);
    let astray = Hooks::new(&["302 Found"]);
    let settings = [
        section("busy", "slack", busy.port, ""),
        section("strict", "slack", strict.port, ""),
        section("astray", "slack", astray.port, ""),
        format!(
            "[notifications.inside]\nkind = \"slack\"\nurl = \"https://127.0.0.1:{}/secret\"\n",
            busy.port
        ),
        format!(
            "[notifications.named]\nkind = \"slack\"\nurl = \"https://localhost:{}/secret\"\n",
            busy.port
        ),
    ];
    let mut setup = ConsoleSetup::new(&format!("sign_in = \"local\"\n{}", settings.concat()));
    let mut console = setup.start();
    console.set_up("kim");
    setup.escalate("a", 0, &escalation_change());
    let bodies = [busy.next().1, busy.next().1, busy.next().1];
    assert!(bodies.iter().all(|body| *body == bodies[0]), "a repeat has the same content");
    let _ = (strict.next(), astray.next());
    let page = console.wait_for("/notifications", "response 400");
    assert!(page.contains("response 302"), "a redirect is not followed: {page}");
    let states = console.wait_for("/api/notifications", "is a private address");
    assert_eq!(states.matches("is a private address").count(), 2, "{states}");
    assert!(!states.contains("/secret"), "{states}");
    let send = |what: &str, channel: &str| {
        console.post("/api/notifications", &json!({ "channel": channel, "what": what }))
    };
    assert!(send("again", "strict").text.contains("1 queued to be sent again"));
    assert_eq!(strict.next().1, bodies[0]);
    assert!(send("test", "busy").text.contains("busy accepted the test"));
    assert!(busy.next().1.to_string().contains("Test notification from firewatch"));
    let refused = send("test", "inside");
    assert!(refused.status == 502 && refused.text.contains("set allow_private = true"), "{}", refused.text);
    assert_eq!(send("test", "nobody").status, 404);
    setup.arguments.clear();
}

/// Speaks enough SMTP to receive one message, and returns it.
fn take_mail(listener: &TcpListener) -> String {
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream);
    let mut all = String::new();
    reader.get_mut().write_all(b"220 mail ESMTP\r\n").unwrap();
    let mut in_text = false;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return all;
        }
        all += &line;
        let reply: &[u8] = match line.trim_end() {
            "." => {
                in_text = false;
                b"250 taken\r\n"
            }
            _ if in_text => continue,
            "DATA" => {
                in_text = true;
                b"354 go on\r\n"
            }
            "QUIT" => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        reader.get_mut().write_all(reply).unwrap();
        if line.starts_with("QUIT") {
            return all;
        }
    }
}

#[test]
fn mail_is_sent_and_a_test_reports_what_works() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mails = std::thread::spawn(move || take_mail(&listener));
    let hooks = Hooks::new(&["200 OK", "410 Gone"]);
    let mail = format!(
        "[notifications.mail]\nkind = \"email\"\nserver = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
         sender = \"firewatch <fw@aldermere.example>\"\nto = [\"pr@aldermere.example\"]\n"
    );
    let setup = ConsoleSetup::new(&(mail + &section("good", "slack", hooks.port, "")));
    let test = |channels: &[&str]| {
        let out = firewatch()
            .args(["notify", "test", "--config", &setup.config()])
            .args(channels)
            .output()
            .unwrap();
        (out.status.code(), String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap())
    };
    assert_eq!(test(&[]), (Some(0), "good: accepted\nmail: accepted\n".into()));
    let mail = mails.join().unwrap();
    assert!(
        mail.contains("RCPT TO:<pr@aldermere.example>") && mail.contains("Test notification from firewatch"),
        "{mail}"
    );
    assert!(mail.to_lowercase().contains("message-id: <"), "{mail}");
    let (code, output) = test(&["good"]);
    assert!(code == Some(1) && output.contains("good: not accepted: response 410 Gone"), "{output}");
    assert!(test(&["nobody"]).1.contains("no such channel; give one of good, mail"));
}
