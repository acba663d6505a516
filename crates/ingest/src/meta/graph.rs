//! Posts, comments and recommendations of a Facebook Page as its Graph API gives them.
//!
//! A post is known by the page's id, an underscore and its own; a comment by the post's part, an underscore and
//! its own. Private messages have ids of other forms and a recipient.

use firewatch_domain::{Author, Counters, EventTime, Post};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{From, note_short_id};
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Count, Id, Items, known_count, non_empty_id};
use crate::platform_time::{self, PlatformTime};
use crate::reviews::{recommendation_stars, stars};
use crate::{Result, json};

/// A page of nodes.
#[derive(Debug, Deserialize)]
struct Page {
    data: Option<Items<Node>>,
}

/// A post, comment or recommendation.
#[derive(Debug, Deserialize)]
pub(super) struct Node {
    id: Option<Id>,
    message: Option<String>,
    created_time: Option<PlatformTime>,
    permalink_url: Option<String>,
    from: Option<Named>,
    /// The comment that this one answers.
    parent: Option<Box<Node>>,
    /// The post that is commented on.
    object: Option<Box<Node>>,
    /// Whom a post names or is for; a group when it is posted there.
    to: Option<Box<Recipients>>,
    is_hidden: Option<bool>,
    is_private: Option<bool>,
    is_published: Option<bool>,
    scheduled_publish_time: Option<IgnoredAny>,
    privacy: Option<Privacy>,
    comments: Option<Box<Page>>,
    comment_count: Option<Count>,
    like_count: Option<Count>,
    shares: Option<Shares>,
    /// Fields of private messages and their conversations.
    participants: Option<IgnoredAny>,
    senders: Option<IgnoredAny>,
    snippet: Option<IgnoredAny>,
    conversations: Option<IgnoredAny>,
    messages: Option<IgnoredAny>,
    /// Fields of a recommendation.
    reviewer: Option<Named>,
    review_text: Option<String>,
    recommendation_type: Option<String>,
    rating: Option<Count>,
    open_graph_story: Option<Box<Node>>,
    /// Fields of accounts.
    access_token: Option<IgnoredAny>,
    category: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Named {
    id: Option<Id>,
    name: Option<String>,
    username: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Recipients {
    #[serde(default)]
    data: Items<Recipient>,
}

#[derive(Debug, Deserialize)]
struct Recipient {
    profile_type: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Privacy {
    value: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Shares {
    count: Option<Count>,
}

/// Decodes a page of nodes, or one.
pub(super) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    match json::one::<Page>(bytes)?.data {
        Some(nodes) => {
            out.each("data", nodes, |out, node| node.read(None, None, out));
            Ok(())
        }
        None => json::one::<Node>(bytes)?.read(None, None, out),
    }
}

impl Node {
    /// Emits a post with its comments, or a comment. `post` is the post that a comment is known to be on, and `above`
    /// the comment that it is below.
    fn read(&self, post: Option<&str>, above: Option<&str>, out: &mut DecodeOutput<'_>) -> Result<()> {
        if self.recommendation_type.is_some() || self.review_text.is_some() || self.reviewer.is_some() {
            return self.recommendation(out);
        }
        let id = self.public_id()?;
        let at = platform_time::required("created_time", self.created_time.clone())?;
        // The parts of an id are the page and the post, or the post and the comment.
        let page = post.and_then(|post| post.split('_').next());
        let is_comment = post.is_some() || self.is_comment(&id);
        let root = if is_comment { post.map_or_else(|| post_of(&id), Into::into) } else { id.clone() };
        let own_page = page.or_else(|| if is_comment { None } else { id.split('_').next() });
        let parent = self.parent.as_ref().and_then(|parent| non_empty_id(parent.id.clone()));
        let parent = parent.or_else(|| above.map(Into::into));
        let author = self.from.as_ref().and_then(|from| {
            let from =
                From { id: from.id.clone(), username: from.username.clone().or_else(|| from.name.clone()) };
            from.author(own_page)
        });
        let above = is_comment.then(|| id.clone());
        let post = Post {
            author,
            text: self.message.clone().unwrap_or_default(),
            in_reply_to: is_comment.then(|| parent.unwrap_or_else(|| root.clone())),
            url: self.permalink_url.clone().or_else(|| Some(format!("https://www.facebook.com/{id}"))),
            id,
            ..Post::default()
        };
        out.post(Occurrence { root: &root, at }, post)?;
        if !is_comment {
            note_short_id(&root, at, out);
            self.counters(&root, at, out)?;
        }
        let comments = self.comments.iter().filter_map(|page| page.data.as_ref()).flatten();
        out.each("comments/data", comments, |out, comment| comment.read(Some(&root), above.as_deref(), out));
        Ok(())
    }

    fn counters(&self, root: &str, at: EventTime, out: &mut DecodeOutput<'_>) -> Result<()> {
        let counters = Counters {
            reshares: known_count(self.shares.as_ref().and_then(|shares| shares.count)),
            replies: known_count(self.comment_count),
            likes: known_count(self.like_count),
            ..Counters::default()
        };
        out.counters(Occurrence { root, at: out.arrival.max(at) }, counters)
    }

    /// Emits a recommendation, whose story is the post.
    fn recommendation(&self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let at = platform_time::required("created_time", self.created_time.clone())?;
        let story = self.open_graph_story.as_ref().and_then(|story| non_empty_id(story.id.clone()));
        let by = self.reviewer.as_ref();
        let reviewer_id = by.and_then(|by| non_empty_id(by.id.clone()));
        // Without the story, a person has one recommendation of a page.
        let of_person = reviewer_id.as_ref().map(|id| format!("recommendation/{id}/{}", at.as_millis()));
        let id = story.or(of_person).ok_or_else(|| missing("open_graph_story/id"))?;
        let of_type = recommendation_stars(self.recommendation_type.as_deref());
        let author = reviewer_id.map(|id| Author {
            id,
            handle: by.and_then(|by| by.name.clone()),
            ..Author::default()
        });
        let text = self.review_text.clone().unwrap_or_default();
        let stars = stars("rating", self.rating)?.or(of_type);
        let post = Post { id: id.clone(), author, text, stars, ..Post::default() };
        out.post(Occurrence { root: &id, at }, post)
    }

    /// Returns the id of a post or comment that everybody may read.
    fn public_id(&self) -> Result<String> {
        let of_messages =
            [&self.participants, &self.senders, &self.snippet, &self.conversations, &self.messages];
        if of_messages.into_iter().any(Option::is_some) {
            return Err(not_public("private messages"));
        }
        if self.access_token.is_some() || self.category.is_some() {
            return Err(not_relevant("a page or account; no post"));
        }
        let id = non_empty_id(self.id.clone()).ok_or_else(|| missing("id"))?;
        // A message is for one person, and its id has no part of a page.
        let is_message = self.to.is_some() && !id.contains('_');
        if id.starts_with("m_") || id.starts_with("t_") || is_message {
            return Err(not_public("private messages"));
        }
        if !id.bytes().all(|b| b.is_ascii_digit() || b == b'_') || self.created_time.is_none() {
            return Err(unknown_payload(
                "neither a post nor a comment: `created_time` or a numeric `id` is missing",
            ));
        }
        let is_of_group = |one: &Recipient| one.profile_type.as_deref() == Some("group");
        if self.to.as_ref().is_some_and(|to| to.data.iter().any(is_of_group)) {
            return Err(not_public("a post in a group"));
        }
        let is_open = self.privacy.as_ref().and_then(|privacy| privacy.value.as_deref());
        let is_open = is_open.is_none_or(|value| value.is_empty() || value == "EVERYONE");
        let is_out = self.is_published.unwrap_or(self.scheduled_publish_time.is_none());
        if !is_open || !is_out || self.is_hidden == Some(true) || self.is_private == Some(true) {
            return Err(not_public("a post or comment that is hidden, limited or not published"));
        }
        Ok(id)
    }

    /// Returns whether a node that stands alone is a comment: it has a parent, or the totals of one.
    fn is_comment(&self, id: &str) -> bool {
        let has_own_totals = self.comment_count.is_some() || self.like_count.is_some();
        let is_post = self.shares.is_some() || self.is_published.is_some() || self.privacy.is_some();
        self.parent.is_some() || self.object.is_some() || (id.contains('_') && has_own_totals && !is_post)
    }
}

/// Returns the post's part of a comment's id.
fn post_of(comment: &str) -> String {
    comment.split('_').next().unwrap_or(comment).to_owned()
}
