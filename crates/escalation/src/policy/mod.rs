//! The policy file: what analysts own. Checked before it loads; a policy that exists is sound.

mod accounts;
mod advice;
pub(crate) mod hours;
mod names;
mod routes;
mod schema;
mod silences;
mod teams;

use std::collections::BTreeMap;
use std::hash::Hasher;

use firewatch_domain::{Duration, FlagKind, Level, VIRAL_BAR};
use firewatch_settings::{Fault, Settings};
use fnv::FnvHasher;

use crate::{Condition, Facts, PR, Satisfiability};

pub use accounts::Accounts;
pub use advice::Advice;
pub use hours::WeeklyHours;
pub use routes::{GroupBy, Route};
pub use schema::policy_schema;
pub use silences::Silence;
pub use teams::{QuietHours, Team, Tier, quiet_hours};

/// Thresholds, routes and clocks; every field within its range.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The name of this version, told with each escalation.
    pub version: String,
    /// Hash of the file's text: FNV-1a of 64 bits, in hexadecimal.
    pub hash: String,
    /// A conversation silent for so long is over.
    pub retention: Duration,
    /// A score is told again when the risk has moved by so many points.
    pub score_step: f64,
    /// Brands by name.
    pub brands: BTreeMap<String, Brand>,
    /// Whose each account is.
    pub accounts: Accounts,
    /// What holds for a brand that is not listed.
    pub unlisted: Brand,
    /// Teams by name; PR and support are always there.
    pub teams: BTreeMap<String, Team>,
    /// What to do next, by the names it was given.
    pub advice: Vec<Advice>,
    /// Routes by name.
    pub routes: BTreeMap<String, Route>,
    /// Silences by name.
    pub silences: BTreeMap<String, Silence>,
    /// When the desks decide.
    pub windows: Windows,
    /// How storms are seen and told.
    pub storms: Storms,
    /// P(complaint) below which no route can match and nothing can count, unless the post is flagged.
    pub min_route_complaint: f64,
    /// P(complaint) from which a post can count as a complaint, unless it is flagged.
    pub min_storm_complaint: f64,
    /// Flags that conditions name.
    pub flags: Vec<FlagKind>,
}

/// One brand.
#[derive(Debug, Clone, PartialEq)]
pub struct Brand {
    /// Its accounts, main and care; any of them answers for it.
    pub handles: Vec<String>,
    /// Those on platforms where it has others, by platform in lower case.
    pub handles_on: BTreeMap<String, Vec<String>>,
    /// What people call it in a text.
    pub names: Vec<String>,
    /// Hashtags that are about it.
    pub hashtags: Vec<String>,
    /// Reshares at which a complaint counts as viral.
    pub viral_bar: u64,
    /// The time within which a complaint should have its first answer in public.
    pub first_response: Duration,
    /// The time within which somebody asked to go on in private should have done so.
    pub hand_off: Duration,
    /// When its clocks run; always, when not given.
    pub hours: Option<WeeklyHours>,
}

/// The desks' pace: records wait for those of the same time from other partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    /// Decisions are taken at multiples of this.
    pub step: Duration,
    /// How late a record may be and still count at its own time.
    pub lateness: Duration,
}

/// Storm detection, all counts per brand.
#[derive(Debug, Clone, PartialEq)]
pub struct Storms {
    /// The team that owns storms.
    pub team: String,
    /// What counts as a complaint.
    pub complaint_when: Condition,
    /// A storm's own posts are not told one by one up to this level.
    pub mutes_up_to: Level,
    /// A growing storm is told again after so long.
    pub group_interval: Duration,
    /// Complaints an hour that a new brand is taken to have.
    pub expected_per_hour: f64,
    /// Least complaints that make a storm, over any span.
    pub min_posts: u32,
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
            step: s.duration("windows.step", Duration::from_secs(10), 1.0..=300.0),
            lateness: s.duration("windows.lateness", Duration::from_secs(10), 0.0..=600.0),
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

    /// Every team that it can tell.
    #[must_use]
    pub fn team_names(&self) -> Vec<&str> {
        self.teams.keys().map(String::as_str).collect()
    }

    /// A brand, known or not.
    #[must_use]
    pub fn brand(&self, name: Option<&str>) -> &Brand {
        name.and_then(|b| self.brands.get(b)).unwrap_or(&self.unlisted)
    }

    /// What is advised for a conversation.
    #[must_use]
    pub fn advice_for(&self, facts: &Facts<'_>) -> Vec<String> {
        advice::matching_advice(&self.advice, facts)
    }

