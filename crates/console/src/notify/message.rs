//! The content of a notification, and its rendering for each transport.
//!
//! A message names the team, the escalation, the reason and the link to its page. The reason is what
//! happened or else the decisive one, which states what the policy matched. The others are left out, as some
//! quote the post: a message never holds an excerpt of a post or its author's name. The advice is the record's,
//! which comes from the policy or, if the policy has none, from the built-in advice.

use firewatch_domain::{Escalation, EscalationChange, EscalationState, EventTime, Level};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::percent_encoding::percent_encoded;

/// Maximum length of a reason, in characters.
const MAX_REASON_CHARS: usize = 300;

/// A notification about one escalation record. Its JSON form is stored in the outbox and sent by webhooks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Id of the escalation record; a repeated notification has the same id.
    pub id: String,
    /// Id of the escalation.
    pub escalation: String,
    /// What changed in the escalation.
    pub news: EscalationChange,
    /// State of the escalation after the change.
    pub state: EscalationState,
    /// The team that owns the escalation.
    pub team: String,
    /// Level of the escalation.
    pub level: Level,
    /// The brand, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// When the change was decided.
    pub at: EventTime,
    /// Risk, 0 to 100; `None` for a storm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<f64>,
    /// What happened or, when it opened or was raised, the decisive reason; cut to 300 characters.
    pub reason: String,
    /// Up to three next steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<String>,
    /// When the first reply is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond_by: Option<EventTime>,
    /// URL of the escalation's page.
    pub url: String,
}

impl Message {
    /// Builds the message for a record. `base` is the console's URL without a trailing slash.
    #[must_use]
    pub fn from_escalation(e: &Escalation, base: &str) -> Self {
        let reason = e.headline();
        Self {
            id: e.id.clone(),
            escalation: e.escalation.clone(),
            news: e.change,
            state: e.state,
            team: e.team.clone(),
            level: e.level,
            brand: e.brand.clone(),
            at: e.at,
            risk: e.risk.map(|risk| risk.value()),
            reason: reason.chars().take(MAX_REASON_CHARS).collect(),
            advice: e.advice.iter().take(3).cloned().collect(),
            respond_by: e.respond_by,
            url: format!("{base}/escalations/{}", percent_encoded(&e.escalation, b"/:")),
        }
    }

    /// Builds a test message, which shows that a channel works. Its state is open, so at `PagerDuty` it
    /// triggers an incident of severity `info`, which no later message resolves: resolve it there by hand.
    #[must_use]
    pub fn test(id: String, base: &str, at: EventTime) -> Self {
        Self {
            escalation: id.clone(),
            id,
            news: EscalationChange::Opened,
            state: EscalationState::Open,
            team: "nobody".into(),
            level: Level::Low,
            brand: None,
            at,
            risk: None,
            reason: "test notification from firewatch; no action needed".into(),
            advice: vec![],
            respond_by: None,
            url: format!("{base}/"),
        }
    }

    /// Returns the message as one line: level, team, brand, risk and what changed.
    #[must_use]
    pub fn line(&self) -> String {
        let brand = self.brand.as_ref().map_or_else(String::new, |brand| format!(" for {brand}"));
        let risk = self.risk.map_or_else(String::new, |risk| format!(", risk {risk:.0}"));
        let news = match self.news {
            EscalationChange::Opened => "new",
            EscalationChange::Raised => "raised",
            EscalationChange::Moved => self.state.as_str(),
            EscalationChange::Grew => "grew",
            EscalationChange::HandedOver => "handed over",
            EscalationChange::Late => "reply overdue",
            EscalationChange::Stalled => "hand-off stalled",
            EscalationChange::Waits => "still unassigned",
            EscalationChange::Silenced => "silenced",
            EscalationChange::Refused => "action refused",
        };
        format!(
            "{} \u{b7} {}{brand}{risk}: {}",
            capitalized(self.level.as_str()),
            self.team,
            news.replace('_', " ")
        )
    }

    /// Returns the lines below the headline: the reason, the due time and the next steps.
    fn details(&self) -> Vec<String> {
        let due = self.respond_by.map(|due| format!("First reply due by {due}"));
        let advice = self.advice.iter().map(|advice| format!("Next: {advice}"));
        std::iter::once(capitalized(&self.reason)).chain(due).chain(advice).collect()
    }

    /// Returns the subject and the text of an e-mail.
    #[must_use]
    pub fn mail(&self) -> (String, String) {
        (format!("[firewatch] {}", self.line()), format!("{}\n\n{}\n", self.details().join("\n"), self.url))
    }

    /// Returns the body for a Slack incoming webhook.
    #[must_use]
    pub fn slack(&self) -> Value {
        let text = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let body = format!("*{}*\n{}", text(&self.line()), text(&self.details().join("\n")));
        json!({
            "text": text(&self.line()),
            "blocks": [
                { "type": "section", "text": { "type": "mrkdwn", "text": body } },
                { "type": "actions", "elements": [
                    { "type": "button", "text": { "type": "plain_text", "text": "Open" }, "url": self.url },
                ] },
            ],
        })
    }

