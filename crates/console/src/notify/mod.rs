//! Who is told outside of the console, by which way, of what and when.
//!
//! A channel is a section of the settings. What it has to tell is queued in the transaction that takes the record in, so nothing is
//! lost, and sent under a key that follows from the record, so a receiver can know a repeat. No message holds what a person wrote.

mod message;
mod outbox;
mod send;

use firewatch_domain::{Escalation, EscalationChange, EventTime, Level};
use firewatch_escalation::{QuietHours, quiet_hours};
use firewatch_settings::Settings;

use crate::outbound_client::AddressScope;

pub use message::Message;
pub use outbox::{ChannelState, Delivery, Outbox};
pub use send::{SendResult, Sender};

/// A way to tell somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct NotificationChannel {
    /// Its name in the settings.
    pub name: String,
    /// By what.
    pub transport: Transport,
    /// The teams whose escalations it tells; all when empty.
    pub teams: Vec<String>,
    /// The mildest level it tells.
    pub min_level: Level,
    /// What news it tells.
    pub news: Vec<EscalationChange>,
    /// When it waits.
    pub quiet: Option<QuietHours>,
    /// Where it may lead.
    pub address_scope: AddressScope,
}

/// By what somebody is told.
#[derive(Clone, PartialEq, Eq)]
pub enum Transport {
    /// An incoming webhook of Slack, or of what understands the same, such as Mattermost.
    Slack {
        /// Where it is; the path is a secret.
        url: String,
    },
    /// A workflow webhook of Microsoft Teams.
    Teams {
        /// Where it is; the path is a secret.
        url: String,
    },
    /// `PagerDuty`, Events API v2: opens, acknowledges and resolves.
    PagerDuty {
        /// Where it is.
        url: String,
        /// The integration's key.
        key: String,
    },
    /// A webhook, signed as Standard Webhooks says.
    Webhook {
        /// Where it is.
        url: String,
        /// The key of the signature.
        secret: Vec<u8>,
    },
    /// Mail.
    Email(Mail),
}

/// How mail is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The server.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How TLS is done: `tls`, `starttls`, or `none` for a server on this machine.
    pub tls: String,
    /// The sender.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
    /// The user, if the server asks for one, and the password.
    pub user: Option<(String, String)>,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // URLs, keys and passwords are secrets.
        f.write_str(self.name())
    }
}

impl Transport {
    /// The kind, as the settings say it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Slack { .. } => "slack",
            Self::Teams { .. } => "teams",
            Self::PagerDuty { .. } => "pagerduty",
            Self::Webhook { .. } => "webhook",
            Self::Email(_) => "email",
        }
    }
}

impl NotificationChannel {
    /// Whether it tells of a record.
    #[must_use]
    pub fn wants(&self, e: &Escalation) -> bool {
        let concerns = |team: &String| *team == e.team || e.handed_over_by.as_ref() == Some(team);
        let by_team = self.teams.is_empty() || self.teams.iter().any(concerns);
        let by_news = self.news.contains(&e.change);
        // What PagerDuty has opened it also has to close.
        let ends =
            matches!(self.transport, Transport::PagerDuty { .. }) && e.change == EscalationChange::Moved;
        by_team && e.level >= self.min_level && (by_news || ends)
    }

    /// When it may tell of something of this level.
    #[must_use]
    pub fn due(&self, now: EventTime, level: Level) -> EventTime {
        self.quiet.as_ref().map_or(now, |quiet| quiet.awake_at(now, level))
    }
}

const ALL_NEWS: [EscalationChange; 8] = [
    EscalationChange::Opened,
    EscalationChange::Raised,
    EscalationChange::Moved,
    EscalationChange::Grew,
    EscalationChange::HandedOver,
    EscalationChange::Late,
    EscalationChange::Stalled,
    EscalationChange::Waits,
];
/// What is told unless a channel says otherwise: what somebody has to do something about.
const DEFAULT_NEWS: [EscalationChange; 4] = [
    EscalationChange::Opened,
    EscalationChange::Raised,
    EscalationChange::HandedOver,
    EscalationChange::Late,
];

/// Reads the sections of channels.
pub(crate) fn read_channels(s: &mut Settings, teams: &[String]) -> Vec<NotificationChannel> {
    let names = s.sections("notifications");
    names.iter().filter_map(|name| channel(s, name, teams)).collect()
}

