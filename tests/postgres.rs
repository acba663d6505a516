//! The console on PostgreSQL over TLS: two consoles share one database and give the same responses as on
//! SQLite.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use firewatch_console::people::{CodeCheck, Role, time_step};
use firewatch_console::store::Store;
use firewatch_domain::{Duration, EventTime};
use firewatch_tests::console::{ConsoleSetup, PASSWORD, WAIT_DEADLINE};
use firewatch_tests::root;
use serde_json::{Value, json};

/// A PostgreSQL server with a folder of its own. Prints a notice and is absent where PostgreSQL is not
/// installed.
struct Server {
    child: Child,
    port: u16,
    bin: PathBuf,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a PostgreSQL command that does not run as root.
fn command(bin: &Path, name: &str) -> Command {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n");
    let path = bin.join(name);
    if is_root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(path);
        return command;
    }
    Command::new(path)
}

fn serve(bin: &Path, folder: &Path, port: u16) -> Child {
    let mut server = command(bin, "postgres");
    let (crt, key) = (folder.join("server.crt"), folder.join("server.key"));
    server
        .arg("-D")
        .arg(folder.join("data"))
        .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k"])
        .arg(folder);
    server.args(["-c", "ssl=on", "-c", &format!("ssl_cert_file={}", crt.display())]);
    server.args(["-c", &format!("ssl_key_file={}", key.display())]);
    server.spawn().unwrap()
}

impl Server {
    fn start() -> Option<Self> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut bins: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
        bins.retain(|bin| bin.join("postgres").exists());
        bins.sort();
        let Some(bin) = bins.pop() else {
            assert!(
                std::env::var_os("FIREWATCH_REQUIRE_POSTGRES").is_none(),
                "FIREWATCH_REQUIRE_POSTGRES is set, but there is no PostgreSQL"
            );
            eprintln!("SKIPPED: no PostgreSQL; sudo apt-get install postgresql");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        for (file, of) in [("server.crt", "tls-test-certificate.pem"), ("server.key", "tls-test-key.pem")] {
            std::fs::copy(root().join("tests/data").join(of), folder.path().join(file)).unwrap();
        }
        let key = folder.path().join("server.key");
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        // The server's own user needs access to its folder.
        let _ = Command::new("chown").args(["-R", "postgres"]).arg(folder.path()).status();
        let data = folder.path().join("data");
        let made = command(&bin, "initdb")
            .args(["--no-sync", "-A", "trust", "-U", "firewatch", "-D"])
            .arg(&data)
            .output();
        let made = made.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = serve(&bin, folder.path(), port);
        let server = Self { child, port, bin, folder };
        server.wait_until_ready();
        Some(server)
    }

