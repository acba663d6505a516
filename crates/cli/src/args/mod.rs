//! The command line: commands, options and their help texts.

mod analysts;
#[cfg(feature = "train")]
mod train;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use firewatch_console::people::Role;
use firewatch_domain::VIRAL_BAR;
use firewatch_ingest::Platform;
use firewatch_kafka::COMMANDS_WITH_RIGHTS;
use firewatch_wire::Format;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

pub use analysts::{
    BacktestOptions, CompareOptions, DriftOptions, FeedbackOptions, HistorySource, ObjectiveArg,
    OutcomeOptions, ReportCommand, ResponseOptions, SpanOptions, TimeRangeOptions, TuneOptions,
};
#[cfg(feature = "train")]
pub use train::{EvaluateCommand, TextTraining, TrainCommand};

/// Watch customer complaints spread and alert the right team early
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Play a recorded hour of an insurer's mentions through an embedded Kafka
    Demo(DemoOptions),
    /// Consume events from Kafka and emit scores and escalations until stopped
    Run {
        /// Settings file
        #[arg(long, default_value = "firewatch.toml")]
        config: PathBuf,
    },
    /// Serve the console for PR and support teams, fed from the topics
    Console(ConsoleOptions),
    /// Invite people to the console, or reset a second factor, from the machine that it runs on
    People {
        #[command(subcommand)]
        what: PeopleCommand,
    },
    /// Test the notification channels
    Notify {
        #[command(subcommand)]
        what: NotifyCommand,
    },
    /// Create or check the topics that a settings file names
    Topics {
        #[command(subcommand)]
        what: TopicsCommand,
    },
    /// Process a span of the input again with another policy or model, into separate topics
    Replay(ReplayOptions),
    /// Run policies over recorded events and report how accurate and how early their alerts are
    Backtest(BacktestOptions),
    /// Compare the alerts of the active policy with those of a shadow policy
    Compare(CompareOptions),
    /// Choose thresholds on earlier recorded events and report how they do on later ones
    Tune(TuneOptions),
    /// Write a report on recorded data as a page, with every number as JSON and CSV beside it
    Report {
        #[command(subcommand)]
        what: ReportCommand,
    },
    /// Check a settings file and its policy without connecting, and print every error
    Check {
        /// Settings file
        #[arg(long, default_value = "firewatch.toml")]
        config: PathBuf,
    },
    /// Collect payloads from platforms into raw topics, by webhooks and streams, until stopped
    Collect {
        /// Settings file
        #[arg(long, default_value = "firewatch.toml")]
        config: PathBuf,
    },
    /// Decode platform payloads into events: from raw topics until stopped, or with --platform from a file
    Ingest(IngestOptions),
    /// Score events from JSON lines without a broker; print scores and escalations as JSON lines
    Score(ScoreOptions),
    /// Check a drafted public reply from standard input; exit code 1, with the reasons, if it must not be
    /// sent
    Guard(GuardOptions),
    /// Check, test and explain policies
    Policy {
        #[command(subcommand)]
        what: PolicyCommand,
    },
    /// Print the schemas of the records, or an AsyncAPI document of the topics
    Schema {
        /// Schema to print: event, action, score, escalation, signal, dead_letter, policy or settings; all when
        /// omitted
        record: Option<String>,
        /// Print the schema in this format, as a schema registry expects it
        #[arg(long, value_parser = values::format(), default_value = "json", conflicts_with_all = ["asyncapi", "openapi"])]
        format: Format,
        /// Print an AsyncAPI 3 document of the topics
        #[arg(long)]
        asyncapi: bool,
        /// Print an OpenAPI 3.1 document of the console's API
        #[arg(long, conflicts_with = "asyncapi")]
        openapi: bool,
    },
    /// Predict with the models: sentiment of posts, or final size of cascades
    Predict {
        #[command(subcommand)]
        what: PredictCommand,
    },
    /// Measure a model on data it has not seen, and draw charts
    #[cfg(feature = "train")]
    Evaluate {
        #[command(subcommand)]
        what: EvaluateCommand,
    },
    /// Train the shipped models, or generate the demo's recording, from the data sets
    #[cfg(feature = "train")]
    Train {
        #[command(subcommand)]
        what: TrainCommand,
    },
}

