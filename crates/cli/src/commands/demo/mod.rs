//! `firewatch demo`: runs the product on an embedded broker, fed from a recording.
//!
//! One thread plays the recording at its pace, one runs the engine on Kafka as in production, and one updates
//! the console. The main thread reads the teams' topics as a team would and prints what arrives.

mod summary;

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration as Wait;

use firewatch_console::ConsoleSettings;
use firewatch_domain::{Duration, Escalation, EscalationChange, Event, EventTime, ReasonKind};
use firewatch_escalation::{PR, SUPPORT};
use firewatch_ingest::decode_event;
use firewatch_kafka::{
    EmbeddedBroker, Guarantee, KafkaSettings, RecordProducer, RunError, Runner, TopicTail, Topics,
};
use firewatch_telemetry::{EngineMetrics, Metrics};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::DemoOptions;
use crate::commands::console::{self, ConsoleInput};
use crate::common::{Failure, load_ruleset, print_stdout};
use crate::{clock, process};
use summary::DemoSummary;

/// An hour of mentions of an insurer, as JSON lines.
pub const RECORDING: &str = include_str!("../../../../../demo/recording.jsonl");
/// Longest wait for the next escalation before the progress is updated.
const ESCALATION_POLL_TIMEOUT: Wait = Wait::from_millis(100);

/// Plays the recording and prints the escalations to the teams.
pub fn demo(options: &DemoOptions) -> Result<(), Failure> {
    if options.events {
        print_stdout(RECORDING);
        return Ok(());
    }
    let (runtime, stop) = process::start(None)?;
    let ruleset = Arc::new(load_ruleset(None)?);
    let topics = Topics::default();
    let teams = [PR, SUPPORT];
    let broker = EmbeddedBroker::start(&topics, &teams, options.partitions).map_err(kafka_failure)?;
    let mut settings = KafkaSettings::local(&broker.bootstrap_servers(), "firewatch-demo");
    // The mock broker answers a fetch without records only when its wait is over.
    settings.consumer.push(("fetch.wait.max.ms".into(), "20".into()));
    // The mock broker has no transactions.
    settings.guarantee = Guarantee::AtLeastOnce;
    print_stdout(format_args!(
        "Embedded Kafka at {}; topics {}\n",
        settings.brokers,
        topics.all(&teams).join(", ")
    ));

    let metrics = Metrics::new().map_err(|e| Failure::running("metrics", e))?.engine;
    let redaction = ruleset.redaction();
    let runner = Runner::new(settings.clone(), topics.clone(), ruleset, metrics.clone(), clock::now);
    let escalations =
        TopicTail::new(&settings, &teams.map(|t| topics.team_topic(t))).map_err(kafka_failure)?;
    let producer = RecordProducer::new(&settings).map_err(kafka_failure)?;

    let playback_clock = Arc::new(PlaybackClock::default());
    let time = playback_clock.clone();
    let clock = Arc::new(move || time.now());
    let source = ConsoleInput { kafka: &settings, topics: &topics, teams: teams.to_vec(), redaction, clock };
    let file = std::env::temp_dir().join(format!("firewatch-demo-{}.db", std::process::id()));
    let database = format!("sqlite://{}", file.display());
    let closed = if options.stay { stop.clone() } else { Arc::default() };
    let local = ConsoleSettings::local(options.listen, database);
    let serving = console::start(&runtime, &source, &local, false, closed.clone())?;
    print_stdout(format_args!("the console is at {}/\n", serving.url));

    let play = DemoRun { options, metrics, stop, playback_clock };
    let summary = play.run(&runner, &producer, &escalations, &topics.events)?;
    print_stdout(&summary);
    if options.stay {
        print_stdout(format_args!(
            "the console stays at {}/ until you stop the demo; the engine has ended, so actions have no effect\n",
            serving.url
        ));
    } else {
        closed.store(true, Ordering::Relaxed);
    }
    let done =
        serving.updater.join().map_err(|_| Failure::Running("the console's updater panicked".into()))?;
    runtime.shutdown_background();
    // The database was temporary; SQLite's journal files go with it.
    for ending in ["db", "db-wal", "db-shm"] {
        let _ = std::fs::remove_file(file.with_extension(ending));
    }
    done
}

