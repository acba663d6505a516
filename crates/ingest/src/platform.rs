//! The supported platforms, and the decoder that dispatches to the module of each.

use std::fmt;
use std::str::FromStr;

use firewatch_domain::EventTime;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::bad_items::{self, ItemList};
use crate::bad_parts::{MAX_BAD_PARTS, PartRemover};
use crate::decode_output::{DecodeOutput, DecodedPayload, conversation, empty};
use crate::generic::Mapping;
use crate::meta::{facebook, instagram};
use crate::{
    MAX_PAYLOAD_BYTES, app_store, bluesky, envelope, feed, freshdesk, generic, google_business, google_play,
    intercom, linkedin, mastodon, private_parts, reddit, threads, tiktok, trustpilot, x, xml, youtube,
    zendesk,
};

/// A platform whose payloads can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// X (Twitter): API v1.1, API v2 and account activity webhooks.
    X,
    /// Mastodon and compatible servers.
    Mastodon,
    /// Bluesky: Jetstream and the AppView.
    Bluesky,
    /// Reddit.
    Reddit,
    /// A Facebook Page.
    Facebook,
    /// An Instagram account.
    Instagram,
    /// Comments on YouTube.
    Youtube,
    /// Reviews on Google Play.
    GooglePlay,
    /// Reviews on the App Store.
    AppStore,
    /// Tickets of Zendesk.
    Zendesk,
    /// Posts and replies on Threads.
    Threads,
    /// Comments on TikTok.
    Tiktok,
    /// Comments on an organization's posts on LinkedIn.
    Linkedin,
    /// Reviews on Trustpilot.
    Trustpilot,
    /// Reviews of a Google Business Profile.
    GoogleBusiness,
    /// Tickets of Freshdesk.
    Freshdesk,
    /// Conversations of Intercom.
    Intercom,
    /// Feeds of news, blogs and forums: RSS, Atom and JSON Feed.
    Feed,
    /// Any other platform, by a [`Mapping`].
    Generic,
}

impl Platform {
    /// All platforms.
    pub const ALL: [Self; 19] = [
        Self::X,
        Self::Mastodon,
        Self::Bluesky,
        Self::Reddit,
        Self::Facebook,
        Self::Instagram,
        Self::Youtube,
        Self::GooglePlay,
        Self::AppStore,
        Self::Zendesk,
        Self::Threads,
        Self::Tiktok,
        Self::Linkedin,
        Self::Trustpilot,
        Self::GoogleBusiness,
        Self::Freshdesk,
        Self::Intercom,
        Self::Feed,
        Self::Generic,
    ];

    /// Returns the name used in events and settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X => "x",
            Self::Mastodon => "mastodon",
            Self::Bluesky => "bluesky",
            Self::Reddit => "reddit",
            Self::Facebook => "facebook",
            Self::Instagram => "instagram",
            Self::Youtube => "youtube",
            Self::GooglePlay => "google_play",
            Self::AppStore => "app_store",
            Self::Zendesk => "zendesk",
            Self::Threads => "threads",
            Self::Tiktok => "tiktok",
            Self::Linkedin => "linkedin",
            Self::Trustpilot => "trustpilot",
            Self::GoogleBusiness => "google_business",
            Self::Freshdesk => "freshdesk",
            Self::Intercom => "intercom",
            Self::Feed => "feed",
            Self::Generic => "generic",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No platform has this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not a supported platform; give one of {names}",
    names = Platform::ALL.map(Platform::as_str).join(", ")
)]
pub struct UnknownPlatform(pub String);

impl FromStr for Platform {
    type Err = UnknownPlatform;

    /// Parses a name, ignoring case. A hyphen counts as an underscore, and `twitter` is an alias of `x`.
    fn from_str(name: &str) -> Result<Self, UnknownPlatform> {
        let wanted = name.to_ascii_lowercase().replace('-', "_");
        let wanted = if wanted == "twitter" { "x" } else { &wanted };
        let found = Self::ALL.into_iter().find(|platform| platform.as_str() == wanted);
        found.ok_or_else(|| UnknownPlatform(name.to_owned()))
    }
}

/// Maximum number of envelopes around each other.
const MAX_ENVELOPES: usize = 3;

/// Decodes the payloads of one source.
#[derive(Debug, Clone, PartialEq)]
pub struct PayloadDecoder {
    platform: Platform,
    scope: Option<String>,
    mapping: Option<Box<Mapping>>,
}

impl PayloadDecoder {
    /// Builds a decoder for a platform other than [`Platform::Generic`].
    #[must_use]
    pub fn new(platform: Platform) -> Self {
        Self { platform, scope: None, mapping: None }
    }

