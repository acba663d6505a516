//! Comments of tickets and their authors.

use firewatch_domain::{AccountKind, Author, Post};
use serde::Deserialize;

use super::{Ticket, Via};
use crate::Result;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public};
use crate::json_values::{Id, IfObject, non_empty_id};
use crate::platform_time::{self, PlatformTime};

/// A comment, in a ticket or among the changes of an audit.
#[derive(Debug, Deserialize)]
pub(super) struct Comment {
    pub(super) id: Option<Id>,
    #[serde(rename = "type")]
    kind: Option<String>,
    event_type: Option<String>,
    ticket_id: Option<Id>,
    author_id: Option<Id>,
    author: Option<User>,
    body: Option<String>,
    plain_body: Option<String>,
    /// Whether everybody on the ticket may read it, by the names of three payloads.
    public: Option<bool>,
    is_public: Option<bool>,
    comment_public: Option<bool>,
    via: Option<IfObject<Via>>,
    created_at: Option<PlatformTime>,
    /// The comment that is made private or redacted.
    pub(super) comment_id: Option<Id>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct User {
    id: Option<Id>,
    role: Option<String>,
    is_staff: Option<bool>,
}

impl Comment {
    pub(super) fn kind(&self) -> Option<&str> {
        self.kind.as_deref().or(self.event_type.as_deref())
    }

    /// Returns whether it is a comment in an audit: in the ticket, or on the Facebook post from which the ticket came.
    pub(super) fn is_comment(&self) -> bool {
        matches!(self.kind(), Some("Comment" | "FacebookComment"))
    }

    /// Returns whether the comment is public: all that say so must.
    pub(super) fn public(&self) -> Option<bool> {
        [self.public, self.is_public, self.comment_public].into_iter().flatten().reduce(|all, one| all && one)
    }

    pub(super) fn read(
        self,
        ticket_id: Option<&str>,
        ticket: Option<&Ticket>,
        audit_time: Option<PlatformTime>,
        users: &[User],
        out: &mut DecodeOutput<'_>,
    ) -> Result<()> {
        Via::is_public(self.via.as_ref())?;
        match self.public() {
            Some(true) => {}
            Some(false) => return Err(not_public("an internal note")),
            None => return Err(not_public("a comment that does not say that it is public")),
        }
        let own = non_empty_id(self.ticket_id.clone());
        let root = ticket_id.map(Into::into).or(own).ok_or_else(|| missing("ticket_id"))?;
        let at = platform_time::required("created_at", self.created_at.clone().or(audit_time))?;
        let post = Post {
            id: non_empty_id(self.id.clone()).ok_or_else(|| missing("id"))?,
            author: self.author(ticket, users),
            text: self.plain_body.or(self.body).ok_or_else(|| missing("body"))?.replace("&nbsp;", " "),
            in_reply_to: Some(root.clone()),
            ..Post::default()
        };
        out.post(Occurrence { root: &root, at }, post)
    }

    /// Returns whether it is the first comment of a ticket, which is its description.
    pub(super) fn is_description_of(&self, ticket: &Ticket) -> bool {
        let words = self.plain_body.as_ref().or(self.body.as_ref()).map(|words| words.trim());
        words.is_some() && words == ticket.description.as_deref().map(str::trim)
    }

    /// Returns the author. Staff is the brand; the requester and other end users are persons.
    fn author(&self, ticket: Option<&Ticket>, users: &[User]) -> Option<Author> {
        let embedded_author = self.author.as_ref();
        let id = non_empty_id(
            embedded_author.and_then(|user| user.id.clone()).or_else(|| self.author_id.clone()),
        )?;
        let known = users.iter().find(|user| user.id.as_ref().is_some_and(|known| known.0 == id));
        let is_staff = embedded_author.and_then(User::is_staff).or_else(|| known?.is_staff());
        let has_asked = || ticket?.requester_id.as_ref().map(|requester| requester.0 == id);
        let account = match (is_staff, has_asked()) {
            (Some(true), _) => Some(AccountKind::Brand),
            (Some(false), _) | (None, Some(true)) => Some(AccountKind::Person),
            (None, _) => None,
        };
        Some(Author { id, account, ..Author::default() })
    }
}

impl User {
    fn is_staff(&self) -> Option<bool> {
        self.is_staff.or_else(|| self.role.as_deref().map(|role| role != "end-user"))
    }
}
