//! What every task shares and none changes: the policy and the models.

use std::sync::Arc;

use firewatch_domain::Post;
use firewatch_escalation::Policy;
use firewatch_scoring::text::Replies;
use firewatch_scoring::{ModelError, Reading, Scratch, SentimentModel, TOLD_IN_WORDS, ViralityModel};

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
    /// Reads posts.
    pub sentiment: Arc<SentimentModel>,
    /// Judges spread.
    pub virality: Arc<ViralityModel>,
    /// Reads the brands' replies.
    pub(crate) replies: &'static Replies,
}

impl Brain {
    /// Joins a policy with the models that come with this build.
    ///
    /// # Errors
    /// When a model file is damaged.
    pub fn shipped(policy: Policy) -> Result<Self, ModelError> {
        Self::new(policy, Models::SHIPPED)
    }

    /// Joins a policy with models.
    ///
    /// # Errors
    /// When bytes are no model.
    pub fn new(policy: Policy, models: Models<'_>) -> Result<Self, ModelError> {
        let sentiment = Arc::new(SentimentModel::from_bytes(models.sentiment)?);
        let virality = Arc::new(ViralityModel::from_bytes(models.virality)?);
        Ok(Self { policy, sentiment, virality, replies: Replies::shipped()? })
    }

    /// The same models with another policy.
    #[must_use]
    pub fn with_policy(&self, policy: Policy) -> Self {
        Self { policy, ..self.clone() }
    }

    /// Reads a post, and keeps words of it only if somebody could be told of it.
    pub(crate) fn read(&self, scratch: &mut Scratch, post: &Post) -> Reading {
        let mut reading = self.sentiment.read(scratch, &post.text, post.lang.as_deref());
        let counts_from = self.policy.counts_from;
        let told_from = counts_from.min(f64::from(TOLD_IN_WORDS));
        let is_flagged = reading.flags.iter().any(|kind| self.policy.flags.contains(kind));
        if is_flagged || reading.said.is_ok_and(|said| f64::from(said.complaint) >= told_from) {
            reading.keep_words(scratch, &post.text);
            if !is_flagged && reading.said.is_ok_and(|said| f64::from(said.complaint) < counts_from) {
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
