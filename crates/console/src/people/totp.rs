//! Codes of authenticator apps: TOTP (RFC 6238) with SHA-1, six digits and steps of 30 seconds, which all apps know.

use data_encoding::BASE32_NOPAD;
use firewatch_domain::EventTime;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::error::StoreError;
use crate::percent_encoding::percent_encoded;

/// Length of a time step.
const STEP_MILLIS: i64 = 30_000;
/// Bytes of a secret: as many as the hash has (RFC 4226, R6).
const SECRET_BYTES: usize = 20;
/// Digits of a code.
const DIGITS: usize = 6;
/// Steps before and after the present one whose codes are accepted, for clocks that differ.
const MAX_DRIFT_STEPS: i64 = 1;

/// The secret that the console shares with an authenticator app.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret(Vec<u8>);

impl TotpSecret {
    /// Returns a random secret.
    pub(super) fn random() -> Result<Self, StoreError> {
        let mut bytes = vec![0; SECRET_BYTES];
        getrandom::fill(&mut bytes).map_err(|e| StoreError::Row(format!("no random bytes: {e}")))?;
        Ok(Self(bytes))
    }

    /// Parses a secret in base32, with or without spaces; `None` if it is not base32.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let letters: String = text.split_whitespace().collect();
        BASE32_NOPAD.decode(letters.to_uppercase().as_bytes()).ok().map(Self)
    }

    /// Returns the secret in base32.
    #[must_use]
    pub fn base32(&self) -> String {
        BASE32_NOPAD.encode(&self.0)
    }

    /// Returns the secret in groups of four characters, for people who type it.
    #[must_use]
    pub fn grouped(&self) -> String {
        in_groups(&self.base32(), ' ')
    }

    /// Returns the URL that authenticator apps read from a QR code.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        let name = percent_encoded(name, b"");
        format!("otpauth://totp/firewatch:{name}?secret={}&issuer=firewatch", self.base32())
    }

    /// Returns the code of a time step, see [`time_step`].
    #[must_use]
    pub fn code(&self, step: i64) -> String {
        format!("{:0DIGITS$}", self.number(step))
    }

    /// Returns the time step near `now` whose code this is, or `None`. The comparison takes the same time for every
    /// code of six digits.
    pub(super) fn step_of(&self, code: &str, now: EventTime) -> Option<i64> {
        let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let is_code = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
        let number: u32 = digits.parse().ok().filter(|_| is_code)?;
        let present = time_step(now);
        let steps = present - MAX_DRIFT_STEPS..=present + MAX_DRIFT_STEPS;
        steps.fold(None, |found, step| if self.number(step) == number { Some(step) } else { found })
    }

    fn number(&self, step: i64) -> u32 {
        // An HMAC accepts keys of any length, so this never fails.
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.0).unwrap_or_else(|_| Hmac::new(&<_>::default()));
        mac.update(&step.to_be_bytes());
        let hash = mac.finalize().into_bytes();
        let offset = usize::from(hash[19] & 15);
        let cut = [hash[offset] & 0x7f, hash[offset + 1], hash[offset + 2], hash[offset + 3]];
        u32::from_be_bytes(cut) % 10_u32.pow(DIGITS as u32)
    }
}

/// Returns the time step of a time.
#[must_use]
pub fn time_step(now: EventTime) -> i64 {
    now.as_millis().div_euclid(STEP_MILLIS)
}

/// Joins groups of four characters.
pub(super) fn in_groups(text: &str, separator: char) -> String {
    let mut grouped = String::new();
    for (i, c) in text.chars().enumerate() {
        if i > 0 && i % 4 == 0 {
            grouped.push(separator);
        }
        grouped.push(c);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> EventTime {
        EventTime::from_millis(secs * 1000)
    }

    #[test]
    fn codes_are_those_of_the_rfcs() {
        let secret = TotpSecret(b"12345678901234567890".to_vec());
        // RFC 6238, appendix B, SHA-1: the last six of its eight digits.
        for (secs, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret.code(time_step(at(secs))), code, "{secs}");
        }
        // RFC 4226, appendix D.
        let codes: Vec<String> = (0..10).map(|step| secret.code(step)).collect();
        let expected = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
            "520489",
        ];
        assert_eq!(codes, expected);
    }

    #[test]
    fn a_code_counts_one_step_early_or_late_and_no_more() {
        let secret = TotpSecret(b"12345678901234567890".to_vec());
        let present = time_step(at(1_111_111_109));
        let found = |step| secret.step_of(&secret.code(step), at(1_111_111_109));
        let steps: Vec<_> = (-2..=2).map(|off| found(present + off)).collect();
        assert_eq!(steps, [None, Some(present - 1), Some(present), Some(present + 1), None]);
        let spaced = secret.code(present);
        assert_eq!(
            secret.step_of(&format!(" {} {}", &spaced[..3], &spaced[3..]), at(1_111_111_109)),
            Some(present)
        );
        for wrong in ["", "81804", "+81804", "0081804", "\u{660}81804", "08180x"] {
            assert_eq!(secret.step_of(wrong, at(1_111_111_109)), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_secret_is_read_as_it_is_shown() {
        let secret = TotpSecret::random().unwrap();
        assert_eq!(secret.base32().len(), 32);
        assert!(TotpSecret::parse(&secret.grouped().to_lowercase()) == Some(secret.clone()));
        assert!(TotpSecret::parse("not base 32!").is_none());
        assert!(secret.url("J. \u{d6}").starts_with("otpauth://totp/firewatch:J.%20%C3%96?secret="));
    }
}
