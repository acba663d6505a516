//! One conversation: its state, and what an event or an action makes of it.
//!
//! The steps are those of every record: deduplicate, observe, score, decide. All that differs between two
//! conversations is in this state, and all it needs besides is in the arguments.

use firewatch_domain::{
    Action, ActionKind, Body, Engagement, EngagementKind, Escalation, EscalationState, Event, EventTime,
    FlagKind, Post, SCHEMA_VERSION, Score, Signal, SignalBody, Tenths,
};
use firewatch_escalation::{Found, Life, PR, SUPPORT, Step, Ticket, support};
use firewatch_scoring::{Cascade, Explained, Reading, Scratch, Subject};
use serde::{Deserialize, Serialize};

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
    /// An action on an escalation.
    Action,
    /// A signal or tick between conversations and brands.
    Signal,
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
    pub out: &'a mut Vec<Effect>,
}

/// A conversation's state, constant in size but for the words kept as evidence.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Conversation {
    brand: Option<Box<str>>,
    root: Option<Box<Root>>,
    cascade: Cascade,
    /// The root is the brand's own post.
    own: bool,
    /// The brand has answered.
    answered: bool,
    pr: Option<Life>,
    support: Option<Life>,
    silenced_until: Option<EventTime>,
    told: Option<Tenths>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Root {
    posted_at: EventTime,
    reading: Reading,
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
        if self.brand.is_none() {
            self.brand = event.brand.as_deref().map(Into::into);
        }
        match &event.body {
            Body::Post(post) if cx.brain.written_by_brand(post).is_some() => {
                self.brand_wrote(post, event, cx)
            }
            Body::BrandReply(reply) => self.answer(&reply.account, event, cx),
            Body::Post(post) => {
                let reply = self.post(post, event, cx);
                self.score(event, reply.as_ref(), cx)
            }
            Body::Engagement(engagement) => {
                self.cascade.engage(engagement, event.at);
                self.score(event, None, cx)
            }
            Body::Counters(totals) => {
                self.cascade.snapshot(totals, event.at);
                self.score(event, None, cx)
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
        let step = self.pr.as_mut().and_then(|life| life.act(action.kind, &action.by));
        self.tell_pr(step, action, cx);
        let step = self.support.as_mut().and_then(|life| life.act(action.kind, &action.by));
        self.tell_support(step, action, cx);
        Outcome::Folded(Fold::Action)
    }

    /// Ends what is open, for a reason.
    pub fn expire(mut self, id: &str, at: EventTime, reason: &str, cx: &mut Context<'_>) {
        let cause = Cause { conversation: id, id: "expiry", at };
        let step = self.pr.as_mut().and_then(|life| life.move_to(EscalationState::Expired, reason.into()));
        let support =
            self.support.as_mut().and_then(|life| life.move_to(EscalationState::Expired, reason.into()));
        self.tell_pr(step, cause, cx);
        self.tell_support(support, cause, cx);
    }

    /// Observes a post; a reply that was read is handed back, as it may be a complaint of its own.
    fn post(&mut self, post: &Post, event: &Event, cx: &mut Context<'_>) -> Option<Reading> {
        if self.brand.is_none() {
            self.brand = cx.brain.mentioned(&post.text).map(Into::into);
        }
        let reading = cx.brain.read(cx.scratch, post);
        if post.in_reply_to.is_none() && self.root.is_none() && !self.own {
            self.cascade.begin(event.at);
            self.cascade.author(&post.author.id, post.author.followers, event.at);
            self.root = Some(Box::new(Root { posted_at: event.at, reading }));
            return None;
        }
        let kind = EngagementKind::Reply;
        let actor = Some(post.author.id.clone());
        self.cascade.engage(&Engagement { kind, actor, followers: post.author.followers }, event.at);
        Some(reading)
    }

    /// A post from one of the brand's accounts: an answer, or the root of a conversation of its own.
    fn brand_wrote(&mut self, post: &Post, event: &Event, cx: &mut Context<'_>) -> Outcome {
        if post.in_reply_to.is_some() {
            let account = post.author.handle.as_deref().unwrap_or(&post.author.id);
            return self.answer(account, event, cx);
        }
        self.own = self.root.is_none();
        self.cascade.begin(event.at);
        Outcome::Folded(Fold::BrandSpoke)
    }

    fn answer(&mut self, account: &str, event: &Event, cx: &mut Context<'_>) -> Outcome {
        self.cascade.begin(event.at);
        self.answered = true;
        let reason = || format!("answered in public by {account}");
        let step = self.pr.as_mut().and_then(|life| life.move_to(EscalationState::Answered, reason()));
        self.tell_pr(step, event, cx);
        let step = self.support.as_mut().and_then(|life| life.move_to(EscalationState::Answered, reason()));
        self.tell_support(step, event, cx);
        Outcome::Folded(Fold::BrandSpoke)
    }

    /// Scores and decides.
    fn score(&mut self, event: &Event, reply: Option<&Reading>, cx: &mut Context<'_>) -> Outcome {
        let brain = cx.brain;
        if let Some(reading) = reply {
            self.offer_reply_to_support(reading, event, cx);
        }
        if self.own {
            return Outcome::Folded(Fold::BrandSpoke);
        }
        if self.can_tell_nothing(brain) {
            return Outcome::Folded(Fold::Unchanged);
        }
        let assessment = self.subject(brain).assess();
        let at = self.cascade.last().unwrap_or(event.at);
        let silenced = self.silenced_until.is_some_and(|until| at < until);
        let step = if silenced {
            None
        } else {
            let began = self.root.as_ref().map(|r| r.posted_at).or(self.cascade.first());
            let found = Found { risk: assessment.risk.value(), harm: self.harm(brain), began, at };
            Life::decide(&mut self.pr, found, &brain.policy.pr)
        };
        let case = self.case_for_support(assessment.complaint, brain).filter(|_| !silenced);
        let first = self.told.is_none() && self.root.is_some();
        let moved = (assessment.risk.value() - self.told.unwrap_or_default().value()).abs()
            >= brain.policy.score_step;
        let tells_score = first || moved || step.is_some();
        if !tells_score && case.is_none() {
            return Outcome::Folded(Fold::Unchanged);
        }
        let explained = self.subject(brain).explain(assessment);
        if let Some((life, step)) = case {
            self.open_support_case(&explained, (life, step), event, cx);
        }
        if !tells_score {
            return Outcome::Folded(Fold::Unchanged);
        }
        self.told = Some(explained.assessment.risk);
        if let (Some(step), Some(life)) = (step, &self.pr) {
            let ticket = self.ticket(&event.conversation, Some(&explained), brain);
            cx.out.push(Effect::Escalation(Box::new(ticket.record(PR, life, step, at))));
        }
        cx.out.push(Effect::Score(Box::new(self.record(event, at, explained))));
        Outcome::Scored
    }

    /// Harm that the first post speaks of, of the policy's kinds the first.
    fn harm(&self, brain: &Brain) -> Option<FlagKind> {
        let flags = &self.root.as_ref()?.reading.flags;
        brain.policy.pr.harms.iter().copied().find(|kind| flags.contains(kind))
    }

    fn subject<'a>(&'a self, brain: &'a Brain) -> Subject<'a> {
        Subject {
            model: &brain.virality,
            cascade: &self.cascade,
            reading: self.root.as_ref().map(|r| &r.reading),
            bar: brain.policy.bar_of(self.brand.as_deref()),
            prior: f64::from(brain.sentiment.prior_complaint()),
        }
    }

    /// Whether no spread could make anything of it: told once, harmless, and too surely no complaint for a new score,
    /// an escalation or support. Most conversations are, and need no forecast.
    fn can_tell_nothing(&self, brain: &Brain) -> bool {
        let (subject, policy) = (self.subject(brain), &brain.policy);
        self.told.is_some()
            && self.pr.is_none()
            && self.harm(brain).is_none()
            && subject.most() < policy.score_step.min(policy.pr.thresholds[0].1)
            && subject.most() < 100.0 * policy.support.complaint
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

    /// The case that a root of such a P(complaint) opens with support, if it does.
    fn case_for_support(&self, complaint: f64, brain: &Brain) -> Option<(Life, Step)> {
        let root = self.root.as_ref().filter(|r| r.reading.said.is_ok())?;
        let open = self.support.is_none() && !self.answered;
        if open { support(complaint, root.posted_at, &brain.policy) } else { None }
    }

    fn open_support_case(
        &mut self,
        explained: &Explained,
        (life, step): (Life, Step),
        event: &Event,
        cx: &mut Context<'_>,
    ) {
        let topics = self.root.as_mut().map_or_else(Vec::new, |r| std::mem::take(&mut r.reading.topics));
        let mut ticket = self.ticket(&event.conversation, Some(explained), cx.brain);
        if let Some(mood) = self.subject(cx.brain).mood(&explained.assessment) {
            // With its points, if it is there already; support asks first what was said.
            ticket.reasons.retain(|reason| !reason.starts_with(mood.as_str()));
            ticket.reasons.insert(0, mood);
        }
        let case = ticket.record(SUPPORT, &life, step, event.at);
        self.signal_complaint(case, topics, event, cx);
        self.support = Some(life);
    }

    /// A reply can be a complaint though the root is none.
    fn offer_reply_to_support(&mut self, reading: &Reading, event: &Event, cx: &mut Context<'_>) {
        let complaint = reading.said.map_or(0.0, |said| f64::from(said.complaint));
        if self.support.is_some() || self.answered {
            return;
        }
        let Some((life, step)) = support(complaint, event.at, &cx.brain.policy) else { return };
        let mut ticket = self.ticket(&event.conversation, None, cx.brain);
        ticket.posted_at = Some(event.at);
        ticket.reasons = vec!["the complaint is a reply in the conversation, not its first post".into()];
        let case = ticket.record(SUPPORT, &life, step, event.at);
        self.signal_complaint(case, reading.topics.clone(), event, cx);
        self.support = Some(life);
    }

    fn signal_complaint(&self, case: Escalation, topics: Vec<String>, event: &Event, cx: &mut Context<'_>) {
        self.signal(SignalBody::Complaint { case: Box::new(case), topics }, event.into(), cx);
    }

    fn tell_pr<'a>(&self, step: Option<Step>, cause: impl Into<Cause<'a>>, cx: &mut Context<'_>) {
        let cause = cause.into();
        if let (Some(step), Some(life)) = (step, &self.pr) {
            let ticket = self.ticket(cause.conversation, None, cx.brain);
            cx.out.push(Effect::Escalation(Box::new(ticket.record(PR, life, step, cause.at))));
        }
    }

    fn tell_support<'a>(&self, step: Option<Step>, cause: impl Into<Cause<'a>>, cx: &mut Context<'_>) {
        let cause = cause.into();
        if let (Some(step), Some(life)) = (step, &self.support) {
            let conversation = cause.conversation.to_owned();
            self.signal(
                SignalBody::Change { conversation, state: life.state, reason: step.reason },
                cause,
                cx,
            );
        }
    }

    fn signal(&self, body: SignalBody, cause: Cause<'_>, cx: &mut Context<'_>) {
        cx.out.push(Effect::Signal(Box::new(Signal {
            v: SCHEMA_VERSION,
            id: format!("{}/{}", cause.conversation, cause.id),
            brand: cx.brain.signal_key(self.brand.as_deref()).into(),
            at: cause.at.min(cx.now).max(cx.ticked),
            source: cx.source,
            body,
        })));
    }

    fn ticket<'a>(
        &'a self,
        conversation: &'a str,
        explained: Option<&Explained>,
        brain: &'a Brain,
    ) -> Ticket<'a> {
        Ticket {
            brand: self.brand.as_deref(),
            posted_at: self.root.as_ref().map(|r| r.posted_at),
            risk: explained.map(|e| e.assessment.risk).or(self.told),
            reasons: explained.map_or_else(Vec::new, |e| e.reasons.clone()),
            contributions: explained.map_or_else(Vec::new, |e| e.contributions.clone()),
            excerpt: self.root.as_ref().and_then(|r| r.reading.excerpt.as_deref()),
            ..Ticket::of(conversation, &brain.policy)
        }
    }
}

/// What made the engine tell something.
#[derive(Debug, Clone, Copy)]
struct Cause<'a> {
    conversation: &'a str,
    id: &'a str,
    at: EventTime,
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
