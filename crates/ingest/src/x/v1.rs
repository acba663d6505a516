//! Statuses of API v1.1, as contained in searches, streams and webhooks.

use firewatch_domain::{Author, Counters, Engagement, EngagementKind, EventTime, Post};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{account_url, language, post_url, private_message, protected_post, time_of_id, unescape_text};
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, unknown_payload};
use crate::json_values::{Count, Id, IfObject, Items, known_count, non_empty_id};
use crate::{Result, html, platform_time};

/// A post. A retweeted or quoted post is nested.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    id: Option<Id>,
    id_str: Option<Id>,
    created_at: Option<String>,
    timestamp_ms: Option<Count>,
    text: Option<String>,
    full_text: Option<String>,
    extended_entities: Option<IfObject<Entities>>,
    extended_tweet: Option<Extended>,
    user: Option<User>,
    lang: Option<String>,
    in_reply_to_status_id: Option<Id>,
    in_reply_to_status_id_str: Option<Id>,
    retweeted_status: Option<Box<Status>>,
    quoted_status: Option<Box<Status>>,
    quoted_status_id_str: Option<Id>,
    retweet_count: Option<Count>,
    favorite_count: Option<Count>,
    reply_count: Option<Count>,
    quote_count: Option<Count>,
    /// Fields of direct messages.
    sender: Option<IgnoredAny>,
    sender_id: Option<IgnoredAny>,
    recipient: Option<IgnoredAny>,
    recipient_id: Option<IgnoredAny>,
    message_create: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Entities {
    #[serde(default)]
    media: Items<Media>,
}

