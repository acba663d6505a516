//! Decides whom to notify, when and how often: policy, routing, hysteresis, escalation lifecycle and storms.
//!
//! This crate is pure: state, signals and time go in, decisions with reasons come out.

mod baseline;
mod condition;
mod dispatcher;
mod lifecycle;
mod policy;
mod route_ref;
mod seasonal_profile;

pub use condition::{Condition, ConditionError, FactType, Facts, NumericFact, Satisfiability, fact_names};
pub use dispatcher::{
    Decision, DecisionKind, DecisionTrace, Dispatcher, DispatcherCore, Incident, IncidentV11, StatePart,
    StatePartKey, StatePartV11, WindowClock,
};
pub use lifecycle::{Ended, Lifecycle, Undo};
pub use policy::{
    Advice, Brand, GroupBy, Policy, QuietHours, Route, Silence, Storms, Team, Tier, WeeklyHours, Windows,
    policy_schema, quiet_hours,
};
pub use route_ref::RouteRef;

/// Name of the team that protects the brand's reputation.
pub const PR: &str = "pr";
/// Name of the team that helps the customer.
pub const SUPPORT: &str = "support";
/// Name of the brand of conversations whose brand the policy does not list, so that their complaints are not lost.
pub const UNLISTED_BRAND: &str = "(unlisted)";
