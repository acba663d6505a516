//! The fault suite. It feeds a stream to three instances on three brokers while they are killed, frozen,
//! restarted and moved, then runs the same input undisturbed and compares every output.
//!
//! `./dev faults` takes three quarters of an hour, with `--short` under five minutes. `--seed N` repeats the
//! random draws, not the timing. `--only FAULT`, `--times N` and `--rate RECORDS_PER_SECOND` choose what
//! runs. `--at-least-once` turns transactions off; the suite must then find lost, doubled or changed records.

mod faults;
mod feeder;
mod stream;
mod verdict;
mod watch;
mod world;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use faults::{ALL, Fault, Moment, OBSERVATION_TIME};
use feeder::{Fed, Pace};
use firewatch_escalation::{PR, SUPPORT};
use firewatch_kafka::Guarantee;
use firewatch_tests::{can_run_kafka, root};
use verdict::{Row, Verdict};
use watch::Outputs;
use world::{PARTITIONS, World};

/// Outputs are complete when none has arrived for this long and no record waits.
const CALM_PERIOD: Duration = Duration::from_secs(6);

/// What one run injects, and how.
struct Plan {
    /// Faults, and how often each is injected.
    faults: Vec<(Fault, usize)>,
    pace: Pace,
    guarantee: Guarantee,
    name: &'static str,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let has = |flag: &str| args.iter().any(|a| a == flag);
    let value = |flag: &str| args.iter().position(|a| a == flag).and_then(|i| args.get(i + 1));
    if !can_run_kafka() {
        return ExitCode::SUCCESS;
    }
    let seed = value("--seed").and_then(|s| s.parse().ok()).unwrap_or_else(|| fastrand::u64(0..1_000_000));
    let long = has("--long");
    let only = value("--only").map(String::as_str);
    let chosen = ALL.into_iter().filter(|f| only.is_none_or(|o| format!("{f:?}").eq_ignore_ascii_case(o)));
    let given = value("--times").and_then(|n| n.parse().ok());
    let times = |fault: Fault| match (given, long, fault.is_of_brokers()) {
        (Some(times), ..) => times,
        (None, true, false) => 20,
        (None, true, true) => 10,
        (None, false, _) => 1,
    };
    let faults: Vec<(Fault, usize)> = chosen.map(|fault| (fault, times(fault))).collect();
    let guarantee = if has("--at-least-once") { Guarantee::AtLeastOnce } else { Guarantee::ExactlyOnce };
    let usual = if long { 600.0 } else { 1000.0 };
    let per_second = value("--rate").and_then(|n| n.parse().ok()).unwrap_or(usual);
    let pace = Pace { per_second, seed };
    println!("seed {seed}");
    let caught = if only.is_none() && guarantee == Guarantee::ExactlyOnce {
        println!("control run with transactions off, which must fail:");
        let faults = vec![(Fault::Zombie, 2), (Fault::Both, 1)];
        run(&Plan { faults, pace, guarantee: Guarantee::AtLeastOnce, name: "proof" }).faults() > 0
    } else {
        true
    };
    let verdict = run(&Plan { faults, pace, guarantee, name: "faults" });
    let found = verdict.faults();
    let ok = found == 0 && caught;
    if !caught {
        println!("the control run found no fault, so this run proves nothing");
    }
    let events: u64 = verdict.rows.iter().map(|row| row.events).sum();
    let injected: usize = verdict.rows.iter().map(|row| row.injected).sum();
    println!(
        "{}: {injected} faults in {events} events, {} outputs compared, {found} lost, doubled or changed; seed {seed}",
        if ok { "ok" } else { "FAILED" },
        verdict.compared
    );
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Ends the suite, with the name of the step, when a step takes far too long. A client that hangs when it is closed could
/// not be waited for otherwise.
struct Watchdog(Arc<Mutex<Option<(Instant, String)>>>);

impl Watchdog {
    /// Longest time of one step.
    const STEP_DEADLINE: Duration = Duration::from_secs(600);

    fn start() -> Self {
        let last = Arc::new(Mutex::new(Some((Instant::now(), "start".to_owned()))));
        let watched = last.clone();
        std::thread::spawn(move || {
            loop {
                // The lock is free again before the wait.
                let last = watched.lock().expect("the last step").clone();
                let Some((at, step)) = last else { return };
                if at.elapsed() > Self::STEP_DEADLINE {
                    eprintln!("nothing has happened for {} s since: {step}", Self::STEP_DEADLINE.as_secs());
                    std::process::exit(1);
                }
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        Self(last)
    }

    fn step(&self, step: &str) {
        *self.0.lock().expect("the last step") = Some((Instant::now(), step.to_owned()));
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        *self.0.lock().expect("the last step") = None;
    }
}

/// Stops the feeder and the reader when dropped, also after a panic: the thread scope waits for both.
struct StopOnDrop<'a>([&'a AtomicBool; 2]);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|flag| flag.store(true, Ordering::Relaxed));
    }
}

