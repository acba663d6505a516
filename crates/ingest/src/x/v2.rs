//! Posts of API v2 in responses and in the filtered stream, with authors and referenced posts from their
//! expansions.

use std::collections::{BTreeMap, BTreeSet};

use firewatch_domain::{
    Author, Counters, Engagement, EngagementKind, EventTime, Post, RejectionCode as Code,
};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{language, time_of_id, unescape_text};
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_relevant, unknown_payload};
use crate::json_values::{Count, Id, OneOrMany, known_count, non_empty_id};
use crate::{Rejection, Result, platform_time};

/// A post, or another object in the `data` of a response.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    id: Option<Id>,
    text: Option<String>,
    note_tweet: Option<Note>,
    author_id: Option<Id>,
    created_at: Option<String>,
    conversation_id: Option<Id>,
    lang: Option<String>,
    referenced_tweets: Option<Vec<Reference>>,
    public_metrics: Option<Metrics>,
    #[serde(default)]
    edit_history_tweet_ids: Vec<Id>,
    /// Compliance events.
    delete: Option<Compliance>,
    drop: Option<Compliance>,
    undrop: Option<IgnoredAny>,
    withheld: Option<IgnoredAny>,
    tweet_edit: Option<IgnoredAny>,
    user_delete: Option<Compliance>,
    user_protect: Option<Compliance>,
    user_suspend: Option<Compliance>,
    user_undelete: Option<IgnoredAny>,
    user_unprotect: Option<IgnoredAny>,
    user_unsuspend: Option<IgnoredAny>,
    user_withheld: Option<IgnoredAny>,
    user_profile_modification: Option<IgnoredAny>,
    /// Fields of objects other than posts.
    username: Option<IgnoredAny>,
    tweet_count: Option<IgnoredAny>,
    value: Option<IgnoredAny>,
    media_key: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Note {
    text: String,
}

#[derive(Debug, Deserialize)]
struct Reference {
    #[serde(rename = "type")]
    kind: String,
    id: Id,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Metrics {
    retweet_count: Option<Count>,
    reply_count: Option<Count>,
    like_count: Option<Count>,
    quote_count: Option<Count>,
    impression_count: Option<Count>,
}

#[derive(Debug, Deserialize)]
struct Compliance {
    tweet: Option<Gone>,
    user: Option<Gone>,
    event_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Gone {
    id: Id,
}

/// The expansions of a response.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Includes {
    #[serde(default)]
    users: Vec<User>,
    #[serde(default)]
    tweets: Vec<Item>,
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    id: Id,
    username: Option<String>,
    verified: Option<bool>,
    public_metrics: Option<UserMetrics>,
}

#[derive(Debug, Deserialize)]
struct UserMetrics {
    followers_count: Option<Count>,
}

impl Includes {
    pub(super) fn with_users(users: Vec<User>) -> Self {
        Self { users, tweets: vec![] }
    }
}

/// The expanded accounts and posts by id, and the posts emitted so far. Each post is emitted once.
struct Context<'a> {
    users: BTreeMap<&'a str, &'a User>,
    tweets: BTreeMap<&'a str, &'a Item>,
    emitted: BTreeSet<&'a str>,
}

/// Decodes the `data` of a response.
pub(super) fn read(data: &OneOrMany<Item>, includes: &Includes, out: &mut DecodeOutput<'_>) -> Result<()> {
    let mut context = Context {
        users: includes.users.iter().map(|user| (user.id.0.as_str(), user)).collect(),
        tweets: includes
            .tweets
            .iter()
            .filter_map(|tweet| Some((tweet.id.as_ref()?.0.as_str(), tweet)))
            .collect(),
        emitted: BTreeSet::new(),
    };
    match data {
        OneOrMany::One(item) => item.read(&mut context, out),
        OneOrMany::Many(items) => {
            out.each("data", items, |out, item| item.read(&mut context, out));
            Ok(())
        }
    }
}

