//! One conversation: its state, and what an event or an action makes of it.
//!
//! The steps are those of every record: deduplicate, observe, score, decide. All that differs between two
//! conversations is in this state, and all it needs besides is in the arguments.

use firewatch_domain::{
    AccountKind, Action, ActionKind, Body, Engagement, Event, EventTime, SCHEMA_VERSION, Score, Tenths, What,
};
use firewatch_escalation::Policy;
use firewatch_scoring::{Cascade, Explained, Reading, Scratch, Subject};
use serde::{Deserialize, Serialize};

use crate::tells::{Cause, Known, New, what_was_done};
use crate::{Brain, Effect};

/// What became of a record that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A new score was told.
    Scored,
    /// Taken into the state, with nothing new to tell.
    Folded(Fold),
    /// Not taken; there is a dead letter.
    Rejected(firewatch_domain::RejectionCode),
}

/// Why a record told no new score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Its id was seen already.
    Duplicate,
    /// The risk hardly moved.
    Unchanged,
    /// The brand spoke.
    BrandSpoke,
    /// A post was deleted, or is one that was.
    Deleted,
    /// An action on an escalation.
    Action,
    /// A signal or tick between conversations and brands.
    Signal,
}

/// What can be seen of a conversation from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// The brand, once it is known.
    pub brand: Option<&'a str>,
    /// Reshares and quotes.
    pub reshares: u64,
    /// Accounts that could have seen it.
    pub reach: u64,
    /// The brand has answered.
    pub answered: bool,
    /// The root is the brand's own post.
    pub own: bool,
}

/// What a task lends its conversations.
pub(crate) struct Context<'a> {
    pub brain: &'a Brain,
    pub scratch: &'a mut Scratch,
    /// The partition.
    pub source: u32,
    /// The time of the last tick, and the stream's: no signal is earlier or later.
    pub ticked: EventTime,
    pub now: EventTime,
    /// The trace context of the record.
    pub trace: Option<&'a str>,
    pub out: &'a mut Vec<Effect>,
}

/// A conversation's state, constant in size but for the words kept as evidence.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Conversation {
    pub(crate) brand: Option<Box<str>>,
    pub(crate) platform: Option<Box<str>>,
    pub(crate) root: Option<Box<Root>>,
    pub(crate) cascade: Cascade,
    pub(crate) first: First,
    /// The brand has answered.
    pub(crate) answered: bool,
    /// The brand's desk knows of it.
    pub(crate) known: Option<Box<Known>>,
    pub(crate) silenced_until: Option<EventTime>,
    /// The reply that is most like a complaint.
    pub(crate) reply: Option<Reply>,
    pub(crate) told: Option<Tenths>,
}

/// What is special about the first post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum First {
    /// Nothing, or it has not been seen.
    #[default]
    Ordinary,
    /// It is the brand's own.
    Own,
    /// It was deleted: nothing is kept of it, and nothing more is told of the conversation.
    Gone,
}

/// The first post.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Root {
    /// Its id, in short; as bytes, which do not grow as numbers do.
    pub post: [u8; 4],
    pub posted_at: EventTime,
    /// Of the version that was read.
    pub edited_at: Option<EventTime>,
    pub reading: Reading,
}

/// A reply that may be a complaint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reply {
    /// Its id, in short.
    pub post: u32,
    pub complaint: f32,
}

impl Conversation {
    /// When it was last heard of.
    pub fn last(&self) -> Option<EventTime> {
        self.cascade.last()
    }

    /// Takes an event.
    pub fn apply(&mut self, event: &Event, cx: &mut Context<'_>) -> Outcome {
        if !self.cascade.is_new(&event.id) {
            return Outcome::Folded(Fold::Duplicate);
        }
        if self.brand.is_none() && self.known.is_none() {
            self.brand = event.brand.as_deref().map(Into::into);
        }
        if self.platform.is_none() {
            self.platform = event.platform.as_deref().map(Into::into);
        }
        let before = self.cascade.spread();
        match &event.body {
            Body::Delete(delete) => self.delete(delete, event, cx),
            Body::Post(post) if post.in_reply_to.is_none() && self.is_gone() => {
                Outcome::Folded(Fold::Deleted)
            }
            Body::Post(post) if self.is_by_brand(post, cx) => self.brand_wrote(post, event, cx),
            Body::Post(post) if post.in_reply_to.is_none() && self.has_root(&post.id) => {
                self.wrote_again(post, event, before, cx)
            }
            Body::Post(post) => {
                let reply = self.post(post, event, cx);
                if reply.is_some() && self.answered && cx.brain.replies.is_taken_up(&post.text) {
                    self.tell_desk(Some(&What::TakenUp), "", event, cx);
                }
                self.score((event, reply.as_ref()), before, cx)
            }
            Body::BrandReply(reply) => self.answer(&reply.account, &reply.text, event, cx),
            Body::Engagement(engagement) => {
                let own = engagement.actor.as_deref().filter(|actor| self.is_of_brand(actor, cx));
                let account = own.map_or(engagement.account, |_| Some(AccountKind::Brand));
                self.cascade.engage(&Engagement { account, ..engagement.clone() }, event.at);
                self.score((event, None), before, cx)
            }
            Body::Counters(totals) => {
                self.cascade.snapshot(totals, event.at);
                self.score((event, None), before, cx)
            }
        }
    }

    /// Takes what a person did.
    pub fn act(&mut self, action: &Action, cx: &mut Context<'_>) -> Outcome {
        if !self.cascade.is_new(&action.id) {
            return Outcome::Folded(Fold::Duplicate);
        }
        if action.kind == ActionKind::Silence {
            self.silenced_until = action.until;
        }
        self.answered |= matches!(action.kind, ActionKind::Reply | ActionKind::HandOff);
        self.tell_desk(what_was_done(action).as_ref(), &action.by, action, cx);
        Outcome::Folded(Fold::Action)
    }

