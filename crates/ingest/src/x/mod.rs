//! X (Twitter): API v2 answers and streams, the first API's statuses, and account activity webhooks.
//!
//! Ids hold the time of a post (a snowflake), so a post without `created_at` still has its time. The first API does not tell
//! the root of a thread: an answer belongs to what it answers, until more is known.

mod activity;
mod v1;
mod v2;

use firewatch_domain::EventTime;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::decode_output::{DecodeOutput, not_relevant, unknown_payload};
use crate::json_values::OneOrMany;
use crate::{Result, html, json};

/// What tells the kinds of payload apart. One that has none of these is a post by itself.
#[derive(Deserialize)]
struct Envelope {
    /// API v2.
    data: Option<OneOrMany<v2::Item>>,
    includes: Option<v2::Includes>,
    errors: Option<IgnoredAny>,
    meta: Option<IgnoredAny>,
    /// An `includes` object by itself.
    tweets: Option<Vec<v2::Item>>,
    users: Option<Vec<v2::User>>,
    /// A search of the first API.
    statuses: Option<Vec<v1::Status>>,
    /// Its stream.
    delete: Option<activity::Deletion>,
    limit: Option<IgnoredAny>,
    disconnect: Option<IgnoredAny>,
    warning: Option<IgnoredAny>,
    scrub_geo: Option<IgnoredAny>,
    status_withheld: Option<IgnoredAny>,
    user_withheld: Option<IgnoredAny>,
    friends: Option<IgnoredAny>,
    /// Account activity.
    for_user_id: Option<IgnoredAny>,
    tweet_create_events: Option<Vec<v1::Status>>,
    favorite_events: Option<Vec<activity::Favorite>>,
    tweet_delete_events: Option<Vec<activity::Deletion>>,
}

/// Reads a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let OneOrMany::One(envelope) = json::payload::<Envelope>(bytes)? else {
        if let OneOrMany::Many(statuses) = json::payload::<v1::Status>(bytes)? {
            out.each("", statuses, |out, status| status.read(out));
        }
        return Ok(());
    };
    let mut envelope = *envelope;
    if let Some(data) = envelope.data.take() {
        return v2::read(&data, &envelope.includes.take().unwrap_or_default(), out);
    }
    if let Some(tweets) = envelope.tweets.take() {
        let users = envelope.users.take().unwrap_or_default();
        return v2::read(&OneOrMany::Many(tweets), &v2::Includes::with_users(users), out);
    }
    if let Some(statuses) = envelope.statuses.take() {
        out.each("statuses", statuses, |out, status| status.read(out));
        return Ok(());
    }
    if let Some(deletion) = envelope.delete.take() {
        return deletion.read(out);
    }
    if envelope.for_user_id.is_some() {
        return envelope.activity(out);
    }
    envelope.holds_a_post()?;
    read_bare(bytes, out)
}

impl Envelope {
    /// What happened to an account that is subscribed to.
    fn activity(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let has_posts = self.tweet_create_events.is_some() || self.favorite_events.is_some();
        if !has_posts && self.tweet_delete_events.is_none() {
            return Err(not_relevant("an account's follow, block, mute or direct message; no public post"));
        }
        let posts = self.tweet_create_events.unwrap_or_default();
        out.each("tweet_create_events", posts, |out, status| status.read(out));
        let likes = self.favorite_events.unwrap_or_default();
        out.each("favorite_events", likes, |out, like| like.read(out));
        let gone = self.tweet_delete_events.unwrap_or_default();
        out.each("tweet_delete_events", gone, |out, gone| gone.read(out));
        Ok(())
    }

    /// Whether it may be a post by itself, or why it is none.
    fn holds_a_post(&self) -> Result<()> {
        if self.errors.is_some() {
            return Err(unknown_payload("the answer is an error of the platform's and holds no post"));
        }
        if self.meta.is_some() {
            return Err(not_relevant("an answer of `meta` alone; no post"));
        }
        if self.users.is_some() {
            return Err(not_relevant("accounts; no post"));
        }
        let notices = [
            &self.limit,
            &self.disconnect,
            &self.warning,
            &self.scrub_geo,
            &self.status_withheld,
            &self.user_withheld,
            &self.friends,
        ];
        if notices.iter().any(|notice| notice.is_some()) {
            return Err(not_relevant("a notice of the stream's; no post"));
        }
        Ok(())
    }
}

/// A post by itself, of either API.
fn read_bare(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    if let OneOrMany::One(status) = json::payload::<v1::Status>(bytes)?
        && status.is_status()
    {
        return status.read(out);
    }
    v2::read(&OneOrMany::One(Box::new(json::one(bytes)?)), &v2::Includes::default(), out)
}

/// The time in a post's id: milliseconds since 4 November 2010, above 22 bits of machine and sequence. Earlier ids are
/// plain numbers and hold none. Source: X's announcement of snowflake, 2010.
fn time_of_id(id: &str) -> Option<EventTime> {
    const EPOCH: i64 = 1_288_834_974_657;
    const FIRST: i64 = 29_700_859_247;
    let id: i64 = id.parse().ok()?;
    (id >= FIRST).then(|| EventTime::from_millis((id >> 22) + EPOCH))
}

/// What was written: X escapes `&`, `<` and `>`.
fn unescape_text(text: &str) -> String {
    html::unescaped(text).into_owned()
}

/// A language that was told: `und` is one that X could not determine, `zxx` none, and `q..` marks posts of nothing but links.
fn language(lang: Option<String>) -> Option<String> {
    lang.filter(|lang| lang != "und" && lang != "zxx" && !lang.starts_with('q'))
}