#[derive(Debug, ClapArgs)]
pub struct ConsoleOptions {
    /// Settings file of the live processes
    #[arg(long, default_value = "firewatch.toml")]
    pub config: PathBuf,
    /// Listen on this address instead of console.listen; port 0 picks a free port
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// Use this database instead of console.database; it is created if missing
    #[arg(long)]
    pub database: Option<String>,
    /// Rebuild the projection from the topics; people, the audit trail and sent notifications stay
    #[arg(long)]
    pub rebuild: bool,
}

#[derive(Debug, Subcommand)]
pub enum NotifyCommand {
    /// Send a test message on each channel; exit code 1 if a channel does not accept it
    Test {
        /// Settings file
        #[arg(long, default_value = "firewatch.toml")]
        config: PathBuf,
        /// Channels to test; all when omitted
        channels: Vec<String>,
    },
}

#[derive(Debug, ClapArgs)]
pub struct DemoOptions {
    /// Playback speed as a multiple of real time; 0 plays as fast as possible
    #[arg(long, default_value_t = 90.0, value_parser = values::speed)]
    pub speed: f64,
    /// Print plain lines instead of a progress bar, as when the output is not a terminal
    #[arg(long)]
    pub plain: bool,
    /// Play only this many minutes of the hour
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub minutes: u32,
    /// Partitions of each topic
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub partitions: u32,
    /// Address that the console listens on; port 0 picks a free port
    #[arg(long, default_value = "127.0.0.1:0", value_parser = values::loopback)]
    pub listen: SocketAddr,
    /// Keep the console running after the recording ends, until stopped
    #[arg(long)]
    pub stay: bool,
    /// Print the recorded events as JSON lines, and do nothing else
    #[arg(long)]
    pub events: bool,
}

#[derive(Debug, ClapArgs)]
pub struct GuardOptions {
    /// Print the verdict as one JSON object, with positions in characters
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Check a policy and print every error, and every condition that never or always holds
    Check {
        /// Policy file
        file: PathBuf,
    },
    /// Play test cases, each a timeline with its expected records; exit code 1 if a case fails
    Test {
        /// File of test cases
        file: PathBuf,
        /// Print passing cases as well
        #[arg(long)]
        all: bool,
    },
    /// Explain every decision about one conversation over recorded events
    Explain {
        /// Policy file
        file: PathBuf,
        /// Id of the conversation or storm
        #[arg(long)]
        conversation: String,
        /// Events as JSON lines; the demo's recording when omitted
        #[arg(long)]
        input: Option<PathBuf>,
    },
    /// List the names that conditions can use
    Names,
}

