//! The policy file, which analysts own.
//!
//! It is checked before it loads, so a [`Policy`] that exists is valid.

mod accounts;
mod advice;
pub(crate) mod hours;
mod mentions;
mod names;
mod routes;
mod schema;
mod silences;
mod teams;
mod warnings;

use std::collections::BTreeMap;
use std::hash::Hasher;

use firewatch_domain::{Duration, FlagKind, Level, Redaction, VIRAL_BAR};
use firewatch_settings::{Fault, Settings};
use fnv::FnvHasher;

use crate::{Condition, Facts, PR, UNLISTED_BRAND};

pub use accounts::Accounts;
pub use advice::Advice;
pub use hours::WeeklyHours;
pub use routes::{GroupBy, Route};
pub use schema::policy_schema;
pub use silences::Silence;
pub use teams::{QuietHours, Team, Tier, quiet_hours};

/// Thresholds, routes, teams and deadlines. Every value is within its range.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Name of this version. Every escalation carries it.
    pub version: String,
    /// Hash of the file's text: 64-bit FNV-1a in hexadecimal.
    pub hash: String,
    /// Span of silence after which a conversation expires.
    pub retention: Duration,
    /// Change of risk, in points, at which a score is emitted again.
    pub score_step: f64,
    /// How much personal data is hidden in excerpts and in the console's threads.
    pub redaction: Redaction,
    /// Brands by name.
    pub brands: BTreeMap<String, Brand>,
    /// Finds the brand of an account or of a text.
    pub accounts: Accounts,
    /// Settings for a brand that is not listed.
    pub unlisted: Brand,
    /// Teams by name. `pr` and `support` always exist.
    pub teams: BTreeMap<String, Team>,
    /// Advice, in the order of its names.
    pub advice: Vec<Advice>,
    /// Routes by name.
    pub routes: BTreeMap<String, Route>,
    /// Silences by name.
    pub silences: BTreeMap<String, Silence>,
    /// Timing of the dispatchers' decisions.
    pub windows: Windows,
    /// Storm detection.
    pub storms: Storms,
    /// P(complaint) below which no route can match and no storm can count a post, unless it is flagged. 0..1.
    pub min_route_complaint: f64,
    /// P(complaint) below which no storm can count a post, unless it is flagged. 0..1.
    pub min_storm_complaint: f64,
    /// Flags that conditions of routes and storms name.
    pub flags: Vec<FlagKind>,
}

/// Settings of one brand.
#[derive(Debug, Clone, PartialEq)]
pub struct Brand {
    /// Handles or ids of its accounts. An answer by any of them counts.
    pub handles: Vec<String>,
    /// Handles on platforms where it has others, by platform in lower case.
    pub handles_on: BTreeMap<String, Vec<String>>,
    /// What people call it in a text.
    pub names: Vec<String>,
    /// Hashtags about it.
    pub hashtags: Vec<String>,
    /// Reshares and quotes at which a complaint is viral.
    pub viral_bar: u64,
    /// Target time from the post to the first public answer.
    pub first_response: Duration,
    /// Target time from the request to continue in private until that happens.
    pub hand_off: Duration,
    /// Business hours, in which the targets count; `None`: every hour counts.
    pub hours: Option<WeeklyHours>,
}

/// Timing of the dispatchers: decisions wait for records of the same time from other partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    /// Interval of event time at which decisions are made.
    pub step: Duration,
    /// How late a record may be and still count at its own time.
    pub lateness: Duration,
}

/// Storm detection. All counts are for one brand.
#[derive(Debug, Clone, PartialEq)]
pub struct Storms {
    /// The team that owns storms.
    pub team: String,
    /// Condition under which a conversation counts as a complaint.
    pub complaint_when: Condition,
    /// Highest level at which alerts for a storm's own posts are muted.
    pub mutes_up_to: Level,
    /// Minimum time between two updates of a growing storm.
    pub group_interval: Duration,
    /// Expected complaints per hour of a new brand.
    pub expected_per_hour: f64,
    /// Minimum number of complaints for a storm, over any span.
    pub min_posts: u32,
    /// Standard deviations above the usual volume at which a storm opens.
    pub deviations: f64,
}

