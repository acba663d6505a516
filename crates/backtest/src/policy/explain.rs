//! Every decision about one conversation over a recording, in order, with its reason.

use std::fmt;

use firewatch_domain::{EventTime, SignalBody, What};
use firewatch_engine::{Brain, Effect, Input, Stream, Task};

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// When, event time.
    pub at: EventTime,
    /// Who or what decided: `score`, `routes`, `desk`, or the team that was told.
    pub by: String,
    /// What, and why.
    pub words: String,
}

/// Plays lines through the engine and explains what was decided about a conversation, or a storm.
#[must_use]
pub fn explain<'l>(lines: impl Iterator<Item = &'l str>, brain: &Brain, conversation: &str) -> Vec<Decision> {
    let mut task = Task::new(0, 1).with_notes();
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
        task.handle(&input, brain, &mut made);
        settle(&mut task, brain, (&mut made, conversation), &mut decisions);
    }
    task.end_of_stream(brain, &mut made);
    settle(&mut task, brain, (&mut made, conversation), &mut decisions);
    // A desk decides when a window is over, and by then more was scored.
    decisions.sort_by_key(|decision| decision.at);
    decisions
}

fn settle(task: &mut Task, brain: &Brain, (made, wanted): (&mut Vec<Effect>, &str), to: &mut Vec<Decision>) {
    let mut told = Vec::new();
    for effect in made.drain(..) {
        match effect {
            Effect::Score(score) if score.conversation == wanted => {
                let why = score.reasons.join("; ");
                to.push(Decision {
                    at: score.at,
                    by: "score".into(),
                    words: format!("risk {}: {why}", score.risk),
                });
            }
            Effect::Signal(signal) => {
                let words = said(&signal.body, wanted);
                to.extend(words.map(|words| Decision { at: signal.at, by: "routes".into(), words }));
                task.signal(*signal, brain, &mut told);
            }
            _ => {}
        }
    }
    let notes =
        task.take_notes().into_iter().map(|(_, note)| note).filter(|note| note.conversation == wanted);
    to.extend(notes.map(|note| Decision { at: note.at, by: "desk".into(), words: note.words }));
    for effect in told {
        if let Effect::Escalation(record) | Effect::HandedOver(record, _) = effect
            && record.conversation == wanted
        {
            let words = format!(
                "{:?}, {}, {}: {}",
                record.news,
                record.state,
                record.level,
                record.reasons.join("; ")
            );
            to.push(Decision { at: record.at, by: record.team.clone(), words });
        }
    }
}

/// What a conversation tells its desk, in words.
fn said(body: &SignalBody, wanted: &str) -> Option<String> {
    match body {
        SignalBody::Matched(matched) if matched.conversation == wanted => {
            let routes = matched.routes.iter().map(|on| format!("{} at {}", on.route, on.level));
            let routes = routes.collect::<Vec<_>>().join(", ");
            let routes = if routes.is_empty() { "no route".to_owned() } else { routes };
            Some(if matched.counts { format!("{routes}; counts as a complaint") } else { routes })
        }
        SignalBody::Happened(happened) if happened.conversation == wanted => Some(match &happened.what {
            What::Expired { reason } => format!("over: {reason}"),
            what @ (What::Edited { .. } | What::Deleted { .. }) => in_words(what),
            what => format!("{} by {}", in_words(what), happened.by),
        }),
        _ => None,
    }
}

fn in_words(what: &What) -> String {
    match what {
        What::Acknowledged => "acknowledged".into(),
        What::Answered => "answered".into(),
        What::HandOffAsked { .. } => "asked to go on in private".into(),
        What::HandedOff => "goes on in private".into(),
        What::TakenUp => "said to go on in private".into(),
        What::Resolved => "resolved".into(),
        What::Reopened => "reopened".into(),
        What::Silenced { until } => format!("silenced until {until}"),
        What::HandedOver { team } => format!("handed over to {team}"),
        What::Edited { .. } => "the post was edited".into(),
        What::Deleted { all: true } => "over: the post was deleted".into(),
        What::Deleted { all: false } => "the reply that was a complaint was deleted".into(),
        What::Expired { reason } => reason.clone(),
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {:<8} {}", self.at, self.by, self.words)
    }
}
