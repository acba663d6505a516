//! `firewatch train` rebuilds the shipped models and the demo's recording; `firewatch evaluate` measures
//! them.

use firewatch_engine::ModelFiles;
use firewatch_escalation::Policy;
use firewatch_scoring::SentimentModel;
use firewatch_train::posts::PostSelection;
use firewatch_train::versus::compare_with_rule;
use firewatch_train::virality::report::ViralityReport;
use firewatch_train::{encoder, recording, sentiment, storms, virality};

use crate::args::{EvaluateCommand, TextTraining, TrainCommand};
use crate::common::{Failure, print_stdout};

/// Trains a model or generates the recording, and prints the figures.
pub fn train(what: TrainCommand) -> Result<(), Failure> {
    let mut progress = |line: String| eprintln!("{line}");
    match what {
        TrainCommand::Encoder { text, base } => {
            let options = encoder::EncoderOptions { base, choice: choice(&text) };
            let report = encoder::train(&text.files.data, &text.files.out, &options, &mut progress);
            print_stdout(report.map_err(|e| Failure::running("train encoder", e))?);
        }
        TrainCommand::Sentiment { text, teacher } => {
            let options = sentiment::SentimentOptions { teacher, choice: choice(&text) };
            let report = sentiment::train(&text.files.data, &text.files.out, &options, &mut progress);
            print_stdout(report.map_err(|e| Failure::running("train sentiment", e))?);
        }
        TrainCommand::Virality { files } => {
            virality::train(&files.data, &files.out, &text_model()?, &mut progress)
                .map_err(|e| Failure::running("train virality", e))?;
        }
        TrainCommand::Recording { files, seed } => {
            let out = files.out.join("recording.jsonl");
            let lines = recording::generate(&files.data, &out, seed)
                .map_err(|e| Failure::running("generate the recording", e))?;
            print_stdout(format_args!("{lines} lines in {}\n", out.display()));
        }
    }
    Ok(())
}

/// Measures a model, a policy or storm detection, prints the figures and draws the charts.
pub fn evaluate(what: &EvaluateCommand) -> Result<(), Failure> {
    let mut progress = |line: String| eprintln!("{line}");
    let files = match what {
        EvaluateCommand::Virality { files } => files,
        EvaluateCommand::Policies { data } => {
            let versus = compare_with_rule(data, &mut progress)
                .map_err(|e| Failure::running("evaluate policies", e))?;
            print_stdout(versus);
            return Ok(());
        }
        EvaluateCommand::Storms { seeds } => {
            let policy =
                Policy::parse("the brand's policy", "[brands.brand]\n").map_err(Failure::Settings)?;
            print_stdout(storms::evaluate(seeds, &policy));
            return Ok(());
        }
    };
    let failed = |e| Failure::running("evaluate virality", e);
    let report =
        ViralityReport::cross_validate(&files.data, &text_model()?, &mut progress).map_err(failed)?;
    print_stdout(&report);
    for chart in report.draw(&files.out).map_err(failed)? {
        eprintln!("{}", files.out.join(chart).display());
    }
    Ok(())
}

fn text_model() -> Result<SentimentModel, Failure> {
    SentimentModel::from_bytes(ModelFiles::SHIPPED.sentiment)
        .map_err(|e| Failure::running("load the shipped text model", e))
}

fn choice(text: &TextTraining) -> PostSelection {
    PostSelection { airline: !text.without_airline, whole_edition: text.hold_out_edition, every: text.every }
}
