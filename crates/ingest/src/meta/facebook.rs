//! Facebook: what a Page's webhook tells of its feed and of mentions.
//!
//! A conversation is a post on the page with its comments; a post's id begins with the page's. Nobody's followers are told. Who speaks
//! as the page is the brand. Reactions of all kinds count as likes; those taken back stay counted.

use firewatch_domain::{AccountKind, Author, Engagement, EngagementKind, EventTime, Post};
use serde::Deserialize;

use super::{From, Source, Webhook};
use crate::check::missing;
use crate::draft::{Draft, When, not_relevant, unknown_payload};
use crate::scalar::{Id, named};
use crate::stamp::{self, Stamp};
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
    created_time: Option<Stamp>,
    message: Option<String>,
    published: Option<u8>,
}

/// Reads a payload.
pub(crate) fn read(bytes: &[u8], out: &mut Draft<'_>) -> Result<()> {
    let webhook: Webhook<Value> = json::one(bytes)?;
    if webhook.entry.is_none() {
        return Err(unknown_payload("no webhook of Facebook's: `entry` is not there"));
    }
    webhook.read("page", out, |source, field, value, out| match field {
        "feed" | "mention" => value.read(source, out),
        _ => Err(not_relevant("a change of the page's that is no post, comment or reaction")),
    })
}

impl Value {
    fn read(self, source: &Source, out: &mut Draft<'_>) -> Result<()> {
        let item = self.item.as_deref().ok_or_else(|| missing("item"))?;
        if !["post", "status", "photo", "video", "share", "link", "note", "comment", "like", "reaction"]
            .contains(&item)
        {
            return Err(not_relevant("an album, event or other change of the page's; no post"));
        }
        let told = stamp::required("time", source.time.clone())?;
        let is_reaction = item == "like" || item == "reaction";
        match (self.verb.as_deref(), is_reaction) {
            (Some("add"), true) => self.reaction(source, told, out),
            (Some("add"), false) => self.post(None, source, told, out),
            (Some("edit" | "edited"), false) => self.post(Some(told), source, told, out),
            (Some("edit" | "edited"), true) => {
                Err(not_relevant("a reaction became another, and is counted already"))
            }
            (Some("remove" | "delete"), true) => {
                Err(not_relevant("a reaction was taken back; totals never shrink"))
            }
            (Some("remove" | "delete"), false) => {
                let post = self.id()?;
                out.delete(When { root: &self.root(source)?, at: told }, &post)
            }
            (Some(_), _) => Err(not_relevant("hidden, shown, blocked or muted by the page; its text stays")),
            (None, _) => Err(missing("verb")),
        }
    }

    fn post(
        self,
        edited_at: Option<EventTime>,
        source: &Source,
        told: EventTime,
        out: &mut Draft<'_>,
    ) -> Result<()> {
        if self.published == Some(0) {
            return Err(not_relevant("a draft of the page's that is not published"));
        }
        let at = stamp::optional("created_time", self.created_time.clone())?.unwrap_or(told);
        let (id, root) = (self.id()?, self.root(source)?);
        // A picture may come without words; a mention without them tells nothing.
        let has_no_words = matches!(self.item.as_deref(), Some("photo" | "video" | "share" | "link"));
        let text = self.message.clone().or_else(|| has_no_words.then(String::new));
        let post = Post {
            author: self.author(source),
            text: text.ok_or_else(|| missing("message"))?,
            in_reply_to: (id != root).then(|| named(self.parent_id.clone()).unwrap_or_else(|| root.clone())),
            id,
            edited_at,
            ..Post::default()
        };
        out.post(When { root: &root, at }, post)
    }

    fn reaction(self, source: &Source, told: EventTime, out: &mut Draft<'_>) -> Result<()> {
        if self.post_id.is_none() && self.comment_id.is_none() {
            return Err(not_relevant("somebody likes the page; no post"));
        }
        let at = stamp::optional("created_time", self.created_time.clone())?.unwrap_or(told);
        let (of, root) = (self.id()?, self.root(source)?);
        let author = self.author(source);
        let (actor, account) = (author.as_ref().map(|a| a.id.clone()), author.and_then(|a| a.account));
        let id = format!("like/{of}/{}", actor.as_deref().unwrap_or(&at.as_millis().to_string()));
        let like = Engagement { account, ..Engagement::new(EngagementKind::Like, actor, None) };
        out.engagement(When { root: &root, at }, id, like)
    }

    /// The comment, or the post.
    fn id(&self) -> Result<String> {
        named(self.comment_id.clone()).or(named(self.post_id.clone())).ok_or_else(|| missing("post_id"))
    }

    /// The post on the page; a comment's id begins with the part of it that is the post's own.
    fn root(&self, source: &Source) -> Result<String> {
        if let Some(post) = named(self.post_id.clone()) {
            return Ok(post);
        }
        let comment = named(self.comment_id.clone()).ok_or_else(|| missing("post_id"))?;
        let page = source.id.as_deref().ok_or_else(|| missing("entry.id"))?;
        let post = comment.split('_').next().unwrap_or(&comment);
        Ok(format!("{page}_{post}"))
    }

    fn author(&self, source: &Source) -> Option<Author> {
        let from = self.from.as_ref().and_then(|from| named(from.id.clone()));
        let id = from.or(named(self.sender_id.clone()))?;
        let account = (source.id.as_deref() == Some(&id)).then_some(AccountKind::Brand);
        Some(Author { id, account, ..Author::default() })
    }
}
