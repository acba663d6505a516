//! `firewatch ingest`: decodes platform payloads into events, from raw topics or from a file.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

use firewatch_backtest::lines::{next_line_within, open};
use firewatch_domain::EventTime;
use firewatch_ingest::{
    Frames, Ingester, MAX_PAYLOAD_BYTES, Mapping, PayloadDecoder, PayloadFrame, Platform,
};
use firewatch_kafka::IngestRunner;
use firewatch_telemetry::Metrics;

use crate::args::IngestOptions;
use crate::common::{Failure, count, read};
use crate::process::Watched;
use crate::{clock, config, process};

/// Answers and authors that are remembered at once when reading a file.
const MAX_REMEMBERED: usize = 1_000_000;

/// Reads raw topics until stopped, or a file.
pub fn ingest(options: &IngestOptions) -> Result<(), Failure> {
    match options.platform {
        Some(platform) => ingest_file(options, platform),
        None => ingest_topics(&options.config),
    }
}

fn ingest_topics(path: &Path) -> Result<(), Failure> {
    let (runtime, stop) = process::start(Some(path))?;
    let config = config::load(path, std::env::vars())?;
    if config.sources.is_empty() {
        return Err(Failure::setting(
            "sources",
            "there are none; add a [sources.NAME] section for each raw topic",
        ));
    }
    let metrics = Metrics::new().map_err(|e| Failure::running("metrics", e))?;
    let names: Vec<String> = config.sources.iter().map(|source| source.topic.clone()).collect();
    let runner =
        IngestRunner::new(&config.kafka, &config.topics, config.sources, &metrics.ingest, clock::now)
            .map_err(|e| Failure::running("kafka", e))?;
    let (listen, from, to) = (config.listen, names.join(", "), &config.topics.events);
    tracing::info!("reading {from} into {to}; metrics at http://{listen}/metrics");
    let watched = Watched { listen, metrics, healths: runner.source_health() };
    process::run_watched(runtime, watched, &stop, || runner.run(&stop))
}

/// Reads payloads and writes events. Reports rejections and the totals on standard error.
fn ingest_file(options: &IngestOptions, platform: Platform) -> Result<(), Failure> {
    let reader = payload_decoder(options, platform)?;
    let arrival = match &options.now {
        None => clock::now(),
        Some(text) => EventTime::parse(text).map_err(|e| Failure::setting("--now", e))?,
    };
    let name = match options.input.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => options.input.display().to_string(),
    };
    let mut input = open(&options.input).map_err(|e| Failure::setting(&name, e))?;
    let mut out = EventWriter::new(reader, arrival);
    let (mut frames, mut line) = (Frames::default(), Vec::new());
    loop {
        match next_line_within(&mut input, &mut line, MAX_PAYLOAD_BYTES) {
            Ok(true) => frames.line(&line, &mut |frame| out.ingest_frame(frame)),
            Ok(false) => break,
            Err(e) => out.failed = Some(e),
        }
        if let Some(e) = out.failed.take() {
            return read_error(&name, e);
        }
    }
    frames.finish(&mut |frame| out.ingest_frame(frame));
    match out.failed.take().map_or_else(|| out.to.flush(), Err) {
        Ok(()) => eprintln!("{}", out.describe()),
        Err(e) => return read_error(&name, e),
    }
    Ok(())
}

/// Returns a failure, except when the reader closed the pipe because it has seen enough.
fn read_error(name: &str, error: io::Error) -> Result<(), Failure> {
    if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(Failure::running(name, error)) }
}

fn payload_decoder(options: &IngestOptions, platform: Platform) -> Result<PayloadDecoder, Failure> {
    let reader = match (&options.mapping, platform) {
        (Some(path), Platform::Generic) => {
            let mapping = Mapping::parse(&path.display().to_string(), &read(path)?);
            PayloadDecoder::with_mapping(mapping.map_err(Failure::Settings)?)
        }
        (None, Platform::Generic) => {
            return Err(Failure::setting(
                "--mapping",
                "is missing; give the TOML file that maps the fields of a payload",
            ));
        }
        (Some(_), platform) => {
            return Err(Failure::setting(
                "--mapping",
                format!("is only for `generic`; remove it for {platform}"),
            ));
        }
        (None, platform) => PayloadDecoder::new(platform),
    };
    Ok(reader.with_scope(options.account.clone()))
}

/// Decodes payloads, writes their events and counts them.
struct EventWriter {
    ingester: Ingester,
    arrival: EventTime,
    to: BufWriter<io::StdoutLock<'static>>,
    failed: Option<io::Error>,
    payloads: usize,
    events: usize,
    rejected: usize,
}

impl EventWriter {
    fn new(reader: PayloadDecoder, arrival: EventTime) -> Self {
        let to = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        let ingester = Ingester::new(reader, MAX_REMEMBERED);
        Self { ingester, arrival, to, failed: None, payloads: 0, events: 0, rejected: 0 }
    }

    fn ingest_frame(&mut self, frame: PayloadFrame<'_>) {
        let decoded = self.ingester.ingest(frame.payload, self.arrival);
        self.ingester.committed();
        self.payloads += 1;
        self.events += decoded.events.len();
        self.rejected += decoded.rejections.len();
        for event in &decoded.events {
            let written = serde_json::to_writer(&mut self.to, event).map_err(io::Error::from);
            if let Err(e) = written.and_then(|()| self.to.write_all(b"\n")) {
                self.failed.get_or_insert(e);
            }
        }
        for rejection in &decoded.rejections {
            eprintln!("rejected line {}: {rejection}", frame.line);
        }
    }

    fn describe(&self) -> String {
        let Self { payloads, events, rejected, .. } = self;
        format!("{}: {}, {rejected} rejected", count(*payloads, "payload"), count(*events, "event"))
    }
}
