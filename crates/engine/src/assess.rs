//! Steps `extract` and `score`: computes the models' inputs, the risk and the facts of a conversation.
//!
//! Reads the state and changes nothing.

use firewatch_escalation::{Facts, Policy};
use firewatch_scoring::{Assessment, Subject};

use crate::Ruleset;
use crate::conversation::Conversation;
use crate::routes::fill_text_facts;

/// A conversation's risk by the active policy.
pub(crate) struct Assessed {
    /// Reshares at which the conversation counts as viral by the active policy.
    pub bar: u64,
    pub assessment: Assessment,
}

/// Assesses a conversation by the active policy's viral bar; `None` when no spread could change any output.
pub(crate) fn assess(conversation: &Conversation, ruleset: &Ruleset) -> Option<Assessed> {
    if cannot_change_output(conversation, ruleset) {
        return None;
    }
    let bar = ruleset.policy.viral_bar(conversation.brand.as_deref());
    Some(Assessed { bar, assessment: extract(conversation, ruleset, bar).assess() })
}

/// Returns the risk model's input; a conversation is viral from `bar` reshares.
pub(crate) fn extract<'a>(conversation: &'a Conversation, ruleset: &'a Ruleset, bar: u64) -> Subject<'a> {
    Subject {
        model: &ruleset.virality,
        cascade: &conversation.cascade,
        reading: conversation.root.as_ref().map(|root| &root.reading),
        bar,
        prior_complaint: f64::from(ruleset.sentiment.prior_complaint()),
        calibration: ruleset.calibration.as_deref(),
    }
}

/// Returns the facts for the policies' conditions, except the numbers that depend on the spread.
pub(crate) fn text_facts<'a>(conversation: &'a Conversation, ruleset: &'a Ruleset) -> Facts<'a> {
    let reading = conversation.root.as_ref().map(|root| &root.reading);
    let prediction = reading.and_then(|reading| reading.prediction.ok());
    let brand = conversation.brand.as_deref();
    let mut facts = Facts {
        answered: conversation.answered,
        read: prediction.is_some(),
        followers_known: conversation.cascade.author_followers().is_some(),
        brand: brand.filter(|brand| ruleset.policy.brands.contains_key(*brand)).unwrap_or_default(),
        platform: conversation.platform.as_deref().unwrap_or_default(),
        lang: reading.map_or("", |reading| &reading.lang),
        flags: reading.map_or(&[], |reading| &reading.flags),
        ..Facts::default()
    };
    fill_text_facts(&mut facts.numbers, prediction, conversation.reply_complaint());
    facts
}

/// Whether no amount of spread could change any output: the conversation was scored once, matches no route,
/// and its P(complaint) is below every threshold. This holds for most conversations and saves their forecast.
fn cannot_change_output(conversation: &Conversation, ruleset: &Ruleset) -> bool {
    let is_scored = conversation.emitted_risk.is_some() || conversation.is_brand_post();
    let on_no_route = conversation.signaled.as_ref().is_none_or(|signaled| signaled.is_on_no_route());
    if !is_scored || !on_no_route {
        return false;
    }
    let flags = conversation.root.as_ref().map_or(&[][..], |root| &root.reading.flags);
    let bar = ruleset.policy.viral_bar(conversation.brand.as_deref());
    let max_risk =
        if conversation.is_brand_post() { 0.0 } else { extract(conversation, ruleset, bar).max_risk() };
    let complaint = (max_risk / 100.0).max(f64::from(conversation.reply_complaint()));
    let is_quiet = |policy: &Policy| {
        complaint < policy.min_route_complaint && !flags.iter().any(|flag| policy.flags.contains(flag))
    };
    max_risk < ruleset.policy.score_step && ruleset.policies().all(|(_, policy)| is_quiet(policy))
}
