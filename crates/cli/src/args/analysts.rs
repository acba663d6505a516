//! What analysts ask for: policies over recordings, better thresholds, reports.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use firewatch_domain::EventTime;
use firewatch_kafka::SpanBound;
use firewatch_report::Zone;

use super::values;

/// Where history comes from: a file, or a span of the topics.
#[derive(Debug, ClapArgs)]
pub struct HistorySource {
    /// Events: JSON lines, plain or packed with gzip or zstd, or a Parquet file; `-` for standard input
    #[arg(long, required_unless_present = "config", conflicts_with = "config")]
    pub input: Option<PathBuf>,
    /// What people did about them, as JSON lines, plain or packed
    #[arg(long, conflicts_with = "config")]
    pub actions: Option<PathBuf>,
    /// A settings file, to read events and actions from its topics; its group is not touched
    #[arg(long)]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub bounds: SpanOptions,
}

/// A span of the topics.
#[derive(Debug, ClapArgs)]
pub struct SpanOptions {
    /// The first record of the topics: a time at which it was written (RFC 3339), offsets of the events topic
    /// (0:1200,1:1180; partitions left out begin where the log does), or `log`
    #[arg(long, requires = "config", default_value = "log", value_parser = values::span_bound)]
    pub from: SpanBound,
    /// The record after the last, said likewise
    #[arg(long, requires = "config", default_value = "log", value_parser = values::span_bound)]
    pub to: SpanBound,
}

#[derive(Debug, ClapArgs)]
pub struct BacktestOptions {
    /// A policy file; more of them are compared with the first. That of the settings when left out, or the demo's
    #[arg(long)]
    pub policy: Vec<PathBuf>,
    /// A model to try with the first policy, beside the one in force: a text model, a virality model or a calibration of the
    /// risk, or several with commas between
    #[arg(long)]
    pub model: Vec<String>,
    #[command(flatten)]
    pub source: HistorySource,
    /// CSV with the columns conversation and label (1 or 0): what was worth telling. Without it, what crossed its brand's
    /// viral bar later
    #[arg(long)]
    pub labels: Option<PathBuf>,
    /// A folder for the escalations as JSON lines, and for the report as JSON and CSV
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// The time zone of days and hours, such as America/New_York
    #[arg(long, default_value = "UTC", value_parser = values::zone)]
    pub zone: Zone,
    /// Threads; as many as there are cores when left out. What comes out is the same
    #[arg(long, value_parser = values::threads)]
    pub threads: Option<usize>,
}

#[derive(Debug, ClapArgs)]
pub struct TuneOptions {
    /// The policy as it is
    #[arg(long)]
    pub policy: PathBuf,
    #[command(flatten)]
    pub source: HistorySource,
    /// What to vary: a key of the policy and a template with values in braces, such as
    /// 'routes.viral.when.medium=risk >= {5..40/5}' or 'routes.viral.for={0s,60s}'; several are combined
    #[arg(long, required = true)]
    pub vary: Vec<String>,
    /// The team whose alerts are tuned
    #[arg(long, default_value = "pr")]
    pub team: String,
    /// What is to be as good as it can be
    #[arg(long, value_enum, default_value = "recall")]
    pub objective: ObjectiveArg,
    /// Alerts a day for the team at most, such as 20 or "20 alerts/day"
    #[arg(long, value_parser = values::budget)]
    pub budget: f64,
    /// The share of history that the choice sees; the rest is what is reported on
    #[arg(long, default_value_t = 0.6, value_parser = values::split)]
    pub split: f64,
    /// CSV with the columns conversation and label: what was worth telling
    #[arg(long)]
    pub labels: Option<PathBuf>,
    /// A page with curves; numbers and the chosen policy are written beside it, ending in .json, .csv and .toml
    #[arg(long, value_parser = values::page)]
    pub out: Option<PathBuf>,
    /// Threads; as many as there are cores when left out
    #[arg(long, value_parser = values::threads)]
    pub threads: Option<usize>,
}

