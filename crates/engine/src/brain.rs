//! What every task shares and none changes: the policy and the models.

use std::sync::Arc;

use firewatch_domain::Post;
use firewatch_settings::Fault;
use firewatch_escalation::Policy;
use firewatch_scoring::text::Replies;
use firewatch_scoring::{
    Calibration, ModelError, Reading, Scratch, SentimentModel, TOLD_IN_WORDS, ViralityModel,
};

/// In the place of a team, for what a policy on trial would have told.
pub const TRIAL: &str = "trial";

/// Stands for brands that the policy does not list, so that no complaint is lost for want of a name.
pub const UNLISTED: &str = "(unlisted)";

/// Model files, as bytes.
#[derive(Debug, Clone, Copy)]
pub struct Models<'a> {
    /// Reads posts.
    pub sentiment: &'a [u8],
    /// Judges spread.
    pub virality: &'a [u8],
}

impl Models<'static> {
    /// Those that come with this build.
    pub const SHIPPED: Self = Self {
        sentiment: include_bytes!("../../../models/sentiment.fwm"),
        virality: include_bytes!("../../../models/virality.fwm"),
    };
}

/// Policy and models. Models are shared by clones.
#[derive(Clone)]
pub struct Brain {
    /// The policy in force.
    pub policy: Policy,
    /// Policies on trial, from 1: they decide on the same conversations and tell no team.
    pub(crate) trials: Vec<Policy>,
    /// Scores are told, and not only what is decided by them.
    pub(crate) tells_scores: bool,
    /// Reads posts.
    pub sentiment: Arc<SentimentModel>,
    /// Judges spread.
    pub virality: Arc<ViralityModel>,
    /// What verdicts on earlier alerts make of the risk, if anything.
    pub calibration: Option<Arc<Calibration>>,
    /// Reads the brands' replies.
    pub(crate) replies: &'static Replies,
}

impl Brain {
    /// Joins a policy with the models that come with this build.
    ///
    /// # Errors
    /// When a model file is damaged.
    pub fn shipped(policy: Policy) -> Result<Self, ModelError> {
        let models = Models::SHIPPED;
        let sentiment = Arc::new(SentimentModel::from_bytes(models.sentiment)?);
        let virality = Arc::new(ViralityModel::from_bytes(models.virality)?);
        let (trials, tells_scores) = (vec![], true);
        let replies = Replies::shipped()?;
        Ok(Self { policy, trials, tells_scores, sentiment, virality, calibration: None, replies })
    }

    /// The same with a model file in the place of the one that it has: what kind it is, is told by its first bytes. What is no
    /// other kind is read as a calibration.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn with_model(mut self, name: &str, bytes: &[u8]) -> Result<Self, ModelError> {
        if SentimentModel::is_one(bytes) {
            self.sentiment = Arc::new(SentimentModel::from_bytes(bytes)?);
        } else if ViralityModel::is_one(bytes) {
            self.virality = Arc::new(ViralityModel::from_bytes(bytes)?);
        } else {
            let text = String::from_utf8_lossy(bytes);
            let read = Calibration::parse(name, &text).map_err(ModelError::Calibration)?;
            self.calibration = Some(Arc::new(read));
        }
        Ok(self)
    }

    /// The same models with another policy.
    #[must_use]
    pub fn with_policy(&self, policy: Policy) -> Self {
        Self { policy, ..self.clone() }
    }

    /// The same without scores, where nobody reads them.
    #[must_use]
    pub fn without_scores(self) -> Self {
        Self { tells_scores: false, ..self }
    }

    /// The same with policies on trial.
    ///
    /// # Errors
    /// What keeps one of them, by its place, from working on the same conversations as the policy in force.
    pub fn with_trials(self, trials: Vec<Policy>) -> Result<Self, (usize, Vec<Fault>)> {
        for (i, trial) in trials.iter().enumerate() {
            trial.shares_with(&self.policy).map_err(|faults| (i, faults))?;
        }
        Ok(Self { trials, ..self })
    }

    /// Whether the policy of another brain can decide on the same conversations: it agrees on what they are made of, and
    /// the models are the same.
    #[must_use]
    pub fn shares_with(&self, other: &Self) -> bool {
        let same_models =
            Arc::ptr_eq(&self.sentiment, &other.sentiment) && Arc::ptr_eq(&self.virality, &other.virality);
        same_models && self.calibration == other.calibration && other.policy.shares_with(&self.policy).is_ok()
    }

    /// Whom it tells: the teams of the policy, and if one is on trial, whoever watches that.
    #[must_use]
    pub fn outlets(&self) -> Vec<&str> {
        let trial = (!self.trials.is_empty()).then_some(TRIAL);
        self.policy.team_names().into_iter().chain(trial).collect()
    }

    /// The same with another policy in force, beside the same ones on trial.
    ///
    /// # Errors
    /// What keeps those from working on the same conversations.
    pub fn replaced_by(&self, policy: Policy) -> Result<Self, Vec<Fault>> {
        self.with_policy(policy).with_trials(self.trials.clone()).map_err(|(_, faults)| faults)
    }

    /// All policies that decide, the one in force first.
    pub(crate) fn policies(&self) -> impl Iterator<Item = (u32, &Policy)> {
        (0..).zip(std::iter::once(&self.policy).chain(&self.trials))
    }

    /// The policies on trial.
    #[must_use]
    pub fn trials(&self) -> &[Policy] {
        &self.trials
    }

    /// A policy on trial, or for 0 the one in force.
    pub(crate) fn policy_on_trial(&self, trial: u32) -> Option<&Policy> {
        match (trial as usize).checked_sub(1) {
            None => Some(&self.policy),
            Some(i) => self.trials.get(i),
        }
    }

    /// Reads a post, and keeps words of it only if somebody could be told of it.
    pub(crate) fn read(&self, scratch: &mut Scratch, post: &Post) -> Reading {
        let mut reading = self.sentiment.read(scratch, &post.text, post.lang.as_deref());
        if self.policies().any(|(_, policy)| keeps_words(policy, &reading)) {
            reading.keep_words(scratch, &post.text);
            if !self.policies().any(|(_, policy)| is_from(policy.counts_from, policy, &reading)) {
                // They are for storms, and it will not count for one.
                (reading.topics, reading.near) = (vec![], None);
            }
        }
        reading
    }

    /// The key under which a brand's signals are kept.
    pub(crate) fn signal_key(&self, brand: Option<&str>) -> &str {
        brand.and_then(|b| self.policy.brands.get_key_value(b)).map_or(UNLISTED, |(name, _)| name)
    }

    /// Every key that signals can have.
    pub fn signal_keys(&self) -> impl Iterator<Item = &str> {
        self.policy.brands.keys().map(String::as_str).chain([UNLISTED])
    }
}

/// Whether a policy needs words of a post: a team could be told of it.
pub(crate) fn keeps_words(policy: &Policy, reading: &Reading) -> bool {
    is_from(policy.counts_from.min(f64::from(TOLD_IN_WORDS)), policy, reading)
}

/// Whether a post has at least this P(complaint), or is flagged with something that the policy asks for.
fn is_from(least: f64, policy: &Policy, reading: &Reading) -> bool {
    let is_flagged = reading.flags.iter().any(|kind| policy.flags.contains(kind));
    is_flagged || reading.said.is_ok_and(|said| f64::from(said.complaint) >= least)
}