    /// Returns the body for a Microsoft Teams workflow: an Adaptive Card.
    #[must_use]
    pub fn teams(&self) -> Value {
        let text_block = |text: &str| json!({ "type": "TextBlock", "text": text, "wrap": true });
        let headline = json!({ "type": "TextBlock", "text": self.line(), "wrap": true, "weight": "Bolder" });
        let body: Vec<Value> =
            std::iter::once(headline).chain(self.details().iter().map(|d| text_block(d))).collect();
        json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "body": body,
                    "actions": [{ "type": "Action.OpenUrl", "title": "Open", "url": self.url }],
                },
            }],
        })
    }

    /// Returns the event for `PagerDuty`'s Events API v2; `key` is the integration's routing key. All records
    /// of an escalation share one `dedup_key`, so `PagerDuty` shows them as one incident.
    #[must_use]
    pub fn pagerduty(&self, key: &str) -> Value {
        let action = match self.state {
            EscalationState::Open | EscalationState::Reopened => "trigger",
            EscalationState::Resolved | EscalationState::Expired => "resolve",
            _ => "acknowledge",
        };
        let severity = match self.level {
            Level::Low => "info",
            Level::Medium => "warning",
            Level::High => "error",
            Level::Critical => "critical",
        };
        let mut event =
            json!({ "routing_key": key, "event_action": action, "dedup_key": dedup(&self.escalation) });
        if action == "trigger" {
            event["payload"] = json!({
                "summary": format!("{}. {}", self.line(), capitalized(&self.reason)),
                "source": self.brand.as_deref().unwrap_or("firewatch"),
                "severity": severity,
                "timestamp": self.at,
                "group": self.team,
                "custom_details": { "next": self.advice, "respond_by": self.respond_by },
            });
            event["links"] = json!([{ "href": self.url, "text": "Open" }]);
        }
        event
    }
}

/// Returns the `dedup_key` of an escalation: its id, or the SHA-256 of an id longer than 255 bytes.
/// `PagerDuty` accepts 255 characters, and a text never has more characters than bytes.
fn dedup(escalation: &str) -> String {
    use sha2::{Digest, Sha256};
    if escalation.len() <= 255 {
        return escalation.to_owned();
    }
    Sha256::digest(escalation).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(state: EscalationState) -> Message {
        let record = json!({
            "v": 1, "id": "c 1/t/pr/0/0", "escalation": "c 1/t/pr/0", "step": 0, "news": "opened", "state": state,
            "team": "pr", "level": "high", "conversation": "c 1", "brand": "aldermere", "at": "2026-03-10T14:00:00Z",
            "risk": 61.2, "reasons": ["<b> & it spreads"], "excerpt": "my wife's [health] is late", "policy": "p",
            "policy_hash": "h", "advice": ["Answer it"], "respond_by": "2026-03-10T14:09:00Z",
        });
        Message::from_escalation(&serde_json::from_value(record).unwrap(), "https://fw.example")
    }

    #[test]
    fn every_transport_has_what_why_and_where_and_never_the_post() {
        let message = message(EscalationState::Open);
        let (subject, text) = message.mail();
        assert_eq!(subject, "[firewatch] High \u{b7} pr for aldermere, risk 61: new");
        let url = "https://fw.example/escalations/c%201/t/pr/0";
        assert_eq!(
            text,
            format!(
                "<b> & it spreads\nFirst reply due by 2026-03-10T14:09:00.000Z\nNext: Answer it\n\n{url}\n"
            )
        );
        let ways = [
            message.slack(),
            message.teams(),
            message.pagerduty("k"),
            serde_json::to_value(&message).unwrap(),
        ];
        for body in ways.map(|way| way.to_string()) {
            assert!(body.contains("it spreads") && body.contains(url) && !body.contains("wife"), "{body}");
        }
        assert!(message.slack()["blocks"][0].to_string().contains("&lt;b&gt; &amp; it"));
    }

    #[test]
    fn an_incident_is_opened_acknowledged_and_resolved_under_one_key() {
        let event = |state| message(state).pagerduty("k");
        let open = event(EscalationState::Open);
        assert_eq!(
            (&open["event_action"], &open["payload"]["severity"]),
            (&json!("trigger"), &json!("error"))
        );
        assert_eq!(event(EscalationState::HandedOff)["event_action"], "acknowledge");
        let over = event(EscalationState::Expired);
        assert_eq!((&over["event_action"], &over["dedup_key"]), (&json!("resolve"), &open["dedup_key"]));
        assert_eq!(dedup(&"x".repeat(300)).len(), 64);
    }
}
