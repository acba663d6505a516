//! The policies and models that all tasks share. A ruleset is immutable: every change makes a new one.

use std::sync::Arc;

use firewatch_domain::{Post, Redaction};
use firewatch_escalation::{Policy, UNLISTED_BRAND};
use firewatch_scoring::text::ReplyChecker;
use firewatch_scoring::{
    Calibration, MAX_EVIDENCE, MIN_COMPLAINT_TO_QUOTE, ModelError, Reading, Scratch, SentimentModel,
    ViralityModel,
};
use firewatch_settings::Fault;

/// Stands for a team in the name of the topic that shadow policies write to. A contract; the policy reserves
/// the name.
pub const SHADOW_TEAM: &str = "trial";

/// The contents of the model files.
#[derive(Debug, Clone, Copy)]
pub struct ModelFiles<'a> {
    /// The sentiment model, which reads posts.
    pub sentiment: &'a [u8],
    /// The virality model, which forecasts spread.
    pub virality: &'a [u8],
}

impl ModelFiles<'static> {
    /// The model files compiled into this build.
    pub const SHIPPED: Self = Self {
        sentiment: include_bytes!("../../../models/sentiment.fwm"),
        virality: include_bytes!("../../../models/virality.fwm"),
    };
}

/// The policies and models that tasks decide with. Cloning it shares the models.
#[derive(Clone)]
pub struct Ruleset {
    /// The active policy, in slot 0.
    pub policy: Policy,
    /// The shadow policies, in slots from 1. They decide on the same conversations but notify no team.
    pub(crate) shadow_policies: Vec<Policy>,
    /// Whether tasks emit scores besides the decisions based on them.
    pub(crate) emits_scores: bool,
    /// Reads posts.
    pub sentiment: Arc<SentimentModel>,
    /// Forecasts spread.
    pub virality: Arc<ViralityModel>,
    /// Corrects the risk by analysts' verdicts on earlier alerts; `None` leaves it as the models return it.
    pub calibration: Option<Arc<Calibration>>,
    /// Finds private channels in brands' replies, and acceptance of a hand-off in authors' replies.
    pub(crate) reply_checker: &'static ReplyChecker,
}

impl Ruleset {
    /// Combines a policy with the models compiled into this build.
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

    /// Replaces one model by the contents of a model file. The file's first bytes select the model; a file
    /// without a model's magic bytes is parsed as a calibration. `name` appears in errors of a calibration.
    ///
    /// # Errors
    /// When the file is damaged.
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

    /// Returns this ruleset with another active policy, which is not checked against the shadow policies; use
    /// [`Self::with_active_policy`] when there are any.
    #[must_use]
    pub fn with_policy(&self, policy: Policy) -> Self {
        Self { policy, ..self.clone() }
    }

    /// Returns this ruleset without score output, for callers that only need decisions.
    #[must_use]
    pub fn without_scores(self) -> Self {
        Self { emits_scores: false, ..self }
    }

    /// Returns this ruleset with these shadow policies, in slots from 1.
    ///
    /// # Errors
    /// The index and faults of the first shadow policy that cannot decide on the active policy's
    /// conversations.
    pub fn with_shadow_policies(self, shadow_policies: Vec<Policy>) -> Result<Self, (usize, Vec<Fault>)> {
        for (i, shadow) in shadow_policies.iter().enumerate() {
            shadow.check_compatible(&self.policy).map_err(|faults| (i, faults))?;
        }
        Ok(Self { shadow_policies, ..self })
    }

    /// Whether the other ruleset's policy can decide on the same conversations: both rulesets share the
    /// models and the calibration, and the policies pass [`Policy::check_compatible`].
    #[must_use]
    pub fn is_compatible_with(&self, other: &Self) -> bool {
        let same_models =
            Arc::ptr_eq(&self.sentiment, &other.sentiment) && Arc::ptr_eq(&self.virality, &other.virality);
        same_models
            && self.calibration == other.calibration
            && other.policy.check_compatible(&self.policy).is_ok()
    }

