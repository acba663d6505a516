//! How soon storms are seen, and how often there is none: the desk's own detection beside a constant threshold, over
//! simulated months.

mod simulated_traffic;

use std::collections::VecDeque;
use std::fmt;

use firewatch_domain::{
    Duration, Escalation, EscalationChange, EventTime, RoutesMatched, SCHEMA_VERSION, Signal, SignalBody,
    Tenths,
};
use firewatch_escalation::{Dispatcher, Policy};

pub use simulated_traffic::{SHAPES, SimulatedMonth, SimulatedPost, SimulatedStorm, WEEKS, simulate_month};

/// The span over which a constant threshold counts, and how often it looks.
const COUNT_WINDOW: Duration = Duration::from_mins(5);
const WATERMARK_STEP: Duration = Duration::from_secs(10);
/// An alarm so long after a storm's end still belongs to it.
const ALARM_GRACE: Duration = Duration::from_mins(30);
/// Constant thresholds tried, complaints in five minutes.
const THRESHOLDS: std::ops::RangeInclusive<u32> = 6..=80;

/// How a rule did over months.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleScore {
    /// The rule.
    pub name: String,
    /// Minutes to the first alarm of each storm, by shape, one for each month that saw it.
    pub minutes: Vec<Vec<f64>>,
    /// Months.
    pub months: usize,
    /// Alarms that belong to no storm, in all.
    pub false_alarms: usize,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct StormDetectionReport(Vec<RuleScore>);

/// Plays months of these seeds through the desk and through constant thresholds.
#[must_use]
pub fn evaluate(seeds: &[u64], policy: &Policy) -> StormDetectionReport {
    let months: Vec<SimulatedMonth> = seeds.iter().map(|seed| simulate_month(*seed)).collect();
    let desk: Vec<Vec<EventTime>> =
        firewatch_report::parallel::in_parallel(&months, |month| dispatcher_alarms(month, policy));
    let ours = score("firewatch".into(), &months, &desk);
    let thresholds: Vec<u32> = THRESHOLDS.collect();
    let constant: Vec<RuleScore> = firewatch_report::parallel::in_parallel(&thresholds, |least| {
        let alarms: Vec<_> = months.iter().map(|month| threshold_alarms(month, *least)).collect();
        score(format!("{least} in five minutes"), &months, &alarms)
    });
    let mut all = vec![ours.clone()];
    // The one that is as quiet, the one that sees as much, and, if there is another, the best of those in between.
    let as_quiet = constant.iter().find(|score| score.false_alarms <= ours.false_alarms);
    let as_keen = constant.iter().rev().find(|score| score.seen() >= ours.seen());
    all.extend(as_quiet.cloned());
    all.extend(as_keen.cloned());
    StormDetectionReport(all)
}

/// When the desk opens storms.
fn dispatcher_alarms(month: &SimulatedMonth, policy: &Policy) -> Vec<EventTime> {
    escalations(month, policy).iter().filter(|e| e.change == EscalationChange::Opened).map(|e| e.at).collect()
}

/// Every escalation that a brand's desk emits in a month, in order.
#[must_use]
pub fn escalations(month: &SimulatedMonth, policy: &Policy) -> Vec<Escalation> {
    let mut dispatcher = Dispatcher::new(policy);
    let mut emitted = Vec::new();
    let mut next = simulated_traffic::START;
    for (i, post) in month.posts.iter().enumerate() {
        while next + WATERMARK_STEP <= post.at {
            next = next + WATERMARK_STEP;
            let tick = SignalBody::Watermark { sources: 1, idle: false };
            emitted.extend(dispatcher.apply(signal(next, format!("t{next}"), tick), policy));
        }
        emitted.extend(dispatcher.apply(signal(post.at, format!("p{i}"), complaint(i, post)), policy));
    }
    emitted
}

fn signal(at: EventTime, id: String, body: SignalBody) -> Signal {
    Signal { v: SCHEMA_VERSION, id, brand: "brand".into(), at, source: 0, slot: 0, body }
}

