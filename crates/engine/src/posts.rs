//! What is written in a conversation: posts and their edits, answers, and what is deleted.
//!
//! An edited post is what it says now. Of a deleted one nothing is kept, here or at the brand's desk, and what comes late of it
//! changes nothing.

use firewatch_domain::{
    ConversationChange, Delete, Engagement, EngagementKind, Event, Post, SCHEMA_VERSION, Score, Tenths,
};
use firewatch_scoring::{Reading, short_hash};

use crate::Effect;
use crate::conversation::{ComplaintReply, Context, Conversation, Fold, Outcome, Root, RootKind};

impl Conversation {
    /// Observes a post; a reply that was read is handed back, as it may be a complaint of its own.
    pub(crate) fn observe_post(
        &mut self,
        post: &Post,
        event: &Event,
        cx: &mut Context<'_>,
    ) -> Option<Reading> {
        self.find_brand(post, cx);
        let reading = cx.ruleset.read_post(cx.scratch, post);
        // Each author that is not known is one of its own.
        let (author, followers) =
            (post.author.as_ref().map_or(&post.id, |author| &author.id), post.followers());
        if post.in_reply_to.is_none() && self.root.is_none() && !self.is_brand_post() {
            self.cascade.observe_time(event.at);
            self.cascade.observe_author(author, followers, event.at);
            let (post, edited_at) = (short_hash(&post.id).to_le_bytes(), post.edited_at);
            self.root = Some(Box::new(Root { post, posted_at: event.at, edited_at, reading }));
            return None;
        }
        // An edit is no second reply; the first version is known by the post's id.
        if post.edited_at.is_none() || self.cascade.insert_id(&post.id) {
            let account = post.account_kind();
            let reply = Engagement::new(EngagementKind::Reply, Some(author.clone()), followers);
            self.cascade.observe_engagement(&Engagement { account, ..reply }, event.at);
        }
        self.observe_reply(post, &reading);
        Some(reading)
    }

    /// Keeps the reply that is most like a complaint; one that was edited is what it says now.
    fn observe_reply(&mut self, post: &Post, reading: &Reading) {
        let Ok(prediction) = reading.prediction else { return };
        let new = ComplaintReply { post: short_hash(&post.id), complaint: prediction.complaint };
        if self.top_reply.is_none_or(|top| top.post == new.post || top.complaint < new.complaint) {
            self.top_reply = Some(new);
        }
    }

    fn find_brand(&mut self, post: &Post, cx: &Context<'_>) {
        if self.brand.is_none() && self.signaled.is_none() {
            let accounts = &cx.ruleset.policy.accounts;
            self.brand = accounts.mentioned(self.platform.as_deref(), &post.text).map(Into::into);
        }
    }

    pub(crate) fn has_root(&self, post: &str) -> bool {
        self.root.as_ref().is_some_and(|root| root.post == short_hash(post).to_le_bytes())
    }

    /// The first post once more: as it was, or as it reads after an edit.
    pub(crate) fn observe_edit(
        &mut self,
        post: &Post,
        event: &Event,
        spread_before: u64,
        cx: &mut Context<'_>,
    ) -> Outcome {
        let Some(root) = &mut self.root else { return Outcome::Folded(Fold::Duplicate) };
        if post.edited_at <= root.edited_at {
            return Outcome::Folded(Fold::Duplicate);
        }
        root.edited_at = post.edited_at;
        root.reading = cx.ruleset.read_post(cx.scratch, post);
        let excerpt = root.reading.excerpt.as_deref().map(Into::into);
        self.find_brand(post, cx);
        self.emit_update(Some(&ConversationChange::Edited { excerpt }), "", event, cx);
        self.score((event, None), spread_before, cx)
    }

