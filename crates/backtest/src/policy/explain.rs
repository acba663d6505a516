//! Explains every decision about one conversation in a recording, in order, with its reason.

use std::fmt;

use firewatch_domain::{ConversationChange, EventTime, SignalBody};
use firewatch_engine::{Effect, Input, LocalTopology, Ruleset, Stream, Task};
use firewatch_escalation::Decision;

/// One explained decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedDecision {
    /// When it was made, event time.
    pub at: EventTime,
    /// What decided: `score`, `routes`, `dispatcher`, or the team that was notified.
    pub by: String,
    /// The decision and its reason.
    pub words: String,
}

/// Replays event lines through the engine and returns the decisions about a conversation or a storm.
#[must_use]
pub fn explain<'l>(
    lines: impl Iterator<Item = &'l str>,
    ruleset: &Ruleset,
    conversation: &str,
) -> Vec<ExplainedDecision> {
    let mut topology = LocalTopology::new(Task::new(0, 1).with_decision_trace());
    let (mut decisions, mut effects) = (Vec::new(), Vec::new());
    for (i, line) in lines.enumerate() {
        let input = Input::new(Stream::Events, "recording", line.as_bytes());
        let input = Input { offset: i as i64 + 1, ..input };
        topology.handle(&input, ruleset, &mut |effect| effects.push(effect.clone()));
        explain_effects(effects.drain(..), topology.task().take_decisions(), conversation, &mut decisions);
    }
    topology.end_of_stream(ruleset, &mut |effect| effects.push(effect.clone()));
    explain_effects(effects.drain(..), topology.task().take_decisions(), conversation, &mut decisions);
    // The dispatcher decides at the end of a window, when later events have been scored already.
    decisions.sort_by_key(|decision| decision.at);
    decisions
}

/// Appends what one record led to: scores and signals, then the dispatcher's decisions, then the escalations.
fn explain_effects(
    effects: impl Iterator<Item = Effect>,
    traced: Vec<(u32, Decision)>,
    wanted: &str,
    to: &mut Vec<ExplainedDecision>,
) {
    let mut escalations = Vec::new();
    for effect in effects {
        match effect {
            Effect::Score(score) if score.conversation == wanted => {
                let why = score.reasons.texts().collect::<Vec<_>>().join("; ");
                to.push(ExplainedDecision {
                    at: score.at,
                    by: "score".into(),
                    words: format!("risk {}: {why}", score.risk),
                });
            }
            Effect::Signal(signal) => {
                let words = describe_signal(&signal.body, wanted);
                to.extend(words.map(|words| ExplainedDecision { at: signal.at, by: "routes".into(), words }));
            }
            Effect::Escalation(record) if record.conversation == wanted => {
                escalations.push(record);
            }
            _ => {}
        }
    }
    let traced = traced.into_iter().map(|(_, decision)| decision);
    to.extend(traced.filter(|decision| decision.conversation == wanted).map(|decision| ExplainedDecision {
        at: decision.at,
        by: "dispatcher".into(),
        words: decision.description,
    }));
    to.extend(escalations.into_iter().map(|record| {
        let words = record.explanation().collect::<Vec<_>>().join("; ");
        let words = format!("{:?}, {}, {}: {words}", record.change, record.state, record.level);
        ExplainedDecision { at: record.at, by: record.team.clone(), words }
    }));
}

/// Describes a signal to the dispatcher, if it is about the wanted conversation.
fn describe_signal(body: &SignalBody, wanted: &str) -> Option<String> {
    match body {
        SignalBody::RoutesMatched(matched) if matched.conversation == wanted => {
            let routes = matched.routes.iter().map(|on| format!("{} at {}", on.route, on.level));
            let routes = routes.collect::<Vec<_>>().join(", ");
            let routes = if routes.is_empty() { "no route".to_owned() } else { routes };
            Some(if matched.counts_for_storms { format!("{routes}; counts as a complaint") } else { routes })
        }
        SignalBody::ConversationUpdated(happened) if happened.conversation == wanted => {
            Some(match &happened.change {
                ConversationChange::Expired { reason } => format!("closed: {reason}"),
                what @ (ConversationChange::Edited { .. } | ConversationChange::Deleted { .. }) => {
                    describe_change(what)
                }
                what => format!("{} by {}", describe_change(what), happened.by),
            })
        }
        _ => None,
    }
}

fn describe_change(what: &ConversationChange) -> String {
    match what {
        ConversationChange::Acknowledged => "acknowledged".into(),
        ConversationChange::Answered => "answered".into(),
        ConversationChange::HandOffAsked { .. } => "hand-off requested".into(),
        ConversationChange::HandedOff => "handed off".into(),
        ConversationChange::HandOffAccepted => "hand-off accepted".into(),
        ConversationChange::Resolved => "resolved".into(),
        ConversationChange::Reopened => "reopened".into(),
        ConversationChange::Silenced { until } => format!("silenced until {until}"),
        ConversationChange::Unsilenced => "silence ended".into(),
        ConversationChange::Undone => "last action taken back".into(),
        ConversationChange::HandedOver { team } => format!("handed over to {team}"),
        ConversationChange::Edited { .. } => "the post was edited".into(),
        ConversationChange::Deleted { is_root: true } => "closed: the post was deleted".into(),
        ConversationChange::Deleted { is_root: false } => "the reply with the complaint was deleted".into(),
        ConversationChange::Expired { reason } => reason.clone(),
    }
}

impl fmt::Display for ExplainedDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {:<10} {}", self.at, self.by, self.words)
    }
}