struct DemoRun<'a> {
    options: &'a DemoOptions,
    metrics: EngineMetrics,
    stop: Arc<AtomicBool>,
    playback_clock: Arc<PlaybackClock>,
}

impl DemoRun<'_> {
    fn run(
        &self,
        runner: &Runner,
        producer: &RecordProducer,
        escalations: &TopicTail,
        events: &str,
    ) -> Result<DemoSummary, Failure> {
        let start = clock::now();
        let is_input_complete = AtomicBool::new(false);
        let is_engine_done = AtomicBool::new(false);
        let mut summary = DemoSummary::default();
        let screen = DemoScreen::new(self.options.plain);
        thread::scope(|scope| {
            let (hang_up, hung_up) = channel::<()>();
            let feeder = scope.spawn(|| {
                let pause = InterruptibleWait(hung_up);
                let done = play(producer, events, self.options, &pause, &self.playback_clock);
                is_input_complete.store(true, Ordering::Relaxed);
                done
            });
            let engine = scope.spawn(|| {
                let done = runner.run_to_end(&is_input_complete, &self.stop).map(|()| runner.conversations());
                is_engine_done.store(true, Ordering::Relaxed);
                done
            });
            let mut hang_up = Some(hang_up);
            while !(is_engine_done.load(Ordering::Relaxed)
                && summary.records() >= self.metrics.effects_written("escalation"))
            {
                if let Some(escalation) = next_escalation(escalations)? {
                    screen.show_escalation(&escalation);
                    summary.record(escalation);
                }
                if self.stop.load(Ordering::Relaxed) {
                    hang_up = None;
                }
                screen.progress(&self.metrics, start);
            }
            drop(hang_up);
            screen.finish();
            let records = join(feeder)?.map_err(kafka_failure)?;
            summary.close(
                records,
                join(engine)?.map_err(kafka_failure)?,
                &self.metrics,
                clock::now() - start,
            );
            Ok(summary)
        })
    }
}

/// Counts of what the demo played.
#[derive(Debug, Default, Clone, Copy)]
pub struct Played {
    /// Lines written.
    pub lines: u64,
    /// Posts among them, without repeats.
    pub posts: u64,
}

/// A wait that ends early when the demo is stopped.
struct InterruptibleWait(Receiver<()>);

impl InterruptibleWait {
    /// Waits and returns whether to go on.
    fn wait(&self, millis: i64) -> bool {
        match self.0.recv_timeout(Wait::from_millis(millis.max(0) as u64)) {
            Err(RecvTimeoutError::Timeout) => true,
            Ok(()) | Err(RecvTimeoutError::Disconnected) => false,
        }
    }
}

/// The time of the recording: that of the last event written, plus the time since.
#[derive(Default)]
struct PlaybackClock {
    /// How far the recording is behind the present, milliseconds; 0 before the first event.
    behind: AtomicI64,
}

impl PlaybackClock {
    fn set(&self, at: EventTime) {
        self.behind.store((clock::now() - at).as_millis(), Ordering::Relaxed);
    }

    fn now(&self) -> EventTime {
        clock::now() - Duration::from_millis(self.behind.load(Ordering::Relaxed))
    }
}