    /// A post is no more: what is kept of it is dropped, here and at the desk.
    pub(crate) fn observe_delete(&mut self, delete: &Delete, event: &Event, cx: &mut Context<'_>) -> Outcome {
        self.cascade.observe_time(event.at);
        if self.has_root(&delete.post) || (self.root.is_none() && is_named_by(event, &delete.post)) {
            self.root_kind = RootKind::Deleted;
            self.root = None;
            self.emit_update(Some(&ConversationChange::Deleted { is_root: true }), "", event, cx);
            self.signaled = None;
            if self.emitted_risk.take().is_some() && cx.ruleset.emits_scores {
                cx.out.push(Effect::Score(Box::new(self.deleted_score(event))));
            }
        } else if self.top_reply.is_some_and(|reply| reply.post == short_hash(&delete.post)) {
            self.top_reply = None;
            self.emit_update(Some(&ConversationChange::Deleted { is_root: false }), "", event, cx);
        }
        Outcome::Folded(Fold::Deleted)
    }

    /// The first post is the brand's own.
    pub(crate) fn is_brand_post(&self) -> bool {
        self.root_kind == RootKind::ByBrand
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.root_kind == RootKind::Deleted
    }

    /// Whether one of the brands' accounts wrote a post: as the platform says, or by its handle or id.
    pub(crate) fn is_written_by_brand(&self, post: &Post, cx: &Context<'_>) -> bool {
        cx.ruleset.policy.accounts.is_by_brand(self.platform.as_deref(), post)
    }

    pub(crate) fn is_brand_account(&self, account: &str, cx: &Context<'_>) -> bool {
        cx.ruleset.policy.accounts.brand(self.platform.as_deref(), account).is_some()
    }

    /// A post from one of the brand's accounts: an answer, or the root of a conversation of its own.
    pub(crate) fn observe_brand_post(&mut self, post: &Post, event: &Event, cx: &mut Context<'_>) -> Outcome {
        if post.in_reply_to.is_some() {
            return self.observe_answer(post.account().unwrap_or_default(), &post.text, event, cx);
        }
        if self.root.is_none() && !self.is_deleted() {
            self.root_kind = RootKind::ByBrand;
        }
        self.cascade.observe_time(event.at);
        Outcome::Folded(Fold::BrandSpoke)
    }

    pub(crate) fn observe_answer(
        &mut self,
        account: &str,
        text: &str,
        event: &Event,
        cx: &mut Context<'_>,
    ) -> Outcome {
        self.cascade.observe_time(event.at);
        self.answered = true;
        let channels = cx.ruleset.reply_checker.channels(text);
        let change = if channels.is_empty() {
            ConversationChange::Answered
        } else {
            ConversationChange::HandOffAsked { channels }
        };
        self.emit_update(Some(&change), account, event, cx);
        Outcome::Folded(Fold::BrandSpoke)
    }

    /// What is told of a conversation whose first post was deleted: the numbers that are left, and no word.
    fn deleted_score(&self, event: &Event) -> Score {
        Score {
            v: SCHEMA_VERSION,
            id: format!("{}/{}", event.conversation, event.id),
            conversation: event.conversation.clone(),
            brand: self.brand.as_deref().map(Into::into),
            at: self.cascade.last_seen().unwrap_or(event.at),
            risk: Tenths::default(),
            risk_low: Tenths::default(),
            risk_high: Tenths::default(),
            complaint: 0.0,
            viral: 0.0,
            sentiment: None,
            arousal: None,
            flags: vec![],
            reach: self.cascade.audience().reach(),
            velocity: self.cascade.velocity(),
            forecast: vec![],
            engagements: self.cascade.counts(),
            reasons: vec!["the post was deleted, and what it said is forgotten".into()],
            contributions: vec![],
        }
    }
}

/// Whether a post is the first of its event's conversation: an id of a conversation is that of its first post, behind the
/// platform and the source where those are told.
fn is_named_by(event: &Event, post: &str) -> bool {
    event.conversation.strip_suffix(post).is_some_and(|rest| rest.is_empty() || rest.ends_with([':', '/']))
}
