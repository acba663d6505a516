//! Step `decide` for one conversation: decides whether a score is due, and sends changes to the dispatchers.
//!
//! The dispatcher, in `firewatch_escalation`, decides who is notified.

use firewatch_domain::{
    Action, ActionKind, ConversationChange, Event, EventTime, Reason, ReasonKind, Reasons, RouteMatch,
    RoutesMatched, SignalBody, SimHash, Tenths,
};
use firewatch_escalation::{Facts, Policy, UNLISTED_BRAND};
use firewatch_scoring::{Assessment, Explained, Reading};

use crate::assess::{Assessed, assess, extract, text_facts};
use crate::conversation::{Conversation, Fold, Outcome};
use crate::known_brands::KnownBrands;
use crate::observe::{Changed, Observed};
use crate::routes::{RouteLevels, fill_spread_facts};
use crate::ruleset::keeps_words;
use crate::score_record::{deleted_score, score_record};
use crate::signaled::{SignaledState, silences_hash};
use crate::signals::{
    Cause, Stamp, cross_platform_author_hash, emit_action, emit_action_to, emit_unfollowed_update,
    emit_update, signal, signal_id,
};
use crate::{Effect, Ruleset};

/// The context in which this step processes one record, with the output that its effects go to.
pub(crate) struct Decider<'a> {
    pub ruleset: &'a Ruleset,
    pub brands: &'a KnownBrands,
    pub stamp: Stamp<'a>,
    pub out: &'a mut Vec<Effect>,
}

/// What one policy's dispatcher does not know of a conversation yet.
struct NewMatch {
    /// The policy's slot; 0 is the active policy.
    slot: u32,
    /// The number of reshares at which the conversation is viral by this policy.
    bar: u64,
    /// All matching routes; `None` if they have not changed.
    routes: Option<Vec<RouteMatch>>,
    /// Whether the conversation starts to count for storms.
    counts_for_storms: bool,
    /// The policy's advice on what to do next.
    advice: Vec<String>,
    /// The policy's silences that match the conversation.
    silences: Vec<String>,
}