#[derive(Debug, ClapArgs)]
pub struct CompareOptions {
    /// On the live stream; for recordings, `backtest` takes several policies
    #[arg(long)]
    pub live: bool,
    /// The settings file of the live processes
    #[arg(long, default_value = "firewatch.toml")]
    pub config: PathBuf,
    /// The settings file of a second deployment that tells nobody, such as one with other models; without it, the policy
    /// that the settings have on trial
    #[arg(long)]
    pub with: Option<PathBuf>,
    #[command(flatten)]
    pub range: TimeRangeOptions,
    /// A folder for the report as a page, as JSON and as CSV
    #[arg(long)]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ObjectiveArg {
    /// The share of what is worth telling that is told in time
    Recall,
    /// The share of what is told that is worth telling
    Precision,
    /// The harmonic mean of both
    F1,
    /// Minutes before half of the reach, on average over all that is worth telling
    Minutes,
}

#[derive(Debug, Subcommand)]
pub enum ReportCommand {
    /// How long complaints wait for an answer, and how much of a fast reply is owed to reach
    Response(ResponseOptions),
    /// Whether scores and what they are made of are still what they were
    Drift(DriftOptions),
    /// How right alerts were by what people said of them, by team and route; can learn a calibration of the risk from it
    Feedback(FeedbackOptions),
}

/// Times between which records of topics were written.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub struct TimeRangeOptions {
    /// What was written to the topics from this time on (RFC 3339)
    #[arg(long, value_parser = values::time)]
    pub from: Option<EventTime>,
    /// What was written before this time
    #[arg(long, value_parser = values::time)]
    pub to: Option<EventTime>,
}

/// What was told and done: files, or topics.
#[derive(Debug, ClapArgs)]
pub struct OutcomeOptions {
    /// Escalations as JSON lines, plain or packed
    #[arg(long, required_unless_present = "config", conflicts_with = "config", requires = "actions")]
    pub escalations: Option<PathBuf>,
    /// Actions as JSON lines, plain or packed
    #[arg(long, conflicts_with = "config")]
    pub actions: Option<PathBuf>,
    /// A settings file, to read its topics instead
    #[arg(long)]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub range: TimeRangeOptions,
}

#[derive(Debug, ClapArgs)]
pub struct DriftOptions {
    /// Scores as JSON lines, plain or packed, as the topic holds them or `firewatch score` writes them
    #[arg(long, required_unless_present = "config", conflicts_with = "config")]
    pub scores: Option<PathBuf>,
    /// A settings file, to read the scores from its topic instead
    #[arg(long)]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub range: TimeRangeOptions,
    /// Where the recent span begins; conversations from before are what it is compared with
    #[arg(long, required_unless_present = "training", conflicts_with = "training", value_parser = values::time)]
    pub recent_from: Option<EventTime>,
    /// Scores to compare all of it with, such as those of the span that a model was made on
    #[arg(long)]
    pub training: Option<PathBuf>,
    /// A page; its numbers are written beside it, ending in .json, .csv, .bins.csv and .forecast.csv
    #[arg(long, value_parser = values::page)]
    pub out: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct FeedbackOptions {
    #[command(flatten)]
    pub outcomes: OutcomeOptions,
    /// A page; its numbers are written beside it, ending in .json and .csv
    #[arg(long, value_parser = values::page)]
    pub out: Option<PathBuf>,
    /// A file to write a calibration of the risk to, learned from the verdicts; it must not be there yet, and its name is its version
    #[arg(long)]
    pub calibration: Option<PathBuf>,
    /// The team whose verdicts it is learned from
    #[arg(long, default_value = "pr")]
    pub team: String,
    /// Learn from alerts of these routes alone, such as those that go by the risk
    #[arg(long)]
    pub route: Vec<String>,
    /// The calibration in force when the alerts were told, if there was one; that of the settings when left out
    #[arg(long)]
    pub current: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct ResponseOptions {
    /// Events as JSON lines, plain or packed, or as a Parquet file, or a JSON array of conversations between customers and agents
    #[arg(long)]
    pub input: PathBuf,
    /// The page; its numbers are written beside it, ending in .json and .csv
    #[arg(long, value_parser = values::page)]
    pub out: PathBuf,
    /// The policy whose brands answer, and whose target holds; the demo's when left out
    #[arg(long)]
    pub policy: Option<PathBuf>,
    /// The time zone of days and hours, such as America/New_York
    #[arg(long, default_value = "UTC", value_parser = values::zone)]
    pub zone: Zone,
    /// Numbers in place of the brands' names
    #[arg(long)]
    pub pseudonyms: bool,
}
