//! What comes in: posts, engagement with them, counter snapshots, and the brand's own replies.
//!
//! What a platform does not tell is `None`, never zero: an unknown follower count stays unknown
//! through scoring.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::EventTime;

/// One record of the events topic. Exactly one of `post`, `engagement`, `counters`, `brand_reply` and `delete` is there.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "event")]
pub struct Event {
    /// Schema version; this build reads 1.
    pub v: u32,
    /// Unique within the conversation: a second event with the same id changes nothing.
    #[schemars(length(min = 1, max = 256))]
    pub id: String,
    /// The root post's id, and the key of the record.
    #[schemars(length(min = 1, max = 256))]
    pub conversation: String,
    /// When it happened at the platform; from the year 2000 on and at most a day after its arrival.
    pub at: EventTime,
    /// The brand it speaks of, when known; needed once per conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// The network it was seen on, such as `x`, `facebook` or `instagram`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub body: Body,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// Somebody wrote.
    Post(Post),
    /// Somebody reacted.
    Engagement(Engagement),
    /// The platform's running totals at this time.
    Counters(Counters),
    /// The brand answered in public.
    BrandReply(BrandReply),
    /// A post was taken down, by its author or by the platform.
    Delete(Delete),
}

/// A public message: the root of a conversation, or a reply in it. An edit is the post again, as it reads now, with
/// `edited_at` and an event id of its own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
pub struct Post {
    /// The platform's id of the post.
    pub id: String,
    /// Who wrote it, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<Author>,
    /// What was written; may be empty (a picture), at most 262,144 bytes.
    pub text: String,
    /// BCP 47 language tag, when the platform tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// The post it answers; absent for the root of a conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// The post that it passes on with words of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quotes: Option<String>,
    /// The conversation that it belongs with: that of the post which it quotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related: Option<String>,
    /// When its author last changed it, if ever; `at` stays the time of the post.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<EventTime>,
}

/// Who wrote a post.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
pub struct Author {
    /// The platform's id of the account.
    pub id: String,
    /// The account's public name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// Accounts that follow it, when known; at most ten thousand million.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub followers: Option<u64>,
    /// When they were counted, where that was before the post: platforms do not tell them each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub followers_at: Option<EventTime>,
    /// Whether the platform vouches for the account, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// What kind of account it is, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountKind>,
}

/// Kinds of account. The followers of a bot or of a brand are not those of somebody who complains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// A person's.
    Person,
    /// One that the platform says is run by a program.
    Bot,
    /// One of the brand's own.
    Brand,
}

/// One reaction to a post.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Engagement {
    /// What kind of reaction.
    pub kind: EngagementKind,
    /// The account that reacted, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// That account's followers, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub followers: Option<u64>,
    /// What kind of account that is, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountKind>,
}

/// Kinds of reaction. Reshares, replies and quotes carry a post on; a like only counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngagementKind {
    /// Passed on as it is: retweet, boost, share, reblog.
    Reshare,
    /// Answered.
    Reply,
    /// Passed on with words of one's own.
    Quote,
    /// Liked, favourited, upvoted.
    Like,
}

/// The platform's running totals for the conversation's root. Totals never shrink: the largest seen counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counters {
    /// Reshares so far, when told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reshares: Option<u64>,
    /// Replies so far, when told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replies: Option<u64>,
    /// Quotes so far, when told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quotes: Option<u64>,
    /// Likes so far, when told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub likes: Option<u64>,
    /// Views so far, when told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<u64>,
}

/// A public answer from one of the brand's accounts.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BrandReply {
    /// The account that answered.
    pub account: String,
    /// What it said.
    pub text: String,
}

/// A post that is no more. What it said leaves the state, the console and all later outputs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Delete {
    /// The platform's id of the post.
    pub post: String,
}

impl Post {
    /// The account that wrote it, as people know it: its handle, or its id where the platform tells no handle.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.author.as_ref().map(|author| author.handle.as_deref().unwrap_or(&author.id))
    }

    /// The author's followers, when known.
    #[must_use]
    pub fn followers(&self) -> Option<u64> {
        self.author.as_ref().and_then(|author| author.followers)
    }

    /// What kind of account wrote it, when known.
    #[must_use]
    pub fn account_kind(&self) -> Option<AccountKind> {
        self.author.as_ref().and_then(|author| author.account)
    }
}

impl Engagement {
    /// One by an account of which no kind is known.
    #[must_use]
    pub fn new(kind: EngagementKind, actor: Option<String>, followers: Option<u64>) -> Self {
        Self { kind, actor, followers, account: None }
    }
}

impl Event {
    /// The name of the body's kind, as on the wire.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.body {
            Body::Post(_) => "post",
            Body::Engagement(_) => "engagement",
            Body::Counters(_) => "counters",
            Body::BrandReply(_) => "brand_reply",
            Body::Delete(_) => "delete",
        }
    }
}
