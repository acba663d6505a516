//! What a conversation tells its brand's desk: the routes that it is on, and what is done about it.

use std::fmt;

use firewatch_domain::{
    Action, ActionKind, Body, ConversationChange, ConversationUpdate, Event, EventTime, Post, RouteMatch,
    RoutesMatched, SCHEMA_VERSION, Signal, SignalBody, Tenths,
};
use firewatch_escalation::{Facts, Policy};
use firewatch_scoring::{Assessment, Explained, Reading, short_hash};
use serde::{Deserialize, Serialize};

use crate::conversation::{Context, Conversation};
use crate::routes::{RouteLevels, fill_spread_facts, fill_text_facts};
use crate::ruleset::keeps_words;
use crate::{Effect, Ruleset, UNLISTED_BRAND};

/// What the brand's desk was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SignaledState {
    /// The desk is that of brands which the policy does not list.
    is_unlisted: bool,
    /// When the conversation began, as its escalations are named.
    began: EventTime,
    /// What each policy was told that was told anything.
    slots: Vec<SlotState>,
}

/// What a policy's desk was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SlotState {
    /// 0 for the policy in force.
    slot: u32,
    /// That it counts as a complaint.
    counts_for_storms: bool,
    /// The routes that it is on.
    routes: RouteLevels,
}

impl SignaledState {
    /// No policy has it on a route.
    pub fn is_on_no_route(&self) -> bool {
        self.slots.iter().all(|state| state.routes.is_empty())
    }

    fn slot(&self, slot: u32) -> Option<&SlotState> {
        self.slots.iter().find(|state| state.slot == slot)
    }

    fn slot_mut(&mut self, slot: u32) -> &mut SlotState {
        let i = self.slots.iter().position(|state| state.slot == slot).unwrap_or_else(|| {
            self.slots.push(SlotState { slot, counts_for_storms: false, routes: RouteLevels::NONE });
            self.slots.len() - 1
        });
        &mut self.slots[i]
    }
}

/// What is new of a conversation for a policy's desk.
pub(crate) struct NewMatch {
    /// 0 for the policy in force.
    pub slot: u32,
    /// Reshares at which it is viral, by this policy.
    pub bar: u64,
    /// All routes that it is on, if they have changed.
    routes: Option<Vec<RouteMatch>>,
    /// It counts as a complaint from now on.
    counts_for_storms: bool,
    /// What to do next.
    advice: Vec<String>,
    /// The policy's silences that are on it.
    silences: Vec<String>,
}

impl NewMatch {
    /// Its routes have changed.
    pub fn has_routes(&self) -> bool {
        self.routes.is_some()
    }
}

impl Conversation {
    /// What conditions can ask, but for the numbers.
    fn facts<'a>(&'a self, ruleset: &'a Ruleset) -> Facts<'a> {
        let reading = self.root.as_ref().map(|root| &root.reading);
        let prediction = reading.and_then(|reading| reading.prediction.ok());
        let mut facts = Facts {
            answered: self.answered,
            read: prediction.is_some(),
            followers_known: self.cascade.author_followers().is_some(),
            brand: self
                .brand
                .as_deref()
                .filter(|b| ruleset.policy.brands.contains_key(*b))
                .unwrap_or_default(),
            platform: self.platform.as_deref().unwrap_or_default(),
            lang: reading.map_or("", |reading| &reading.lang),
            flags: reading.map_or(&[], |reading| &reading.flags),
            ..Facts::default()
        };
        fill_text_facts(&mut facts.numbers, prediction, self.reply_complaint());
        facts
    }

    /// What its desks do not know yet, for each policy that has news.
    pub(crate) fn new_matches(&self, assessment: &Assessment, ruleset: &Ruleset) -> Vec<NewMatch> {
        let mut facts = self.facts(ruleset);
        let mut new_matches = Vec::new();
        let mut assessed_bar = None;
        for (slot, policy) in ruleset.policies() {
            let bar = policy.viral_bar(self.brand.as_deref());
            if assessed_bar != Some(bar) {
                // Most policies have the same bar, and what is forecast is the same for all.
                let other = assessed_bar.map(|_| self.subject(ruleset, bar).assess());
                let assessment = other.as_ref().unwrap_or(assessment);
                fill_spread_facts(
                    &mut facts.numbers,
                    &self.cascade,
                    (!self.is_brand_post()).then_some(assessment),
                );
                assessed_bar = Some(bar);
            }
            new_matches.extend(self.new_match((slot, policy), bar, &facts));
        }
        new_matches
    }

