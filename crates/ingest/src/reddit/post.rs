//! A submission or comment: who may read it, whether it is gone, and its events.

use firewatch_domain::{AccountKind, Author, Counters, Engagement, EngagementKind, EventTime, Post};
use serde::Deserialize;
use serde_json::Value;

use super::Thing;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, unknown_payload};
use crate::json_values::{Count, Id, IfObject, Items, known_count};
use crate::platform_time::{self, PlatformTime};
use crate::{Result, html};

/// A listing, a submission or a comment.
#[derive(Debug, Deserialize)]
pub(super) struct Data {
    /// The items of a listing.
    pub(super) children: Option<Items<IfObject<Thing>>>,
    name: Option<String>,
    id: Option<Id>,
    author: Option<String>,
    author_fullname: Option<String>,
    created_utc: Option<PlatformTime>,
    edited: Option<Edited>,
    title: Option<String>,
    selftext: Option<String>,
    body: Option<String>,
    permalink: Option<String>,
    link_id: Option<String>,
    /// A name; in some archives the number that the name's id stands for.
    parent_id: Option<Id>,
    /// The place of a comment in an inbox: `/r/NAME/comments/SUBMISSION/TITLE/COMMENT/`.
    context: Option<String>,
    crosspost_parent: Option<String>,
    crosspost_parent_list: Option<Items<Data>>,
    removed_by_category: Option<String>,
    /// What moderators see of a post that they have removed.
    removed: Option<bool>,
    spam: Option<bool>,
    /// Who has hidden it: a person, or the filter before anybody has seen it.
    banned_by: Option<Value>,
    approved: Option<bool>,
    approved_by: Option<Value>,
    approved_at_utc: Option<PlatformTime>,
    banned_at_utc: Option<PlatformTime>,
    /// Who may read the community.
    subreddit_type: Option<String>,
    /// Whether what an inbox holds is a comment; else it is a message.
    was_comment: Option<bool>,
    /// What an archive found out later.
    #[serde(rename = "_meta")]
    later: Option<IfObject<Later>>,
    poll_data: Option<Poll>,
    gallery_data: Option<Gallery>,
    ups: Option<Count>,
    num_comments: Option<Count>,
    num_crossposts: Option<Count>,
    /// A listing, or an empty string.
    replies: Option<IfObject<Box<Thing>>>,
}

