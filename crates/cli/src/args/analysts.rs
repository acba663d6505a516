//! Options of the analysts' commands: backtests, tuning, comparisons and reports.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use firewatch_domain::EventTime;
use firewatch_kafka::SpanBound;
use firewatch_report::Zone;

use super::values;

/// Recorded history: a file, or a span of the topics.
#[derive(Debug, ClapArgs)]
pub struct HistorySource {
    /// Events as JSON lines, plain or compressed with gzip or zstd, or a Parquet file; `-` is standard input
    #[arg(long, required_unless_present = "config", conflicts_with = "config")]
    pub input: Option<PathBuf>,
    /// Actions that people took, as JSON lines, plain or compressed
    #[arg(long, conflicts_with = "config")]
    pub actions: Option<PathBuf>,
    /// Settings file, to read events and actions from its topics; its group is not touched
    #[arg(long)]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub bounds: SpanOptions,
}

/// A span of the topics.
#[derive(Debug, ClapArgs)]
pub struct SpanOptions {
    /// First record: a time of writing (RFC 3339), offsets of the events topic such as 0:1200,1:1180 (other
    /// partitions start at their beginning), or `log`
    #[arg(long, requires = "config", default_value = "log", value_parser = values::span_bound)]
    pub from: SpanBound,
    /// Record after the last, in the same form (other partitions stop at their end)
    #[arg(long, requires = "config", default_value = "log", value_parser = values::span_bound)]
    pub to: SpanBound,
}

#[derive(Debug, ClapArgs)]
pub struct BacktestOptions {
    /// Policy file; further ones are compared with the first. That of the settings, or the demo's, when
    /// omitted
    #[arg(long)]
    pub policy: Vec<PathBuf>,
    /// Model to try with the first policy and compare with the active one: a text model, a virality model or
    /// a risk calibration, or several separated by commas
    #[arg(long)]
    pub model: Vec<String>,
    #[command(flatten)]
    pub source: HistorySource,
    /// CSV with the columns conversation and label (1: worth an alert, 0: not). When omitted, conversations
    /// that later crossed their brand's viral bar were worth one
    #[arg(long)]
    pub labels: Option<PathBuf>,
    /// Folder for the escalations as JSON lines, and for the report as a page, JSON and CSV
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Time zone of days and hours, such as America/New_York
    #[arg(long, default_value = "UTC", value_parser = values::zone)]
    pub zone: Zone,
    /// Number of threads; one per core when omitted. The results do not depend on it
    #[arg(long, value_parser = values::threads)]
    pub threads: Option<usize>,
}

#[derive(Debug, ClapArgs)]
pub struct TuneOptions {
    /// Current policy
    #[arg(long)]
    pub policy: PathBuf,
    #[command(flatten)]
    pub source: HistorySource,
    /// Policy key to vary and a template with values in braces, such as 'routes.viral.when.medium=risk >=
    /// {5..40/5}' or 'routes.viral.for={0s,60s}'; several are combined
    #[arg(long, required = true)]
    pub vary: Vec<String>,
    /// Team whose alerts are tuned
    #[arg(long, default_value = "pr")]
    pub team: String,
    /// Figure to maximise
    #[arg(long, value_enum, default_value = "recall")]
    pub objective: ObjectiveArg,
    /// Alerts per day for the team, at most, such as 20 or "20 alerts/day"
    #[arg(long, value_parser = values::budget)]
    pub budget: f64,
    /// Share of the history, from its start, used to choose; the report is on the rest
    #[arg(long, default_value_t = 0.6, value_parser = values::split)]
    pub split: f64,
    /// CSV with the columns conversation and label (1: worth an alert, 0: not)
    #[arg(long)]
    pub labels: Option<PathBuf>,
    /// Page with curves; the numbers and the chosen policy are written beside it, ending in .json, .csv and
    /// .toml
    #[arg(long, value_parser = values::page)]
    pub out: Option<PathBuf>,
    /// Number of threads; one per core when omitted
    #[arg(long, value_parser = values::threads)]
    pub threads: Option<usize>,
}