    fn wait_until_ready(&self) {
        let start = std::time::Instant::now();
        let is_ready = || {
            let port = self.port.to_string();
            let ready = command(&self.bin, "pg_isready").args(["-h", "127.0.0.1", "-p", &port]).output();
            ready.is_ok_and(|out| out.status.success())
        };
        while !is_ready() {
            assert!(start.elapsed() < WAIT_DEADLINE, "PostgreSQL did not start");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn start_again(&mut self) {
        // The remains of a killed server block the next one for a moment.
        self.child = serve(&self.bin, self.folder.path(), self.port);
        self.wait_until_ready();
    }

    fn url(&self) -> String {
        format!("postgres://firewatch@127.0.0.1:{}/postgres?sslmode=require", self.port)
    }
}

fn ids(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["record"]["escalation"].as_str().unwrap()).collect()
}

#[test]
fn two_consoles_share_a_database_and_both_get_every_change_once() {
    let Some(mut server) = Server::start() else { return };
    let hook = "[notifications.pr]\nkind = \"slack\"\nurl = \"https://127.0.0.1:1/\"\n";
    let mut setup = ConsoleSetup::new(&format!("sign_in = \"local\"\n{hook}"));
    setup.arguments = ["--database", &server.url(), "--listen", "127.0.0.1:0"].map(str::to_owned).to_vec();
    let mut one = setup.start();
    one.set_up("kim");
    let mut two = setup.start();
    assert_eq!(two.token, None, "the account exists already");
    // A session is valid on both consoles.
    (two.cookie, two.csrf) = (one.cookie.clone(), one.csrf.clone());
    let (mut first, mut second) = (one.changes("x-none: 1"), two.changes("x-none: 1"));
    for i in 0..20 {
        setup.escalate(&format!("e{i:02}"), 0, &json!({ "risk": 50 - i, "excerpt": format!("number {i}") }));
    }
    let mut received = Vec::new();
    for changes in [&mut first, &mut second] {
        let mut seen: Vec<(String, String)> = (0..20)
            .map(|_| {
                let (seq, change) = changes.next_change();
                (seq, change["record"]["escalation"].as_str().unwrap().to_owned())
            })
            .collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 20, "{seen:?}");
        received.push(seen);
    }
    assert_eq!(received[0], received[1], "both consoles number changes alike");
    assert_eq!(one.act("k", &json!({ "conversation": "c-e03", "kind": "acknowledge" })).status, 202);
    for changes in [&mut first, &mut second] {
        let (_, change) = changes.next_change();
        assert_eq!((&change["record"]["escalation"], &change["taken_by"]), (&"e03".into(), &"kim".into()));
    }
    let list = two.get("/api/escalations?most=7").json();
    assert_eq!(ids(&list), ["e00", "e01", "e02", "e03", "e04", "e05", "e06"]);
    let next = two.get(&format!("/api/escalations?most=7&after={}", list["next"].as_str().unwrap())).json();
    assert_eq!(ids(&next)[0], "e07");
    assert_eq!(ids(&two.get("/api/escalations?owner=kim&text=NUMBER").json()), ["e03"]);
    for path in ["/", "/escalations/e03", "/wall", "/people", "/notifications", "/audit"] {
        assert_eq!(two.get(path).status, 200, "{path}");
    }
    // Each notification is queued once, and waits because its address does not respond.
    let _ = two.wait_for("/api/notifications", "\"waiting\":20");
    drop(one);
    setup.arguments.push("--rebuild".into());
    let mut again = setup.start();
    (again.cookie, again.csrf) = (two.cookie.clone(), two.csrf.clone());
    let _ = again.wait_for("/api/escalations?owner=kim", "c-e03");
    // The rebuild reads the topics batch by batch.
    let start = std::time::Instant::now();
    while ids(&again.get("/api/escalations?most=50").json()).len() < 20 {
        assert!(start.elapsed() < std::time::Duration::from_secs(20), "the rebuild is not complete");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(ids(&again.get("/api/escalations?most=50").json()).len(), 20);
    // Nothing is lost while the database is away, and the console recovers by itself.
    drop(two);
    server.kill();
    setup.escalate("late", 0, &json!({ "excerpt": "while it was away" }));
    assert_eq!(again.get("/healthz").status, 500);
    server.start_again();
    let _ = again.wait_for("/api/escalations", "while it was away");
}

#[test]
fn the_second_factor_works_as_on_sqlite() {
    let Some(server) = Server::start() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let people = Store::open(&server.url()).await.unwrap().people().await.unwrap();
        let now = EventTime::from_millis(1_800_000_000_000);
        let link = people.invite("kim", &[Role::Viewer], now).await.unwrap();
        people.accept(&link, "", PASSWORD.into(), now).await.unwrap().unwrap();
        let session = people.begin_session("kim", "", now).await.unwrap();
        let _ = people.start_enrolment("kim", now).await.unwrap().unwrap();
        let secret = people.start_enrolment("kim", now).await.unwrap().unwrap();
        assert!(people.enrolment("kim", now).await.unwrap().is_some_and(|kept| kept == secret));
        let code = |off| secret.code(time_step(now) + off);
        let recovery = people.finish_enrolment("kim", &session, &code(-1), now).await.unwrap().unwrap();
        assert!(people.start_enrolment("kim", now).await.unwrap().is_none());
        assert!(people.accounts().await.unwrap()[0].second_factor);
        let check = async |code: &str| people.check_code("kim", code, now).await.unwrap();
        assert_eq!(check(&code(0)).await, CodeCheck::Right);
        assert_eq!(check(&code(0)).await, CodeCheck::UsedBefore);
        assert_eq!(check(&recovery[0]).await, CodeCheck::RecoveryCode(9));
        assert_eq!(check(&recovery[0]).await, CodeCheck::Wrong);
        for _ in 0..8 {
            assert_eq!(check("none").await, CodeCheck::Wrong);
        }
        assert_eq!(check(&code(1)).await, CodeCheck::TooMany);
        let mut waiting = String::new();
        for _ in 0..7 {
            waiting = people.begin_code_step("kim", "", now).await.unwrap();
        }
        assert_eq!(people.code_step(&waiting, "", now).await.unwrap().as_deref(), Some("kim"));
        for is_tried in [true, true, true, true, true, false] {
            assert_eq!(people.count_try(&waiting).await.unwrap(), is_tried);
        }
        assert!(people.end_code_step(&waiting).await.unwrap());
        let later = now + Duration::from_mins(20);
        assert!(!people.has_fresh_proof(&session, later).await.unwrap());
        for _ in 0..2 {
            people.note_proof(&session, later).await.unwrap();
        }
        assert!(people.has_fresh_proof(&session, later).await.unwrap());
        people.turn_off_second_factor("kim", &session).await.unwrap();
        assert!(people.holds_session(&session, now).await.unwrap());
        assert!(!people.reset_second_factor("kim").await.unwrap());
        assert!(!people.holds_session(&session, now).await.unwrap());
        assert!(people.remove("kim").await.unwrap());
    });
}
