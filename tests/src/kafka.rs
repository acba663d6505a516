//! Runs a real Kafka cluster for one test, and firewatch processes on it that a test can kill.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{firewatch, root};

/// Longest time from SIGTERM to the end of a process: longer than `operate.md` promises, for a busy machine.
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// Whether a real Kafka can run here. Prints a notice if it cannot.
///
/// # Panics
/// When `FIREWATCH_REQUIRE_KAFKA` is set and Kafka cannot run.
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

/// A running cluster. Dropping it stops the brokers and deletes their data.
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
        Self::start_up_with(name, port, brokers, &[])
    }

    /// Starts a fresh cluster with more options of `deploy/kafka.sh up`.
    pub(crate) fn start_up_with(name: &str, port: u16, brokers: u16, options: &[&str]) -> Self {
        let cluster = Self { home: root().join("target/kafka").join(name), port, brokers };
        cluster.script(&["down"]);
        let _ = std::fs::remove_dir_all(&cluster.home);
        cluster.script(&[&["up", "--brokers", &brokers.to_string()], options].concat());
        cluster
    }

    /// Returns the folder of the cluster's files.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the addresses for clients, separated by commas.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        let all: Vec<String> =
            (0..self.brokers).map(|i| format!("127.0.0.1:{}", self.port + 2 * i)).collect();
        all.join(",")
    }

    /// Kills one broker, as a power cut would.
    pub fn kill(&self, broker: u16) {
        self.script(&["kill", &broker.to_string()]);
    }

    /// Shuts one broker down cleanly.
    pub fn stop(&self, broker: u16) {
        self.script(&["stop", &broker.to_string()]);
    }

    /// Restarts one broker.
    pub fn start(&self, broker: u16) {
        self.script(&["start", &broker.to_string()]);
    }

    /// Sends a Unix signal to one broker.
    pub fn signal(&self, broker: u16, signal: &str) {
        let pid = std::fs::read_to_string(self.home.join(format!("{broker}.pid"))).unwrap_or_default();
        signal_to(pid.trim(), signal);
    }

    /// Runs one of Kafka's own tools; returns its output.
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

/// Returns the sum of all series that start with `series` in a metrics text as Prometheus scrapes it.
#[must_use]
pub fn metric_sum(metrics: &str, series: &str) -> f64 {
    metrics.lines().filter(|line| line.starts_with(series)).map(metric_value).sum()
}

fn metric_value(line: &str) -> f64 {
    line.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default()
}

/// A running `firewatch run` or another long-running command.
pub struct Instance {
    child: Child,
    port: u16,
    /// The file that receives its standard error.
    pub log: PathBuf,
}

impl Instance {
    /// Returns the id of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Starts `firewatch run` with a settings file; `settings` are environment variables that override it.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(config: &Path, log: &Path, settings: &[(String, String)]) -> Self {
        Self::start_command("run", config, log, settings)
    }

    /// Starts another long-running command in the same way.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start_command(command: &str, config: &Path, log: &Path, settings: &[(String, String)]) -> Self {
        // Binds port 0 to find a free port; another process could still take it before the command does.
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

    /// Sends the process a Unix signal.
    pub fn signal(&self, signal: &str) {
        signal_to(&self.child.id().to_string(), signal);
    }

    /// Kills the process and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops the process with SIGTERM; returns whether it exited with status 0.
    ///
    /// # Panics
    /// When it still runs after `STOP_DEADLINE`.
    pub fn stop(&mut self) -> bool {
        self.signal("TERM");
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the state of a child") {
                return status.success();
            }
            assert!(start.elapsed() < STOP_DEADLINE, "it does not stop; see {}", self.log.display());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether the process has exited.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Sends a GET request; returns the response, or `None` without one within two seconds.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Whether the process has joined the group and all its tasks are ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// Waits until a response satisfies `wanted`; returns the response.
    ///
    /// # Panics
    /// When that takes longer than `deadline`.
    pub fn wait_for(&self, path: &str, deadline: Duration, wanted: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let answer = self.get(path).unwrap_or_default();
            if wanted(&answer) {
                return answer;
            }
            assert!(start.elapsed() < deadline, "{path} still returns\n{answer}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the log contains `wanted` this many times.
    ///
    /// # Panics
    /// When that takes longer than `deadline`, or the process ends first.
    pub fn wait_for_log(&mut self, wanted: &str, times: usize, deadline: Duration) {
        let start = Instant::now();
        loop {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            if log.matches(wanted).count() >= times {
                return;
            }
            assert!(!self.has_ended(), "it ended: {log}");
            assert!(start.elapsed() < deadline, "the log lacks {times} times {wanted:?}: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the most resident memory of the process, in bytes, once it has not grown for `settle_time`.
    ///
    /// # Panics
    /// When it still grows after `deadline`.
    #[must_use]
    pub fn settled_memory(&self, settle_time: Duration, deadline: Duration) -> u64 {
        let (start, mut most, mut since) = (Instant::now(), 0, Instant::now());
        while since.elapsed() < settle_time {
            let used = self.resident_bytes();
            // Less than a hundredth is noise of the allocator.
            if used > most + most / 100 {
                since = Instant::now();
            }
            most = most.max(used);
            assert!(start.elapsed() < deadline, "the memory still grows: {most} bytes");
            std::thread::sleep(Duration::from_millis(100));
        }
        most
    }

    /// Returns the resident memory of the process in bytes.
    ///
    /// # Panics
    /// When `/proc` is not available; only Linux has it.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
        line.split_whitespace().next().and_then(|kb| kb.parse::<u64>().ok()).unwrap_or_default() << 10
    }

    /// Waits until the process has joined the group and all its tasks are ready.
    ///
    /// # Panics
    /// When that takes longer than two minutes.
    pub fn wait_until_ready(&self) {
        self.wait_for("/readyz", Duration::from_secs(120), |a| a.starts_with("HTTP/1.1 200"));
    }

    /// Waits until the process has handled at least `events` events since its start; returns its metrics.
    ///
    /// # Panics
    /// When that takes longer than `deadline`.
    pub fn wait_for_events(&self, events: usize, deadline: Duration) -> String {
        let done = |m: &str| {
            let lines = m.lines().filter(|l| l.starts_with("firewatch_records_total{"));
            lines.filter(|l| l.contains("stream=\"events\"")).map(metric_value).sum::<f64>() >= events as f64
        };
        self.wait_for("/metrics", deadline, done)
    }

    /// Returns the user and system CPU time of all threads of the process.
    ///
    /// # Panics
    /// When `/proc` is not available; only Linux has it.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        // After the name in parentheses, user and system time are fields 12 and 13, in units of 10 ms.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
        Duration::from_millis(fields.filter_map(|f| f.parse::<u64>().ok()).sum::<u64>() * 10)
    }

    /// Returns the partitions that the process owns.
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
