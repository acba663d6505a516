//! Evaluates storm detection on simulated months: delay and false alarms of the dispatcher against constant
//! thresholds.

mod simulated_traffic;

use std::collections::VecDeque;
use std::fmt;

use firewatch_domain::{
    Duration, Escalation, EscalationChange, EventTime, RoutesMatched, SCHEMA_VERSION, Signal, SignalBody,
};
use firewatch_escalation::{Dispatcher, Policy};

pub use simulated_traffic::{SHAPES, SimulatedMonth, SimulatedPost, SimulatedStorm, WEEKS, simulate_month};

/// Window of the constant thresholds, and interval of their checks and of the watermarks.
const COUNT_WINDOW: Duration = Duration::from_mins(5);
const WATERMARK_STEP: Duration = Duration::from_secs(10);
/// An alarm up to this time after a storm's end still belongs to the storm.
const ALARM_GRACE: Duration = Duration::from_mins(30);
/// Constant thresholds tried, in complaints per five minutes.
const THRESHOLDS: std::ops::RangeInclusive<u32> = 6..=80;

/// The results of a rule over all months.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleScore {
    /// Name of the rule.
    pub name: String,
    /// By storm shape: minutes to the first alarm, for each month in which the storm was detected.
    pub minutes: Vec<Vec<f64>>,
    /// Number of months.
    pub months: usize,
    /// Alarms outside of storms, over all months.
    pub false_alarms: usize,
}

/// The results of the dispatcher and of selected constant thresholds.
#[derive(Debug, Clone, PartialEq)]
pub struct StormDetectionReport(Vec<RuleScore>);

/// Simulates a month for each seed and evaluates the dispatcher and the constant thresholds on them.
#[must_use]
pub fn evaluate(seeds: &[u64], policy: &Policy) -> StormDetectionReport {
    let months: Vec<SimulatedMonth> = seeds.iter().map(|seed| simulate_month(*seed)).collect();
    let alarms: Vec<Vec<EventTime>> =
        firewatch_report::parallel::in_parallel(&months, |month| dispatcher_alarms(month, policy));
    let ours = score("firewatch".into(), &months, &alarms);
    let thresholds: Vec<u32> = THRESHOLDS.collect();
    let constant: Vec<RuleScore> = firewatch_report::parallel::in_parallel(&thresholds, |threshold| {
        let alarms: Vec<_> = months.iter().map(|month| threshold_alarms(month, *threshold)).collect();
        score(format!("{threshold} in five minutes"), &months, &alarms)
    });
    let mut all = vec![ours.clone()];
    // Report the lowest threshold with as few false alarms, and the highest one that detects as many storms.
    let as_quiet = constant.iter().find(|score| score.false_alarms <= ours.false_alarms);
    let as_keen = constant.iter().rev().find(|score| score.seen() >= ours.seen());
    all.extend(as_quiet.cloned());
    all.extend(as_keen.cloned());
    StormDetectionReport(all)
}

/// Returns when the dispatcher opens storms.
fn dispatcher_alarms(month: &SimulatedMonth, policy: &Policy) -> Vec<EventTime> {
    escalations(month, policy).iter().filter(|e| e.change == EscalationChange::Opened).map(|e| e.at).collect()
}

/// Returns every escalation that a brand's dispatcher emits in a month, in order.
#[must_use]
pub fn escalations(month: &SimulatedMonth, policy: &Policy) -> Vec<Escalation> {
    let mut dispatcher = Dispatcher::new(policy);
    let mut emitted = Vec::new();
    let mut next = simulated_traffic::START;
    for (i, post) in month.posts.iter().enumerate() {
        while next + WATERMARK_STEP <= post.at {
            next = next + WATERMARK_STEP;
            let watermark = SignalBody::Watermark { sources: 1, idle: false };
            emitted.extend(dispatcher.apply(signal(next, format!("t{next}"), watermark), policy));
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
        counts_for_storms: true,
        topics: post.words.clone(),
        ..RoutesMatched::new(format!("c{i}"), post.at)
    }))
}

/// Returns when the complaints in five minutes reach a threshold. The alarm rearms when they fall to half of
/// it.
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
    /// Returns the number of detected storms.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.minutes.iter().map(Vec::len).sum()
    }

    /// Returns the number of simulated storms.
    #[must_use]
    pub fn total_storms(&self) -> usize {
        self.months * SHAPES.len()
    }

    /// Returns the number of false alarms a week.
    #[must_use]
    pub fn false_a_week(&self) -> f64 {
        self.false_alarms as f64 / (self.months as i64 * WEEKS) as f64
    }
}

impl StormDetectionReport {
    /// Returns the results: the dispatcher's first, then the constant thresholds'.
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
                    None => write!(f, " not detected |")?,
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
