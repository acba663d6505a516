//! What every task shares and none changes: the policy and the models.

use std::sync::Arc;

use firewatch_domain::Post;
use firewatch_escalation::Policy;
use firewatch_scoring::text::ReplyChecker;
use firewatch_scoring::{
    Calibration, MIN_COMPLAINT_TO_QUOTE, ModelError, Reading, Scratch, SentimentModel, ViralityModel,
};
use firewatch_settings::Fault;

/// In the place of a team, for what a policy on trial would have told.
pub const SHADOW_TEAM: &str = "trial";

/// Stands for brands that the policy does not list, so that no complaint is lost for want of a name.
pub const UNLISTED_BRAND: &str = "(unlisted)";

/// Model files, as bytes.
#[derive(Debug, Clone, Copy)]
pub struct ModelFiles<'a> {
    /// Reads posts.
    pub sentiment: &'a [u8],
    /// Judges spread.
    pub virality: &'a [u8],
}

impl ModelFiles<'static> {
    /// Those that come with this build.
    pub const SHIPPED: Self = Self {
        sentiment: include_bytes!("../../../models/sentiment.fwm"),
        virality: include_bytes!("../../../models/virality.fwm"),
    };
}

/// Policy and models. Models are shared by clones.
#[derive(Clone)]
pub struct Ruleset {
    /// The policy in force.
    pub policy: Policy,
    /// Policies on trial, from 1: they decide on the same conversations and tell no team.
    pub(crate) shadow_policies: Vec<Policy>,
    /// Scores are told, and not only what is decided by them.
    pub(crate) emits_scores: bool,
    /// Reads posts.
    pub sentiment: Arc<SentimentModel>,
    /// Judges spread.
    pub virality: Arc<ViralityModel>,
    /// What verdicts on earlier alerts make of the risk, if anything.
    pub calibration: Option<Arc<Calibration>>,
    /// Reads the brands' replies.
    pub(crate) reply_checker: &'static ReplyChecker,
}

impl Ruleset {
    /// Joins a policy with the models that come with this build.
    ///
    /// # Errors
    /// When a model file is damaged.
    pub fn shipped(policy: Policy) -> Result<Self, ModelError> {
        let models = ModelFiles::SHIPPED;
        let sentiment = Arc::new(SentimentModel::from_bytes(models.sentiment)?);
        let virality = Arc::new(ViralityModel::from_bytes(models.virality)?);
        let (shadow_policies, emits_scores) = (vec![], true);
        let reply_checker = ReplyChecker::shipped()?;
        Ok(Self {
            policy,
            shadow_policies,
            emits_scores,
            sentiment,
            virality,
            calibration: None,
            reply_checker,
        })
    }

    /// The same with a model file in the place of the one that it has: what kind it is, is told by its first bytes. What is no
    /// other kind is read as a calibration.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn with_model(mut self, name: &str, bytes: &[u8]) -> Result<Self, ModelError> {
        if SentimentModel::has_magic(bytes) {
            self.sentiment = Arc::new(SentimentModel::from_bytes(bytes)?);
        } else if ViralityModel::has_magic(bytes) {
            self.virality = Arc::new(ViralityModel::from_bytes(bytes)?);
        } else {
            let text = String::from_utf8_lossy(bytes);
            let calibration = Calibration::parse(name, &text).map_err(ModelError::Calibration)?;
            self.calibration = Some(Arc::new(calibration));
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
        Self { emits_scores: false, ..self }
    }

    /// The same with policies on trial.
    ///
    /// # Errors
    /// What keeps one of them, by its place, from working on the same conversations as the policy in force.
    pub fn with_shadow_policies(self, shadow_policies: Vec<Policy>) -> Result<Self, (usize, Vec<Fault>)> {
        for (i, shadow) in shadow_policies.iter().enumerate() {
            shadow.check_compatible(&self.policy).map_err(|faults| (i, faults))?;
        }
        Ok(Self { shadow_policies, ..self })
    }

