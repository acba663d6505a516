//! Notification channels: who is notified outside the console, by which transport, of which changes and when.
//!
//! Each `[notifications.*]` section of the settings is a channel. A notification is queued in the transaction
//! that applies its record, so none is lost, and is sent under an id derived from the record, so a receiver
//! can detect a repeat. No notification holds text that a person wrote.

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

/// A configured channel: a transport, and which escalation changes it sends.
#[derive(Debug, Clone, PartialEq)]
pub struct NotificationChannel {
    /// Name of its section in the settings.
    pub name: String,
    /// How messages are sent.
    pub transport: Transport,
    /// The teams whose escalations it sends; all teams if empty.
    pub teams: Vec<String>,
    /// The lowest level it sends.
    pub min_level: Level,
    /// The kinds of change it sends.
    pub news: Vec<EscalationChange>,
    /// Quiet hours, in which messages below a level wait.
    pub quiet: Option<QuietHours>,
    /// The addresses it may connect to.
    pub address_scope: AddressScope,
}

/// How messages are sent.
#[derive(Clone, PartialEq, Eq)]
pub enum Transport {
    /// An incoming webhook of Slack, or of a compatible service such as Mattermost.
    Slack {
        /// Webhook URL; its path is a secret.
        url: String,
    },
    /// A workflow webhook of Microsoft Teams.
    Teams {
        /// Webhook URL; its path is a secret.
        url: String,
    },
    /// `PagerDuty`, Events API v2: triggers, acknowledges and resolves incidents.
    PagerDuty {
        /// URL of the events endpoint.
        url: String,
        /// Routing key of the integration; a secret.
        key: String,
    },
    /// A generic webhook, signed as Standard Webhooks specifies.
    Webhook {
        /// Webhook URL.
        url: String,
        /// Key of the signature, 24 to 64 bytes.
        secret: Vec<u8>,
    },
    /// E-mail over SMTP.
    Email(Mail),
}

/// An SMTP server and the addresses of a channel's e-mails.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// Host name of the server.
    pub server: String,
    /// Port of the server.
    pub port: u16,
    /// TLS mode: `tls`, `starttls`, or `none` for a server on this machine.
    pub tls: String,
    /// Address of the sender.
    pub from: String,
    /// Addresses of the recipients.
    pub to: Vec<String>,
    /// User name and password, if the server requires them.
    pub user: Option<(String, String)>,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // URLs, keys and passwords are secrets, so only the kind is printed.
        f.write_str(self.name())
    }
}

impl Transport {
    /// Returns the kind as the settings name it.
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
    /// Returns whether the channel sends a message for a record: it must match by team, level and kind of
    /// change. A hand-over matches the team that gave the escalation away, too.
    #[must_use]
    pub fn wants(&self, e: &Escalation) -> bool {
        let concerns = |team: &String| *team == e.team || e.handed_over_by.as_ref() == Some(team);
        let by_team = self.teams.is_empty() || self.teams.iter().any(concerns);
        let by_news = self.news.contains(&e.change);
        // An incident that PagerDuty opened must also be acknowledged and resolved there.
        let ends =
            matches!(self.transport, Transport::PagerDuty { .. }) && e.change == EscalationChange::Moved;
        by_team && e.level >= self.min_level && (by_news || ends)
    }

