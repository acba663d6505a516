//! Names of medicines and conditions with one wrong letter: "gabbapentin", "metformen", "Zepbond".

use std::ops::Range;

use crate::text::patterns::Pattern;
use crate::text::terms::HealthTerms;

/// Fewest letters of a name that is recognised with a wrong one.
const MIN_LETTERS: usize = 6;

/// The names by their first letter, which is seldom wrong.
pub(super) struct Misspelt {
    names: Vec<Vec<&'static str>>,
    exceptions: Pattern,
}

impl Misspelt {
    /// Takes the names, and the words that look like one.
    pub fn new(terms: &HealthTerms, exceptions: Pattern) -> Self {
        let mut names = vec![Vec::new(); 26];
        for name in terms.names(MIN_LETTERS) {
            if let Some(names) = first_letter(name).and_then(|letter| names.get_mut(letter)) {
                names.push(name);
            }
        }
        Self { names, exceptions }
    }

    /// Returns the words of a text that are a name but for one letter.
    pub fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut at = 0;
        for word in text.split(|c: char| !c.is_ascii_alphabetic()) {
            let start = at;
            at += word.len() + 1;
            // Other characters than ASCII ones are longer.
            while !text.is_char_boundary(at.min(text.len())) {
                at += 1;
            }
            if word.len() >= MIN_LETTERS && self.is_misspelt(&word.to_ascii_lowercase()) {
                found.push(start..start + word.len());
            }
        }
        found
    }

    fn is_misspelt(&self, word: &str) -> bool {
        let names = first_letter(word).and_then(|letter| self.names.get(letter));
        names.into_iter().flatten().any(|name| is_one_off(name.as_bytes(), word.as_bytes()))
            && !self.exceptions.is_match(word)
    }
}

fn first_letter(word: &str) -> Option<usize> {
    word.bytes().next().and_then(|byte| byte.to_ascii_lowercase().checked_sub(b'a')).map(usize::from)
}

/// Whether one letter more, less or another, or two letters in the other order, make one word of the other.
fn is_one_off(one: &[u8], other: &[u8]) -> bool {
    if one.len().abs_diff(other.len()) > 1 || one == other {
        return false;
    }
    let same = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let (one, other) = (one.get(same..).unwrap_or_default(), other.get(same..).unwrap_or_default());
    match (one, other) {
        ([_, one @ ..], [_, other @ ..]) if one == other => true,
        ([_, rest @ ..], all) | (all, [_, rest @ ..]) if rest == all => true,
        ([a, b, one @ ..], [c, d, other @ ..]) => a == d && b == c && one == other,
        _ => one.len() + other.len() == 1 || other.get(1..) == Some(one) || one.get(1..) == Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_letter_may_be_wrong() {
        for (one, other, is) in [
            ("lantus", "lantis", true),
            ("zepbound", "zepbond", true),
            ("gabapentin", "gabbapentin", true),
            ("gabapentin", "gabapentine", true),
            ("abilify", "abilfiy", true),
            ("abilify", "abilify", false),
            ("abilify", "ablify", true),
            ("lantus", "lintas", false),
        ] {
            assert_eq!(is_one_off(one.as_bytes(), other.as_bytes()), is, "{one} {other}");
            assert_eq!(is_one_off(other.as_bytes(), one.as_bytes()), is, "{other} {one}");
        }
    }
}