    /// Whether the policy of another brain can decide on the same conversations: it agrees on what they are made of, and
    /// the models are the same.
    #[must_use]
    pub fn is_compatible_with(&self, other: &Self) -> bool {
        let same_models =
            Arc::ptr_eq(&self.sentiment, &other.sentiment) && Arc::ptr_eq(&self.virality, &other.virality);
        same_models
            && self.calibration == other.calibration
            && other.policy.check_compatible(&self.policy).is_ok()
    }

    /// Whom it tells: the teams of the policy, and if one is on trial, whoever watches that.
    #[must_use]
    pub fn output_teams(&self) -> Vec<&str> {
        let shadow_team = (!self.shadow_policies.is_empty()).then_some(SHADOW_TEAM);
        self.policy.team_names().into_iter().chain(shadow_team).collect()
    }

    /// The same with another policy in force, beside the same ones on trial.
    ///
    /// # Errors
    /// What keeps those from working on the same conversations.
    pub fn with_active_policy(&self, policy: Policy) -> Result<Self, Vec<Fault>> {
        self.with_policy(policy)
            .with_shadow_policies(self.shadow_policies.clone())
            .map_err(|(_, faults)| faults)
    }

    /// All policies that decide, the one in force first.
    pub(crate) fn policies(&self) -> impl Iterator<Item = (u32, &Policy)> {
        (0..).zip(std::iter::once(&self.policy).chain(&self.shadow_policies))
    }

    /// The policies on trial.
    #[must_use]
    pub fn shadow_policies(&self) -> &[Policy] {
        &self.shadow_policies
    }

    /// A policy on trial, or for 0 the one in force.
    pub(crate) fn policy_in_slot(&self, slot: u32) -> Option<&Policy> {
        match (slot as usize).checked_sub(1) {
            None => Some(&self.policy),
            Some(i) => self.shadow_policies.get(i),
        }
    }

    /// Reads a post, and keeps words of it only if somebody could be told of it.
    pub(crate) fn read_post(&self, scratch: &mut Scratch, post: &Post) -> Reading {
        let mut reading = self.sentiment.read(scratch, &post.text, post.lang.as_deref());
        if self.policies().any(|(_, policy)| keeps_words(policy, &reading)) {
            reading.keep_words(scratch, &post.text);
            if !self
                .policies()
                .any(|(_, policy)| is_complaint_or_flagged(policy.min_storm_complaint, policy, &reading))
            {
                // They are for storms, and it will not count for one.
                (reading.topics, reading.sim_hash) = (vec![], None);
            }
        }
        reading
    }

    /// The key under which a brand's signals are kept.
    pub(crate) fn signal_key(&self, brand: Option<&str>) -> &str {
        brand.and_then(|b| self.policy.brands.get_key_value(b)).map_or(UNLISTED_BRAND, |(name, _)| name)
    }

    /// Every key that signals can have.
    pub fn signal_keys(&self) -> impl Iterator<Item = &str> {
        self.policy.brands.keys().map(String::as_str).chain([UNLISTED_BRAND])
    }
}

/// Whether a policy needs words of a post: a team could be told of it.
pub(crate) fn keeps_words(policy: &Policy, reading: &Reading) -> bool {
    is_complaint_or_flagged(
        policy.min_storm_complaint.min(f64::from(MIN_COMPLAINT_TO_QUOTE)),
        policy,
        reading,
    )
}

/// Whether a post has at least this P(complaint), or is flagged with something that the policy asks for.
fn is_complaint_or_flagged(threshold: f64, policy: &Policy, reading: &Reading) -> bool {
    let is_flagged = reading.flags.iter().any(|kind| policy.flags.contains(kind));
    is_flagged || reading.prediction.is_ok_and(|prediction| f64::from(prediction.complaint) >= threshold)
}
