//! Decodes feeds of news, blogs and forums: RSS 0.9 to 2.0, Atom, and JSON Feed.
//!
//! An entry is a conversation of its own: its title and what the feed has of its text. The author is who the entry
//! names, or else its source or the feed. There are no replies, reshares and followers. An entry without a time
//! counts from its arrival, and an id that is too long is replaced by its hash.

mod element;

use std::fmt::Write;

use firewatch_domain::{Author, EventTime, Post};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use url::Url;

use self::element::{Attributes, Element, each, first, first_text, first_time, many, only, person};
use crate::bad_items::ItemList;
use crate::check::{missing, plausible_time};
use crate::decode_output::{DecodeOutput, Occurrence, not_public, unknown_payload};
use crate::json_values::{Id, Items, OneOrMany, non_empty_id};
use crate::reviews::reviewer;
use crate::{Result, html, json, platform_time};

/// Maximum length of an id in bytes, which leaves room for the platform, the account and the time of an edit.
const MAX_ENTRY_ID_BYTES: usize = 128;

/// A feed: XML as [`crate::xml`] reads it, or JSON Feed.
#[derive(Debug, Deserialize)]
struct Document {
    rss: Option<Channels>,
    #[serde(rename = "rdf:RDF")]
    rdf: Option<Channels>,
    feed: Option<Feed>,
    /// An entry of Atom alone.
    entry: Option<Entry>,
    /// Fields of JSON Feed.
    version: Option<String>,
    items: Option<Items<JsonItem>>,
    title: Option<String>,
    home_page_url: Option<String>,
    feed_url: Option<String>,
    language: Option<String>,
    #[serde(default)]
    authors: Items<JsonAuthor>,
}

/// The channel of RSS. In RSS 1.0 the entries are beside it.
#[derive(Debug, Deserialize)]
struct Channels {
    channel: Option<OneOrMany<Feed>>,
    item: Option<OneOrMany<Entry>>,
}

#[derive(Debug, Deserialize)]
struct Feed {
    title: Option<OneOrMany<Element>>,
    language: Option<OneOrMany<Element>>,
    #[serde(default)]
    attributes: Attributes,
    link: Option<OneOrMany<Element>>,
    author: Option<OneOrMany<Element>>,
    #[serde(alias = "entry")]
    item: Option<OneOrMany<Entry>>,
    #[serde(rename = "at:deleted-entry")]
    deleted: Option<OneOrMany<Element>>,
}

/// An entry of RSS or Atom.
#[derive(Debug, Deserialize)]
struct Entry {
    id: Option<OneOrMany<Element>>,
    guid: Option<OneOrMany<Element>>,
    link: Option<OneOrMany<Element>>,
    title: Option<OneOrMany<Element>>,
    #[serde(rename = "content:encoded")]
    encoded: Option<OneOrMany<Element>>,
    content: Option<OneOrMany<Element>>,
    description: Option<OneOrMany<Element>>,
    summary: Option<OneOrMany<Element>>,
    #[serde(rename = "pubDate")]
    pub_date: Option<OneOrMany<Element>>,
    published: Option<OneOrMany<Element>>,
    updated: Option<OneOrMany<Element>>,
    /// Names of `published` and `updated` before Atom 1.0.
    issued: Option<OneOrMany<Element>>,
    modified: Option<OneOrMany<Element>>,
    #[serde(rename = "dc:date")]
    date: Option<OneOrMany<Element>>,
    author: Option<OneOrMany<Element>>,
    #[serde(rename = "dc:creator")]
    creator: Option<OneOrMany<Element>>,
    source: Option<OneOrMany<Element>>,
    #[serde(rename = "itunes:author")]
    speaker: Option<OneOrMany<Element>>,
    #[serde(rename = "itunes:summary")]
    show_notes: Option<OneOrMany<Element>>,
    #[serde(rename = "media:group")]
    media: Option<OneOrMany<Element>>,
    #[serde(rename = "media:content")]
    media_content: Option<OneOrMany<Element>>,
    /// Of an export of WordPress: whether everybody can read it.
    #[serde(rename = "wp:status")]
    status: Option<OneOrMany<Element>>,
    #[serde(rename = "wp:post_password")]
    password: Option<OneOrMany<Element>>,
    /// Of an export of Blogger.
    #[serde(rename = "blogger:status")]
    blogger_status: Option<OneOrMany<Element>>,
    #[serde(rename = "app:control")]
    control: Option<OneOrMany<Element>>,
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Debug, Deserialize)]
struct JsonItem {
    id: Option<Id>,
    url: Option<String>,
    external_url: Option<String>,
    title: Option<String>,
    content_text: Option<String>,
    content_html: Option<String>,
    summary: Option<String>,
    date_published: Option<String>,
    date_modified: Option<String>,
    language: Option<String>,
    author: Option<JsonAuthor>,
    #[serde(default)]
    authors: Items<JsonAuthor>,
}

