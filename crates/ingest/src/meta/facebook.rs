//! Decodes Facebook: webhooks of a Page for its feed, mentions and recommendations, and pages of the Graph API.
//!
//! A conversation is a post on the page with its comments; the post's id begins with the page's id. Follower
//! counts are not provided. Posts by the page are the brand's. Reactions of all kinds count as likes;
//! withdrawn ones stay counted.

use firewatch_domain::{AccountKind, Author, Engagement, EngagementKind, EventTime, Post};
use serde::Deserialize;

use super::{Change, Entry, From, Source, Webhook, graph, note_short_id};
use crate::bad_items::ItemList;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Count, Id, IfText, non_empty_id};
use crate::platform_time::{self, PlatformTime};
use crate::reviews::{recommendation_stars, reviewer, stars};
use crate::{Result, json};

#[derive(Debug, Deserialize)]
struct Value {
    item: Option<String>,
    verb: Option<String>,
    post_id: Option<Id>,
    comment_id: Option<Id>,
    parent_id: Option<Id>,
    from: Option<From>,
    sender_id: Option<Id>,
    created_time: Option<PlatformTime>,
    /// An object in a private message.
    message: Option<IfText>,
    published: Option<u8>,
    is_hidden: Option<bool>,
    /// Fields of a recommendation.
    reviewer_id: Option<Id>,
    reviewer_name: Option<String>,
    review_text: Option<String>,
    recommendation_type: Option<String>,
    rating: Option<Count>,
    open_graph_story_id: Option<Id>,
}

pub(crate) const LISTS: &[ItemList] = &[
    ItemList::of::<Entry<Value>>("entry"),
    ItemList::of::<Change<Value>>("changes"),
    ItemList::of::<graph::Node>("data"),
];

/// Decodes a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let webhook: Webhook<Value> = json::one(bytes)?;
    if webhook.entry.is_some() {
        return webhook.read("page", out, |source, field, value, out| match field {
            "mention" if value.message.is_none() && value.verb.as_deref() == Some("add") => {
                Err(missing("message"))
            }
            "feed" | "mention" => value.read(source, out),
            "ratings" => value.recommendation(source, out),
            _ => Err(not_relevant("a page change other than a post, comment, recommendation or reaction")),
        });
    }
    if webhook.error.is_some() {
        return Err(unknown_payload("an error response of the Graph API"));
    }
    if webhook.data.is_none() && webhook.id.is_none() {
        return Err(unknown_payload("not of Facebook: `entry`, `data` and `id` are missing"));
    }
    graph::decode(bytes, out)
}

impl Value {
    fn read(self, source: &Source, out: &mut DecodeOutput<'_>) -> Result<()> {
        let item = self.item.as_deref().ok_or_else(|| missing("item"))?;
        if !["post", "status", "photo", "video", "share", "link", "note", "comment", "like", "reaction"]
            .contains(&item)
        {
            return Err(not_relevant("an album, event or other page change; no post"));
        }
        let sent_at = platform_time::required("time", source.time.clone())?;
        let is_reaction = item == "like" || item == "reaction";
        match (self.verb.as_deref(), is_reaction) {
            (Some("add"), true) => self.reaction(source, sent_at, out),
            (Some("add"), false) => self.post(None, source, sent_at, out),
            (Some("edit" | "edited"), false) => self.post(Some(sent_at), source, sent_at, out),
            (Some("edit" | "edited"), true) => {
                Err(not_relevant("a reaction changed its kind and is counted already"))
            }
            (Some("remove" | "delete"), true) => {
                Err(not_relevant("a reaction was withdrawn; totals never decrease"))
            }
            (Some("remove" | "delete"), false) => {
                let post = self.id()?;
                out.delete(Occurrence { root: &self.root(source)?, at: sent_at }, &post)
            }
            (Some(_), _) => {
                Err(not_relevant("hidden, shown, blocked or muted by the page; the text is unchanged"))
            }
            (None, _) => Err(missing("verb")),
        }
    }

