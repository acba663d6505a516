//! Decodes Reddit: submissions (`t3`) and comments (`t1`), alone, in listings, or in listings by name.
//!
//! Follower counts are not provided, and vote counts are fuzzed. A comment names its submission. A removed
//! post remains as a placeholder, which becomes a deletion.

use std::collections::BTreeMap;

use firewatch_domain::{AccountKind, Author, Counters, Engagement, EngagementKind, EventTime, Post};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_relevant, unknown_payload};
use crate::json_values::{Count, Id, IfObject, OneOrMany, known_count};
use crate::platform_time::{self, PlatformTime};
use crate::{Result, html, json};

/// A "thing": Reddit's wrapper of an object with its kind.
#[derive(Debug, Deserialize)]
struct Thing {
    kind: Option<String>,
    data: Option<Box<Data>>,
    /// The name of a submission or comment without a wrapper.
    name: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Data {
    /// The items of a listing.
    children: Option<Vec<IfObject<Thing>>>,
    name: Option<String>,
    id: Option<Id>,
    author: Option<String>,
    author_fullname: Option<String>,
    created_utc: Option<PlatformTime>,
    edited: Option<Edited>,
    title: Option<String>,
    selftext: Option<String>,
    body: Option<String>,
    link_id: Option<String>,
    parent_id: Option<String>,
    crosspost_parent: Option<String>,
    removed_by_category: Option<String>,
    ups: Option<Count>,
    num_comments: Option<Count>,
    num_crossposts: Option<Count>,
    /// A listing, or an empty string.
    replies: Option<IfObject<Box<Thing>>>,
}

/// The time of the last edit, or `false`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Edited {
    At(f64),
    Flag(#[expect(dead_code, reason = "old posts say `true` and not when")] bool),
}

/// Decodes a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    match json::payload::<Thing>(bytes)? {
        OneOrMany::Many(things) => {
            out.each("", things, |out, thing| thing.read(out));
            Ok(())
        }
        OneOrMany::One(thing) if thing.data.is_some() => thing.read(out),
        OneOrMany::One(thing) if thing.name.is_some() => json::one::<Data>(bytes)?.read(None, out),
        OneOrMany::One(thing) if thing.error.is_some() => {
            Err(unknown_payload("an error response of Reddit; no post"))
        }
        OneOrMany::One(_) => read_by_name(bytes, out),
    }
}

/// Decodes an object of listings, keyed by the name of the query.
fn read_by_name(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let all: BTreeMap<String, OneOrMany<Thing>> = serde_json::from_slice(bytes)
        .map_err(|_| unknown_payload("not a Reddit payload: `kind` and `data` are missing"))?;
    for things in all.into_values() {
        match things {
            OneOrMany::One(thing) => thing.read(out)?,
            OneOrMany::Many(things) => out.each("", things, |out, thing| thing.read(out)),
        }
    }
    Ok(())
}

impl Thing {
    fn read(&self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let data =
            self.data.as_ref().ok_or_else(|| unknown_payload("not a Reddit payload: `data` is missing"))?;
        match self.kind.as_deref() {
            Some("Listing") => {
                let children = data.children.as_deref().unwrap_or_default();
                let things = children.iter().filter_map(|child| child.0.as_ref());
                out.each("children", things, |out, thing| thing.read(out));
                Ok(())
            }
            Some(kind @ ("t1" | "t3")) => data.read(Some(kind), out),
            Some("more") => Err(not_relevant("ids of further comments; no text")),
            Some(_) => Err(not_relevant("neither a submission nor a comment")),
            None => Err(missing("kind")),
        }
    }
}

impl Data {
    fn read(&self, kind: Option<&str>, out: &mut DecodeOutput<'_>) -> Result<()> {
        let name = match (&self.name, kind, &self.id) {
            (Some(name), ..) => name.clone(),
            (None, Some(kind), Some(id)) => format!("{kind}_{}", id.0),
            _ => return Err(missing("name")),
        };
        self.read_named(&name, out)?;
        if let Some(IfObject(Some(listing))) = &self.replies {
            listing.read(out)?;
        }
        Ok(())
    }

    fn read_named(&self, name: &str, out: &mut DecodeOutput<'_>) -> Result<()> {
        let root = match (&self.link_id, name.starts_with("t1_")) {
            (Some(link), _) => link,
            (None, true) => return Err(missing("link_id")),
            (None, false) => name,
        };
        if self.is_gone() {
            return out.delete(Occurrence { root, at: out.arrival }, name);
        }
        let at = platform_time::required("created_utc", self.created_utc.clone())?;
        let edited_at = match self.edited {
            Some(Edited::At(seconds)) => Some(platform_time::from_seconds(seconds)),
            _ => None,
        };
        self.post(name, root, at, edited_at, out)?;
        if let Some(original) = self.crosspost_parent.as_deref() {
            let reaction = Engagement::new(EngagementKind::Quote, self.by(), None);
            out.engagement(Occurrence { root: original, at }, format!("quote/{name}"), reaction)?;
        }
        if root != name {
            return Ok(());
        }
        let counters = Counters {
            reshares: known_count(self.num_crossposts),
            replies: known_count(self.num_comments),
            likes: known_count(self.ups),
            ..Counters::default()
        };
        out.counters(Occurrence { root, at: out.arrival.max(at) }, counters)
    }

    fn post(
        &self,
        name: &str,
        root: &str,
        at: EventTime,
        edited_at: Option<EventTime>,
        out: &mut DecodeOutput<'_>,
    ) -> Result<()> {
        let post = Post {
            id: name.to_owned(),
            author: self.author(),
            text: self.text().ok_or_else(|| missing("title"))?,
            lang: None,
            in_reply_to: (root != name).then(|| self.parent_id.as_deref().unwrap_or(root).to_owned()),
            quotes: self.crosspost_parent.clone(),
            edited_at,
            ..Post::default()
        };
        out.post(Occurrence { root, at }, post)
    }

    /// Returns the text: a comment's body, or a submission's title and text.
    fn text(&self) -> Option<String> {
        if let Some(body) = &self.body {
            return Some(html::unescaped(body).into_owned());
        }
        let title = html::unescaped(self.title.as_deref()?);
        let text = html::unescaped(self.selftext.as_deref().unwrap_or_default());
        Some(if text.is_empty() { title.into_owned() } else { format!("{title}\n\n{text}") })
    }

    fn is_gone(&self) -> bool {
        let is_shell = |text: &Option<String>| {
            text.as_deref().is_some_and(|text| text == "[deleted]" || text == "[removed]")
        };
        is_shell(&self.body) || is_shell(&self.selftext) || self.removed_by_category.is_some()
    }

    fn by(&self) -> Option<String> {
        self.author_fullname.clone().or_else(|| self.author.clone().filter(|name| name != "[deleted]"))
    }

    fn author(&self) -> Option<Author> {
        Some(Author {
            id: self.by()?,
            handle: self.author.clone(),
            account: (self.author.as_deref() == Some("AutoModerator")).then_some(AccountKind::Bot),
            ..Author::default()
        })
    }
}
