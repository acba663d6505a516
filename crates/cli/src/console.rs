//! `firewatch console`: the page for PR and support teams, fed from the topics.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use firewatch_console::store::{Incoming, Kind, Store};
use firewatch_console::web::{Act, Console, routes};
use firewatch_domain::Action;
use firewatch_kafka::{Feed, KafkaSettings, Received, RunError, Tail, Topics};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;

use crate::args::ConsoleOptions;
use crate::shell::{Failure, count, say};
use crate::{clock, config, run};

/// Records of a batch, at most.
const BATCH: usize = 1_000;
/// Wait for a record before what is at hand is taken in.
const WAIT: Duration = Duration::from_millis(50);

/// What a console is fed from.
pub struct Source<'a> {
    pub kafka: &'a KafkaSettings,
    pub topics: &'a Topics,
    pub teams: Vec<&'a str>,
}

/// A console that serves, with the thread that feeds it.
pub struct Serving {
    pub at: SocketAddr,
    pub fed: JoinHandle<Result<(), Failure>>,
}

/// Serves until told to stop.
pub fn console(options: &ConsoleOptions) -> Result<(), Failure> {
    let config = config::load(&options.config, std::env::vars())?;
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = run::runtime()?;
    run::stop_on_signal(&runtime, stop.clone())?;
    let teams = config.brain.policy.team_names();
    let source = Source { kafka: &config.kafka, topics: &config.topics, teams };
    let serving = start(&runtime, &source, (options.listen, &options.database), stop)?;
    say(format_args!("the console is at http://{}/\n", serving.at));
    let done = serving.fed.join().map_err(|_| Failure::Running("the console's reader broke down".into()))?;
    runtime.shutdown_background();
    done
}

/// Starts to serve, at an address and from a database, until told to stop.
pub fn start(
    runtime: &Runtime,
    source: &Source<'_>,
    (listen, database): (SocketAddr, &str),
    stop: Arc<AtomicBool>,
) -> Result<Serving, Failure> {
    let store = runtime.block_on(Store::open(database)).map_err(|e| Failure::setting("--database", e))?;
    let (tell, changed) = watch::channel(0);
    let teams = source.teams.iter().map(|team| (*team).to_owned()).collect();
    let act = sender(source)?;
    let console = Console { store: store.clone(), changed, act, clock: clock::now, teams };
    let at = serve(runtime, listen, console)?;
    let logs = Logs::of(source);
    let positions = runtime.block_on(store.positions()).map_err(|e| Failure::Running(e.to_string()))?;
    let names: Vec<String> = logs.0.keys().cloned().collect();
    let tail = Tail::from(source.kafka, &names, &positions).map_err(|e| Failure::Running(e.to_string()))?;
    let reader = Reader { runtime: runtime.handle().clone(), store, tail, logs };
    let fed = std::thread::spawn(move || reader.follow(&stop, &|seq| _ = tell.send(seq)));
    Ok(Serving { at, fed })
}

fn serve(runtime: &Runtime, listen: SocketAddr, console: Console) -> Result<SocketAddr, Failure> {
    let bound = runtime.block_on(tokio::net::TcpListener::bind(listen));
    let listener = bound.map_err(|e| Failure::setting("--listen", format!("{listen}: {e}")))?;
    let at = listener.local_addr().map_err(|e| Failure::running("--listen", e))?;
    runtime.spawn(async move { axum::serve(listener, routes(console)).await });
    Ok(at)
}

/// Sends an action, and waits until the brokers have it.
fn sender(source: &Source<'_>) -> Result<Act, Failure> {
    let feed = Feed::new(source.kafka).map_err(|e| Failure::Running(e.to_string()))?;
    let topic = source.topics.actions.clone();
    Ok(Arc::new(move |action: &Action| {
        let value = serde_json::to_vec(action).map_err(|e| e.to_string())?;
        let sent = feed.send(&topic, Some(&action.conversation), &value, &[]);
        sent.and_then(|()| feed.flush()).map_err(|e| e.to_string())
    }))
}

/// The topics that are read, each with what its records are.
struct Logs(BTreeMap<String, Kind>);

impl Logs {
    fn of(source: &Source<'_>) -> Self {
        let names = source.topics;
        let teams = source.teams.iter().map(|team| (names.of_team(team), Kind::Escalation));
        let others = [(names.scores.clone(), Kind::Score), (names.actions.clone(), Kind::Action)];
        Self(teams.chain(others).collect())
    }

    fn incoming(&self, record: Received) -> Option<Incoming> {
        let Received { topic, partition, offset, value, .. } = record;
        Some(Incoming { kind: *self.0.get(&topic)?, topic, partition, offset, value })
    }
}

/// Who brings the topics' records into the projection.
struct Reader {
    runtime: Handle,
    store: Store,
    tail: Tail,
    logs: Logs,
}

impl Reader {
    /// Takes records in, batch by batch, until told to stop.
    fn follow(&self, stop: &AtomicBool, changed: &dyn Fn(i64)) -> Result<(), Failure> {
        while !stop.load(Ordering::Relaxed) {
            let batch = self.batch().map_err(|e| Failure::Running(e.to_string()))?;
            if batch.is_empty() {
                continue;
            }
            let taken = self.runtime.block_on(self.store.apply(&batch));
            let (seq, unread) = taken.map_err(|e| Failure::Running(e.to_string()))?;
            if unread > 0 {
                let what = count(unread, "record");
                eprintln!("firewatch: {what} of the topics cannot be read and are passed over");
            }
            changed(seq);
        }
        Ok(())
    }

    /// What is at hand, or comes soon.
    fn batch(&self) -> Result<Vec<Incoming>, RunError> {
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            let wait = if batch.is_empty() { WAIT } else { Duration::ZERO };
            let Some(record) = self.tail.next(wait)? else { break };
            batch.extend(self.logs.incoming(record));
        }
        Ok(batch)
    }
}
