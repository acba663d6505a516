//! `firewatch collect`: payloads from the networks into raw topics, by webhooks and streams, until told to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use firewatch_collect::{
    CollectorContext, Notice, PutFuture, RawPayload, StreamErrors, follow_jetstream, follow_mastodon,
    hook_routes,
};
use firewatch_http::{listen, serve_probes};
use firewatch_kafka::{AckedProducer, KafkaSettings, last_header};
use firewatch_telemetry::{CollectMetrics, Metrics};

use crate::common::{Failure, print_stdout};
use crate::config::sources::{CollectSettings, StreamSource};
use crate::{clock, config, process};

/// The header in which a raw record tells where its stream goes on.
const CURSOR_HEADER: &str = "firewatch_cursor";
/// How often to look whether to stop.
const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Where the receiver of webhooks listens.
pub struct HookListener {
    /// The address.
    pub listen: SocketAddr,
    /// A certificate and its key.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// Collects until SIGINT or SIGTERM.
pub fn collect(path: &Path) -> Result<(), Failure> {
    let (runtime, stop) = process::start()?;
    let config = config::load(path, std::env::vars())?;
    let CollectSettings { listener, hooks, streams } = config.collect;
    if hooks.is_empty() && streams.is_empty() {
        return Err(Failure::setting(
            "sources",
            "none has a webhook or a stream; give a [sources.NAME.webhook] or [sources.NAME.stream] section",
        ));
    }
    let metrics = Metrics::new().map_err(|e| Failure::running("metrics", e))?;
    let stream_errors =
        Arc::new(StreamErrors::new(streams.iter().map(|stream| stream.name().to_owned()).collect()));
    let context = collector_context(&config.kafka, metrics.collect.clone(), stream_errors.clone())?;
    let (address, failed) = (config.listen, Arc::new(Mutex::new(None)));
    let probes = process::probes(metrics, Arc::new(|| Ok(())), Arc::new(move || stream_errors.readiness()));
    let own = failed.clone();
    runtime.spawn(async move {
        if let Err(e) = serve_probes(address, probes).await {
            record_failure(&own, format!("http.listen {address}: {e}"));
        }
    });
    if !hooks.is_empty() {
        let listening = runtime.block_on(listen(listener.listen, listener.tls.as_ref()));
        let listening = listening.map_err(|e| Failure::setting(&format!("collect.{}", e.setting()), e))?;
        let names: Vec<String> = hooks.iter().map(|source| format!("/hooks/{}", source.name)).collect();
        print_stdout(format_args!("webhooks are taken at {}: {}\n", listening.at, names.join(", ")));
        let (routes, own) = (hook_routes(hooks, context.clone()), failed.clone());
        runtime.spawn(async move {
            if let Err(e) = listening.serve(routes).await {
                record_failure(&own, format!("the receiver does not listen any more: {e}"));
            }
        });
    }
    for stream in streams {
        let cursor = last_header(&config.kafka, stream.topic(), CURSOR_HEADER);
        let cursor = cursor.map_err(|e| Failure::Running(e.to_string()))?;
        follow(&runtime, stream, cursor, context.clone(), failed.clone());
    }
    eprintln!("firewatch: collecting; metrics at http://{address}/metrics");
    while !stop.load(Ordering::Relaxed) {
        if let Some(problem) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(Failure::Running(problem));
        }
        runtime.block_on(async { tokio::time::sleep(STOP_CHECK_INTERVAL).await });
    }
    // What is under way was not acknowledged, and will be sent or asked for again.
    runtime.shutdown_background();
    eprintln!("firewatch: stopped; what was acknowledged is in its topic");
    Ok(())
}

type FirstFailure = Arc<Mutex<Option<String>>>;

fn record_failure(failed: &FirstFailure, problem: String) {
    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
}

fn follow(
    runtime: &tokio::runtime::Runtime,
    stream: StreamSource,
    cursor: Option<String>,
    context: CollectorContext,
    failed: FirstFailure,
) {
    match stream {
        StreamSource::Jetstream(source) => {
            let cursor = cursor.and_then(|cursor| cursor.parse().ok());
            runtime.spawn(follow_jetstream(source, cursor, context));
        }
        StreamSource::Mastodon(source) => {
            runtime.spawn(async move {
                if let Err(e) = follow_mastodon(source, cursor, context).await {
                    record_failure(&failed, e);
                }
            });
        }
    }
}

/// Raw topics, the clock, and who is told.
fn collector_context(
    kafka: &KafkaSettings,
    metrics: CollectMetrics,
    troubles: Arc<StreamErrors>,
) -> Result<CollectorContext, Failure> {
    let acked = AckedProducer::new(kafka).map_err(|e| Failure::Running(e.to_string()))?;
    let put = move |RawPayload { topic, payload, cursor }: RawPayload| -> PutFuture {
        let headers: Vec<_> = cursor.map(|cursor| (CURSOR_HEADER, cursor)).into_iter().collect();
        let put = acked.send(topic, payload, &headers);
        Box::pin(async move { put.await.map_err(|e| e.to_string()) })
    };
    let notify = move |source: &str, notice: &Notice| {
        match notice {
            Notice::Connected => metrics.occurred(source, "connected"),
            Notice::Accepted => metrics.occurred(source, "taken"),
            Notice::Failed(problem) => {
                metrics.occurred(source, "trouble");
                eprintln!("firewatch: {source}: {problem}");
            }
            Notice::Skipped(why) => {
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
    Ok(CollectorContext { put: Arc::new(put), clock: clock::now, notify: Arc::new(notify) })
}
