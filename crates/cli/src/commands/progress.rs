//! Runs a backtest over a recording, with a progress bar.

use std::io::IsTerminal;
use std::sync::atomic::Ordering;

use firewatch_backtest::recordings::RecordingReader;
use firewatch_backtest::run::{Backtest, FinishedBacktest};
use firewatch_domain::Escalation;
use indicatif::{ProgressBar, ProgressStyle};

/// Returns the number of threads requested, or one per core.
pub fn threads(requested: Option<usize>) -> usize {
    requested.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Runs a backtest over a recording. Returns it with the reason why the recording could not be read to its
/// end, if so.
pub fn work_through<'a>(
    recording: &RecordingReader,
    mut backtest: Backtest<'a>,
    sink: &mut impl FnMut(usize, &Escalation),
) -> (FinishedBacktest<'a>, Option<String>) {
    let screen = ProgressScreen::new(recording);
    let mut partial = None;
    for chunk in &recording.chunks {
        match chunk {
            Ok(chunk) => backtest.process(&chunk, sink),
            Err(e) => partial = Some(e.to_string()),
        }
        screen.show(recording, &backtest);
    }
    let ended = backtest.finish(sink);
    screen.end();
    (ended, partial)
}

/// A progress bar on standard error, if that is a terminal.
struct ProgressScreen(Option<ProgressBar>);

impl ProgressScreen {
    fn new(recording: &RecordingReader) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let (bar, style) = match recording.size {
            Some(size) => (ProgressBar::new(size), "{bar:30} {percent}% {msg}, {eta} left"),
            None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
        };
        let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(Some(bar.with_style(style)))
    }

    fn show(&self, recording: &RecordingReader, backtest: &Backtest<'_>) {
        let Some(bar) = &self.0 else { return };
        bar.set_position(recording.read.load(Ordering::Relaxed));
        let per_second = backtest.records() as f64 / bar.elapsed().as_secs_f64().max(0.001);
        let (records, conversations) = (backtest.records(), backtest.conversations());
        bar.set_message(format!("{records} records, {per_second:.0}/s, {conversations} open conversations"));
    }

    fn end(&self) {
        self.0.iter().for_each(ProgressBar::finish_and_clear);
    }
}
