//! Whom to tell, when, and how often: policy, routing, hysteresis, the life of an escalation, and storms.
//!
//! Pure: state, score and time in, decisions with reasons out.

mod baseline;
mod condition;
mod dispatcher;
mod lifecycle;
mod policy;
mod seasonal_profile;
mod storm;

pub use condition::{Condition, FactType, Facts, NumericFact, Satisfiability, fact_names};
pub use dispatcher::{
    Decision, DecisionKind, DecisionTrace, Dispatcher, DispatcherCore, Incident, StatePart, StatePartKey,
};
pub use lifecycle::Lifecycle;
pub use policy::{
    Advice, Brand, GroupBy, Policy, QuietHours, Route, Silence, Storms, Team, Tier, WeeklyHours, Windows,
    policy_schema, quiet_hours,
};
pub use storm::storm_brand;

/// The team that guards the brand's name.
pub const PR: &str = "pr";
/// The team that helps the person.
pub const SUPPORT: &str = "support";