impl Decider<'_> {
    /// Emits the effects of what an event changed.
    pub fn event(&mut self, conversation: &mut Conversation, event: &Event, observed: Observed) -> Outcome {
        match observed {
            Observed::Nothing(fold) => Outcome::Folded(fold),
            Observed::Answered { by, change, is_first } => {
                let is_asked = self.update_by(conversation, &change, &by, event);
                if is_first {
                    self.answered(conversation, event.into());
                }
                Outcome::Folded(if is_asked { Fold::BrandSpoke } else { Fold::UnknownConversation })
            }
            Observed::DeletedUnread => {
                let change = ConversationChange::Deleted { is_root: true };
                let is_asked =
                    self.unfollowed_update(conversation.brand.as_deref(), &change, "", event.into());
                Outcome::Folded(if is_asked { Fold::Deleted } else { Fold::UnknownConversation })
            }
            Observed::Deleted { is_root } => {
                self.deleted(conversation, event, is_root);
                if !is_root {
                    // Routes that only the deleted reply matched end.
                    let spread_before = conversation.cascade.spread();
                    let changed = Changed { resends: true, ..Changed::new(spread_before) };
                    self.changed(conversation, event.into(), &changed);
                }
                Outcome::Folded(Fold::Deleted)
            }
            Observed::Changed(changed) => {
                if let Some(update) = &changed.update {
                    self.update_by(conversation, update, "", event);
                }
                self.changed(conversation, event.into(), &changed)
            }
        }
    }

    /// Applies a person's action and reports it to the dispatchers.
    pub fn action(&mut self, conversation: &mut Conversation, action: &Action) -> Outcome {
        if !conversation.deduplicate(&action.id) {
            return Outcome::Folded(Fold::Duplicate);
        }
        let of_every_team = action.team.is_none() && action.escalation.is_none();
        match action.kind {
            ActionKind::Silence if of_every_team => conversation.silenced_until = action.until,
            ActionKind::Unsilence if of_every_team => conversation.silenced_until = None,
            _ => {}
        }
        let is_answer = matches!(action.kind, ActionKind::Reply | ActionKind::HandOff);
        let is_first_answer = is_answer && !std::mem::replace(&mut conversation.answered, true);
        if conversation.is_unread() {
            let brands = self.brands.signal_keys(self.ruleset);
            emit_action_to(&brands, self.ruleset.slots(), action, &self.stamp, self.out);
        } else {
            emit_action(conversation, action, &self.stamp, self.out);
        }
        if is_first_answer {
            self.answered(conversation, Cause { at: action.at.min(self.stamp.now), ..action.into() });
        }
        Outcome::Folded(Fold::Action)
    }

    /// Reports to the dispatchers that a conversation expired, with the reason.
    pub fn expiry(&mut self, conversation: &Conversation, id: &str, at: EventTime, reason: String) {
        let cause = Cause { conversation: id, id: "expiry", at, post: None };
        self.update(conversation, &ConversationChange::Expired { reason }, "", cause);
    }

    fn update(
        &mut self,
        conversation: &Conversation,
        change: &ConversationChange,
        by: &str,
        cause: Cause<'_>,
    ) {
        emit_update(conversation, change, by, cause, &self.stamp, self.out);
    }

    /// Reports a change by an account, also when the conversation is not followed. Returns whether a dispatcher may
    /// know of it.
    fn update_by(
        &mut self,
        conversation: &Conversation,
        change: &ConversationChange,
        by: &str,
        event: &Event,
    ) -> bool {
        if conversation.is_unread() {
            let of_account = self.ruleset.policy.accounts.brand(conversation.platform.as_deref(), by);
            let brand = conversation.brand.as_deref().or(of_account);
            return self.unfollowed_update(brand, change, by, event.into());
        }
        self.update(conversation, change, by, event.into());
        true
    }

    /// Reports a change of a conversation of which nothing is known here. Its escalation may outlive it. Returns whether
    /// a dispatcher may know of it.
    fn unfollowed_update(
        &mut self,
        brand: Option<&str>,
        change: &ConversationChange,
        by: &str,
        cause: Cause<'_>,
    ) -> bool {
        let brands = self.brands.keys_of_unfollowed(brand, self.ruleset);
        emit_unfollowed_update(&brands, self.ruleset.slots(), change, by, cause, &self.stamp, self.out);
        brands.clone().next().is_some()
    }

    /// Reports a deletion to the dispatchers. If it was the root, emits a last score without text, and the
    /// conversation signals nothing more.
    fn deleted(&mut self, conversation: &mut Conversation, event: &Event, is_root: bool) {
        self.update(conversation, &ConversationChange::Deleted { is_root }, "", event.into());
        if !is_root {
            return;
        }
        conversation.signaled = None;
        if conversation.emitted_risk.take().is_some() && self.ruleset.emits_scores {
            self.out.push(Effect::Score(Box::new(deleted_score(conversation, event.into()))));
        }
    }

    /// Sends the dispatchers the routes that a first answer changes.
    fn answered(&mut self, conversation: &mut Conversation, cause: Cause<'_>) {
        if !conversation.is_unread() {
            let spread = conversation.cascade.spread();
            self.changed(conversation, cause, &Changed::new(spread));
        }
    }

    /// Emits a score if one is due, and sends changes to the dispatchers.
    fn changed(&mut self, conversation: &mut Conversation, cause: Cause<'_>, changed: &Changed) -> Outcome {
        if conversation.is_deleted() {
            return Outcome::Folded(Fold::Deleted);
        }
        let ruleset = self.ruleset;
        let Some(Assessed { bar, assessment }) = assess(conversation, ruleset) else {
            return Outcome::Folded(Fold::Unchanged);
        };
        let at = conversation.last_seen().unwrap_or(cause.at);
        let new_matches = new_matches(conversation, &assessment, ruleset, changed.resends);
        let has_routes = new_matches.iter().any(|new| new.slot == 0 && new.routes.is_some());
        // Near risk 100 a conversation may cross the bar while its risk moves by less than a step.
        let crossed = changed.spread_before < bar && conversation.cascade.spread() >= bar;
        let is_due = has_routes || crossed || risk_has_moved(conversation, &assessment, ruleset);
        let score_changed = is_due && !conversation.is_brand_post();
        let emits_score = score_changed && ruleset.emits_scores;
        let risk = assessment.risk;
        if emits_score || !new_matches.is_empty() {
            let explained = extract(conversation, ruleset, bar).explain(assessment);
            self.matches(conversation, cause, changed, new_matches, bar, &explained);
            if emits_score {
                self.out.push(Effect::Score(Box::new(score_record(conversation, cause, at, explained))));
            }
        }
        if !score_changed {
            let is_own = conversation.is_brand_post();
            return Outcome::Folded(if is_own { Fold::BrandSpoke } else { Fold::Unchanged });
        }
        conversation.emitted_risk = Some(risk);
        Outcome::Scored
    }

    /// Sends each policy's dispatcher its changes. Assesses the conversation again for a policy with another
    /// viral bar than the active one.
    fn matches(
        &mut self,
        conversation: &mut Conversation,
        cause: Cause<'_>,
        changed: &Changed,
        new_matches: Vec<NewMatch>,
        active_bar: u64,
        explained: &Explained,
    ) {
        for new in new_matches {
            if new.bar == active_bar {
                self.routes_matched(conversation, cause, changed, new, explained);
            } else {
                let subject = extract(conversation, self.ruleset, new.bar);
                let explained = subject.explain(subject.assess());
                self.routes_matched(conversation, cause, changed, new, &explained);
            }
        }
    }

    /// Sends one policy's dispatcher the present state of the conversation.
    fn routes_matched(
        &mut self,
        conversation: &mut Conversation,
        cause: Cause<'_>,
        changed: &Changed,
        new: NewMatch,
        explained: &Explained,
    ) {
        let ruleset = self.ruleset;
        let Some(policy) = ruleset.policy_in_slot(new.slot) else { return };
        let posted_at = conversation.root.as_ref().map(|root| root.posted_at);
        let signaled = begin_signaled(conversation, cause.at, ruleset);
        let began = signaled.began;
        let state = signaled.slot_mut(new.slot);
        let is_new = new.counts_for_storms && !state.counts_for_storms;
        state.counts_for_storms |= new.counts_for_storms;
        let routes = state.routes.apply(new.routes, policy);
        state.silences = silences_hash(&new.silences);
        let reply = changed.reply.as_ref().filter(|_| is_new);
        let reasons = ordered_reasons(conversation, policy, ruleset, explained, reply.is_some());
        let (topics, sim_hash) = storm_words(conversation, ruleset, reply, is_new);
        // The state keeps no author's handle, so only this event's post can provide one.
        let new_post = cause.post.filter(|_| is_new);
        let is_own = conversation.is_brand_post();
        let routes_matched = RoutesMatched {
            conversation: cause.conversation.into(),
            began,
            posted_at: if reply.is_some() { Some(cause.at) } else { posted_at },
            platform: conversation.platform.as_deref().map(Into::into),
            routes,
            counts_for_storms: is_new,
            topics,
            sim_hash,
            author: new_post.and_then(|(post, platform)| cross_platform_author_hash(post, platform)),
            related: new_post.and_then(|(post, _)| post.related.clone()),
            risk: if is_own { Tenths::default() } else { explained.assessment.risk },
            reasons,
            contributions: if is_own { vec![] } else { explained.contributions.clone() },
            advice: new.advice,
            excerpt: excerpt(conversation, policy),
            url: conversation.post_url(),
            author_url: conversation.author_url(),
            silences: new.silences,
            silenced_until: conversation.silenced_until,
            answered: conversation.answered,
            trace: self.stamp.trace.map(Into::into),
        };
        let id = signal_id(new.slot, format_args!("{}/{}", cause.conversation, cause.id));
        let body = SignalBody::RoutesMatched(Box::new(routes_matched));
        self.out.extend(signal(conversation, new.slot, id, body, cause.at, &self.stamp));
    }
}

