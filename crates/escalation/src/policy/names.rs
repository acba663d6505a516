//! Finds the brand that a text names.
//!
//! All names and hashtags are matched at once (Aho and Corasick, 1975), as whole words.

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;
use firewatch_settings::Settings;

use super::Brand;
use super::mentions::folded;

/// Names and hashtags of all brands, in lower case.
#[derive(Debug, Clone, Default)]
pub struct BrandNames {
    /// Each name or hashtag with its brand, in the order of the automaton's patterns.
    brands: Vec<(String, String)>,
    automaton: Option<AhoCorasick>,
}

impl PartialEq for BrandNames {
    fn eq(&self, other: &Self) -> bool {
        self.brands == other.brands
    }
}

impl Eq for BrandNames {}

impl BrandNames {
    /// Collects the names of all brands. A name that two brands claim is a fault.
    pub(super) fn from_brands(brands: &BTreeMap<String, Brand>, s: &mut Settings) -> Self {
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for (brand, called) in brands {
            let tags =
                called.hashtags.iter().map(|tag| ("hashtags", format!("#{}", tag.trim_start_matches('#'))));
            let names = called.names.iter().map(|name| ("names", name.clone()));
            for (key, name) in names.chain(tags) {
                let plain = lowered(name.trim());
                if plain.chars().filter(|c| c.is_alphanumeric()).count() < 2 {
                    s.add_fault(
                        &format!("brands.{brand}.{key}"),
                        format!("{name:?} is too short to match; give at least two letters or digits"),
                    );
                    continue;
                }
                if let Some(other) = all.get(&plain).filter(|other| *other != brand) {
                    let problem = format!("{name:?} also belongs to brand {other}; list it once");
                    s.add_fault(&format!("brands.{brand}.{key}"), problem);
                }
                all.insert(plain, brand.clone());
            }
        }
        let brands: Vec<(String, String)> = all.into_iter().collect();
        let automaton = (!brands.is_empty())
            .then(|| AhoCorasick::new(brands.iter().map(|(name, _)| name)))
            .transpose()
            .unwrap_or_else(|e| {
                s.add_fault("brands", format!("the matcher for their names cannot be built: {e}"));
                None
            });
        Self { brands, automaton }
    }

    /// Returns the brand that a text names first. Of two names that start together, the longer one counts.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<&str> {
        let automaton = self.automaton.as_ref()?;
        let text = lowered(text);
        let whole = automaton.find_overlapping_iter(&text).filter(|m| is_whole(&text, m.start(), m.end()));
        let first = whole.min_by_key(|m| (m.start(), std::cmp::Reverse(m.end())))?;
        self.brands.get(first.pattern().as_usize()).map(|(_, brand)| brand.as_str())
    }
}

/// Returns the text in lower case, without folding accents, which would change names. Wide letters and the wide
/// number sign become common ones.
fn lowered(text: &str) -> String {
    folded(text).replace('\u{ff03}', "#")
}

/// Returns whether a match is not part of a longer word. Scripts without spaces between words have no such
/// boundaries.
fn is_whole(text: &str, start: usize, end: usize) -> bool {
    let (before, found, after) = (text.get(..start), text.get(start..end), text.get(end..));
    let (Some(before), Some(found), Some(after)) = (before, found, after) else { return false };
    let joins = |edge: Option<char>, next: Option<char>| {
        edge.is_some_and(is_word_char) && next.is_some_and(is_word_char)
    };
    !joins(found.chars().next(), before.chars().next_back())
        && !joins(found.chars().next_back(), after.chars().next())
}

/// Returns whether a character is a letter or digit of a script that separates words.
fn is_word_char(c: char) -> bool {
    let has_no_spaces = matches!(u32::from(c), 0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x3400..=0x9FFF | 0xAC00..=0xD7AF | 0x20000..=0x3134F);
    (c.is_alphanumeric() || c == '_') && !has_no_spaces
}

#[cfg(test)]
mod tests {
    use crate::Policy;

    const BRANDS: &str = "[brands.northcare]\nhandles = [\"@NorthCare\"]\nnames = [\"North Care\", \"NorthCare Health\", \"ノースケア\", \"Nordpflege\"]\n\
                          hashtags = [\"northcarefail\"]\n[brands.north]\nnames = [\"North\"]\n[brands.ete]\nnames = [\"Été\"]\n";

    fn check(text: &str, expected: Option<&str>) {
        let policy = Policy::parse("p", BRANDS).unwrap();
        assert_eq!(policy.accounts.mentioned(Some("x"), text), expected, "{text}");
    }

    #[test]
    fn names_and_hashtags_are_found_within_the_borders_of_words() {
        check("On hold with NORTH CARE again", Some("northcare"));
        check("north care's portal", Some("northcare"));
        check("(North Care)", Some("northcare"));
        check("the #NorthCareFail of the day", Some("northcare"));
        check("\u{ff03}northcarefail", Some("northcare"));
        check("#northcarefails", None);
        check("Snorth careful", None);
        check("northern lights", None);
        check("up north, my dear", Some("north"));
        check("Nordpflege: nie wieder. Die Nordpflegekasse ist anders", Some("northcare"));
        check("Die Nordpflegekasse", None);
        check("cet ÉTÉ-là", Some("ete"));
        check("昨日ノースケアに電話した", Some("northcare"));
        check("", None);
    }

    #[test]
    fn a_handle_comes_before_a_name_and_an_early_name_before_a_late_one() {
        check("North, or rather @NorthCare", Some("northcare"));
        check("Été and North", Some("ete"));
        check("NorthCare Health and Été", Some("northcare"));
    }

    #[test]
    fn names_that_cannot_be_distinguished_are_refused() {
        let faults = |text: &str| -> Vec<String> {
            Policy::parse("p", text).unwrap_err().iter().map(ToString::to_string).collect()
        };
        let twice = faults("[brands.a]\nnames = [\"Acme\"]\n[brands.b]\nnames = [\"ACME\"]\n");
        assert!(twice[0].contains("brands.b.names: \"ACME\" also belongs to brand a"), "{twice:?}");
        let short = faults("[brands.a]\nhashtags = [\"#x\"]\n");
        assert!(short[0].contains("brands.a.hashtags: \"#x\" is too short"), "{short:?}");
    }
}
