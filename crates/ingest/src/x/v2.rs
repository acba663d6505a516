//! Posts of API v2 in responses and in the filtered stream, with authors and referenced posts from their
//! expansions.

use std::collections::{BTreeMap, BTreeSet};

use firewatch_domain::{
    Author, Counters, Engagement, EngagementKind, EventTime, Post, RejectionCode as Code,
};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{account_url, language, post_url, private_message, protected_post, time_of_id, unescape_text};
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Count, Id, Items, OneOrMany, known_count};
use crate::{Rejection, Result, platform_time};

/// A post, or another object in the `data` of a response.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    id: Option<Id>,
    text: Option<String>,
    note_tweet: Option<Note>,
    author_id: Option<Id>,
    /// The account itself, as twarc puts it into a post.
    author: Option<Box<User>>,
    created_at: Option<String>,
    conversation_id: Option<Id>,
    lang: Option<String>,
    /// How another post refers to this one.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Posts that this one refers to: the id with the kind; from twarc with all their fields.
    referenced_tweets: Option<Vec<Item>>,
    public_metrics: Option<Metrics>,
    #[serde(default)]
    edit_history_tweet_ids: Vec<Id>,
    /// Fields of direct messages and of drafts.
    event_type: Option<IgnoredAny>,
    dm_conversation_id: Option<IgnoredAny>,
    sender_id: Option<IgnoredAny>,
    sender: Option<IgnoredAny>,
    recipient: Option<IgnoredAny>,
    participant_ids: Option<IgnoredAny>,
    scheduled_at: Option<IgnoredAny>,
    scheduled_status: Option<IgnoredAny>,
    user_id: Option<IgnoredAny>,
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
    users: Items<User>,
    #[serde(default)]
    tweets: Items<Item>,
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    id: Id,
    username: Option<String>,
    verified: Option<bool>,
    protected: Option<bool>,
    public_metrics: Option<UserMetrics>,
}

#[derive(Debug, Deserialize)]
struct UserMetrics {
    followers_count: Option<Count>,
}

impl Includes {
    pub(super) fn with_users(users: Items<User>) -> Self {
        Self { users, tweets: Items::default() }
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
        tweets: BTreeMap::new(),
        emitted: BTreeSet::new(),
    };
    includes.tweets.iter().for_each(|tweet| context.add_tweet(tweet));
    match data {
        OneOrMany::One(item) => {
            context.add_contained(item);
            item.read(&mut context, out)
        }
        OneOrMany::Many(items) => {
            items.iter().for_each(|item| context.add_contained(item));
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
        self.is_public_post(context)?;
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
            author: self.author_id().map(|author| context.author(author)),
            text: text.map(|text| unescape_text(text)).ok_or_else(|| missing("text"))?,
            lang: language(self.lang.clone()),
            in_reply_to: answers.map(Into::into),
            quotes: quotes.map(Into::into),
            url: Some(post_url(context.handle(self.author_id()), first)),
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
            .find(|other| other.kind.as_deref() == Some(kind))
            .and_then(|other| other.id.as_ref())
            .map(|id| id.0.as_str())
    }

    fn author_id(&self) -> Option<&str> {
        let contained = self.author.as_ref().map(|author| &author.id);
        self.author_id
            .as_ref()
            .or(contained)
            .map(|id| id.0.as_str())
            .filter(|id| !id.is_empty() && *id != "0")
    }

    fn time(&self, id: &str) -> Result<EventTime> {
        match (&self.created_at, time_of_id(id)) {
            (None, Some(at)) => Ok(at),
            (at, _) => platform_time::text("created_at", at.as_deref()),
        }
    }

    fn reaction(&self, kind: EngagementKind, context: &Context<'_>) -> Engagement {
        let author = self.author_id().map(|author| context.author(author));
        let followers = author.and_then(|author| author.followers);
        Engagement::new(kind, self.author_id().map(Into::into), followers)
    }

    /// Checks that the object is a post with all fields that everybody may read. Returns a rejection with the
    /// reason if it is not.
    fn is_public_post(&self, context: &Context<'_>) -> Result<()> {
        let of_messages = [
            &self.event_type,
            &self.dm_conversation_id,
            &self.sender_id,
            &self.sender,
            &self.recipient,
            &self.participant_ids,
        ];
        if of_messages.into_iter().any(Option::is_some) {
            return Err(private_message());
        }
        let of_drafts = [&self.scheduled_at, &self.scheduled_status, &self.user_id];
        if of_drafts.into_iter().any(Option::is_some) && self.author_id().is_none() {
            return Err(not_public("a draft"));
        }
        let author = self.author_id().and_then(|id| context.users.get(id));
        if author.is_some_and(|author| author.protected == Some(true)) {
            return Err(protected_post());
        }
        self.is_post()
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
    fn add_tweet(&mut self, tweet: &'a Item) {
        if let Some(id) = &tweet.id {
            self.tweets.insert(&id.0, tweet);
        }
        self.add_contained(tweet);
    }

    /// Adds the author and the posts that a post contains.
    fn add_contained(&mut self, item: &'a Item) {
        if let Some(author) = &item.author {
            self.users.insert(&author.id.0, author);
        }
        let referenced = item.referenced_tweets.iter().flatten().filter(|other| other.text.is_some());
        referenced.for_each(|other| self.add_tweet(other));
    }

    /// Emits a referenced post before the one that refers to it, and returns it, if the payload contains it.
    fn emit_referenced(&mut self, id: &'a str, out: &mut DecodeOutput<'_>) -> Option<&'a Item> {
        let tweet = *self.tweets.get(id)?;
        if let Err(rejection) = tweet.read(self, out) {
            out.reject(rejection.about(&format!("the post `{id}` that it refers to")));
        }
        Some(tweet)
    }

    fn handle(&self, author: Option<&str>) -> Option<&str> {
        self.users.get(author?)?.username.as_deref()
    }

    fn author(&self, id: &str) -> Author {
        let user = self.users.get(id);
        Author {
            id: id.to_owned(),
            handle: user.and_then(|user| user.username.clone()),
            url: account_url(self.handle(Some(id))),
            followers: user.and_then(|user| known_count(user.public_metrics.as_ref()?.followers_count)),
            verified: user.and_then(|user| user.verified),
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
