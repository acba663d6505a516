//! Decodes payloads of any platform by a mapping: JSON pointers (RFC 6901) to the fields, given in the
//! configuration.

use std::collections::BTreeMap;

use firewatch_domain::{
    AccountKind, Author, Counters, Engagement, EngagementKind, EventTime, Post, RejectionCode as Code,
};
use firewatch_settings::{Fault, Settings};
use serde::Deserialize;
use serde_json::Value;

use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_relevant, unknown_payload};
use crate::json_values::{Count, Id, OneOrMany, known_count};
use crate::platform_time::{self, PlatformTime};
use crate::reviews::stars;
use crate::{Rejection, Result, json};

/// The locations of all fields in a payload. Fields without a pointer are unknown.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// The platform name in events.
    pub(crate) platform: String,
    /// The array of items, to which the other pointers are relative. Without it the payload is the only item.
    items: Option<Pointer>,
    /// The kind of an item. Without it every item is a post.
    kind: Option<Pointer>,
    /// The meaning of the values of `kind`.
    kinds: BTreeMap<String, ItemKind>,
    id: Pointer,
    at: Pointer,
    /// The root of the conversation. Without it the replied-to post, otherwise the post itself.
    conversation: Option<Pointer>,
    text: Option<Pointer>,
    lang: Option<Pointer>,
    in_reply_to: Option<Pointer>,
    quotes: Option<Pointer>,
    url: Option<Pointer>,
    stars: Option<Pointer>,
    edited_at: Option<Pointer>,
    author: Option<Pointer>,
    handle: Option<Pointer>,
    author_url: Option<Pointer>,
    followers: Option<Pointer>,
    verified: Option<Pointer>,
    /// A boolean, true for a bot.
    bot: Option<Pointer>,
    /// A boolean, true for the brand's own account.
    own: Option<Pointer>,
    counters: Totals,
}

/// The locations of the counters.
#[derive(Debug, Clone, PartialEq)]
struct Totals {
    reshares: Option<Pointer>,
    replies: Option<Pointer>,
    quotes: Option<Pointer>,
    likes: Option<Pointer>,
    views: Option<Pointer>,
}

/// A JSON pointer: empty, or a `/` before each step.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pointer(String);

/// The kind of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ItemKind {
    Post,
    Reshare,
    Quote,
    Like,
    Delete,
    Ignore,
}

impl ItemKind {
    const ALL: [(&'static str, Self); 6] = [
        ("post", Self::Post),
        ("reshare", Self::Reshare),
        ("quote", Self::Quote),
        ("like", Self::Like),
        ("delete", Self::Delete),
        ("ignore", Self::Ignore),
    ];
}

impl Mapping {
    /// Parses a mapping file. `name` is its path, for messages.
    ///
    /// # Errors
    /// All faults of the file.
    pub fn parse(name: &str, text: &str) -> std::result::Result<Self, Vec<Fault>> {
        let mut settings = Settings::parse(name, text)?;
        let mapping = Self::from_settings(&mut settings, "");
        settings.finish(mapping)
    }

