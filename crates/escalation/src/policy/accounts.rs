//! Accounts of the brands by platform: which brand an account answers for, and which brand a post is about.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use firewatch_domain::{AccountKind, Post};
use firewatch_settings::Settings;

use super::Brand;
use super::mentions::{folded, lower_case, mentions};
use super::names::BrandNames;

/// Brands by handle, in lower case and without the `@`.
type ByHandle = BTreeMap<String, String>;

/// Finds the brand of an account or of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Handles for platforms on which no brand has handles of its own.
    default_handles: ByHandle,
    /// Handles for each of the other platforms, by name in lower case.
    by_platform: BTreeMap<String, ByHandle>,
    /// Names and hashtags of the brands.
    names: BrandNames,
    /// The brands as the policy spells them, by their names in lower case.
    spellings: BTreeMap<String, Vec<String>>,
}

impl Accounts {
    /// Collects the accounts of all brands. An account that two brands claim is a fault.
    pub(super) fn from_brands(brands: &BTreeMap<String, Brand>, s: &mut Settings) -> Self {
        let platforms: BTreeSet<&String> =
            brands.values().flat_map(|brand| brand.handles_on.keys()).collect();
        let by_platform =
            platforms.into_iter().map(|name| (name.clone(), by_handle(brands, Some(name), s))).collect();
        let mut spellings: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in brands.keys() {
            spellings.entry(lower_case(name.trim()).into_owned()).or_default().push(name.clone());
        }
        Self {
            default_handles: by_handle(brands, None, s),
            by_platform,
            names: BrandNames::from_brands(brands, s),
            spellings,
        }
    }

    /// Returns the brand that an account belongs to.
    #[must_use]
    pub fn brand(&self, platform: Option<&str>, handle: &str) -> Option<&str> {
        let there = platform.and_then(|platform| self.by_platform.get(&*lower_case(platform)));
        there.unwrap_or(&self.default_handles).get(&*plain(handle)).map(String::as_str)
    }

    /// Returns whether a brand's account wrote a post: the platform says so, or its handle or id is listed.
    #[must_use]
    pub fn is_by_brand(&self, platform: Option<&str>, post: &Post) -> bool {
        if post.account_kind() == Some(AccountKind::Brand) {
            return true;
        }
        let is_own = |account: &String| self.brand(platform, account).is_some();
        post.author.as_ref().is_some_and(|by| by.handle.as_ref().is_some_and(is_own) || is_own(&by.id))
    }

    /// Returns the brand that a text mentions, by a handle or else by a hashtag or name; the first one if
    /// there are several.
    #[must_use]
    pub fn mentioned(&self, platform: Option<&str>, text: &str) -> Option<&str> {
        let mut all = mentions(platform, text);
        let by_handle = all.find_map(|names| names.iter().find_map(|name| self.brand(platform, name)));
        by_handle.or_else(|| self.names.find(text))
    }

    /// Returns the name of a brand as the policy spells it: the name itself, or else the only one that differs in
    /// case and in spaces around it. `None` for a brand that the policy does not list.
    #[must_use]
    pub fn spelled(&self, name: &str) -> Option<&str> {
        let spellings = self.spellings.get(&*lower_case(name.trim()))?;
        let exact = spellings.iter().find(|spelling| *spelling == name);
        exact.or_else(|| spellings.first().filter(|_| spellings.len() == 1)).map(String::as_str)
    }
}

fn by_handle(brands: &BTreeMap<String, Brand>, platform: Option<&String>, s: &mut Settings) -> ByHandle {
    let mut all = ByHandle::new();
    for (name, brand) in brands {
        let there = platform.and_then(|platform| Some((platform, brand.handles_on.get(platform)?)));
        let (key, handles) = match there {
            Some((platform, handles)) => (format!("brands.{name}.on.{platform}.handles"), handles),
            None => (format!("brands.{name}.handles"), &brand.handles),
        };
        for handle in handles {
            match all.entry(plain(handle).into_owned()) {
                Entry::Occupied(other) if other.get() != name => {
                    let problem = format!("{handle:?} also belongs to brand {}; list it once", other.get());
                    s.add_fault(&key, problem);
                }
                free => drop(free.or_insert_with(|| name.clone())),
            }
        }
    }
    all
}

/// Returns a handle without the mark in front of it.
fn plain(handle: &str) -> Cow<'_, str> {
    let handle = handle.trim();
    let handle = handle.strip_prefix("/u/").or_else(|| handle.strip_prefix("u/")).unwrap_or(handle);
    folded(handle.trim_start_matches('@').trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_'))
}