/// Runs a plan and compares its outputs with those of an undisturbed run.
fn run(plan: &Plan) -> Verdict {
    let start = Instant::now();
    let watchdog = Watchdog::start();
    let log = |what: &str| {
        watchdog.step(what);
        eprintln!("{:6.1} s  {what}", start.elapsed().as_secs_f64());
    };
    let folder = root().join("target/faults").join(plan.name);
    let _ = std::fs::remove_dir_all(&folder);
    let mut world = World::new(folder, 29092, plan.pace.seed, plan.guarantee);
    log("three instances on three brokers are ready");
    let fed = Fed::default();
    let over = AtomicBool::new(false);
    let (settings, topics) = (world.settings.clone(), world.topics.clone());
    let mut rows = Vec::new();
    let (mut stayed, mut undisturbed) = (Vec::new(), Vec::new());
    let mut phases = Vec::new();
    let faulted = std::thread::scope(|scope| {
        let _ends = StopOnDrop([&fed.stop, &over]);
        let feeder = scope.spawn(|| feeder::feed(&settings, &topics, PARTITIONS, plan.pace, &fed));
        let reader = scope.spawn(|| Outputs::read(&settings, &topics, &[PR, SUPPORT], &over, CALM_PERIOD));
        for (phase, (fault, times)) in plan.faults.iter().enumerate() {
            fed.phase.store(phase, Ordering::Relaxed);
            let begin = Instant::now();
            let mut missed = 0;
            for i in 0..*times {
                let injected = fault.inject(&mut world);
                missed += usize::from(injected.missed);
                stayed.extend(injected.stayed);
                undisturbed.extend(injected.undisturbed);
                log(&format!("{} {}/{times}", fault.name(), i + 1));
            }
            phases.push((begin, Instant::now()));
            rows.push(Row {
                fault: *fault,
                injected: *times,
                missed,
                events: 0,
                lost: 0,
                doubled: 0,
                changed: 0,
                longest_pause: Duration::ZERO,
            });
        }
        fed.stop.store(true, Ordering::Relaxed);
        feeder.join().expect("the feeder");
        log("all records are fed; waiting for the last outputs");
        wait_for_no_lag(&world.instances);
        log("no record waits any more");
        over.store(true, Ordering::Relaxed);
        reader.join().expect("the reader")
    });
    log("outputs are complete; stopping the instances");
    for instance in &mut world.instances {
        // The client can hang when all leave at once; the process then ends by force, and nothing is lost.
        if !instance.stop() {
            log(&format!("ended by force; see {}", instance.log.display()));
        }
    }
    log("starting the undisturbed run");
    let quiet = quiet_run(&world);
    log(&format!("{} outputs; comparing", quiet.read));
    let records = fed.records.lock().expect("counts").clone();
    for (row, ((begin, end), events)) in rows.iter_mut().zip(phases.iter().zip(records)) {
        row.events = events;
        let within = faulted.pauses.iter().filter(|(at, ..)| at >= begin && at <= end);
        row.longest_pause = within.map(|(_, pause, _)| *pause).max().unwrap_or_default();
    }
    print_pauses("undisturbed", &undisturbed, &faulted);
    print_pauses("partitions that stayed while an instance joined or left", &stayed, &faulted);
    let verdict = Verdict::compare(rows, &fed.begins.lock().expect("beginnings"), &quiet, &faulted);
    println!("{verdict}");
    verdict
}

fn wait_for_no_lag(instances: &[firewatch_tests::Instance]) {
    let start = Instant::now();
    let mut none_since = None;
    while none_since.is_none_or(|since: Instant| since.elapsed() < Duration::from_secs(3)) {
        assert!(start.elapsed() < Duration::from_secs(300), "records are still waiting");
        none_since = match World::lag(instances) {
            Some(0) => none_since.or(Some(Instant::now())),
            _ => None,
        };
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn quiet_run(world: &World) -> Outputs {
    let (instance, topics) = world.quiet_run();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader =
            scope.spawn(|| Outputs::read(&world.settings, &topics, &[PR, SUPPORT], &over, CALM_PERIOD));
        let instances = [instance];
        instances[0].wait_for("/readyz", Duration::from_secs(60), |a| a.starts_with("HTTP/1.1 200"));
        wait_for_no_lag(&instances);
        over.store(true, Ordering::Relaxed);
        reader.join().expect("the reader")
    })
}

/// Prints the median and longest time that partitions were silent after these moments.
fn print_pauses(what: &str, moments: &[Moment], outputs: &Outputs) {
    let longest = |from: Instant, partition: u32| {
        let near = outputs.pauses.iter().filter(|(end, pause, own)| {
            *own == partition && *end > from && *end - *pause < from + OBSERVATION_TIME
        });
        near.map(|(_, pause, _)| *pause).max().unwrap_or_default()
    };
    let of = |(from, all): &Moment| all.iter().map(|p| longest(*from, *p)).collect::<Vec<_>>();
    let mut pauses: Vec<Duration> = moments.iter().flat_map(of).collect();
    pauses.sort_unstable();
    let Some(worst) = pauses.last() else { return };
    println!(
        "longest pause within {} s, {what}: median {} ms, maximum {} ms, n = {}",
        OBSERVATION_TIME.as_secs(),
        pauses[pauses.len() / 2].as_millis(),
        worst.as_millis(),
        pauses.len(),
    );
}
