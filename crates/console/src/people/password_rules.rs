//! Which passwords are refused: short ones, and those that a guesser tries first.
//!
//! Lists of leaked passwords hold few of fifteen characters and more. Most of those are runs of neighbouring keys, a short
//! piece repeated, or known phrases, so rules for these and a list of phrases refuse more than a long list would.

use super::AccountError;

/// Minimum length of a password in characters: what NIST SP 800-63B requires without a second factor.
pub const MIN_PASSWORD_CHARS: usize = 15;
pub(super) const MAX_PASSWORD_CHARS: usize = 512;
/// Fewest different characters.
const MIN_DIFFERENT: usize = 5;
/// Longest piece whose repetition counts as a pattern.
const MAX_PIECE: usize = 8;
/// Shortest run of neighbours that counts.
const MIN_RUN: usize = 3;
/// Phrases that people use as passwords, without spaces, in lower case.
const COMMON: &str = include_str!("common_passwords.txt");
/// Rows of keys and sequences whose neighbours follow each other when people do not think.
const SEQUENCES: [&str; 9] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "azertyuiop",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "!@#$%^&*()",
];

/// Returns the rule that a password breaks. `name` is the account's.
pub(super) fn check_password(password: &str, name: &str) -> Result<(), AccountError> {
    if !(MIN_PASSWORD_CHARS..=MAX_PASSWORD_CHARS).contains(&password.chars().count()) {
        return Err(AccountError::PasswordLength);
    }
    let lower = password.to_lowercase();
    if lower.contains(&name.to_lowercase()) && name.chars().count() > 2 {
        return Err(AccountError::PasswordContainsName);
    }
    let plain: Vec<char> = lower.chars().filter(|c| !c.is_whitespace() && !"-_.,".contains(*c)).collect();
    if is_pattern(&plain) || is_run(&plain) {
        return Err(AccountError::PasswordPattern);
    }
    let text: String = plain.iter().collect();
    let letters = text.trim_matches(|c: char| c.is_ascii_digit() || "!?#*".contains(c));
    if COMMON.lines().any(|common| common == text || common == letters) {
        return Err(AccountError::PasswordKnown);
    }
    Ok(())
}

/// Whether a password has few different characters, or is a short piece, repeated.
fn is_pattern(password: &[char]) -> bool {
    let mut different = password.to_vec();
    different.sort_unstable();
    different.dedup();
    let repeats = |piece: usize| password.iter().skip(piece).eq(password.iter().take(password.len() - piece));
    different.len() < MIN_DIFFERENT || (1..=MAX_PIECE.min(password.len() / 2)).any(repeats)
}

/// Whether a password consists of runs of neighbours, each of at least [`MIN_RUN`] characters.
fn is_run(password: &[char]) -> bool {
    let mut rest = password;
    while !rest.is_empty() {
        let longest = (MIN_RUN..=rest.len()).rev().find(|length| {
            let run: String = rest.iter().take(*length).collect();
            let back: String = rest.iter().take(*length).rev().collect();
            SEQUENCES.iter().any(|sequence| sequence.contains(&run) || sequence.contains(&back))
        });
        let Some(longest) = longest else { return false };
        rest = rest.get(longest..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guesser_tries_first_is_refused() {
        for (password, expected) in [
            ("fourteen chars", AccountError::PasswordLength),
            ("123456789012345", AccountError::PasswordPattern),
            ("aaaaaaaaaaaaaaaa", AccountError::PasswordPattern),
            ("abcabcabcabcabcabc", AccountError::PasswordPattern),
            ("Password Password", AccountError::PasswordPattern),
            ("qwertyuiopasdfghjkl", AccountError::PasswordPattern),
            ("1qaz2wsx3edc4rfv", AccountError::PasswordPattern),
            ("0987654321poiuytrewq", AccountError::PasswordPattern),
            ("correct horse battery staple", AccountError::PasswordKnown),
            ("CorrectHorseBatteryStaple1!", AccountError::PasswordKnown),
            ("thisismypassword", AccountError::PasswordKnown),
            ("kim and many others", AccountError::PasswordContainsName),
        ] {
            assert_eq!(check_password(password, "kim"), Err(expected), "{password}");
        }
        for password in [
            "many plain words in a row",
            "purple-otters-drink-tea",
            "Zq8#vT1m-Lw4&xK9p",
            "gr\u{fc}ne \u{c4}pfel am Fenster",
        ] {
            assert_eq!(check_password(password, "kim"), Ok(()), "{password}");
        }
    }
}