    /// Returns the earliest time at which the channel may send a message of this level: now, or the end of
    /// its quiet hours.
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
/// The changes that a channel sends by default: those that need somebody to act.
const DEFAULT_NEWS: [EscalationChange; 4] = [
    EscalationChange::Opened,
    EscalationChange::Raised,
    EscalationChange::HandedOver,
    EscalationChange::Late,
];

/// Reads every `[notifications.*]` section. `teams` are the policy's teams; if it is empty, any team name is
/// accepted.
pub(crate) fn read_channels(s: &mut Settings, teams: &[String]) -> Vec<NotificationChannel> {
    let names = s.sections("notifications");
    names.iter().filter_map(|name| channel(s, name, teams)).collect()
}

fn channel(s: &mut Settings, name: &str, all: &[String]) -> Option<NotificationChannel> {
    let key = |field: &str| format!("notifications.{name}.{field}");
    let kind = s.choice(&key("kind"), "", &["slack", "teams", "pagerduty", "webhook", "email"]);
    if kind.is_empty() {
        s.add_fault(&key("kind"), "missing; use one of slack, teams, pagerduty, webhook, email");
    }
    let teams = s.texts(&key("teams"));
    for team in teams.iter().filter(|team| !all.is_empty() && !all.contains(team)) {
        s.add_fault(&key("teams"), format_args!("{team:?}: unknown team; use one of {}", all.join(", ")));
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
                key: required_secret(s, &key("routing_key"), "copy it from the PagerDuty integration")?,
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
                        "{name:?}: unknown kind of change; use any of {}",
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
        s.add_fault(key, format_args!("missing; {hint}"));
        return None;
    }
    Some(value)
}

fn required_secret(s: &mut Settings, key: &str, hint: &str) -> Option<String> {
    let secret = s.secret(key);
    if secret.is_none() {
        s.add_fault(key, format_args!("missing; {hint}"));
    }
    secret
}

fn url(s: &mut Settings, key: &str, address_scope: AddressScope) -> Option<String> {
    let url = required_secret(
        s,
        key,
        "set it here, or in the environment variable of this key to keep it out of the file",
    )?;
    let parsed = reqwest::Url::parse(&url).ok();
    let scheme = parsed.as_ref().map_or("", reqwest::Url::scheme);
    let is_good = scheme == "https" || (scheme == "http" && address_scope == AddressScope::Anywhere);
    if !is_good {
        // The value may be a secret, so the message does not repeat it.
        s.add_fault(key, "not an https URL; http is allowed only with allow_private = true");
        return None;
    }
    Some(url)
}

fn secret(s: &mut Settings, key: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    let text = required_secret(
        s,
        key,
        "use `whsec_` followed by 24 to 64 bytes in base64, for example from `openssl rand -base64 32`",
    )?;
    let decoded = text
        .strip_prefix("whsec_")
        .and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    let secret = decoded.filter(|secret| (24..=64).contains(&secret.len()));
    if secret.is_none() {
        s.add_fault(key, "not a webhook secret; use `whsec_` followed by 24 to 64 bytes in base64");
    }
    secret
}

fn mail(s: &mut Settings, name: &str) -> Option<Mail> {
    let key = |field: &str| format!("notifications.{name}.{field}");
    let server = required_text(s, &key("server"), "use the mail server's host name");
    let from = required_text(s, &key("sender"), "use the sender's mail address");
    let to = s.texts(&key("to"));
    if to.is_empty() {
        s.add_fault(&key("to"), "missing; list the recipients' mail addresses");
    }
    for address in from.iter().chain(&to) {
        if address.parse::<lettre::message::Mailbox>().is_err() {
            s.add_fault(&key("to"), format_args!("{address:?}: not a mail address; use name@example.org"));
        }
    }
    let tls = s.choice(&key("tls"), "starttls", &["tls", "starttls", "none"]);
    let usual = if tls == "tls" { 465 } else { 587 };
    let port = s.integer(&key("port"), usual, 1..=65_535) as u16;
    let (user, password) = (s.text(&key("user"), "-"), s.secret(&key("password")).unwrap_or_default());
    let server = server?;
    if tls == "none" && !matches!(server.as_str(), "localhost" | "127.0.0.1" | "::1") {
        s.add_fault(&key("tls"), "\"none\": only for a server on this machine; use \"starttls\" or \"tls\"");
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
            "notifications.a.teams: \"press\": unknown team; use one of pr, support",
            "notifications.a.news: \"gossip\": unknown kind of change; use any of opened",
            "notifications.a.url: not an https URL; http is allowed only with allow_private",
            "notifications.b.secret: not a webhook secret; use `whsec_`",
            "notifications.c.to: missing; list the recipients",
            "notifications.c.to: \"SENDER\": not a mail address",
            "notifications.c.tls: \"none\": only for a server on this machine",
            "notifications.d.kind: missing; use one of",
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
