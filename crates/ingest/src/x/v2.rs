//! Posts of API v2 in responses, in the filtered stream and in the activity of an account.

use firewatch_domain::{Counters, Engagement, EngagementKind, EventTime, Post, RejectionCode as Code};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::expansions::{Attachments, Context, Includes, Metrics, User};
use super::{language, post_url, private_message, protected_post, time_of_id, unescape_text};
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Id, IfObject, Items, OneOrMany, known_count};
use crate::{Rejection, Result, html, platform_time};

/// A post, or another object in the `data` of a response.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) id: Option<Id>,
    pub(super) text: Option<String>,
    note_tweet: Option<Note>,
    author_id: Option<Id>,
    /// The account itself, as twarc puts it into a post.
    pub(super) author: Option<Box<User>>,
    created_at: Option<String>,
    conversation_id: Option<Id>,
    lang: Option<String>,
    /// How another post refers to this one.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Posts that this one refers to: the id with the kind; from twarc with all their fields.
    pub(super) referenced_tweets: Option<Vec<Item>>,
    public_metrics: Option<Metrics>,
    #[serde(default)]
    edit_history_tweet_ids: Items<Id>,
    attachments: Option<IfObject<Attachments>>,
    article: Option<IfObject<Article>>,
    /// An event of an account's activity: its kind and content, with expansions of its own.
    event_uuid: Option<IgnoredAny>,
    payload: Option<Box<Item>>,
    pub(super) includes: Option<Box<Includes>>,
    /// Fields of direct messages and of drafts.
    event_type: Option<Value>,
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
    undrop: Option<Compliance>,
    withheld: Option<IgnoredAny>,
    tweet_edit: Option<IgnoredAny>,
    user_delete: Option<Compliance>,
    user_protect: Option<Compliance>,
    user_suspend: Option<Compliance>,
    user_undelete: Option<Compliance>,
    user_unprotect: Option<Compliance>,
    user_unsuspend: Option<Compliance>,
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
struct Article {
    title: Option<String>,
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

/// Decodes the `data` of a response.
pub(super) fn read(data: &OneOrMany<Item>, includes: &Includes, out: &mut DecodeOutput<'_>) -> Result<()> {
    let mut context = Context::default();
    context.add(includes);
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
    pub(super) fn read<'a>(&'a self, context: &mut Context<'a>, out: &mut DecodeOutput<'_>) -> Result<()> {
        if self.event_uuid.is_some() {
            return self.activity(context, out);
        }
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
        self.note_restored(out)?;
        if let Err(rejection) = self.is_public_post(context) {
            // Who may see a retweet has nothing to do with the original.
            if rejection.code == Code::NotPublic
                && let Some(original) = self.reference("retweeted")
            {
                context.emit_referenced(original, out);
            }
            return Err(rejection);
        }
        let id = self.id.as_ref().map(|id| id.0.as_str()).ok_or_else(|| missing("id"))?;
        if let Some(original) = self.reference("retweeted") {
            return self.reshare(id, original, context, out);
        }
        self.post(id, context, out)
    }

    /// Notes that a post or an account is public again.
    fn note_restored(&self, out: &mut DecodeOutput<'_>) -> Result<()> {
        if let Some(back) = &self.undrop {
            let id = back.tweet.as_ref().map(|tweet| &tweet.id.0).ok_or_else(|| missing("tweet"))?;
            out.shown(id, platform_time::text("event_at", back.event_at.as_deref())?);
            return Err(not_relevant("a post is public again; it is read when it comes again"));
        }
        let accounts = [&self.user_undelete, &self.user_unprotect, &self.user_unsuspend];
        if let Some(back) = accounts.into_iter().flatten().next() {
            let id = back.user.as_ref().map(|user| &user.id.0).ok_or_else(|| missing("user"))?;
            out.restored_account(id, platform_time::text("event_at", back.event_at.as_deref())?);
            return Err(not_relevant("an account is public again; its posts are read when they come again"));
        }
        Ok(())
    }

    /// Emits the post of an event of an account's activity, or its deletion.
    fn activity<'a>(&'a self, context: &mut Context<'a>, out: &mut DecodeOutput<'_>) -> Result<()> {
        let kind = self.event_type.as_ref().and_then(Value::as_str).unwrap_or_default();
        let payload = self.payload.as_deref();
        if kind.starts_with("dm.") || kind.starts_with("chat.") {
            return Err(private_message());
        }
        match payload.filter(|_| kind.starts_with("post.")) {
            Some(gone) if kind == "post.delete" => {
                let id = gone.id.as_ref().map(|id| &id.0).ok_or_else(|| missing("payload.id"))?;
                out.delete(Occurrence { root: id, at: out.arrival }, id)
            }
            Some(post) if post.text.is_some() => {
                context.add_contained(post);
                post.read(context, out).map_err(|e| e.within("payload"))
            }
            _ => Err(not_relevant("an account's activity; no post")),
        }
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
        let first = self.edit_history_tweet_ids.iter().next().map_or(id, |first| first.0.as_str());
        let created = self.time(id)?;
        let versions = self.edit_history_tweet_ids.iter().skip(1);
        versions.for_each(|version| out.version(&version.0, first, created));
        let edited_at = (first != id).then_some(created);
        let at = edited_at.and_then(|_| time_of_id(first)).unwrap_or(created);
        let root = self.root(first);
        let post = Post {
            id: first.to_owned(),
            author: self.author_id().map(|author| context.author(author)),
            text: self.full_text(context).ok_or_else(|| missing("text"))?,
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

    /// Returns the text with the title of an article, the options of a poll and the descriptions of pictures.
    fn full_text(&self, context: &Context<'_>) -> Option<String> {
        let text = self.note_tweet.as_ref().map(|note| &note.text).or(self.text.as_ref())?;
        let article = self.article.as_ref().and_then(|article| article.0.as_ref()?.title.clone());
        let attachments = self.attachments.as_ref().and_then(|attachments| attachments.0.as_ref());
        let more = article.into_iter().chain(context.attached_texts(attachments));
        Some(html::paragraphs([unescape_text(text)].into_iter().chain(more)))
    }

    /// Returns the root as far as it is known. A later version of a root may name itself.
    fn root<'a>(&'a self, first: &'a str) -> &'a str {
        let conversation_root = self.conversation_id.as_ref().map(|root| root.0.as_str());
        let is_own = |root: &str| self.edit_history_tweet_ids.iter().any(|version| version.0 == root);
        let conversation_root = conversation_root.map(|root| if is_own(root) { first } else { root });
        conversation_root.or_else(|| self.reference("replied_to")).unwrap_or(first)
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
        let of_messages =
            [&self.dm_conversation_id, &self.sender_id, &self.sender, &self.recipient, &self.participant_ids];
        if self.event_type.is_some() || of_messages.into_iter().any(Option::is_some) {
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
        if author.is_none() && context.has_unread_users {
            return Err(not_public("a post whose author cannot be read, and may be protected"));
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
        if self.withheld.is_some() && self.text.is_none() {
            return Err(not_relevant("a post is withheld in some countries; the text is unchanged"));
        }
        if self.user_withheld.is_some() || self.user_profile_modification.is_some() {
            return Err(not_relevant("an account is withheld in some countries or edited; no post"));
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