#[cfg(test)]
mod tests {
    use crate::Policy;

    const TWO: &str = "[brands.acme]\nhandles = [\"@AcmeCare\"]\n[brands.acme.on.Instagram]\n\
                       handles = [\"acme.care\", \"1784\"]\n[brands.bolt]\nhandles = [\"@bolt\"]\n";

    #[test]
    fn brands_are_found_by_their_handles() {
        let policy = Policy::parse("p", TWO).unwrap();
        let mentioned = |text| policy.accounts.mentioned(Some("x"), text);
        assert_eq!(mentioned("hey @acmecare, why?"), Some("acme"));
        assert_eq!(mentioned("hey @acmecares"), None);
        assert_eq!(policy.accounts.brand(None, "AcmeCare"), Some("acme"));
    }

    #[test]
    fn a_mention_is_found_in_the_forms_that_people_write() {
        let policy = Policy::parse("p", TWO).unwrap();
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(policy.accounts.mentioned(Some("x"), text), expected, "{text}");
        };
        for text in [
            "@bolt why?",
            ".@bolt why?",
            "why (@bolt)?",
            "@bolt's app",
            "@bolt\u{2019}s app",
            "\"@bolt\"",
            "\u{201c}@bolt\u{201d}",
            "@Bolt: why?",
            "@bolt\u{2026}",
            "\u{ff20}bolt",
            "\u{ff20}\u{ff22}\u{ff2f}\u{ff2c}\u{ff34}",
            "cc:@bolt",
            "-@bolt",
            "ever,@bolt",
            "ever.@bolt",
            "@bolt/@other",
            "and/@bolt",
            "\u{200b}@bolt",
            "@\u{2060}bolt",
            "\u{6700}\u{60aa}@bolt\u{3055}\u{3093}",
            "@bolt.Why",
            "@bolt-app",
            "_@bolt_ and *@bolt*",
            "line\n@bolt",
            "@bolt@mastodon.example",
        ] {
            check(text, Some("bolt"));
        }
        for text in [
            "@bolts",
            "@bolt_",
            "@boltcare",
            "ann@bolt",
            "ann@bolt.example",
            "ann.lee@bolt.example",
            "\u{e9}@bolt",
            "https://b.example/@bolt",
            "https://b.example/?to=@bolt",
            "b.example/@bolt/1",
            "bolt",
            "@ bolt",
            "@",
            "",
        ] {
            check(text, None);
        }
        let on = |platform, text| policy.accounts.mentioned(Some(platform), text);
        assert_eq!(on("instagram", "love @acme.care, really"), Some("acme"));
        assert_eq!(on("instagram", "love @acme.care.bank"), None, "another account");
        assert_eq!(on("bluesky", "@bolt-care.example"), None);
        assert_eq!(on("reddit", "hey u/bolt, why"), Some("bolt"));
        assert_eq!(on("reddit", "/u/Bolt why"), Some("bolt"));
        assert_eq!(on("reddit", "https://reddit.com/u/bolt menu/bolt"), None);
    }

    #[test]
    fn a_brand_is_known_whatever_its_case() {
        let policy = Policy::parse("p", "[brands.acme]\n[brands.Bolt]\n[brands.BOLT]\n").unwrap();
        let spelled = |name| policy.accounts.spelled(name);
        assert_eq!((spelled("Acme"), spelled(" acme ")), (Some("acme"), Some("acme")));
        assert_eq!((spelled("Bolt"), spelled("bolt"), spelled("other")), (Some("Bolt"), None, None));
    }

    #[test]
    fn on_a_platform_with_handles_of_its_own_the_others_are_not_the_brands() {
        let policy = Policy::parse("p", TWO).unwrap();
        let brand = |handle| policy.accounts.brand(Some("instagram"), handle);
        assert_eq!(
            (brand("acme.care"), brand("1784"), brand("@AcmeCare")),
            (Some("acme"), Some("acme"), None)
        );
        assert_eq!(
            brand("bolt"),
            Some("bolt"),
            "without handles of its own there, the others count everywhere"
        );
    }

    #[test]
    fn an_account_that_two_brands_claim_is_refused() {
        let faults = Policy::parse("p", &TWO.replace("@bolt", "@ACMEcare")).unwrap_err();
        let messages: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(
            messages[0].contains("brands.bolt.handles: \"@ACMEcare\" also belongs to brand acme"),
            "{messages:?}"
        );
    }
}
