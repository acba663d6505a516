//! Decodes X (Twitter): responses and streams of API v2, statuses of API v1.1, and account activity webhooks.
//!
//! An id contains the time of the post (snowflake), so that a post without `created_at` still has a time. API
//! v1.1 does not name the root of a thread: a reply is assigned to the post it replies to until the root is
//! known. Direct messages, drafts and posts of protected accounts are not public.

mod activity;
mod expansions;
mod v1;
mod v2;

use firewatch_domain::EventTime;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::bad_items::ItemList;
use crate::decode_output::{DecodeOutput, not_public, not_relevant, unknown_payload};
use crate::json_values::{IfList, Items, OneOrMany};
use crate::{Rejection, Result, html, json};

/// The fields that distinguish the kinds of payload. A payload without any of them is a single post.
#[derive(Deserialize)]
struct Envelope {
    /// API v2.
    data: Option<OneOrMany<v2::Item>>,
    includes: Option<expansions::Includes>,
    errors: Option<IgnoredAny>,
    meta: Option<IgnoredAny>,
    /// An `includes` object without a response around it.
    tweets: Option<Items<v2::Item>>,
    /// Accounts; by id in webhooks about direct messages.
    users: Option<IfList<expansions::User>>,
    /// A search response of API v1.1: standard, and premium.
    statuses: Option<Items<v1::Status>>,
    results: Option<Items<v1::Status>>,
    /// Direct messages of API v1.1.
    events: Option<IgnoredAny>,
    event: Option<IgnoredAny>,
    direct_message: Option<IgnoredAny>,
    /// Messages of the API v1.1 stream.
    delete: Option<activity::Deletion>,
    /// A result of a batch compliance job.
    action: Option<String>,
    limit: Option<IgnoredAny>,
    disconnect: Option<IgnoredAny>,
    warning: Option<IgnoredAny>,
    scrub_geo: Option<IgnoredAny>,
    status_withheld: Option<IgnoredAny>,
    user_withheld: Option<IgnoredAny>,
    user_event: Option<IgnoredAny>,
    friends: Option<IgnoredAny>,
    /// Account activity webhooks.
    for_user_id: Option<IgnoredAny>,
    tweet_create_events: Option<Items<v1::Status>>,
    favorite_events: Option<Items<activity::Favorite>>,
    tweet_delete_events: Option<Items<activity::Deletion>>,
    direct_message_events: Option<IgnoredAny>,
    direct_message_indicate_typing_events: Option<IgnoredAny>,
    direct_message_mark_read_events: Option<IgnoredAny>,
    /// A conversation of an account's archive.
    #[serde(rename = "dmConversation")]
    archived_messages: Option<IgnoredAny>,
}

pub(crate) const LISTS: &[ItemList] = &[
    ItemList::of::<v1::Status>(""),
    ItemList::of::<v2::Item>("data"),
    ItemList::of::<v2::Item>("tweets"),
    ItemList::of::<expansions::User>("users"),
    ItemList::of::<v1::Status>("statuses"),
    ItemList::of::<v1::Status>("results"),
    ItemList::of::<v1::Status>("tweet_create_events"),
    ItemList::of::<activity::Favorite>("favorite_events"),
    ItemList::of::<activity::Deletion>("tweet_delete_events"),
];

/// Decodes a payload.
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
        let users = envelope.users.take().and_then(|users| users.0).unwrap_or_default();
        return v2::read(&OneOrMany::Many(tweets), &expansions::Includes::with_users(users), out);
    }
    for (place, statuses) in [("statuses", envelope.statuses.take()), ("results", envelope.results.take())] {
        if let Some(statuses) = statuses {
            out.each(place, statuses, |out, status| status.read(out));
            return Ok(());
        }
    }
    if let Some(deletion) = envelope.delete.take() {
        return deletion.read(out);
    }
    match envelope.action.as_deref() {
        None => {}
        Some("delete") => return json::one::<activity::Redaction>(bytes)?.read(out),
        Some(_) => return Err(not_relevant("a result of a compliance job that removes no post")),
    }
    if envelope.for_user_id.is_some() {
        return envelope.activity(out);
    }
    envelope.holds_a_post()?;
    read_bare(bytes, out)
}

impl Envelope {
    /// Decodes an account activity webhook.
    fn activity(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let messages = [
            &self.direct_message_events,
            &self.direct_message_indicate_typing_events,
            &self.direct_message_mark_read_events,
        ];
        if messages.into_iter().any(Option::is_some) {
            out.reject(private_message());
        }
        let has_posts = self.tweet_create_events.is_some() || self.favorite_events.is_some();
        if !has_posts && self.tweet_delete_events.is_none() && out.is_empty() {
            return Err(not_relevant("an account's follow, block or mute; no post"));
        }
        let posts = self.tweet_create_events.unwrap_or_default();
        out.each("tweet_create_events", posts, |out, status| status.read(out));
        let likes = self.favorite_events.unwrap_or_default();
        out.each("favorite_events", likes, |out, like| like.read(out));
        let gone = self.tweet_delete_events.unwrap_or_default();
        out.each("tweet_delete_events", gone, |out, gone| gone.read(out));
        Ok(())
    }

    /// Checks that the payload may be a single post. Returns a rejection with the reason if it is not.
    fn holds_a_post(&self) -> Result<()> {
        let messages = [&self.events, &self.event, &self.direct_message, &self.archived_messages];
        if messages.into_iter().any(Option::is_some) {
            return Err(private_message());
        }
        if self.errors.is_some() {
            return Err(unknown_payload("an error response of X; no post"));
        }
        if self.meta.is_some() {
            return Err(not_relevant("a response with only `meta`; no post"));
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
            &self.user_event,
            &self.friends,
        ];
        if notices.iter().any(|notice| notice.is_some()) {
            return Err(not_relevant("a stream notice; no post"));
        }
        Ok(())
    }
}

/// Decodes a single post of either API.
fn read_bare(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    if let OneOrMany::One(status) = json::payload::<v1::Status>(bytes)?
        && status.is_status()
    {
        return status.read(out);
    }
    v2::read(&OneOrMany::One(Box::new(json::one(bytes)?)), &expansions::Includes::default(), out)
}

fn private_message() -> Rejection {
    not_public("a direct message")
}

fn protected_post() -> Rejection {
    not_public("a post of a protected account")
}

/// Returns the time in a snowflake id: milliseconds since 4 November 2010, above 22 bits of machine and
/// sequence. Earlier ids are plain sequence numbers without a time. Source: X's announcement of snowflake,
/// 2010.
fn time_of_id(id: &str) -> Option<EventTime> {
    const EPOCH: i64 = 1_288_834_974_657;
    const FIRST: i64 = 29_700_859_247;
    let id: i64 = id.parse().ok()?;
    (id >= FIRST).then(|| EventTime::from_millis((id >> 22) + EPOCH))
}

/// Returns the address of a post; without a handle X redirects to it.
fn post_url(handle: Option<&str>, id: &str) -> String {
    format!("https://x.com/{}/status/{id}", handle.unwrap_or("i"))
}

fn account_url(handle: Option<&str>) -> Option<String> {
    handle.map(|handle| format!("https://x.com/{handle}"))
}

/// Decodes a post's text, in which X escapes `&`, `<` and `>`.
fn unescape_text(text: &str) -> String {
    html::unescaped(text).into_owned()
}

/// Returns a known language. X uses `und` for an undetermined language, `zxx` for none, and `q..` for posts
/// without text, such as links only.
fn language(lang: Option<String>) -> Option<String> {
    lang.filter(|lang| lang != "und" && lang != "zxx" && !lang.starts_with('q'))
}
