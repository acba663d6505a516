//! Every decision about one conversation over a recording, in order, with its reason.

use std::fmt;

use firewatch_domain::{ConversationChange, EventTime, SignalBody};
use firewatch_engine::{Effect, Input, Ruleset, Stream, Task};

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedDecision {
    /// When, event time.
    pub at: EventTime,
    /// Who or what decided: `score`, `routes`, `desk`, or the team that was told.
    pub by: String,
    /// What, and why.
    pub words: String,
}

/// Plays lines through the engine and explains what was decided about a conversation, or a storm.
#[must_use]
pub fn explain<'l>(
    lines: impl Iterator<Item = &'l str>,
    ruleset: &Ruleset,
    conversation: &str,
) -> Vec<ExplainedDecision> {
    let mut task = Task::new(0, 1).with_decision_trace();
    let mut decisions = Vec::new();
    let mut made = Vec::new();
    for (i, line) in lines.enumerate() {
        let input = Input {
            stream: Stream::Events,
            topic: "recording",
            partition: 0,
            offset: i as i64 + 1,
            // A recording is taken to have arrived in time.
            arrival: EventTime::END,
            key: None,
            trace: None,
            value: line.as_bytes(),
        };
        task.handle(&input, ruleset, &mut made);
        explain_effects(&mut task, ruleset, (&mut made, conversation), &mut decisions);
    }
    task.end_of_stream(ruleset, &mut made);
    explain_effects(&mut task, ruleset, (&mut made, conversation), &mut decisions);
    // A desk decides when a window is over, and by then more was scored.
    decisions.sort_by_key(|decision| decision.at);
    decisions
}

fn explain_effects(
    task: &mut Task,
    ruleset: &Ruleset,
    (made, wanted): (&mut Vec<Effect>, &str),
    to: &mut Vec<ExplainedDecision>,
) {
    let mut escalations = Vec::new();
    for effect in made.drain(..) {
        match effect {
            Effect::Score(score) if score.conversation == wanted => {
                let why = score.reasons.join("; ");
                to.push(ExplainedDecision {
                    at: score.at,
                    by: "score".into(),
                    words: format!("risk {}: {why}", score.risk),
                });
            }
            Effect::Signal(signal) => {
                let words = describe_signal(&signal.body, wanted);
                to.extend(words.map(|words| ExplainedDecision { at: signal.at, by: "routes".into(), words }));
                task.handle_signal(*signal, ruleset, &mut escalations);
            }
            _ => {}
        }
    }
    let notes =
        task.take_decisions().into_iter().map(|(_, note)| note).filter(|note| note.conversation == wanted);
    to.extend(notes.map(|note| ExplainedDecision {
        at: note.at,
        by: "desk".into(),
        words: note.description,
    }));
    for effect in escalations {
        if let Effect::Escalation(record) | Effect::HandedOver(record, _) = effect
            && record.conversation == wanted
        {
            let words = format!(
                "{:?}, {}, {}: {}",
                record.change,
                record.state,
                record.level,
                record.reasons.join("; ")
            );
            to.push(ExplainedDecision { at: record.at, by: record.team.clone(), words });
        }
    }
}

/// What a conversation tells its desk, in words.
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
                ConversationChange::Expired { reason } => format!("over: {reason}"),
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
        ConversationChange::HandOffAsked { .. } => "asked to go on in private".into(),
        ConversationChange::HandedOff => "goes on in private".into(),
        ConversationChange::HandOffAccepted => "said to go on in private".into(),
        ConversationChange::Resolved => "resolved".into(),
        ConversationChange::Reopened => "reopened".into(),
        ConversationChange::Silenced { until } => format!("silenced until {until}"),
        ConversationChange::HandedOver { team } => format!("handed over to {team}"),
        ConversationChange::Edited { .. } => "the post was edited".into(),
        ConversationChange::Deleted { is_root: true } => "over: the post was deleted".into(),
        ConversationChange::Deleted { is_root: false } => "the reply that was a complaint was deleted".into(),
        ConversationChange::Expired { reason } => reason.clone(),
    }
}

impl fmt::Display for ExplainedDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {:<8} {}", self.at, self.by, self.words)
    }
}
