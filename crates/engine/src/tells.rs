//! What a conversation tells its brand's desk: the routes that it is on, and what is done about it.

use std::fmt;

use firewatch_domain::{
    Action, ActionKind, Body, Event, EventTime, Happened, Matched, Post, RouteMatch, SCHEMA_VERSION, Signal,
    SignalBody, Tenths, What,
};
use firewatch_escalation::{Facts, Policy};
use firewatch_scoring::{Assessment, Explained, Reading, short_hash};
use serde::{Deserialize, Serialize};

use crate::brain::keeps_words;
use crate::conversation::{Context, Conversation};
use crate::routes::{Routes, numbers, words};
use crate::{Brain, Effect, UNLISTED};

/// What the brand's desk was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// The desk is that of brands which the policy does not list.
    is_unlisted: bool,
    /// When the conversation began, as its escalations are named.
    began: EventTime,
    /// What each policy was told that was told anything.
    by: Vec<KnownBy>,
}

/// What a policy's desk was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KnownBy {
    /// 0 for the policy in force.
    trial: u32,
    /// That it counts as a complaint.
    counts: bool,
    /// The routes that it is on.
    routes: Routes,
}

impl Known {
    /// No policy has it on a route.
    pub fn is_on_no_route(&self) -> bool {
        self.by.iter().all(|by| by.routes.is_empty())
    }

    fn by(&self, trial: u32) -> Option<&KnownBy> {
        self.by.iter().find(|by| by.trial == trial)
    }

    fn begin_by(&mut self, trial: u32) -> &mut KnownBy {
        let i = self.by.iter().position(|by| by.trial == trial).unwrap_or_else(|| {
            self.by.push(KnownBy { trial, counts: false, routes: Routes::NONE });
            self.by.len() - 1
        });
        &mut self.by[i]
    }
}

/// What is new of a conversation for a policy's desk.
pub(crate) struct New {
    /// 0 for the policy in force.
    pub trial: u32,
    /// Reshares at which it is viral, by this policy.
    pub bar: u64,
    /// All routes that it is on, if they have changed.
    routes: Option<Vec<RouteMatch>>,
    /// It counts as a complaint from now on.
    counts: bool,
    /// What to do next.
    advice: Vec<String>,
    /// The policy's silences that are on it.
    silences: Vec<String>,
}

impl New {
    /// Its routes have changed.
    pub fn has_routes(&self) -> bool {
        self.routes.is_some()
    }
}

impl Conversation {
    /// What conditions can ask, but for the numbers.
    fn facts<'a>(&'a self, brain: &'a Brain) -> Facts<'a> {
        let reading = self.root.as_ref().map(|root| &root.reading);
        let said = reading.and_then(|reading| reading.said.ok());
        let mut facts = Facts {
            answered: self.answered,
            read: said.is_some(),
            followers_known: self.cascade.author_followers().is_some(),
            brand: self.brand.as_deref().filter(|b| brain.policy.brands.contains_key(*b)).unwrap_or_default(),
            platform: self.platform.as_deref().unwrap_or_default(),
            lang: reading.map_or("", |reading| &reading.lang),
            flags: reading.map_or(&[], |reading| &reading.flags),
            ..Facts::default()
        };
        words(&mut facts.numbers, said, self.reply_complaint());
        facts
    }

    /// What its desks do not know yet, for each policy that has news.
    pub(crate) fn news(&self, assessment: &Assessment, brain: &Brain) -> Vec<New> {
        let mut facts = self.facts(brain);
        let mut news = Vec::new();
        let mut asked = None;
        for (trial, policy) in brain.policies() {
            let bar = policy.bar_of(self.brand.as_deref());
            if asked != Some(bar) {
                // Most policies have the same bar, and what is forecast is the same for all.
                let other = asked.map(|_| self.subject(brain, bar).assess());
                let assessment = other.as_ref().unwrap_or(assessment);
                numbers(&mut facts.numbers, &self.cascade, (!self.is_own()).then_some(assessment));
                asked = Some(bar);
            }
            news.extend(self.news_for((trial, policy), bar, &facts));
        }
        news
    }

    fn news_for(&self, (trial, policy): (u32, &Policy), bar: u64, facts: &Facts<'_>) -> Option<New> {
        const NONE: &Routes = &Routes::NONE;
        let known = self.known.as_ref().and_then(|known| known.by(trial));
        let routes = known.map_or(NONE, |known| &known.routes).now(facts, policy);
        let counts = !known.is_some_and(|known| known.counts) && policy.storms.counts.holds(facts);
        if routes.is_none() && !counts {
            return None;
        }
        let (advice, silences) = (policy.advised(facts), policy.silences_on(facts));
        Some(New { trial, bar, routes, counts, advice, silences })
    }