    /// What can be seen of it.
    pub fn seen(&self) -> Seen<'_> {
        Seen {
            brand: self.brand.as_deref(),
            reshares: self.cascade.spread(),
            reach: self.cascade.audience().reach().estimate,
            answered: self.answered,
            own: self.is_own(),
        }
    }

    /// Ends it, for a reason.
    pub fn expire(self, id: &str, at: EventTime, reason: &str, cx: &mut Context<'_>) {
        let cause = Cause { conversation: id, id: "expiry", at };
        self.tell_desk(Some(&What::Expired { reason: reason.into() }), "", cause, cx);
    }

    /// Scores it, and tells what is new of it; `before` is how often it had been passed on.
    pub(crate) fn score(
        &mut self,
        (event, reply): (&Event, Option<&Reading>),
        before: u64,
        cx: &mut Context<'_>,
    ) -> Outcome {
        let brain = cx.brain;
        if self.is_gone() {
            return Outcome::Folded(Fold::Deleted);
        }
        if self.can_tell_nothing(brain) {
            return Outcome::Folded(Fold::Unchanged);
        }
        let bar = brain.policy.bar_of(self.brand.as_deref());
        let assessment = self.subject(brain, bar).assess();
        let at = self.cascade.last().unwrap_or(event.at);
        let news = self.news(&assessment, brain);
        let first = self.told.is_none() && self.root.is_some();
        let moved = (assessment.risk.value() - self.told.unwrap_or_default().value()).abs()
            >= brain.policy.score_step;
        let has_routes = news.iter().any(|new| new.trial == 0 && new.has_routes());
        // The risk may have been near its end before, and that it is there is news of its own.
        let crossed = before < bar && self.cascade.spread() >= bar;
        let tells_score = !self.is_own() && (first || moved || has_routes || crossed);
        let is_told = tells_score && brain.tells_scores;
        let risk = assessment.risk;
        if is_told || !news.is_empty() {
            let explained = self.subject(brain, bar).explain(assessment);
            self.tell_news(news, (event, reply), (bar, &explained), cx);
            if is_told {
                cx.out.push(Effect::Score(Box::new(self.record(event, at, explained))));
            }
        }
        if !tells_score {
            return Outcome::Folded(if self.is_own() { Fold::BrandSpoke } else { Fold::Unchanged });
        }
        self.told = Some(risk);
        Outcome::Scored
    }

    fn tell_news(
        &mut self,
        news: Vec<New>,
        cause: (&Event, Option<&Reading>),
        (bar, explained): (u64, &Explained),
        cx: &mut Context<'_>,
    ) {
        for new in news {
            if new.bar == bar {
                self.tell_match(new, cause, explained, cx);
            } else {
                let subject = self.subject(cx.brain, new.bar);
                let explained = subject.explain(subject.assess());
                self.tell_match(new, cause, &explained, cx);
            }
        }
    }

    /// What is assessed, where so many reshares are viral.
    pub(crate) fn subject<'a>(&'a self, brain: &'a Brain, bar: u64) -> Subject<'a> {
        Subject {
            model: &brain.virality,
            cascade: &self.cascade,
            reading: self.root.as_ref().map(|r| &r.reading),
            bar,
            prior: f64::from(brain.sentiment.prior_complaint()),
            calibration: brain.calibration.as_deref(),
        }
    }

    /// P(complaint) of the reply that is most like one.
    pub(crate) fn reply_complaint(&self) -> f32 {
        self.reply.map_or(0.0, |reply| reply.complaint)
    }

    /// Whether no spread could make anything of it: told once, harmless, and too surely no complaint for a new score, a
    /// route or a storm. Most conversations are, and need no forecast.
    fn can_tell_nothing(&self, brain: &Brain) -> bool {
        let is_told = self.told.is_some() || self.is_own();
        let on_no_route = self.known.as_ref().is_none_or(|known| known.is_on_no_route());
        if !is_told || !on_no_route {
            return false;
        }
        let flags = self.root.as_ref().map_or(&[][..], |root| &root.reading.flags);
        let bar = brain.policy.bar_of(self.brand.as_deref());
        let most = if self.is_own() { 0.0 } else { self.subject(brain, bar).most() };
        let complaint = (most / 100.0).max(f64::from(self.reply_complaint()));
        let is_quiet = |policy: &Policy| {
            complaint < policy.quiet_below && !flags.iter().any(|flag| policy.flags.contains(flag))
        };
        most < brain.policy.score_step && brain.policies().all(|(_, policy)| is_quiet(policy))
    }

    fn record(&self, event: &Event, at: EventTime, explained: Explained) -> Score {
        let Explained { assessment, forecast, contributions, reasons } = explained;
        let reading = self.root.as_ref().map(|r| &r.reading);
        let said = reading.and_then(|r| r.said.ok());
        Score {
            v: SCHEMA_VERSION,
            id: format!("{}/{}", event.conversation, event.id),
            conversation: event.conversation.clone(),
            brand: self.brand.as_deref().map(Into::into),
            at,
            risk: assessment.risk,
            risk_low: assessment.low,
            risk_high: assessment.high,
            complaint: assessment.complaint as f32,
            viral: assessment.viral as f32,
            sentiment: said.map(|s| s.sentiment),
            arousal: said.map(|s| s.arousal),
            flags: reading.map_or_else(Vec::new, |r| r.flags.clone()),
            reach: assessment.reach,
            velocity: self.cascade.velocity(),
            forecast: forecast.told(&self.cascade),
            engagements: self.cascade.counts(),
            reasons,
            contributions,
        }
    }
}
