//! Whom to tell, when, and how often: policy, routing, hysteresis, the life of an escalation, and storms.
//!
//! Pure: state, score and time in, decisions with reasons out.

mod baseline;
mod condition;
mod desk;
mod life;
mod policy;
mod season;
mod storm;

pub use condition::{Can, Condition, Facts, Number, Type, names};
pub use desk::{Case, Desk, Head, Note, NoteKind, Notes, Part, PartKey};
pub use life::Life;
pub use policy::{
    Advice, Brand, GroupBy, Hours, Policy, Quiet, Route, Silence, Storms, Team, Tier, Windows, policy_schema,
    quiet_hours,
};
pub use storm::storm_brand;

/// The team that guards the brand's name.
pub const PR: &str = "pr";
/// The team that helps the person.
pub const SUPPORT: &str = "support";