    /// The silences that are on a conversation, whether they have lapsed or not.
    #[must_use]
    pub fn silences_matching(&self, facts: &Facts<'_>) -> Vec<String> {
        silences::matching(&self.silences, facts)
    }

    /// What is advised for storms.
    #[must_use]
    pub fn storm_advice(&self) -> Vec<String> {
        self.advice.iter().filter(|advice| advice.when.is_none()).map(|advice| advice.text.clone()).collect()
    }

    /// The viral bar of a brand, known or not.
    #[must_use]
    pub fn viral_bar(&self, brand: Option<&str>) -> u64 {
        self.brand(brand).viral_bar
    }

    /// Whether this one may take the place of another while that is in force.
    ///
    /// # Errors
    /// What needs a restart.
    pub fn may_replace(&self, old: &Self) -> Result<(), Vec<Fault>> {
        let mut faults = Vec::new();
        let mut fault = |key: String, problem: &str| faults.push(Fault { key, problem: problem.into() });
        if self.retention != old.retention {
            fault(
                "horizon".into(),
                "changes only with a restart, as conversations are kept by when they end",
            );
        }
        for team in self.teams.keys().filter(|team| !old.teams.contains_key(*team)) {
            let remedy = "is new; make its topic with `firewatch topics create`, then restart";
            fault(format!("teams.{team}"), remedy);
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Whether this one can decide on the same conversations beside another: what they have to agree on is what
    /// conversations are made of, and when desks decide.
    ///
    /// # Errors
    /// What they do not agree on.
    pub fn check_compatible(&self, other: &Self) -> Result<(), Vec<Fault>> {
        let faults = [
            (self.retention != other.retention, "horizon"),
            (self.accounts != other.accounts || !self.brands.keys().eq(other.brands.keys()), "brands"),
            (self.windows != other.windows, "windows"),
        ];
        let problem = "is not that of the policy in force, and both work on the same conversations";
        let fault = |key: &str| Fault { key: key.into(), problem: problem.into() };
        let faults: Vec<Fault> =
            faults.iter().filter(|(differs, _)| *differs).map(|(_, key)| fault(key)).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// What is allowed and yet hardly meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<Fault> {
        let mut warnings = Vec::new();
        let mut warn = |key: String, problem: String| warnings.push(Fault { key, problem });
        for (name, route) in &self.routes {
            for (level, condition) in &route.when {
                let problem = match condition.satisfiability() {
                    Satisfiability::Never => "can never hold, so it tells nobody",
                    Satisfiability::Always => "holds for every conversation",
                    Satisfiability::Sometimes => continue,
                };
                warn(format!("routes.{name}.when.{level}"), format!("`{}` {problem}", condition.source()));
            }
            match route.until.as_ref().map(|until| (until, until.satisfiability())) {
                Some((until, Satisfiability::Never)) => {
                    warn(
                        format!("routes.{name}.until"),
                        format!("`{}` can never hold, so it never ends", until.source()),
                    );
                }
                Some((until, Satisfiability::Always)) => {
                    let problem = format!("`{}` always holds; leave it out", until.source());
                    warn(format!("routes.{name}.until"), problem);
                }
                _ => {}
            }
        }
        for name in self
            .brands
            .iter()
            .filter(|(_, brand)| brand.handles.is_empty() && brand.handles_on.is_empty())
            .map(|(name, _)| name)
        {
            let problem = "none are given, so only `brand_reply` events answer for it";
            warn(format!("brands.{name}.handles"), problem.into());
        }
        let is_notified = |team: &String| {
            let tiers = self.teams.values().flat_map(|t| &t.tiers).any(|tier| tier.team == *team);
            tiers || self.storms.team == *team || self.routes.values().any(|route| route.team == *team)
        };
        for name in self.teams.keys().filter(|name| !is_notified(name)) {
            warn(format!("teams.{name}"), "no route, tier or storm tells this team".into());
        }
        warnings
    }

    fn check_brands(&self, s: &mut Settings) {
        for (name, route) in &self.routes {
            for brand in route.conditions().flat_map(Condition::brands) {
                if !brand.is_empty() && !self.brands.contains_key(brand) {
                    let known: Vec<&str> = self.brands.keys().map(String::as_str).collect();
                    let problem = format!("brand {brand:?} is not listed; there are {}", known.join(", "));
                    s.add_fault(&format!("routes.{name}"), problem);
                }
            }
        }
    }
}

/// FNV-1a of 64 bits.
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

/// The keys of a brand, or those at the top that hold for all of them.
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
        s.add_fault("brands", "no brand is listed; give at least one section such as [brands.acme]");
    }
    let mut brands = BTreeMap::new();
    for name in names {
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
