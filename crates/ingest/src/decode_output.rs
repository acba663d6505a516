//! The output of decoding a platform payload: events in order, rejections and deleted accounts.
//!
//! Ids and validation are applied here, so that all platforms use the same rules.

use firewatch_domain::{
    Author, Body, BrandReply, Counters, Delete, Engagement, Event, EventTime, Post, RejectionCode as Code,
    SCHEMA_VERSION,
};

use crate::check::{self, plausible_time};
use crate::{Rejection, Result};

/// The result of decoding one payload. Valid parts are decoded even if others are rejected.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DecodedPayload {
    /// The events, in the order in which they happened.
    pub events: Vec<Event>,
    /// The rejected parts, each with its place in the payload.
    pub rejections: Vec<Rejection>,
    /// Accounts whose posts must be deleted.
    pub deleted_accounts: Vec<DeletedAccount>,
    /// Later versions of posts.
    pub versions: Vec<PostVersion>,
    /// Posts of which the platform says that they are public now.
    pub shown: Vec<ShownPost>,
    /// Accounts that are public again.
    pub restored_accounts: Vec<RestoredAccount>,
}

impl DecodedPayload {
    /// Whether it holds anything but rejections.
    pub(crate) fn has_news(&self) -> bool {
        !(self.events.is_empty() && self.deleted_accounts.is_empty())
    }

    /// Returns the number of rejections that become dead letters.
    pub(crate) fn faults(&self) -> usize {
        self.rejections.iter().filter(|rejection| rejection.code.is_fault()).count()
    }

    /// Returns it as what a field of a larger payload gave.
    pub(crate) fn within(mut self, field: &str) -> Self {
        self.rejections = self.rejections.into_iter().map(|one| one.within(field)).collect();
        self
    }

    /// Adds what the item `place` of a list gave.
    pub(crate) fn append(&mut self, other: Self, place: usize) {
        let Self { events, rejections, deleted_accounts, versions, shown, restored_accounts } =
            other.within(&place.to_string());
        self.events.extend(events);
        self.rejections.extend(rejections);
        self.deleted_accounts.extend(deleted_accounts);
        self.versions.extend(versions);
        self.shown.extend(shown);
        self.restored_accounts.extend(restored_accounts);
    }
}

/// A later version of a post, with an id of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct PostVersion {
    /// The id of the version.
    pub id: String,
    /// The id of the first version, which identifies the post.
    pub first: String,
    /// The time of the post or of its edit.
    pub at: EventTime,
}

/// A post of which the platform says that a moderator shows it, so that an earlier deletion was taken back.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownPost {
    /// The id of the post.
    pub id: String,
    /// The time as of which it is public.
    pub since: EventTime,
}

/// An account that was deleted or is no longer public.
#[derive(Debug, Clone, PartialEq)]
pub struct DeletedAccount {
    /// The platform's id of the account.
    pub author: String,
    /// The time of the deletion.
    pub at: EventTime,
}

/// An account that is public again after it was deleted, protected or suspended.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoredAccount {
    /// The platform's id of the account.
    pub author: String,
    /// Since when.
    pub at: EventTime,
}

/// Collects the events of a payload. It builds their ids, so that all platforms follow the same scheme.
pub(crate) struct DecodeOutput<'a> {
    /// The platform name in events.
    platform: &'a str,
    /// The server, account or app that the ids belong to, if they are not unique on the platform.
    scope: Option<&'a str>,
    /// The arrival time of the payload.
    pub arrival: EventTime,
    /// What stands for words that cannot be read, in what is left of a payload that could not be read as a whole.
    unreadable: Option<String>,
    decoded: DecodedPayload,
}

/// The conversation of an event, given by its root post, and the event time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Occurrence<'a> {
    pub root: &'a str,
    pub at: EventTime,
}

impl<'a> DecodeOutput<'a> {
    pub(crate) fn new(platform: &'a str, scope: Option<&'a str>, arrival: EventTime) -> Self {
        Self { platform, scope, arrival, unreadable: None, decoded: DecodedPayload::default() }
    }

    /// Says that the payload is what is left of one that could not be read as a whole: posts without their words, of
    /// which a rejection is known, are left out.
    pub(crate) fn of_rest(self, unreadable: String) -> Self {
        Self { unreadable: Some(unreadable), ..self }
    }

    fn is_unreadable(&self, text: &str) -> bool {
        self.unreadable.as_ref().is_some_and(|mark| text.contains(mark))
    }

    /// Returns what was collected. An empty payload becomes a rejection.
    pub(crate) fn finish(mut self, result: Result<()>) -> DecodedPayload {
        self.decoded.rejections.extend(result.err());
        if self.is_empty() {
            self.decoded.rejections.push(empty());
        }
        self.decoded
    }