    fn new_match(&self, (slot, policy): (u32, &Policy), bar: u64, facts: &Facts<'_>) -> Option<NewMatch> {
        const NONE: &RouteLevels = &RouteLevels::NONE;
        let state = self.signaled.as_ref().and_then(|signaled| signaled.slot(slot));
        let routes = state.map_or(NONE, |state| &state.routes).evaluate(facts, policy);
        let counts_for_storms =
            !state.is_some_and(|state| state.counts_for_storms) && policy.storms.complaint_when.holds(facts);
        if routes.is_none() && !counts_for_storms {
            return None;
        }
        let (advice, silences) = (policy.advice_for(facts), policy.silences_matching(facts));
        Some(NewMatch { slot, bar, routes, counts_for_storms, advice, silences })
    }

    /// Tells a policy's desk what it is now.
    pub(crate) fn emit_match(
        &mut self,
        NewMatch { slot, routes, counts_for_storms, advice, silences, .. }: NewMatch,
        (event, reply): (&Event, Option<&Reading>),
        explained: &Explained,
        cx: &mut Context<'_>,
    ) {
        let ruleset = cx.ruleset;
        let Some(policy) = ruleset.policy_in_slot(slot) else { return };
        let posted_at = self.root.as_ref().map(|root| root.posted_at);
        let began = posted_at.or(self.cascade.first_seen()).unwrap_or(event.at);
        let is_unlisted = ruleset.signal_key(self.brand.as_deref()) == UNLISTED_BRAND;
        let signaled = self
            .signaled
            .get_or_insert_with(|| Box::new(SignaledState { is_unlisted, began, slots: vec![] }));
        let began = signaled.began;
        let state = signaled.slot_mut(slot);
        let is_new = counts_for_storms && !state.counts_for_storms;
        state.counts_for_storms |= counts_for_storms;
        let routes = state.routes.apply(routes, policy);
        let mut reasons = explained.reasons.clone();
        if let Some(mood) = self
            .subject(ruleset, policy.viral_bar(self.brand.as_deref()))
            .describe_mood(&explained.assessment)
        {
            // Before its points, if it is there already: a person asks first what was said.
            reasons.retain(|reason| !reason.starts_with(mood.as_str()));
            reasons.insert(0, mood);
        }
        // A reply can be a complaint though the root is none.
        let is_reply = is_new && reply.is_some();
        if is_reply {
            reasons.insert(0, "the complaint is a reply in the conversation, not its first post".into());
        }
        let (topics, sim_hash) = match (reply.filter(|_| is_reply), &mut self.root) {
            (Some(reply), _) => (reply.topics.clone(), reply.sim_hash),
            (None, Some(root)) if is_new && ruleset.shadow_policies.is_empty() => {
                (std::mem::take(&mut root.reading.topics), root.reading.sim_hash.take())
            }
            // Others may ask for them later.
            (None, Some(root)) if is_new => (root.reading.topics.clone(), root.reading.sim_hash),
            _ => (vec![], None),
        };
        // Of what was written just now, who wrote it is known.
        let new_post = match &event.body {
            Body::Post(post) if is_new => Some(post),
            _ => None,
        };
        let routes_matched = RoutesMatched {
            conversation: event.conversation.clone(),
            began,
            posted_at: if is_reply { Some(event.at) } else { posted_at },
            platform: self.platform.as_deref().map(Into::into),
            routes,
            counts_for_storms: is_new,
            topics,
            sim_hash,
            author: new_post.and_then(|post| cross_platform_author_hash(post, event.platform.as_deref())),
            related: new_post.and_then(|post| post.related.clone()),
            risk: if self.is_brand_post() { Tenths::default() } else { explained.assessment.risk },
            reasons,
            contributions: if self.is_brand_post() { vec![] } else { explained.contributions.clone() },
            advice,
            excerpt: self.excerpt(policy),
            silences,
            silenced_until: self.silenced_until,
            answered: self.answered,
            trace: cx.trace.map(Into::into),
        };
        self.emit_signal((slot, SignalBody::RoutesMatched(Box::new(routes_matched))), "", event.into(), cx);
    }

