//! The figures: waits by brand, platform, hour, severity and reach, and what reach goes with, other things equal.

use std::collections::BTreeMap;

use firewatch_domain::{Duration, EventTime};
use serde::Serialize;

use super::regression::{AftFit, Observation, TimeRatio};
use super::survival::{SurvivalCurve, Wait};
use super::{Request, Requests};
use firewatch_report::Zone;

/// Requests that a brand or platform needs for a column of its own.
const MIN_COLUMN_REQUESTS: usize = 30;
/// Groups of one kind that are told, the largest.
const MAX_GROUPS: usize = 25;
/// Share of the requests whose author's reach has to be known.
const MIN_KNOWN_SHARE: f64 = 0.5;

/// What requests are grouped by, and of a request its group's place and name.
type Grouping = (&'static str, fn(&Request) -> (u64, String));

/// Waits of requests that are alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WaitGroup {
    /// What they are alike in.
    pub by: &'static str,
    /// In which way.
    pub name: String,
    /// How many.
    pub requests: usize,
    /// How many were answered.
    pub answered: usize,
    /// Minutes within which half are answered; none when it is not so many.
    pub median: Option<f64>,
    /// ...and nine in ten.
    pub p90: Option<f64>,
    /// The share answered within the target.
    pub within_target: f64,
    /// The share asked to go on in private.
    pub handed_off: f64,
    /// Minutes within which half of those were.
    pub median_hand_off: Option<f64>,
    /// The share that still waits, by time.
    #[serde(skip)]
    pub curve: SurvivalCurve,
}

/// What goes with the wait, other things equal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Influences {
    /// Requests that they were read from.
    pub requests: usize,
    /// The author's followers, where they are known.
    pub reach: Option<ReachInfluence>,
    /// How angry it is, the ninth tenth of the posts against the first.
    pub arousal: TimeRatio,
    /// How sure it is that it is a complaint, likewise.
    pub complaint: TimeRatio,
    /// A day of the weekend, against others.
    pub weekend: TimeRatio,
}

/// What goes with reach.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReachInfluence {
    /// An author with ten times the followers waits so many times as long.
    pub per_tenfold: TimeRatio,
    /// Followers of which a tenth of the authors have fewer, half, and a tenth more.
    pub followers: [u64; 3],
    /// How many times as long the author at the ninth tenth waits as the one at the first.
    pub top_to_bottom: TimeRatio,
}

/// All figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResponseFigures {
    /// Where from.
    pub input: String,
    /// Which requests they are of.
    #[serde(rename = "about")]
    pub description: String,
    /// Minutes within which an answer is due.
    pub target: f64,
    /// Where hours of the day are.
    pub zone: Zone,
    /// The first and the last.
    pub span: Option<(EventTime, EventTime)>,
    /// Posts left out, as they could not be read.
    pub unread: usize,
    /// What was wrong with the input.
    pub faults: Vec<String>,
    /// It is of a part only, and why.
    pub partial: Option<String>,
    /// Groups, the one of all first.
    pub groups: Vec<WaitGroup>,
    /// What goes with the wait.
    pub influences: Option<Influences>,
    /// Why that, or what goes with reach, cannot be told, if so.
    pub untold: Option<String>,
}

impl ResponseFigures {
    /// Works the figures out; `target` is in minutes.
    #[must_use]
    pub fn from_requests(requests: &Requests, target: f64) -> Self {
        let all = &requests.all;
        let mut groups = vec![group(("all", "all".into()), &all.iter().collect::<Vec<_>>(), target)];
        let kinds: [Grouping; 5] = [
            ("severity", |r| (r.severity() as u64, r.severity().as_str().into())),
            ("reach", |r| {
                (
                    r.followers.map_or(u64::MAX, |n| u64::from(n.clamp(10, 100_000).ilog10())),
                    r.reach_tier().into(),
                )
            }),
            ("brand", |r| (0, r.brand.clone())),
            ("platform", |r| (0, r.platform.clone())),
            ("hour", |r| (0, format!("{:02}", r.hour()))),
        ];
        for (by, name) in kinds {
            groups.extend(grouped(all, (by, name), target));
        }
        let (influences, untold) = influences(all);
        Self {
            input: requests.input.clone(),
            zone: requests.zone.clone(),
            description: requests.description.clone(),
            target,
            span: all.first().zip(all.last()).map(|(first, last)| (first.at, last.at)),
            unread: requests.unread,
            faults: requests.faults.clone(),
            partial: requests.partial.clone(),
            groups,
            influences,
            untold,
        }
    }

    /// The groups of one kind.
    pub fn by(&self, by: &str) -> impl Iterator<Item = &WaitGroup> {
        self.groups.iter().filter(move |group| group.by == by)
    }
}

fn grouped(all: &[Request], (by, name): Grouping, target: f64) -> Vec<WaitGroup> {
    let mut requests_by_group: BTreeMap<(u64, String), Vec<&Request>> = BTreeMap::new();
    for request in all {
        requests_by_group.entry(name(request)).or_default().push(request);
    }
    let mut groups: Vec<WaitGroup> =
        requests_by_group.into_iter().map(|((_, name), all)| group((by, name), &all, target)).collect();
    if matches!(by, "brand" | "platform") {
        groups.sort_by_key(|group| std::cmp::Reverse(group.requests));
        groups.truncate(MAX_GROUPS);
    }
    groups
}

