//! Figures of reply times: by brand, platform, hour, severity and reach, and the effect of reach, other
//! things equal.

use std::collections::BTreeMap;

use firewatch_domain::{Duration, EventTime};
use serde::Serialize;

use super::regression::{AftFit, Observation, TimeRatio};
use super::survival::{SurvivalCurve, Wait};
use super::{Request, Requests};
use firewatch_report::Zone;

/// Minimum number of requests for a brand or platform to get a column of its own in the regression.
const MIN_COLUMN_REQUESTS: usize = 30;
/// Maximum number of brands or platforms reported, the largest ones.
const MAX_GROUPS: usize = 25;
/// Minimum share of requests with known followers for an estimate of reach.
const MIN_KNOWN_SHARE: f64 = 0.5;

/// The name of a grouping, and a function that returns a request's sort key and group name.
type GroupKey = fn(&Request) -> (u64, String);

/// Reply times of a group of requests.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WaitGroup {
    /// Kind of group: `all`, `severity`, `reach`, `brand`, `platform` or `hour`.
    pub by: &'static str,
    /// Name of the group.
    pub name: String,
    /// Number of requests.
    pub requests: usize,
    /// Number of answered requests.
    pub answered: usize,
    /// Median reply time in minutes; `None` if fewer than half are answered.
    pub median: Option<f64>,
    /// 90th percentile of the reply time in minutes; `None` if fewer are answered.
    pub p90: Option<f64>,
    /// Share answered within the target.
    pub within_target: f64,
    /// Share with a request to continue in private.
    pub handed_off: f64,
    /// Median minutes to that request, over the requests that have one.
    pub median_hand_off: Option<f64>,
    /// Share still waiting, by time.
    #[serde(skip)]
    pub curve: SurvivalCurve,
}

/// Associations with the reply time, other things equal, as time ratios.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Influences {
    /// Number of requests in the regression.
    pub requests: usize,
    /// Followers of the author, if known for enough requests.
    pub reach: Option<ReachInfluence>,
    /// Anger: the 90th against the 10th percentile.
    pub arousal: TimeRatio,
    /// Complaint probability: the 90th against the 10th percentile.
    pub complaint: TimeRatio,
    /// Weekend against weekdays.
    pub weekend: TimeRatio,
}

/// The association of reach with the reply time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReachInfluence {
    /// Time ratio of an author with ten times the followers.
    pub per_tenfold: TimeRatio,
    /// Followers of the authors: 10th percentile, median and 90th percentile.
    pub followers: [u64; 3],
    /// Time ratio of the author at the 90th percentile against the one at the 10th.
    pub top_to_bottom: TimeRatio,
}

/// The figures of the response report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResponseFigures {
    /// Name of the input.
    pub input: String,
    /// Description of the requests.
    #[serde(rename = "about")]
    pub description: String,
    /// Target reply time in minutes.
    pub target: f64,
    /// Time zone of the hours of the day.
    pub zone: Zone,
    /// Times of the first and the last request.
    pub span: Option<(EventTime, EventTime)>,
    /// Number of posts left out because the text model could not read them.
    pub unread: usize,
    /// Faults of the input.
    pub faults: Vec<String>,
    /// Why the input was read only in part, if so.
    pub partial: Option<String>,
    /// Groups; the first one holds all requests.
    pub groups: Vec<WaitGroup>,
    /// Associations with the reply time, if they could be estimated.
    pub influences: Option<Influences>,
    /// Why the associations, or that of reach, could not be estimated, if so.
    pub untold: Option<String>,
}

impl ResponseFigures {
    /// Computes the figures; `target` is in minutes.
    #[must_use]
    pub fn from_requests(requests: &Requests, target: f64) -> Self {
        let all = &requests.all;
        let mut groups = vec![group("all", "all".into(), &all.iter().collect::<Vec<_>>(), target)];
        let kinds: [(&str, GroupKey); 5] = [
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
        for (by, key) in kinds {
            groups.extend(grouped(all, by, key, target));
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

    /// Returns the groups of one kind.
    pub fn by(&self, by: &str) -> impl Iterator<Item = &WaitGroup> {
        self.groups.iter().filter(move |group| group.by == by)
    }
}

fn grouped(all: &[Request], by: &'static str, key: GroupKey, target: f64) -> Vec<WaitGroup> {
    let mut requests_by_group: BTreeMap<(u64, String), Vec<&Request>> = BTreeMap::new();
    for request in all {
        requests_by_group.entry(key(request)).or_default().push(request);
    }
    let mut groups: Vec<WaitGroup> =
        requests_by_group.into_iter().map(|((_, name), all)| group(by, name, &all, target)).collect();
    if matches!(by, "brand" | "platform") {
        groups.sort_by_key(|group| std::cmp::Reverse(group.requests));
        groups.truncate(MAX_GROUPS);
    }
    groups
}

fn group(by: &'static str, name: String, all: &[&Request], target: f64) -> WaitGroup {
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

/// Fits the regression at equal hour, brand and platform; returns the estimates, and why one is missing, if
/// so.
fn influences(all: &[Request]) -> (Option<Influences>, Option<String>) {
    let known: Vec<&Request> = all.iter().filter(|request| request.followers.is_some()).collect();
    let is_enough = !known.is_empty() && known.len() as f64 >= MIN_KNOWN_SHARE * all.len() as f64;
    let (requests, untold) = if is_enough {
        (known, None)
    } else {
        let (known, total) = (known.len(), all.len());
        let why = format!("the followers of {known} of {total} authors are known; at least half are needed");
        (all.iter().collect(), Some(why))
    };
    let (brands, platforms) = (own_columns(&requests, |r| &r.brand), own_columns(&requests, |r| &r.platform));
    let cases: Vec<Observation> = requests.iter().map(|request| case(request, &brands, &platforms)).collect();
    let Some(fit) = AftFit::fit(&cases) else {
        let columns = cases.first().map_or(0, |case| case.x.len());
        let why = format!("{} posts are too few to estimate {columns} effects", requests.len());
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

/// Returns the 10th percentile, the median and the 90th percentile of a value.
fn tenths(requests: &[&Request], value: impl Fn(&Request) -> f64) -> Option<[f64; 3]> {
    let mut values: Vec<f64> = requests.iter().map(|request| value(request)).collect();
    values.sort_by(f64::total_cmp);
    let at = |q: f64| values.get((q * values.len().saturating_sub(1) as f64).round() as usize).copied();
    Some([at(0.1)?, at(0.5)?, at(0.9)?])
}

/// Converts the time ratio of one unit to that of the distance between the 10th and the 90th percentile.
fn over_tenths(one_more: TimeRatio, tenths: &[f64; 3]) -> TimeRatio {
    let way = tenths[2] - tenths[0];
    let TimeRatio { times, low, high } = one_more;
    TimeRatio { times: times.powf(way), low: low.powf(way), high: high.powf(way) }
}

/// Returns the names frequent enough for a column, without the most frequent one, which is the baseline.
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

/// Returns log10(followers + 1).
fn log10_followers(followers: u64) -> f64 {
    (followers as f64 + 1.0).log10()
}

/// Returns whether a time is on a Saturday or Sunday. 1 January 1970 was a Thursday.
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
