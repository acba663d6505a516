//! What verdicts on earlier alerts make of the risk: a scale and a shift of its log-odds (Platt 1999), in a file of its own
//! that is learned by `firewatch report feedback` and never changed in place.

use firewatch_settings::{Fault, Settings};

/// Of what a risk of 0 or 100 counts as in log-odds.
const CERTAINTY_MARGIN: f64 = 1e-6;

/// A calibration of the risk.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Its name, told by those who use it.
    pub version: String,
    /// What the log-odds are multiplied with.
    pub scale: f64,
    /// What is added to them then.
    pub shift: f64,
}

impl Calibration {
    /// What begins the file of one, after comments.
    pub const SECTION: &'static str = "[calibration]";

    /// Reads a file.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let mut s = Settings::parse(name, text)?;
        for key in ["version", "scale", "shift"] {
            if !s.has(&format!("calibration.{key}")) {
                s.add_fault(&format!("calibration.{key}"), "is missing; it must be there");
            }
        }
        let calibration = Self {
            version: s.text("calibration.version", "-"),
            scale: s.number("calibration.scale", 1.0, 0.01..=100.0),
            shift: s.number("calibration.shift", 0.0, -20.0..=20.0),
        };
        s.finish(calibration)
    }

    /// What a probability becomes. One stays 0 or 1.
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
        // log-odds of 0.8 are ln 4; halved and shifted, ln 2 - 1.
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
