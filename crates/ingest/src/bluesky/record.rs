//! Records of Bluesky: posts with what they embed, and what reposts and likes are about.

use firewatch_domain::{Author, Engagement, EngagementKind, EventTime, Post};
use serde::Deserialize;

use super::POST;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence};
use crate::json_values::IfObject;
use crate::{Result, html, platform_time};

/// A post, a repost or a like.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    #[serde(rename = "$type")]
    pub(super) kind: Option<String>,
    pub(super) text: Option<String>,
    pub(super) created_at: Option<String>,
    pub(super) langs: Option<Vec<String>>,
    pub(super) reply: Option<Box<Reply>>,
    /// The post of a repost or like. A follow or block has an account here.
    pub(super) subject: Option<IfObject<Link>>,
    pub(super) embed: Option<Box<Embed>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Reply {
    pub(super) root: Option<Link>,
    pub(super) parent: Option<Link>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Link {
    pub(super) uri: Option<String>,
}

/// What is embedded in a post: another post, pictures, a film, or a post with these.
#[derive(Debug, Deserialize)]
pub(super) struct Embed {
    pub(super) record: Option<Embedded>,
    pub(super) images: Option<Vec<Media>>,
    pub(super) media: Option<Box<Embed>>,
    /// What a film shows.
    pub(super) alt: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Media {
    pub(super) alt: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Embedded {
    pub(super) uri: Option<String>,
    pub(super) record: Option<Link>,
}

impl Record {
    /// Returns the claimed creation time, capped at the time when the record was seen.
    pub(super) fn time(&self, seen: Option<EventTime>) -> Result<EventTime> {
        let claimed = platform_time::text("createdAt", self.created_at.as_deref());
        match (claimed, seen) {
            (Ok(claimed), Some(seen)) if claimed >= EventTime::EARLIEST => Ok(claimed.min(seen)),
            (_, Some(seen)) => Ok(seen),
            (claimed, None) => claimed,
        }
    }

    /// Returns the text with what the pictures show.
    pub(super) fn all_text(&self) -> Option<String> {
        let text = self.text.clone()?;
        let Some(embed) = &self.embed else { return Some(text) };
        Some(html::paragraphs([text].into_iter().chain(embed.shown())))
    }

    /// Returns the root of the conversation of the post at `uri`.
    pub(super) fn root<'a>(&'a self, uri: &'a str) -> &'a str {
        let reply = self.reply.as_ref();
        reply.and_then(|reply| reply.root.as_ref()?.uri.as_deref()).unwrap_or(uri)
    }

    pub(super) fn post(
        &self,
        uri: &str,
        author: Option<Author>,
        at: EventTime,
        edited_at: Option<EventTime>,
        out: &mut DecodeOutput<'_>,
    ) -> Result<()> {
        let parent = self.reply.as_ref().and_then(|reply| reply.parent.as_ref()?.uri.clone());
        let quotes = self.embed.as_deref().and_then(Embed::quoted);
        let (by, followers) =
            (author.as_ref().map(|a| a.id.clone()), author.as_ref().and_then(|a| a.followers));
        let post = Post {
            id: uri.to_owned(),
            author,
            text: self.all_text().ok_or_else(|| missing("text"))?,
            lang: self.langs.as_ref().and_then(|langs| langs.first().cloned()),
            in_reply_to: parent,
            quotes: quotes.map(Into::into),
            url: url(uri),
            edited_at,
            ..Post::default()
        };
        out.post(Occurrence { root: self.root(uri), at }, post)?;
        let Some(quoted) = quotes else { return Ok(()) };
        let reaction = Engagement::new(EngagementKind::Quote, by, followers);
        out.engagement(Occurrence { root: quoted, at }, ["quote/", uri].concat(), reaction)
    }
}

impl Embed {
    /// Returns the descriptions of pictures and films.
    pub(super) fn shown(&self) -> Vec<String> {
        let own = self.images.iter().flatten().filter_map(|image| image.alt.clone()).chain(self.alt.clone());
        own.chain(self.media.iter().flat_map(|media| media.shown())).collect()
    }

    pub(super) fn quoted(&self) -> Option<&str> {
        let embedded = self.record.as_ref()?;
        let uri = embedded.uri.as_deref().or_else(|| embedded.record.as_ref()?.uri.as_deref())?;
        is_post(uri).then_some(uri)
    }
}

/// Returns the address at which people read a post.
pub(super) fn url(uri: &str) -> Option<String> {
    let mut parts = uri.split('/').skip(2);
    let (did, _, rkey) = (parts.next()?, parts.next()?, parts.next()?);
    Some(["https://bsky.app/profile/", did, "/post/", rkey].concat())
}

/// Returns the collection in an `at://` address.
pub(super) fn collection(uri: &str) -> Option<&str> {
    uri.split('/').nth(3)
}

pub(super) fn is_post(uri: &str) -> bool {
    collection(uri) == Some(POST)
}