fn channel(s: &mut Settings, name: &str, all: &[String]) -> Option<NotificationChannel> {
    let key = |field: &str| format!("notifications.{name}.{field}");
    let kind = s.choice(&key("kind"), "", &["slack", "teams", "pagerduty", "webhook", "email"]);
    if kind.is_empty() {
        s.add_fault(&key("kind"), "is missing; give one of slack, teams, pagerduty, webhook, email");
    }
    let teams = s.texts(&key("teams"));
    for team in teams.iter().filter(|team| !all.is_empty() && !all.contains(team)) {
        s.add_fault(
            &key("teams"),
            format_args!("{team:?} is no team of the policy; there are {}", all.join(", ")),
        );
    }
    let levels = Level::ALL.map(Level::as_str);
    let from = s.choice(&key("from"), "low", &levels);
    let from = Level::ALL.into_iter().find(|level| level.as_str() == from).unwrap_or(Level::Low);
    let news = news(s, &key("news"));
    let quiet = quiet_hours(s, &key("quiet"));
    let address_scope =
        if s.flag(&key("allow_private"), false) { AddressScope::Anywhere } else { AddressScope::Public };
    let transport = match kind.as_str() {
        "slack" => Some(Transport::Slack { url: url(s, &key("url"), address_scope)? }),
        "teams" => Some(Transport::Teams { url: url(s, &key("url"), address_scope)? }),
        "webhook" => Some(Transport::Webhook {
            url: url(s, &key("url"), address_scope)?,
            secret: secret(s, &key("secret"))?,
        }),
        "pagerduty" => {
            let url = match s.has(&key("url")) {
                true => url(s, &key("url"), address_scope)?,
                false => "https://events.pagerduty.com/v2/enqueue".into(),
            };
            Some(Transport::PagerDuty {
                url,
                key: required_text(s, &key("routing_key"), "PagerDuty's integration tells it")?,
            })
        }
        "email" => mail(s, name).map(Transport::Email),
        _ => None,
    }?;
    Some(NotificationChannel {
        name: name.into(),
        transport,
        teams,
        min_level: from,
        news,
        quiet,
        address_scope,
    })
}

fn news(s: &mut Settings, key: &str) -> Vec<EscalationChange> {
    let named = s.texts(key);
    let mut news = Vec::new();
    for name in &named {
        match ALL_NEWS.iter().find(|news| news.as_str() == name) {
            Some(one) => news.push(*one),
            None => {
                s.add_fault(
                    key,
                    format_args!(
                        "{name:?} is no news; give some of {}",
                        ALL_NEWS.map(EscalationChange::as_str).join(", ")
                    ),
                );
            }
        }
    }
    if named.is_empty() { DEFAULT_NEWS.to_vec() } else { news }
}

fn required_text(s: &mut Settings, key: &str, hint: &str) -> Option<String> {
    let value = s.text(key, "-");
    if value == "-" {
        s.add_fault(key, format_args!("is missing; {hint}"));
        return None;
    }
    Some(value)
}

fn url(s: &mut Settings, key: &str, address_scope: AddressScope) -> Option<String> {
    let url = required_text(
        s,
        key,
        "give it here, or keep it out of the file in the environment variable of this key",
    )?;
    let parsed = reqwest::Url::parse(&url).ok();
    let scheme = parsed.as_ref().map_or("", reqwest::Url::scheme);
    let is_good = scheme == "https" || (scheme == "http" && address_scope == AddressScope::Anywhere);
    if !is_good {
        // The value may be a secret and is not repeated.
        s.add_fault(key, "is no https URL; only a channel with allow_private = true may use http");
        return None;
    }
    Some(url)
}

fn secret(s: &mut Settings, key: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    let text = required_text(
        s,
        key,
        "give `whsec_` and at least 24 bytes in base64; `openssl rand -base64 32` makes some",
    )?;
    let decoded = text
        .strip_prefix("whsec_")
        .and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    let secret = decoded.filter(|secret| (24..=64).contains(&secret.len()));
    if secret.is_none() {
        s.add_fault(key, "is no secret of a webhook; give `whsec_` and 24 to 64 bytes in base64");
    }
    secret
}

