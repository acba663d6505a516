//! Names what an incident is on: a route of the policy, or one of the three that firewatch adds.

use std::fmt;

use firewatch_domain::ReasonKind;
use serde::{Deserialize, Serialize};

/// A route of the policy, which may have any name, or a built-in one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RouteRef {
    /// A route of the policy, by name.
    Policy(String),
    /// Storms, for the team `storms.team`.
    Storm,
    /// Digests.
    Digest,
    /// Notices of silences that lapse soon.
    Silence,
}

impl RouteRef {
    /// Returns the name of the policy's route; `None` for a built-in one.
    #[must_use]
    pub fn policy_name(&self) -> Option<&str> {
        match self {
            Self::Policy(name) => Some(name),
            Self::Storm | Self::Digest | Self::Silence => None,
        }
    }

    /// Returns the kind of the decisive reason of an escalation on this route.
    #[must_use]
    pub fn reason_kind(&self) -> ReasonKind {
        match self {
            Self::Policy(_) => ReasonKind::Route,
            Self::Storm => ReasonKind::Storm,
            Self::Digest => ReasonKind::Digest,
            Self::Silence => ReasonKind::Silence,
        }
    }
}

/// Writes the route as escalation records spell it.
impl fmt::Display for RouteRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Policy(name) => name,
            Self::Storm => "storm",
            Self::Digest => "digest",
            Self::Silence => "silence",
        })
    }
}
