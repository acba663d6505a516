//! Decodes reviews on Google Play: the Developer API, and pages of the scrapers that people use without it.
//!
//! A conversation is a review with the developer's answer. A review may be rewritten under the same id at any
//! time, and only its last change has a time. There are no reshares and no followers; a reviewer has a name only.

use firewatch_domain::{Author, Counters, EventTime, Post};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::bad_items::ItemList;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, unknown_payload};
use crate::json_values::{Count, Items, OneOrMany, known_count};
use crate::platform_time::{self, PlatformTime};
use crate::reviews::{answer, reviewer, stars};
use crate::{Result, html, json};

/// A page of reviews.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    reviews: Option<Items<Review>>,
    /// Reviews as scrapers give them.
    data: Option<Items<Review>>,
    token_pagination: Option<IgnoredAny>,
}

/// A review of the Developer API, or of a scraper, which has its fields in one object.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    #[serde(alias = "id")]
    review_id: Option<String>,
    #[serde(alias = "userName")]
    author_name: Option<String>,
    comments: Option<Items<Comment>>,
    /// Fields of scrapers.
    score: Option<Count>,
    url: Option<String>,
    title: Option<String>,
    #[serde(alias = "content")]
    text: Option<String>,
    #[serde(alias = "at")]
    date: Option<PlatformTime>,
    thumbs_up: Option<Count>,
    thumbs_up_count: Option<Count>,
    #[serde(alias = "replyContent")]
    reply_text: Option<String>,
    #[serde(alias = "repliedAt")]
    reply_date: Option<PlatformTime>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Comment {
    user_comment: Option<Words>,
    developer_comment: Option<Words>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Words {
    text: Option<String>,
    original_text: Option<String>,
    last_modified: Option<Modified>,
    star_rating: Option<Count>,
    reviewer_language: Option<String>,
    thumbs_up_count: Option<Count>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Modified {
    seconds: Option<Count>,
    nanos: Option<Count>,
}

pub(crate) const LISTS: &[ItemList] = &[
    ItemList::of::<Review>(""),
    ItemList::of::<Review>("reviews"),
    ItemList::of::<Review>("data"),
    ItemList::of::<Comment>("comments"),
];

/// Decodes a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    match json::payload::<Page>(bytes)? {
        OneOrMany::One(page) => {
            let is_page = page.token_pagination.is_some();
            let pages = [("reviews", page.reviews), ("data", page.data)];
            match pages.into_iter().find_map(|(place, reviews)| Some((place, reviews?))) {
                Some((place, reviews)) => out.each(place, reviews, |out, review| review.read(out)),
                None if is_page => {}
                None => return json::one::<Review>(bytes)?.read(out),
            }
        }
        OneOrMany::Many(_) => {
            if let OneOrMany::Many(reviews) = json::payload::<Review>(bytes)? {
                out.each("", reviews, |out, review| review.read(out));
            }
        }
    }
    Ok(())
}

impl Review {
    fn read(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let id = self.review_id.clone();
        let id = id.ok_or_else(|| unknown_payload("not a Google Play review: `reviewId` is missing"))?;
        let Some(comments) = self.comments else { return self.read_scraped(&id, out) };
        if comments.is_empty() {
            return Err(missing("comments/0/userComment"));
        }
        let author = reviewer(self.author_name);
        out.each("comments", comments, |out, comment| {
            match (comment.user_comment, comment.developer_comment) {
                (Some(words), _) => words.review(&id, author.clone(), out),
                (None, Some(words)) => words.answer(&id, out),
                (None, None) => Err(missing("userComment")),
            }
        });
        Ok(())
    }

    fn read_scraped(self, id: &str, out: &mut DecodeOutput<'_>) -> Result<()> {
        let at = platform_time::required("date", self.date)?;
        let text = html::paragraphs(self.title.into_iter().chain(self.text));
        let post = Post {
            id: id.to_owned(),
            author: reviewer(self.author_name),
            text,
            url: self.url,
            stars: stars("score", self.score)?,
            edited_at: Some(at),
            ..Post::default()
        };
        out.post(Occurrence { root: id, at }, post)?;
        let likes = known_count(self.thumbs_up.or(self.thumbs_up_count));
        out.counters(
            Occurrence { root: id, at: out.arrival.max(at) },
            Counters { likes, ..Counters::default() },
        )?;
        let Some(text) = self.reply_text.filter(|text| !text.trim().is_empty()) else { return Ok(()) };
        let at = platform_time::required("replyDate", self.reply_date)?;
        answer(id, id, at, text, out)
    }
}

impl Words {
    fn review(self, id: &str, author: Option<Author>, out: &mut DecodeOutput<'_>) -> Result<()> {
        let at = self.time()?;
        // Prefers the original to the translation. A tab separates title and body.
        let text = self.original_text.or(self.text).ok_or_else(|| missing("text"))?;
        let post = Post {
            id: id.to_owned(),
            author,
            text: text.trim().replace('\t', "\n\n"),
            lang: self.reviewer_language,
            stars: stars("starRating", self.star_rating)?,
            edited_at: Some(at),
            ..Post::default()
        };
        out.post(Occurrence { root: id, at }, post)?;
        let counters = Counters { likes: known_count(self.thumbs_up_count), ..Counters::default() };
        out.counters(Occurrence { root: id, at: out.arrival.max(at) }, counters)
    }

    fn answer(self, id: &str, out: &mut DecodeOutput<'_>) -> Result<()> {
        let at = self.time()?;
        let text = self.text.ok_or_else(|| missing("text"))?;
        answer(id, id, at, text, out)
    }

    fn time(&self) -> Result<EventTime> {
        let modified = self.last_modified.ok_or_else(|| missing("lastModified"))?;
        let seconds = known_count(modified.seconds).ok_or_else(|| missing("lastModified/seconds"))?;
        let millis = known_count(modified.nanos).unwrap_or_default() / 1_000_000;
        let millis = seconds.saturating_mul(1000).saturating_add(millis);
        Ok(EventTime::from_millis(i64::try_from(millis).unwrap_or(i64::MAX)))
    }
}
