//! Input events: posts, engagement with them, counter snapshots, answers by the brand, and deletions.
//!
//! A value that the platform does not provide is `None`, never zero: an unknown follower count stays unknown
//! through scoring.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::EventTime;

/// One record of the events topic. It has exactly one of `post`, `engagement`, `counters`, `brand_reply` and
/// `delete`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "event")]
pub struct Event {
    /// Schema version; this build reads 1.
    pub v: u32,
    /// Id, unique within the conversation. A second event with the same id changes nothing.
    #[schemars(length(min = 1, max = 256))]
    pub id: String,
    /// Id of the root post. It is the key of the record.
    #[schemars(length(min = 1, max = 256))]
    pub conversation: String,
    /// When it happened on the platform: not before the year 2000, and at most one day after arrival.
    pub at: EventTime,
    /// The brand it is about, when known. Needed once for each conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// The network it comes from, such as `x`, `facebook` or `instagram`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub body: Body,
}

/// Content of an event.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// Somebody wrote a post.
    Post(Box<Post>),
    /// Somebody reacted to a post.
    Engagement(Engagement),
    /// Running totals of the platform at this time.
    Counters(Counters),
    /// The brand answered in public.
    BrandReply(BrandReply),
    /// A post was deleted by its author or by the platform.
    Delete(Delete),
}

/// A public message: the root of a conversation, or a reply in it. An edit is sent as the post again, with
/// its new text, `edited_at` and an event id of its own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
pub struct Post {
    /// The post's id on the platform.
    pub id: String,
    /// Who wrote it, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<Author>,
    /// The text, at most 262,144 bytes. It may be empty, as for a picture.
    pub text: String,
    /// BCP 47 language tag, when the platform provides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// The post it answers. Absent for the root of a conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// The post it quotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quotes: Option<String>,
    /// The conversation of the quoted post.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related: Option<String>,
    /// Address of the post for people: `http` or `https`, at most 2,048 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Stars of a review, 1 to 5. Other scales are converted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5))]
    pub stars: Option<u8>,
    /// When the author last edited it. `at` remains the time of the post.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<EventTime>,
    /// Whether it is public again after it was deleted, hidden or held. `at` is since when, and takes back a deletion
    /// before that. The event has an id of its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub restored: bool,
}

/// Author of a post.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
pub struct Author {
    /// The account's id on the platform.
    pub id: String,
    /// The account's public name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// Address of the account for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Number of followers, when known; at most 10 billion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub followers: Option<u64>,
    /// When the followers were counted, if earlier than the post. Platforms do not report them with every
    /// post.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub followers_at: Option<EventTime>,
    /// Whether the platform has verified the account, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// Kind of account, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountKind>,
}

/// Kinds of account. Followers of bots and of the brand's own accounts count differently from those of
/// people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// A person's account.
    Person,
    /// An account that the platform marks as automated.
    Bot,
    /// One of the brand's own accounts.
    Brand,
}

/// One reaction to a post.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Engagement {
    /// Kind of reaction.
    pub kind: EngagementKind,
    /// The account that reacted, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Number of followers of that account, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub followers: Option<u64>,
    /// Kind of that account, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountKind>,
}

/// Kinds of reaction. Reshares, replies and quotes spread a post; a like is only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngagementKind {
    /// Passed on unchanged: retweet, boost, share, reblog.
    Reshare,
    /// Answered in public.
    Reply,
    /// Passed on with a comment.
    Quote,
    /// Liked, favourited, upvoted.
    Like,
}

/// Running totals of the platform for the root post. Totals never shrink: the largest value seen counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counters {
    /// Reshares so far, when provided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reshares: Option<u64>,
    /// Replies so far, when provided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replies: Option<u64>,
    /// Quotes so far, when provided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quotes: Option<u64>,
    /// Likes so far, when provided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub likes: Option<u64>,
    /// Views so far, when provided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<u64>,
}

/// A public answer from one of the brand's accounts.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BrandReply {
    /// The account that answered.
    pub account: String,
    /// Text of the answer.
    pub text: String,
}

/// Deletion of a post. Its text is erased from the state, the console and all later output.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Delete {
    /// Id of the deleted post on the platform.
    pub post: String,
}

impl Post {
    /// Returns the author's handle, or the account id where the platform provides no handle.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.author.as_ref().map(|author| author.handle.as_deref().unwrap_or(&author.id))
    }

    /// Returns the author's number of followers, when known.
    #[must_use]
    pub fn followers(&self) -> Option<u64> {
        self.author.as_ref().and_then(|author| author.followers)
    }

    /// Returns the kind of the author's account, when known.
    #[must_use]
    pub fn account_kind(&self) -> Option<AccountKind> {
        self.author.as_ref().and_then(|author| author.account)
    }
}

impl Engagement {
    /// Creates an engagement by an account of unknown kind.
    #[must_use]
    pub fn new(kind: EngagementKind, actor: Option<String>, followers: Option<u64>) -> Self {
        Self { kind, actor, followers, account: None }
    }
}

impl Event {
    /// Returns the name of the body's kind as spelled on the wire.
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
