//! The mapping of a platform: where its payloads have the fields of an event.

use std::collections::BTreeMap;

use firewatch_settings::{Fault, Settings};

use super::pointer::{ItemPath, Pointer};

/// The locations of all fields in a payload. Fields without a pointer are unknown.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// The platform name in events.
    pub(crate) platform: String,
    /// The array of items, to which the other pointers are relative. Without it the payload is the only item.
    pub(super) items: Option<ItemPath>,
    /// The kind of an item. Without it every item is a post.
    pub(super) kind: Option<Pointer>,
    /// A boolean: the item is private when it is true, or not clear.
    pub(super) private: Option<Pointer>,
    /// Texts are HTML.
    pub(super) html: bool,
    /// The meaning of the values of `kind`.
    pub(super) kinds: BTreeMap<String, ItemKind>,
    pub(super) id: Pointer,
    pub(super) at: Pointer,
    /// The root of the conversation. Without it the replied-to post, otherwise the post itself.
    pub(super) conversation: Option<Pointer>,
    pub(super) title: Option<Pointer>,
    pub(super) text: Option<Pointer>,
    pub(super) lang: Option<Pointer>,
    pub(super) in_reply_to: Option<Pointer>,
    pub(super) quotes: Option<Pointer>,
    pub(super) url: Option<Pointer>,
    pub(super) stars: Option<Pointer>,
    pub(super) edited_at: Option<Pointer>,
    /// The time since which a post is public again.
    pub(super) restored_at: Option<Pointer>,
    pub(super) author: Option<Pointer>,
    pub(super) handle: Option<Pointer>,
    pub(super) author_url: Option<Pointer>,
    pub(super) followers: Option<Pointer>,
    pub(super) verified: Option<Pointer>,
    /// A boolean, true for a bot.
    pub(super) bot: Option<Pointer>,
    /// A boolean, true for the brand's own account.
    pub(super) own: Option<Pointer>,
    pub(super) counters: Totals,
    pub(super) answer: Answer,
}

/// The locations of the brand's answer to a post, which some platforms put beside it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub text: Option<Pointer>,
    pub at: Option<Pointer>,
    pub account: Option<Pointer>,
}

/// The locations of the counters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Totals {
    pub reshares: Option<Pointer>,
    pub replies: Option<Pointer>,
    pub quotes: Option<Pointer>,
    pub likes: Option<Pointer>,
    pub views: Option<Pointer>,
}

/// The kind of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemKind {
    Post,
    Reshare,
    Quote,
    Like,
    Delete,
    Ignore,
}

impl ItemKind {
    const ALL: [(&'static str, Self); 6] = [
        ("post", Self::Post),
        ("reshare", Self::Reshare),
        ("quote", Self::Quote),
        ("like", Self::Like),
        ("delete", Self::Delete),
        ("ignore", Self::Ignore),
    ];
}

impl Mapping {
    /// Parses a mapping file. `name` is its path, for messages.
    ///
    /// # Errors
    /// All faults of the file.
    pub fn parse(name: &str, text: &str) -> std::result::Result<Self, Vec<Fault>> {
        let mut settings = Settings::parse(name, text)?;
        let mapping = Self::from_settings(&mut settings, "");
        settings.finish(mapping)
    }

    /// Reads a mapping from settings whose keys begin with `prefix`. Faults are added to the settings.
    pub fn from_settings(settings: &mut Settings, prefix: &str) -> Self {
        let html = settings.flag(&format!("{prefix}html"), false);
        let items = items(settings, &format!("{prefix}items"));
        let mut at = |key: &str| pointer(settings, &format!("{prefix}{key}"));
        let (id, time) = (at("id"), at("at"));
        let counters = Totals {
            reshares: at("counters.reshares"),
            replies: at("counters.replies"),
            quotes: at("counters.quotes"),
            likes: at("counters.likes"),
            views: at("counters.views"),
        };
        let answer = Answer { text: at("answer.text"), at: at("answer.at"), account: at("answer.account") };
        let mut mapping = Self {
            platform: String::new(),
            items,
            kind: at("kind"),
            private: at("private"),
            html,
            kinds: BTreeMap::new(),
            id: Pointer::default(),
            at: Pointer::default(),
            conversation: at("conversation"),
            title: at("title"),
            text: at("text"),
            lang: at("lang"),
            in_reply_to: at("in_reply_to"),
            quotes: at("quotes"),
            url: at("url"),
            stars: at("stars"),
            edited_at: at("edited_at"),
            restored_at: at("restored_at"),
            author: at("author.id"),
            handle: at("author.handle"),
            author_url: at("author.url"),
            followers: at("author.followers"),
            verified: at("author.verified"),
            bot: at("author.bot"),
            own: at("author.own"),
            counters,
            answer,
        };
        for (key, found, field) in [("id", id, &mut mapping.id), ("at", time, &mut mapping.at)] {
            match found {
                Some(pointer) => *field = pointer,
                None => {
                    let key = format!("{prefix}{key}");
                    settings.add_fault(&key, "is missing; give a JSON pointer such as `/id`");
                }
            }
        }
        mapping.platform = platform(settings, &format!("{prefix}platform"));
        mapping.kinds = kinds(settings, &format!("{prefix}kinds"));
        mapping
    }
}

/// Reads the section that maps values of `kind` to item kinds.
fn kinds(settings: &mut Settings, key: &str) -> BTreeMap<String, ItemKind> {
    let mut kinds = BTreeMap::new();
    for (word, meant) in settings.free_section(key) {
        match ItemKind::ALL.iter().find(|(name, _)| *name == meant) {
            Some((_, what)) => {
                kinds.insert(word, *what);
            }
            None => {
                let all: Vec<_> = ItemKind::ALL.iter().map(|(name, _)| *name).collect();
                settings.add_fault(
                    &format!("{key}.{word}"),
                    format_args!("`{meant}` is not a kind; give one of {}", all.join(", ")),
                );
            }
        }
    }
    kinds
}

/// Reads the platform name, which becomes the prefix of conversation ids.
fn platform(settings: &mut Settings, key: &str) -> String {
    let name = settings.text(key, "generic");
    let is_plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !is_plain || name.len() > 32 {
        settings.add_fault(
            key,
            format_args!("`{name}` is not a valid platform name; give 1 to 32 of a-z, 0-9 and _"),
        );
    }
    name
}

fn pointer(settings: &mut Settings, key: &str) -> Option<Pointer> {
    if !settings.has(key) {
        // Registers the key as known.
        settings.text(key, "/");
        return None;
    }
    let path = settings.text(key, "/");
    let pointer = Pointer::parse(&path);
    if pointer.is_none() {
        settings.add_fault(
            key,
            format_args!(
                "`{path}` is not a JSON pointer; give one such as `/user/id`, `^/ticket/id` from the payload, or `!/flag` \
                 for the opposite of a boolean"
            ),
        );
    }
    pointer
}

fn items(settings: &mut Settings, key: &str) -> Option<ItemPath> {
    if !settings.has(key) {
        settings.text(key, "/");
        return None;
    }
    let path = settings.text(key, "/");
    let items = ItemPath::parse(&path);
    if items.is_none() {
        settings.add_fault(
            key,
            format_args!("`{path}` is not a JSON pointer; give one such as `/data`, or `/entry/*/changes` for lists in a list"),
        );
    }
    items
}