#[derive(Debug, Clone, Deserialize)]
struct JsonAuthor {
    name: Option<String>,
}

pub(crate) const LISTS: &[ItemList] =
    &[ItemList::of::<Entry>("item"), ItemList::of::<Entry>("entry"), ItemList::of::<JsonItem>("items")];

/// What entries of all kinds have.
struct Article {
    id: Option<String>,
    /// The address of the page, which may be relative to `base` or to that of the feed.
    url: Option<String>,
    base: Option<String>,
    title: Option<String>,
    text: String,
    published: Option<EventTime>,
    updated: Option<EventTime>,
    author: Option<String>,
    lang: Option<String>,
}

/// What an entry has from its feed.
#[derive(Default)]
struct Defaults {
    author: Option<String>,
    lang: Option<String>,
    /// The address to which relative ones belong.
    base: Option<Url>,
}

/// Decodes a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let document = json::one::<Document>(bytes)?;
    if let Some(items) = document.items.filter(|_| document.version.is_some()) {
        let named = document.authors.iter().next().and_then(|author| author.name.clone());
        let base = document.home_page_url.or(document.feed_url).and_then(|base| Url::parse(&base).ok());
        let defaults = Defaults { author: named.or(document.title), lang: document.language, base };
        out.each("items", items, |out, item| item.article()?.read(&defaults, out));
        return Ok(());
    }
    if let Some(entry) = document.entry {
        return entry.read(&Defaults::default(), out);
    }
    let (place, feed, beside) = match (document.rss, document.rdf, document.feed) {
        (Some(rss), ..) => ("rss/channel/item", rss.channel.and_then(only), rss.item),
        (_, Some(rdf), _) => ("rdf:RDF/item", rdf.channel.and_then(only), rdf.item),
        (.., Some(feed)) => ("feed/entry", Some(feed), None),
        _ => return Err(unknown_payload("not a feed; give RSS, Atom or JSON Feed as it is")),
    };
    let defaults = feed.as_ref().map(Feed::defaults).unwrap_or_default();
    let (within, deleted) = feed.map_or((None, None), |feed| (feed.item, feed.deleted));
    let entries = beside.or(within).map(many).unwrap_or_default();
    out.each(place, entries, |out, entry| entry.read(&defaults, out));
    let deleted = deleted.map(many).unwrap_or_default();
    out.each("feed/at:deleted-entry", deleted, |out, tombstone| tombstone.delete(out));
    Ok(())
}

impl Feed {
    fn defaults(&self) -> Defaults {
        let lang = first_text(self.language.as_ref()).or_else(|| self.attributes.lang.clone());
        let own = alternate(self.link.as_ref()).and_then(|own| Url::parse(&own).ok());
        let base = within(own.as_ref(), self.attributes.base.as_deref());
        Defaults {
            author: person(self.author.as_ref()).or_else(|| first_text(self.title.as_ref())),
            lang,
            base,
        }
    }
}

impl Entry {
    fn read(self, defaults: &Defaults, out: &mut DecodeOutput<'_>) -> Result<()> {
        let is_live = first_text(self.blogger_status.as_ref()).is_none_or(|status| status == "LIVE");
        let is_published =
            is_live && first_text(self.status.as_ref()).is_none_or(|status| status == "publish");
        let draft = first(self.control.as_ref()).and_then(|control| first_text(control.draft.as_deref()));
        if !is_published
            || first_text(self.password.as_ref()).is_some()
            || draft.is_some_and(|draft| draft == "yes")
        {
            return Err(not_public("an entry that is a draft, private or protected"));
        }
        self.article()?.read(defaults, out)
    }