    /// Reads a mapping from settings whose keys begin with `prefix`. Faults are added to the settings.
    pub fn from_settings(settings: &mut Settings, prefix: &str) -> Self {
        let mut at = |key: &str| pointer(settings, &format!("{prefix}{key}"));
        let (id, time) = (at("id"), at("at"));
        let counters = Totals {
            reshares: at("counters.reshares"),
            replies: at("counters.replies"),
            quotes: at("counters.quotes"),
            likes: at("counters.likes"),
            views: at("counters.views"),
        };
        let mut mapping = Self {
            platform: String::new(),
            items: at("items"),
            kind: at("kind"),
            kinds: BTreeMap::new(),
            id: Pointer(String::new()),
            at: Pointer(String::new()),
            conversation: at("conversation"),
            text: at("text"),
            lang: at("lang"),
            in_reply_to: at("in_reply_to"),
            quotes: at("quotes"),
            url: at("url"),
            stars: at("stars"),
            edited_at: at("edited_at"),
            author: at("author.id"),
            handle: at("author.handle"),
            author_url: at("author.url"),
            followers: at("author.followers"),
            verified: at("author.verified"),
            bot: at("author.bot"),
            own: at("author.own"),
            counters,
        };
        for (key, found, field) in [("id", id, &mut mapping.id), ("at", time, &mut mapping.at)] {
            match found {
                Some(pointer) => *field = pointer,
                None => {
                    let key = format!("{prefix}{key}");
                    settings.add_fault(&key, "is missing; give a JSON pointer such as `/id`");
                }
            }
        }
        mapping.platform = platform(settings, &format!("{prefix}platform"));
        mapping.kinds = kinds(settings, &format!("{prefix}kinds"));
        mapping
    }
}

/// Reads the section that maps values of `kind` to item kinds.
fn kinds(settings: &mut Settings, key: &str) -> BTreeMap<String, ItemKind> {
    let mut kinds = BTreeMap::new();
    for (word, meant) in settings.free_section(key) {
        match ItemKind::ALL.iter().find(|(name, _)| *name == meant) {
            Some((_, what)) => {
                kinds.insert(word, *what);
            }
            None => {
                let all: Vec<_> = ItemKind::ALL.iter().map(|(name, _)| *name).collect();
                settings.add_fault(
                    &format!("{key}.{word}"),
                    format_args!("`{meant}` is not a kind; give one of {}", all.join(", ")),
                );
            }
        }
    }
    kinds
}

/// Reads the platform name, which becomes the prefix of conversation ids.
fn platform(settings: &mut Settings, key: &str) -> String {
    let name = settings.text(key, "generic");
    let is_plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !is_plain || name.len() > 32 {
        settings.add_fault(
            key,
            format_args!("`{name}` is not a valid platform name; give 1 to 32 of a-z, 0-9 and _"),
        );
    }
    name
}

fn pointer(settings: &mut Settings, key: &str) -> Option<Pointer> {
    if !settings.has(key) {
        // Registers the key as known.
        settings.text(key, "/");
        return None;
    }
    let path = settings.text(key, "/");
    if !path.starts_with('/') {
        settings.add_fault(key, format_args!("`{path}` is not a JSON pointer; give one such as `/user/id`"));
    }
    Some(Pointer(path))
}

/// Decodes a payload.
pub(crate) fn decode(mapping: &Mapping, bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let payloads = match json::payload::<Value>(bytes)? {
        OneOrMany::One(payload) => vec![*payload],
        OneOrMany::Many(payloads) => payloads.into_iter().map(Option::unwrap_or_default).collect(),
    };
    let Some(list) = &mapping.items else {
        out.each("", payloads.iter().map(Some), |out, item| mapping.read(item, out));
        return Ok(());
    };
    for payload in &payloads {
        let Some(Value::Array(items)) = payload.pointer(&list.0) else {
            return Err(unknown_payload(&format!("`{}` is not a list", list.0)));
        };
        out.each(list.0.trim_start_matches('/'), items.iter().map(Some), |out, item| mapping.read(item, out));
    }
    Ok(())
}

impl Mapping {
    fn read(&self, item: &Value, out: &mut DecodeOutput<'_>) -> Result<()> {
        let id = text(item, Some(&self.id))?.ok_or_else(|| missing(&self.id.0))?;
        let stamp: Option<PlatformTime> = get(item, Some(&self.at))?;
        let at = platform_time::required(&self.at.0, stamp)?;
        let answered = text(item, self.in_reply_to.as_ref())?;
        let quoted = text(item, self.quotes.as_ref())?;
        let root = text(item, self.conversation.as_ref())?;
        let what = self.item_kind(item)?;
        let other = if what == ItemKind::Quote || what == ItemKind::Reshare { quoted.clone() } else { None };
        let root = root.or(other).or_else(|| answered.clone()).unwrap_or_else(|| id.clone());
        let when = Occurrence { root: &root, at };
        let kind = match what {
            ItemKind::Ignore => return Err(not_relevant("an item of a kind that the mapping ignores")),
            ItemKind::Delete => return out.delete(when, &id),
            ItemKind::Post => {
                let post = Post { id, in_reply_to: answered, quotes: quoted, ..Post::default() };
                return self.post(item, post, when, out);
            }
            ItemKind::Reshare => EngagementKind::Reshare,
            ItemKind::Quote => EngagementKind::Quote,
            ItemKind::Like => EngagementKind::Like,
        };
        let author = self.author(item)?;
        let (actor, followers, account) =
            author.map_or((None, None, None), |a| (Some(a.id), a.followers, a.account));
        out.engagement(when, id, Engagement { account, ..Engagement::new(kind, actor, followers) })
    }

