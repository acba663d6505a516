//! Decodes payloads of any platform by a mapping: JSON pointers (RFC 6901) to the fields, given in the
//! configuration.

mod explain;
mod mapping;
mod pointer;

use firewatch_domain::{
    AccountKind, Author, BrandReply, Counters, Engagement, EngagementKind, Post, RejectionCode as Code,
};
use serde_json::Value;

pub use explain::{ExplainedField, ExplainedItem};
pub use mapping::Mapping;

use self::mapping::ItemKind;
use self::pointer::Item;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::OneOrMany;
use crate::platform_time;
use crate::reviews::stars;
use crate::{Rejection, Result, html, json};

/// The account of an answer without one.
const BRAND: &str = "brand";

/// Decodes a payload.
pub(crate) fn decode(mapping: &Mapping, bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    match json::payload::<Value>(bytes)? {
        OneOrMany::One(payload) => mapping.read_payload(&payload, out),
        OneOrMany::Many(payloads) => {
            out.each("", &payloads, |out, payload| mapping.read_payload(payload, out));
            Ok(())
        }
    }
}

impl Mapping {
    fn read_payload(&self, payload: &Value, out: &mut DecodeOutput<'_>) -> Result<()> {
        match &self.items {
            None => self.read(Item { item: payload, payload }, out),
            Some(path) => self.read_lists(&path.0, Item { item: payload, payload }, out),
        }
    }

    /// Decodes the items of a list, or of the lists in its items.
    fn read_lists(&self, path: &[String], at: Item<'_>, out: &mut DecodeOutput<'_>) -> Result<()> {
        let Some((list, rest)) = path.split_first() else { return self.read(at, out) };
        let Some(Value::Array(items)) = at.item.pointer(list) else {
            return Err(unknown_payload(&format!("`{list}` is not a list")));
        };
        let items = items.iter().map(|item| Some(item).filter(|item| !item.is_null()));
        out.each(list.trim_start_matches('/'), items, |out, item| {
            self.read_lists(rest, Item { item, ..at }, out)
        });
        Ok(())
    }

    fn read(&self, item: Item<'_>, out: &mut DecodeOutput<'_>) -> Result<()> {
        if self.private.as_ref().is_some_and(|pointer| item.may_be_private(pointer)) {
            return Err(not_public("an item that the mapping calls private"));
        }
        let what = self.item_kind(item)?;
        if what == ItemKind::Ignore {
            return Err(not_relevant("an item of a kind that the mapping ignores"));
        }
        let id = item.text(Some(&self.id))?.ok_or_else(|| missing(&self.id.path))?;
        let stamp = item.time(Some(&self.at))?;
        let at = platform_time::required(&self.at.path, stamp)?;
        let answered = item.text(self.in_reply_to.as_ref())?;
        let quoted = item.text(self.quotes.as_ref())?;
        let root = item.text(self.conversation.as_ref())?;
        let other = if what == ItemKind::Quote || what == ItemKind::Reshare { quoted.clone() } else { None };
        let root = root.or(other).or_else(|| answered.clone()).unwrap_or_else(|| id.clone());
        let when = Occurrence { root: &root, at };
        let (name, kind) = match what {
            ItemKind::Ignore => return Ok(()),
            ItemKind::Delete => return out.delete(when, &id),
            ItemKind::Post => {
                let post = Post { id, in_reply_to: answered, quotes: quoted, ..Post::default() };
                return self.post(item, post, when, out);
            }
            ItemKind::Reshare => ("reshare/", EngagementKind::Reshare),
            ItemKind::Quote => ("quote/", EngagementKind::Quote),
            ItemKind::Like => ("like/", EngagementKind::Like),
        };
        let author = self.author(item)?;
        let (actor, followers, account) =
            author.map_or((None, None, None), |a| (Some(a.id), a.followers, a.account));
        // A post may have the same id.
        let id = [name, &id].concat();
        out.engagement(when, id, Engagement { account, ..Engagement::new(kind, actor, followers) })
    }