    fn article(self) -> Result<Article> {
        let author =
            [&self.author, &self.creator, &self.speaker].into_iter().find_map(|one| person(one.as_ref()));
        let source = || first(self.source.as_ref()).and_then(Element::name_or_text);
        let updated = first_time([("updated", &self.updated), ("modified", &self.modified)])?;
        let published = first_time([
            ("pubDate", &self.pub_date),
            ("published", &self.published),
            ("issued", &self.issued),
            ("dc:date", &self.date),
        ])?;
        let texts = [&self.encoded, &self.content, &self.description, &self.summary, &self.show_notes];
        let of_media =
            [&self.media, &self.media_content].into_iter().filter_map(|media| first(media.as_ref()));
        let of_media = of_media.filter_map(|media| first(media.description.as_deref()));
        let text = texts.into_iter().filter_map(|text| first(text.as_ref())).chain(of_media);
        let text = text.into_iter().find(|text| text.text().is_some());
        let id = [&self.id, &self.guid].into_iter().find_map(|id| first_text(id.as_ref()));
        let id = id.or_else(|| self.attributes.about.clone());
        Ok(Article {
            id,
            url: self.url(),
            base: self.attributes.base.clone(),
            title: first(self.title.as_ref()).map(Element::words),
            text: text.map(Element::words).unwrap_or_default(),
            published,
            updated,
            author: author.or_else(source),
            lang: self.attributes.lang,
        })
    }

    /// Returns the address of the page: the text of a link in RSS, the alternate one in Atom, or a permanent id.
    fn url(&self) -> Option<String> {
        let permanent = first(self.guid.as_ref()).filter(|id| {
            id.attributes.is_permalink.as_deref() != Some("false") && id.label.starts_with("http")
        });
        alternate(self.link.as_ref()).or_else(|| permanent?.text())
    }
}

impl Element {
    /// Reads a tombstone.
    fn delete(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let id = entry_id(self.attributes.entry.ok_or_else(|| missing("attributes/ref"))?);
        let at =
            self.attributes.when.map(|at| platform_time::text("attributes/when", Some(&at))).transpose()?;
        out.delete(Occurrence { root: &id, at: at.unwrap_or(out.arrival) }, &id)
    }
}

impl JsonItem {
    fn article(self) -> Result<Article> {
        let time = |place, text: Option<String>| {
            text.map(|text| platform_time::text(place, Some(&text))).transpose()
        };
        let text = self.content_text.or_else(|| self.content_html.as_deref().map(html::text));
        Ok(Article {
            id: non_empty_id(self.id),
            url: self.url.or(self.external_url),
            base: None,
            title: self.title,
            text: text.or(self.summary).unwrap_or_default(),
            published: time("date_published", self.date_published)?,
            updated: time("date_modified", self.date_modified)?,
            author: self.authors.iter().next().cloned().or(self.author).and_then(|author| author.name),
            lang: self.language,
        })
    }
}

impl Article {
    fn read(self, defaults: &Defaults, out: &mut DecodeOutput<'_>) -> Result<()> {
        let id = entry_id(self.id.or_else(|| self.url.clone()).ok_or_else(|| missing("guid"))?);
        // Some feeds write a date long ago or ahead for none.
        let plausible = |at: Option<EventTime>| at.filter(|at| plausible_time("", *at, out.arrival).is_ok());
        let (published, updated) = (plausible(self.published), plausible(self.updated));
        let at = published.or(updated).unwrap_or(out.arrival);
        let author: Option<Author> = reviewer(self.author.or_else(|| defaults.author.clone()));
        let post = Post {
            id: id.clone(),
            author,
            text: html::with_title(self.title, self.text),
            lang: self.lang.or_else(|| defaults.lang.clone()),
            url: self.url.and_then(|url| absolute(url, defaults.base.as_ref(), self.base.as_deref())),
            // Without the time of the entry, each change of it may be an edit.
            edited_at: updated.filter(|updated| published.is_none_or(|published| *updated > published)),
            ..Post::default()
        };
        out.post(Occurrence { root: &id, at }, post)
    }
}

/// Returns the address of the page that an entry or feed stands for.
fn alternate(links: Option<&OneOrMany<Element>>) -> Option<String> {
    let links = links.into_iter().flat_map(each);
    let mut alternate =
        links.filter(|link| matches!(link.attributes.rel.as_deref(), None | Some("alternate")));
    alternate.find_map(|link| link.text().or_else(|| link.attributes.href.clone()))
}

/// Returns the base of an element within another one.
fn within(outer: Option<&Url>, own: Option<&str>) -> Option<Url> {
    let Some(own) = own else { return outer.cloned() };
    outer.map_or_else(|| Url::parse(own), |outer| outer.join(own)).ok()
}

/// Returns an address that a person can follow; `None` when a relative one has no base.
fn absolute(url: String, of_feed: Option<&Url>, own: Option<&str>) -> Option<String> {
    if url.contains("://") {
        return Some(url);
    }
    Some(within(of_feed, own)?.join(&url).ok()?.into())
}

/// Returns an id as it fits into events.
fn entry_id(id: String) -> String {
    if id.len() <= MAX_ENTRY_ID_BYTES {
        return id;
    }
    let mut hex = String::new();
    for byte in Sha256::digest(&id) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
