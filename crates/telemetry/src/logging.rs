//! The process log: one line per event on standard error, as text or JSON, with repeated lines suppressed.
//!
//! The shell crates emit `tracing` events, and only this module writes them. A line that repeats within
//! [`REPEAT_INTERVAL`] is counted instead of written; the next written one reports the count.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Interval in which a repeated line is written once.
pub const REPEAT_INTERVAL: Duration = Duration::from_secs(10);
/// Maximum number of distinct remembered lines. When it is reached, all are forgotten.
const MAX_REMEMBERED: usize = 1024;

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level, target, fields and message, for people.
    Text,
    /// One JSON object a line, for log stores.
    Json,
}

/// The settings of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// The format of the lines.
    pub format: LogFormat,
    /// The minimum level of firewatch's own events. Libraries log only warnings and errors.
    pub level: Level,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: Level::INFO }
    }
}

/// Starts the log of this process. A second call has no effect.
pub fn start_log(settings: LogSettings) {
    let own = LevelFilter::from_level(settings.level);
    let filter = Targets::new().with_default(LevelFilter::WARN).with_target("firewatch", own);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let registry = tracing_subscriber::registry().with(filter);
    // Fails only if a subscriber is set already.
    let _ = match settings.format {
        LogFormat::Text => {
            let format = Limited::new(Format::default().with_target(false).with_ansi(false), repeats_as_text);
            registry.with(layer.event_format(format)).try_init()
        }
        LogFormat::Json => {
            let json: Format<Json> = Format::default().json();
            let layer = layer.fmt_fields(JsonFields::new());
            registry.with(layer.event_format(Limited::new(json, repeats_as_json))).try_init()
        }
    };
}

/// An event format that writes a repeated line once per [`REPEAT_INTERVAL`].
struct Limited<F> {
    format: F,
    repeats: Mutex<HashMap<u64, Repeats>>,
    report: fn(u64, &str, &mut Writer<'_>) -> fmt::Result,
}

/// The time a line was last written, and how often it was suppressed since.
struct Repeats {
    written: Instant,
    left_out: u64,
}

impl<F> Limited<F> {
    fn new(format: F, report: fn(u64, &str, &mut Writer<'_>) -> fmt::Result) -> Self {
        Self { format, repeats: Mutex::default(), report }
    }

    /// Returns how many repeats of a line were suppressed if it is due, or `None` if it must be suppressed.
    fn due(&self, line: u64, now: Instant) -> Option<u64> {
        let mut all = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(&line) {
            if now.duration_since(known.written) < REPEAT_INTERVAL {
                known.left_out += 1;
                return None;
            }
            known.written = now;
            return Some(std::mem::take(&mut known.left_out));
        }
        if all.len() >= MAX_REMEMBERED {
            all.clear();
        }
        all.insert(line, Repeats { written: now, left_out: 0 });
        Some(0)
    }
}

impl<S, N, F> FormatEvent<S, N> for Limited<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    #[expect(clippy::disallowed_methods, reason = "the log is the shell's, and no result depends on it")]
    fn format_event(
        &self,
        cx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut hasher = DefaultHasher::new();
        event.metadata().callsite().hash(&mut hasher);
        fields.all.hash(&mut hasher);
        match self.due(hasher.finish(), Instant::now()) {
            None => return Ok(()),
            Some(0) => {}
            Some(left_out) => (self.report)(left_out, &fields.message, &mut writer)?,
        }
        self.format.format_event(cx, writer, event)
    }
}

fn repeats_as_text(left_out: u64, message: &str, writer: &mut Writer<'_>) -> fmt::Result {
    writeln!(writer, "(repeated {left_out} times since it was last written: {message})")
}

fn repeats_as_json(left_out: u64, message: &str, writer: &mut Writer<'_>) -> fmt::Result {
    // Characters that JSON would have to escape are removed.
    let message: String = message.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).collect();
    writeln!(
        writer,
        "{{\"level\":\"INFO\",\"fields\":{{\"message\":\"repeated\",\"line\":\"{message}\",\"times\":{left_out}}}}}"
    )
}

/// The fields of an event as text: all of them, which identify repeats, and the message.
#[derive(Default)]
struct Fields {
    all: String,
    message: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = write!(self.all, "{}={value:?};", field.name());
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// A writer that keeps its output for assertions.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn lines(written: &Written) -> Vec<String> {
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_that_repeats_is_written_once_and_another_is_not_held_back() {
        let written = Written::default();
        let layer = tracing_subscriber::fmt::layer().with_writer(written.clone()).with_ansi(false);
        let format = Limited::new(Format::default().with_ansi(false), repeats_as_text);
        let subscriber = tracing_subscriber::registry().with(layer.event_format(format));
        tracing::subscriber::with_default(subscriber, || {
            for partition in [1, 1, 1, 2] {
                tracing::warn!(partition, "the broker is away");
            }
        });
        let lines = lines(&written);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].contains("WARN") && lines[0].contains("the broker is away partition=1"),
            "{lines:?}"
        );
        assert!(lines[1].contains("partition=2"), "{lines:?}");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a point in time to count from")]
    fn repeats_are_counted_and_reported_with_the_next_line() {
        let limited = Limited::new((), repeats_as_text);
        let start = Instant::now();
        assert_eq!(limited.due(7, start), Some(0));
        assert_eq!(limited.due(7, start + REPEAT_INTERVAL / 2), None);
        assert_eq!(limited.due(7, start + REPEAT_INTERVAL / 2), None);
        assert_eq!(limited.due(8, start), Some(0));
        assert_eq!(limited.due(7, start + REPEAT_INTERVAL), Some(2));
        assert_eq!(limited.due(7, start + REPEAT_INTERVAL * 2), Some(0));
    }

    #[test]
    fn json_lines_are_json_with_level_and_fields() {
        let written = Written::default();
        let json: Format<Json> = Format::default().json();
        let layer =
            tracing_subscriber::fmt::layer().with_writer(written.clone()).fmt_fields(JsonFields::new());
        let subscriber =
            tracing_subscriber::registry().with(layer.event_format(Limited::new(json, repeats_as_json)));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(partition = 3, "state \"restored\"");
        });
        let lines = lines(&written);
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!((&line["level"], &line["fields"]["partition"]), (&"INFO".into(), &3.into()));
        assert_eq!(line["fields"]["message"], "state \"restored\"");
        let mut report = String::new();
        repeats_as_json(4, "a \"quoted\" line\n", &mut Writer::new(&mut report)).unwrap();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["fields"]["times"], 4);
    }
}