/// Whether the risk moved by at least `score_step` since the last score, or the root was never scored.
fn risk_has_moved(conversation: &Conversation, assessment: &Assessment, ruleset: &Ruleset) -> bool {
    let is_first = conversation.emitted_risk.is_none() && conversation.root.is_some();
    let emitted = conversation.emitted_risk.unwrap_or_default().value();
    is_first || (assessment.risk.value() - emitted).abs() >= ruleset.policy.score_step
}

/// Returns the changes for the dispatchers, one entry for each policy that has any. With `resends`, one
/// for each policy whose dispatcher knows of the conversation.
fn new_matches(
    conversation: &Conversation,
    assessment: &Assessment,
    ruleset: &Ruleset,
    resends: bool,
) -> Vec<NewMatch> {
    let mut facts = text_facts(conversation, ruleset);
    let mut new_matches = Vec::new();
    let mut assessed_bar = None;
    for (slot, policy) in ruleset.policies() {
        let bar = policy.viral_bar(conversation.brand.as_deref());
        if assessed_bar != Some(bar) {
            // Most policies have the same bar, so the forecast is computed once for each change of bar.
            let other = assessed_bar.map(|_| extract(conversation, ruleset, bar).assess());
            let assessment = other.as_ref().unwrap_or(assessment);
            let of_others = (!conversation.is_brand_post()).then_some(assessment);
            fill_spread_facts(&mut facts.numbers, &conversation.cascade, of_others);
            assessed_bar = Some(bar);
        }
        new_matches.extend(new_match(conversation, (slot, policy), bar, &facts, resends));
    }
    new_matches
}

