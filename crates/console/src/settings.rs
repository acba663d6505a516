//! The `[console]` and `[notifications]` sections of the settings file.
//!
//! A console that other machines can reach must have sign-in and TLS; settings without them are rejected.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use firewatch_settings::Settings;
use thiserror::Error;

use crate::notify::{self, NotificationChannel};
use crate::people::{OidcSettings, Role};

/// The database when none is set.
const DATABASE: &str = "sqlite://console.db";

/// What a console that other machines can reach lacks, and which setting adds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UnsafeConsole {
    /// TLS or a proxy is set, but no public https URL.
    #[error("TLS and proxies need console.url; set console.url to the public https URL")]
    NoPublicUrl,
    /// The address is reachable without sign-in.
    #[error("{0} is reachable without sign-in; set console.sign_in, or use a loopback address and no proxy")]
    NoSignIn(SocketAddr),
    /// The address is reachable without TLS.
    #[error(
        "{0} is reachable without TLS; set console.tls.certificate and console.tls.key, or \
         console.proxy = true if a proxy terminates TLS"
    )]
    NoTls(SocketAddr),
}

/// How people sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignIn {
    /// No sign-in: everybody on this machine has the rights of a policy owner.
    Nobody,
    /// Name and password of a local account.
    Local,
    /// An OpenID Connect identity provider.
    Oidc(OidcSettings),
}

/// Who must have a second factor. Only local accounts have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondFactorPolicy {
    /// Nobody must.
    Optional,
    /// People who may view unredacted text or manage accounts.
    Officers,
    /// Everybody.
    Everyone,
}

/// The settings of the console, validated.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsoleSettings {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// URL of the database, such as `sqlite://console.db`.
    pub database: String,
    /// Public URL without a trailing slash; `None` if people use the listen address.
    pub url: Option<String>,
    /// Paths of the certificate and its key, PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// A proxy terminates TLS and passes the client's address in `x-forwarded-for`.
    pub proxy: bool,
    /// How people sign in.
    pub sign_in: SignIn,
    /// Who must have a second factor.
    pub second_factor: SecondFactorPolicy,
    /// The notification channels.
    pub channels: Vec<NotificationChannel>,
    /// Folder of the settings file, which gets the file with the link to the first account.
    pub folder: PathBuf,
}

impl ConsoleSettings {
    /// Returns settings for use on this machine only, without sign-in.
    #[must_use]
    pub fn local(listen: SocketAddr, database: String) -> Self {
        Self {
            listen,
            database,
            url: None,
            tls: None,
            proxy: false,
            sign_in: SignIn::Nobody,
            second_factor: SecondFactorPolicy::Optional,
            channels: vec![],
            folder: PathBuf::new(),
        }
    }

    /// Reads the sections. Relative paths are resolved against `folder`, the settings file's folder. `teams`
    /// are the policy's teams; if it is empty, channels may name any team.
    pub fn read(s: &mut Settings, folder: &Path, teams: &[String]) -> Self {
        let fallback = SocketAddr::from(([127, 0, 0, 1], 9465));
        let text = s.text("console.listen", &fallback.to_string());
        let listen = text.parse().unwrap_or_else(|_| {
            let problem = format!("`{text}`: not an address and port; use one such as {fallback}");
            s.add_fault("console.listen", problem);
            fallback
        });
        let url = url(s);
        let tls = tls(s, "console", folder);
        let proxy = s.flag("console.proxy", false);
        let sign_in = sign_in(s, url.as_deref());
        let second_factor = second_factor(s, &sign_in);
        let settings = Self {
            listen,
            database: s.secret("console.database").unwrap_or_else(|| DATABASE.into()),
            url,
            tls,
            proxy,
            sign_in,
            second_factor,
            channels: notify::read_channels(s, teams),
            folder: folder.into(),
        };
        if let Err(problem) = settings.is_safe() {
            s.add_fault("console.listen", problem);
        }
        settings
    }

    /// Checks that a console which other machines can reach has sign-in and TLS.
    ///
    /// # Errors
    /// What is missing, and which setting adds it.
    pub fn is_safe(&self) -> Result<(), UnsafeConsole> {
        let is_https = self.url.as_ref().is_some_and(|url| url.starts_with("https://"));
        let listen = self.listen;
        if (self.tls.is_some() || self.proxy) && !is_https {
            return Err(UnsafeConsole::NoPublicUrl);
        }
        let from_elsewhere = !listen.ip().is_loopback();
        let is_seen = from_elsewhere || self.proxy;
        if is_seen && self.sign_in == SignIn::Nobody {
            return Err(UnsafeConsole::NoSignIn(listen));
        }
        if from_elsewhere && self.tls.is_none() && !self.proxy {
            return Err(UnsafeConsole::NoTls(listen));
        }
        Ok(())
    }

