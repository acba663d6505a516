//! Runs a console on an embedded broker, and acts as its browsers and API clients.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use firewatch_escalation::{PR, SUPPORT};
use firewatch_kafka::{EmbeddedBroker, KafkaSettings, RecordProducer, Topics};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::firewatch;

/// Longest wait for an expected answer.
pub const WAIT_DEADLINE: Duration = Duration::from_secs(20);
/// A password that meets the length rule.
pub const PASSWORD: &str = "many plain words in a row";

/// A broker with topics, and the settings of a console.
pub struct ConsoleSetup {
    _broker: Option<EmbeddedBroker>,
    pub settings: KafkaSettings,
    pub topics: Topics,
    pub folder: TempDir,
    pub feed: RecordProducer,
    /// Additional command-line arguments of the console.
    pub arguments: Vec<String>,
}

impl ConsoleSetup {
    /// Sets up an embedded broker and a settings file that ends with `more`.
    #[must_use]
    pub fn new(more: &str) -> Self {
        let broker = EmbeddedBroker::start(&Topics::default(), &[PR, SUPPORT], 3).unwrap();
        let brokers = broker.bootstrap_servers();
        Self::on(Some(broker), &brokers, Topics::default(), more)
    }

    /// Sets up a settings file for a real cluster, with topics that start with `name`.
    #[must_use]
    pub fn at(brokers: &str, name: &str) -> Self {
        let of = |topic: &str| format!("{name}.{topic}");
        let topics = Topics {
            events: of("events"),
            actions: of("actions"),
            signals: of("signals"),
            scores: of("scores"),
            dead_letters: of("dlq"),
            dead_letter_bytes: true,
            state: of("state"),
            escalations: of("escalations."),
        };
        let section = format!(
            "[topics]\nevents = {:?}\nactions = {:?}\nsignals = {:?}\nscores = {:?}\ndead_letters = {:?}\nstate = {:?}\n\
             escalations_prefix = {:?}\n",
            topics.events,
            topics.actions,
            topics.signals,
            topics.scores,
            topics.dead_letters,
            topics.state,
            topics.escalations
        );
        let deployment = Self::on(None, brokers, topics, &section);
        let made = firewatch()
            .args(["topics", "create", "--partitions", "4", "--config", &deployment.config()])
            .output();
        assert!(made.is_ok_and(|made| made.status.success()));
        deployment
    }

    fn on(broker: Option<EmbeddedBroker>, brokers: &str, topics: Topics, more: &str) -> Self {
        let settings = KafkaSettings::local(brokers, "console");
        let feed = RecordProducer::new(&settings).unwrap();
        let folder = tempfile::tempdir().unwrap();
        // A fixed port, which stays the same when the console restarts.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let database = format!("sqlite://{}", folder.path().join("console.db").display());
        let config = format!(
            "[kafka]\nbrokers = \"{}\"\n[kafka.consumer]\n\"fetch.wait.max.ms\" = \"20\"\n\
             [console]\nlisten = \"127.0.0.1:{port}\"\ndatabase = \"{database}\"\n{more}",
            settings.brokers
        );
        std::fs::write(folder.path().join("firewatch.toml"), config).unwrap();
        std::fs::write(folder.path().join("policy.toml"), "[brands.aldermere]\n").unwrap();
        Self { _broker: broker, settings, topics, folder, feed, arguments: vec![] }
    }

    /// Returns the path of the settings file.
    #[must_use]
    pub fn config(&self) -> String {
        self.folder.path().join("firewatch.toml").display().to_string()
    }

