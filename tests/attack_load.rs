//! Floods of requests without rights, on the running console and the running receiver of webhooks: memory stays flat, and
//! those who have a session or sign their requests are served.
//!
//! Short by default. `ATTACK_FORCE=full` runs the whole: 1,000 sign-ins a second from 1,000 addresses, and 10,000 slow
//! webhooks, each for a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use firewatch_tests::console::ConsoleSetup;
use firewatch_tests::{Cluster, Deployment, can_run_kafka};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const SECRET: &str = "a shared secret of the platform";
/// Longest wait of the attacked for an answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// How hard and how long an attack is.
struct Force {
    sign_ins_a_second: u64,
    slow_webhooks: usize,
    lasts: Duration,
}

fn force() -> Force {
    if std::env::var("ATTACK_FORCE").is_ok_and(|force| force == "full") {
        Force { sign_ins_a_second: 1000, slow_webhooks: 10_000, lasts: Duration::from_secs(60) }
    } else {
        Force { sign_ins_a_second: 300, slow_webhooks: 1500, lasts: Duration::from_secs(6) }
    }
}

/// What the attacked saw.
#[derive(Default)]
struct Served {
    statuses: Vec<u16>,
    waits: Vec<Duration>,
}

impl Served {
    fn report(&mut self, what: &str, more_mib: i64) {
        self.waits.sort_unstable();
        let at = |share: f64| self.waits.get((self.waits.len() as f64 * share) as usize).copied();
        println!(
            "{what}: {} requests, {} served, median {:?}, 99% {:?}, longest {:?}, {more_mib} MiB more",
            self.statuses.len(),
            self.statuses.iter().filter(|status| **status == 200).count(),
            at(0.5).unwrap_or_default(),
            at(0.99).unwrap_or_default(),
            self.waits.last().copied().unwrap_or_default()
        );
    }
}

/// Returns the memory of a process in MiB.
fn memory(process: u32) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<i64>().unwrap() >> 10
}

/// Sends a request over a connection of its own and returns the status of the answer; 0 if there was none.
async fn ask(address: &str, request: String) -> u16 {
    let answered = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut head = [0; 64];
        let length = stream.read(&mut head).await.ok()?;
        std::str::from_utf8(&head[..length]).ok()?.split(' ').nth(1)?.parse().ok()
    };
    tokio::time::timeout(ANSWER_DEADLINE, answered).await.ok().flatten().unwrap_or(0)
}