fn mail(s: &mut Settings, name: &str) -> Option<Mail> {
    let key = |field: &str| format!("notifications.{name}.{field}");
    let server = required_text(s, &key("server"), "the mail server that takes it");
    let from = required_text(s, &key("sender"), "the address it comes from");
    let to = s.texts(&key("to"));
    if to.is_empty() {
        s.add_fault(&key("to"), "is missing; give the addresses of those who are told");
    }
    for address in from.iter().chain(&to) {
        if address.parse::<lettre::message::Mailbox>().is_err() {
            s.add_fault(&key("to"), format_args!("{address:?} is no mail address"));
        }
    }
    let tls = s.choice(&key("tls"), "starttls", &["tls", "starttls", "none"]);
    let usual = if tls == "tls" { 465 } else { 587 };
    let port = s.integer(&key("port"), usual, 1..=65_535) as u16;
    let (user, password) = (s.text(&key("user"), "-"), s.text(&key("password"), "-"));
    let server = server?;
    if tls == "none" && !matches!(server.as_str(), "localhost" | "127.0.0.1" | "::1") {
        s.add_fault(&key("tls"), "\"none\" is for a server on this machine; give \"starttls\" or \"tls\"");
    }
    let user = (user != "-").then_some((user, password));
    Some(Mail { server, port, tls, from: from?, to, user })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(text: &str) -> Result<Vec<NotificationChannel>, Vec<String>> {
        let mut s = Settings::parse("f", text).unwrap();
        let read = read_channels(&mut s, &["pr".into(), "support".into()]);
        s.finish(read).map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_channel_reports_every_fault_and_repeats_no_secret() {
        let faults = channels(
            "[notifications.a]\nkind = \"slack\"\nurl = \"http://hooks.example/SECRET\"\nteams = [\"press\"]\nnews = [\"gossip\"]\n\
             [notifications.b]\nkind = \"webhook\"\nurl = \"https://b.example/x\"\nsecret = \"SECRET\"\n\
             [notifications.c]\nkind = \"email\"\nserver = \"mail.example\"\nsender = \"SENDER\"\ntls = \"none\"\n\
             [notifications.d]\n[notifications.d.quiet]\nfrom = \"25:00\"\n",
        )
        .unwrap_err();
        let wanted = [
            "notifications.a.teams: \"press\" is no team of the policy; there are pr, support",
            "notifications.a.news: \"gossip\" is no news; give some of opened",
            "notifications.a.url: is no https URL; only a channel with allow_private",
            "notifications.b.secret: is no secret of a webhook; give `whsec_`",
            "notifications.c.to: is missing",
            "notifications.c.to: \"SENDER\" is no mail address",
            "notifications.c.tls: \"none\" is for a server on this machine",
            "notifications.d.kind: is missing",
            "notifications.d.quiet.from: \"25:00\" is not allowed",
        ];
        assert_eq!(faults.len(), wanted.len(), "{faults:#?}");
        for (fault, wanted) in faults.iter().zip(wanted) {
            assert!(fault.starts_with(wanted) && !fault.contains("SECRET"), "{fault}\n{wanted}");
        }
    }

    #[test]
    fn a_channel_notifies_its_teams_from_its_level_on_and_waits_through_the_night() {
        let text = "[notifications.night]\nkind = \"pagerduty\"\nrouting_key = \"k\"\nteams = [\"pr\"]\nfrom = \"medium\"\n\
                    quiet = { zone = \"UTC\", from = \"22:00\", to = \"07:00\", wakes = \"critical\" }\n";
        let channel = channels(text).unwrap().remove(0);
        let record = |team: &str, level: &str, news: &str| -> Escalation {
            serde_json::from_value(serde_json::json!({
                "v": 1, "id": "e/0", "escalation": "e", "step": 0, "news": news, "state": "open", "team": team, "level": level,
                "conversation": "c", "at": "2026-03-10T23:00:00Z", "reasons": ["r"], "policy": "p", "policy_hash": "h",
            }))
            .unwrap()
        };
        assert!(channel.wants(&record("pr", "medium", "opened")));
        assert!(
            !channel.wants(&record("pr", "low", "opened"))
                && !channel.wants(&record("support", "high", "opened"))
        );
        assert!(
            !channel.wants(&record("pr", "high", "grew")) && channel.wants(&record("pr", "high", "moved"))
        );
        let night = EventTime::parse("2026-03-10T23:00:00Z").unwrap();
        let morning = EventTime::parse("2026-03-11T07:00:00Z").unwrap();
        assert_eq!((channel.due(night, Level::High), channel.due(night, Level::Critical)), (morning, night));
        assert_eq!(channel.due(morning, Level::Low), morning);
        assert!(!format!("{channel:?}").contains("\"k\""));
    }
}
