//! How much personal data is hidden in what people read.

/// A level of redaction, which a policy chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Redaction {
    /// What is more likely personal than not.
    #[default]
    Balanced,
    /// Also each group of four digits and more, each health term and each e-mail address, whoever they are of.
    Strict,
}

impl Redaction {
    /// All levels, the one that hides least first.
    pub const ALL: [Self; 2] = [Self::Balanced, Self::Strict];

    /// Returns the name in policy files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Strict => "strict",
        }
    }
}
