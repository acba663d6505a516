//! Plays a case's timeline through the engine, as one task would work on it.

use std::collections::BTreeMap;

use firewatch_domain::{Duration, Escalation, EventTime};
use firewatch_engine::{Effect, Input, Ruleset, Stream, Task};
use serde_json::{Value, json};

use super::case::{
    ActStep, AnswerStep, EngageStep, PolicyCase, PostStep, TimelineStep, duration, matches_name, start_time,
};
use super::parse;

/// An escalation as a team's topic has it.
#[derive(Debug, Clone, PartialEq)]
pub struct TeamEscalation {
    /// The team whose topic it is in.
    pub team: String,
    /// The record.
    pub record: Escalation,
}

/// How often the process is restarted on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restarts {
    /// Never.
    Never,
    /// After every so many records.
    Every(usize),
}

/// One line of a timeline, by the time it arrives.
struct TimelineInput {
    arrival: EventTime,
    what: InputKind,
}

enum InputKind {
    Event(Value),
    Action(ActStep, EventTime),
    Policy(String),
}

/// Plays a case and returns the engine's effects in the order in which a task would write them, signals included.
///
/// # Errors
/// When a step of the case, or its policy, is not valid.
pub fn play(case: &PolicyCase, brain: &Ruleset, restarts: Restarts) -> Result<Vec<Effect>, String> {
    let start = start_time(case)?;
    let brand = brain.policy.brands.keys().next().cloned().unwrap_or_default();
    let mut lines = Vec::new();
    for (n, step) in case.timeline.iter().enumerate() {
        let place = format!("timeline, step {}", n + 1);
        inputs_of_step(step, (start, &brand, n), &mut lines).map_err(|e| format!("{place}: {e}"))?;
    }
    // Of the same time, in the order in which they are written.
    lines.sort_by_key(|line| line.arrival);
    let mut player = CasePlayer::new(brain.clone());
    for (i, line) in lines.into_iter().enumerate() {
        player.handle_input(line, i)?;
        if let Restarts::Every(n) = restarts
            && (i + 1).is_multiple_of(n)
        {
            player.restart()?;
        }
    }
    player.end(start + duration(&case.until, "until")?);
    Ok(player.effects)
}

/// The escalations among effects, each as its team's topic has it.
pub fn escalations(effects: &[Effect]) -> impl Iterator<Item = TeamEscalation> + '_ {
    effects.iter().filter_map(|effect| match effect {
        Effect::Escalation(record) => {
            Some(TeamEscalation { team: record.team.clone(), record: (**record).clone() })
        }
        Effect::HandedOver(record, team) => {
            Some(TeamEscalation { team: team.clone(), record: (**record).clone() })
        }
        _ => None,
    })
}

struct CasePlayer {
    ruleset: Ruleset,
    task: Task,
    /// State as a changelog would hold it.
    changelog: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The latest event's time, or when it was last let pass.
    now: EventTime,
    effects: Vec<Effect>,
}

impl CasePlayer {
    fn new(ruleset: Ruleset) -> Self {
        let changelog = BTreeMap::new();
        Self { ruleset, task: Task::new(0, 1), changelog, now: EventTime::EARLIEST, effects: vec![] }
    }

    fn handle_input(&mut self, line: TimelineInput, i: usize) -> Result<(), String> {
        let (stream, value) = match line.what {
            InputKind::Policy(text) => {
                self.idle(line.arrival);
                self.ruleset = self.ruleset.with_policy(parse("the case's other policy", &text)?);
                return Ok(());
            }
            InputKind::Event(value) => (Stream::Events, value),
            InputKind::Action(act, at) => (Stream::Actions, self.action(act, (at, i))),
        };
        if stream == Stream::Events {
            self.now = self.now.max(line.arrival);
        }
        let bytes = value.to_string().into_bytes();
        let input = Input {
            stream,
            topic: "case",
            partition: 0,
            offset: i as i64,
            arrival: line.arrival,
            key: None,
            trace: None,
            value: &bytes,
        };
        let mut made = Vec::new();
        let handled = self.task.handle(&input, &self.ruleset, &mut made);
        self.feed_back(made);
        handled.rejection.map_or(Ok(()), |why| Err(format!("{value} was rejected: {why}")))
    }

    /// Lets time pass, as it does for a partition that is silent.
    fn idle(&mut self, until: EventTime) {
        let mut made = Vec::new();
        if until > self.now {
            self.task.mark_idle(until - self.now, &self.ruleset, &mut made);
            self.now = until;
        }
        self.feed_back(made);
    }

    /// Ends it: what is due by then is decided.
    fn end(&mut self, at: EventTime) {
        // A window is decided when late records have had their time.
        let windows = &self.ruleset.policy.windows;
        self.idle(at + windows.lateness + windows.step);
        self.effects.retain(|effect| effect.at().is_none_or(|effect| effect <= at));
    }

