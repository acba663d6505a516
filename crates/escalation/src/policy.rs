//! The policy file: what analysts own. Checked before it loads; a policy that exists is sound.

use std::collections::BTreeMap;

use firewatch_domain::settings::{Fault, Settings};
use firewatch_domain::{Duration, FlagKind, Level, VIRAL_BAR};

use crate::{PR, SUPPORT};

/// Thresholds, routes and clocks; every field within its range.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The name of this version, told with each escalation.
    pub version: String,
    /// A conversation silent for so long is over.
    pub horizon: Duration,
    /// A score is told again when the risk has moved by so many points.
    pub score_step: f64,
    /// Brands by name.
    pub brands: BTreeMap<String, Brand>,
    /// The viral bar of a brand that is not listed.
    pub viral_bar: u64,
    /// Who hears of what may go viral.
    pub pr: PrRoute,
    /// Who hears of what a person can fix.
    pub support: SupportRoute,
    /// How storms are seen and told.
    pub storms: Storms,
}

/// One brand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brand {
    /// Its accounts, main and care; any of them answers for it.
    pub handles: Vec<String>,
    /// Reshares at which a complaint counts as viral.
    pub viral_bar: u64,
}

/// Levels by risk.
#[derive(Debug, Clone, PartialEq)]
pub struct PrRoute {
    /// Risk from which each level holds, mildest first, strictly rising.
    pub thresholds: [(Level, f64); 3],
    /// Points below the lowest threshold at which an escalation may end.
    pub clear_margin: f64,
    /// How long the risk must stay there.
    pub clear_after: Duration,
    /// The level that a post which speaks of harm has at least; none if it has none.
    pub harm_floor: Option<Level>,
    /// The kinds of harm.
    pub harms: Vec<FlagKind>,
}

/// Levels by probability of a complaint.
#[derive(Debug, Clone, PartialEq)]
pub struct SupportRoute {
    /// P(complaint) from which support is told, level low.
    pub complaint: f64,
    /// P(complaint) from which the level is medium.
    pub grave: f64,
}

/// Storm detection, all counts per brand.
#[derive(Debug, Clone, PartialEq)]
pub struct Storms {
    /// The team that owns storms.
    pub team: String,
    /// Complaints wait so long, so that a storm is told instead of its posts.
    pub group_wait: Duration,
    /// How late a record may be and still count at its own time.
    pub lateness: Duration,
    /// A growing storm is told again after so long.
    pub group_interval: Duration,
    /// Complaints an hour that a new brand is taken to have.
    pub expected_per_hour: f64,
    /// Least complaints in five minutes that make a storm.
    pub least_posts: u32,
    /// Standard deviations above the usual that make a storm.
    pub deviations: f64,
}

impl Policy {
    /// Reads a policy file; `name` stands for it in faults.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let mut s = Settings::parse(name, text)?;
        let viral_bar = s.integer("viral_bar", VIRAL_BAR as i64, 10..=1_000_000) as u64;
        let policy = Self {
            version: s.text("version", "unnamed"),
            horizon: s.duration("horizon", Duration::from_mins(24 * 60), 600.0..=2_592_000.0),
            score_step: s.number("score_step", 1.0, 0.1..=50.0),
            brands: brands(&mut s, viral_bar),
            viral_bar,
            pr: pr(&mut s),
            support: support(&mut s),
            storms: storms(&mut s),
        };
        s.finish(policy)
    }

    /// Every team that it can tell.
    #[must_use]
    pub fn teams(&self) -> Vec<&str> {
        let mut teams = vec![PR, SUPPORT, self.storms.team.as_str()];
        teams.sort_unstable();
        teams.dedup();
        teams
    }

    /// The viral bar of a brand, known or not.
    #[must_use]
    pub fn bar_of(&self, brand: Option<&str>) -> u64 {
        brand.and_then(|b| self.brands.get(b)).map_or(self.viral_bar, |b| b.viral_bar)
    }
}

fn brands(s: &mut Settings, viral_bar: u64) -> BTreeMap<String, Brand> {
    let names = s.sections("brands");
    if names.is_empty() {
        s.fault("brands", "no brand is listed; give at least one section such as [brands.acme]");
    }
    let mut brands = BTreeMap::new();
    for name in names {
        let key = format!("brands.{name}");
        let handles = s.texts(&format!("{key}.handles"));
        let bar = s.integer(&format!("{key}.viral_bar"), viral_bar as i64, 10..=1_000_000) as u64;
        brands.insert(name, Brand { handles, viral_bar: bar });
    }
    brands
}

