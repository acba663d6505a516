//! `firewatch train` makes what is shipped, again; `firewatch evaluate` measures how good the recipe is.

use firewatch_engine::Models;
use firewatch_escalation::Policy;
use firewatch_train::posts::Choice;
use firewatch_train::versus::versus;
use firewatch_train::virality::report::Report;
use firewatch_train::{encoder, recording, sentiment, storms, virality};
use firewatch_scoring::SentimentModel;

use crate::args::{Evaluation, TextTraining, Training};
use crate::shell::{Failure, say};

/// Trains a model or makes the recording, and prints its figures.
pub fn train(what: Training) -> Result<(), Failure> {
    let mut tell = |line: String| eprintln!("{line}");
    match what {
        Training::Encoder { text, base } => {
            let options = encoder::Options { base, choice: choice(&text) };
            let report = encoder::train(&text.files.data, &text.files.out, &options, &mut tell);
            say(report.map_err(|e| Failure::running("train encoder", e))?);
        }
        Training::Sentiment { text, teacher } => {
            let options = sentiment::Options { teacher, choice: choice(&text) };
            let report = sentiment::train(&text.files.data, &text.files.out, &options, &mut tell);
            say(report.map_err(|e| Failure::running("train sentiment", e))?);
        }
        Training::Virality { files } => {
            virality::train(&files.data, &files.out, &text_model()?, &mut tell)
                .map_err(|e| Failure::running("train virality", e))?;
        }
        Training::Recording { files, seed } => {
            let out = files.out.join("recording.jsonl");
            let lines =
                recording::record(&files.data, &out, seed).map_err(|e| Failure::running("record", e))?;
            say(format_args!("{lines} lines in {}\n", out.display()));
        }
    }
    Ok(())
}

/// Measures a recipe, prints its figures and draws its charts.
pub fn evaluate(what: &Evaluation) -> Result<(), Failure> {
    let mut tell = |line: String| eprintln!("{line}");
    let files = match what {
        Evaluation::Virality { files } => files,
        Evaluation::Policies { data } => {
            let versus = versus(data, &mut tell).map_err(|e| Failure::running("evaluate policies", e))?;
            say(versus);
            return Ok(());
        }
        Evaluation::Storms { seeds } => {
            let policy =
                Policy::parse("the brand's policy", "[brands.brand]\n").map_err(Failure::Settings)?;
            say(storms::evaluate(seeds, &policy));
            return Ok(());
        }
    };
    let failed = |e| Failure::running("evaluate virality", e);
    let report = Report::of(&files.data, &text_model()?, &mut tell).map_err(failed)?;
    say(&report);
    for chart in report.draw(&files.out).map_err(failed)? {
        eprintln!("{}", files.out.join(chart).display());
    }
    Ok(())
}

fn text_model() -> Result<SentimentModel, Failure> {
    SentimentModel::from_bytes(Models::SHIPPED.sentiment)
        .map_err(|e| Failure::running("the shipped text model", e))
}

fn choice(text: &TextTraining) -> Choice {
    Choice { airline: !text.without_airline, whole_edition: text.hold_out_edition, every: text.every }
}
