//! A real Kafka cluster of a test's own, and `firewatch run` on it as processes that can be hurt.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{firewatch, root};

/// Whether a real Kafka can be had here; if not, that is told, and a failure where it is required.
///
/// # Panics
/// When it is required and cannot be had.
#[must_use]
pub fn can_run_kafka() -> bool {
    let jars = Command::new(root().join("deploy/kafka.sh")).arg("jars").output();
    let problem = match jars {
        Ok(out) if out.status.success() => return true,
        Ok(out) => String::from_utf8_lossy(&out.stderr).into_owned(),
        Err(e) => e.to_string(),
    };
    let required = std::env::var_os("FIREWATCH_REQUIRE_KAFKA").is_some();
    assert!(!required, "FIREWATCH_REQUIRE_KAFKA is set, but there is no Kafka: {problem}");
    eprintln!("SKIPPED: no real Kafka: {problem}");
    false
}

/// A running cluster; it ends when dropped, and its data with it.
pub struct Cluster {
    home: PathBuf,
    port: u16,
    brokers: u16,
}

impl Cluster {
    /// Starts a fresh cluster whose first broker listens on `port`.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_up(name: &str, port: u16, brokers: u16) -> Self {
        let cluster = Self { home: root().join("target/kafka").join(name), port, brokers };
        cluster.script(&["down"]);
        let _ = std::fs::remove_dir_all(&cluster.home);
        cluster.script(&["up", "--brokers", &brokers.to_string()]);
        cluster
    }

    /// Where clients find it.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        let all: Vec<String> =
            (0..self.brokers).map(|i| format!("127.0.0.1:{}", self.port + 2 * i)).collect();
        all.join(",")
    }

    /// Ends one broker at once, as a power cut would.
    pub fn kill(&self, broker: u16) {
        self.script(&["kill", &broker.to_string()]);
    }

    /// Ends one broker in good order.
    pub fn stop(&self, broker: u16) {
        self.script(&["stop", &broker.to_string()]);
    }

    /// Starts one broker again.
    pub fn start(&self, broker: u16) {
        self.script(&["start", &broker.to_string()]);
    }

    /// Sends a signal to one broker.
    pub fn signal(&self, broker: u16, signal: &str) {
        let pid = std::fs::read_to_string(self.home.join(format!("{broker}.pid"))).unwrap_or_default();
        signal_to(pid.trim(), signal);
    }

    /// What one of Kafka's own tools says.
    #[must_use]
    pub fn tool(&self, args: &[&str]) -> String {
        let servers = self.bootstrap_servers();
        self.script(&[&["tool"], args, &["--bootstrap-server", &servers]].concat())
    }

    fn script(&self, args: &[&str]) -> String {
        let out = Command::new(root().join("deploy/kafka.sh"))
            .args(args)
            .env("KAFKA_HOME", &self.home)
            .env("KAFKA_PORT", self.port.to_string())
            .stdin(Stdio::null())
            .output();
        let out = out.unwrap_or_else(|e| panic!("deploy/kafka.sh: {e}"));
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "deploy/kafka.sh {}: {stderr}", args.join(" "));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.script(&["down"]);
        let _ = std::fs::remove_dir_all(self.home.join("data"));
    }
}

fn signal_to(pid: &str, signal: &str) {
    let _ = Command::new("kill").args([&format!("-{signal}"), pid]).status();
}

/// The sum of all series of a metric, as text that Prometheus would scrape tells them; `series` is how they begin.
#[must_use]
pub fn metric_sum(metrics: &str, series: &str) -> f64 {
    metrics.lines().filter(|line| line.starts_with(series)).map(metric_value).sum()
}

fn metric_value(line: &str) -> f64 {
    line.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default()
}

/// A `firewatch run` of a test, or another command that serves.
pub struct Instance {
    child: Child,
    port: u16,
    /// What it says on standard error.
    pub log: PathBuf,
}

impl Instance {
    /// Starts one on a settings file; `settings` are environment variables over it.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(config: &Path, log: &Path, settings: &[(String, String)]) -> Self {
        Self::start_command("run", config, log, settings)
    }

    /// Starts another command that serves, likewise.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start_command(command: &str, config: &Path, log: &Path, settings: &[(String, String)]) -> Self {
        // A port that was free a moment ago.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let port = free.map_or(0, |address| address.port());
        let file = File::options().create(true).append(true).open(log);
        let stderr = file.map_or_else(|_| Stdio::inherit(), Stdio::from);
        let child = firewatch()
            .args([command, "--config"])
            .arg(config)
            .envs(settings.iter().map(|(k, v)| (k.as_str(), v.as_str())))
            .env("FIREWATCH_HTTP_LISTEN", format!("127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn();
        let child = child.unwrap_or_else(|e| panic!("firewatch {command}: {e}"));
        Self { child, port, log: log.into() }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        signal_to(&self.child.id().to_string(), signal);
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends it in good order; whether it said that all is well.
    pub fn stop(&mut self) -> bool {
        self.signal("TERM");
        self.child.wait().is_ok_and(|status| status.success())
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// What it answers to a request; none when it does not.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Whether it is in the group and all its tasks work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// Waits until an answer is as wanted.
    ///
    /// # Panics
    /// When that takes longer than `patience`.
    pub fn wait_for(&self, path: &str, deadline: Duration, wanted: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let answer = self.get(path).unwrap_or_default();
            if wanted(&answer) {
                return answer;
            }
            assert!(start.elapsed() < deadline, "{path} still says\n{answer}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Memory it has in use, bytes.
    ///
    /// # Panics
    /// When the system does not tell; only Linux does.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
        line.split_whitespace().next().and_then(|kb| kb.parse::<u64>().ok()).unwrap_or_default() << 10
    }

    /// Waits until it is in the group and all its tasks work.
    ///
    /// # Panics
    /// When that takes longer than two minutes.
    pub fn wait_until_ready(&self) {
        self.wait_for("/readyz", Duration::from_secs(120), |a| a.starts_with("HTTP/1.1 200"));
    }

    /// Waits until it has worked on so many events since it started, and tells its metrics then.
    ///
    /// # Panics
    /// When that takes longer than `patience`.
    pub fn wait_for_events(&self, events: usize, deadline: Duration) -> String {
        let done = |m: &str| {
            let lines = m.lines().filter(|l| l.starts_with("firewatch_records_total{"));
            lines.filter(|l| l.contains("stream=\"events\"")).map(metric_value).sum::<f64>() >= events as f64
        };
        self.wait_for("/metrics", deadline, done)
    }

    /// Processor time it has used, all threads together, user and system.
    ///
    /// # Panics
    /// When the system does not tell; only Linux does.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        // After the name, which is in brackets: user and system time are the 12th and 13th, in hundredths of a second.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
        Duration::from_millis(fields.filter_map(|f| f.parse::<u64>().ok()).sum::<u64>() * 10)
    }

    /// The partitions it works on.
    #[must_use]
    pub fn partitions(&self) -> Vec<u32> {
        let metrics = self.get("/metrics").unwrap_or_default();
        let lines = metrics.lines().filter_map(|l| l.strip_prefix("firewatch_conversations{partition=\""));
        lines.filter_map(|l| l.split('"').next()?.parse().ok()).collect()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
    }
}
