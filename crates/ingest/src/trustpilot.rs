//! Decodes reviews on Trustpilot: pages of its API, and its webhooks.
//!
//! A conversation is a review with the company's reply. A reviewer has a name and an id, and no followers. A review
//! that is hidden while it is checked is not public, and of the private API only what everybody sees is read.

use firewatch_domain::{Author, Post};
use serde::Deserialize;

use crate::bad_items::ItemList;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Count, Items, OneOrMany};
use crate::reviews::{answer, reviewer, stars};
use crate::{Result, html, json, platform_time};

/// A page of reviews, a review, or events of a webhook.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    reviews: Option<Items<Review>>,
    product_reviews: Option<Items<Review>>,
    events: Option<Items<Event>>,
    event_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    event_name: Option<String>,
    event_data: Option<Review>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    id: Option<String>,
    stars: Option<Count>,
    title: Option<String>,
    #[serde(alias = "content")]
    text: Option<String>,
    language: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
    deleted_at: Option<String>,
    consumer: Option<Consumer>,
    company_reply: Option<Reply>,
    status: Option<String>,
    report_data: Option<Report>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Consumer {
    id: Option<String>,
    #[serde(alias = "name")]
    display_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    text: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    review_visibility: Option<String>,
}

pub(crate) const LISTS: &[ItemList] = &[
    ItemList::of::<Review>("reviews"),
    ItemList::of::<Review>("productReviews"),
    ItemList::of::<Event>("events"),
    ItemList::of::<Event>(""),
];

/// Decodes a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let OneOrMany::One(page) = json::payload::<Page>(bytes)? else {
        if let OneOrMany::Many(events) = json::payload::<Event>(bytes)? {
            out.each("", events, |out, event| event.read(out));
        }
        return Ok(());
    };
    if page.event_name.is_some() {
        return json::one::<Event>(bytes)?.read(out);
    }
    if let Some(events) = page.events {
        out.each("events", events, |out, event| event.read(out));
        return Ok(());
    }
    let pages = [("reviews", page.reviews), ("productReviews", page.product_reviews)];
    match pages.into_iter().find_map(|(place, reviews)| Some((place, reviews?))) {
        Some((place, reviews)) => {
            out.each(place, reviews, |out, review| review.read(out));
            Ok(())
        }
        None => json::one::<Review>(bytes)?.read(out),
    }
}

impl Event {
    fn read(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let name =
            self.event_name.ok_or_else(|| unknown_payload("not of Trustpilot: `eventName` is missing"))?;
        let review = self.event_data.ok_or_else(|| missing("eventData"))?;
        match name.rsplit('-').next() {
            Some("created" | "updated") if !name.contains("reply") => {
                review.read(out).map_err(|e| e.within("eventData"))
            }
            Some("deleted") if !name.contains("reply") => {
                let id = review.id.ok_or_else(|| missing("eventData/id"))?;
                let at = match &review.deleted_at {
                    Some(at) => platform_time::text("eventData/deletedAt", Some(at))?,
                    None => out.arrival,
                };
                out.delete(Occurrence { root: &id, at }, &id)
            }
            _ => Err(not_relevant("an event other than of a review")),
        }
    }
}

impl Review {
    fn read(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let id = self
            .id
            .ok_or_else(|| unknown_payload("not of Trustpilot: `reviews`, `events` and `id` are missing"))?;
        let visibility = self.report_data.and_then(|report| report.review_visibility);
        let is_shown = matches!(self.status.as_deref(), None | Some("active" | "reported"));
        if !is_shown || visibility.is_some_and(|visibility| visibility != "visible") {
            return Err(not_public("a review that is hidden, held or archived"));
        }
        let at = platform_time::text("createdAt", self.created_at.as_deref())?;
        let edited_at = self.updated_at.map(|at| platform_time::text("updatedAt", Some(&at))).transpose()?;
        let post = Post {
            author: self.consumer.and_then(Consumer::author),
            text: html::paragraphs(self.title.into_iter().chain(self.text)),
            lang: self.language,
            url: Some(format!("https://www.trustpilot.com/reviews/{id}")),
            stars: stars("stars", self.stars)?,
            edited_at: edited_at.filter(|edited| *edited > at),
            id: id.clone(),
            ..Post::default()
        };
        out.post(Occurrence { root: &id, at }, post)?;
        let Some(Reply { text: Some(text), created_at, updated_at }) = self.company_reply else {
            return Ok(());
        };
        let at = platform_time::text("companyReply/createdAt", updated_at.or(created_at).as_deref())?;
        answer(&id, &id, at, text, out)
    }
}

impl Consumer {
    fn author(self) -> Option<Author> {
        let Some(id) = self.id.filter(|id| !id.is_empty()) else { return reviewer(self.display_name) };
        let url = Some(format!("https://www.trustpilot.com/users/{id}"));
        Some(Author { id, handle: self.display_name, url, ..Author::default() })
    }
}
