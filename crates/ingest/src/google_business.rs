//! Decodes reviews of a Google Business Profile.
//!
//! A conversation is a review with the owner's reply. A reviewer has a name at most. Of a translated review the
//! original is read. A reply that Google has not approved is not public.

use firewatch_domain::Post;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::bad_items::ItemList;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Items, OneOrMany};
use crate::reviews::{answer, reviewer};
use crate::{Result, json, platform_time};

/// What Google puts before a translation, and between it and the original.
const TRANSLATED: &str = "(Translated by Google)";
const ORIGINAL: &str = "(Original)";

/// A page of reviews of one place or of several.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    reviews: Option<Items<Review>>,
    location_reviews: Option<Items<LocationReview>>,
    error: Option<IgnoredAny>,
    total_review_count: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct LocationReview {
    review: Option<Review>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    review_id: Option<String>,
    /// The path of the review, which ends with its id.
    name: Option<String>,
    reviewer: Option<Reviewer>,
    star_rating: Option<String>,
    comment: Option<String>,
    create_time: Option<String>,
    update_time: Option<String>,
    review_reply: Option<Reply>,
    review_reply_state: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reviewer {
    display_name: Option<String>,
    is_anonymous: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    comment: Option<String>,
    update_time: Option<String>,
    review_reply_state: Option<String>,
}

pub(crate) const LISTS: &[ItemList] = &[
    ItemList::of::<Review>("reviews"),
    ItemList::of::<LocationReview>("locationReviews"),
    ItemList::of::<Review>(""),
];

/// Decodes a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let OneOrMany::One(page) = json::payload::<Page>(bytes)? else {
        if let OneOrMany::Many(reviews) = json::payload::<Review>(bytes)? {
            out.each("", reviews, |out, review| review.read(out));
        }
        return Ok(());
    };
    if let Some(reviews) = page.reviews {
        out.each("reviews", reviews, |out, review| review.read(out));
    } else if let Some(reviews) = page.location_reviews {
        out.each("locationReviews", reviews, |out, one| match one.review {
            Some(review) => review.read(out).map_err(|e| e.within("review")),
            None => Err(not_relevant("a place without a review")),
        });
    } else if page.error.is_some() {
        return Err(unknown_payload("an error response of Google"));
    } else if page.total_review_count.is_none() {
        return json::one::<Review>(bytes)?.read(out);
    }
    Ok(())
}

impl Review {
    fn read(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let of_name =
            || self.name.as_deref().and_then(|name| Some(name.split_once("/reviews/")?.1.to_owned()));
        let id = self.review_id.clone().or_else(of_name);
        let id = id
            .ok_or_else(|| unknown_payload("not a review of Google: `reviews` and `reviewId` are missing"))?;
        let at = platform_time::text("createTime", self.create_time.as_deref())?;
        let edited_at =
            self.update_time.map(|at| platform_time::text("updateTime", Some(&at))).transpose()?;
        let name = self.reviewer.filter(|reviewer| reviewer.is_anonymous != Some(true));
        let post = Post {
            id: id.clone(),
            author: reviewer(name.and_then(|reviewer| reviewer.display_name)),
            text: self.comment.as_deref().map(original).unwrap_or_default().to_owned(),
            stars: self.star_rating.as_deref().and_then(stars),
            edited_at: edited_at.filter(|edited| *edited > at),
            ..Post::default()
        };
        out.post(Occurrence { root: &id, at }, post)?;
        let Some(Reply { comment: Some(text), update_time, review_reply_state }) = self.review_reply else {
            return Ok(());
        };
        if text.trim().is_empty() {
            return Ok(());
        }
        if review_reply_state.or(self.review_reply_state).is_some_and(|state| state != "APPROVED") {
            out.reject(not_public("a reply that Google has not approved").within("reviewReply"));
            return Ok(());
        }
        let at = platform_time::text("reviewReply/updateTime", update_time.as_deref())?;
        answer(&id, &id, at, original(&text).to_owned(), out)
    }
}

/// Returns the original of a text that may hold its translation, before or behind it.
fn original(text: &str) -> &str {
    let Some((before, behind)) = text.split_once(TRANSLATED) else { return text.trim() };
    if !before.trim().is_empty() {
        return before.trim();
    }
    behind.split_once(ORIGINAL).map_or(behind, |(_, original)| original).trim()
}

fn stars(word: &str) -> Option<u8> {
    let words = ["ONE", "TWO", "THREE", "FOUR", "FIVE"];
    words.iter().position(|known| *known == word).map(|i| i as u8 + 1)
}