    /// Tells a policy's desk what it is now.
    pub(crate) fn tell_match(
        &mut self,
        New { trial, routes, counts, advice, silences, .. }: New,
        (event, reply): (&Event, Option<&Reading>),
        explained: &Explained,
        cx: &mut Context<'_>,
    ) {
        let brain = cx.brain;
        let Some(policy) = brain.policy_on_trial(trial) else { return };
        let posted_at = self.root.as_ref().map(|root| root.posted_at);
        let began = posted_at.or(self.cascade.first()).unwrap_or(event.at);
        let is_unlisted = brain.signal_key(self.brand.as_deref()) == UNLISTED;
        let known = self.known.get_or_insert_with(|| Box::new(Known { is_unlisted, began, by: vec![] }));
        let began = known.began;
        let known = known.begin_by(trial);
        let is_new = counts && !known.counts;
        known.counts |= counts;
        let routes = known.routes.take(routes, policy);
        let mut reasons = explained.reasons.clone();
        if let Some(mood) =
            self.subject(brain, policy.bar_of(self.brand.as_deref())).mood(&explained.assessment)
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
        let (topics, near) = match (reply.filter(|_| is_reply), &mut self.root) {
            (Some(reply), _) => (reply.topics.clone(), reply.near),
            (None, Some(root)) if is_new && brain.trials.is_empty() => {
                (std::mem::take(&mut root.reading.topics), root.reading.near.take())
            }
            // Others may ask for them later.
            (None, Some(root)) if is_new => (root.reading.topics.clone(), root.reading.near),
            _ => (vec![], None),
        };
        // Of what was written just now, who wrote it is known.
        let wrote = match &event.body {
            Body::Post(post) if is_new => Some(post),
            _ => None,
        };
        let matched = Matched {
            conversation: event.conversation.clone(),
            began,
            posted_at: if is_reply { Some(event.at) } else { posted_at },
            platform: self.platform.as_deref().map(Into::into),
            routes,
            counts: is_new,
            topics,
            near,
            author: wrote.and_then(|post| name_across(post, event.platform.as_deref())),
            related: wrote.and_then(|post| post.related.clone()),
            risk: if self.is_own() { Tenths::default() } else { explained.assessment.risk },
            reasons,
            contributions: if self.is_own() { vec![] } else { explained.contributions.clone() },
            advice,
            excerpt: self.excerpt(policy),
            silences,
            silenced_until: self.silenced_until,
            answered: self.answered,
            trace: cx.trace.map(Into::into),
        };
        self.signal((trial, SignalBody::Matched(Box::new(matched))), "", event.into(), cx);
    }

    /// How the post begins, if this policy would have kept that by itself.
    fn excerpt(&self, policy: &Policy) -> Option<String> {
        let reading = self.root.as_ref().map(|root| &root.reading)?;
        keeps_words(policy, reading).then(|| reading.excerpt.as_deref().map(Into::into))?
    }

    /// Tells the desks that know of this conversation what was done.
    pub(crate) fn tell_desk<'a>(
        &self,
        what: Option<&What>,
        by: &str,
        cause: impl Into<Cause<'a>>,
        cx: &mut Context<'_>,
    ) {
        let cause = cause.into();
        for known in self.known.iter().flat_map(|known| &known.by) {
            let Some(what) = what.cloned() else { return };
            let happened = Happened {
                conversation: cause.conversation.into(),
                what,
                by: by.into(),
                trace: cx.trace.map(Into::into),
            };
            self.signal((known.trial, SignalBody::Happened(happened)), "/done", cause, cx);
        }
    }

    fn signal(&self, (trial, body): (u32, SignalBody), part: &str, cause: Cause<'_>, cx: &mut Context<'_>) {
        let Some(known) = &self.known else { return };
        cx.out.push(Effect::Signal(Box::new(Signal {
            v: SCHEMA_VERSION,
            id: signal_id(trial, format_args!("{}/{}{part}", cause.conversation, cause.id)),
            brand: self.brand.as_deref().filter(|_| !known.is_unlisted).unwrap_or(UNLISTED).into(),
            at: cause.at.min(cx.now).max(cx.ticked),
            source: cx.source,
            trial,
            body,
        })));
    }
}

/// The id of a signal: the same for all policies but for its beginning, as ids are what a desk orders by.
pub(crate) fn signal_id(trial: u32, id: fmt::Arguments<'_>) -> String {
    if trial == 0 { id.to_string() } else { format!("trial-{trial}/{id}") }
}

/// A hash of an author's name as people keep it on several networks: without the server, in small letters, letters and digits alone.
fn name_across(post: &Post, platform: Option<&str>) -> Option<u32> {
    let handle = post.author.as_ref()?.handle.as_deref()?.trim_start_matches('@');
    // What is behind an @ is a server. On Bluesky names are domains, and their first part is the name.
    let own = handle.split('@').next().unwrap_or(handle);
    let own = if platform == Some("bluesky") { own.split('.').next().unwrap_or(own) } else { own };
    let plain: String = own.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    (plain.len() > 2).then(|| short_hash(&plain))
}

/// What an action does, as a desk hears it. Verdicts are for those who tune, and it hears none.
pub(crate) fn what_was_done(action: &Action) -> Option<What> {
    Some(match action.kind {
        ActionKind::Acknowledge => What::Acknowledged,
        ActionKind::Reply => What::Answered,
        ActionKind::HandOff => What::HandedOff,
        ActionKind::HandOver => What::HandedOver { team: action.team.clone()? },
        ActionKind::Resolve => What::Resolved,
        ActionKind::Reopen => What::Reopened,
        ActionKind::Silence => What::Silenced { until: action.until? },
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