fn pr(s: &mut Settings) -> PrRoute {
    let medium = s.number("pr.medium", 15.0, 1.0..=99.0);
    let high = s.number("pr.high", 35.0, 1.0..=99.0);
    let critical = s.number("pr.critical", 70.0, 1.0..=99.9);
    if !(medium < high && high < critical) {
        s.fault(
            "pr",
            format_args!("medium {medium}, high {high}, critical {critical} must rise in this order"),
        );
    }
    let clear_margin = s.number("pr.clear_margin", 5.0, 0.0..=50.0);
    if clear_margin >= medium {
        let problem = format_args!(
            "{clear_margin} is not allowed; give less than pr.medium, {medium}, or nothing ever ends"
        );
        s.fault("pr.clear_margin", problem);
    }
    PrRoute {
        thresholds: [(Level::Medium, medium), (Level::High, high), (Level::Critical, critical)],
        clear_margin,
        clear_after: s.duration("pr.clear_after", Duration::from_mins(10), 0.0..=86_400.0),
        harm_floor: harm_floor(s),
        harms: harms(s),
    }
}

fn harm_floor(s: &mut Settings) -> Option<Level> {
    let levels = Level::ALL.map(Level::as_str);
    let choices = [&["none"], levels.as_slice()].concat();
    let chosen = s.choice("pr.harm_floor", Level::Medium.as_str(), &choices);
    Level::ALL.into_iter().find(|level| level.as_str() == chosen)
}

fn harms(s: &mut Settings) -> Vec<FlagKind> {
    let names = s.texts("pr.harms");
    if names.is_empty() {
        return vec![FlagKind::SafetyHarm, FlagKind::LegalThreat];
    }
    let mut kinds = Vec::new();
    for name in names {
        match FlagKind::ALL.into_iter().find(|kind| kind.name() == name) {
            Some(kind) => kinds.push(kind),
            None => {
                let all = FlagKind::ALL.map(FlagKind::name).join(", ");
                s.fault("pr.harms", format_args!("{name:?} is no kind of harm; give some of {all}"));
            }
        }
    }
    kinds
}

fn support(s: &mut Settings) -> SupportRoute {
    let complaint = s.number("support.complaint", 0.6, 0.05..=1.0);
    let grave = s.number("support.grave", 0.9, 0.05..=1.0);
    if grave < complaint {
        s.fault(
            "support.grave",
            format_args!("{grave} is not allowed; give at least support.complaint, {complaint}"),
        );
    }
    SupportRoute { complaint, grave }
}

fn storms(s: &mut Settings) -> Storms {
    Storms {
        team: s.choice("storms.team", PR, &[PR, SUPPORT]),
        group_wait: s.duration("storms.group_wait", Duration::from_secs(30), 1.0..=300.0),
        lateness: s.duration("storms.lateness", Duration::from_secs(10), 0.0..=600.0),
        group_interval: s.duration("storms.group_interval", Duration::from_mins(5), 30.0..=86_400.0),
        expected_per_hour: s.number("storms.expected_per_hour", 60.0, 0.0..=1_000_000.0),
        least_posts: s.integer("storms.least_posts", 15, 3..=100_000) as u32,
        deviations: s.number("storms.deviations", 4.0, 1.0..=20.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brand_is_all_a_policy_needs() {
        let policy = Policy::parse("p", "[brands.acme]\n").unwrap();
        assert_eq!(policy.bar_of(Some("acme")), VIRAL_BAR);
        assert_eq!(policy.bar_of(None), VIRAL_BAR);
    }

    #[test]
    fn values_that_contradict_each_other_are_faults_all_told_at_once() {
        let text = "[brands.a]\nviral_bar = 1\n[pr]\nmedium = 50\nhigh = 40\nclear_margin = 50\n[support]\ngrave = 0.1\n[storm]\nx = 1\n";
        let faults: Vec<String> =
            Policy::parse("p", text).unwrap_err().iter().map(ToString::to_string).collect();
        let starts = [
            "brands.a.viral_bar: 1 ",
            "pr: medium 50",
            "pr.clear_margin: 50",
            "support.grave: 0.1",
            "storm.x: unknown key",
        ];
        assert_eq!(faults.len(), starts.len(), "{faults:#?}");
        for (fault, start) in faults.iter().zip(starts) {
            assert!(fault.starts_with(start), "{fault} / {start}");
        }
    }
}
