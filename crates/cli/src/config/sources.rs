//! The payload sources of a settings file: their raw topics, decoders, webhooks and streams.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use firewatch_collect::{HookSource, Jetstream, MastodonStream};
use firewatch_console::tls;
use firewatch_ingest::{HookAuth, Mapping, PayloadDecoder, Platform};
use firewatch_kafka::RawSource;
use firewatch_settings::Settings;

/// Where the receiver of webhooks listens.
pub struct HookListener {
    /// Socket address to listen on.
    pub listen: SocketAddr,
    /// Paths of a certificate and its key.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// Silence after which a stream counts as dead.
const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(45);
/// Wait after a server refused a token, which only a person can fix.
const TOKEN_RETRY_WAIT: Duration = Duration::from_secs(60);

/// Reads every `[sources.NAME]` section.
pub fn sources(s: &mut Settings) -> Vec<RawSource> {
    let names = s.sections("sources");
    let sources: Vec<RawSource> = names.iter().map(|name| source(s, name)).collect();
    let mut topics: Vec<&str> = sources.iter().map(|source| source.topic.as_str()).collect();
    topics.sort_unstable();
    if let Some([twice, _]) = topics.windows(2).find(|pair| pair.first() == pair.last()) {
        let problem = format!("`{twice}` is the topic of two sources; each source needs its own topic");
        s.add_fault("sources", problem);
    }
    sources
}

fn source(s: &mut Settings, name: &str) -> RawSource {
    let key = |key: &str| format!("sources.{name}.{key}");
    let is_plain =
        name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    if !is_plain {
        s.add_fault(
            &format!("sources.{name}"),
            "is not allowed; give a-z, 0-9, `_` and `-`, as for a consumer group's name",
        );
    }
    let all: Vec<&str> = Platform::ALL.iter().map(|platform| platform.as_str()).collect();
    let platform_of_name = Platform::ALL.iter().find(|platform| platform.as_str() == name);
    let platform =
        s.choice(&key("platform"), platform_of_name.map_or("", |platform| platform.as_str()), &all);
    let reader = match platform.parse() {
        Ok(Platform::Generic) => PayloadDecoder::with_mapping(Mapping::from_settings(s, &key("mapping."))),
        Ok(platform) => PayloadDecoder::new(platform),
        Err(problem) => {
            if !s.has(&key("platform")) {
                s.add_fault(&key("platform"), format!("is missing; {problem}"));
            }
            PayloadDecoder::new(Platform::X)
        }
    };
    let account = s.text(&key("account"), "");
    let topic = s.text(&key("topic"), &format!("raw.{name}"));
    let reader = reader.with_scope((!account.is_empty()).then_some(account));
    RawSource { name: name.to_owned(), topic, decoder: reader }
}

/// A stream that `firewatch collect` follows.
pub enum StreamSource {
    /// Bluesky's Jetstream.
    Jetstream(Jetstream),
    /// Mastodon's streaming API.
    Mastodon(MastodonStream),
}

impl StreamSource {
    /// Returns the source's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Jetstream(source) => &source.name,
            Self::Mastodon(source) => &source.name,
        }
    }

    /// Returns the setting of its server, and the server's URL.
    pub fn address(&self) -> (String, String) {
        let (key, url) = match self {
            Self::Jetstream(source) => ("url", &source.url),
            Self::Mastodon(source) => ("server", &source.server),
        };
        (format!("sources.{}.stream.{key}", self.name()), url.clone())
    }

    /// Returns the raw topic.
    pub fn topic(&self) -> &str {
        match self {
            Self::Jetstream(source) => &source.topic,
            Self::Mastodon(source) => &source.topic,
        }
    }
}

/// Settings of `firewatch collect`.
pub struct CollectSettings {
    /// Where the receiver of webhooks listens.
    pub listener: HookListener,
    /// Sources with a webhook.
    pub hooks: Vec<HookSource>,
    /// Sources with a stream.
    pub streams: Vec<StreamSource>,
}

/// Reads `[collect]`, and `webhook` and `stream` of every source. Relative paths start at `folder`, which
/// holds the settings file.
pub fn collect_settings(s: &mut Settings, sources: &[RawSource], folder: &Path) -> CollectSettings {
    let listener = hook_listener(s, folder);
    let hooks = sources.iter().filter_map(|source| hook_source(s, source)).collect();
    let streams = sources.iter().filter_map(|source| stream_source(s, source)).collect();
    CollectSettings { listener, hooks, streams }
}