    /// Builds a decoder for [`Platform::Generic`].
    #[must_use]
    pub fn with_mapping(mapping: Mapping) -> Self {
        Self { platform: Platform::Generic, scope: None, mapping: Some(Box::new(mapping)) }
    }

    /// Sets the server or account to which ids belong, so that equal ids of two servers stay distinct.
    #[must_use]
    pub fn with_scope(self, scope: Option<String>) -> Self {
        Self { scope, ..self }
    }

    /// Returns the platform.
    #[must_use]
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// Returns the id of the conversation with a given root post.
    #[must_use]
    pub fn conversation(&self, post: &str) -> String {
        conversation(self.name(), self.scope.as_deref(), post)
    }

    /// Returns whether a reshare may refer to another reshare. Most platforms refer to the original post.
    pub(crate) fn has_nested_reshares(&self) -> bool {
        self.platform == Platform::Generic
    }

    /// Returns whether the platform has payloads in XML.
    fn reads_xml(&self) -> bool {
        matches!(self.platform, Platform::AppStore | Platform::Feed)
    }

    /// Returns whether the platform reports deleted accounts, so that the posts of each author must be
    /// remembered.
    pub(crate) fn reports_deleted_accounts(&self) -> bool {
        matches!(self.platform, Platform::X | Platform::Bluesky)
    }

    /// Returns the platform name in events.
    pub(crate) fn name(&self) -> &str {
        self.mapping.as_ref().map_or(self.platform.as_str(), |mapping| &mapping.platform)
    }

    /// Decodes a payload that arrived at `arrival`. For any bytes the result has at least one event,
    /// rejection or deleted account.
    #[must_use]
    pub fn decode(&self, payload: &[u8], arrival: EventTime) -> DecodedPayload {
        self.decode_enveloped(payload, arrival, MAX_ENVELOPES)
    }

    /// Decodes a payload in at most this number of envelopes. A mapping points into them by itself.
    fn decode_enveloped(&self, payload: &[u8], arrival: EventTime, levels: usize) -> DecodedPayload {
        let is_read = levels > 0 && self.mapping.is_none();
        match is_read.then(|| envelope::content(payload)).flatten() {
            None => self.decode_content(payload, arrival, levels),
            Some(Ok(content)) => {
                self.decode_enveloped(&content.payload, arrival, levels - 1).within(content.field)
            }
            Some(Err(rejection)) => DecodedPayload { rejections: vec![rejection], ..Default::default() },
        }
    }

    /// Decodes a payload, or a list of them.
    fn decode_content(&self, payload: &[u8], arrival: EventTime, levels: usize) -> DecodedPayload {
        let from_xml;
        let mut payload = payload;
        if self.reads_xml() && payload.len() <= MAX_PAYLOAD_BYTES && xml::is_xml(payload) {
            from_xml = match xml::to_json(payload) {
                Ok(json) => json,
                Err(rejection) => {
                    return DecodedPayload { rejections: vec![rejection], ..Default::default() };
                }
            };
            payload = &from_xml;
        }
        let decoded = self.decode_page(payload, arrival);
        if decoded.has_news() || self.mapping.is_some() {
            return decoded;
        }
        let pages = self.decode_pages(payload, arrival, levels);
        pages.filter(|pages| pages.has_news() || pages.faults() < decoded.faults()).unwrap_or(decoded)
    }

    /// Decodes a list of payloads: programs that page through a platform collect its responses in one.
    fn decode_pages(&self, payload: &[u8], arrival: EventTime, levels: usize) -> Option<DecodedPayload> {
        let is_within_limit = payload.len() <= MAX_PAYLOAD_BYTES;
        let payload = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
        let pages: Vec<&RawValue> = is_within_limit.then(|| serde_json::from_slice(payload).ok())??;
        let mut all = DecodedPayload::default();
        for (i, page) in pages.iter().enumerate().filter(|(_, page)| page.get() != "null") {
            let page = page.get().as_bytes();
            let is_envelope = levels > 0 && envelope::content(page).is_some();
            let decoded = if is_envelope {
                self.decode_enveloped(page, arrival, levels)
            } else {
                self.decode_page(page, arrival)
            };
            all.append(decoded, i);
        }
        if !all.has_news() && all.rejections.is_empty() {
            all.rejections.push(empty());
        }
        Some(all)
    }

    fn decode_page(&self, payload: &[u8], arrival: EventTime) -> DecodedPayload {
        let mut decoded = self.decode_good_items(payload, arrival);
        if self.mapping.is_none() {
            private_parts::withhold(payload, &mut decoded.rejections);
        }
        decoded
    }