fn complaint(i: usize, post: &SimulatedPost) -> SignalBody {
    SignalBody::RoutesMatched(Box::new(RoutesMatched {
        conversation: format!("c{i}"),
        began: post.at,
        posted_at: Some(post.at),
        platform: None,
        routes: vec![],
        counts_for_storms: true,
        topics: post.words.clone(),
        sim_hash: None,
        author: None,
        related: None,
        risk: Tenths::default(),
        reasons: vec![],
        contributions: vec![],
        advice: vec![],
        excerpt: None,
        silences: vec![],
        silenced_until: None,
        answered: false,
        trace: None,
    }))
}

/// When so many complaints in five minutes are reached; the next alarm needs a calm of half as many first.
fn threshold_alarms(month: &SimulatedMonth, threshold: u32) -> Vec<EventTime> {
    let mut alarms = Vec::new();
    let mut recent: VecDeque<EventTime> = VecDeque::new();
    let mut on = false;
    for post in &month.posts {
        while recent.front().is_some_and(|at| *at < post.at - COUNT_WINDOW) {
            recent.pop_front();
        }
        on &= recent.len() as u32 * 2 > threshold;
        recent.push_back(post.at);
        if !on && recent.len() as u32 >= threshold {
            alarms.push(post.at.ceil(WATERMARK_STEP));
            on = true;
        }
    }
    alarms
}

fn score(name: String, months: &[SimulatedMonth], alarms: &[Vec<EventTime>]) -> RuleScore {
    let mut minutes = vec![Vec::new(); SHAPES.len()];
    let mut false_alarms = 0;
    for (month, alarms) in months.iter().zip(alarms) {
        for (storm, minutes) in month.storms.iter().zip(&mut minutes) {
            let first = alarms.iter().find(|at| (storm.from..storm.to + ALARM_GRACE).contains(*at));
            minutes.extend(first.map(|at| (*at - storm.from).as_secs() / 60.0));
        }
        let belongs =
            |at: &&EventTime| month.storms.iter().any(|s| (s.from..s.to + ALARM_GRACE).contains(*at));
        false_alarms += alarms.iter().filter(|at| !belongs(at)).count();
    }
    RuleScore { name, minutes, months: months.len(), false_alarms }
}

impl RuleScore {
    /// Storms seen.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.minutes.iter().map(Vec::len).sum()
    }

    /// Storms there were.
    #[must_use]
    pub fn total_storms(&self) -> usize {
        self.months * SHAPES.len()
    }

    /// False alarms a week.
    #[must_use]
    pub fn false_a_week(&self) -> f64 {
        self.false_alarms as f64 / (self.months as i64 * WEEKS) as f64
    }
}

impl StormDetectionReport {
    /// The desk's own figures, and those of constant thresholds.
    #[must_use]
    pub fn scores(&self) -> &[RuleScore] {
        &self.0
    }
}

impl fmt::Display for StormDetectionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| storm |")?;
        self.0.iter().try_for_each(|score| write!(f, " {} |", score.name))?;
        write!(f, "\n|---|{}", "---:|".repeat(self.0.len()))?;
        for (i, shape) in SHAPES.iter().enumerate() {
            write!(f, "\n| {} |", shape.name)?;
            for score in &self.0 {
                let mut minutes = score.minutes[i].clone();
                minutes.sort_by(f64::total_cmp);
                match minutes.get(minutes.len() / 2) {
                    None => write!(f, " not seen |")?,
                    Some(median) => write!(f, " {median:.0} min, {} of {} |", minutes.len(), score.months)?,
                }
            }
        }
        write!(f, "\n| all |")?;
        self.0.iter().try_for_each(|score| write!(f, " {} of {} |", score.seen(), score.total_storms()))?;
        write!(f, "\n| false alarms a week |")?;
        self.0.iter().try_for_each(|score| write!(f, " {:.2} |", score.false_a_week()))?;
        writeln!(f)
    }
}
