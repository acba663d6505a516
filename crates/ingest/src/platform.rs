//! The platforms that are read, each by a module of its own.

use std::fmt;
use std::str::FromStr;

use firewatch_domain::EventTime;

use crate::decode_output::{DecodeOutput, DecodedPayload, conversation};
use crate::generic::Mapping;
use crate::meta::{facebook, instagram};
use crate::{bluesky, generic, mastodon, reddit, reviews, x, youtube, zendesk};

/// A network, store or help desk whose payloads are read as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// X (Twitter), both of its APIs and account activity.
    X,
    /// Mastodon and what speaks its API.
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
    /// Anything else, by a mapping.
    Generic,
}

impl Platform {
    /// All of them.
    pub const ALL: [Self; 11] = [
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
        Self::Generic,
    ];

    /// Its name, as events have it.
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
            Self::Generic => "generic",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Platform {
    type Err = String;

    /// By its name; a hyphen counts as an underscore.
    fn from_str(name: &str) -> Result<Self, String> {
        let wanted = name.to_ascii_lowercase().replace('-', "_");
        let wanted = if wanted == "twitter" { "x" } else { &wanted };
        Self::ALL.into_iter().find(|platform| platform.as_str() == wanted).ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|platform| platform.as_str()).collect();
            format!("`{name}` is no platform that is read; give one of {}", all.join(", "))
        })
    }
}

/// How payloads of one source are read.
#[derive(Debug, Clone, PartialEq)]
pub struct PayloadDecoder {
    platform: Platform,
    scope: Option<String>,
    mapping: Option<Box<Mapping>>,
}

impl PayloadDecoder {
    /// One for a platform that needs no mapping.
    #[must_use]
    pub fn new(platform: Platform) -> Self {
        Self { platform, scope: None, mapping: None }
    }

    /// One for anything else.
    #[must_use]
    pub fn with_mapping(mapping: Mapping) -> Self {
        Self { platform: Platform::Generic, scope: None, mapping: Some(Box::new(mapping)) }
    }

    /// Names the server or account whose ids are its own, so that two of them are not taken for one.
    #[must_use]
    pub fn with_scope(self, scope: Option<String>) -> Self {
        Self { scope, ..self }
    }

    /// The platform.
    #[must_use]
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// The id of the conversation of which a post is the root.
    #[must_use]
    pub fn conversation(&self, post: &str) -> String {
        conversation(self.name(), self.scope.as_deref(), post)
    }

    /// Whether what is passed on may be passed on again under an id of its own; most networks name the original at once.
    pub(crate) fn has_nested_reshares(&self) -> bool {
        self.platform == Platform::Generic
    }

    /// Whether the platform tells that an account is gone, so that its posts have to be known.
    pub(crate) fn reports_deleted_accounts(&self) -> bool {
        matches!(self.platform, Platform::X | Platform::Bluesky)
    }

    /// The platform, as events name it.
    pub(crate) fn name(&self) -> &str {
        self.mapping.as_ref().map_or(self.platform.as_str(), |mapping| &mapping.platform)
    }

    /// What a payload that arrived at `arrival` tells. Any bytes have an outcome: there is an event or a rejection.
    #[must_use]
    pub fn decode(&self, payload: &[u8], arrival: EventTime) -> DecodedPayload {
        let mut out = DecodeOutput::new(self.name(), self.scope.as_deref(), arrival);
        let result = match (self.platform, &self.mapping) {
            (Platform::X, _) => x::decode(payload, &mut out),
            (Platform::Mastodon, _) => mastodon::decode(payload, &mut out),
            (Platform::Bluesky, _) => bluesky::decode(payload, &mut out),
            (Platform::Reddit, _) => reddit::decode(payload, &mut out),
            (Platform::Facebook, _) => facebook::decode(payload, &mut out),
            (Platform::Instagram, _) => instagram::decode(payload, &mut out),
            (Platform::Youtube, _) => youtube::decode(payload, &mut out),
            (Platform::GooglePlay, _) => reviews::decode_google_play(payload, &mut out),
            (Platform::AppStore, _) => reviews::decode_app_store(payload, &mut out),
            (Platform::Zendesk, _) => zendesk::decode(payload, &mut out),
            (Platform::Generic, Some(mapping)) => generic::decode(mapping, payload, &mut out),
            (Platform::Generic, None) => {
                Err(crate::decode_output::unknown_payload("no mapping says where things are in it; give one"))
            }
        };
        out.finish(result)
    }
}
