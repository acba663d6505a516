//! Decodes Reddit: submissions (`t3`) and comments (`t1`), alone, in listings, inboxes and rows of archives.
//!
//! Follower counts are not provided, and vote counts are fuzzed. A comment names its submission, or its place in
//! an inbox does. A removed post remains as a placeholder, which becomes a deletion. An author is known by name,
//! which never changes and which every payload has. Messages (`t4`) and posts of private communities are not
//! public.

mod post;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use self::post::Data;
use crate::bad_items::ItemList;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, not_public, not_relevant, unknown_payload};
use crate::json_values::{IfObject, Items, OneOrMany};
use crate::{Result, json};

/// A "thing": Reddit's wrapper of an object with its kind.
#[derive(Debug, Deserialize)]
struct Thing {
    kind: Option<String>,
    data: Option<Box<Data>>,
    /// Fields of a submission or comment without a wrapper.
    name: Option<IgnoredAny>,
    id: Option<IgnoredAny>,
    /// The rest of a thread, as it is asked for.
    json: Option<Rest>,
    /// Fields of drafts and of conversations with moderators.
    drafts: Option<IgnoredAny>,
    conversations: Option<IgnoredAny>,
    conversation: Option<IgnoredAny>,
    /// Fields of the notes of moderators, and of chats.
    mod_notes: Option<IgnoredAny>,
    room_id: Option<IgnoredAny>,
    rooms: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

/// A page of an archive: rows in the place of a listing.
#[derive(Debug, Deserialize)]
struct ArchivePage {
    data: Items<Data>,
}

#[derive(Debug, Deserialize)]
struct Rest {
    data: Option<RestData>,
}

#[derive(Debug, Deserialize)]
struct RestData {
    #[serde(default)]
    things: Items<Thing>,
}

pub(crate) const LISTS: &[ItemList] = &[
    ItemList::of::<Thing>(""),
    ItemList::of::<IfObject<Thing>>("children"),
    ItemList::of::<Thing>("things"),
    ItemList::of::<Data>("crosspost_parent_list"),
    ItemList::of::<Data>("data"),
];

/// Decodes a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let payload = match json::payload::<Thing>(bytes) {
        Ok(payload) => payload,
        Err(rejection) => {
            let Ok(OneOrMany::One(page)) = json::payload::<ArchivePage>(bytes) else { return Err(rejection) };
            out.each("data", page.data, |out, row| row.read(None, out));
            return Ok(());
        }
    };
    match payload {
        OneOrMany::Many(things) if things.iter().any(|thing| thing.data.is_some()) => {
            out.each("", things, |out, thing| thing.read(out));
            Ok(())
        }
        OneOrMany::Many(_) => {
            if let OneOrMany::Many(rows) = json::payload::<Data>(bytes)? {
                out.each("", rows, |out, row| row.read(None, out));
            }
            Ok(())
        }
        OneOrMany::One(thing)
            if thing.drafts.is_some() || thing.conversations.is_some() || thing.conversation.is_some() =>
        {
            Err(not_public("drafts, or conversations with moderators"))
        }
        OneOrMany::One(thing)
            if thing.mod_notes.is_some() || thing.room_id.is_some() || thing.rooms.is_some() =>
        {
            Err(not_public("notes of moderators, or chats"))
        }
        OneOrMany::One(thing) if thing.data.is_some() => thing.read(out),
        OneOrMany::One(thing) if thing.json.is_some() => {
            let things = thing.json.and_then(|rest| rest.data).map(|data| data.things).unwrap_or_default();
            out.each("json/data/things", things, |out, thing| thing.read(out));
            Ok(())
        }
        OneOrMany::One(thing) if thing.name.is_some() || thing.id.is_some() => {
            json::one::<Data>(bytes)?.read(None, out)
        }
        OneOrMany::One(thing) if thing.error.is_some() => {
            Err(unknown_payload("an error response of Reddit; no post"))
        }
        OneOrMany::One(_) => read_by_name(bytes, out),
    }
}

/// Decodes an object of listings, keyed by the name of the query.
fn read_by_name(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let all: BTreeMap<String, OneOrMany<Thing>> = serde_json::from_slice(bytes)
        .map_err(|_| unknown_payload("not a Reddit payload: `kind` and `data` are missing"))?;
    for things in all.into_values() {
        match things {
            OneOrMany::One(thing) => thing.read(out)?,
            OneOrMany::Many(things) => out.each("", things, |out, thing| thing.read(out)),
        }
    }
    Ok(())
}

impl Thing {
    fn read(&self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let data =
            self.data.as_ref().ok_or_else(|| unknown_payload("not a Reddit payload: `data` is missing"))?;
        match self.kind.as_deref() {
            Some("Listing") => {
                let children = data.children.iter().flatten();
                let things = children.map(|child| child.and_then(|child| child.0.as_ref()));
                out.each("data/children", things, |out, thing| thing.read(out));
                Ok(())
            }
            Some(kind @ ("t1" | "t3")) => data.read(Some(kind), out),
            Some("t4") => Err(not_public("a private message")),
            Some("more") => Err(not_relevant("ids of further comments; no text")),
            Some(_) => Err(not_relevant("neither a submission nor a comment")),
            None => Err(missing("kind")),
        }
    }
}
