//! Decodes comments on LinkedIn: pages of its API, and notifications about an organization's posts.
//!
//! A conversation is an activity with its comments. An author is a URN without a name or followers; what the
//! organization itself wrote is the brand's. Private members are unknown.

use firewatch_domain::{AccountKind, Author, Engagement, EngagementKind, EventTime, Post};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::bad_items::ItemList;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Count, Id, Items, known_count, non_empty_id};
use crate::platform_time;
use crate::{Result, json};

/// A page of comments or notifications, or a single comment.
#[derive(Debug, Deserialize)]
struct Payload {
    elements: Option<Items<Element>>,
    notifications: Option<Items<Element>>,
    status: Option<IgnoredAny>,
    /// What another kind of payload holds.
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// A comment, or a notification.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Element {
    id: Option<Id>,
    comment_urn: Option<String>,
    #[serde(rename = "$URN")]
    urn: Option<String>,
    actor: Option<String>,
    /// The activity that is commented on.
    object: Option<String>,
    parent_comment: Option<String>,
    message: Option<Message>,
    created: Option<Stamp>,
    last_modified: Option<Stamp>,
    /// Fields of a notification.
    notification_id: Option<Id>,
    organizational_entity: Option<String>,
    action: Option<String>,
    source_post: Option<String>,
    last_modified_at: Option<Count>,
    generated_activity: Option<String>,
    decorated_generated_activity: Option<Decorated>,
    /// Fields of posts, which may be drafts, and of private messages.
    lifecycle_state: Option<String>,
    commentary: Option<IgnoredAny>,
    specific_content: Option<IgnoredAny>,
    from: Option<IgnoredAny>,
    event_content: Option<IgnoredAny>,
    resource_name: Option<IgnoredAny>,
    recipients: Option<IgnoredAny>,
    delivered_at: Option<IgnoredAny>,
    conversation_urn: Option<IgnoredAny>,
    conversation: Option<IgnoredAny>,
}

/// A text, alone or in an object.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text, alone or in an object")]
enum Message {
    Text(String),
    Object { text: Option<String> },
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Stamp {
    time: Option<Count>,
}

/// What a notification is about.
#[derive(Debug, Deserialize)]
struct Decorated {
    comment: Option<Activity>,
    share: Option<Activity>,
}

#[derive(Debug, Deserialize)]
struct Activity {
    entity: Option<String>,
    owner: Option<String>,
    object: Option<String>,
    text: Option<String>,
}

pub(crate) const LISTS: &[ItemList] =
    &[ItemList::of::<Element>("elements"), ItemList::of::<Element>("notifications")];

/// Decodes a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let payload: Payload = json::one(bytes)?;
    let pages = [("elements", payload.elements), ("notifications", payload.notifications)];
    match pages.into_iter().find_map(|(place, elements)| Some((place, elements?))) {
        Some((place, elements)) => {
            out.each(place, elements, |out, element| element.read(out));
            Ok(())
        }
        None if payload.kind.as_deref().is_some_and(|kind| kind.contains("MESSAGE")) => {
            Err(not_public("private messages"))
        }
        None if payload.status.is_some() => Err(unknown_payload("an error response of LinkedIn")),
        None => json::one::<Element>(bytes)?.read(out),
    }
}

impl Element {
    fn read(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        if let Some(action) = self.action.clone() {
            return self.notification(&action, out);
        }
        let of_messages = [
            &self.from,
            &self.event_content,
            &self.resource_name,
            &self.recipients,
            &self.delivered_at,
            &self.conversation_urn,
            &self.conversation,
        ];
        if of_messages.into_iter().any(Option::is_some) {
            return Err(not_public("private messages, or what an account has done"));
        }
        let is_post = self.commentary.is_some() || self.specific_content.is_some();
        match self.lifecycle_state.as_deref() {
            Some("PUBLISHED") => return Err(not_relevant("a post; its comments are read")),
            Some(_) => return Err(not_public("a post that is not published")),
            None if is_post => return Err(not_public("a post that does not say that it is published")),
            None => {}
        }
        let urn = self.comment_urn.as_deref().or(self.urn.as_deref()).and_then(comment_of);
        let (thread, id) = match (urn, &self.object, &self.id) {
            (Some((thread, id)), ..) => (thread, id),
            (None, Some(object), Some(id)) => (short(object), id.0.clone()),
            _ => {
                return Err(unknown_payload(
                    "not a comment of LinkedIn: `commentUrn` or `object` and `id` are missing",
                ));
            }
        };
        let at = time("created/time", self.created.and_then(|stamp| stamp.time))?;
        let modified = self.last_modified.and_then(|stamp| platform_time::millis(stamp.time));
        let text = match self.message {
            Some(Message::Text(text)) => text,
            Some(Message::Object { text }) => text.unwrap_or_default(),
            None => String::new(),
        };
        let parent = self.parent_comment.as_deref().and_then(comment_of).map(|(_, parent)| parent);
        let post = Post {
            url: Some(url(&thread)),
            author: self.actor.as_deref().and_then(|actor| author(actor, None)),
            in_reply_to: Some(parent.unwrap_or_else(|| thread.clone())),
            edited_at: modified.filter(|modified| *modified > at),
            text,
            id,
            ..Post::default()
        };
        out.post(Occurrence { root: &thread, at }, post)
    }

