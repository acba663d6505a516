//! One conversation's state, and the queries on it that need no policy.
//!
//! The steps that process a record have files of their own, in this order: `observe`, `assess`, `decide`.

use firewatch_domain::{EventTime, Post, RejectionCode, Tenths};
use firewatch_scoring::{Cascade, Reading, SeenIds, short_hash};
use serde::{Deserialize, Serialize};

use crate::signaled::SignaledState;

/// The result of processing a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The engine emitted a new score.
    Scored,
    /// The record was accepted; no score was due.
    Folded(Fold),
    /// The conversation lives in another partition, and the record is on its way to it.
    Forwarded,
    /// The record became a dead letter.
    Rejected(RejectionCode),
}

/// Why an accepted record led to no new score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// The conversation has seen the record's id before.
    Duplicate,
    /// The risk moved by less than the policy's `score_step`.
    Unchanged,
    /// The brand posted or answered.
    BrandSpoke,
    /// The record deletes a post, or belongs to a deleted one.
    Deleted,
    /// The record is an action on an escalation.
    Action,
    /// The record is an action on a conversation that is not followed, which changes only an escalation that outlives
    /// one, or an answer or a deletion that no dispatcher receives.
    UnknownConversation,
    /// The record is a signal or a watermark.
    Signal,
}

/// The public view of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConversationView<'a> {
    /// The brand; `None` until it is known.
    pub brand: Option<&'a str>,
    /// The number of reshares and quotes.
    pub reshares: u64,
    /// The estimated number of accounts that could have seen it.
    pub reach: u64,
    /// Whether the brand has answered.
    pub answered: bool,
    /// Whether the root is the brand's own post.
    pub by_brand: bool,
}

/// A conversation's state. Its size is bounded: the words kept as evidence, and what is kept of the ids of its
/// events, grow up to a limit.
///
/// postcard stores fields by position, so the order of the fields is part of the state version.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Conversation {
    pub brand: Option<Box<str>>,
    pub platform: Option<Box<str>>,
    pub root: Option<Box<Root>>,
    pub cascade: Cascade,
    pub root_kind: RootKind,
    /// Whether the brand has answered.
    pub answered: bool,
    /// What the brand's dispatchers know of the conversation; `None` before the first signal.
    pub signaled: Option<Box<SignaledState>>,
    pub silenced_until: Option<EventTime>,
    /// What is kept of its replies; `None` when that is nothing.
    pub replies: Option<Box<Replies>>,
    /// The risk of the last score that was emitted.
    pub emitted_risk: Option<Tenths>,
    /// Addresses of the root and its author; `None` when neither is known.
    pub links: Option<Box<Links>>,
    /// Ids of events before the latest ones; `None` in a short conversation.
    seen: Option<Box<SeenIds>>,
}

/// What a conversation keeps of its replies besides their number.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Replies {
    /// The reply that is most likely a complaint.
    pub top: Option<ComplaintReply>,
    /// Edited replies, as hashes of their ids, each with the time of the version that was read.
    pub edited: Vec<(u32, EventTime)>,
}

/// Addresses of a post and its author for people.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Links {
    pub post: Option<Box<str>>,
    pub author: Option<Box<str>>,
}

/// A conversation's state as version 11 of the changelog wrote it.
#[derive(Deserialize)]
pub(crate) struct ConversationV11 {
    brand: Option<Box<str>>,
    platform: Option<Box<str>>,
    root: Option<Box<Root>>,
    cascade: Cascade,
    root_kind: RootKind,
    answered: bool,
    signaled: Option<Box<SignaledState>>,
    silenced_until: Option<EventTime>,
    replies: Option<Box<Replies>>,
    emitted_risk: Option<Tenths>,
}

impl From<ConversationV11> for Conversation {
    fn from(old: ConversationV11) -> Self {
        let ConversationV11 { brand, platform, root, cascade, root_kind, answered, .. } = old;
        let ConversationV11 { signaled, silenced_until, replies, emitted_risk, .. } = old;
        Self {
            brand,
            platform,
            root,
            cascade,
            root_kind,
            answered,
            signaled,
            silenced_until,
            replies,
            emitted_risk,
            links: None,
            seen: None,
        }
    }
}

