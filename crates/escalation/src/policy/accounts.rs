//! Accounts of the brands by platform: which brand an account answers for, and which brand a post is about.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use firewatch_domain::{AccountKind, Post};
use firewatch_settings::Settings;

use super::Brand;
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
}

impl Accounts {
    /// Collects the accounts of all brands. An account that two brands claim is a fault.
    pub(super) fn from_brands(brands: &BTreeMap<String, Brand>, s: &mut Settings) -> Self {
        let platforms: BTreeSet<&String> =
            brands.values().flat_map(|brand| brand.handles_on.keys()).collect();
        let by_platform =
            platforms.into_iter().map(|name| (name.clone(), by_handle(brands, Some(name), s))).collect();
        Self {
            default_handles: by_handle(brands, None, s),
            by_platform,
            names: BrandNames::from_brands(brands, s),
        }
    }

    /// Returns the brand that an account belongs to.
    #[must_use]
    pub fn brand(&self, platform: Option<&str>, handle: &str) -> Option<&str> {
        let there = platform.and_then(|platform| self.by_platform.get(&platform.to_lowercase()));
        there.unwrap_or(&self.default_handles).get(&plain(handle)).map(String::as_str)
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
        let mut mentions = text.split_whitespace().filter(|word| word.starts_with('@'));
        mentions.find_map(|word| self.brand(platform, word)).or_else(|| self.names.find(text))
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
            match all.entry(plain(handle)) {
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

fn plain(handle: &str) -> String {
    handle.trim_start_matches('@').trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_').to_lowercase()
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