/// Writes the requested minutes of the recording to the events topic, at a multiple of its pace.
fn play(
    producer: &RecordProducer,
    topic: &str,
    options: &DemoOptions,
    pause: &InterruptibleWait,
    playback_clock: &PlaybackClock,
) -> Result<Played, RunError> {
    let (start, speed) = (clock::now(), options.speed);
    let minutes = Duration::from_mins(i64::from(options.minutes));
    let mut first = None;
    let mut played = Played::default();
    let mut posts = BTreeSet::new();
    for line in RECORDING.lines() {
        let event = decode_event(line.as_bytes(), None, start).ok();
        if let Some(at) = event.as_ref().map(|e| e.at) {
            let since = at - *first.get_or_insert(at);
            if since > minutes {
                break;
            }
            let due = if speed > 0.0 { (since.as_millis() as f64 / speed) as i64 } else { 0 };
            let ahead = due - (clock::now() - start).as_millis();
            if ahead > 0 && !pause.wait(ahead) {
                break;
            }
        }
        producer.send(topic, event.as_ref().map(|e| e.conversation.as_str()), line.as_bytes(), &[])?;
        played.lines += 1;
        if let Some(event) = &event {
            playback_clock.set(event.at);
        }
        if let Some(Event { id, body: firewatch_domain::Body::Post(_), .. }) = event
            && posts.insert(id)
        {
            played.posts += 1;
        }
    }
    producer.flush()?;
    Ok(played)
}

fn next_escalation(escalations: &TopicTail) -> Result<Option<Escalation>, Failure> {
    let Some(record) = escalations.next(ESCALATION_POLL_TIMEOUT).map_err(kafka_failure)? else {
        return Ok(None);
    };
    let read = serde_json::from_slice(&record.value);
    read.map(Some).map_err(|e| Failure::running(&record.topic, e))
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> Result<T, Failure> {
    thread.join().map_err(|_| Failure::Running("a thread of the demo panicked".into()))
}

#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
fn kafka_failure(e: RunError) -> Failure {
    Failure::Running(e.to_string())
}

/// Shows escalations and progress while the recording plays: with a progress bar, or as plain lines.
struct DemoScreen(Option<ProgressBar>);

impl DemoScreen {
    fn new(plain: bool) -> Self {
        if plain || !std::io::stdout().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new(RECORDING.lines().count() as u64);
        let style = ProgressStyle::with_template("{bar:32} {pos}/{len} events  {msg}");
        Self(Some(style.map_or_else(|_| bar.clone(), |s| bar.clone().with_style(s))))
    }

    fn progress(&self, metrics: &EngineMetrics, start: EventTime) {
        let Some(bar) = &self.0 else { return };
        let read = metrics.records_read("events");
        let per_sec = read as f64 / (clock::now() - start).as_secs().max(0.1);
        bar.set_position(read);
        bar.set_message(format!("{per_sec:.0} events/s  lag {}", metrics.total_lag()));
    }

    fn show_escalation(&self, escalation: &Escalation) {
        match &self.0 {
            Some(bar) => bar.println(describe_escalation(escalation)),
            None => print_stdout(describe_escalation(escalation) + "\n"),
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Formats an escalation for a person: PR's with a line for each reason, support's in one line.
fn describe_escalation(e: &Escalation) -> String {
    let time = e.at.to_string();
    let time = time.get(11..19).unwrap_or_default();
    let level = e.level.to_string().to_uppercase();
    let what = match e.change {
        EscalationChange::Opened => level,
        EscalationChange::Grew => format!("{level}, growing"),
        EscalationChange::Raised => format!("now {level}"),
        EscalationChange::Moved => e.state.to_string(),
        EscalationChange::HandedOver => "handed over".into(),
        EscalationChange::Late => "overdue".into(),
        EscalationChange::Stalled => "stalled".into(),
        EscalationChange::Waits => "waiting".into(),
        EscalationChange::Silenced => "silenced".into(),
        EscalationChange::Refused => "refused".into(),
    };
    let members = e.members.map_or(String::new(), |n| format!(", {n} posts"));
    let head = format!("{time}  {:<8}{what:<14} {}{members}", e.team.to_uppercase(), e.conversation);
    if e.team == PR {
        let reasons = e.explanation().map(|r| format!("\n            - {r}"));
        let advice = e.advice.iter().map(|a| format!("\n            > {a}"));
        return head + &reasons.chain(advice).collect::<String>();
    }
    let of_post = || e.reasons.text_of(ReasonKind::Complaint);
    let why = e.happened.as_deref().or_else(of_post).unwrap_or_else(|| e.reasons.decisive());
    format!("{head}  {why}")
}