    fn post(
        self,
        edited_at: Option<EventTime>,
        source: &Source,
        sent_at: EventTime,
        out: &mut DecodeOutput<'_>,
    ) -> Result<()> {
        if self.published == Some(0) {
            return Err(not_public("an unpublished post of the page"));
        }
        if self.is_hidden == Some(true) {
            return Err(not_public("a comment that the page has hidden"));
        }
        let at = platform_time::optional("created_time", self.created_time.clone())?.unwrap_or(sent_at);
        let (id, root) = (self.id()?, self.root(source)?);
        note_short_id(&root, at, out);
        let post = Post {
            author: self.author(source),
            // A picture, sticker or link has no words.
            text: self.message.as_ref().and_then(|message| message.0.clone()).unwrap_or_default(),
            in_reply_to: (id != root)
                .then(|| non_empty_id(self.parent_id.clone()).unwrap_or_else(|| root.clone())),
            url: Some(format!("https://www.facebook.com/{id}")),
            id,
            edited_at,
            ..Post::default()
        };
        out.post(Occurrence { root: &root, at }, post)
    }

    /// Emits whether a person recommends the page. The story of it is the post.
    fn recommendation(self, source: &Source, out: &mut DecodeOutput<'_>) -> Result<()> {
        if self.item.as_deref().is_some_and(|item| item != "rating") {
            // A comment on, or a reaction to, a recommendation, whose story is the post.
            let Some(story) = non_empty_id(self.open_graph_story_id.clone()) else {
                return self.read(source, out);
            };
            let parent_id = self.parent_id.clone().filter(|parent| self.post_id.as_ref() != Some(parent));
            return Self { post_id: Some(Id(story)), parent_id, ..self }.read(source, out);
        }
        let sent_at = platform_time::required("time", source.time.clone())?;
        let story = non_empty_id(self.open_graph_story_id.clone()).or(non_empty_id(self.post_id.clone()));
        let id = story.ok_or_else(|| missing("open_graph_story_id"))?;
        if matches!(self.verb.as_deref(), Some("remove" | "delete")) {
            return out.delete(Occurrence { root: &id, at: sent_at }, &id);
        }
        let at = platform_time::optional("created_time", self.created_time.clone())?.unwrap_or(sent_at);
        let of_type = recommendation_stars(self.recommendation_type.as_deref());
        let stars = stars("rating", self.rating)?.or(of_type);
        let name = self.reviewer_name;
        let author = non_empty_id(self.reviewer_id)
            .map(|id| Author { id, handle: name.clone(), ..Author::default() })
            .or_else(|| reviewer(name.clone()));
        let is_edit = matches!(self.verb.as_deref(), Some("edit" | "edited" | "update"));
        let post = Post {
            id: id.clone(),
            author,
            text: self.review_text.unwrap_or_default(),
            stars,
            edited_at: is_edit.then_some(sent_at),
            ..Post::default()
        };
        out.post(Occurrence { root: &id, at }, post)
    }

    fn reaction(self, source: &Source, sent_at: EventTime, out: &mut DecodeOutput<'_>) -> Result<()> {
        if self.post_id.is_none() && self.comment_id.is_none() {
            return Err(not_relevant("a like of the page; no post"));
        }
        let at = platform_time::optional("created_time", self.created_time.clone())?.unwrap_or(sent_at);
        let (reacted_to, root) = (self.id()?, self.root(source)?);
        let author = self.author(source);
        let (actor, account) = (author.as_ref().map(|a| a.id.clone()), author.and_then(|a| a.account));
        let id = format!("like/{reacted_to}/{}", actor.as_deref().unwrap_or(&at.as_millis().to_string()));
        let like = Engagement { account, ..Engagement::new(EngagementKind::Like, actor, None) };
        out.engagement(Occurrence { root: &root, at }, id, like)
    }

    /// Returns the id of the comment, otherwise of the post.
    fn id(&self) -> Result<String> {
        non_empty_id(self.comment_id.clone())
            .or(non_empty_id(self.post_id.clone()))
            .ok_or_else(|| missing("post_id"))
    }

    /// Returns the id of the post on the page. Without a post id it is built from the page's id and the first
    /// part of the comment's id.
    fn root(&self, source: &Source) -> Result<String> {
        if let Some(post) = non_empty_id(self.post_id.clone()) {
            return Ok(post);
        }
        let comment = non_empty_id(self.comment_id.clone()).ok_or_else(|| missing("post_id"))?;
        let page = source.id.as_deref().ok_or_else(|| missing("entry.id"))?;
        let post = comment.split('_').next().unwrap_or(&comment);
        Ok(format!("{page}_{post}"))
    }

    fn author(&self, source: &Source) -> Option<Author> {
        let from = self.from.as_ref().and_then(|from| non_empty_id(from.id.clone()));
        let id = from.or(non_empty_id(self.sender_id.clone()))?;
        let account = (source.id.as_deref() == Some(&id)).then_some(AccountKind::Brand);
        Some(Author { id, account, ..Author::default() })
    }
}
