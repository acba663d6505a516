//! Predictions of the text model for posts given as JSON lines.
//!
//! Writes one answer per line, in order: a prediction, or an error with the line number.

use std::borrow::Cow;
use std::io::{self, BufReader, BufWriter, Write};

use firewatch_backtest::lines::next_line;
use firewatch_engine::ModelFiles;
use firewatch_ingest::MAX_RECORD_BYTES;
use firewatch_scoring::encoder::Encoder;
use firewatch_scoring::text::FlagSpan;
use firewatch_scoring::{Reading, Scratch, SentimentModel, TextPrediction, Unread, evidence};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::read_file;
use crate::args::{ModelTier, PredictOptions};
use crate::common::Failure;

/// The shipped encoder, the text model's second tier.
const ENCODER: &[u8] = include_bytes!("../../../../../models/encoder.fwm");

#[derive(Deserialize)]
struct PredictRequest {
    id: Value,
    text: String,
    /// The platform's language tag, if it sent one.
    #[serde(default)]
    lang: Option<String>,
}

#[derive(Serialize)]
struct PredictResponse {
    id: Value,
    lang: Cow<'static, str>,
    negative: f32,
    neutral: f32,
    positive: f32,
    complaint: f32,
    arousal: f32,
    flags: Vec<Span>,
    why: Vec<String>,
}

/// A flag with its position in characters (code points) of the text.
#[derive(Serialize)]
struct Span {
    kind: &'static str,
    start: usize,
    end: usize,
}

#[derive(Serialize)]
struct ErrorResponse {
    line: u64,
    error: String,
}

/// Reads requests and writes answers until the input ends.
pub fn predict(options: &PredictOptions) -> Result<io::Result<()>, Failure> {
    let model = match &options.model {
        None => SentimentModel::from_bytes(ModelFiles::SHIPPED.sentiment)
            .map_err(|e| Failure::running("load the shipped model", e))?,
        Some(path) => {
            SentimentModel::from_bytes(&read_file(path)?).map_err(|e| Failure::setting("--model", e))?
        }
    };
    let encoder = match (options.tier, &options.encoder) {
        (ModelTier::Fast, _) => None,
        (ModelTier::Best, None) => {
            Some(Encoder::from_bytes(ENCODER).map_err(|e| Failure::running("load the shipped encoder", e))?)
        }
        (ModelTier::Best, Some(path)) => {
            Some(Encoder::from_bytes(&read_file(path)?).map_err(|e| Failure::setting("--encoder", e))?)
        }
    };
    Ok(answer_lines(&mut Predictor { model, encoder, scratch: Scratch::default() }))
}

fn answer_lines(reader: &mut Predictor) -> io::Result<()> {
    let mut input = BufReader::new(io::stdin().lock());
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut line, mut number) = (Vec::new(), 0);
    while next_line(&mut input, &mut line)? {
        number += 1;
        match parse_request(&line) {
            Ok(question) => serde_json::to_writer(&mut out, &reader.predict(question))?,
            Err(error) => serde_json::to_writer(&mut out, &ErrorResponse { line: number, error })?,
        }
        out.write_all(b"\n")?;
        // Someone at the other end of a pipe may be waiting for this answer.
        if input.buffer().is_empty() {
            out.flush()?;
        }
    }
    out.flush()
}

fn parse_request(line: &[u8]) -> Result<PredictRequest, String> {
    if line.len() > MAX_RECORD_BYTES {
        return Err(format!("the line is longer than {MAX_RECORD_BYTES} bytes; shorten the text"));
    }
    let example = r#"give {"id": "1", "text": "..."}"#;
    let question: PredictRequest = serde_json::from_slice(line).map_err(|e| format!("{e}; {example}"))?;
    match question.id {
        Value::String(_) | Value::Number(_) => Ok(question),
        other => Err(format!("the id is {other}, not a string or number; {example}")),
    }
}

struct Predictor {
    model: SentimentModel,
    encoder: Option<Encoder>,
    scratch: Scratch,
}

impl Predictor {
    fn predict(&mut self, question: PredictRequest) -> PredictResponse {
        let PredictRequest { id, text, lang } = question;
        let analysis = self.model.read(&mut self.scratch, &text, lang.as_deref());
        let (prediction, why) = match analysis.prediction {
            Ok(fast) => {
                let second = self.encoder.as_ref().map(|encoder| encoder.predict(&text));
                let prediction = second.map_or(fast, |second| fast.mean(&second));
                (prediction, self.why(&text, &prediction))
            }
            Err(unread) => (self.model.prior(), vec![unread_reason(unread, &analysis)]),
        };
        let spans = if analysis.prediction.is_ok() { spans(&text, self.scratch.flags()) } else { vec![] };
        let s = prediction.sentiment;
        PredictResponse {
            id,
            lang: analysis.lang,
            negative: short(s.negative),
            neutral: short(s.neutral),
            positive: short(s.positive),
            complaint: short(prediction.complaint),
            arousal: short(prediction.arousal),
            flags: spans,
            why,
        }
    }

    fn why(&self, text: &str, prediction: &TextPrediction) -> Vec<String> {
        let s = prediction.sentiment;
        let all = [("negative", s.negative), ("neutral", s.neutral), ("positive", s.positive)];
        let (class, name) = (0..3)
            .fold((0, "negative"), |best, k| if all[k].1 > all[best.0].1 { (k, all[k].0) } else { best });
        let others =
            |adds: &[f32; 5]| (0..3).filter(|k| *k != class).map(|k| adds[k]).fold(f32::MIN, f32::max);
        let mut why =
            vec![describe_evidence(name, &evidence(&self.scratch, text, |adds| adds[class] - others(adds)))];
        for (name, p, k) in [("a complaint", prediction.complaint, 3), ("anger", prediction.arousal, 4)] {
            if p >= 0.5 {
                why.push(describe_evidence(name, &evidence(&self.scratch, text, |adds| adds[k])));
            }
        }
        if self.encoder.is_some() {
            why.push(
                "probabilities are the mean of both tiers; the quoted words come from the fast tier".into(),
            );
        }
        why
    }
}

fn describe_evidence(what: &str, words: &[String]) -> String {
    if words.is_empty() {
        return format!("{what}: no single word stands out");
    }
    format!("{what}: \u{201c}{}\u{201d}", words.join("\u{201d}, \u{201c}"))
}

fn unread_reason(unread: Unread, analysis: &Reading) -> String {
    match unread {
        Unread::NoText => "the text has no words; the probabilities are those of an unknown post".into(),
        Unread::OtherLanguage => {
            format!(
                "the language `{}` is not supported; the probabilities are those of an unknown post",
                analysis.lang
            )
        }
        Unread::UnknownWords => {
            "too few of the words are known; the probabilities are those of an unknown post".into()
        }
    }
}

fn spans(text: &str, flags: &[FlagSpan]) -> Vec<Span> {
    let (mut chars, mut at) = (0, 0);
    let mut spans: Vec<Span> = Vec::with_capacity(flags.len());
    // Flags are ordered by their start, so one pass over the text suffices.
    for flag in flags {
        chars += text.get(at..flag.start).unwrap_or_default().chars().count();
        at = flag.start.max(at);
        let length = text.get(flag.start..flag.end).unwrap_or_default().chars().count();
        spans.push(Span { kind: flag.kind.name(), start: chars, end: chars + length });
    }
    spans
}

/// Rounds to five decimals, which is finer than the model's accuracy.
fn short(p: f32) -> f32 {
    (p * 1e5).round() / 1e5
}
