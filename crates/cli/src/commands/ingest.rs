//! `firewatch ingest`: payloads as platforms send them in, events out; of raw topics, or of a file.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

use firewatch_domain::EventTime;
use firewatch_telemetry::Metrics;
use firewatch_ingest::{Frame, Frames, Intake, MAX_PAYLOAD_BYTES, Mapping, Platform, Reader};
use firewatch_kafka::Intakes;
use firewatch_backtest::lines::{next_line_within, open};

use crate::args::IngestOptions;
use crate::process::Watched;
use crate::shell::{Failure, count, read};
use crate::{clock, config, process};

/// Answers and authors that are known at once, of a file.
const KNOWN: usize = 1_000_000;

/// Reads raw topics until told to stop, or a file.
pub fn ingest(options: &IngestOptions) -> Result<(), Failure> {
    match options.platform {
        Some(platform) => of_file(options, platform),
        None => of_topics(&options.config),
    }
}

fn of_topics(path: &Path) -> Result<(), Failure> {
    let (runtime, stop) = process::start()?;
    let config = config::load(path, std::env::vars())?;
    if config.sources.is_empty() {
        return Err(Failure::setting(
            "sources",
            "none is named; give a [sources.NAME] section for each raw topic",
        ));
    }
    let metrics = Metrics::new().map_err(|e| Failure::running("metrics", e))?;
    let names: Vec<String> = config.sources.iter().map(|source| source.topic.clone()).collect();
    let intakes = Intakes::new(&config.kafka, &config.topics, config.sources, &metrics.ingest, clock::now);
    let (listen, from, to) = (config.listen, names.join(", "), &config.topics.events);
    eprintln!("firewatch: reading {from} into {to}; metrics at http://{listen}/metrics");
    let watched = Watched { listen, metrics, healths: intakes.healths() };
    process::run_watched(runtime, watched, &stop, || intakes.run(&stop))
}

/// Reads payloads and writes events; tells on standard error what was rejected, and at the end how much of each there was.
fn of_file(options: &IngestOptions, platform: Platform) -> Result<(), Failure> {
    let reader = reader(options, platform)?;
    let arrival = match &options.now {
        None => clock::now(),
        Some(text) => EventTime::parse(text).map_err(|e| Failure::setting("--now", e))?,
    };
    let name = match options.input.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => options.input.display().to_string(),
    };
    let mut input = open(&options.input).map_err(|e| Failure::setting(&name, e))?;
    let mut out = Output::new(reader, arrival);
    let (mut frames, mut line) = (Frames::default(), Vec::new());
    loop {
        match next_line_within(&mut input, &mut line, MAX_PAYLOAD_BYTES) {
            Ok(true) => frames.line(&line, &mut |frame| out.take(frame)),
            Ok(false) => break,
            Err(e) => out.failed = Some(e),
        }
        if let Some(e) = out.failed.take() {
            return ended(&name, e);
        }
    }
    frames.finish(&mut |frame| out.take(frame));
    match out.failed.take().map_or_else(|| out.to.flush(), Err) {
        Ok(()) => eprintln!("{}", out.in_words()),
        Err(e) => return ended(&name, e),
    }
    Ok(())
}

/// Whoever read us has seen enough; all else is a failure.
fn ended(name: &str, error: io::Error) -> Result<(), Failure> {
    if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(Failure::running(name, error)) }
}

fn reader(options: &IngestOptions, platform: Platform) -> Result<Reader, Failure> {
    let reader = match (&options.mapping, platform) {
        (Some(path), Platform::Generic) => {
            let mapping = Mapping::parse(&path.display().to_string(), &read(path)?);
            Reader::by(mapping.map_err(Failure::Settings)?)
        }
        (None, Platform::Generic) => {
            return Err(Failure::setting(
                "--mapping",
                "is missing; give the file that says where things are",
            ));
        }
        (Some(_), platform) => {
            return Err(Failure::setting("--mapping", format!("is for `generic`; {platform} needs none")));
        }
        (None, platform) => Reader::new(platform),
    };
    Ok(reader.of(options.account.clone()))
}

/// Where events go, and what was seen.
struct Output {
    intake: Intake,
    arrival: EventTime,
    to: BufWriter<io::StdoutLock<'static>>,
    failed: Option<io::Error>,
    payloads: usize,
    events: usize,
    rejected: usize,
}

impl Output {
    fn new(reader: Reader, arrival: EventTime) -> Self {
        let to = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        let intake = Intake::new(reader, KNOWN);
        Self { intake, arrival, to, failed: None, payloads: 0, events: 0, rejected: 0 }
    }

    fn take(&mut self, frame: Frame<'_>) {
        let decoded = self.intake.take(frame.payload, self.arrival);
        self.intake.committed();
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

    fn in_words(&self) -> String {
        let Self { payloads, events, rejected, .. } = self;
        format!("{}: {}, {rejected} rejected", count(*payloads, "payload"), count(*events, "event"))
    }
}
