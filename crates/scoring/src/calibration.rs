//! Calibration of the risk by verdicts on earlier alerts: a scale and a shift of its log-odds (Platt 1999).
//!
//! `firewatch report feedback` learns the file. It is never changed in place.

use firewatch_settings::{Fault, Settings};

/// Probabilities within this distance of 0 or 1 are left unchanged, because their log-odds diverge.
const CERTAINTY_MARGIN: f64 = 1e-6;

/// A calibration of the risk.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// The version, which reports name.
    pub version: String,
    /// The factor of the log-odds, 0.01..100.
    pub scale: f64,
    /// The offset added after scaling, -20..20.
    pub shift: f64,
}

impl Calibration {
    /// The first line of a calibration file after comments.
    pub const SECTION: &'static str = "[calibration]";

    /// Parses a calibration file. `name` is its path, for messages.
    ///
    /// # Errors
    /// All faults of the file.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let mut s = Settings::parse(name, text)?;
        for key in ["version", "scale", "shift"] {
            if !s.has(&format!("calibration.{key}")) {
                s.add_fault(&format!("calibration.{key}"), "is missing; add it");
            }
        }
        let calibration = Self {
            version: s.text("calibration.version", "-"),
            scale: s.number("calibration.scale", 1.0, 0.01..=100.0),
            shift: s.number("calibration.shift", 0.0, -20.0..=20.0),
        };
        s.finish(calibration)
    }

    /// Returns the calibrated probability. 0 and 1 stay unchanged.
    #[must_use]
    pub fn apply(&self, p: f64) -> f64 {
        if !(CERTAINTY_MARGIN..=1.0 - CERTAINTY_MARGIN).contains(&p) {
            return p;
        }
        let z = self.scale * (p / (1.0 - p)).ln() + self.shift;
        1.0 / (1.0 + (-z).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_order_and_the_ends() {
        let calibration = Calibration { version: "1".into(), scale: 0.5, shift: -1.0 };
        let risks: Vec<f64> = (0..=100).map(|p| calibration.apply(f64::from(p) / 100.0)).collect();
        assert!(risks.is_sorted() && risks[0] == 0.0 && risks[100] == 1.0, "{risks:?}");
        // The log-odds of 0.8 are ln 4; halved and shifted they are ln 2 - 1.
        assert!((risks[80] - 2.0 / (2.0 + std::f64::consts::E)).abs() < 1e-12);
    }

    #[test]
    fn a_file_is_read_and_its_faults_are_reported() {
        let read = |text: &str| Calibration::parse("c.toml", text).map_err(|faults| faults[0].to_string());
        let good = read("# learned\n[calibration]\nversion = \"2\"\nscale = 1.5\nshift = -0.25\n").unwrap();
        assert_eq!(good, Calibration { version: "2".into(), scale: 1.5, shift: -0.25 });
        let fault = read("[calibration]\nversion = \"2\"\nshift = 0\n").unwrap_err();
        assert!(fault.starts_with("calibration.scale: is missing"), "{fault}");
        let fault = read("[calibration]\nversion = \"2\"\nscale = -1\nshift = 0\n").unwrap_err();
        assert!(fault.starts_with("calibration.scale: -1 is not allowed"), "{fault}");
        let fault = read("[calibration]\nversion = \"2\"\nscale = 1\nshift = 0\nscales = 1\n").unwrap_err();
        assert!(fault.contains("unknown key"), "{fault}");
    }
}
