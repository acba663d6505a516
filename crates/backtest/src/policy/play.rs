//! Plays the timeline of a case through the engine, as a single task.

use firewatch_domain::{Duration, Escalation, EventTime};
use firewatch_engine::{Effect, Input, LocalTopology, Ruleset, Stream, Task};
use serde_json::{Value, json};

use super::case::{
    ActStep, AnswerStep, CaseError, EngageStep, PolicyCase, PostStep, TimelineStep, duration, matches_name,
    start_time,
};
use super::parse;

/// An escalation in a team's topic.
#[derive(Debug, Clone, PartialEq)]
pub struct TeamEscalation {
    /// Team whose topic receives it.
    pub team: String,
    /// The escalation record.
    pub record: Escalation,
}

/// How often the task is restarted while a case plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restarts {
    /// Never.
    Never,
    /// After every n records.
    Every(usize),
}

/// One input of a timeline with its arrival time.
struct TimelineInput {
    arrival: EventTime,
    what: InputKind,
}

enum InputKind {
    Event(Value),
    Action(ActStep, EventTime),
    Policy(String),
}

/// Plays a case and returns the engine's effects in the order in which a task would write them, signals
/// included.
///
/// # Errors
/// When a step of the case, or its policy, is not valid.
pub fn play(case: &PolicyCase, ruleset: &Ruleset, restarts: Restarts) -> Result<Vec<Effect>, CaseError> {
    let start = start_time(case)?;
    let brand = ruleset.policy.brands.keys().next().cloned().unwrap_or_default();
    let mut lines = Vec::new();
    for (n, step) in case.timeline.iter().enumerate() {
        inputs_of_step(step, start, &brand, n, &mut lines)
            .map_err(|e| CaseError::Step(n + 1, Box::new(e)))?;
    }
    // Inputs of the same time keep their order in the file.
    lines.sort_by_key(|line| line.arrival);
    let mut player = CasePlayer::new(ruleset.clone());
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

/// Returns the escalations among effects, each with the team whose topic receives it. A hand-over appears
/// twice: for the new team and for the previous one.
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
    topology: LocalTopology,
    /// The latest event's time, or the time to which a silent partition was advanced.
    now: EventTime,
    effects: Vec<Effect>,
}

impl CasePlayer {
    fn new(ruleset: Ruleset) -> Self {
        Self { ruleset, topology: LocalTopology::default(), now: EventTime::EARLIEST, effects: vec![] }
    }

    fn handle_input(&mut self, line: TimelineInput, i: usize) -> Result<(), CaseError> {
        let (stream, value) = match line.what {
            InputKind::Policy(text) => {
                self.idle(line.arrival);
                self.ruleset = self.ruleset.with_policy(parse("the case's other policy", &text)?);
                return Ok(());
            }
            InputKind::Event(value) => (Stream::Events, value),
            InputKind::Action(act, at) => {
                // A person acts on what has been decided by then.
                self.idle(line.arrival);
                (Stream::Actions, self.action(act, at, i))
            }
        };
        if stream == Stream::Events {
            self.now = self.now.max(line.arrival);
        }
        let bytes = value.to_string().into_bytes();
        let input = Input { offset: i as i64, arrival: line.arrival, ..Input::new(stream, "case", &bytes) };
        let effects = &mut self.effects;
        let handled = self.topology.handle(&input, &self.ruleset, &mut |effect| effects.push(effect.clone()));
        handled.rejection.map_or(Ok(()), |rejection| Err(CaseError::Rejected(value, rejection)))
    }

    /// Lets time pass without records, as for an idle partition.
    fn idle(&mut self, until: EventTime) {
        if until > self.now {
            let effects = &mut self.effects;
            let mut sink = |effect: &Effect| effects.push(effect.clone());
            self.topology.mark_idle(until - self.now, &self.ruleset, &mut sink);
            self.now = until;
        }
    }

    /// Ends the case: dispatchers decide what is due by `at`.
    fn end(&mut self, at: EventTime) {
        // A window is decided only after the allowed lateness.
        let windows = &self.ruleset.policy.windows;
        self.idle(at + windows.lateness + windows.step);
        self.effects.retain(|effect| effect.at().is_none_or(|effect| effect <= at));
    }

    /// Commits the state, and restores it into a new task.
    fn restart(&mut self) -> Result<(), CaseError> {
        self.topology.commit()?;
        Ok(self.topology.restart(Task::new(0, 1), &self.ruleset)?)
    }

    fn action(&self, act: ActStep, at: EventTime, i: usize) -> Value {
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
    start: EventTime,
    brand: &str,
    n: usize,
    to: &mut Vec<TimelineInput>,
) -> Result<(), CaseError> {
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
                to.push(event(format!("p{n}.{i}"), &on, at, post_body(post, brand, &on, i)));
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
        _ => return Err(CaseError::NotOneInput),
    }
    Ok(())
}

fn post_body(post: &PostStep, brand: &str, on: &str, i: usize) -> Value {
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

/// Returns `times` times from `at` on, spread evenly over a duration.
fn spread(
    at: EventTime,
    times: u32,
    over: Option<&str>,
) -> Result<impl Iterator<Item = EventTime>, CaseError> {
    let over = over.map_or(Ok(Duration::ZERO), |over| duration(over, "over"))?;
    let gap = over.as_millis() / i64::from(times.max(1));
    Ok((0..i64::from(times)).map(move |i| at + Duration::from_millis(gap * i)))
}
