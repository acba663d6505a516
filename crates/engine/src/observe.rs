//! Step `observe`: updates a conversation's state with an event. Emits nothing.
//!
//! An edit replaces the post's earlier version. A deletion erases the post's content from the state, and
//! later copies of a deleted root change nothing, unless they say that it is public again since a later time.

use firewatch_domain::{
    AccountKind, Body, ConversationChange, Delete, Engagement, EngagementKind, Event, Post,
};
use firewatch_scoring::{Reading, Scratch, short_hash};

use crate::Ruleset;
use crate::conversation::{ComplaintReply, Conversation, Fold, Root, RootKind};

/// Maximum number of edited replies whose version is remembered.
const MAX_EDITED_REPLIES: usize = 8;

/// What an event changed.
pub(crate) enum Observed {
    /// Nothing that a score or a dispatcher depends on.
    Nothing(Fold),
    /// The brand answered.
    Answered {
        /// The account that answered.
        by: String,
        /// `Answered`, or `HandOffAsked` with the private channels it named.
        change: ConversationChange,
        /// Whether it is the first answer, on which conditions may depend.
        is_first: bool,
    },
    /// A post with content in the state was deleted.
    Deleted {
        /// Whether it was the root.
        is_root: bool,
    },
    /// The root was deleted before it was read, or after the end of the conversation.
    DeletedUnread,
    /// Something that the risk depends on changed.
    Changed(Changed),
}

/// A change that the risk depends on.
pub(crate) struct Changed {
    /// The number of reshares and quotes before the event.
    pub spread_before: u64,
    /// The reading of the event's post, if that is a reply.
    pub reply: Option<Reading>,
    /// The change that the dispatchers receive before any score.
    pub update: Option<ConversationChange>,
    /// The dispatchers receive the present state even if no route has changed, because text was erased.
    pub resends: bool,
}

impl Changed {
    pub fn new(spread_before: u64) -> Self {
        Self { spread_before, reply: None, update: None, resends: false }
    }
}

/// Updates a conversation with an event; constant time and memory, whatever the cascade's size.
pub(crate) fn observe(
    conversation: &mut Conversation,
    event: &Event,
    ruleset: &Ruleset,
    scratch: &mut Scratch,
) -> Observed {
    let is_new = conversation.deduplicate(&event.id);
    if !is_new && !matches!(event.body, Body::Delete(_)) {
        return Observed::Nothing(Fold::Duplicate);
    }
    if conversation.brand.is_none() && conversation.signaled.is_none() {
        let accounts = &ruleset.policy.accounts;
        let brand = event.brand.as_deref().map(|brand| accounts.spelled(brand).unwrap_or(brand));
        conversation.brand = brand.map(Into::into);
    }
    if conversation.platform.is_none() {
        conversation.platform = event.platform.as_deref().map(Into::into);
    }
    let spread_before = conversation.cascade.spread();
    let mut observer = Observer { conversation, event, ruleset, scratch };
    match &event.body {
        Body::Delete(delete) => observer.delete(delete, is_new),
        Body::Post(post) => observer.post(post, spread_before),
        Body::BrandReply(reply) => observer.answer(&reply.account, &reply.text),
        Body::Engagement(engagement) => {
            observer.engagement(engagement);
            Observed::Changed(Changed::new(spread_before))
        }
        Body::Counters(totals) => {
            observer.conversation.cascade.observe_snapshot(totals, event.at);
            Observed::Changed(Changed::new(spread_before))
        }
    }
}

/// The arguments of [`observe`], shared by its methods.
struct Observer<'a> {
    conversation: &'a mut Conversation,
    event: &'a Event,
    ruleset: &'a Ruleset,
    scratch: &'a mut Scratch,
}