#[derive(Debug, Deserialize)]
struct Later {
    removal_type: Option<String>,
    was_deleted_later: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Poll {
    options: Option<Vec<PollOption>>,
}

#[derive(Debug, Deserialize)]
struct PollOption {
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Gallery {
    items: Option<Vec<Picture>>,
}

#[derive(Debug, Deserialize)]
struct Picture {
    caption: Option<String>,
}

/// The time of the last edit, or `false`.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a time, or `false`")]
enum Edited {
    At(f64),
    Flag(#[expect(dead_code, reason = "old posts say `true` and not when")] bool),
}

/// Returns whether Reddit put the text in the place of what was there: `[deleted]`, `[removed]`, `[ Removed by
/// Reddit on account of violating the [content policy](…). ]` and the like.
fn is_removal_marker(text: &str) -> bool {
    let inner = text.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let Some(inner) = inner.map(|inner| inner.trim().to_ascii_lowercase()) else { return false };
    let exact = ["deleted", "removed", "unavailable", "deleted by user"].contains(&inner.as_str());
    exact || ["removed by reddit", "removed by moderator"].iter().any(|start| inner.starts_with(start))
}

/// Returns the address of a path; some archives write it whole, and inboxes with a query.
fn address(path: &str) -> Option<String> {
    let path = path.split('?').next().filter(|path| !path.is_empty())?;
    Some(if path.starts_with('/') { format!("https://www.reddit.com{path}") } else { path.to_owned() })
}

/// Returns whether a field has a value that says yes.
fn is_set(value: &Option<Value>) -> bool {
    value.as_ref().is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
}

/// Returns the digits of a Reddit id.
fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit((number % 36) as u32, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

impl Later {
    fn is_gone(&self) -> bool {
        self.removal_type.is_some() || self.was_deleted_later == Some(true)
    }
}

impl Data {
    pub(super) fn read(&self, kind: Option<&str>, out: &mut DecodeOutput<'_>) -> Result<()> {
        let kind =
            kind.or_else(|| self.body.as_ref().map(|_| "t1")).or_else(|| self.title.as_ref().map(|_| "t3"));
        let name = match (&self.name, kind, &self.id) {
            (Some(name), ..) => name.clone(),
            (None, Some(kind), Some(id)) => format!("{kind}_{}", id.0),
            _ => return Err(unknown_payload("not of Reddit: `name`, `body` and `title` are missing")),
        };
        let read = self.read_named(&name, out);
        if let Some(IfObject(Some(listing))) = &self.replies
            && let Err(rejection) = listing.read(out)
        {
            out.reject(rejection.within("data/replies"));
        }
        read
    }

    fn read_named(&self, name: &str, out: &mut DecodeOutput<'_>) -> Result<()> {
        if self
            .subreddit_type
            .as_deref()
            .is_some_and(|kind| !["public", "restricted", "user", "archived"].contains(&kind))
        {
            return Err(not_public("a post of a private community"));
        }
        if name.starts_with("t4_") || self.was_comment == Some(false) {
            return Err(not_public("a private message"));
        }
        let root = if name.starts_with("t1_") { self.submission()? } else { name.to_owned() };
        let root = root.as_str();
        if self.is_gone() {
            let at = platform_time::optional("banned_at_utc", self.banned_at_utc.clone())?;
            return out.delete(Occurrence { root, at: at.unwrap_or(out.arrival) }, name);
        }
        let at = platform_time::required("created_utc", self.created_utc.clone())?;
        let edited_at = match self.edited {
            Some(Edited::At(seconds)) if seconds > 0.0 => Some(platform_time::from_seconds(seconds)),
            _ => None,
        };
        let originals = self.crosspost_parent_list.iter().flatten();
        out.each("data/crosspost_parent_list", originals, |out, original| original.read(Some("t3"), out));
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
            in_reply_to: (root != name).then(|| self.parent().unwrap_or_else(|| root.to_owned())),
            quotes: self.crosspost_parent.clone(),
            url: self.permalink.as_deref().or(self.context.as_deref()).and_then(address),
            edited_at,
            ..Post::default()
        };
        // Only moderators see it, as of now.
        let is_approved = self.approved == Some(true) || is_set(&self.approved_by);
        let shown_since = match platform_time::optional("approved_at_utc", self.approved_at_utc.clone())? {
            None if is_approved => Some(out.arrival.max(at)),
            approved_at => approved_at.filter(|_| is_approved),
        };
        out.shown_post(Occurrence { root, at }, post, shown_since)
    }

    /// Returns the text: a comment's body, or a submission's title and text, the options of its poll and the
    /// captions of its pictures.
    fn text(&self) -> Option<String> {
        if let Some(body) = &self.body {
            return Some(html::unescaped(body).into_owned());
        }
        let title = html::unescaped(self.title.as_deref()?);
        let text = html::unescaped(self.selftext.as_deref().unwrap_or_default());
        let options = self.poll_data.iter().flat_map(|poll| poll.options.iter().flatten());
        let pictures = self.gallery_data.iter().flat_map(|gallery| gallery.items.iter().flatten());
        let more = options.filter_map(|option| option.text.as_deref());
        let more = more.chain(pictures.filter_map(|picture| picture.caption.as_deref()));
        let more = more.map(|text| html::unescaped(text).into_owned());
        Some(html::paragraphs([title.into_owned(), text.into_owned()].into_iter().chain(more)))
    }

    /// Returns the name of the submission that a comment belongs to.
    fn submission(&self) -> Result<String> {
        let of_context = || {
            let (_, after) = self.context.as_deref()?.split_once("/comments/")?;
            after.split('/').next().filter(|id| !id.is_empty()).map(|id| format!("t3_{id}"))
        };
        let parent = || self.parent().filter(|parent| parent.starts_with("t3_"));
        self.link_id.clone().or_else(of_context).or_else(parent).ok_or_else(|| missing("link_id"))
    }

    fn parent(&self) -> Option<String> {
        let parent = &self.parent_id.as_ref()?.0;
        match parent.parse() {
            Ok(number) => Some(format!("t1_{}", base36(number))),
            Err(_) => Some(parent.clone()).filter(|parent| !parent.is_empty()),
        }
    }

    fn is_gone(&self) -> bool {
        let is_shell = |text: &Option<String>| text.as_deref().is_some_and(is_removal_marker);
        is_shell(&self.body)
            || is_shell(&self.selftext)
            || is_shell(&self.title)
            || self.removed_by_category.is_some()
            || self.later.as_ref().and_then(|later| later.0.as_ref()).is_some_and(Later::is_gone)
            || self.removed == Some(true)
            || self.spam == Some(true)
            || (is_set(&self.banned_by) && self.approved != Some(true) && !is_set(&self.approved_by))
    }

    fn by(&self) -> Option<String> {
        let name = self.author.clone().filter(|name| !is_removal_marker(name));
        name.or_else(|| self.author_fullname.clone())
    }

    fn author(&self) -> Option<Author> {
        let name = self.author.as_ref().filter(|name| !is_removal_marker(name));
        Some(Author {
            id: self.by()?,
            handle: name.cloned(),
            url: name.map(|name| format!("https://www.reddit.com/user/{name}")),
            account: (self.author.as_deref() == Some("AutoModerator")).then_some(AccountKind::Bot),
            ..Author::default()
        })
    }
}