    fn notification(self, action: &str, out: &mut DecodeOutput<'_>) -> Result<()> {
        let at = time("lastModifiedAt", self.last_modified_at)?;
        let of_mention = self.generated_activity.as_deref().filter(|_| action == "SHARE_MENTION");
        let source = self.source_post.as_deref().or(of_mention);
        let source = source.map(short).ok_or_else(|| missing("sourcePost"))?;
        let activity = self.decorated_generated_activity;
        let own = self.organizational_entity.as_deref();
        let kind = match action {
            "LIKE" => EngagementKind::Like,
            "SHARE" => EngagementKind::Reshare,
            "COMMENT" | "COMMENT_EDIT" | "ADMIN_COMMENT" => {
                let mut comment = activity.and_then(|activity| activity.comment);
                if let Some(comment) = &mut comment {
                    // The entity may be what is commented on.
                    let of_comment = self.generated_activity.filter(|urn| comment_of(urn).is_some());
                    comment.entity = of_comment.or(comment.entity.take());
                }
                let comment = comment.ok_or_else(|| {
                    not_relevant("a comment without its text; list the comments of the post")
                })?;
                let edited_at = (action == "COMMENT_EDIT").then_some(at);
                return comment.post(&source, own, (at, edited_at), out);
            }
            "COMMENT_DELETE" => {
                let urn = self.generated_activity.as_deref().and_then(comment_of);
                let (thread, id) = urn.ok_or_else(|| missing("generatedActivity"))?;
                return out.delete(Occurrence { root: &thread, at }, &id);
            }
            "SHARE_MENTION" => {
                let share = activity.and_then(|activity| activity.share);
                let share =
                    share.ok_or_else(|| not_relevant("a mention without its text; fetch the post"))?;
                return share.post(&source, own, (at, None), out);
            }
            _ => return Err(not_relevant("a notification other than of a comment, share or like")),
        };
        let id = non_empty_id(self.notification_id).ok_or_else(|| missing("notificationId"))?;
        out.engagement(Occurrence { root: &source, at }, id, Engagement::new(kind, None, None))
    }
}

impl Activity {
    /// Emits a comment, or a post that mentions the organization.
    fn post(
        self,
        source: &str,
        own: Option<&str>,
        times: (EventTime, Option<EventTime>),
        out: &mut DecodeOutput<'_>,
    ) -> Result<()> {
        let (at, edited_at) = times;
        let entity = self.entity.ok_or_else(|| missing("entity"))?;
        let comment = comment_of(&entity);
        let of_comment = comment.as_ref().map(|(thread, _)| thread.clone());
        let thread = of_comment.or_else(|| self.object.as_deref().map(short));
        let thread =
            thread.unwrap_or_else(|| if comment.is_some() { source.to_owned() } else { short(&entity) });
        let id = comment.map_or_else(|| thread.clone(), |(_, id)| id);
        let post = Post {
            url: Some(url(&thread)),
            author: self.owner.as_deref().and_then(|owner| author(owner, own)),
            text: self.text.unwrap_or_default(),
            in_reply_to: Some(thread.clone()).filter(|thread| *thread != id),
            edited_at,
            id,
            ..Post::default()
        };
        out.post(Occurrence { root: &thread, at }, post)
    }
}

/// Returns the activity and the id of a comment's URN, which has three spellings:
/// `urn:li:comment:(urn:li:activity:A,B)`, `urn:li:comment:(activity:A,B)` and
/// `urn:li:fsd_comment:(B,urn:li:activity:A)`.
fn comment_of(urn: &str) -> Option<(String, String)> {
    let (name, inner) = urn.strip_suffix(')')?.split_once('(')?;
    if !name.ends_with("comment:") {
        return None;
    }
    let (first, second) = inner.split_once(',')?;
    let (thread, id) = if name.contains("fsd_") { (second, first) } else { (first, second) };
    Some((short(thread), id.to_owned()))
}

/// Returns a URN without the part that all have: `activity:A`.
fn short(urn: &str) -> String {
    urn.strip_prefix("urn:li:").unwrap_or(urn).to_owned()
}

fn url(thread: &str) -> String {
    format!("https://www.linkedin.com/feed/update/urn:li:{thread}")
}

/// Returns the author. The organization that is asked about, and any other organization when none is, is the brand.
fn author(urn: &str, own: Option<&str>) -> Option<Author> {
    let id = short(urn);
    if id.ends_with(":private") || id.ends_with(":null") {
        return None;
    }
    let is_own = own.map_or_else(|| id.starts_with("organization:"), |own| short(own) == id);
    Some(Author { id, account: is_own.then_some(AccountKind::Brand), ..Author::default() })
}

fn time(place: &str, millis: Option<Count>) -> Result<EventTime> {
    known_count(millis).and_then(|_| platform_time::millis(millis)).ok_or_else(|| missing(place))
}