impl Observer<'_> {
    fn post(&mut self, post: &Post, spread_before: u64) -> Observed {
        let is_root = post.in_reply_to.is_none();
        if is_root && post.restored {
            self.restore_root();
        }
        if is_root && self.conversation.is_deleted() {
            return Observed::Nothing(Fold::Deleted);
        }
        let is_known = post.restored || self.conversation.has_root(&post.id);
        if !is_known && self.conversation.has_seen(&tombstone(&post.id)) {
            return self.deleted_before(is_root);
        }
        if self.ruleset.policy.accounts.is_by_brand(self.conversation.platform.as_deref(), post) {
            return self.brand_post(post);
        }
        if is_root && self.conversation.has_root(&post.id) {
            return self.edit(post, spread_before);
        }
        let version = if is_root { ReplyVersion::First } else { self.reply_version(post) };
        if version == ReplyVersion::Older {
            return Observed::Nothing(Fold::Duplicate);
        }
        let reply = self.root_or_reply(post, version);
        // The offer may have been before the end of the conversation.
        let accepts = reply.is_some()
            && (self.conversation.answered || self.conversation.is_unread())
            && self.ruleset.reply_checker.accepts_hand_off(&post.text);
        let update = accepts.then_some(ConversationChange::HandOffAccepted);
        Observed::Changed(Changed { reply, update, ..Changed::new(spread_before) })
    }

    /// Takes back the deletion of a root that is public again since the time of the event.
    fn restore_root(&mut self) {
        let (conversation, at) = (&mut *self.conversation, self.event.at);
        let is_later = match conversation.root_kind {
            RootKind::Ordinary | RootKind::Deleted => true,
            RootKind::DeletedAt(before) | RootKind::RestoredAt(before) => before <= at,
            RootKind::ByBrand => false,
        };
        if is_later {
            conversation.root_kind = RootKind::RestoredAt(at);
        }
    }

    /// Drops a post whose deletion came first.
    fn deleted_before(&mut self, is_root: bool) -> Observed {
        self.conversation.cascade.observe_time(self.event.at);
        if is_root && self.conversation.root.is_none() {
            self.conversation.root_kind = RootKind::DeletedAt(self.event.at);
            return Observed::Deleted { is_root: true };
        }
        Observed::Nothing(Fold::Deleted)
    }

    /// Compares a reply with what was seen of it. Remembers the version of an edited one.
    fn reply_version(&mut self, post: &Post) -> ReplyVersion {
        let conversation = &mut *self.conversation;
        let hash = short_hash(&post.id);
        let edited = conversation.replies.as_ref().map_or(&[][..], |replies| &replies.edited);
        let known = edited.iter().position(|(reply, _)| *reply == hash);
        if !post.restored && known.is_some_and(|i| post.edited_at.is_none_or(|at| at <= edited[i].1)) {
            return ReplyVersion::Older;
        }
        if let Some(edited_at) = post.edited_at {
            let edited = &mut conversation.replies_mut().edited;
            if let Some(i) = known {
                edited.remove(i);
            } else if edited.len() == MAX_EDITED_REPLIES {
                edited.remove(0);
            }
            edited.push((hash, edited_at));
        }
        // The event of the first version usually has the post's own id, which is remembered already.
        let is_own_event = self.event.id == post.id && post.edited_at.is_none();
        let is_first = is_own_event || conversation.deduplicate(&post.id);
        if is_first && known.is_none() { ReplyVersion::First } else { ReplyVersion::Newer }
    }

    /// Reads a post. Stores it as the root, or returns the reading of a reply, which may be a complaint
    /// itself.
    fn root_or_reply(&mut self, post: &Post, version: ReplyVersion) -> Option<Reading> {
        self.find_brand(post);
        let at = self.event.at;
        let reading = self.ruleset.read_post(self.scratch, post);
        let conversation = &mut *self.conversation;
        // A post without an author id counts as an author of its own.
        let author = post.author.as_ref().map_or(&post.id, |author| &author.id);
        if post.in_reply_to.is_none() && conversation.root.is_none() && !conversation.is_brand_post() {
            conversation.cascade.observe_time(at);
            conversation.cascade.observe_author(author, post.followers(), at);
            let id = short_hash(&post.id).to_le_bytes();
            let root = Root { post: id, posted_at: at, edited_at: post.edited_at, reading };
            conversation.root = Some(Box::new(root));
            conversation.keep_links(post);
            return None;
        }
        if version == ReplyVersion::First {
            let reply = Engagement::new(EngagementKind::Reply, Some(author.clone()), post.followers());
            let reply = Engagement { account: post.account_kind(), ..reply };
            conversation.cascade.observe_engagement(&reply, at);
        }
        self.keep_top_reply(post, &reading);
        Some(reading)
    }

    /// Keeps the reply that is most likely a complaint; an edited reply counts as its latest version.
    fn keep_top_reply(&mut self, post: &Post, reading: &Reading) {
        let Ok(prediction) = reading.prediction else { return };
        let new = ComplaintReply { post: short_hash(&post.id), complaint: prediction.complaint };
        let top = &mut self.conversation.replies_mut().top;
        if top.is_none_or(|top| top.post == new.post || top.complaint < new.complaint) {
            *top = Some(new);
        }
    }

    /// Handles a repeated root: a duplicate, or a later version, which replaces the reading.
    fn edit(&mut self, post: &Post, spread_before: u64) -> Observed {
        let Some(root) = &mut self.conversation.root else { return Observed::Nothing(Fold::Duplicate) };
        if post.edited_at <= root.edited_at {
            return Observed::Nothing(Fold::Duplicate);
        }
        root.edited_at = post.edited_at;
        root.reading = self.ruleset.read_post(self.scratch, post);
        let excerpt = root.reading.excerpt.as_deref().map(Into::into);
        self.find_brand(post);
        let update = Some(ConversationChange::Edited { excerpt });
        Observed::Changed(Changed { update, ..Changed::new(spread_before) })
    }

    /// Handles a post by the brand: an answer, or a root.
    fn brand_post(&mut self, post: &Post) -> Observed {
        if post.in_reply_to.is_some() {
            return self.answer(post.account().unwrap_or_default(), &post.text);
        }
        if self.conversation.root.is_none() && !self.conversation.is_deleted() {
            self.conversation.root_kind = RootKind::ByBrand;
        }
        self.conversation.cascade.observe_time(self.event.at);
        Observed::Nothing(Fold::BrandSpoke)
    }

    fn answer(&mut self, account: &str, text: &str) -> Observed {
        self.conversation.cascade.observe_time(self.event.at);
        let is_first = !std::mem::replace(&mut self.conversation.answered, true);
        let channels = self.ruleset.reply_checker.channels(text);
        let change = if channels.is_empty() {
            ConversationChange::Answered
        } else {
            ConversationChange::HandOffAsked { channels }
        };
        Observed::Answered { by: account.into(), change, is_first }
    }

    /// Counts an engagement. One by a brand account adds no reach.
    fn engagement(&mut self, engagement: &Engagement) {
        let conversation = &mut *self.conversation;
        let accounts = &self.ruleset.policy.accounts;
        let platform = conversation.platform.as_deref();
        let is_brand =
            engagement.actor.as_deref().is_some_and(|actor| accounts.brand(platform, actor).is_some());
        let account = if is_brand { Some(AccountKind::Brand) } else { engagement.account };
        let engagement = Engagement { account, ..engagement.clone() };
        conversation.cascade.observe_engagement(&engagement, self.event.at);
    }

    /// Erases a post. A post that was public again in between can be deleted twice, and both events may have the same
    /// id: then it is not new.
    fn delete(&mut self, delete: &Delete, is_new: bool) -> Observed {
        let conversation = &mut *self.conversation;
        if !is_new && conversation.is_deleted() {
            return Observed::Nothing(Fold::Duplicate);
        }
        conversation.cascade.observe_time(self.event.at);
        let is_unread = conversation.is_unread();
        let is_unread_root = conversation.root.is_none() && is_named_by(self.event, &delete.post);
        if conversation.has_root(&delete.post) || is_unread_root {
            if matches!(conversation.root_kind, RootKind::RestoredAt(since) if self.event.at < since) {
                return Observed::Nothing(Fold::Deleted);
            }
            conversation.root_kind = RootKind::DeletedAt(self.event.at);
            conversation.root = None;
            conversation.links = None;
            return if is_unread { Observed::DeletedUnread } else { Observed::Deleted { is_root: true } };
        }
        // The post may still come, or come again.
        conversation.deduplicate(&tombstone(&delete.post));
        if conversation.top_reply().is_some_and(|reply| reply.post == short_hash(&delete.post)) {
            conversation.replies_mut().top = None;
            return Observed::Deleted { is_root: false };
        }
        Observed::Nothing(if is_new { Fold::Deleted } else { Fold::Duplicate })
    }

    /// Sets the brand to the one that the text mentions, unless it is known or a signal was already sent.
    fn find_brand(&mut self, post: &Post) {
        let conversation = &mut *self.conversation;
        if conversation.brand.is_none() && conversation.signaled.is_none() {
            let accounts = &self.ruleset.policy.accounts;
            conversation.brand =
                accounts.mentioned(conversation.platform.as_deref(), &post.text).map(Into::into);
        }
    }
}

/// How a reply compares with what was seen of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReplyVersion {
    /// Nothing of it was seen.
    First,
    /// A newer version of a reply that was counted.
    Newer,
    /// No newer than what was seen.
    Older,
}

/// Returns the id under which a deletion is remembered until its post comes.
fn tombstone(post: &str) -> String {
    ["deleted/", post].concat()
}

/// Whether a post is the root of its event's conversation. A conversation's id is its root's id, after the
/// platform and the source where there are any.
fn is_named_by(event: &Event, post: &str) -> bool {
    event.conversation.strip_suffix(post).is_some_and(|rest| rest.is_empty() || rest.ends_with([':', '/']))
}