    /// Decodes a page, if need be without its bad items, or without the parts of a post that it can do without.
    fn decode_good_items(&self, payload: &[u8], arrival: EventTime) -> DecodedPayload {
        let new_output = || DecodeOutput::new(self.name(), self.scope.as_deref(), arrival);
        let mut out = new_output();
        let result = self.read(payload, &mut out);
        let may_be_one_item = result.as_ref().is_err_and(bad_items::may_be_one_item);
        if may_be_one_item && let Some(good) = bad_items::without_bad_items(payload, self.item_lists()) {
            let mut out = new_output().of_rest(good.unreadable);
            good.rejections.into_iter().for_each(|rejection| out.reject(rejection));
            let result = self.read(&good.payload, &mut out);
            return out.finish(result);
        }
        if may_be_one_item
            && self.mapping.is_none()
            && let Some(rest) = self.decode_without_bad_parts(payload, &result, arrival)
        {
            return rest;
        }
        out.finish(result)
    }

    /// Decodes a single post without the optional parts that cannot be read; `None` when that does not help.
    fn decode_without_bad_parts(
        &self,
        payload: &[u8],
        result: &crate::Result<()>,
        arrival: EventTime,
    ) -> Option<DecodedPayload> {
        let mut fault = result.as_ref().err()?.clone();
        let parts = PartRemover::new(payload, self.item_lists());
        let (mut payload, mut rejections) = (payload.to_vec(), Vec::new());
        for _ in 0..MAX_BAD_PARTS {
            let (rest, rejection) = parts.without_bad_part(&payload, &fault)?;
            payload = rest;
            rejections.push(rejection);
            let out = DecodeOutput::new(self.name(), self.scope.as_deref(), arrival);
            let mut out = out.of_rest(parts.unreadable.clone());
            match self.read(&payload, &mut out) {
                Ok(()) => {
                    rejections.into_iter().for_each(|rejection| out.reject(rejection));
                    return Some(out.finish(Ok(())));
                }
                Err(next) => fault = next,
            }
        }
        None
    }

    fn read(&self, payload: &[u8], out: &mut DecodeOutput<'_>) -> crate::Result<()> {
        match (self.platform, &self.mapping) {
            (Platform::X, _) => x::decode(payload, out),
            (Platform::Mastodon, _) => mastodon::decode(payload, out),
            (Platform::Bluesky, _) => bluesky::decode(payload, out),
            (Platform::Reddit, _) => reddit::decode(payload, out),
            (Platform::Facebook, _) => facebook::decode(payload, out),
            (Platform::Instagram, _) => instagram::decode(payload, out),
            (Platform::Youtube, _) => youtube::decode(payload, out),
            (Platform::GooglePlay, _) => google_play::decode(payload, out),
            (Platform::AppStore, _) => app_store::decode(payload, out),
            (Platform::Zendesk, _) => zendesk::decode(payload, out),
            (Platform::Threads, _) => threads::decode(payload, out),
            (Platform::Tiktok, _) => tiktok::decode(payload, out),
            (Platform::Linkedin, _) => linkedin::decode(payload, out),
            (Platform::Trustpilot, _) => trustpilot::decode(payload, out),
            (Platform::GoogleBusiness, _) => google_business::decode(payload, out),
            (Platform::Freshdesk, _) => freshdesk::decode(payload, out),
            (Platform::Intercom, _) => intercom::decode(payload, out),
            (Platform::Feed, _) => feed::decode(payload, out),
            (Platform::Generic, Some(mapping)) => generic::decode(mapping, payload, out),
            (Platform::Generic, None) => {
                Err(crate::decode_output::unknown_payload("the generic platform needs a mapping; give one"))
            }
        }
    }

    /// Returns the lists whose items are independent of each other. A mapping reads them one by one itself.
    fn item_lists(&self) -> &'static [ItemList] {
        match self.platform {
            Platform::X => x::LISTS,
            Platform::Mastodon => mastodon::LISTS,
            Platform::Bluesky => bluesky::LISTS,
            Platform::Reddit => reddit::LISTS,
            Platform::Facebook => facebook::LISTS,
            Platform::Instagram => instagram::LISTS,
            Platform::Youtube => youtube::LISTS,
            Platform::GooglePlay => google_play::LISTS,
            Platform::AppStore => app_store::LISTS,
            Platform::Zendesk => zendesk::LISTS,
            Platform::Threads => threads::LISTS,
            Platform::Tiktok => tiktok::LISTS,
            Platform::Linkedin => linkedin::LISTS,
            Platform::Trustpilot => trustpilot::LISTS,
            Platform::GoogleBusiness => google_business::LISTS,
            Platform::Freshdesk => freshdesk::LISTS,
            Platform::Intercom => intercom::LISTS,
            Platform::Feed => feed::LISTS,
            Platform::Generic => &[],
        }
    }
}