#[derive(Debug, Deserialize)]
struct Media {
    /// What a picture shows.
    ext_alt_text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Extended {
    full_text: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct User {
    id: Option<Id>,
    id_str: Option<Id>,
    screen_name: Option<String>,
    followers_count: Option<Count>,
    verified: Option<bool>,
    protected: Option<bool>,
}

impl Status {
    /// Returns whether the object has the fields of a status.
    pub(super) fn is_status(&self) -> bool {
        self.id_str.is_some() || self.user.is_some() || self.message_create.is_some()
    }

    /// Decodes the status, after the retweeted status if there is one.
    pub(super) fn read(&self, out: &mut DecodeOutput<'_>) -> Result<()> {
        if let Err(rejection) = self.is_public() {
            // Who may see a retweet has nothing to do with the original.
            if let Some(original) = &self.retweeted_status {
                original.post_within("retweeted_status", self.time()?, out);
            }
            return Err(rejection);
        }
        let (id, at) = (self.id()?, self.time()?);
        if let Some(original) = &self.retweeted_status {
            original.post_within("retweeted_status", at, out);
            let root = original.root()?;
            return out.engagement(
                Occurrence { root, at },
                id.to_owned(),
                self.reaction(EngagementKind::Reshare),
            );
        }
        self.post(out.arrival, out)
    }

    /// Checks that the object is a post that everybody may read.
    fn is_public(&self) -> Result<()> {
        let of_messages =
            [&self.sender, &self.sender_id, &self.recipient, &self.recipient_id, &self.message_create];
        if of_messages.into_iter().any(Option::is_some) {
            return Err(private_message());
        }
        if !self.is_status() {
            return Err(unknown_payload("not a status of X: `id_str` and `user` are missing"));
        }
        if self.user.as_ref().is_some_and(|user| user.protected == Some(true)) {
            return Err(protected_post());
        }
        Ok(())
    }

    /// Emits a post that another one contains. A rejected one does not affect the other.
    fn post_within(&self, step: &str, counted_at: EventTime, out: &mut DecodeOutput<'_>) {
        if let Err(rejection) = self.is_public().and_then(|()| self.post(counted_at, out)) {
            out.reject(rejection.within(step));
        }
    }

    /// Emits a post and its counters as of `counted_at`.
    fn post(&self, counted_at: EventTime, out: &mut DecodeOutput<'_>) -> Result<()> {
        let (id, at) = (self.id()?, self.time()?);
        if let Some(quoted) = &self.quoted_status {
            quoted.post_within("quoted_status", at, out);
        }
        let quotes = self.quoted().transpose()?;
        let post = Post {
            id: id.to_owned(),
            author: self.user.as_ref().and_then(User::author),
            text: self.full_text().ok_or_else(|| missing("text"))?,
            lang: language(self.lang.clone()),
            in_reply_to: self.answers().map(Into::into),
            quotes: quotes.map(Into::into),
            url: Some(post_url(self.user.as_ref().and_then(|user| user.screen_name.as_deref()), id)),
            ..Post::default()
        };
        let root = self.root()?;
        out.post(Occurrence { root, at }, post)?;
        if let Some(quoted) = quotes {
            let root = self.quoted_status.as_ref().map_or(Ok(quoted), |quoted| quoted.root())?;
            out.engagement(
                Occurrence { root, at },
                format!("quote/{id}"),
                self.reaction(EngagementKind::Quote),
            )?;
        }
        if self.answers().is_some() {
            // The counters of a reply are not those of the conversation.
            return Ok(());
        }
        out.counters(Occurrence { root, at: counted_at.max(at) }, self.counters())
    }

    /// Returns the id, preferring the string, because some recorders rounded the number.
    pub(super) fn id(&self) -> Result<&str> {
        self.id_str.as_ref().or(self.id.as_ref()).map(|id| id.0.as_str()).ok_or_else(|| missing("id_str"))
    }

    /// Returns the root as far as it is known: the post it replies to, otherwise itself.
    pub(super) fn root(&self) -> Result<&str> {
        self.answers().map_or_else(|| self.id(), Ok)
    }

    fn answers(&self) -> Option<&str> {
        let id = self.in_reply_to_status_id_str.as_ref().or(self.in_reply_to_status_id.as_ref());
        id.map(|id| id.0.as_str())
    }

    fn quoted(&self) -> Option<Result<&str>> {
        match (&self.quoted_status, &self.quoted_status_id_str) {
            (Some(quoted), _) => Some(quoted.id()),
            (None, id) => id.as_ref().map(|id| Ok(id.0.as_str())),
        }
    }

    fn time(&self) -> Result<EventTime> {
        if let Some(at) = platform_time::millis(self.timestamp_ms) {
            return Ok(at);
        }
        match (&self.created_at, time_of_id(self.id()?)) {
            (None, Some(at)) => Ok(at),
            (at, _) => platform_time::text("created_at", at.as_deref()),
        }
    }

    /// Returns the longest available version of the text.
    fn full_text(&self) -> Option<String> {
        let extended = self.extended_tweet.as_ref().map(|extended| &extended.full_text);
        let text = extended.or(self.full_text.as_ref()).or(self.text.as_ref())?;
        let media =
            self.extended_entities.iter().flat_map(|all| all.0.iter()).flat_map(|all| all.media.iter());
        let descriptions = media.filter_map(|media| media.ext_alt_text.clone());
        Some(html::paragraphs([unescape_text(text)].into_iter().chain(descriptions)))
    }

    fn reaction(&self, kind: EngagementKind) -> Engagement {
        self.user.as_ref().map_or(Engagement::new(kind, None, None), |user| user.reaction(kind))
    }

    fn counters(&self) -> Counters {
        Counters {
            reshares: known_count(self.retweet_count),
            replies: known_count(self.reply_count),
            quotes: known_count(self.quote_count),
            likes: known_count(self.favorite_count),
            views: None,
        }
    }
}

impl User {
    fn id(&self) -> Option<String> {
        non_empty_id(self.id_str.clone().or_else(|| self.id.clone()))
    }

    fn author(&self) -> Option<Author> {
        Some(Author {
            id: self.id()?,
            handle: self.screen_name.clone(),
            url: account_url(self.screen_name.as_deref()),
            followers: known_count(self.followers_count),
            verified: self.verified,
            ..Author::default()
        })
    }

    /// Returns an engagement by this user.
    pub(super) fn reaction(&self, kind: EngagementKind) -> Engagement {
        Engagement::new(kind, self.id(), known_count(self.followers_count))
    }
}
