//! The expansions of a response of API v2: accounts, posts, polls and media, by id.

use std::collections::{BTreeMap, BTreeSet};

use firewatch_domain::{Author, Counters};
use serde::Deserialize;

use super::account_url;
use super::v2::Item;
use crate::decode_output::DecodeOutput;
use crate::json_values::{Count, Id, IfObject, Items, known_count};

/// The expansions of a response.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Includes {
    #[serde(default)]
    users: Items<User>,
    #[serde(default)]
    tweets: Items<Item>,
    #[serde(default)]
    polls: Items<Poll>,
    #[serde(default)]
    media: Items<Media>,
}

#[derive(Debug, Deserialize)]
struct Poll {
    id: Id,
    #[serde(default)]
    options: Items<PollOption>,
}

#[derive(Debug, Deserialize)]
struct PollOption {
    label: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Media {
    media_key: Id,
    alt_text: Option<String>,
}

/// What is attached to a post, by id.
#[derive(Debug, Deserialize)]
pub(super) struct Attachments {
    #[serde(default)]
    poll_ids: Items<Id>,
    #[serde(default)]
    media_keys: Items<Id>,
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub id: Id,
    username: Option<String>,
    verified: Option<bool>,
    pub protected: Option<bool>,
    public_metrics: Option<IfObject<UserMetrics>>,
}

#[derive(Debug, Deserialize)]
struct UserMetrics {
    followers_count: Option<Count>,
}

impl Includes {
    pub(super) fn with_users(users: Items<User>) -> Self {
        Self { users, ..Self::default() }
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Metrics {
    pub retweet_count: Option<Count>,
    reply_count: Option<Count>,
    like_count: Option<Count>,
    quote_count: Option<Count>,
    impression_count: Option<Count>,
}

/// The expanded accounts and posts by id, and the posts emitted so far. Each post is emitted once.
#[derive(Default)]
pub(super) struct Context<'a> {
    pub users: BTreeMap<&'a str, &'a User>,
    pub tweets: BTreeMap<&'a str, &'a Item>,
    polls: BTreeMap<&'a str, &'a Poll>,
    media: BTreeMap<&'a str, &'a Media>,
    pub emitted: BTreeSet<&'a str>,
    /// An account of the payload cannot be read, so that nobody knows whether it is protected.
    pub has_unread_users: bool,
}

impl<'a> Context<'a> {
    /// Adds everything that a response contains.
    pub fn add(&mut self, includes: &'a Includes) {
        self.users.extend(includes.users.iter().map(|user| (user.id.0.as_str(), user)));
        self.polls.extend(includes.polls.iter().map(|poll| (poll.id.0.as_str(), poll)));
        self.media.extend(includes.media.iter().map(|media| (media.media_key.0.as_str(), media)));
        self.has_unread_users |= includes.users.has_gaps();
        includes.tweets.iter().for_each(|tweet| self.add_tweet(tweet));
    }

    /// Returns the options of polls and the descriptions of pictures that are attached to a post.
    pub fn attached_texts(&self, attachments: Option<&Attachments>) -> Vec<String> {
        let polls = attachments.into_iter().flat_map(|all| all.poll_ids.iter());
        let polls = polls.filter_map(|id| self.polls.get(id.0.as_str()));
        let options = polls.flat_map(|poll| poll.options.iter()).filter_map(|option| option.label.clone());
        let media = attachments.into_iter().flat_map(|all| all.media_keys.iter());
        let media = media.filter_map(|key| self.media.get(key.0.as_str())?.alt_text.clone());
        options.chain(media).collect()
    }

    fn add_tweet(&mut self, tweet: &'a Item) {
        if let Some(id) = &tweet.id {
            self.tweets.insert(&id.0, tweet);
        }
        self.add_contained(tweet);
    }

    /// Adds the author and the posts that a post contains.
    pub fn add_contained(&mut self, item: &'a Item) {
        if let Some(author) = &item.author {
            self.users.insert(&author.id.0, author);
        }
        if let Some(includes) = &item.includes {
            self.add(includes);
        }
        let referenced = item.referenced_tweets.iter().flatten().filter(|other| other.text.is_some());
        referenced.for_each(|other| self.add_tweet(other));
    }

    /// Emits a referenced post before the one that refers to it, and returns it, if the payload contains it.
    pub fn emit_referenced(&mut self, id: &'a str, out: &mut DecodeOutput<'_>) -> Option<&'a Item> {
        let tweet = *self.tweets.get(id)?;
        if let Err(rejection) = tweet.read(self, out) {
            out.reject(rejection.about(&format!("the post `{id}` that it refers to")));
        }
        Some(tweet)
    }

    pub fn handle(&self, author: Option<&str>) -> Option<&str> {
        self.users.get(author?)?.username.as_deref()
    }

    pub fn author(&self, id: &str) -> Author {
        let user = self.users.get(id);
        Author {
            id: id.to_owned(),
            handle: user.and_then(|user| user.username.clone()),
            url: account_url(self.handle(Some(id))),
            followers: user
                .and_then(|user| known_count(user.public_metrics.as_ref()?.0.as_ref()?.followers_count)),
            verified: user.and_then(|user| user.verified),
            ..Author::default()
        }
    }
}

impl Metrics {
    pub fn counters(self) -> Counters {
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
