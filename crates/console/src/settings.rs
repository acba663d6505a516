//! The `[console]` and `[notifications]` sections of the settings file.
//!
//! Whoever can reach the console from another machine has to sign in, over TLS: a setting that would let others in without is
//! a fault.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use firewatch_settings::Settings;

use crate::notify::{self, NotificationChannel};
use crate::people::{OidcSettings, Role};

/// How people are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignIn {
    /// Nobody signs in: whoever is at this machine may do what a policy owner may.
    Nobody,
    /// By a name and a password that are kept here.
    Local,
    /// By an identity provider.
    Oidc(OidcSettings),
}

/// Everything the console needs to know, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsoleSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The URL of its database.
    pub database: String,
    /// How people reach it, without a slash at the end; none: at `listen`.
    pub url: Option<String>,
    /// The files of a certificate and its key, PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// A proxy in front ends TLS and tells in `x-forwarded-for` who asks.
    pub proxy: bool,
    /// How people are known.
    pub sign_in: SignIn,
    /// Who is told of what by which way.
    pub channels: Vec<NotificationChannel>,
}

impl ConsoleSettings {
    /// For this machine alone, without sign-in.
    #[must_use]
    pub fn local(listen: SocketAddr, database: String) -> Self {
        Self {
            listen,
            database,
            url: None,
            tls: None,
            proxy: false,
            sign_in: SignIn::Nobody,
            channels: vec![],
        }
    }

    /// Reads the sections; files are beside the settings file, in `folder`. Teams that may be told are these, when they are known.
    pub fn read(s: &mut Settings, folder: &Path, teams: &[String]) -> Self {
        let fallback = SocketAddr::from(([127, 0, 0, 1], 9465));
        let text = s.text("console.listen", &fallback.to_string());
        let listen = text.parse().unwrap_or_else(|_| {
            let problem = format!("`{text}` is not allowed; give an address and port such as {fallback}");
            s.add_fault("console.listen", problem);
            fallback
        });
        let url = url(s);
        let tls = tls(s, "console", folder);
        let proxy = s.flag("console.proxy", false);
        let sign_in = sign_in(s, url.as_deref());
        let settings = Self {
            listen,
            database: s.text("console.database", "sqlite://console.db"),
            url,
            tls,
            proxy,
            sign_in,
            channels: notify::read_channels(s, teams),
        };
        if let Err(problem) = settings.is_safe() {
            s.add_fault("console.listen", problem);
        }
        settings
    }

    /// Whether nobody from elsewhere gets in unknown or is overheard, or what would have to be set.
    ///
    /// # Errors
    /// Why not.
    pub fn is_safe(&self) -> Result<(), String> {
        let is_https = self.url.as_ref().is_some_and(|url| url.starts_with("https://"));
        let listen = self.listen;
        if (self.tls.is_some() || self.proxy) && !is_https {
            return Err("with TLS or a proxy, set console.url to how people reach it, such as \"https://console.example.org\"".into());
        }
        let from_elsewhere = !listen.ip().is_loopback();
        let is_seen = from_elsewhere || self.proxy;
        if is_seen && self.sign_in == SignIn::Nobody {
            return Err(format!(
                "{listen} can be reached from other machines; set console.sign_in, or give a loopback address and no proxy"
            ));
        }
        if from_elsewhere && self.tls.is_none() && !self.proxy {
            return Err(format!(
                "{listen} can be reached from other machines; give console.tls.certificate and console.tls.key, or set console.proxy = true when a proxy in front has them"
            ));
        }
        Ok(())
    }

    /// Whether browsers reach it over TLS.
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
            let problem = format!(
                "`{url}` is not allowed; give one such as \"https://console.example.org\", without a path"
            );
            s.add_fault("console.url", problem);
            None
        }
    }
}

/// The files of a certificate and its key that a section names, beside the settings file.
pub fn tls(s: &mut Settings, section: &str, folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let [certificate, key] = ["certificate", "key"].map(|name| s.text(&format!("{section}.tls.{name}"), "-"));
    match (certificate.as_str(), key.as_str()) {
        ("-", "-") => None,
        ("-", _) | (_, "-") => {
            s.add_fault(&format!("{section}.tls"), "give both certificate and key, or neither");
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
                s.add_fault("console.url", "is missing; the identity provider sends browsers back to it");
            }
            for (key, value) in [("issuer", &oidc.issuer), ("client_id", &oidc.client_id)] {
                if value == "-" {
                    s.add_fault(&format!("console.oidc.{key}"), "is missing; the identity provider tells it");
                }
            }
            if oidc.groups.iter().all(|(_, groups)| groups.is_empty()) {
                let problem = "is missing; say which groups may look, act, own policies or see unredacted text, such as responders = [\"pr\"]";
                s.add_fault("console.oidc.groups", problem);
            }
            SignIn::Oidc(oidc)
        }
        _ => SignIn::Nobody,
    }
}

fn oidc(s: &mut Settings, url: Option<&str>) -> OidcSettings {
    let mut text = |key: &str, otherwise: &str| s.text(&format!("console.oidc.{key}"), otherwise);
    let (issuer, client_id) = (text("issuer", "-"), text("client_id", "-"));
    let client_secret = text("client_secret", "-");
    let claim = text("claim", "groups");
    let scopes = s.texts("console.oidc.scopes");
    let groups =
        Role::ALL.map(|role| (role, s.texts(&format!("console.oidc.groups.{}", role.as_str())))).to_vec();
    OidcSettings {
        issuer,
        client_id,
        client_secret: if client_secret == "-" { String::new() } else { client_secret },
        redirect_url: format!("{}/sign-in/back", url.unwrap_or_default()),
        claim,
        scopes,
        groups,
    }
}
