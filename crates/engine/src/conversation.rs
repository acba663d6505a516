//! One conversation: its state, and what an event or an action makes of it.
//!
//! The steps are those of every record: deduplicate, observe, score, decide. All that differs between two
//! conversations is in this state, and all it needs besides is in the arguments.

use firewatch_domain::{
    AccountKind, Action, ActionKind, Body, ConversationChange, Engagement, Event, EventTime, SCHEMA_VERSION,
    Score, Tenths,
};
use firewatch_escalation::Policy;
use firewatch_scoring::{Cascade, Explained, Reading, Scratch, Subject};
use serde::{Deserialize, Serialize};

use crate::signals::{Cause, NewMatch, SignaledState, change_from_action};
use crate::{Effect, Ruleset};

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
pub struct ConversationView<'a> {
    /// The brand, once it is known.
    pub brand: Option<&'a str>,
    /// Reshares and quotes.
    pub reshares: u64,
    /// Accounts that could have seen it.
    pub reach: u64,
    /// The brand has answered.
    pub answered: bool,
    /// The root is the brand's own post.
    pub by_brand: bool,
}

/// What a task lends its conversations.
pub(crate) struct Context<'a> {
    pub ruleset: &'a Ruleset,
    pub scratch: &'a mut Scratch,
    /// The partition.
    pub partition: u32,
    /// The time of the last tick, and the stream's: no signal is earlier or later.
    pub watermark: EventTime,
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
    pub(crate) root_kind: RootKind,
    /// The brand has answered.
    pub(crate) answered: bool,
    /// The brand's desk knows of it.
    pub(crate) signaled: Option<Box<SignaledState>>,
    pub(crate) silenced_until: Option<EventTime>,
    /// The reply that is most like a complaint.
    pub(crate) top_reply: Option<ComplaintReply>,
    pub(crate) emitted_risk: Option<Tenths>,
}

/// What is special about the first post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum RootKind {
    /// Nothing, or it has not been seen.
    #[default]
    Ordinary,
    /// It is the brand's own.
    ByBrand,
    /// It was deleted: nothing is kept of it, and nothing more is told of the conversation.
    Deleted,
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
pub(crate) struct ComplaintReply {
    /// Its id, in short.
    pub post: u32,
    pub complaint: f32,
}

impl Conversation {
    /// When it was last heard of.
    pub fn last_seen(&self) -> Option<EventTime> {
        self.cascade.last_seen()
    }

    /// Takes an event.
    pub fn apply_event(&mut self, event: &Event, cx: &mut Context<'_>) -> Outcome {
        if !self.cascade.insert_id(&event.id) {
            return Outcome::Folded(Fold::Duplicate);
        }
        if self.brand.is_none() && self.signaled.is_none() {
            self.brand = event.brand.as_deref().map(Into::into);
        }
        if self.platform.is_none() {
            self.platform = event.platform.as_deref().map(Into::into);
        }
        let spread_before = self.cascade.spread();
        match &event.body {
            Body::Delete(delete) => self.observe_delete(delete, event, cx),
            Body::Post(post) if post.in_reply_to.is_none() && self.is_deleted() => {
                Outcome::Folded(Fold::Deleted)
            }
            Body::Post(post) if self.is_written_by_brand(post, cx) => {
                self.observe_brand_post(post, event, cx)
            }
            Body::Post(post) if post.in_reply_to.is_none() && self.has_root(&post.id) => {
                self.observe_edit(post, event, spread_before, cx)
            }
            Body::Post(post) => {
                let reply = self.observe_post(post, event, cx);
                if reply.is_some() && self.answered && cx.ruleset.reply_checker.accepts_hand_off(&post.text) {
                    self.emit_update(Some(&ConversationChange::HandOffAccepted), "", event, cx);
                }
                self.score((event, reply.as_ref()), spread_before, cx)
            }
            Body::BrandReply(reply) => self.observe_answer(&reply.account, &reply.text, event, cx),
            Body::Engagement(engagement) => {
                let own = engagement.actor.as_deref().filter(|actor| self.is_brand_account(actor, cx));
                let account = own.map_or(engagement.account, |_| Some(AccountKind::Brand));
                self.cascade.observe_engagement(&Engagement { account, ..engagement.clone() }, event.at);
                self.score((event, None), spread_before, cx)
            }
            Body::Counters(totals) => {
                self.cascade.observe_snapshot(totals, event.at);
                self.score((event, None), spread_before, cx)
            }
        }
    }

    /// Takes what a person did.
    pub fn apply_action(&mut self, action: &Action, cx: &mut Context<'_>) -> Outcome {
        if !self.cascade.insert_id(&action.id) {
            return Outcome::Folded(Fold::Duplicate);
        }
        if action.kind == ActionKind::Silence {
            self.silenced_until = action.until;
        }
        self.answered |= matches!(action.kind, ActionKind::Reply | ActionKind::HandOff);
        self.emit_update(change_from_action(action).as_ref(), &action.by, action, cx);
        Outcome::Folded(Fold::Action)
    }