    /// Decodes each item of a list at `place`, its path with slashes between the steps. A rejected item does not
    /// affect the others. Equal consecutive rejections that are no faults are merged.
    pub(crate) fn each<T>(
        &mut self,
        place: &str,
        items: impl IntoIterator<Item = Option<T>>,
        mut decode_item: impl FnMut(&mut Self, T) -> Result<()>,
    ) {
        let step = |i: usize| if place.is_empty() { i.to_string() } else { format!("{place}/{i}") };
        let mut last: Option<(Rejection, usize, usize)> = None;
        for (i, item) in items.into_iter().enumerate() {
            let Some(item) = item else { continue };
            let before = self.decoded.rejections.len();
            let taken = decode_item(self, item);
            for inner in self.decoded.rejections.iter_mut().skip(before) {
                *inner = inner.clone().within(step(i));
            }
            let Err(rejection) = taken else { continue };
            match &mut last {
                Some((same, _, more)) if *same == rejection && !rejection.code.is_fault() => *more += 1,
                _ => self.reject_several(last.replace((rejection, i, 0)), step),
            }
        }
        self.reject_several(last, step);
    }

    /// Adds the rejection of a list item, with the number of equal ones that follow it.
    fn reject_several(&mut self, found: Option<(Rejection, usize, usize)>, step: impl Fn(usize) -> String) {
        if let Some((mut rejection, first, more)) = found {
            if more > 0 {
                rejection.detail.push_str(&format!(" (and {more} more like it)"));
            }
            self.reject(rejection.within(step(first)));
        }
    }

    /// Returns whether nothing has been decoded or rejected yet.
    pub(crate) fn is_empty(&self) -> bool {
        let DecodedPayload { events, rejections, deleted_accounts, .. } = &self.decoded;
        events.is_empty() && rejections.is_empty() && deleted_accounts.is_empty()
    }

    /// Adds a rejection without stopping the decoding.
    pub(crate) fn reject(&mut self, rejection: Rejection) {
        self.decoded.rejections.push(rejection);
    }

    /// Adds a post. Each edit of a post, and each time that it is public again, has an event id of its own.
    pub(crate) fn post(&mut self, when: Occurrence<'_>, post: Post) -> Result<()> {
        if self.is_unreadable(&post.text) {
            return Ok(());
        }
        let id = match post.edited_at {
            _ if post.restored => restored_id(&post.id, when.at),
            None => post.id.clone(),
            Some(at) => format!("{}/edit/{}", post.id, at.as_millis()),
        };
        self.push(id, when, Body::Post(Box::new(post)))
    }

    /// Adds a post of which the platform says that it is public as of a time.
    pub(crate) fn shown_post(
        &mut self,
        when: Occurrence<'_>,
        post: Post,
        since: Option<EventTime>,
    ) -> Result<()> {
        if let Some(since) = since {
            self.shown(&post.id, since);
        }
        self.post(when, post)
    }

    /// Notes that a post is public as of a time, in case that it was deleted before. It alone is no content of a payload.
    pub(crate) fn shown(&mut self, post: &str, since: EventTime) {
        self.decoded.shown.push(ShownPost { id: post.to_owned(), since });
    }

    /// Notes that an account is public again. It alone is no content of a payload.
    pub(crate) fn restored_account(&mut self, author: &str, at: EventTime) {
        self.decoded.restored_accounts.push(RestoredAccount { author: author.to_owned(), at });
    }

    /// Adds an engagement. `id` must be unique in the conversation.
    pub(crate) fn engagement(
        &mut self,
        when: Occurrence<'_>,
        id: String,
        engagement: Engagement,
    ) -> Result<()> {
        self.push(id, when, Body::Engagement(engagement))
    }

    /// Adds a snapshot of counters. It is omitted if all are absent or 0.
    pub(crate) fn counters(&mut self, when: Occurrence<'_>, counters: Counters) -> Result<()> {
        let Counters { reshares, replies, quotes, likes, views } = counters;
        if [reshares, replies, quotes, likes, views].iter().all(|n| n.unwrap_or_default() == 0) {
            return Ok(());
        }
        let id = format!("counters/{}/{}", when.root, when.at.as_millis());
        self.push(id, when, Body::Counters(counters))
    }

    /// Adds a public reply of the brand.
    pub(crate) fn brand_reply(&mut self, when: Occurrence<'_>, id: String, reply: BrandReply) -> Result<()> {
        if self.is_unreadable(&reply.text) {
            return Ok(());
        }
        self.push(id, when, Body::BrandReply(reply))
    }

