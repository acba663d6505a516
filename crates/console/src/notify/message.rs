//! What a message says: who should do what about which escalation, and where it is. It holds no excerpt and no name of an account.

use firewatch_domain::{Escalation, EscalationChange, EscalationState, EventTime, Level};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::percent_encoding::percent_encoded;

/// Longest text of a reason, characters.
const MAX_REASON_CHARS: usize = 300;

/// What a channel tells of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The record's id: the same for a repeat.
    pub id: String,
    /// The escalation.
    pub escalation: String,
    /// What it tells.
    pub news: EscalationChange,
    /// Where it stands.
    pub state: EscalationState,
    /// Whose it is.
    pub team: String,
    /// How bad it is.
    pub level: Level,
    /// The brand, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// When it was decided.
    pub at: EventTime,
    /// The risk, 0 to 100; none for a storm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<f64>,
    /// Why, in words.
    pub reason: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<String>,
    /// When a first answer is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond_by: Option<EventTime>,
    /// Its page.
    pub url: String,
}

impl Message {
    /// What is told of a record; the console is at `base`.
    #[must_use]
    pub fn from_escalation(e: &Escalation, base: &str) -> Self {
        let reason = e.reasons.first().map_or("", String::as_str);
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

    /// One that says that a channel works.
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
            reason: "this is a test of firewatch's notifications; nothing has to be done".into(),
            advice: vec![],
            respond_by: None,
            url: format!("{base}/"),
        }
    }

    /// In one line.
    #[must_use]
    pub fn line(&self) -> String {
        let brand = self.brand.as_ref().map_or_else(String::new, |brand| format!(" for {brand}"));
        let risk = self.risk.map_or_else(String::new, |risk| format!(", risk {risk:.0}"));
        let news = match self.news {
            EscalationChange::Opened => "new",
            EscalationChange::Raised => "raised",
            EscalationChange::Moved => self.state.as_str(),
            EscalationChange::Grew => "has grown",
            EscalationChange::HandedOver => "handed over",
            EscalationChange::Late => "the first answer is late",
            EscalationChange::Stalled => "the hand-off has stalled",
            EscalationChange::Waits => "nobody has taken it",
        };
        format!(
            "{} \u{b7} {}{brand}{risk}: {}",
            capital(self.level.as_str()),
            self.team,
            news.replace('_', " ")
        )
    }

    /// What stands under the line.
    fn details(&self) -> Vec<String> {
        let due = self.respond_by.map(|due| format!("First answer due by {due}"));
        let advice = self.advice.iter().map(|advice| format!("Next: {advice}"));
        std::iter::once(capital(&self.reason)).chain(due).chain(advice).collect()
    }

    /// As mail: the subject, and the text.
    #[must_use]
    pub fn mail(&self) -> (String, String) {
        (format!("[firewatch] {}", self.line()), format!("{}\n\n{}\n", self.details().join("\n"), self.url))
    }

    /// As Slack's incoming webhooks take it.
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

    /// As a workflow of Microsoft Teams takes it: an Adaptive Card.
    #[must_use]
    pub fn teams(&self) -> Value {
        let line = |text: &str| json!({ "type": "TextBlock", "text": text, "wrap": true });
        let head = json!({ "type": "TextBlock", "text": self.line(), "wrap": true, "weight": "Bolder" });
        let body: Vec<Value> = std::iter::once(head).chain(self.details().iter().map(|d| line(d))).collect();
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

    /// As `PagerDuty`'s Events API v2 takes it. All records of an escalation are one incident.
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
                "summary": format!("{}. {}", self.line(), capital(&self.reason)),
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

/// `PagerDuty` takes keys of up to 255 characters; longer ones are told by their hash.
fn dedup(escalation: &str) -> String {
    use sha2::{Digest, Sha256};
    if escalation.len() <= 255 {
        return escalation.to_owned();
    }
    Sha256::digest(escalation).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn capital(text: &str) -> String {
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
                "<b> & it spreads\nFirst answer due by 2026-03-10T14:09:00.000Z\nNext: Answer it\n\n{url}\n"
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
