//! `firewatch console`: serves the console for PR and support teams, fed from the topics.

mod first_account;
mod notify;
mod projection_updater;
mod tools;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use firewatch_console::notify::{Outbox, Sender};
use firewatch_console::store::{Store, StoreError, TopicPositions};
use firewatch_console::web::{Auth, Clock, Console, routes};
use firewatch_console::{ConsoleSettings, SignIn};
use firewatch_domain::Redaction;
use firewatch_http::{Listening, listen};
use firewatch_kafka::{KafkaSettings, RunError, TopicTail, Topics, fetch_end_offsets};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::args::ConsoleOptions;
use crate::common::{Failure, print_stdout};
use crate::{clock, config, process};

pub use first_account::{invite, reset_second_factor};
pub use notify::notify;

use projection_updater::{ProjectionTopics, ProjectionUpdater};

/// Wait between two checks of the outbox.
const SEND_INTERVAL: Duration = Duration::from_millis(500);
/// Checks of the outbox between two deletions of old sent notifications: about an hour while nothing is due.
const CHECKS_BETWEEN_CLEANUPS: u64 = 7200;

/// Where a console gets its records, its teams and its time.
pub struct ConsoleInput<'a> {
    pub kafka: &'a KafkaSettings,
    pub topics: &'a Topics,
    pub teams: Vec<&'a str>,
    /// Redaction of threads.
    pub redaction: Redaction,
    pub clock: Clock,
}

/// A running console, and the thread that updates its projection.
pub struct RunningConsole {
    /// URL that people open.
    pub url: String,
    /// Socket address that it listens on.
    pub address: SocketAddr,
    pub updater: JoinHandle<Result<(), Failure>>,
}

/// Serves the console until stopped.
pub fn console(options: &ConsoleOptions) -> Result<(), Failure> {
    let config = config::load(&options.config, std::env::vars())?;
    let mut settings = config.console;
    settings.listen = options.listen.unwrap_or(settings.listen);
    settings.database = options.database.clone().unwrap_or(settings.database);
    settings.is_safe().map_err(|problem| Failure::setting("--listen", problem))?;
    let (runtime, stop) = process::start(Some(&options.config))?;
    let teams = config.ruleset.policy.team_names();
    let source = ConsoleInput {
        kafka: &config.kafka,
        topics: &config.topics,
        teams,
        redaction: config.ruleset.redaction(),
        clock: Arc::new(clock::now),
    };
    let serving = start(&runtime, &source, &settings, options.rebuild, stop)?;
    print_stdout(format_args!("the console is at {}/, listening at {}\n", serving.url, serving.address));
    let done =
        serving.updater.join().map_err(|_| Failure::Running("the console's updater panicked".into()))?;
    runtime.shutdown_background();
    done
}

/// Starts a console that serves until `stop` is set; `rebuild` clears the projection first.
pub fn start(
    runtime: &Runtime,
    source: &ConsoleInput<'_>,
    settings: &ConsoleSettings,
    rebuild: bool,
    stop: Arc<AtomicBool>,
) -> Result<RunningConsole, Failure> {
    let listening = runtime.block_on(listen(settings.listen, settings.tls.as_ref()));
    let listening = listening.map_err(|e| Failure::setting(&format!("console.{}", e.setting()), e))?;
    let url = settings.url.clone().unwrap_or_else(|| format!("http://{}", listening.at));
    let at = listening.at;
    let topics = ProjectionTopics::new(source);
    let names = topics.names();
    let ends = fetch_end_offsets(source.kafka, &names).map_err(kafka_failure)?;
    let opened = runtime.block_on(open(settings, &url, rebuild, &ends));
    let (store, outbox) = opened.map_err(|e| Failure::setting("console.database", e))?;
    let sender = Sender::new(&settings.channels).map_err(|e| Failure::running("notifications", e))?;
    let (seq_sender, changed) = watch::channel(runtime.block_on(store.seq()).map_err(store_failure)?);
    let people = runtime.block_on(store.people()).map_err(store_failure)?;
    if settings.sign_in == SignIn::Local {
        let token = runtime.block_on(people.first_token((source.clock)())).map_err(store_failure)?;
        if let Some(token) = token {
            let file = first_account::write_link(&settings.folder, &format!("{url}/set-up#token={token}\n"))?;
            print_stdout(format_args!(
                "there is no account yet; the link to create the first, for an hour, is in {}\n",
                file.display()
            ));
        }
    }
    let console = Console {
        store: store.clone(),
        people,
        auth: Auth::new(settings).map_err(|e| Failure::running("console", e))?,
        changed,
        notifications: (outbox.clone(), sender.clone()),
        tools: tools::tools(source)?,
        teams: source.teams.iter().map(|team| (*team).to_owned()).collect(),
    };
    serve(runtime, listening, console);
    if !settings.channels.is_empty() {
        runtime.spawn(send_loop(outbox, sender, source.clock.clone()));
    }
    let positions = runtime.block_on(store.positions()).map_err(store_failure)?;
    let tail = TopicTail::resume(source.kafka, &names, &positions).map_err(kafka_failure)?;
    let clock = source.clock.clone();
    let updater = ProjectionUpdater { runtime: runtime.handle().clone(), store, tail, topics, clock };
    let updater = std::thread::spawn(move || updater.follow(&stop, &|seq| _ = seq_sender.send(seq)));
    Ok(RunningConsole { url, address: at, updater })
}

/// Opens the database and its outbox. With `rebuild` it first clears the projection, which spares accounts,
/// sessions, the audit trail and the notifications with the positions of their channels. `ends` holds the end
/// offsets of the topics: a new channel starts there, so that it sends nothing for old records.
async fn open(
    settings: &ConsoleSettings,
    url: &str,
    rebuild: bool,
    ends: &TopicPositions,
) -> Result<(Store, Outbox), StoreError> {
    let store = Store::open(&settings.database).await?;
    if rebuild {
        store.clear().await?;
    }
    store.with_channels(&settings.channels, url, ends).await
}

fn serve(runtime: &Runtime, listening: Listening, console: Console) {
    runtime.spawn(async move {
        if let Err(e) = listening.serve(routes(console)).await {
            tracing::error!("the console stopped listening: {e}");
        }
    });
}

/// Sends due notifications until the runtime stops, and deletes old sent ones about once an hour.
async fn send_loop(outbox: Outbox, sender: Sender, clock: Clock) {
    for round in 0_u64.. {
        match outbox.send_due(&sender, || clock()).await {
            // More may be due.
            Ok(sent) if sent > 0 => continue,
            Ok(_) => {}
            Err(e) => tracing::warn!("notifications: {e}"),
        }
        if round % CHECKS_BETWEEN_CLEANUPS == 0
            && let Err(e) = outbox.delete_sent(clock()).await
        {
            tracing::warn!("notifications: could not delete old ones: {e}");
        }
        tokio::time::sleep(SEND_INTERVAL).await;
    }
}

#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
fn kafka_failure(e: RunError) -> Failure {
    Failure::Running(e.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
fn store_failure(e: StoreError) -> Failure {
    Failure::Running(e.to_string())
}
