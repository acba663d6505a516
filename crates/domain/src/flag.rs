//! Flags: properties of a text that make a post urgent or harmful whatever its sentiment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of harm or urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlagKind {
    /// Lawyers, courts or regulators.
    LegalThreat,
    /// Danger to somebody's safety or health.
    SafetyHarm,
    /// Discrimination by race, sex, religion or disability.
    Discrimination,
    /// Fraud, theft or leaked data.
    FraudOrLeak,
    /// A customer who is about to leave.
    ChurnThreat,
    /// A journalist, or the threat to call one.
    Press,
    /// Health or identity data in public.
    PersonalData,
}

impl FlagKind {
    /// All kinds, in their derived order.
    pub const ALL: [Self; 7] = [
        Self::LegalThreat,
        Self::SafetyHarm,
        Self::Discrimination,
        Self::FraudOrLeak,
        Self::ChurnThreat,
        Self::Press,
        Self::PersonalData,
    ];

    /// Returns the name on the wire.
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

    /// Returns a predicate for people to read, such as `mentions discrimination`.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::LegalThreat => "mentions lawyers, courts or regulators",
            Self::SafetyHarm => "mentions danger to somebody's health or safety",
            Self::Discrimination => "mentions discrimination",
            Self::FraudOrLeak => "mentions fraud, theft or leaked data",
            Self::ChurnThreat => "threatens to leave",
            Self::Press => "mentions journalists or the press",
            Self::PersonalData => "exposes health or identity data in public",
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