fn group((by, name): (&'static str, String), all: &[&Request], target: f64) -> WaitGroup {
    let curve = SurvivalCurve::kaplan_meier(&all.iter().map(|request| request.answer).collect::<Vec<Wait>>());
    let handed_off: Vec<Wait> = all.iter().map(|r| r.hand_off).filter(|wait| wait.answered).collect();
    WaitGroup {
        by,
        name,
        requests: all.len(),
        answered: curve.answered,
        median: curve.within(0.5),
        p90: curve.within(0.9),
        within_target: curve.answered_within(target),
        handed_off: handed_off.len() as f64 / all.len().max(1) as f64,
        median_hand_off: SurvivalCurve::kaplan_meier(&handed_off).within(0.5),
        curve,
    }
}

/// What goes with the wait at equal hour, brand and platform; and what cannot be told, and why.
fn influences(all: &[Request]) -> (Option<Influences>, Option<String>) {
    let known: Vec<&Request> = all.iter().filter(|request| request.followers.is_some()).collect();
    let is_enough = !known.is_empty() && known.len() as f64 >= MIN_KNOWN_SHARE * all.len() as f64;
    let (requests, untold) = if is_enough {
        (known, None)
    } else {
        let (known, total) = (known.len(), all.len());
        let why = format!(
            "the followers of {known} of {total} authors are known, and of half at least they have to be"
        );
        (all.iter().collect(), Some(why))
    };
    let (brands, platforms) = (own_columns(&requests, |r| &r.brand), own_columns(&requests, |r| &r.platform));
    let cases: Vec<Observation> = requests.iter().map(|request| case(request, &brands, &platforms)).collect();
    let Some(fit) = AftFit::fit(&cases) else {
        let columns = cases.first().map_or(0, |case| case.x.len());
        let why = format!("{} posts are too few to tell {columns} influences apart", requests.len());
        return (None, Some(why));
    };
    let read_influences = || {
        Some(Influences {
            requests: requests.len(),
            reach: if is_enough { reach(&requests, fit.effect(0)?) } else { None },
            arousal: over_tenths(fit.effect(1)?, &tenths(&requests, |r| f64::from(r.arousal))?),
            complaint: over_tenths(fit.effect(2)?, &tenths(&requests, |r| f64::from(r.complaint))?),
            weekend: fit.effect(3)?,
        })
    };
    (read_influences(), untold)
}

fn reach(requests: &[&Request], per_tenfold: TimeRatio) -> Option<ReachInfluence> {
    let followers = tenths(requests, |request| request.followers.unwrap_or_default() as f64)?;
    let top_to_bottom = over_tenths(per_tenfold, &followers.map(|n| log10_followers(n as u64)));
    Some(ReachInfluence { per_tenfold, followers: followers.map(|n| n as u64), top_to_bottom })
}

/// Values of which a tenth is below, half, and nine tenths.
fn tenths(requests: &[&Request], value: impl Fn(&Request) -> f64) -> Option<[f64; 3]> {
    let mut values: Vec<f64> = requests.iter().map(|request| value(request)).collect();
    values.sort_by(f64::total_cmp);
    let at = |q: f64| values.get((q * values.len().saturating_sub(1) as f64).round() as usize).copied();
    Some([at(0.1)?, at(0.5)?, at(0.9)?])
}

/// From what one more goes with to what goes with the way from the first of the tenths to the last.
fn over_tenths(one_more: TimeRatio, tenths: &[f64; 3]) -> TimeRatio {
    let way = tenths[2] - tenths[0];
    let TimeRatio { times, low, high } = one_more;
    TimeRatio { times: times.powf(way), low: low.powf(way), high: high.powf(way) }
}

/// Names that are frequent enough for a column, but for the most frequent one, which the others are compared with.
fn own_columns<'r>(all: &[&'r Request], name: impl Fn(&'r Request) -> &'r str) -> Vec<&'r str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for request in all {
        *counts.entry(name(request)).or_default() += 1;
    }
    let mut frequent: Vec<(&str, usize)> =
        counts.into_iter().filter(|(_, n)| *n >= MIN_COLUMN_REQUESTS).collect();
    frequent.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    frequent.into_iter().skip(1).map(|(name, _)| name).collect()
}

fn case(request: &Request, brands: &[&str], platforms: &[&str]) -> Observation {
    let hour =
        (request.wall_time - request.wall_time.floor(Duration::from_mins(24 * 60))).as_secs() / 86_400.0;
    let wave = hour * std::f64::consts::TAU;
    let is = |yes: bool| if yes { 1.0 } else { 0.0 };
    let mut x = vec![
        log10_followers(request.followers.unwrap_or_default()),
        f64::from(request.arousal),
        f64::from(request.complaint),
        is(is_weekend(request.wall_time)),
        wave.sin(),
        wave.cos(),
        (2.0 * wave).sin(),
        (2.0 * wave).cos(),
    ];
    x.extend(brands.iter().map(|brand| is(request.brand == *brand)));
    x.extend(platforms.iter().map(|platform| is(request.platform == *platform)));
    Observation { wait: request.answer, x }
}

/// How many tenfolds of one follower these are.
fn log10_followers(followers: u64) -> f64 {
    (followers as f64 + 1.0).log10()
}

/// Saturday and Sunday, UTC. The first of January 1970 was a Thursday.
fn is_weekend(at: EventTime) -> bool {
    matches!((at.as_millis().div_euclid(86_400_000) + 4).rem_euclid(7), 6 | 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weekends_are_weekends() {
        let is = |text: &str| is_weekend(EventTime::parse(text).unwrap());
        // 2026-03-13 was a Friday.
        assert!(!is("2026-03-13T23:59:59Z") && is("2026-03-14T00:00:00Z"));
        assert!(is("2026-03-15T23:59:59Z") && !is("2026-03-16T00:00:00Z"));
    }
}