fn new_match(
    conversation: &Conversation,
    of: (u32, &Policy),
    bar: u64,
    facts: &Facts<'_>,
    resends: bool,
) -> Option<NewMatch> {
    const NONE: &RouteLevels = &RouteLevels::NONE;
    let (slot, policy) = of;
    let state = conversation.signaled.as_ref().and_then(|signaled| signaled.slot(slot));
    let routes = state.map_or(NONE, |state| &state.routes).evaluate(facts, policy);
    let counted = state.is_some_and(|state| state.counts_for_storms);
    let counts_for_storms = !counted && policy.storms.complaint_when.holds(facts);
    let has_news = routes.is_some() || counts_for_storms || (resends && state.is_some());
    // Silences matter to nobody while the conversation is on no route.
    let on_route = state.filter(|state| !state.routes.is_empty());
    if !has_news && on_route.is_none() {
        return None;
    }
    let silences = policy.silences_matching(facts);
    if !has_news && !on_route.is_some_and(|state| state.has_other_silences(&silences)) {
        return None;
    }
    let advice = policy.advice_for(facts);
    Some(NewMatch { slot, bar, routes, counts_for_storms, advice, silences })
}

/// Returns what the dispatchers know; creates it at the conversation's first signal.
fn begin_signaled<'a>(
    conversation: &'a mut Conversation,
    at: EventTime,
    ruleset: &Ruleset,
) -> &'a mut SignaledState {
    let posted_at = conversation.root.as_ref().map(|root| root.posted_at);
    let began = posted_at.or(conversation.cascade.first_seen()).unwrap_or(at);
    let is_unlisted = ruleset.signal_key(conversation.brand.as_deref()) == UNLISTED_BRAND;
    conversation.signaled.get_or_insert_with(|| Box::new(SignaledState::new(is_unlisted, began)))
}

/// Returns the reasons, the text's first, because readers first ask what the post says.
fn ordered_reasons(
    conversation: &Conversation,
    policy: &Policy,
    ruleset: &Ruleset,
    explained: &Explained,
    is_reply: bool,
) -> Reasons {
    let bar = policy.viral_bar(conversation.brand.as_deref());
    let reply = is_reply.then(|| {
        Reason::new(ReasonKind::Reply, "the complaint is a reply in the conversation, not its first post")
    });
    let mood = extract(conversation, ruleset, bar).describe_mood(&explained.assessment);
    // The reasons may contain it already, followed by its points.
    let has_mood = mood.is_some();
    let rest = explained.reasons.iter().filter(|one| !(has_mood && one.kind == ReasonKind::Complaint));
    let rest: Vec<Reason> = rest.cloned().collect();
    reply.into_iter().chain(mood).chain(rest).collect::<Vec<_>>().into()
}

/// Returns the topics and the near-copy hash of a new complaint: the reply's if the reply is the complaint,
/// else the root's.
fn storm_words(
    conversation: &mut Conversation,
    ruleset: &Ruleset,
    reply: Option<&Reading>,
    is_new: bool,
) -> (Vec<String>, Option<SimHash>) {
    match (reply, &mut conversation.root) {
        (Some(reply), _) => (reply.topics.clone(), reply.sim_hash),
        (None, Some(root)) if is_new && ruleset.shadow_policies.is_empty() => {
            (std::mem::take(&mut root.reading.topics), root.reading.sim_hash.take())
        }
        // A shadow policy may need them later.
        (None, Some(root)) if is_new => (root.reading.topics.clone(), root.reading.sim_hash),
        _ => (vec![], None),
    }
}

/// Returns the beginning of the root's text if this policy needs it. Another policy may have kept it.
fn excerpt(conversation: &Conversation, policy: &Policy) -> Option<String> {
    let reading = conversation.root.as_ref().map(|root| &root.reading)?;
    keeps_words(policy, reading).then(|| reading.excerpt.as_deref().map(Into::into))?
}
