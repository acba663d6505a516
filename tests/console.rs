//! The console as browsers and programs meet it: fed from the topics, live, sending what people do, and refusing what is
//! forged.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use firewatch_escalation::{PR, SUPPORT};
use firewatch_kafka::{Embedded, Feed, KafkaSettings, Tail, Topics};
use firewatch_tests::firewatch;
use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

struct Setup {
    _broker: Embedded,
    settings: KafkaSettings,
    topics: Topics,
    folder: TempDir,
    feed: Feed,
}

impl Setup {
    fn new() -> Self {
        let topics = Topics::default();
        let broker = Embedded::start(&topics, &[PR, SUPPORT], 3).unwrap();
        let settings = KafkaSettings::local(&broker.bootstrap_servers(), "console");
        let feed = Feed::new(&settings).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "[kafka]\nbrokers = \"{}\"\n[kafka.consumer]\n\"fetch.wait.max.ms\" = \"20\"\n",
            settings.brokers
        );
        std::fs::write(folder.path().join("firewatch.toml"), config).unwrap();
        std::fs::write(folder.path().join("policy.toml"), "[brands.aldermere]\n").unwrap();
        Self { _broker: broker, settings, topics, folder, feed }
    }

    fn start(&self) -> Console {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let database = format!("sqlite://{}", path("console.db"));
        let args = [
            "console",
            "--config",
            &path("firewatch.toml"),
            "--listen",
            "127.0.0.1:0",
            "--database",
            &database,
        ];
        let mut child = firewatch().args(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let address =
            said.trim().strip_prefix("the console is at http://").and_then(|at| at.strip_suffix('/'));
        let address = address.unwrap_or_else(|| panic!("it said {said:?}")).to_owned();
        Console { child, address }
    }

    fn escalate(&self, id: &str, step: u32, change: &Value) {
        let mut record = json!({
            "v": 1, "id": format!("{id}/{step}"), "escalation": id, "step": step, "news": "opened", "state": "open",
            "team": "pr", "level": "medium", "conversation": format!("c-{id}"), "brand": "aldermere",
            "at": "2026-03-10T14:00:00Z", "risk": 20.0, "reasons": ["it spreads"], "policy": "p", "policy_hash": "h",
        });
        record.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let topic = self.topics.of_team(PR);
        self.feed.send(&topic, record["conversation"].as_str(), record.to_string().as_bytes(), &[]).unwrap();
        self.feed.flush().unwrap();
    }
}

