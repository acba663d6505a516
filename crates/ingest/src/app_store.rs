//! Decodes reviews on the App Store: App Store Connect, and the public feed of customer reviews as JSON or XML.
//!
//! A conversation is a review with the developer's answer. A review may be rewritten under the same id at any
//! time, and only its last change has a time. There are no reshares and no followers; a reviewer has a nickname.
//! The feed has no answers, and its older form has no times: these reviews count from their arrival.

use firewatch_domain::{Author, Post};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::bad_items::ItemList;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Count, Items, OneOrMany};
use crate::reviews::{answer, reviewer, stars};
use crate::{Result, html, json, platform_time};

/// A review or a page of reviews, with responses in `included`; or the public feed.
#[derive(Debug, Deserialize)]
struct Page {
    data: Option<OneOrMany<Resource>>,
    #[serde(default)]
    included: Items<Resource>,
    feed: Option<Feed>,
    errors: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Resource {
    #[serde(rename = "type")]
    kind: Option<String>,
    id: Option<String>,
    attributes: Option<Attributes>,
    relationships: Option<Relationships>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    rating: Option<Count>,
    title: Option<String>,
    body: Option<String>,
    reviewer_nickname: Option<String>,
    created_date: Option<String>,
    /// Fields of a response.
    response_body: Option<String>,
    last_modified_date: Option<String>,
    state: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Relationships {
    response: Option<Related>,
    review: Option<Related>,
}

#[derive(Debug, Deserialize)]
struct Related {
    data: Option<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    id: String,
}

/// The public feed, in which each value is an object with a label.
#[derive(Debug, Deserialize)]
struct Feed {
    /// The reviews: none, one alone, or a list.
    entry: Option<OneOrMany<Entry>>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    id: Option<Label<String>>,
    author: Option<FeedAuthor>,
    updated: Option<Label<String>>,
    title: Option<Label<String>>,
    /// As text and, in XML, as HTML beside it.
    content: Option<OneOrMany<Label<String>>>,
    #[serde(rename = "im:rating")]
    rating: Option<Label<Count>>,
}

#[derive(Debug, Deserialize)]
struct FeedAuthor {
    uri: Option<Label<String>>,
    name: Option<Label<String>>,
}

#[derive(Debug, Deserialize)]
struct Label<T> {
    label: T,
}

pub(crate) const LISTS: &[ItemList] =
    &[ItemList::of::<Resource>("data"), ItemList::of::<Resource>("included"), ItemList::of::<Entry>("entry")];

/// Decodes a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let OneOrMany::One(page) = json::payload::<Page>(bytes)? else {
        return Err(unknown_payload("a list; give the App Store Connect response as it is"));
    };
    if let Some(feed) = page.feed {
        match feed.entry {
            None => {}
            Some(OneOrMany::One(entry)) => entry.read(out).map_err(|e| e.within("feed/entry"))?,
            Some(OneOrMany::Many(all)) => out.each("feed/entry", all, |out, entry| entry.read(out)),
        }
        return Ok(());
    }
    let Some(data) = page.data else {
        let what = if page.errors.is_some() { "an error response" } else { "`data` and `feed` are missing" };
        return Err(unknown_payload(&format!("not App Store reviews: {what}")));
    };
    let reviews = match data {
        OneOrMany::One(review) => [*review].into_iter().collect(),
        OneOrMany::Many(reviews) => reviews,
    };
    // A response in `included` may not name its review.
    let answered: Vec<(String, String)> = reviews
        .iter()
        .filter_map(|review| Some((review.related(|r| r.response.as_ref())?, review.id.clone()?)))
        .collect();
    out.each("data", reviews, |out, resource| resource.read(None, out));
    out.each("included", page.included, |out, resource| {
        let answered_review = answered.iter().find(|(answer, _)| Some(answer) == resource.id.as_ref());
        resource.read(answered_review.map(|(_, review)| review.as_str()), out)
    });
    Ok(())
}

impl Resource {
    fn read(self, review: Option<&str>, out: &mut DecodeOutput<'_>) -> Result<()> {
        match self.kind.as_deref() {
            Some("customerReviews") => self.review(out),
            Some("customerReviewResponses") => {
                let review = review.map(Into::into).or_else(|| self.related(|r| r.review.as_ref()));
                self.answer(&review.ok_or_else(|| missing("relationships/review/data/id"))?, out)
            }
            Some(kind) if kind.starts_with("beta") => Err(not_public("feedback of a tester")),
            _ => Err(unknown_payload("neither a customer review nor a response to one")),
        }
    }

    fn related<'a>(&'a self, which: impl Fn(&'a Relationships) -> Option<&'a Related>) -> Option<String> {
        self.relationships.as_ref().and_then(which)?.data.as_ref().map(|named| named.id.clone())
    }

    fn review(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let id = self.id.ok_or_else(|| missing("id"))?;
        let attributes = self.attributes.ok_or_else(|| missing("attributes"))?;
        let at = platform_time::text("createdDate", attributes.created_date.as_deref())?;
        let body = attributes.body.ok_or_else(|| missing("body"))?;
        let post = Post {
            id: id.clone(),
            author: reviewer(attributes.reviewer_nickname),
            text: html::paragraphs(attributes.title.into_iter().chain([body])),
            stars: stars("rating", attributes.rating)?,
            edited_at: Some(at),
            ..Post::default()
        };
        out.post(Occurrence { root: &id, at }, post)
    }

    fn answer(self, review: &str, out: &mut DecodeOutput<'_>) -> Result<()> {
        let id = self.id.ok_or_else(|| missing("id"))?;
        let attributes = self.attributes.ok_or_else(|| missing("attributes"))?;
        if attributes.state.is_some_and(|state| state != "PUBLISHED") {
            return Err(not_public("a response that is not published yet"));
        }
        let at = platform_time::text("lastModifiedDate", attributes.last_modified_date.as_deref())?;
        let text = attributes.response_body.ok_or_else(|| missing("responseBody"))?;
        answer(review, &id, at, text, out)
    }
}

impl Entry {
    fn read(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let Some(rating) = self.rating else {
            return Err(not_relevant("the app itself, which the feed lists before its reviews"));
        };
        let id = self.id.map(|id| id.label).ok_or_else(|| missing("id/label"))?;
        let updated =
            self.updated.map(|at| platform_time::text("updated/label", Some(&at.label))).transpose()?;
        let content = self.content.and_then(|content| match content {
            OneOrMany::One(content) => Some(*content),
            OneOrMany::Many(contents) => contents.into_iter().flatten().next(),
        });
        let text = html::paragraphs(self.title.into_iter().chain(content).map(|text| text.label));
        let post = Post {
            id: id.clone(),
            author: self.author.and_then(FeedAuthor::author),
            text,
            stars: stars("im:rating/label", Some(rating.label))?,
            edited_at: updated,
            ..Post::default()
        };
        out.post(Occurrence { root: &id, at: updated.unwrap_or(out.arrival) }, post)
    }
}

impl FeedAuthor {
    /// Returns the author, whose number ends the address of their reviews.
    fn author(self) -> Option<Author> {
        let name = self.name.map(|name| name.label).filter(|name| !name.trim().is_empty());
        let number = self.uri.and_then(|uri| Some(uri.label.rsplit_once("/id")?.1.to_owned()));
        let number = number.filter(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
        match (number, name) {
            (Some(id), handle) => Some(Author { id, handle, ..Author::default() }),
            (None, name) => reviewer(name),
        }
    }
}
