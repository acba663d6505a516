//! `firewatch train`: makes what is shipped, again.

use firewatch_lab::{recording, train_sentiment, train_virality};

use crate::args::Training;
use crate::shell::{Failure, say};

/// Trains a model or makes the recording, and prints its figures.
pub fn train(what: Training) -> Result<(), Failure> {
    let mut tell = |line: String| eprintln!("{line}");
    match what {
        Training::Sentiment { files, without_airline, every } => {
            let options = train_sentiment::Options {
                airline: !without_airline,
                every,
                ..train_sentiment::Options::default()
            };
            let figures = train_sentiment::train(&files.data, &files.out, &options, &mut tell);
            say(format_args!(
                "{:<28} {:>7} {:>13} {:>9} {:>13}\n",
                "set", "posts", "macro recall", "macro F1", "AP negative"
            ));
            for f in figures.map_err(|e| Failure::running("train sentiment", e))? {
                let (recall, f1, ap) = (f.macro_recall * 100.0, f.macro_f1 * 100.0, f.negative_ap);
                say(format_args!("{:<28} {:>7} {recall:>13.1} {f1:>9.1} {ap:>13.3}\n", f.set, f.posts));
            }
        }
        Training::Virality { files } => {
            let figures = train_virality::train(&files.data, &files.out, &mut tell);
            say(format_args!(
                "{:<24} {:>8} {:>9} {:>8} {:>6} {:>12}\n",
                "set", "minutes", "cascades", "crossed", "AP", "mean stated"
            ));
            for f in figures.map_err(|e| Failure::running("train virality", e))? {
                let train_virality::Figures { set, age_min, cascades, share, ap, mean_stated } = f;
                say(format_args!(
                    "{set:<24} {age_min:>8} {cascades:>9} {share:>8.3} {ap:>6.3} {mean_stated:>12.3}\n"
                ));
            }
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
