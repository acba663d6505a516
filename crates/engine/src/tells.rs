//! What a conversation tells its brand's desk: the routes that it is on, and what is done about it.

use firewatch_domain::{
    Action, ActionKind, Event, EventTime, Happened, Matched, RouteMatch, SCHEMA_VERSION, Signal, SignalBody,
    Tenths, What,
};
use firewatch_escalation::Facts;
use firewatch_scoring::{Assessment, Explained, Reading};
use serde::{Deserialize, Serialize};

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
    /// That it counts as a complaint.
    counts: bool,
    /// The routes that it is on.
    pub(crate) routes: Routes,
}

impl Known {
    fn new(is_unlisted: bool, began: EventTime) -> Self {
        Self { is_unlisted, began, counts: false, routes: Routes::NONE }
    }
}

/// What is new of a conversation for its desk.
pub(crate) struct New {
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
    const NOTHING: Self = Self { routes: None, counts: false, advice: vec![], silences: vec![] };

    /// There is nothing.
    pub fn is_nothing(&self) -> bool {
        self.routes.is_none() && !self.counts
    }

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
        words(&mut facts.numbers, said, self.reply_complaint.unwrap_or_default());
        facts
    }

    /// What its desk does not know yet.
    pub(crate) fn news(&self, assessment: &Assessment, brain: &Brain) -> New {
        const NONE: &Routes = &Routes::NONE;
        let mut facts = self.facts(brain);
        numbers(&mut facts.numbers, &self.cascade, (!self.own).then_some(assessment));
        let routes = self.known.as_ref().map_or(NONE, |known| &known.routes).now(&facts, &brain.policy);
        let is_known = self.known.as_ref().is_some_and(|known| known.counts);
        let counts = !is_known && brain.policy.storms.counts.holds(&facts);
        if routes.is_none() && !counts {
            return New::NOTHING;
        }
        let (advice, silences) = (brain.policy.advised(&facts), brain.policy.silences_on(&facts));
        New { routes, counts, advice, silences }
    }

    /// Tells the desk what it is now.
    pub(crate) fn tell_match(
        &mut self,
        New { routes, counts, advice, silences }: New,
        (event, reply): (&Event, Option<&Reading>),
        explained: &Explained,
        cx: &mut Context<'_>,
    ) {
        let brain = cx.brain;
        let posted_at = self.root.as_ref().map(|root| root.posted_at);
        let began = posted_at.or(self.cascade.first()).unwrap_or(event.at);
        let is_unlisted = brain.signal_key(self.brand.as_deref()) == UNLISTED;
        let known = self.known.get_or_insert_with(|| Box::new(Known::new(is_unlisted, began)));
        let is_new = counts && !known.counts;
        known.counts |= counts;
        let routes = known.routes.take(routes, &brain.policy);
        let began = known.began;
        let mut reasons = explained.reasons.clone();
        if let Some(mood) = self.subject(brain).mood(&explained.assessment) {
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
            (None, Some(root)) if is_new => {
                (std::mem::take(&mut root.reading.topics), root.reading.near.take())
            }
            _ => (vec![], None),
        };
        let matched = Matched {
            conversation: event.conversation.clone(),
            began,
            posted_at: if is_reply { Some(event.at) } else { posted_at },
            routes,
            counts: is_new,
            topics,
            near,
            risk: if self.own { Tenths::default() } else { explained.assessment.risk },
            reasons,
            contributions: if self.own { vec![] } else { explained.contributions.clone() },
            advice,
            excerpt: self.root.as_ref().and_then(|r| r.reading.excerpt.as_deref()).map(Into::into),
            silences,
            silenced_until: self.silenced_until,
            answered: self.answered,
            trace: cx.trace.map(Into::into),
        };
        self.signal(SignalBody::Matched(Box::new(matched)), "", event.into(), cx);
    }

    /// Tells the desk what was done, if it knows of this conversation.
    pub(crate) fn tell_desk<'a>(
        &self,
        what: Option<What>,
        by: &str,
        cause: impl Into<Cause<'a>>,
        cx: &mut Context<'_>,
    ) {
        let cause = cause.into();
        if let (Some(what), Some(_)) = (what, &self.known) {
            let happened = Happened {
                conversation: cause.conversation.into(),
                what,
                by: by.into(),
                trace: cx.trace.map(Into::into),
            };
            self.signal(SignalBody::Happened(happened), "/done", cause, cx);
        }
    }

    fn signal(&self, body: SignalBody, part: &str, cause: Cause<'_>, cx: &mut Context<'_>) {
        let Some(known) = &self.known else { return };
        cx.out.push(Effect::Signal(Box::new(Signal {
            v: SCHEMA_VERSION,
            id: format!("{}/{}{part}", cause.conversation, cause.id),
            brand: self.brand.as_deref().filter(|_| !known.is_unlisted).unwrap_or(UNLISTED).into(),
            at: cause.at.min(cx.now).max(cx.ticked),
            source: cx.source,
            body,
        })));
    }
}

/// What an action does, as a desk hears it.
pub(crate) fn what_was_done(action: &Action) -> Option<What> {
    Some(match action.kind {
        ActionKind::Acknowledge => What::Acknowledged,
        ActionKind::Reply => What::Answered,
        ActionKind::HandOff => What::HandedOff,
        ActionKind::HandOver => What::HandedOver { team: action.team.clone()? },
        ActionKind::Resolve => What::Resolved,
        ActionKind::Reopen => What::Reopened,
        ActionKind::Silence => What::Silenced { until: action.until? },
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