    fn item_kind(&self, item: Item<'_>) -> Result<ItemKind> {
        let Some(pointer) = &self.kind else { return Ok(ItemKind::Post) };
        let kind = item.word(pointer)?.ok_or_else(|| missing(&pointer.path))?;
        self.kinds.get(&kind).copied().ok_or_else(|| {
            Rejection::new(
                Code::UnknownPayload,
                format!("`{}`: `kinds` does not list this kind; add it", pointer.path),
            )
        })
    }

    /// Emits a post and its counters. `links` holds the id and the references to other posts.
    fn post(
        &self,
        item: Item<'_>,
        links: Post,
        when: Occurrence<'_>,
        out: &mut DecodeOutput<'_>,
    ) -> Result<()> {
        let edited = item.time(self.edited_at.as_ref())?;
        let stars = stars("stars", item.get(self.stars.as_ref())?)?;
        let title = self.plain(item.text(self.title.as_ref())?);
        let words = self.plain(item.text(self.text.as_ref())?);
        if let Some(pointer) =
            self.text.as_ref().filter(|_| words.is_none() && title.is_none() && stars.is_none())
        {
            return Err(missing(&pointer.path));
        }
        let text = if title.is_some() {
            html::paragraphs(title.into_iter().chain(words))
        } else {
            words.unwrap_or_default()
        };
        let restored_at = platform_time::optional("restored_at", item.time(self.restored_at.as_ref())?)?;
        let restored_at = restored_at.filter(|restored| *restored > when.at);
        let is_answer = links.in_reply_to.is_some() || links.id != when.root;
        let id = links.id.clone();
        let post = Post {
            author: self.author(item)?,
            text,
            lang: item.text(self.lang.as_ref())?,
            url: item.text(self.url.as_ref())?,
            stars,
            edited_at: platform_time::optional("edited_at", edited)?.filter(|edited| *edited > when.at),
            restored: restored_at.is_some(),
            ..links
        };
        out.post(Occurrence { at: restored_at.unwrap_or(when.at), ..when }, post)?;
        self.answer(item, &id, when, out)?;
        if is_answer {
            // The counters of a reply are not those of the conversation.
            return Ok(());
        }
        let counters = Counters {
            reshares: item.count(self.counters.reshares.as_ref())?,
            replies: item.count(self.counters.replies.as_ref())?,
            quotes: item.count(self.counters.quotes.as_ref())?,
            likes: item.count(self.counters.likes.as_ref())?,
            views: item.count(self.counters.views.as_ref())?,
        };
        let at = out.arrival.max(when.at);
        out.counters(Occurrence { at, ..when }, counters)
    }

    /// Emits the brand's answer beside a post.
    fn answer(
        &self,
        item: Item<'_>,
        id: &str,
        when: Occurrence<'_>,
        out: &mut DecodeOutput<'_>,
    ) -> Result<()> {
        let Some(text) = self.plain(item.text(self.answer.text.as_ref())?) else { return Ok(()) };
        let stamp = item.time(self.answer.at.as_ref())?;
        let at = platform_time::optional("answer.at", stamp)?.unwrap_or(when.at);
        let account = item.text(self.answer.account.as_ref())?.unwrap_or_else(|| BRAND.into());
        let id = format!("{id}/answer/{}", at.as_millis());
        out.brand_reply(Occurrence { at, ..when }, id, BrandReply { account, text })
    }

    /// Returns a text without markup, if the platform sends it with it.
    fn plain(&self, text: Option<String>) -> Option<String> {
        if self.html { text.map(|text| html::text(&text)).filter(|text| !text.is_empty()) } else { text }
    }

    fn author(&self, item: Item<'_>) -> Result<Option<Author>> {
        let Some(id) = item.text(self.author.as_ref())? else { return Ok(None) };
        let is_own = item.flag(self.own.as_ref())?.unwrap_or(false);
        let is_bot = item.flag(self.bot.as_ref())?.unwrap_or(false);
        let account = match (is_own, is_bot) {
            (true, _) => Some(AccountKind::Brand),
            (_, true) => Some(AccountKind::Bot),
            _ => None,
        };
        Ok(Some(Author {
            id,
            handle: item.text(self.handle.as_ref())?,
            url: item.text(self.author_url.as_ref())?,
            followers: item.count(self.followers.as_ref())?,
            verified: item.flag(self.verified.as_ref())?,
            account,
            ..Author::default()
        }))
    }
}

#[cfg(test)]
mod tests;