/// Asks again and again until the attack ends; returns what came, and the most memory that the process took.
async fn ask_while(
    is_over: &AtomicBool,
    process: u32,
    address: &str,
    request: impl Fn(u64) -> String,
) -> (Served, i64) {
    let (mut served, mut most, mut n) = (Served::default(), memory(process), 0);
    while !is_over.load(Ordering::Relaxed) {
        let start = Instant::now();
        served.statuses.push(ask(address, request(n)).await);
        served.waits.push(start.elapsed());
        most = most.max(memory(process));
        n += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (served, most)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_are_signed_in_are_served_while_a_thousand_addresses_try_to_sign_in() {
    let force = force();
    let setup = ConsoleSetup::new("sign_in = \"local\"\nproxy = true\nurl = \"https://fw.example\"\n");
    let mut console = setup.start();
    console.set_up("kim");
    let (address, process) = (console.address.trim_start_matches("http://").to_owned(), console.child.id());
    let before = memory(process);
    let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let attack = {
        let (is_over, answered, address) = (is_over.clone(), answered.clone(), address.clone());
        let every = Duration::from_secs(1) / u32::try_from(force.sign_ins_a_second).unwrap();
        tokio::spawn(async move {
            let mut clock = tokio::time::interval(every);
            clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
            for i in 0_u64.. {
                clock.tick().await;
                if is_over.load(Ordering::Relaxed) {
                    return i;
                }
                let body = format!("name=name{}&password=a+wrong+password", i % 5000);
                let from = format!("198.51.{}.{}", i % 4, (i / 4) % 250);
                let request = format!(
                    "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {from}\r\nConnection: close\r\n\
                     Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let (address, answered) = (address.clone(), answered.clone());
                tokio::spawn(async move {
                    answered.fetch_add(u64::from(ask(&address, request).await > 0), Ordering::Relaxed);
                });
            }
            0
        })
    };
    let end = is_over.clone();
    tokio::spawn(async move {
        tokio::time::sleep(force.lasts).await;
        end.store(true, Ordering::Relaxed);
    });
    let request = |_| {
        format!(
            "GET /api/escalations HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: {}\r\n\r\n",
            console.cookie
        )
    };
    let (mut served, most) = ask_while(&is_over, process, &address, request).await;
    let tried = attack.await.unwrap();
    println!("{tried} sign-ins tried, {} answered", answered.load(Ordering::Relaxed));
    served.report("signed-in people", most - before);
    assert!(served.statuses.len() > 10 && tried > 500);
    assert!(served.statuses.iter().all(|status| *status == 200), "{:?}", served.statuses);
    assert!(most - before < 120, "{} MiB more", most - before);
}

/// Opens a connection from an address of this machine, sends the beginning of a webhook, then a byte a second until the
/// connection ends.
async fn be_slow(address: std::net::SocketAddr, number: usize) {
    let from = format!("127.0.{}.{}:0", 1 + number % 200, 1 + (number / 200) % 250);
    let Ok(socket) = TcpSocket::new_v4() else { return };
    if socket.bind(from.parse().unwrap()).is_err() {
        return;
    }
    let Ok(mut stream) = socket.connect(address).await else { return };
    let head = "POST /hooks/facebook HTTP/1.1\r\nHost: localhost\r\nx-hub-signature-256: sha256=00\r\n\
                Content-Length: 900000\r\n\r\n{";
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    while stream.write_all(b" ").await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_webhooks_are_taken_while_thousands_of_slow_ones_are_open() {
    if !can_run_kafka() {
        return;
    }
    let force = force();
    let cluster = Cluster::start_up("attack", 29572, 1);
    let deployment = Deployment::new(&cluster.bootstrap_servers(), "attack", "[brands.northcare]\n");
    let at = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    deployment.configure(&format!(
        "[collect]\nlisten = \"{at}\"\n[sources.facebook]\n[sources.facebook.webhook]\nsecret = \"{SECRET}\"\n\
         verify_token = \"to verify\"\n"
    ));
    deployment.make_topics(1);
    let mut instance = deployment.serve("collect");
    let (address, process) = (at.to_string(), instance.id());
    let before = memory(process);
    let is_over = Arc::new(AtomicBool::new(false));
    let slow: Vec<_> = (0..force.slow_webhooks)
        .map(|number| {
            let is_over = is_over.clone();
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    be_slow(at, number).await;
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            })
        })
        .collect();
    let end = is_over.clone();
    tokio::spawn(async move {
        tokio::time::sleep(force.lasts).await;
        end.store(true, Ordering::Relaxed);
    });
    let request = |n: u64| {
        let body = format!("{{\"object\":\"page\",\"entry\":[{n}]}}");
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "POST /hooks/facebook HTTP/1.1\r\nHost: localhost\r\nx-hub-signature-256: sha256={hex}\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let (mut served, most) = ask_while(&is_over, process, &address, request).await;
    slow.into_iter().for_each(|task| task.abort());
    served.report("signed webhooks", most - before);
    assert!(served.statuses.len() > 10);
    assert!(served.statuses.iter().all(|status| *status == 200), "{:?}", served.statuses);
    assert!(most - before < 120, "{} MiB more", most - before);
    let stored = deployment.read("raw.facebook", served.statuses.len());
    assert_eq!(stored.len(), served.statuses.len(), "each is in Kafka once");
    assert!(instance.stop());
}