    /// How the post begins, if this policy would have kept that by itself.
    fn excerpt(&self, policy: &Policy) -> Option<String> {
        let reading = self.root.as_ref().map(|root| &root.reading)?;
        keeps_words(policy, reading).then(|| reading.excerpt.as_deref().map(Into::into))?
    }

    /// Tells the desks that know of this conversation what was done.
    pub(crate) fn emit_update<'a>(
        &self,
        change: Option<&ConversationChange>,
        by: &str,
        cause: impl Into<Cause<'a>>,
        cx: &mut Context<'_>,
    ) {
        let cause = cause.into();
        for state in self.signaled.iter().flat_map(|signaled| &signaled.slots) {
            let Some(change) = change.cloned() else { return };
            let update = ConversationUpdate {
                conversation: cause.conversation.into(),
                change,
                by: by.into(),
                trace: cx.trace.map(Into::into),
            };
            self.emit_signal((state.slot, SignalBody::ConversationUpdated(update)), "/done", cause, cx);
        }
    }

    fn emit_signal(
        &self,
        (slot, body): (u32, SignalBody),
        part: &str,
        cause: Cause<'_>,
        cx: &mut Context<'_>,
    ) {
        let Some(signaled) = &self.signaled else { return };
        cx.out.push(Effect::Signal(Box::new(Signal {
            v: SCHEMA_VERSION,
            id: signal_id(slot, format_args!("{}/{}{part}", cause.conversation, cause.id)),
            brand: self.brand.as_deref().filter(|_| !signaled.is_unlisted).unwrap_or(UNLISTED_BRAND).into(),
            at: cause.at.min(cx.now).max(cx.watermark),
            source: cx.partition,
            slot,
            body,
        })));
    }
}

/// The id of a signal: the same for all policies but for its beginning, as ids are what a desk orders by.
pub(crate) fn signal_id(slot: u32, id: fmt::Arguments<'_>) -> String {
    if slot == 0 { id.to_string() } else { format!("trial-{slot}/{id}") }
}

/// A hash of an author's name as people keep it on several networks: without the server, in small letters, letters and digits alone.
fn cross_platform_author_hash(post: &Post, platform: Option<&str>) -> Option<u32> {
    let handle = post.author.as_ref()?.handle.as_deref()?.trim_start_matches('@');
    // What is behind an @ is a server. On Bluesky names are domains, and their first part is the name.
    let own = handle.split('@').next().unwrap_or(handle);
    let own = if platform == Some("bluesky") { own.split('.').next().unwrap_or(own) } else { own };
    let plain: String = own.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    (plain.len() > 2).then(|| short_hash(&plain))
}

/// What an action does, as a desk hears it. Verdicts are for those who tune, and it hears none.
pub(crate) fn change_from_action(action: &Action) -> Option<ConversationChange> {
    Some(match action.kind {
        ActionKind::Acknowledge => ConversationChange::Acknowledged,
        ActionKind::Reply => ConversationChange::Answered,
        ActionKind::HandOff => ConversationChange::HandedOff,
        ActionKind::HandOver => ConversationChange::HandedOver { team: action.team.clone()? },
        ActionKind::Resolve => ConversationChange::Resolved,
        ActionKind::Reopen => ConversationChange::Reopened,
        ActionKind::Silence => ConversationChange::Silenced { until: action.until? },
        ActionKind::Useful | ActionKind::Noise => return None,
    })
}

/// What made the engine tell something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cause<'a> {
    pub conversation: &'a str,
    pub id: &'a str,
    pub at: EventTime,
}

impl<'a> From<&'a Event> for Cause<'a> {
    fn from(event: &'a Event) -> Self {
        Self { conversation: &event.conversation, id: &event.id, at: event.at }
    }
}

impl<'a> From<&'a Action> for Cause<'a> {
    fn from(action: &'a Action) -> Self {
        Self { conversation: &action.conversation, id: &action.id, at: action.at }
    }
}