#[derive(Debug, ClapArgs)]
pub struct CompareOptions {
    /// Compare on the live stream; for recordings, give `backtest` several policies
    #[arg(long)]
    pub live: bool,
    /// Settings file of the live processes
    #[arg(long, default_value = "firewatch.toml")]
    pub config: PathBuf,
    /// Settings file of a second deployment that notifies nobody, such as one with other models; the shadow
    /// policy of the settings when omitted
    #[arg(long)]
    pub with: Option<PathBuf>,
    #[command(flatten)]
    pub range: TimeRangeOptions,
    /// Folder for the report as a page, JSON and CSV
    #[arg(long)]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ObjectiveArg {
    /// Share of the conversations worth an alert that get one in time
    Recall,
    /// Share of the alerts that are on conversations worth one
    Precision,
    /// Harmonic mean of recall and precision
    F1,
    /// Mean minutes from the alert to half of the reach, over all conversations worth an alert
    Minutes,
}

#[derive(Debug, Subcommand)]
pub enum ReportCommand {
    /// Report how long complaints wait for an answer, and how that depends on reach
    Response(ResponseOptions),
    /// Report whether scores and their inputs have drifted
    Drift(DriftOptions),
    /// Report how useful alerts were according to people's verdicts, by team and route; can fit a risk
    /// calibration
    Feedback(FeedbackOptions),
}

/// A range of the times at which records were written to topics.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub struct TimeRangeOptions {
    /// Read records written at this time or later (RFC 3339)
    #[arg(long, value_parser = values::time)]
    pub from: Option<EventTime>,
    /// Read records written before this time (RFC 3339)
    #[arg(long, value_parser = values::time)]
    pub to: Option<EventTime>,
}

/// Escalations and the actions on them: files, or topics.
#[derive(Debug, ClapArgs)]
pub struct OutcomeOptions {
    /// Escalations as JSON lines, plain or compressed
    #[arg(long, required_unless_present = "config", conflicts_with = "config", requires = "actions")]
    pub escalations: Option<PathBuf>,
    /// Actions as JSON lines, plain or compressed
    #[arg(long, conflicts_with = "config")]
    pub actions: Option<PathBuf>,
    /// Settings file, to read its topics instead
    #[arg(long)]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub range: TimeRangeOptions,
}

#[derive(Debug, ClapArgs)]
pub struct DriftOptions {
    /// Scores as JSON lines, plain or compressed, from the topic or from `firewatch score`
    #[arg(long, required_unless_present = "config", conflicts_with = "config")]
    pub scores: Option<PathBuf>,
    /// Settings file, to read the scores from its topic instead
    #[arg(long)]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub range: TimeRangeOptions,
    /// Start of the recent span, which is compared with the conversations before it
    #[arg(long, required_unless_present = "training", conflicts_with = "training", value_parser = values::time)]
    pub recent_from: Option<EventTime>,
    /// Scores to compare everything with, such as those of the span that a model was trained on
    #[arg(long)]
    pub training: Option<PathBuf>,
    /// Page; its numbers are written beside it, ending in .json, .csv, .bins.csv and .forecast.csv
    #[arg(long, value_parser = values::page)]
    pub out: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct FeedbackOptions {
    #[command(flatten)]
    pub outcomes: OutcomeOptions,
    /// Page; its numbers are written beside it, ending in .json and .csv
    #[arg(long, value_parser = values::page)]
    pub out: Option<PathBuf>,
    /// New file for a risk calibration fitted to the verdicts; it must not exist, and its name becomes the
    /// version
    #[arg(long)]
    pub calibration: Option<PathBuf>,
    /// Team whose verdicts the calibration is fitted to
    #[arg(long, default_value = "pr")]
    pub team: String,
    /// Fit only to alerts of these routes, such as those that depend on the risk
    #[arg(long)]
    pub route: Vec<String>,
    /// Calibration that was active when the alerts were sent, if any; that of the settings when omitted
    #[arg(long)]
    pub current: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct ResponseOptions {
    /// Events as JSON lines (plain or compressed) or Parquet, or a JSON array of conversations between
    /// customers and agents
    #[arg(long)]
    pub input: PathBuf,
    /// Page; its numbers are written beside it, ending in .json and .csv
    #[arg(long, value_parser = values::page)]
    pub out: PathBuf,
    /// Policy with the brands that answer and their response target; the demo's when omitted
    #[arg(long)]
    pub policy: Option<PathBuf>,
    /// Time zone of days and hours, such as America/New_York
    #[arg(long, default_value = "UTC", value_parser = values::zone)]
    pub zone: Zone,
    /// Replace the brands' names by numbers
    #[arg(long)]
    pub pseudonyms: bool,
}
