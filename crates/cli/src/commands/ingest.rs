//! `firewatch ingest`: decodes platform payloads into events, from raw topics or from a file.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

use firewatch_backtest::lines::{next_line_within, open};
use firewatch_domain::EventTime;
use firewatch_ingest::{
    ExplainedField, ExplainedItem, Frames, Ingester, MAX_PAYLOAD_BYTES, Mapping, PayloadDecoder,
    PayloadFrame, Platform,
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
    let explained = options.mapping.as_deref().filter(|_| options.explain).map(mapping).transpose()?;
    let arrival = match &options.now {
        None => clock::now(),
        Some(text) => EventTime::parse(text).map_err(|e| Failure::setting("--now", e))?,
    };
    let name = match options.input.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => options.input.display().to_string(),
    };
    let mut input = open(&options.input).map_err(|e| Failure::setting(&name, e))?;
    let mut out = EventWriter::new(reader, arrival, explained);
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
        (Some(path), Platform::Generic) => PayloadDecoder::with_mapping(mapping(path)?),
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

fn mapping(path: &Path) -> Result<Mapping, Failure> {
    Mapping::parse(&path.display().to_string(), &read(path)?).map_err(Failure::Settings)
}

/// Decodes payloads, writes their events and counts them.
struct EventWriter {
    ingester: Ingester,
    /// The mapping whose pointers are explained instead.
    explained: Option<Mapping>,
    arrival: EventTime,
    to: BufWriter<io::StdoutLock<'static>>,
    failed: Option<io::Error>,
    payloads: usize,
    events: usize,
    rejected: usize,
}

impl EventWriter {
    fn new(reader: PayloadDecoder, arrival: EventTime, explained: Option<Mapping>) -> Self {
        let to = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        let ingester = Ingester::new(reader, MAX_REMEMBERED);
        Self { ingester, explained, arrival, to, failed: None, payloads: 0, events: 0, rejected: 0 }
    }

    fn ingest_frame(&mut self, frame: PayloadFrame<'_>) {
        let decoded = self.ingester.ingest(frame.payload, self.arrival);
        self.ingester.committed();
        self.payloads += 1;
        self.events += decoded.events.len();
        self.rejected += decoded.rejections.len();
        let explained = self.explained.as_ref().map(|mapping| mapping.explain(frame.payload));
        let written = match explained {
            Some(Ok(items)) => {
                items.iter().try_for_each(|item| write_explanation(&mut self.to, frame.line, item))
            }
            // The rejection below says why.
            Some(Err(_)) => Ok(()),
            None => decoded.events.iter().try_for_each(|event| {
                serde_json::to_writer(&mut self.to, event)?;
                self.to.write_all(b"\n")
            }),
        };
        if let Err(e) = written {
            self.failed.get_or_insert(e);
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

/// Longest value that an explanation prints whole, in characters.
const MAX_EXPLAINED_CHARS: usize = 80;

/// Prints an item with its fields: the key, the pointer and what is there.
fn write_explanation(to: &mut impl Write, line: u64, item: &ExplainedItem) -> io::Result<()> {
    let place = if item.place.is_empty() { "the payload" } else { &item.place };
    writeln!(to, "line {line}, {place}")?;
    for ExplainedField { key, pointer, found } in &item.fields {
        let found = found.as_deref().unwrap_or("nothing");
        let shown: String = found.chars().take(MAX_EXPLAINED_CHARS).collect();
        let more = if shown.len() < found.len() { " …" } else { "" };
        writeln!(to, "  {key:<18} {pointer:<24} {shown}{more}")?;
    }
    Ok(())
}