/// What is special about the root post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum RootKind {
    /// An ordinary root, or none seen yet.
    #[default]
    Ordinary,
    /// The brand wrote it.
    ByBrand,
    /// The root was deleted before a time that is not known.
    Deleted,
    /// The root was deleted at a time: its content is erased from the state, and the conversation emits nothing more
    /// unless it is public again later.
    DeletedAt(EventTime),
    /// An ordinary root that is public again since a time; earlier deletions have no effect.
    RestoredAt(EventTime),
}

/// The root post.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Root {
    /// A 32-bit hash of the post's id, as bytes, because postcard takes five bytes for most `u32` values.
    pub post: [u8; 4],
    pub posted_at: EventTime,
    /// The edit time of the version that was read; `None` for the original.
    pub edited_at: Option<EventTime>,
    pub reading: Reading,
}

/// A reply that may be a complaint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct ComplaintReply {
    /// A 32-bit hash of the reply's id.
    pub post: u32,
    /// P(complaint), 0..1.
    pub complaint: f32,
}

impl Conversation {
    /// Returns the time of the latest event.
    pub fn last_seen(&self) -> Option<EventTime> {
        self.cascade.last_seen()
    }

    /// Returns false for an event or action whose id the conversation has seen; remembers a new one.
    pub fn deduplicate(&mut self, id: &str) -> bool {
        if self.has_seen(id) {
            return false;
        }
        if let Some(displaced) = self.cascade.next_displaced_id() {
            self.seen.get_or_insert_default().insert(displaced);
        }
        self.cascade.insert_id(id)
    }

    /// Returns whether the conversation has seen an id.
    pub fn has_seen(&self, id: &str) -> bool {
        self.cascade.has_id(id) || self.seen.as_ref().is_some_and(|seen| seen.contains(stored_hash(id)))
    }

    /// Returns the public view.
    pub fn view(&self) -> ConversationView<'_> {
        ConversationView {
            brand: self.brand.as_deref(),
            reshares: self.cascade.spread(),
            reach: self.cascade.audience().reach().estimate,
            answered: self.answered,
            by_brand: self.is_brand_post(),
        }
    }

    /// Returns the address of the root post, when known.
    pub fn post_url(&self) -> Option<String> {
        self.links.as_ref().and_then(|links| links.post.as_deref()).map(Into::into)
    }

    /// Returns the address of the author of the root post, when known.
    pub fn author_url(&self) -> Option<String> {
        self.links.as_ref().and_then(|links| links.author.as_deref()).map(Into::into)
    }

    /// Keeps the addresses of the root post and its author.
    pub fn keep_links(&mut self, post: &Post) {
        let author = post.author.as_ref().and_then(|author| author.url.as_deref());
        if post.url.is_some() || author.is_some() {
            let links = Links { post: post.url.as_deref().map(Into::into), author: author.map(Into::into) };
            self.links = Some(Box::new(links));
        }
    }

    /// Whether the brand wrote the root post.
    pub fn is_brand_post(&self) -> bool {
        self.root_kind == RootKind::ByBrand
    }

    /// Whether the root post was deleted.
    pub fn is_deleted(&self) -> bool {
        matches!(self.root_kind, RootKind::Deleted | RootKind::DeletedAt(_))
    }

    /// Whether nothing of it was read: it is new, or began again after its end.
    pub fn is_unread(&self) -> bool {
        self.root.is_none() && self.signaled.is_none() && self.root_kind == RootKind::Ordinary
    }

    /// Whether the post with this id is the root that was read.
    pub fn has_root(&self, post: &str) -> bool {
        self.root.as_ref().is_some_and(|root| root.post == short_hash(post).to_le_bytes())
    }

    /// Returns the reply that is most likely a complaint.
    pub fn top_reply(&self) -> Option<ComplaintReply> {
        self.replies.as_ref().and_then(|replies| replies.top)
    }

    /// Returns what is kept of the replies, for changes.
    pub fn replies_mut(&mut self) -> &mut Replies {
        self.replies.get_or_insert_default()
    }

    /// Returns P(complaint) of the reply that is most likely a complaint; 0 if there is none.
    pub fn reply_complaint(&self) -> f32 {
        self.top_reply().map_or(0.0, |reply| reply.complaint)
    }
}

/// Returns the hash of an id as the list of the latest ones stores it.
fn stored_hash(id: &str) -> u32 {
    short_hash(id).max(1)
}