impl Policy {
    /// Parses a policy file. `name` stands for the file in faults.
    ///
    /// # Errors
    /// Every fault in the file.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let mut s = Settings::parse(name, text)?;
        let policy = Self::read(&mut s, text);
        s.finish(policy)
    }

    fn read(s: &mut Settings, text: &str) -> Self {
        let unlisted = read_brand(s, "", &default_brand());
        let teams = teams::read(s);
        let names: Vec<&str> = teams.keys().map(String::as_str).collect();
        let routes = routes::read(s, &names);
        let storms = read_storms(s, &names);
        let windows = Windows {
            step: s.duration("windows.step", Duration::from_secs(1), 1.0..=300.0),
            lateness: s.duration("windows.lateness", Duration::from_secs(2), 0.0..=600.0),
        };
        let opening_conditions =
            || routes.values().flat_map(|r| &r.when).map(|(_, c)| c).chain([&storms.complaint_when]);
        let mut flags: Vec<FlagKind> = opening_conditions().flat_map(Condition::flags).collect();
        flags.sort_unstable();
        flags.dedup();
        let brands = read_brands(s, &unlisted);
        let policy = Self {
            version: s.text("version", "unnamed"),
            hash: format!("{:016x}", hash(text)),
            retention: s.duration("horizon", Duration::from_mins(24 * 60), 600.0..=2_592_000.0),
            score_step: s.number("score_step", 1.0, 0.1..=50.0),
            redaction: read_redaction(s),
            accounts: Accounts::from_brands(&brands, s),
            brands,
            min_route_complaint: opening_conditions().map(Condition::min_complaint).fold(1.0, f64::min),
            min_storm_complaint: storms.complaint_when.min_complaint(),
            flags,
            unlisted,
            advice: advice::read(s),
            silences: silences::read(s),
            teams,
            routes,
            windows,
            storms,
        };
        policy.check_brands(s);
        policy
    }

    /// Returns the names of all teams.
    #[must_use]
    pub fn team_names(&self) -> Vec<&str> {
        self.teams.keys().map(String::as_str).collect()
    }

    /// Returns the settings of a brand, listed or not.
    #[must_use]
    pub fn brand(&self, name: Option<&str>) -> &Brand {
        name.and_then(|b| self.brands.get(b)).unwrap_or(&self.unlisted)
    }

    /// Returns the advice for a conversation.
    #[must_use]
    pub fn advice_for(&self, facts: &Facts<'_>) -> Vec<String> {
        advice::matching_advice(&self.advice, facts)
    }

    /// Returns the silences that match a conversation, lapsed ones included.
    #[must_use]
    pub fn silences_matching(&self, facts: &Facts<'_>) -> Vec<String> {
        silences::matching(&self.silences, facts)
    }

    /// Returns the advice for storms.
    #[must_use]
    pub fn storm_advice(&self) -> Vec<String> {
        self.advice.iter().filter(|advice| advice.when.is_none()).map(|advice| advice.text.clone()).collect()
    }

    /// Returns the viral bar of a brand, listed or not.
    #[must_use]
    pub fn viral_bar(&self, brand: Option<&str>) -> u64 {
        self.brand(brand).viral_bar
    }

    /// Checks whether this policy can replace the active one at run time.
    ///
    /// # Errors
    /// Every difference that needs a restart.
    pub fn may_replace(&self, old: &Self) -> Result<(), Vec<Fault>> {
        let mut faults = Vec::new();
        let mut fault = |key: String, problem: &str| faults.push(Fault { key, problem: problem.into() });
        if self.retention != old.retention {
            fault(
                "horizon".into(),
                "cannot change at run time, because conversations are stored by expiry time; restart",
            );
        }
        for team in self.teams.keys().filter(|team| !old.teams.contains_key(*team)) {
            let remedy = "is a new team; create its topic with `firewatch topics create`, then restart";
            fault(format!("teams.{team}"), remedy);
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Checks whether this policy can decide beside another on the same conversations. They must agree on
    /// what conversations are made of and on when dispatchers decide.
    ///
    /// # Errors
    /// Every key on which they disagree.
    pub fn check_compatible(&self, other: &Self) -> Result<(), Vec<Fault>> {
        let faults = [
            (self.retention != other.retention, "horizon"),
            (self.accounts != other.accounts || !self.brands.keys().eq(other.brands.keys()), "brands"),
            (self.windows != other.windows, "windows"),
        ];
        let problem = "differs from the active policy; both must agree, as they share conversations";
        let fault = |key: &str| Fault { key: key.into(), problem: problem.into() };
        let faults: Vec<Fault> =
            faults.iter().filter(|(differs, _)| *differs).map(|(_, key)| fault(key)).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    fn check_brands(&self, s: &mut Settings) {
        for (name, route) in &self.routes {
            for brand in route.conditions().flat_map(Condition::brands) {
                if !brand.is_empty() && !self.brands.contains_key(brand) {
                    let known: Vec<&str> = self.brands.keys().map(String::as_str).collect();
                    let problem = format!("brand {brand:?} is not listed; give one of {}", known.join(", "));
                    s.add_fault(&format!("routes.{name}"), problem);
                }
            }
        }
    }
}

fn read_redaction(s: &mut Settings) -> Redaction {
    let default = Redaction::default();
    let chosen = s.choice("redaction", default.as_str(), &Redaction::ALL.map(Redaction::as_str));
    Redaction::ALL.into_iter().find(|level| level.as_str() == chosen).unwrap_or(default)
}

/// Returns the 64-bit FNV-1a hash of a text.
fn hash(text: &str) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(text.as_bytes());
    hasher.finish()
}

fn default_brand() -> Brand {
    Brand {
        handles: vec![],
        handles_on: BTreeMap::new(),
        names: vec![],
        hashtags: vec![],
        viral_bar: VIRAL_BAR,
        first_response: Duration::from_mins(9),
        hand_off: Duration::from_mins(30),
        hours: None,
    }
}

/// Reads the keys of a brand, or the top-level ones that hold for all brands.
fn read_brand(s: &mut Settings, prefix: &str, defaults: &Brand) -> Brand {
    let key = |name: &str| format!("{prefix}{name}");
    let bar = s.integer(&key("viral_bar"), defaults.viral_bar as i64, 10..=1_000_000) as u64;
    Brand {
        handles: vec![],
        handles_on: BTreeMap::new(),
        names: vec![],
        hashtags: vec![],
        viral_bar: bar,
        first_response: s.duration(&key("first_response"), defaults.first_response, 10.0..=2_592_000.0),
        hand_off: s.duration(&key("hand_off"), defaults.hand_off, 10.0..=2_592_000.0),
        hours: hours::read(s, &key("hours")).or_else(|| defaults.hours.clone()),
    }
}

fn read_brands(s: &mut Settings, unlisted: &Brand) -> BTreeMap<String, Brand> {
    let names = s.sections("brands");
    if names.is_empty() {
        s.add_fault("brands", "no brand is listed; add at least one section such as [brands.acme]");
    }
    let mut brands = BTreeMap::new();
    for name in names {
        if name == UNLISTED_BRAND {
            s.add_fault(
                &format!("brands.{name}"),
                "this name stands for brands that the policy does not list; choose another",
            );
        }
        let prefix = format!("brands.{name}.");
        let handles = s.texts(&format!("{prefix}handles"));
        let platforms = s.sections(&format!("{prefix}on")).into_iter();
        let handles_on = platforms
            .map(|platform| (platform.to_lowercase(), s.texts(&format!("{prefix}on.{platform}.handles"))))
            .collect();
        let (names, hashtags) = (s.texts(&format!("{prefix}names")), s.texts(&format!("{prefix}hashtags")));
        let brand = Brand { handles, handles_on, names, hashtags, ..read_brand(s, &prefix, unlisted) };
        brands.insert(name, brand);
    }
    brands
}

fn read_storms(s: &mut Settings, teams: &[&str]) -> Storms {
    let counts = "complaint >= 0.6 || reply_complaint >= 0.6";
    Storms {
        team: s.choice("storms.team", PR, teams),
        complaint_when: routes::condition(s, "storms.counts", counts),
        mutes_up_to: routes::level(s, "storms.mutes", Level::Medium),
        group_interval: s.duration("storms.group_interval", Duration::from_mins(5), 30.0..=86_400.0),
        expected_per_hour: s.number("storms.expected_per_hour", 60.0, 0.0..=1_000_000.0),
        min_posts: s.integer("storms.least_posts", 15, 3..=100_000) as u32,
        deviations: s.number("storms.deviations", 4.0, 1.0..=20.0),
    }
}

#[cfg(test)]
mod tests;
