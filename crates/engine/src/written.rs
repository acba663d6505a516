//! What is written in a conversation: posts and their edits, answers, and what is deleted.
//!
//! An edited post is what it says now. Of a deleted one nothing is kept, here or at the brand's desk, and what comes late of it
//! changes nothing.

use firewatch_domain::{
    Delete, Engagement, EngagementKind, Event, Post, SCHEMA_VERSION, Score, Tenths, What,
};
use firewatch_scoring::{Reading, short_hash};

use crate::Effect;
use crate::conversation::{Context, Conversation, First, Fold, Outcome, Reply, Root};

impl Conversation {
    /// Observes a post; a reply that was read is handed back, as it may be a complaint of its own.
    pub(crate) fn post(&mut self, post: &Post, event: &Event, cx: &mut Context<'_>) -> Option<Reading> {
        self.find_brand(post, cx);
        let reading = cx.brain.read(cx.scratch, post);
        // Each author that is not known is one of its own.
        let (author, followers) =
            (post.author.as_ref().map_or(&post.id, |author| &author.id), post.followers());
        if post.in_reply_to.is_none() && self.root.is_none() && !self.is_own() {
            self.cascade.begin(event.at);
            self.cascade.author(author, followers, event.at);
            let (post, edited_at) = (short_hash(&post.id).to_le_bytes(), post.edited_at);
            self.root = Some(Box::new(Root { post, posted_at: event.at, edited_at, reading }));
            return None;
        }
        // An edit is no second reply; the first version is known by the post's id.
        if post.edited_at.is_none() || self.cascade.is_new(&post.id) {
            let account = post.account_kind();
            let reply = Engagement::new(EngagementKind::Reply, Some(author.clone()), followers);
            self.cascade.engage(&Engagement { account, ..reply }, event.at);
        }
        self.take_reply(post, &reading);
        Some(reading)
    }

    /// Keeps the reply that is most like a complaint; one that was edited is what it says now.
    fn take_reply(&mut self, post: &Post, reading: &Reading) {
        let Ok(said) = reading.said else { return };
        let new = Reply { post: short_hash(&post.id), complaint: said.complaint };
        if self.reply.is_none_or(|most| most.post == new.post || most.complaint < new.complaint) {
            self.reply = Some(new);
        }
    }

    fn find_brand(&mut self, post: &Post, cx: &Context<'_>) {
        if self.brand.is_none() && self.known.is_none() {
            let accounts = &cx.brain.policy.accounts;
            self.brand = accounts.mentioned(self.platform.as_deref(), &post.text).map(Into::into);
        }
    }

    pub(crate) fn has_root(&self, post: &str) -> bool {
        self.root.as_ref().is_some_and(|root| root.post == short_hash(post).to_le_bytes())
    }

    /// The first post once more: as it was, or as it reads after an edit.
    pub(crate) fn wrote_again(
        &mut self,
        post: &Post,
        event: &Event,
        before: u64,
        cx: &mut Context<'_>,
    ) -> Outcome {
        let Some(root) = &mut self.root else { return Outcome::Folded(Fold::Duplicate) };
        if post.edited_at <= root.edited_at {
            return Outcome::Folded(Fold::Duplicate);
        }
        root.edited_at = post.edited_at;
        root.reading = cx.brain.read(cx.scratch, post);
        let excerpt = root.reading.excerpt.as_deref().map(Into::into);
        self.find_brand(post, cx);
        self.tell_desk(Some(&What::Edited { excerpt }), "", event, cx);
        self.score((event, None), before, cx)
    }

    /// A post is no more: what is kept of it is dropped, here and at the desk.
    pub(crate) fn delete(&mut self, delete: &Delete, event: &Event, cx: &mut Context<'_>) -> Outcome {
        self.cascade.begin(event.at);
        if self.has_root(&delete.post) || (self.root.is_none() && is_named_by(event, &delete.post)) {
            self.first = First::Gone;
            self.root = None;
            self.tell_desk(Some(&What::Deleted { all: true }), "", event, cx);
            self.known = None;
            if self.told.take().is_some() && cx.brain.tells_scores {
                cx.out.push(Effect::Score(Box::new(self.last_score(event))));
            }
        } else if self.reply.is_some_and(|reply| reply.post == short_hash(&delete.post)) {
            self.reply = None;
            self.tell_desk(Some(&What::Deleted { all: false }), "", event, cx);
        }
        Outcome::Folded(Fold::Deleted)
    }

    /// The first post is the brand's own.
    pub(crate) fn is_own(&self) -> bool {
        self.first == First::Own
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.first == First::Gone
    }

    /// Whether one of the brands' accounts wrote a post: as the platform says, or by its handle or id.
    pub(crate) fn is_by_brand(&self, post: &Post, cx: &Context<'_>) -> bool {
        cx.brain.policy.accounts.wrote(self.platform.as_deref(), post)
    }

    pub(crate) fn is_of_brand(&self, account: &str, cx: &Context<'_>) -> bool {
        cx.brain.policy.accounts.brand(self.platform.as_deref(), account).is_some()
    }

    /// A post from one of the brand's accounts: an answer, or the root of a conversation of its own.
    pub(crate) fn brand_wrote(&mut self, post: &Post, event: &Event, cx: &mut Context<'_>) -> Outcome {
        if post.in_reply_to.is_some() {
            return self.answer(post.account().unwrap_or_default(), &post.text, event, cx);
        }
        if self.root.is_none() && !self.is_gone() {
            self.first = First::Own;
        }
        self.cascade.begin(event.at);
        Outcome::Folded(Fold::BrandSpoke)
    }

    pub(crate) fn answer(
        &mut self,
        account: &str,
        text: &str,
        event: &Event,
        cx: &mut Context<'_>,
    ) -> Outcome {
        self.cascade.begin(event.at);
        self.answered = true;
        let channels = cx.brain.replies.channels(text);
        let what = if channels.is_empty() { What::Answered } else { What::HandOffAsked { channels } };
        self.tell_desk(Some(&what), account, event, cx);
        Outcome::Folded(Fold::BrandSpoke)
    }

    /// What is told of a conversation whose first post was deleted: the numbers that are left, and no word.
    fn last_score(&self, event: &Event) -> Score {
        Score {
            v: SCHEMA_VERSION,
            id: format!("{}/{}", event.conversation, event.id),
            conversation: event.conversation.clone(),
            brand: self.brand.as_deref().map(Into::into),
            at: self.cascade.last().unwrap_or(event.at),
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
