//! What makes a post urgent or harmful whatever its mood.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of harm or urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlagKind {
    /// Lawyers, courts, regulators.
    LegalThreat,
    /// Danger to somebody's safety or health.
    SafetyHarm,
    /// Race, sex, religion, disability.
    Discrimination,
    /// Fraud, theft, or data in the wrong hands.
    FraudOrLeak,
    /// A customer about to leave.
    ChurnThreat,
    /// A journalist, or the threat to call one.
    Press,
    /// Health or identity data in public.
    PersonalData,
}

impl FlagKind {
    /// All kinds, in the order of their derived ordering.
    pub const ALL: [Self; 7] = [
        Self::LegalThreat,
        Self::SafetyHarm,
        Self::Discrimination,
        Self::FraudOrLeak,
        Self::ChurnThreat,
        Self::Press,
        Self::PersonalData,
    ];

    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LegalThreat => "legal_threat",
            Self::SafetyHarm => "safety_harm",
            Self::Discrimination => "discrimination",
            Self::FraudOrLeak => "fraud_or_leak",
            Self::ChurnThreat => "churn_threat",
            Self::Press => "press",
            Self::PersonalData => "personal_data",
        }
    }

    /// What a person reads.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::LegalThreat => "speaks of lawyers, courts or regulators",
            Self::SafetyHarm => "speaks of danger to somebody's health or safety",
            Self::Discrimination => "speaks of discrimination",
            Self::FraudOrLeak => "speaks of fraud, theft or leaked data",
            Self::ChurnThreat => "threatens to leave",
            Self::Press => "speaks of journalists or the press",
            Self::PersonalData => "shows health or identity data in public",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FlagKind;

    #[test]
    fn names_are_those_of_the_wire() {
        for kind in FlagKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
