//! From a scored conversation to the escalation record that tells a team.

use firewatch_domain::{Contribution, Escalation, EventTime, Level, SCHEMA_VERSION, Tenths};

use crate::{Life, PR, Policy, SUPPORT, Step};

/// What is told of a conversation in every escalation about it.
#[derive(Debug, Clone)]
pub struct Ticket<'a> {
    /// The conversation.
    pub conversation: &'a str,
    /// Its brand, when known.
    pub brand: Option<&'a str>,
    /// When the root was written, when seen.
    pub posted_at: Option<EventTime>,
    /// The risk.
    pub risk: Option<Tenths>,
    /// Why, in words.
    pub reasons: Vec<String>,
    /// Points that add up to the risk.
    pub contributions: Vec<Contribution>,
    /// How the post begins, with what is personal replaced, when it was kept.
    pub excerpt: Option<&'a str>,
    /// Version of the policy that decides.
    pub policy: &'a str,
}

impl<'a> Ticket<'a> {
    /// A ticket that says nothing yet but what it is about.
    #[must_use]
    pub fn of(conversation: &'a str, policy: &'a Policy) -> Self {
        Self {
            conversation,
            brand: None,
            posted_at: None,
            risk: None,
            reasons: vec![],
            contributions: vec![],
            excerpt: None,
            policy: &policy.version,
        }
    }

    /// The record of a step in an escalation's life.
    #[must_use]
    pub fn record(self, team: &str, life: &Life, step: Step, at: EventTime) -> Escalation {
        let escalation = match life.began {
            Some(began) => format!("{}/{began}/{team}/{}", self.conversation, life.round),
            None => format!("{}/{team}/{}", self.conversation, life.round),
        };
        let mut reasons = vec![step.reason];
        reasons.extend(self.reasons);
        Escalation {
            v: SCHEMA_VERSION,
            id: format!("{escalation}/{}", life.step),
            escalation,
            step: life.step,
            state: life.state,
            team: team.into(),
            level: life.level,
            conversation: self.conversation.into(),
            brand: self.brand.map(Into::into),
            at,
            posted_at: self.posted_at,
            risk: self.risk,
            reasons,
            contributions: self.contributions,
            excerpt: self.excerpt.filter(|_| team == PR).map(Into::into),
            members: None,
            policy: self.policy.into(),
        }
    }
}

/// Whether support should see a complaint posted then, and how urgent it is.
#[must_use]
pub fn support(complaint: f64, posted_at: EventTime, policy: &Policy) -> Option<(Life, Step)> {
    let route = &policy.support;
    let (level, least) = match complaint {
        p if p >= route.grave => (Level::Medium, route.grave),
        p if p >= route.complaint => (Level::Low, route.complaint),
        _ => return None,
    };
    let reason = format!(
        "a complaint with {:.0}%, at least {:.0}%, the policy's threshold for {SUPPORT} at level {level}",
        complaint * 100.0,
        least * 100.0
    );
    Some((Life::open(level, Some(posted_at)), Step { reason }))
}