impl Item {
    fn read<'a>(&'a self, context: &mut Context<'a>, out: &mut DecodeOutput<'_>) -> Result<()> {
        if let Some(gone) = self.delete.as_ref().or(self.drop.as_ref()) {
            let id = gone.tweet.as_ref().map(|tweet| &tweet.id.0).ok_or_else(|| missing("tweet"))?;
            let at = platform_time::text("event_at", gone.event_at.as_deref())?;
            return out.delete(Occurrence { root: id, at }, id);
        }
        let accounts = [&self.user_delete, &self.user_protect, &self.user_suspend];
        if let Some(gone) = accounts.into_iter().flatten().next() {
            let id = gone.user.as_ref().map(|user| &user.id.0).ok_or_else(|| missing("user"))?;
            return out.delete_account(id, platform_time::text("event_at", gone.event_at.as_deref())?);
        }
        self.is_post()?;
        let id = self.id.as_ref().map(|id| id.0.as_str()).ok_or_else(|| missing("id"))?;
        if let Some(original) = self.reference("retweeted") {
            return self.reshare(id, original, context, out);
        }
        self.post(id, context, out)
    }

    /// Emits a retweet as an engagement in the original's conversation.
    fn reshare<'a>(
        &'a self,
        id: &str,
        original: &'a str,
        context: &mut Context<'a>,
        out: &mut DecodeOutput<'_>,
    ) -> Result<()> {
        let at = self.time(id)?;
        let known = context.emit_referenced(original, out);
        let root = known.map_or(original, |tweet| tweet.root(original));
        let reaction = self.reaction(EngagementKind::Reshare, context);
        out.engagement(Occurrence { root, at }, id.to_owned(), reaction)?;
        if root != original {
            return Ok(());
        }
        // On a retweet this is the count of the original.
        let reshares =
            known.is_none().then(|| known_count(self.public_metrics.and_then(|m| m.retweet_count)));
        out.counters(
            Occurrence { root, at },
            Counters { reshares: reshares.flatten(), ..Counters::default() },
        )
    }

    /// Emits a post and its counters. A quote is also an engagement with the quoted post.
    fn post<'a>(&'a self, id: &'a str, context: &mut Context<'a>, out: &mut DecodeOutput<'_>) -> Result<()> {
        if !context.emitted.insert(id) {
            return Ok(());
        }
        let (answers, quotes) = (self.reference("replied_to"), self.reference("quoted"));
        for other in [answers, quotes].into_iter().flatten() {
            context.emit_referenced(other, out);
        }
        // Each edit has a new id. The first one identifies the post.
        let first = self.edit_history_tweet_ids.first().map_or(id, |first| first.0.as_str());
        let created = self.time(id)?;
        let edited_at = (first != id).then_some(created);
        let at = edited_at.and_then(|_| time_of_id(first)).unwrap_or(created);
        let root = self.root(first);
        let text = self.note_tweet.as_ref().map(|note| &note.text).or(self.text.as_ref());
        let post = Post {
            id: first.to_owned(),
            author: self.author_id.as_ref().map(|author| context.author(&author.0)),
            text: text.map(|text| unescape_text(text)).ok_or_else(|| missing("text"))?,
            lang: language(self.lang.clone()),
            in_reply_to: answers.map(Into::into),
            quotes: quotes.map(Into::into),
            edited_at,
            ..Post::default()
        };
        let is_root = post.in_reply_to.is_none();
        out.post(Occurrence { root, at }, post)?;
        if let Some(quoted) = quotes {
            let root = context.tweets.get(quoted).map_or(quoted, |tweet| tweet.root(quoted));
            let reaction = self.reaction(EngagementKind::Quote, context);
            out.engagement(Occurrence { root, at }, format!("quote/{first}"), reaction)?;
        }
        if !is_root {
            // The counters of a reply are not those of the conversation.
            return Ok(());
        }
        out.counters(Occurrence { root, at: out.arrival }, self.public_metrics.unwrap_or_default().counters())
    }

    /// Returns the root as far as it is known.
    fn root<'a>(&'a self, id: &'a str) -> &'a str {
        let conversation_root = self.conversation_id.as_ref().map(|root| root.0.as_str());
        conversation_root.or_else(|| self.reference("replied_to")).unwrap_or(id)
    }

    fn reference(&self, kind: &str) -> Option<&str> {
        self.referenced_tweets
            .iter()
            .flatten()
            .find(|other| other.kind == kind)
            .map(|other| other.id.0.as_str())
    }

    fn time(&self, id: &str) -> Result<EventTime> {
        match (&self.created_at, time_of_id(id)) {
            (None, Some(at)) => Ok(at),
            (at, _) => platform_time::text("created_at", at.as_deref()),
        }
    }

    fn reaction(&self, kind: EngagementKind, context: &Context<'_>) -> Engagement {
        let author = self.author_id.as_ref().map(|author| context.author(&author.0));
        Engagement::new(
            kind,
            non_empty_id(self.author_id.clone()),
            author.and_then(|author| author.followers),
        )
    }

    /// Checks that the object is a post with all fields. Returns a rejection with the reason if it is not.
    fn is_post(&self) -> Result<()> {
        if self.username.is_some() {
            return Err(not_relevant("an account; no post"));
        }
        if self.tweet_count.is_some() {
            return Err(not_relevant("post counts over time; no post"));
        }
        if self.value.is_some() {
            return Err(not_relevant("a stream rule; no post"));
        }
        if self.undrop.is_some() || self.withheld.is_some() {
            return Err(not_relevant("a post is shown or withheld in some countries; the text is unchanged"));
        }
        let others = [
            &self.user_undelete,
            &self.user_unprotect,
            &self.user_unsuspend,
            &self.user_withheld,
            &self.user_profile_modification,
        ];
        if others.into_iter().any(Option::is_some) {
            return Err(not_relevant(
                "an account is restored, withheld in some countries or edited; no post",
            ));
        }
        if self.tweet_edit.is_some() {
            return Err(not_relevant(
                "a post was edited, but the payload lacks the new text; fetch the post",
            ));
        }
        if self.referenced_tweets.is_none() && self.text.as_ref().is_some_and(|text| is_retweet(text)) {
            return Err(Rejection::new(
                Code::MissingField,
                "`referenced_tweets` is missing: the post is a retweet of an unknown post; request that field",
            ));
        }
        if self.text.is_none() && (self.id.is_none() || self.media_key.is_some()) {
            return Err(unknown_payload("not a post of X: `text` and `id` are missing"));
        }
        if self.text.is_none() && self.author_id.is_none() {
            return Err(unknown_payload(
                "not a post of X: it has an `id`, but neither `text` nor `author_id`",
            ));
        }
        Ok(())
    }
}

