//! `firewatch collect`: payloads from the networks into raw topics, by webhooks and streams, until told to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use firewatch_http::{listen, serve_probes};
use firewatch_collect::{Troubles, Notice, Port, Putting, Raw, follow_jetstream, follow_mastodon, hooks};
use firewatch_telemetry::{CollectMetrics, Metrics};
use firewatch_kafka::{Acked, KafkaSettings, last_header};

use crate::shell::{Failure, say};
use crate::config::sources::{Collecting, Stream};
use crate::{clock, config, process};

/// The header in which a raw record tells where its stream goes on.
const CURSOR: &str = "firewatch_cursor";
/// How often to look whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Where the receiver of webhooks listens.
pub struct Door {
    /// The address.
    pub listen: SocketAddr,
    /// A certificate and its key.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// Collects until SIGINT or SIGTERM.
pub fn collect(path: &Path) -> Result<(), Failure> {
    let (runtime, stop) = process::start()?;
    let config = config::load(path, std::env::vars())?;
    let Collecting { door, hooked, streams } = config.collecting;
    if hooked.is_empty() && streams.is_empty() {
        return Err(Failure::setting(
            "sources",
            "none has a webhook or a stream; give a [sources.NAME.webhook] or [sources.NAME.stream] section",
        ));
    }
    let metrics = Metrics::new().map_err(|e| Failure::running("metrics", e))?;
    let troubles = Arc::new(Troubles::new(streams.iter().map(|stream| stream.name().to_owned()).collect()));
    let port = port(&config.kafka, metrics.collect.clone(), troubles.clone())?;
    let (address, failed) = (config.listen, Arc::new(Mutex::new(None)));
    let probes = process::probes(metrics, Arc::new(|| Ok(())), Arc::new(move || troubles.readiness()));
    let own = failed.clone();
    runtime.spawn(async move {
        if let Err(e) = serve_probes(address, probes).await {
            note(&own, format!("http.listen {address}: {e}"));
        }
    });
    if !hooked.is_empty() {
        let listening = runtime.block_on(listen(door.listen, door.tls.as_ref()));
        let listening =
            listening.map_err(|e| Failure::setting(&format!("collect.{}", e.setting()), e))?;
        let names: Vec<String> = hooked.iter().map(|source| format!("/hooks/{}", source.name)).collect();
        say(format_args!("webhooks are taken at {}: {}\n", listening.at, names.join(", ")));
        let (routes, own) = (hooks(hooked, port.clone()), failed.clone());
        runtime.spawn(async move {
            if let Err(e) = listening.serve(routes).await {
                note(&own, format!("the receiver does not listen any more: {e}"));
            }
        });
    }
    for stream in streams {
        let cursor = last_header(&config.kafka, stream.topic(), CURSOR);
        let cursor = cursor.map_err(|e| Failure::Running(e.to_string()))?;
        follow(&runtime, stream, cursor, port.clone(), failed.clone());
    }
    eprintln!("firewatch: collecting; metrics at http://{address}/metrics");
    while !stop.load(Ordering::Relaxed) {
        if let Some(problem) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(Failure::Running(problem));
        }
        runtime.block_on(async { tokio::time::sleep(LOOK).await });
    }
    // What is under way was not acknowledged, and will be sent or asked for again.
    runtime.shutdown_background();
    eprintln!("firewatch: stopped; what was acknowledged is in its topic");
    Ok(())
}

type Failed = Arc<Mutex<Option<String>>>;

fn note(failed: &Failed, problem: String) {
    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
}

fn follow(
    runtime: &tokio::runtime::Runtime,
    stream: Stream,
    cursor: Option<String>,
    port: Port,
    failed: Failed,
) {
    match stream {
        Stream::Jetstream(source) => {
            let cursor = cursor.and_then(|cursor| cursor.parse().ok());
            runtime.spawn(follow_jetstream(source, cursor, port));
        }
        Stream::Mastodon(source) => {
            runtime.spawn(async move {
                if let Err(e) = follow_mastodon(source, cursor, port).await {
                    note(&failed, e);
                }
            });
        }
    }
}

/// Raw topics, the clock, and who is told.
fn port(kafka: &KafkaSettings, metrics: CollectMetrics, troubles: Arc<Troubles>) -> Result<Port, Failure> {
    let acked = Acked::new(kafka).map_err(|e| Failure::Running(e.to_string()))?;
    let put = move |Raw { topic, payload, cursor }: Raw| -> Putting {
        let headers: Vec<_> = cursor.map(|cursor| (CURSOR, cursor)).into_iter().collect();
        let put = acked.put(topic, payload, &headers);
        Box::pin(async move { put.await.map_err(|e| e.to_string()) })
    };
    let tell = move |source: &str, notice: &Notice| {
        match notice {
            Notice::Connected => metrics.occurred(source, "connected"),
            Notice::Taken => metrics.occurred(source, "taken"),
            Notice::Trouble(problem) => {
                metrics.occurred(source, "trouble");
                eprintln!("firewatch: {source}: {problem}");
            }
            Notice::LeftOut(why) => {
                metrics.occurred(source, "left_out");
                eprintln!("firewatch: {source}: left out: {why}");
            }
            Notice::Gap(gap) => {
                metrics.gap(source, (gap.to - gap.from).as_secs());
                eprintln!("firewatch: {source}: gap: {gap}");
            }
        }
        troubles.observe(source, notice);
    };
    Ok(Port { put: Arc::new(put), clock: clock::now, tell: Arc::new(tell) })
}
