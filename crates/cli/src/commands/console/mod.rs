//! `firewatch console`: the page for PR and support teams, fed from the topics.

mod notify;
mod reader;
mod tools;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use firewatch_console::notify::{Outbox, Sender};
use firewatch_console::store::{Positions, Store, StoreError};
use firewatch_console::web::{Clock, Console, Gate, routes};
use firewatch_console::{ConsoleSettings, SignIn};
use firewatch_http::{Listening, listen};
use firewatch_kafka::{KafkaSettings, RunError, Tail, Topics, ends_of};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::args::ConsoleOptions;
use crate::shell::{Failure, say};
use crate::{clock, config, process};

pub use notify::notify;

use reader::{Logs, Reader};

/// Wait before it is looked again whether something is to be sent.
const LOOK: Duration = Duration::from_millis(500);
/// How often what was sent long ago is forgotten, in looks.
const FORGET: u64 = 7200;

/// What a console is fed from.
pub struct Source<'a> {
    pub kafka: &'a KafkaSettings,
    pub topics: &'a Topics,
    pub teams: Vec<&'a str>,
    pub clock: Clock,
}

/// A console that serves, with the thread that feeds it.
pub struct Serving {
    /// Where people reach it.
    pub url: String,
    /// Where it listens.
    pub at: SocketAddr,
    pub fed: JoinHandle<Result<(), Failure>>,
}

/// Serves until told to stop.
pub fn console(options: &ConsoleOptions) -> Result<(), Failure> {
    let config = config::load(&options.config, std::env::vars())?;
    let mut settings = config.console;
    settings.listen = options.listen.unwrap_or(settings.listen);
    settings.database = options.database.clone().unwrap_or(settings.database);
    settings.is_safe().map_err(|problem| Failure::setting("--listen", problem))?;
    let (runtime, stop) = process::start()?;
    let teams = config.brain.policy.team_names();
    let source = Source { kafka: &config.kafka, topics: &config.topics, teams, clock: Arc::new(clock::now) };
    let serving = start(&runtime, &source, (&settings, options.rebuild), stop)?;
    say(format_args!("the console is at {}/, listening at {}\n", serving.url, serving.at));
    let done = serving.fed.join().map_err(|_| Failure::Running("the console's reader broke down".into()))?;
    runtime.shutdown_background();
    done
}

/// Starts to serve until told to stop; `anew`: with a projection that is built again.
pub fn start(
    runtime: &Runtime,
    source: &Source<'_>,
    (settings, anew): (&ConsoleSettings, bool),
    stop: Arc<AtomicBool>,
) -> Result<Serving, Failure> {
    let listening = runtime.block_on(listen(settings.listen, settings.tls.as_ref()));
    let listening =
        listening.map_err(|e| Failure::setting(&format!("console.{}", e.setting()), e))?;
    let url = settings.url.clone().unwrap_or_else(|| format!("http://{}", listening.at));
    let at = listening.at;
    let logs = Logs::of(source);
    let names = logs.names();
    let ends = ends_of(source.kafka, &names).map_err(broken)?;
    let opened = runtime.block_on(open(settings, (&url, anew), &ends));
    let (store, outbox) = opened.map_err(|e| Failure::setting("console.database", e))?;
    let sender = Sender::new(&settings.channels).map_err(|e| Failure::running("notifications", e))?;
    let (tell, changed) = watch::channel(runtime.block_on(store.seq()).map_err(database)?);
    let people = runtime.block_on(store.people()).map_err(database)?;
    if settings.sign_in == SignIn::Local {
        let token = runtime.block_on(people.first_token((source.clock)())).map_err(database)?;
        if let Some(token) = token {
            say(format_args!("nobody has an account yet; make the first at {url}/set-up?token={token}\n"));
        }
    }
    let console = Console {
        store: store.clone(),
        people,
        gate: Gate::new(settings).map_err(|e| Failure::running("console", e))?,
        changed,
        told: (outbox.clone(), sender.clone()),
        tools: tools::tools(source)?,
        teams: source.teams.iter().map(|team| (*team).to_owned()).collect(),
    };
    serve(runtime, listening, console);
    if !settings.channels.is_empty() {
        runtime.spawn(keep_sending(outbox, sender));
    }
    let positions = runtime.block_on(store.positions()).map_err(database)?;
    let tail = Tail::from(source.kafka, &names, &positions).map_err(broken)?;
    let clock = source.clock.clone();
    let reader = Reader { runtime: runtime.handle().clone(), store, tail, logs, clock };
    let fed = std::thread::spawn(move || reader.follow(&stop, &|seq| _ = tell.send(seq)));
    Ok(Serving { url, at, fed })
}

async fn open(
    settings: &ConsoleSettings,
    (url, anew): (&str, bool),
    ends: &Positions,
) -> Result<(Store, Outbox), StoreError> {
    let store = Store::open(&settings.database).await?;
    if anew {
        store.empty().await?;
    }
    store.with_channels((&settings.channels, url), ends).await
}

fn serve(runtime: &Runtime, listening: Listening, console: Console) {
    runtime.spawn(async move {
        if let Err(e) = listening.serve(routes(console)).await {
            eprintln!("firewatch: the console does not listen any more: {e}");
        }
    });
}

/// Sends what is to be told, as it comes.
async fn keep_sending(outbox: Outbox, sender: Sender) {
    for look in 0_u64.. {
        match outbox.send_due(&sender, clock::now).await {
            Ok(sent) if sent > 0 => continue,
            Ok(_) => {}
            Err(e) => eprintln!("firewatch: {e}"),
        }
        if look % FORGET == 0
            && let Err(e) = outbox.forget(clock::now()).await
        {
            eprintln!("firewatch: {e}");
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
fn broken(e: RunError) -> Failure {
    Failure::Running(e.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
fn database(e: StoreError) -> Failure {
    Failure::Running(e.to_string())
}