    /// Returns the teams whose topics this ruleset writes to: the active policy's teams, and [`SHADOW_TEAM`]
    /// if there is a shadow policy.
    #[must_use]
    pub fn output_teams(&self) -> Vec<&str> {
        let shadow_team = (!self.shadow_policies.is_empty()).then_some(SHADOW_TEAM);
        self.policy.team_names().into_iter().chain(shadow_team).collect()
    }

    /// Returns this ruleset with another active policy and the same shadow policies.
    ///
    /// # Errors
    /// The faults of the first shadow policy that cannot decide on the new policy's conversations.
    pub fn with_active_policy(&self, policy: Policy) -> Result<Self, Vec<Fault>> {
        self.with_policy(policy)
            .with_shadow_policies(self.shadow_policies.clone())
            .map_err(|(_, faults)| faults)
    }

    /// Iterates over all policies with their slots, the active policy first.
    pub(crate) fn policies(&self) -> impl Iterator<Item = (u32, &Policy)> {
        (0..).zip(std::iter::once(&self.policy).chain(&self.shadow_policies))
    }

    /// Iterates over the slots of all policies.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.policies().map(|(slot, _)| slot)
    }

    /// Returns the shadow policies; index 0 is slot 1.
    #[must_use]
    pub fn shadow_policies(&self) -> &[Policy] {
        &self.shadow_policies
    }

    /// Returns the policy in a slot: the active policy for 0, a shadow policy from 1, `None` if it is empty.
    pub(crate) fn policy_in_slot(&self, slot: u32) -> Option<&Policy> {
        match (slot as usize).checked_sub(1) {
            None => Some(&self.policy),
            Some(i) => self.shadow_policies.get(i),
        }
    }

    /// Reads a post. Keeps its excerpt, topics and hash only if a policy could notify a team about it.
    pub(crate) fn read_post(&self, scratch: &mut Scratch, post: &Post) -> Reading {
        let mut reading = self.sentiment.read(scratch, &post.text, post.lang.as_deref());
        if let Some(stars) = post.stars {
            reading.rate(stars);
        }
        if self.policies().any(|(_, policy)| keeps_words(policy, &reading)) {
            reading.keep_words(scratch, &post.text, self.redaction());
            if let Some(stars @ 1..=2) = post.stars {
                reading.evidence.insert(0, format!("{stars} of 5 stars"));
                reading.evidence.truncate(MAX_EVIDENCE);
            }
            if !self
                .policies()
                .any(|(_, policy)| is_complaint_or_flagged(policy.min_storm_complaint, policy, &reading))
            {
                // Only storms use them, and this post cannot count for a storm.
                (reading.topics, reading.sim_hash) = (vec![], None);
            }
        }
        reading
    }

    /// Returns the redaction of what is kept, which all policies share: the strictest of theirs.
    #[must_use]
    pub fn redaction(&self) -> Redaction {
        self.policies().map(|(_, policy)| policy.redaction).max().unwrap_or_default()
    }

    /// Returns the key of a brand's signals: the brand if the policy lists it, else [`UNLISTED_BRAND`].
    pub(crate) fn signal_key(&self, brand: Option<&str>) -> &str {
        brand.and_then(|b| self.policy.brands.get_key_value(b)).map_or(UNLISTED_BRAND, |(name, _)| name)
    }

    /// Iterates over every key that signals have under this policy.
    pub fn signal_keys(&self) -> impl Iterator<Item = &str> + Clone {
        self.policy.brands.keys().map(String::as_str).chain([UNLISTED_BRAND])
    }
}

/// Whether a policy could notify a team about a post, and so needs its excerpt.
pub(crate) fn keeps_words(policy: &Policy, reading: &Reading) -> bool {
    is_complaint_or_flagged(
        policy.min_storm_complaint.min(f64::from(MIN_COMPLAINT_TO_QUOTE)),
        policy,
        reading,
    )
}

/// Whether a post's P(complaint) is at least `threshold`, or the post has a flag that the policy uses.
fn is_complaint_or_flagged(threshold: f64, policy: &Policy, reading: &Reading) -> bool {
    let is_flagged = reading.flags.iter().any(|kind| policy.flags.contains(kind));
    is_flagged || reading.prediction.is_ok_and(|prediction| f64::from(prediction.complaint) >= threshold)
}