#[derive(Debug, Subcommand)]
pub enum PeopleCommand {
    /// Print a link that creates an account, or replaces its roles and password; valid for 24 hours and one use
    Invite {
        /// Name of the account
        name: String,
        /// Role of the account; repeat it for several
        #[arg(long = "role", required = true, value_parser = Role::ALL.map(Role::as_str))]
        roles: Vec<String>,
        /// Database of the console instead of the one in the settings
        #[arg(long)]
        database: Option<String>,
        /// Settings file
        #[arg(long, default_value = "firewatch.toml")]
        config: PathBuf,
    },
    /// Reset the second factor of an account, and end its sessions; exit code 1 if it has none
    ResetSecondFactor {
        /// Name of the account
        name: String,
        /// Database of the console instead of the one in the settings
        #[arg(long)]
        database: Option<String>,
        /// Settings file
        #[arg(long, default_value = "firewatch.toml")]
        config: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum TopicsCommand {
    /// Create the missing topics, with suitable settings
    Create(CreateTopicsOptions),
    /// Show by which partitioner the keys of events and actions were placed; exit code 1 if some are not where
    /// firewatch expects them
    Check {
        /// Settings file
        #[arg(long, default_value = "firewatch.toml")]
        config: PathBuf,
        /// Records to sample at the end of each partition
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        sample: u32,
    },
    /// Print the access rights that each command needs, as commands of Kafka's own tool
    Acls {
        /// Settings file
        #[arg(long, default_value = "firewatch.toml")]
        config: PathBuf,
        /// Principal to grant them to
        #[arg(long, default_value = "User:firewatch")]
        principal: String,
        /// Only those of these commands
        #[arg(long = "for", value_delimiter = ',', value_parser = COMMANDS_WITH_RIGHTS)]
        commands: Vec<String>,
    },
}

#[derive(Debug, ClapArgs)]
pub struct CreateTopicsOptions {
    /// Settings file
    #[arg(long, default_value = "firewatch.toml")]
    pub config: PathBuf,
    /// Partitions of each topic, which limit how many processes can share the work
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub partitions: u32,
    /// Replicas of each partition; the cluster's default when omitted
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub replication_factor: Option<u32>,
    /// Print what would be created, and create nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, ClapArgs)]
pub struct ReplayOptions {
    /// Settings file of the live processes; their group is not touched
    #[arg(long, default_value = "firewatch.toml")]
    pub config: PathBuf,
    /// Policy to try; that of the settings when omitted
    #[arg(long)]
    pub policy: Option<PathBuf>,
    /// Model to try in place of the active one: a text model, a virality model or a risk calibration
    #[arg(long)]
    pub model: Vec<PathBuf>,
    #[command(flatten)]
    pub bounds: SpanOptions,
    /// Prefix of the output topics' names; these topics must not exist yet
    #[arg(long, default_value = "replay.", value_parser = values::prefix)]
    pub prefix: String,
    /// Print what would be read and created, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, ClapArgs)]
pub struct IngestOptions {
    /// Platform of the payloads: x, mastodon, bluesky, reddit, facebook, instagram, youtube, google_play,
    /// app_store, zendesk, threads, tiktok, linkedin, trustpilot, google_business, freshdesk,
    /// intercom, feed, or generic with --mapping
    #[arg(long)]
    pub platform: Option<Platform>,
    /// File of payloads, plain or compressed with gzip or zstd; `-` is standard input
    #[arg(long, default_value = "-", requires = "platform")]
    pub input: PathBuf,
    /// TOML file that maps the fields of a payload, for generic
    #[arg(long, requires = "platform")]
    pub mapping: Option<PathBuf>,
    /// Print what each pointer of the mapping finds in each item, instead of events
    #[arg(long, requires = "mapping")]
    pub explain: bool,
    /// Server, account or app that the ids belong to, if there are several; becomes part of conversation ids
    #[arg(long, requires = "platform")]
    pub account: Option<String>,
    /// Arrival time of the payloads (RFC 3339), used for counters without a time; now when omitted
    #[arg(long, requires = "platform")]
    pub now: Option<String>,
    /// Settings file whose [sources] name the raw topics, without --platform
    #[arg(long, default_value = "firewatch.toml", conflicts_with = "platform")]
    pub config: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub struct ScoreOptions {
    /// Policy file; the demo's when omitted
    #[arg(long)]
    pub policy: Option<PathBuf>,
    /// File of events; standard input when omitted
    #[arg(long)]
    pub input: Option<PathBuf>,
    /// Write rejected lines to this file as dead letters (JSON lines) instead of to standard error
    #[arg(long)]
    pub dead_letters: Option<PathBuf>,
    /// Arrival time of the events (RFC 3339); now when omitted
    #[arg(long)]
    pub now: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum PredictCommand {
    /// Predict sentiment, complaint, arousal and flags from lines of {"id", "text"}, one answer per line
    Sentiment(PredictOptions),
    /// Predict the final size of cascades, root excluded, from CSV `cascade,t_s,followers,user`, one row per
    /// cascade
    Virality(CascadeOptions),
}

#[derive(Debug, ClapArgs)]
pub struct CascadeOptions {
    /// Age in seconds from which to predict; later reshares are ignored
    #[arg(long, value_name = "SECONDS", value_parser = values::age, allow_negative_numbers = true)]
    pub at: f64,
    /// File of cascades; standard input when omitted
    #[arg(long)]
    pub input: Option<PathBuf>,
    /// Reshares from which a cascade is viral; `p_viral` is the probability of reaching them within a day
    #[arg(long, default_value_t = VIRAL_BAR, value_parser = clap::value_parser!(u64).range(1..))]
    pub bar: u64,
    /// Share of the given cascades that reach 50 reshares: 1 if all did, 0.01 for unselected posts, 0.03 for
    /// unselected complaints
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = values::share)]
    pub takes_off: f64,
    /// Virality model; the shipped one when omitted
    #[arg(long)]
    pub model: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct PredictOptions {
    /// Tier to use: `fast` also scores the stream; `best` adds the encoder, at milliseconds a post
    #[arg(long, value_enum, default_value = "fast")]
    pub tier: ModelTier,
    /// Text model; the shipped one when omitted
    #[arg(long)]
    pub model: Option<PathBuf>,
    /// Encoder; the shipped one when omitted
    #[arg(long)]
    pub encoder: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModelTier {
    Fast,
    Best,
}