/// Returns whether a text is that of a retweet: `RT @name: ` followed by the beginning of the original.
fn is_retweet(text: &str) -> bool {
    let name = text.strip_prefix("RT @").and_then(|rest| rest.split_once(": "));
    name.is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

impl<'a> Context<'a> {
    /// Emits a referenced post before the one that refers to it, and returns it, if the payload contains it.
    fn emit_referenced(&mut self, id: &'a str, out: &mut DecodeOutput<'_>) -> Option<&'a Item> {
        let tweet = *self.tweets.get(id)?;
        if let Err(rejection) = tweet.read(self, out) {
            out.reject(rejection.within(&format!("includes.tweets `{id}`")));
        }
        Some(tweet)
    }

    fn author(&self, id: &str) -> Author {
        let user = self.users.get(id);
        Author {
            id: id.to_owned(),
            handle: user.and_then(|user| user.username.clone()),
            followers: user.and_then(|user| known_count(user.public_metrics.as_ref()?.followers_count)),
            verified: user.and_then(|user| user.verified),
            account: None,
            ..Author::default()
        }
    }
}

impl Metrics {
    fn counters(self) -> Counters {
        Counters {
            reshares: known_count(self.retweet_count),
            replies: known_count(self.reply_count),
            quotes: known_count(self.quote_count),
            likes: known_count(self.like_count),
            // X gives 0 for unknown counts: posts before 2022, and posts of other accounts.
            views: known_count(self.impression_count).filter(|n| *n > 0),
        }
    }
}