    /// Writes the state down, and reads it into a new task.
    fn restart(&mut self) -> Result<(), String> {
        for change in self.task.changes().map_err(|e| e.to_string())? {
            match &change.value {
                Some(value) => self.changelog.insert(change.key.clone(), value.clone()),
                None => self.changelog.remove(&change.key),
            };
        }
        self.task = Task::new(0, 1);
        for (key, value) in &self.changelog {
            self.task.restore(key, Some(value), &self.ruleset).map_err(|e| e.to_string())?;
        }
        self.task.finish_restore(&self.ruleset).map_err(|e| e.to_string())
    }

    /// Feeds signals back to the task that sent them, and keeps all effects.
    fn feed_back(&mut self, made: Vec<Effect>) {
        let mut decided = Vec::new();
        for effect in &made {
            if let Effect::Signal(signal) = effect {
                self.task.handle_signal((**signal).clone(), &self.ruleset, &mut decided);
            }
        }
        self.effects.extend(made);
        self.effects.extend(decided);
    }

    fn action(&self, act: ActStep, (at, i): (EventTime, usize)) -> Value {
        let mut known = escalations(&self.effects).map(|escalation| escalation.record.conversation);
        let on = known.find(|name| matches_name(&act.on, name)).unwrap_or(act.on);
        json!({
            "v": 1, "id": format!("act{i}"), "conversation": on, "at": at, "by": act.by, "kind": act.kind,
            "team": act.team, "channel": act.channel, "until": act.until,
        })
    }
}

fn inputs_of_step(
    step: &TimelineStep,
    (start, brand, n): (EventTime, &str, usize),
    to: &mut Vec<TimelineInput>,
) -> Result<(), String> {
    let at = start + duration(&step.at, "at")?;
    let late = step.late.as_deref().map_or(Ok(Duration::ZERO), |late| duration(late, "late"))?;
    let event = |id: String, on: &str, at: EventTime, body: Value| {
        let mut event = json!({ "v": 1, "id": id, "conversation": on, "at": at, "platform": "x" });
        if let (Some(event), Value::Object(body)) = (event.as_object_mut(), body) {
            event.extend(body);
        }
        TimelineInput { arrival: at + late, what: InputKind::Event(event) }
    };
    match step {
        TimelineStep { post: Some(post), answer: None, engage: None, act: None, policy: None, .. } => {
            for (i, at) in spread(at, post.times, post.over.as_deref())?.enumerate() {
                let on = if post.times > 1 { format!("{}{i}", post.on) } else { post.on.clone() };
                to.push(event(format!("p{n}.{i}"), &on, at, post_body(post, brand, (&on, i))));
            }
        }
        TimelineStep {
            answer: Some(AnswerStep { on, by, text }),
            post: None,
            engage: None,
            act: None,
            policy: None,
            ..
        } => {
            let body = json!({ "brand_reply": { "account": by, "text": text } });
            to.push(event(format!("a{n}"), on, at, body));
        }
        TimelineStep { engage: Some(engage), post: None, answer: None, act: None, policy: None, .. } => {
            let EngageStep { on, times, over, followers } = engage;
            for (i, at) in spread(at, *times, Some(over))?.enumerate() {
                let body = json!({ "kind": "reshare", "actor": format!("u{n}.{i}"), "followers": followers });
                to.push(event(format!("e{n}.{i}"), on, at, json!({ "engagement": body })));
            }
        }
        TimelineStep { act: Some(act), post: None, answer: None, engage: None, policy: None, .. } => {
            let until = act.until.as_deref().map(|until| duration(until, "until")).transpose()?;
            let until = until.map(|until| (start + until).to_string());
            to.push(TimelineInput {
                arrival: at + late,
                what: InputKind::Action(ActStep { until, ..act.clone() }, at),
            });
        }
        TimelineStep { policy: Some(text), post: None, answer: None, engage: None, act: None, .. } => {
            to.push(TimelineInput { arrival: at, what: InputKind::Policy(text.clone()) });
        }
        _ => return Err("give exactly one of post, answer, engage, act and policy".into()),
    }
    Ok(())
}

fn post_body(post: &PostStep, brand: &str, (on, i): (&str, usize)) -> Value {
    let text = post.text.replace("{n}", &i.to_string());
    let author =
        json!({ "id": format!("author of {on}"), "followers": post.followers, "handle": post.handle });
    let reply = post.reply.then_some(on);
    let id = if post.reply { format!("reply {i} on {on}") } else { on.to_owned() };
    json!({
        "brand": post.brand.as_deref().unwrap_or(brand),
        "post": { "id": id, "author": author, "text": text, "lang": "en", "in_reply_to": reply },
    })
}

/// Times from one on, evenly over a span.
fn spread(at: EventTime, times: u32, over: Option<&str>) -> Result<impl Iterator<Item = EventTime>, String> {
    let over = over.map_or(Ok(Duration::ZERO), |over| duration(over, "over"))?;
    let gap = over.as_millis() / i64::from(times.max(1));
    Ok((0..i64::from(times)).map(move |i| at + Duration::from_millis(gap * i)))
}