    /// Adds the deletion of a post.
    pub(crate) fn delete(&mut self, when: Occurrence<'_>, post: &str) -> Result<()> {
        self.push([post, "/delete"].concat(), when, Body::Delete(Delete { post: post.to_owned() }))
    }

    /// Notes the id of a later version of a post. It alone is no content of a payload.
    pub(crate) fn version(&mut self, id: &str, first: &str, at: EventTime) {
        self.decoded.versions.push(PostVersion { id: id.to_owned(), first: first.to_owned(), at });
    }

    /// Adds the deletion of an account, or its change to non-public.
    pub(crate) fn delete_account(&mut self, author: &str, at: EventTime) -> Result<()> {
        let author = check::id("author", Some(author.to_owned()))?;
        let at = plausible_time("at", at, self.arrival)?;
        self.decoded.deleted_accounts.push(DeletedAccount { author, at });
        Ok(())
    }

    fn push(&mut self, id: String, when: Occurrence<'_>, body: Body) -> Result<()> {
        let id = check::id("id", Some(id))?;
        let conversation = conversation(self.platform, self.scope, when.root);
        let conversation = check::id("conversation", Some(conversation))?;
        let at = plausible_time("at", when.at, self.arrival)?;
        let body = checked(body, self.arrival)?;
        let platform = Some(self.platform.to_owned());
        let event = Event { v: SCHEMA_VERSION, id, conversation, at, brand: None, platform, body };
        self.decoded.events.push(event);
        Ok(())
    }
}

/// Returns the id of the event that a post is public again since a time.
pub(crate) fn restored_id(post: &str, since: EventTime) -> String {
    format!("{post}/restored/{}", since.as_millis())
}

/// Returns the id of the conversation with a given root post. It contains platform and scope, because two
/// platforms or servers may use the same post id.
pub(crate) fn conversation(platform: &str, scope: Option<&str>, root: &str) -> String {
    match scope {
        None => [platform, ":", root].concat(),
        Some(scope) => [platform, ":", scope, "/", root].concat(),
    }
}

/// Returns the rejection of a payload that holds nothing.
pub(crate) fn empty() -> Rejection {
    not_relevant("an empty page or list")
}

/// Returns the rejection of a valid payload without relevant content.
pub(crate) fn not_relevant(why: &str) -> Rejection {
    Rejection::new(Code::NotRelevant, why)
}

/// Returns the rejection of what is not a public post.
pub(crate) fn not_public(why: &str) -> Rejection {
    Rejection::new(Code::NotPublic, why)
}

/// Returns the rejection of JSON that does not match any known payload of the platform.
pub(crate) fn unknown_payload(what: &str) -> Rejection {
    Rejection::new(Code::UnknownPayload, what)
}

/// Validates all fields of a body. A blank optional field counts as absent.
fn checked(body: Body, arrival: EventTime) -> Result<Body> {
    Ok(match body {
        Body::Post(post) => Body::Post(Box::new(Post {
            id: check::id("post.id", Some(post.id))?,
            author: post.author.map(author).transpose()?,
            text: check::text("post.text", Some(post.text))?,
            lang: check::label("post.lang", post.lang)?,
            in_reply_to: check::label("post.in_reply_to", post.in_reply_to)?,
            quotes: check::label("post.quotes", post.quotes)?,
            related: None,
            // A link is not worth a post.
            url: check::url("post.url", post.url).unwrap_or_default(),
            stars: check::stars("post.stars", post.stars)?,
            edited_at: post.edited_at.map(|at| plausible_time("post.edited_at", at, arrival)).transpose()?,
            restored: post.restored,
        })),
        Body::Engagement(engagement) => Body::Engagement(Engagement {
            actor: check::label("engagement.actor", engagement.actor)?,
            followers: check::followers("engagement.followers", engagement.followers)?,
            ..engagement
        }),
        Body::Counters(counters) => Body::Counters(check::counters(counters)?),
        Body::BrandReply(reply) => Body::BrandReply(BrandReply {
            account: check::id("brand_reply.account", Some(reply.account))?,
            text: check::text("brand_reply.text", Some(reply.text))?,
        }),
        Body::Delete(delete) => Body::Delete(Delete { post: check::id("delete.post", Some(delete.post))? }),
    })
}

fn author(author: Author) -> Result<Author> {
    Ok(Author {
        id: check::id("post.author.id", Some(author.id))?,
        handle: check::label("post.author.handle", author.handle)?,
        followers: check::followers("post.author.followers", author.followers)?,
        url: check::url("post.author.url", author.url).unwrap_or_default(),
        ..author
    })
}