    /// Starts the console and waits until it accepts requests.
    #[must_use]
    pub fn start(&self) -> ConsoleProcess {
        let mut command = firewatch();
        command.args(["console", "--config", &self.config()]).args(&self.arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (mut token, mut line) = (None, String::new());
        loop {
            line.clear();
            assert!(out.read_line(&mut line).unwrap() > 0, "the console exited");
            if let Some((_, file)) = line.trim().split_once("for an hour, is in ") {
                let link = std::fs::read_to_string(file).unwrap();
                token = link.trim().split_once("/set-up#token=").map(|(_, token)| token.to_owned());
            }
            if line.starts_with("the console is at ") {
                break;
            }
        }
        let address = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        let config = self.config();
        let named = self.arguments.windows(2).find(|pair| pair[0] == "--database");
        let database = named.map(<[String]>::to_vec).unwrap_or_default();
        ConsoleProcess {
            child,
            _out: out,
            address,
            config,
            database,
            token,
            cookie: String::new(),
            csrf: String::new(),
        }
    }

    /// Writes a record to a topic.
    pub fn send(&self, topic: &str, key: &str, record: &Value) {
        self.feed.send(topic, Some(key), record.to_string().as_bytes(), &[]).unwrap();
        self.feed.flush().unwrap();
    }

    /// Writes a step of a PR escalation with `change` applied, see [`escalation`].
    pub fn escalate(&self, id: &str, step: u32, change: &Value) {
        let record = escalation(id, step, change);
        self.send(&self.topics.team_topic(PR), record["conversation"].as_str().unwrap_or_default(), &record);
    }
}

/// Returns a step of a PR escalation; the fields of `change` replace the defaults.
#[must_use]
pub fn escalation(id: &str, step: u32, change: &Value) -> Value {
    let mut record = json!({
        "v": 1, "id": format!("{id}/{step}"), "escalation": id, "step": step, "news": "opened", "state": "open",
        "team": "pr", "level": "medium", "conversation": format!("c-{id}"), "incident": "conversation", "brand": "aldermere",
        "at": "2026-03-10T14:00:00Z", "risk": 20.0, "reasons": ["it spreads"], "policy": "p", "policy_hash": "h",
    });
    if let (Some(record), Some(change)) = (record.as_object_mut(), change.as_object()) {
        record.extend(change.clone());
    }
    record
}

/// A running console, with the credentials of the client that calls it.
pub struct ConsoleProcess {
    pub child: Child,
    _out: BufReader<ChildStdout>,
    pub address: String,
    /// The path of the settings file.
    config: String,
    /// The arguments of the console that name its database.
    database: Vec<String>,
    /// The setup token for the first account.
    pub token: Option<String>,
    /// The session cookie that requests send.
    pub cookie: String,
    pub csrf: String,
}

impl Drop for ConsoleProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP response.
#[derive(Debug)]
pub struct HttpAnswer {
    pub status: u16,
    pub text: String,
}

impl HttpAnswer {
    /// Returns the value of a header, or an empty string if it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let start = format!("{name}: ");
        self.text.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_default()
    }

    /// Parses the body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let body = self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }
}