    fn item_kind(&self, item: &Value) -> Result<ItemKind> {
        let Some(pointer) = &self.kind else { return Ok(ItemKind::Post) };
        let kind = text(item, Some(pointer))?.ok_or_else(|| missing(&pointer.0))?;
        self.kinds.get(&kind).copied().ok_or_else(|| {
            Rejection::new(
                Code::UnknownPayload,
                format!("`{}`: `kinds` does not list this kind; add it", pointer.0),
            )
        })
    }

    /// Emits a post and its counters. `links` holds the id and the references to other posts.
    fn post(
        &self,
        item: &Value,
        links: Post,
        when: Occurrence<'_>,
        out: &mut DecodeOutput<'_>,
    ) -> Result<()> {
        let edited: Option<PlatformTime> = get(item, self.edited_at.as_ref())?;
        let words = match &self.text {
            Some(pointer) => text(item, Some(pointer))?.ok_or_else(|| missing(&pointer.0))?,
            None => String::new(),
        };
        let is_answer = links.in_reply_to.is_some();
        let post = Post {
            author: self.author(item)?,
            text: words,
            lang: text(item, self.lang.as_ref())?,
            url: text(item, self.url.as_ref())?,
            stars: stars("stars", get(item, self.stars.as_ref())?)?,
            edited_at: platform_time::optional("edited_at", edited)?.filter(|edited| *edited > when.at),
            ..links
        };
        out.post(when, post)?;
        if is_answer {
            // The counters of a reply are not those of the conversation.
            return Ok(());
        }
        let counters = Counters {
            reshares: count(item, self.counters.reshares.as_ref())?,
            replies: count(item, self.counters.replies.as_ref())?,
            quotes: count(item, self.counters.quotes.as_ref())?,
            likes: count(item, self.counters.likes.as_ref())?,
            views: count(item, self.counters.views.as_ref())?,
        };
        let at: EventTime = out.arrival.max(when.at);
        out.counters(Occurrence { at, ..when }, counters)
    }

    fn author(&self, item: &Value) -> Result<Option<Author>> {
        let Some(id) = text(item, self.author.as_ref())? else { return Ok(None) };
        let is_own = get(item, self.own.as_ref())?.unwrap_or(false);
        let is_bot = get(item, self.bot.as_ref())?.unwrap_or(false);
        let account = match (is_own, is_bot) {
            (true, _) => Some(AccountKind::Brand),
            (_, true) => Some(AccountKind::Bot),
            _ => None,
        };
        Ok(Some(Author {
            id,
            handle: text(item, self.handle.as_ref())?,
            url: text(item, self.author_url.as_ref())?,
            followers: count(item, self.followers.as_ref())?,
            verified: get(item, self.verified.as_ref())?,
            account,
            ..Author::default()
        }))
    }
}

fn text(item: &Value, pointer: Option<&Pointer>) -> Result<Option<String>> {
    let id: Option<Id> = get(item, pointer)?;
    Ok(id.map(|id| id.0).filter(|id| !id.is_empty()))
}

fn count(item: &Value, pointer: Option<&Pointer>) -> Result<Option<u64>> {
    get::<Count>(item, pointer).map(known_count)
}

/// Returns the value at a pointer. A JSON null counts as absent.
fn get<'a, T: Deserialize<'a>>(item: &'a Value, pointer: Option<&Pointer>) -> Result<Option<T>> {
    let Some(pointer) = pointer else { return Ok(None) };
    match item.pointer(&pointer.0) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => T::deserialize(value)
            .map(Some)
            .map_err(|e| Rejection::from_json(&e, &pointer.0, "point to a value of the field's type")),
    }
}
