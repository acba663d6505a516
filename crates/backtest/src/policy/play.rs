//! Plays a case's timeline through the engine, as one task would work on it.

use std::collections::BTreeMap;

use firewatch_domain::{Duration, Escalation, EventTime};
use firewatch_engine::{Brain, Effect, Input, Stream, Task};
use serde_json::{Value, json};

use super::case::{Act, Answer, Case, Engage, Post, Step, begin, duration, is_named};
use super::parse;

/// An escalation as a team's topic has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
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
struct Line {
    arrival: EventTime,
    what: What,
}

enum What {
    Event(Value),
    Action(Act, EventTime),
    Policy(String),
}

/// Plays a case and returns the engine's effects in the order in which a task would write them, signals included.
///
/// # Errors
/// When a step of the case, or its policy, is not valid.
pub fn play(case: &Case, brain: &Brain, restarts: Restarts) -> Result<Vec<Effect>, String> {
    let start = begin(case)?;
    let brand = brain.policy.brands.keys().next().cloned().unwrap_or_default();
    let mut lines = Vec::new();
    for (n, step) in case.timeline.iter().enumerate() {
        let place = format!("timeline, step {}", n + 1);
        lines_of(step, (start, &brand, n), &mut lines).map_err(|e| format!("{place}: {e}"))?;
    }
    // Of the same time, in the order in which they are written.
    lines.sort_by_key(|line| line.arrival);
    let mut player = Player::new(brain.clone());
    for (i, line) in lines.into_iter().enumerate() {
        player.take(line, i)?;
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
pub fn escalations(effects: &[Effect]) -> impl Iterator<Item = Told> + '_ {
    effects.iter().filter_map(|effect| match effect {
        Effect::Escalation(record) => Some(Told { team: record.team.clone(), record: (**record).clone() }),
        Effect::HandedOver(record, team) => Some(Told { team: team.clone(), record: (**record).clone() }),
        _ => None,
    })
}

struct Player {
    brain: Brain,
    task: Task,
    /// State as a changelog would hold it.
    changelog: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The latest event's time, or when it was last let pass.
    now: EventTime,
    effects: Vec<Effect>,
}

impl Player {
    fn new(brain: Brain) -> Self {
        let changelog = BTreeMap::new();
        Self { brain, task: Task::new(0, 1), changelog, now: EventTime::EARLIEST, effects: vec![] }
    }

    fn take(&mut self, line: Line, i: usize) -> Result<(), String> {
        let (stream, value) = match line.what {
            What::Policy(text) => {
                self.idle(line.arrival);
                self.brain = self.brain.with_policy(parse("the case's other policy", &text)?);
                return Ok(());
            }
            What::Event(value) => (Stream::Events, value),
            What::Action(act, at) => (Stream::Actions, self.action(act, (at, i))),
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
        let handled = self.task.handle(&input, &self.brain, &mut made);
        self.settle(made);
        handled.rejection.map_or(Ok(()), |why| Err(format!("{value} was rejected: {why}")))
    }

    /// Lets time pass, as it does for a partition that is silent.
    fn idle(&mut self, until: EventTime) {
        let mut made = Vec::new();
        if until > self.now {
            self.task.idle(until - self.now, &self.brain, &mut made);
            self.now = until;
        }
        self.settle(made);
    }

    /// Ends it: what is due by then is decided.
    fn end(&mut self, at: EventTime) {
        // A window is decided when late records have had their time.
        let windows = &self.brain.policy.windows;
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
            self.task.restore(key, Some(value), &self.brain).map_err(|e| e.to_string())?;
        }
        self.task.restored(&self.brain).map_err(|e| e.to_string())
    }

    /// Feeds signals back to the task that sent them, and keeps all effects.
    fn settle(&mut self, made: Vec<Effect>) {
        let mut decided = Vec::new();
        for effect in &made {
            if let Effect::Signal(signal) = effect {
                self.task.signal((**signal).clone(), &self.brain, &mut decided);
            }
        }
        self.effects.extend(made);
        self.effects.extend(decided);
    }

    fn action(&self, act: Act, (at, i): (EventTime, usize)) -> Value {
        let mut known = escalations(&self.effects).map(|escalation| escalation.record.conversation);
        let on = known.find(|name| is_named(&act.on, name)).unwrap_or(act.on);
        json!({
            "v": 1, "id": format!("act{i}"), "conversation": on, "at": at, "by": act.by, "kind": act.kind,
            "team": act.team, "channel": act.channel, "until": act.until,
        })
    }
}

fn lines_of(
    step: &Step,
    (start, brand, n): (EventTime, &str, usize),
    to: &mut Vec<Line>,
) -> Result<(), String> {
    let at = start + duration(&step.at, "at")?;
    let late = step.late.as_deref().map_or(Ok(Duration::ZERO), |late| duration(late, "late"))?;
    let event = |id: String, on: &str, at: EventTime, body: Value| {
        let mut event = json!({ "v": 1, "id": id, "conversation": on, "at": at, "platform": "x" });
        if let (Some(event), Value::Object(body)) = (event.as_object_mut(), body) {
            event.extend(body);
        }
        Line { arrival: at + late, what: What::Event(event) }
    };
    match step {
        Step { post: Some(post), answer: None, engage: None, act: None, policy: None, .. } => {
            for (i, at) in spread(at, post.times, post.over.as_deref())?.enumerate() {
                let on = if post.times > 1 { format!("{}{i}", post.on) } else { post.on.clone() };
                to.push(event(format!("p{n}.{i}"), &on, at, said(post, brand, (&on, i))));
            }
        }
        Step {
            answer: Some(Answer { on, by, text }),
            post: None,
            engage: None,
            act: None,
            policy: None,
            ..
        } => {
            let body = json!({ "brand_reply": { "account": by, "text": text } });
            to.push(event(format!("a{n}"), on, at, body));
        }
        Step { engage: Some(engage), post: None, answer: None, act: None, policy: None, .. } => {
            let Engage { on, times, over, followers } = engage;
            for (i, at) in spread(at, *times, Some(over))?.enumerate() {
                let body = json!({ "kind": "reshare", "actor": format!("u{n}.{i}"), "followers": followers });
                to.push(event(format!("e{n}.{i}"), on, at, json!({ "engagement": body })));
            }
        }
        Step { act: Some(act), post: None, answer: None, engage: None, policy: None, .. } => {
            let until = act.until.as_deref().map(|until| duration(until, "until")).transpose()?;
            let until = until.map(|until| (start + until).to_string());
            to.push(Line { arrival: at + late, what: What::Action(Act { until, ..act.clone() }, at) });
        }
        Step { policy: Some(text), post: None, answer: None, engage: None, act: None, .. } => {
            to.push(Line { arrival: at, what: What::Policy(text.clone()) });
        }
        _ => return Err("give exactly one of post, answer, engage, act and policy".into()),
    }
    Ok(())
}

fn said(post: &Post, brand: &str, (on, i): (&str, usize)) -> Value {
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