struct Console {
    child: Child,
    address: String,
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Console {
    fn send(&self, head: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (address, bytes) = (&self.address, body.len());
        write!(stream, "{head}\r\nHost: {address}\r\nContent-Length: {bytes}\r\n\r\n{body}").unwrap();
        stream
    }

    /// The answer, head and body.
    fn ask(&self, head: &str, body: &str) -> String {
        let mut answer = String::new();
        self.send(&format!("{head}\r\nConnection: close"), body).read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1"), "")
    }

    fn wait_for(&self, path: &str, wanted: &str) -> String {
        let start = Instant::now();
        loop {
            let answer = self.get(path);
            if answer.contains(wanted) {
                return answer;
            }
            assert!(start.elapsed() < PATIENCE, "{path} lacks {wanted}: {answer}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn act(&self, headers: &str, action: &Value) -> String {
        self.ask(&format!("POST /api/actions HTTP/1.1\r\n{headers}"), &action.to_string())
    }

    fn changes(&self, headers: &str) -> Changes {
        Changes(BufReader::new(self.send(&format!("GET /api/changes HTTP/1.1\r\n{headers}"), "")))
    }
}

/// What a browser hears.
struct Changes(BufReader<TcpStream>);

impl Changes {
    /// The next change, with its number.
    fn next(&mut self) -> (String, Value) {
        let (mut id, mut data, mut line) = (String::new(), None, String::new());
        loop {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "it ended");
            let text = line.trim();
            if let Some(value) = text.strip_prefix("data: ") {
                data = Some(serde_json::from_str(value).unwrap());
            } else if let Some(value) = text.strip_prefix("id: ") {
                id = value.to_owned();
            } else if text.is_empty()
                && let Some(data) = data.take()
            {
                return (id, data);
            }
        }
    }
}

const JSON: &str = "content-type: application/json\r\nidempotency-key: ";

#[test]
fn what_is_told_is_shown_at_once_and_what_is_done_is_sent_and_seen_by_others() {
    let setup = Setup::new();
    let console = setup.start();
    assert!(console.get("/").contains("Nothing is open."));
    let mut other = console.changes("x-none: 1");
    setup.escalate("a", 0, &json!({ "excerpt": "the app is down" }));
    let (first, change) = other.next();
    assert_eq!((&change["record"]["escalation"], &change["live"]), (&"a".into(), &true.into()));
    let page = console.wait_for("/", "the app is down");
    assert!(
        page.contains("risk 20") && page.contains("it spreads") && page.contains("<option>support"),
        "{page}"
    );
    assert!(console.get("/escalations/a").contains("What happened"));
    let acknowledge = json!({ "conversation": "c-a", "kind": "acknowledge" });
    for _ in 0..2 {
        // A browser that heard no answer sends it again.
        let answer = console.act(&format!("{JSON}key-1"), &acknowledge);
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }
    let (second, change) = other.next();
    assert_eq!((&change["taken_by"], &change["record"]["escalation"]), (&"console".into(), &"a".into()));
    let tail = Tail::new(&setup.settings, std::slice::from_ref(&setup.topics.actions)).unwrap();
    let sent = tail.next(PATIENCE).unwrap().unwrap();
    let action: Value = serde_json::from_slice(&sent.value).unwrap();
    assert_eq!(
        (sent.key.as_deref(), &action["id"], &action["v"]),
        (Some(&b"c-a"[..]), &"key-1".into(), &1.into())
    );
    // Who was away asks from what it knows, and hears of nothing twice.
    setup.escalate("b", 0, &json!({}));
    let (_, change) = console.changes(&format!("last-event-id: {second}")).next();
    assert_eq!(change["record"]["escalation"], "b");
    let (_, change) = console.changes(&format!("last-event-id: {first}")).next();
    assert_eq!(change["record"]["escalation"], "a");
    setup.escalate("a", 1, &json!({ "state": "resolved", "news": "moved" }));
    let list = console.wait_for("/api/escalations", "\"seq\":4");
    assert!(!list.contains("the app is down") && list.contains("c-b"), "{list}");
    let tag = list.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let again = console.ask(&format!("GET /api/escalations HTTP/1.1\r\nif-none-match: {tag}"), "");
    assert!(again.starts_with("HTTP/1.1 304"), "{again}");
}

#[test]
fn one_that_was_killed_goes_on_where_it_was() {
    let setup = Setup::new();
    let mut console = setup.start();
    setup.escalate("before", 0, &json!({}));
    console.wait_for("/api/escalations", "c-before");
    console.child.kill().unwrap();
    setup.escalate("meanwhile", 0, &json!({}));
    setup.escalate("before", 1, &json!({ "level": "critical", "news": "raised" }));
    let console = setup.start();
    let list = console.wait_for("/api/escalations", "c-meanwhile");
    let list =
        if list.contains("critical") { list } else { console.wait_for("/api/escalations", "critical") };
    assert!(list.find("c-before") < list.find("c-meanwhile"), "the graver one is first: {list}");
    assert_eq!(list.matches("\"escalation\":\"before\"").count(), 1);
}

#[test]
fn what_strangers_write_is_text_and_what_is_forged_is_refused() {
    let setup = Setup::new();
    let console = setup.start();
    let hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>";
    setup.escalate("x\"><b>", 0, &json!({ "excerpt": hostile, "reasons": [hostile], "brand": hostile }));
    let page = console.wait_for("/", "alert(1)");
    assert!(!page.contains("<script>alert") && !page.contains("<img") && !page.contains("\"><b>"), "{page}");
    assert!(page.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{page}");
    let action = json!({ "conversation": "c", "kind": "resolve" });
    let refused = |headers: &str, action: &Value, status: &str, says: &str| {
        let answer = console.act(headers, action);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(says), "{answer}");
    };
    refused("content-type: text/plain\r\nidempotency-key: k", &action, "403", "from a page of this console");
    refused(
        &format!("origin: https://evil.example\r\n{JSON}k"),
        &action,
        "403",
        "from a page of this console",
    );
    refused("content-type: application/json", &action, "400", "idempotency-key is missing");
    refused(
        &format!("{JSON}k"),
        &json!({ "conversation": "c", "kind": "hand_over" }),
        "400",
        "`team` is missing",
    );
    let nobody = json!({ "conversation": "c", "kind": "hand_over", "team": "nobody" });
    refused(&format!("{JSON}k"), &nobody, "400", "is no team; there are pr, support");
    refused(&format!("{JSON}k"), &json!({ "conversation": "c", "kind": "burn" }), "400", "unknown variant");
    let large = json!({ "conversation": "c".repeat(3 << 20), "kind": "resolve" });
    refused(&format!("{JSON}k"), &large, "413", "");
    let tail = Tail::new(&setup.settings, std::slice::from_ref(&setup.topics.actions)).unwrap();
    assert!(tail.next(Duration::from_millis(500)).unwrap().is_none(), "nothing was sent");
    assert!(console.get("/api/escalations?after=nonsense").contains("is no cursor"));
    assert!(console.get("/escalations/nobody").starts_with("HTTP/1.1 404"));
    let mut stream = TcpStream::connect(&console.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /api/escalations HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 421") && !answer.contains("escalation\":"), "{answer}");
    let out = firewatch().args(["console", "--listen", "0.0.0.0:0"]).output().unwrap();
    assert!(String::from_utf8_lossy(&out.stderr).contains("can be reached from other machines"));
}
