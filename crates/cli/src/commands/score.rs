//! `firewatch score`: runs the engine on JSON lines, without a broker.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};

use firewatch_backtest::lines::next_line;
use firewatch_domain::EventTime;
use firewatch_engine::{Effect, LineSource, LocalTopology, Ruleset, Tally};

use crate::args::ScoreOptions;
use crate::clock;
use crate::common::{Failure, count, load_ruleset};

/// Size of the input and output buffers, bytes.
const BUFFER: usize = 1 << 16;

/// Reads events and writes scores and escalations. Reports rejected lines and the totals on standard error.
pub fn score(options: &ScoreOptions) -> Result<(), Failure> {
    let ruleset = load_ruleset(options.policy.as_deref())?;
    let arrival = match &options.now {
        None => clock::now(),
        Some(text) => EventTime::parse(text).map_err(|e| Failure::setting("--now", e))?,
    };
    let name = options.input.as_ref().map_or("standard input".into(), |p| p.display().to_string());
    let input: Box<dyn Read> = match &options.input {
        None => Box::new(io::stdin().lock()),
        Some(path) => Box::new(File::open(path).map_err(|e| Failure::setting(&name, e))?),
    };
    let dead_letters = match &options.dead_letters {
        None => None,
        Some(path) => {
            let file = File::create(path).map_err(|e| Failure::setting(&path.display().to_string(), e))?;
            Some(BufWriter::with_capacity(BUFFER, file))
        }
    };
    let mut out = EffectWriter {
        out: BufWriter::with_capacity(BUFFER, io::stdout().lock()),
        dead_letters,
        failed: None,
    };
    let tally = score_lines(
        &mut BufReader::with_capacity(BUFFER, input),
        &ruleset,
        LineSource { name: &name, arrival },
        &mut out,
    );
    let flushed = tally.and_then(|counts| out.flush().map(|()| counts));
    match flushed {
        Ok((tally, blank)) => {
            eprintln!("{}", describe_tally(&tally, blank));
            Ok(())
        }
        // The reader closed the pipe, because it has seen enough.
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(e) => Err(Failure::running(&name, e)),
    }
}

/// Scores each line. Returns what became of the records, and the number of blank lines.
fn score_lines(
    input: &mut BufReader<Box<dyn Read>>,
    ruleset: &Ruleset,
    file: LineSource<'_>,
    out: &mut EffectWriter<'_>,
) -> io::Result<(Tally, u64)> {
    let mut topology = LocalTopology::default();
    let mut line = Vec::new();
    let mut number = 0_u64;
    while next_line(input, &mut line)? {
        number += 1;
        let rejected = topology.push_line(&line, file, ruleset, &mut |effect| out.write(effect));
        if let Some(rejection) = rejected.filter(|_| out.dead_letters.is_none()) {
            eprintln!("line {number}: {rejection}");
        }
        out.check()?;
    }
    let tally = topology.end_of_stream(ruleset, &mut |effect| out.write(effect));
    out.check()?;
    Ok((tally, number - tally.records))
}

/// Writes effects and keeps the first error.
struct EffectWriter<'a> {
    out: BufWriter<io::StdoutLock<'a>>,
    dead_letters: Option<BufWriter<File>>,
    failed: Option<io::Error>,
}

impl EffectWriter<'_> {
    fn write(&mut self, effect: &Effect) {
        let written = match (effect, &mut self.dead_letters) {
            // A hand-over is among the escalations too.
            (Effect::DeadLetter(..), None) | (Effect::Signal(_) | Effect::HandedOver(..), _) => Ok(()),
            (Effect::DeadLetter(..), Some(file)) => write_line(effect, file),
            _ => write_line(effect, &mut self.out),
        };
        if let Err(e) = written {
            self.failed.get_or_insert(e);
        }
    }

    fn check(&mut self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.dead_letters.as_mut().map_or(Ok(()), Write::flush)
    }
}

fn write_line(effect: &Effect, to: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *to, effect)?;
    to.write_all(b"\n")
}

fn describe_tally(tally: &Tally, blank: u64) -> String {
    let Tally { records, scored, folded, rejected } = tally;
    let blank = if blank == 0 {
        String::new()
    } else {
        format!("; {} left out", count(blank as usize, "blank line"))
    };
    format!(
        "{} = {scored} scored + {folded} folded in + {rejected} rejected{blank}",
        count(*records as usize, "line")
    )
}