    /// What can be seen of it.
    pub fn view(&self) -> ConversationView<'_> {
        ConversationView {
            brand: self.brand.as_deref(),
            reshares: self.cascade.spread(),
            reach: self.cascade.audience().reach().estimate,
            answered: self.answered,
            by_brand: self.is_brand_post(),
        }
    }

    /// Ends it, for a reason.
    pub fn expire(self, id: &str, at: EventTime, reason: &str, cx: &mut Context<'_>) {
        let cause = Cause { conversation: id, id: "expiry", at };
        self.emit_update(Some(&ConversationChange::Expired { reason: reason.into() }), "", cause, cx);
    }

    /// Scores it, and tells what is new of it; `before` is how often it had been passed on.
    pub(crate) fn score(
        &mut self,
        (event, reply): (&Event, Option<&Reading>),
        spread_before: u64,
        cx: &mut Context<'_>,
    ) -> Outcome {
        let ruleset = cx.ruleset;
        if self.is_deleted() {
            return Outcome::Folded(Fold::Deleted);
        }
        if self.cannot_change_output(ruleset) {
            return Outcome::Folded(Fold::Unchanged);
        }
        let bar = ruleset.policy.viral_bar(self.brand.as_deref());
        let assessment = self.subject(ruleset, bar).assess();
        let at = self.cascade.last_seen().unwrap_or(event.at);
        let new_matches = self.new_matches(&assessment, ruleset);
        let first = self.emitted_risk.is_none() && self.root.is_some();
        let moved = (assessment.risk.value() - self.emitted_risk.unwrap_or_default().value()).abs()
            >= ruleset.policy.score_step;
        let has_routes = new_matches.iter().any(|new| new.slot == 0 && new.has_routes());
        // The risk may have been near its end before, and that it is there is news of its own.
        let crossed = spread_before < bar && self.cascade.spread() >= bar;
        let score_changed = !self.is_brand_post() && (first || moved || has_routes || crossed);
        let emits_score = score_changed && ruleset.emits_scores;
        let risk = assessment.risk;
        if emits_score || !new_matches.is_empty() {
            let explained = self.subject(ruleset, bar).explain(assessment);
            self.emit_matches(new_matches, (event, reply), (bar, &explained), cx);
            if emits_score {
                cx.out.push(Effect::Score(Box::new(self.score_record(event, at, explained))));
            }
        }
        if !score_changed {
            return Outcome::Folded(if self.is_brand_post() { Fold::BrandSpoke } else { Fold::Unchanged });
        }
        self.emitted_risk = Some(risk);
        Outcome::Scored
    }

    fn emit_matches(
        &mut self,
        new_matches: Vec<NewMatch>,
        cause: (&Event, Option<&Reading>),
        (bar, explained): (u64, &Explained),
        cx: &mut Context<'_>,
    ) {
        for new in new_matches {
            if new.bar == bar {
                self.emit_match(new, cause, explained, cx);
            } else {
                let subject = self.subject(cx.ruleset, new.bar);
                let explained = subject.explain(subject.assess());
                self.emit_match(new, cause, &explained, cx);
            }
        }
    }

    /// What is assessed, where so many reshares are viral.
    pub(crate) fn subject<'a>(&'a self, ruleset: &'a Ruleset, bar: u64) -> Subject<'a> {
        Subject {
            model: &ruleset.virality,
            cascade: &self.cascade,
            reading: self.root.as_ref().map(|r| &r.reading),
            bar,
            prior_complaint: f64::from(ruleset.sentiment.prior_complaint()),
            calibration: ruleset.calibration.as_deref(),
        }
    }

    /// P(complaint) of the reply that is most like one.
    pub(crate) fn reply_complaint(&self) -> f32 {
        self.top_reply.map_or(0.0, |reply| reply.complaint)
    }

    /// Whether no spread could make anything of it: told once, harmless, and too surely no complaint for a new score, a
    /// route or a storm. Most conversations are, and need no forecast.
    fn cannot_change_output(&self, ruleset: &Ruleset) -> bool {
        let is_scored = self.emitted_risk.is_some() || self.is_brand_post();
        let on_no_route = self.signaled.as_ref().is_none_or(|signaled| signaled.is_on_no_route());
        if !is_scored || !on_no_route {
            return false;
        }
        let flags = self.root.as_ref().map_or(&[][..], |root| &root.reading.flags);
        let bar = ruleset.policy.viral_bar(self.brand.as_deref());
        let max_risk = if self.is_brand_post() { 0.0 } else { self.subject(ruleset, bar).max_risk() };
        let complaint = (max_risk / 100.0).max(f64::from(self.reply_complaint()));
        let is_quiet = |policy: &Policy| {
            complaint < policy.min_route_complaint && !flags.iter().any(|flag| policy.flags.contains(flag))
        };
        max_risk < ruleset.policy.score_step && ruleset.policies().all(|(_, policy)| is_quiet(policy))
    }

    fn score_record(&self, event: &Event, at: EventTime, explained: Explained) -> Score {
        let Explained { assessment, forecast, contributions, reasons } = explained;
        let reading = self.root.as_ref().map(|r| &r.reading);
        let prediction = reading.and_then(|r| r.prediction.ok());
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
            sentiment: prediction.map(|s| s.sentiment),
            arousal: prediction.map(|s| s.arousal),
            flags: reading.map_or_else(Vec::new, |r| r.flags.clone()),
            reach: assessment.reach,
            velocity: self.cascade.velocity(),
            forecast: forecast.to_record(&self.cascade),
            engagements: self.cascade.counts(),
            reasons,
            contributions,
        }
    }
}