fn hook_listener(s: &mut Settings, folder: &Path) -> HookListener {
    let fallback = SocketAddr::from(([127, 0, 0, 1], 9466));
    let text = s.text("collect.listen", &fallback.to_string());
    let tls = tls(s, "collect", folder);
    let proxy = s.flag("collect.proxy", false);
    let listen = text.parse().unwrap_or_else(|_| {
        let problem = format!("`{text}` is not allowed; give an address and port such as {fallback}");
        s.add_fault("collect.listen", problem);
        fallback
    });
    if !listen.ip().is_loopback() && tls.is_none() && !proxy {
        let problem = format!(
            "{listen} can be reached from other machines; give collect.tls.certificate and collect.tls.key, \
             or set collect.proxy = true when a proxy in front has them"
        );
        s.add_fault("collect.listen", problem);
    }
    HookListener { listen, tls }
}

fn hook_source(s: &mut Settings, source: &RawSource) -> Option<HookSource> {
    let section = format!("sources.{}.webhook", source.name);
    if !s.has(&section) {
        return None;
    }
    let key = |key: &str| format!("{section}.{key}");
    let secret = secret(s, &key("secret"));
    let signed_by = match source.decoder.platform() {
        Platform::Facebook | Platform::Instagram | Platform::Threads => "meta",
        Platform::X => "x",
        Platform::Zendesk => "zendesk",
        _ => "bearer",
    };
    let hook =
        match s.choice(&key("signed"), signed_by, &["meta", "x", "zendesk", "header", "bearer"]).as_str() {
            "meta" => HookAuth::Meta { secret, verify_token: self::secret(s, &key("verify_token")) },
            "x" => HookAuth::X { secret },
            "zendesk" => HookAuth::Zendesk { secret },
            "header" => HookAuth::Signed {
                secret,
                header: s.text(&key("header"), "x-signature").to_ascii_lowercase(),
            },
            _ => HookAuth::Bearer { secret },
        };
    let rate = s.integer(&key("rate"), 200, 1..=100_000);
    let rate = u32::try_from(rate).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
    Some(HookSource { name: source.name.clone(), topic: source.topic.clone(), hook, rate })
}

/// Reads a secret. It must have at least 8 characters, so that nobody guesses it.
fn secret(s: &mut Settings, key: &str) -> String {
    let secret = s.secret(key).unwrap_or_default();
    if secret.len() < 8 {
        let variable = format!("FIREWATCH_{}", key.to_uppercase().replace('.', "_"));
        s.add_fault(
            key,
            format!("is missing or shorter than 8 characters; set it, preferably by the variable {variable}"),
        );
    }
    secret
}

fn stream_source(s: &mut Settings, source: &RawSource) -> Option<StreamSource> {
    let section = format!("sources.{}.stream", source.name);
    if !s.has(&section) {
        return None;
    }
    let key = |key: &str| format!("{section}.{key}");
    let (name, topic) = (source.name.clone(), source.topic.clone());
    match source.decoder.platform() {
        Platform::Bluesky => {
            let url = s.text(&key("url"), "wss://jetstream2.us-east.bsky.network/subscribe");
            if !(url.starts_with("wss://") || url.starts_with("ws://")) {
                s.add_fault(
                    &key("url"),
                    format!("`{url}` is not allowed; give one that begins with wss:// or ws://"),
                );
            }
            let mut collections = s.texts(&key("collections"));
            if collections.is_empty() {
                let all = ["app.bsky.feed.post", "app.bsky.feed.repost", "app.bsky.feed.like"];
                collections = all.map(Into::into).to_vec();
            }
            Some(StreamSource::Jetstream(Jetstream {
                name,
                topic,
                url,
                collections,
                idle_timeout: STREAM_IDLE_TIMEOUT,
            }))
        }
        Platform::Mastodon => {
            let server = s.text(&key("server"), "https://mastodon.social").trim_end_matches('/').to_owned();
            if !(server.starts_with("https://") || server.starts_with("http://")) {
                let problem =
                    format!("`{server}` is not allowed; give one such as \"https://mastodon.social\"");
                s.add_fault(&key("server"), problem);
            }
            let stream = s.choice(&key("stream"), "public", &["public", "public/local", "hashtag"]);
            let tag = s.text(&key("tag"), "");
            if (stream == "hashtag") == tag.is_empty() {
                s.add_fault(&key("tag"), "is required by stream = \"hashtag\", and allowed only with it");
            } else if !tag.chars().all(|c| c.is_alphanumeric() || c == '_') {
                s.add_fault(
                    &key("tag"),
                    format!("`{tag}` is not a hashtag; give only its letters, digits and `_`"),
                );
            }
            let token = s.secret(&key("token")).unwrap_or_default();
            let given = |text: String| (!text.is_empty()).then_some(text);
            let (tag, token) = (given(tag), given(token));
            Some(StreamSource::Mastodon(MastodonStream {
                name,
                topic,
                server,
                stream,
                tag,
                token,
                idle_timeout: STREAM_IDLE_TIMEOUT,
                token_retry_wait: TOKEN_RETRY_WAIT,
            }))
        }
        platform => {
            s.add_fault(
                &section,
                format!("streams of {platform} are not supported; those of bluesky and mastodon are"),
            );
            None
        }
    }
}
