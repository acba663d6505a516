//! Decodes app reviews: Google Play and the App Store.
//!
//! A conversation is a review with the developer's response. A review may be rewritten under the same id at
//! any time, and only its last change has a time. Reviewers have at most a nickname; there are no reshares
//! and no followers.

use firewatch_domain::{Author, BrandReply, Counters, EventTime, Post};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, unknown_payload};
use crate::json_values::{Count, OneOrMany, known_count};
use crate::{Result, json, platform_time};

/// The account of a developer's response, because the stores do not name one.
const DEVELOPER: &str = "developer";

/// A Google Play review, or a page of reviews.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GooglePlayPage {
    reviews: Option<Vec<GooglePlayPage>>,
    review_id: Option<String>,
    #[serde(default)]
    comments: Vec<Comment>,
    token_pagination: Option<IgnoredAny>,
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
    reviewer_language: Option<String>,
    thumbs_up_count: Option<Count>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Modified {
    seconds: Option<Count>,
    nanos: Option<Count>,
}

/// Decodes a Google Play payload.
pub(crate) fn decode_google_play(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    match json::payload::<GooglePlayPage>(bytes)? {
        OneOrMany::One(page) if page.reviews.is_some() || page.token_pagination.is_some() => {
            out.each("reviews", page.reviews.unwrap_or_default(), |out, review| review.read(out));
            Ok(())
        }
        OneOrMany::One(review) => review.read(out),
        OneOrMany::Many(reviews) => {
            out.each("", reviews, |out, review| review.read(out));
            Ok(())
        }
    }
}

impl GooglePlayPage {
    fn read(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let id = self
            .review_id
            .ok_or_else(|| unknown_payload("not a Google Play review: `reviewId` is missing"))?;
        out.each("comments", self.comments, |out, comment| {
            match (comment.user_comment, comment.developer_comment) {
                (Some(words), _) => words.review(&id, out),
                (None, Some(words)) => words.answer(&id, out),
                (None, None) => Err(missing("userComment")),
            }
        });
        Ok(())
    }
}

impl Words {
    fn review(self, id: &str, out: &mut DecodeOutput<'_>) -> Result<()> {
        let at = self.time()?;
        // Prefers the original to the translation. A tab separates title and body.
        let text = self.original_text.or(self.text).ok_or_else(|| missing("text"))?;
        let post = Post {
            id: id.to_owned(),
            text: text.trim().replace('\t', "\n\n"),
            lang: self.reviewer_language,
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
        let reply = BrandReply { account: DEVELOPER.into(), text };
        out.brand_reply(Occurrence { root: id, at }, format!("{id}/answer/{}", at.as_millis()), reply)
    }

    fn time(&self) -> Result<EventTime> {
        let modified = self.last_modified.ok_or_else(|| missing("lastModified"))?;
        let seconds = known_count(modified.seconds).ok_or_else(|| missing("lastModified.seconds"))?;
        let millis = known_count(modified.nanos).unwrap_or_default() / 1_000_000;
        let millis = seconds.saturating_mul(1000).saturating_add(millis);
        Ok(EventTime::from_millis(i64::try_from(millis).unwrap_or(i64::MAX)))
    }
}

/// An App Store review or a page of reviews, with responses in `included`.
#[derive(Debug, Deserialize)]
struct AppStorePage {
    data: Option<OneOrMany<Resource>>,
    #[serde(default)]
    included: Vec<Resource>,
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
    title: Option<String>,
    body: Option<String>,
    reviewer_nickname: Option<String>,
    created_date: Option<String>,
    /// Fields of a response.
    response_body: Option<String>,
    last_modified_date: Option<String>,
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

/// Decodes an App Store payload.
pub(crate) fn decode_app_store(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let OneOrMany::One(page) = json::payload::<AppStorePage>(bytes)? else {
        return Err(unknown_payload("a list; give the App Store Connect response as it is"));
    };
    let Some(data) = page.data else {
        let what = if page.errors.is_some() { "an error response" } else { "`data` is missing" };
        return Err(unknown_payload(&format!("not App Store reviews: {what}")));
    };
    let reviews = match data {
        OneOrMany::One(review) => vec![*review],
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
                self.answer(&review.ok_or_else(|| missing("relationships.review.data.id"))?, out)
            }
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
        let text = match attributes.title.filter(|title| !title.is_empty()) {
            Some(title) => format!("{title}\n\n{body}"),
            None => body,
        };
        // A nickname is not an account id, but the only way to distinguish reviewers.
        let author = attributes.reviewer_nickname.filter(|name| !name.trim().is_empty());
        let author = author.map(|name| Author { id: name, ..Author::default() });
        let post = Post { id: id.clone(), author, text, edited_at: Some(at), ..Post::default() };
        out.post(Occurrence { root: &id, at }, post)
    }

    fn answer(self, review: &str, out: &mut DecodeOutput<'_>) -> Result<()> {
        let id = self.id.ok_or_else(|| missing("id"))?;
        let attributes = self.attributes.ok_or_else(|| missing("attributes"))?;
        let at = platform_time::text("lastModifiedDate", attributes.last_modified_date.as_deref())?;
        let text = attributes.response_body.ok_or_else(|| missing("responseBody"))?;
        let reply = BrandReply { account: DEVELOPER.into(), text };
        out.brand_reply(Occurrence { root: review, at }, format!("{id}/answer/{}", at.as_millis()), reply)
    }
}
