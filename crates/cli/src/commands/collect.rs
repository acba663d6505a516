//! `firewatch collect`: collects payloads from platforms into raw topics, by webhooks and streams, until
//! stopped.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use firewatch_collect::{
    CollectorContext, Notice, PutError, PutFuture, RawPayload, StreamErrors, follow_jetstream,
    follow_mastodon, hook_routes,
};
use firewatch_http::{ProbeError, listen, serve_probes};
use firewatch_kafka::{AckedProducer, KafkaSettings, last_header};
use firewatch_telemetry::{CollectMetrics, Metrics};

use crate::common::{Failure, print_stdout};
use crate::config::sources::{CollectSettings, StreamSource};
use crate::{clock, config, process};

/// Header of a raw record that holds where its stream continues.
const CURSOR_HEADER: &str = "firewatch_cursor";
/// How often to check for a stop request or a failure.
const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Collects until SIGINT or SIGTERM.
pub fn collect(path: &Path) -> Result<(), Failure> {
    let (runtime, stop) = process::start(Some(path))?;
    let config = config::load(path, std::env::vars())?;
    let CollectSettings { listener, hooks, streams } = config.collect;
    if hooks.is_empty() && streams.is_empty() {
        return Err(Failure::setting(
            "sources",
            "none has a webhook or a stream; add a [sources.NAME.webhook] or [sources.NAME.stream] section",
        ));
    }
    let metrics = Metrics::new().map_err(|e| Failure::running("metrics", e))?;
    let stream_errors =
        Arc::new(StreamErrors::new(streams.iter().map(|stream| stream.name().to_owned()).collect()));
    let context = collector_context(&config.kafka, metrics.collect.clone(), stream_errors.clone())?;
    let (address, failed) = (config.listen, Arc::new(Mutex::new(None)));
    let ready = move || stream_errors.readiness().map_err(ProbeError::new);
    let probes = process::probes(metrics, Arc::new(|| Ok(())), Arc::new(ready));
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
        print_stdout(format_args!("receiving webhooks at {}: {}\n", listening.at, names.join(", ")));
        let (routes, own) = (hook_routes(hooks, context.clone()), failed.clone());
        runtime.spawn(async move {
            if let Err(e) = listening.serve(routes).await {
                record_failure(&own, format!("the webhook receiver stopped listening: {e}"));
            }
        });
    }
    for stream in streams {
        let cursor = last_header(&config.kafka, stream.topic(), CURSOR_HEADER);
        let cursor = cursor.map_err(|e| Failure::Running(e.to_string()))?;
        follow(&runtime, stream, cursor, context.clone(), failed.clone());
    }
    tracing::info!("collecting; metrics at http://{address}/metrics");
    while !stop.load(Ordering::Relaxed) {
        if let Some(problem) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(Failure::Running(problem));
        }
        runtime.block_on(async { tokio::time::sleep(STOP_CHECK_INTERVAL).await });
    }
    // Payloads in flight were not acknowledged, so platforms send them again or streams replay them.
    runtime.shutdown_background();
    tracing::info!("stopped; every acknowledged payload is in its topic");
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
                    record_failure(&failed, e.to_string());
                }
            });
        }
    }
}

/// Builds the context of the collectors: the writer of raw topics, the clock and the handler of notices.
fn collector_context(
    kafka: &KafkaSettings,
    metrics: CollectMetrics,
    troubles: Arc<StreamErrors>,
) -> Result<CollectorContext, Failure> {
    let acked = AckedProducer::new(kafka).map_err(|e| Failure::Running(e.to_string()))?;
    let put = move |RawPayload { topic, payload, cursor }: RawPayload| -> PutFuture {
        let headers: Vec<_> = cursor.map(|cursor| (CURSOR_HEADER, cursor)).into_iter().collect();
        let put = acked.send(topic, payload, &headers);
        Box::pin(async move { put.await.map_err(PutError::new) })
    };
    let notify = move |source: &str, notice: &Notice| {
        match notice {
            Notice::Connected => metrics.occurred(source, "connected"),
            Notice::Accepted => metrics.occurred(source, "taken"),
            Notice::Failed(problem) => {
                metrics.occurred(source, "trouble");
                tracing::warn!(source, "{source}: {problem}");
            }
            Notice::Skipped(why) => {
                metrics.occurred(source, "left_out");
                tracing::warn!(source, "{source}: skipped: {why}");
            }
            Notice::Gap(gap) => {
                metrics.gap(source, (gap.to - gap.from).as_secs());
                tracing::warn!(source, "{source}: gap: {gap}");
            }
        }
        troubles.observe(source, notice);
    };
    Ok(CollectorContext { put: Arc::new(put), clock: clock::now, notify: Arc::new(notify) })
}