    /// Returns whether browsers reach the console over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.tls.is_some() || self.proxy
    }
}

fn url(s: &mut Settings) -> Option<String> {
    let url = s.text("console.url", "http://listen");
    if url == "http://listen" {
        return None;
    }
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    match host.map(|host| host.trim_end_matches('/')) {
        Some(host) if !host.is_empty() && host.chars().all(plain) => {
            Some(url.trim_end_matches('/').to_owned())
        }
        _ => {
            let problem =
                format!("`{url}`: not a URL without a path; use one such as \"https://console.example.org\"");
            s.add_fault("console.url", problem);
            None
        }
    }
}

/// Reads `tls.certificate` and `tls.key` of a section; relative paths are resolved against `folder`.
pub fn tls(s: &mut Settings, section: &str, folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let [certificate, key] = ["certificate", "key"].map(|name| s.text(&format!("{section}.tls.{name}"), "-"));
    match (certificate.as_str(), key.as_str()) {
        ("-", "-") => None,
        ("-", _) | (_, "-") => {
            s.add_fault(&format!("{section}.tls"), "incomplete; set both certificate and key, or neither");
            None
        }
        (certificate, key) => Some((folder.join(certificate), folder.join(key))),
    }
}

fn sign_in(s: &mut Settings, url: Option<&str>) -> SignIn {
    let way = s.choice("console.sign_in", "nobody", &["nobody", "local", "oidc"]);
    let oidc = oidc(s, url);
    match way.as_str() {
        "local" => SignIn::Local,
        "oidc" => {
            if url.is_none() {
                s.add_fault("console.url", "missing; the identity provider redirects browsers to it");
            }
            for (key, value) in [("issuer", &oidc.issuer), ("client_id", &oidc.client_id)] {
                if value == "-" {
                    s.add_fault(&format!("console.oidc.{key}"), "missing; copy it from the provider");
                }
            }
            if !is_secure_issuer(&oidc.issuer) {
                let problem = "not https; tokens and the client secret would travel in the clear";
                s.add_fault("console.oidc.issuer", problem);
            }
            if oidc.groups.iter().all(|(_, groups)| groups.is_empty()) {
                let problem = "missing; map at least one role to groups, such as responder = [\"pr\"]";
                s.add_fault("console.oidc.groups", problem);
            }
            SignIn::Oidc(oidc)
        }
        _ => SignIn::Nobody,
    }
}

fn second_factor(s: &mut Settings, sign_in: &SignIn) -> SecondFactorPolicy {
    let key = "console.second_factor";
    let policy = match s.choice(key, "optional", &["optional", "officers", "everyone"]).as_str() {
        "officers" => SecondFactorPolicy::Officers,
        "everyone" => SecondFactorPolicy::Everyone,
        _ => SecondFactorPolicy::Optional,
    };
    if policy != SecondFactorPolicy::Optional && *sign_in != SignIn::Local {
        let problem =
            "needs console.sign_in = \"local\"; an identity provider asks for its own second factor";
        s.add_fault(key, problem);
    }
    policy
}

/// Whether an issuer is reached over TLS, or is on this machine.
fn is_secure_issuer(issuer: &str) -> bool {
    let near = issuer.strip_prefix("http://").and_then(|rest| rest.split(['/', ':']).next());
    issuer == "-"
        || issuer.starts_with("https://")
        || near.is_some_and(|host| ["localhost", "127.0.0.1"].contains(&host))
}

fn oidc(s: &mut Settings, url: Option<&str>) -> OidcSettings {
    let mut text = |key: &str, otherwise: &str| s.text(&format!("console.oidc.{key}"), otherwise);
    let (issuer, client_id) = (text("issuer", "-"), text("client_id", "-"));
    let claim = text("claim", "groups");
    let client_secret = s.secret("console.oidc.client_secret").unwrap_or_default();
    let scopes = s.texts("console.oidc.scopes");
    let groups =
        Role::ALL.map(|role| (role, s.texts(&format!("console.oidc.groups.{}", role.as_str())))).to_vec();
    OidcSettings {
        issuer,
        client_id,
        client_secret,
        redirect_url: format!("{}/sign-in/back", url.unwrap_or_default()),
        claim,
        scopes,
        groups,
    }
}