impl ConsoleProcess {
    /// Returns the URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends a request. `head` is its first line and further headers.
    #[must_use]
    pub fn send(&self, head: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address.parse::<SocketAddr>().unwrap()).unwrap();
        stream.set_read_timeout(Some(WAIT_DEADLINE)).unwrap();
        let (address, bytes) = (&self.address, body.len());
        let cookie =
            if self.cookie.is_empty() { String::new() } else { format!("Cookie: {}\r\n", self.cookie) };
        let csrf =
            if self.csrf.is_empty() { String::new() } else { format!("x-csrf-token: {}\r\n", self.csrf) };
        // The server may refuse a request early and close the connection before the whole body is written.
        let _ = write!(
            stream,
            "{head}\r\nHost: {address}\r\n{cookie}{csrf}Content-Length: {bytes}\r\n\r\n{body}"
        );
        stream
    }

    /// Sends a request and reads the response.
    #[must_use]
    pub fn request(&self, head: &str, body: &str) -> HttpAnswer {
        let mut text = String::new();
        self.send(&format!("{head}\r\nConnection: close"), body).read_to_string(&mut text).unwrap();
        let status = text.get(9..12).and_then(|status| status.parse().ok());
        HttpAnswer { status: status.unwrap_or_else(|| panic!("no answer: {text:?}")), text }
    }

    #[must_use]
    pub fn get(&self, path: &str) -> HttpAnswer {
        self.request(&format!("GET {path} HTTP/1.1"), "")
    }

    /// Posts a form.
    #[must_use]
    pub fn form(&self, path: &str, fields: &str) -> HttpAnswer {
        let head = format!("POST {path} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded");
        self.request(&head, fields)
    }

    /// Posts JSON.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> HttpAnswer {
        self.request(&format!("POST {path} HTTP/1.1\r\nContent-Type: application/json"), &body.to_string())
    }

    /// Posts an action on an escalation under an idempotency key.
    #[must_use]
    pub fn act(&self, key: &str, action: &Value) -> HttpAnswer {
        let head =
            format!("POST /api/actions HTTP/1.1\r\ncontent-type: application/json\r\nidempotency-key: {key}");
        self.request(&head, &action.to_string())
    }

    /// Waits until a page contains `wanted`; returns the page.
    #[must_use]
    pub fn wait_for(&self, path: &str, wanted: &str) -> String {
        let start = Instant::now();
        loop {
            let answer = self.get(path).text;
            if answer.contains(wanted) {
                return answer;
            }
            assert!(start.elapsed() < WAIT_DEADLINE, "{path} lacks {wanted}: {answer}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Takes over the session that a sign-in response starts.
    pub fn sign_in_as(&mut self, answer: &HttpAnswer) {
        assert_eq!(answer.status, 303, "{}", answer.text);
        let cookie = answer.header("set-cookie");
        self.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        self.csrf.clear();
        self.csrf = self.get("/api/me").json()["csrf"].as_str().unwrap_or_default().to_owned();
    }

    /// Creates the first account and signs in. Then it gives the account every right, which the machine may.
    pub fn set_up(&mut self, name: &str) {
        let token = self.token.clone().unwrap_or_else(|| panic!("the console printed no setup token"));
        let answer = self.form("/set-up", &format!("token={token}&name={name}&password={PASSWORD}"));
        self.sign_in_as(&answer);
        let roles = ["viewer", "responder", "policy_owner", "privacy_officer"];
        let link = self.invite_at_the_machine(name, &roles);
        let answer = self.form("/set-up", &format!("token={link}&password={PASSWORD}"));
        self.sign_in_as(&answer);
    }

    /// Invites a person with the command on the console's machine; returns the token.
    #[must_use]
    pub fn invite_at_the_machine(&self, name: &str, roles: &[&str]) -> String {
        let roles = roles.iter().flat_map(|role| ["--role", role]);
        let out = firewatch()
            .args(["people", "invite", name, "--config", &self.config])
            .args(roles)
            .args(&self.database)
            .output();
        let out = out.unwrap();
        let printed = String::from_utf8_lossy(&out.stdout).into_owned();
        let token = printed.trim().split_once("/set-up#token=").map(|(_, token)| token.to_owned());
        token.unwrap_or_else(|| panic!("{printed}{}", String::from_utf8_lossy(&out.stderr)))
    }

    /// Invites a person with roles and creates the account; returns its session cookie.
    #[must_use]
    pub fn invite(&self, name: &str, roles: &[&str]) -> String {
        let path = self.post("/api/people", &json!({ "name": name, "roles": roles })).json();
        let (_, token) = path["path"].as_str().and_then(|path| path.split_once("token=")).unwrap_or_default();
        // In another browser: in this one the new session would end the present one.
        let fields = format!("token={token}&password={PASSWORD}");
        let mut stream = TcpStream::connect(self.address.parse::<SocketAddr>().unwrap()).unwrap();
        let head =
            "POST /set-up HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close";
        let _ = write!(
            stream,
            "{head}\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{fields}",
            self.address,
            fields.len()
        );
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let answer = HttpAnswer { status: text.get(9..12).and_then(|s| s.parse().ok()).unwrap_or(0), text };
        assert_eq!(answer.status, 303, "{}", answer.text);
        answer.header("set-cookie").split(';').next().unwrap_or_default().to_owned()
    }

    /// Opens the event stream of changes that browsers read.
    #[must_use]
    pub fn changes(&self, headers: &str) -> Changes {
        Changes(BufReader::new(self.send(&format!("GET /api/changes HTTP/1.1\r\n{headers}"), "")))
    }
}

/// The event stream of changes.
pub struct Changes(BufReader<TcpStream>);

impl Changes {
    /// Reads what comes until the console ends the stream.
    pub fn rest(&mut self) -> String {
        let mut rest = String::new();
        let _ = self.0.read_to_string(&mut rest);
        rest
    }

    /// Reads the next change and its event id.
    pub fn next_change(&mut self) -> (String, Value) {
        let (mut id, mut data, mut line) = (String::new(), None, String::new());
        loop {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the console exited");
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
