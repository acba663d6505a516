//! Whom to tell, when, and how often: policy, routing, hysteresis, the life of an escalation, and storms.
//!
//! Pure: state, score and time in, decisions with reasons out.

mod baseline;
mod brand;
mod condition;
mod life;
mod parts;
mod policy;
mod route;
mod storm;

pub use brand::BrandWatch;
pub use condition::{Can, Condition, Facts, Number, Type, names};
pub use life::{Found, Life, Step};
pub use parts::{Case, Head, Part, PartKey};
pub use policy::{Brand, Policy, PrRoute, Storms, SupportRoute};
pub use route::{Ticket, support};
pub use storm::storm_brand;

/// The team that guards the brand's name.
pub const PR: &str = "pr";
/// The team that helps the person.
pub const SUPPORT: &str = "support";
