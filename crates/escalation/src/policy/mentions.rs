//! Finds the accounts that a text mentions, in the forms in which people write them.
//!
//! Punctuation and quotation marks may touch a mention, the at-sign may be a wide one, and a possessive may
//! follow. Addresses of mail and of web pages are no mentions.

use std::borrow::Cow;

/// At-signs: the common, the full-width and the small one.
const AT_SIGNS: [char; 3] = ['@', '\u{ff20}', '\u{fe6b}'];

/// Returns what each mention of a text may be called, the longest form first, in lower case and without the
/// at-sign. A platform says which characters a name can have.
pub(super) fn mentions<'a>(
    platform: Option<&'a str>,
    text: &'a str,
) -> impl Iterator<Item = Vec<String>> + 'a {
    let at_signs = text.match_indices(AT_SIGNS).map(|(at, sign)| (at, text.get(at + sign.len()..)));
    let of_at_signs = at_signs.filter_map(move |(at, rest)| {
        let before = text.get(..at).filter(|before| may_precede(before))?;
        let mut names = candidates(platform, rest?);
        if before.ends_with('_') {
            let inner = names.iter().map(|name| name.trim_end_matches('_').to_owned()).collect::<Vec<_>>();
            names.extend(inner);
        }
        Some(names)
    });
    let of_reddit = (platform == Some("reddit")).then(|| reddit_names(text));
    of_at_signs.chain(of_reddit.into_iter().flatten()).filter(|names| !names.is_empty())
}

/// Returns whether a mention may follow this text: what comes directly before is neither a mail address nor an
/// address of a page.
fn may_precede(before: &str) -> bool {
    let token = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let Some(last) = token.chars().next_back() else { return true };
    let is_emphasis = token.chars().all(|c| c == '_' || c == '*');
    let is_page = token.contains("://") || token.starts_with("www.") || (last == '/' && token.contains('.'));
    let is_mail = last.is_ascii_alphanumeric() || last == '_' || (last.is_alphabetic() && last < '\u{250}');
    is_emphasis || !(is_page || is_mail)
}

/// Returns the names that may follow an at-sign.
fn candidates(platform: Option<&str>, rest: &str) -> Vec<String> {
    let rest = rest.trim_start_matches(is_invisible);
    let end = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    let mut all = Vec::new();
    // The full name of an account on another server.
    if let Some(server) = after.strip_prefix(AT_SIGNS) {
        let end = server.find(|c: char| !(c.is_alphanumeric() || ".-".contains(c))).unwrap_or(server.len());
        let server = server.get(..end).unwrap_or_default().trim_end_matches(['.', '-']);
        if server.contains('.') {
            all.push(folded(&format!("{name}@{server}")).into_owned());
        }
    }
    let whole = name.trim_end_matches(['.', '-']);
    all.push(folded(whole).into_owned());
    // A sentence may go on without a space, and on some platforms a point or hyphen cannot be in a name.
    let has_points = !matches!(platform, Some("x" | "twitter" | "reddit"));
    let cut = whole.char_indices().find(|(at, c)| match c {
        '.' => !has_points || whole.get(at + 1..).is_some_and(|next| next.starts_with(char::is_uppercase)),
        '-' => !matches!(platform, Some("bluesky" | "youtube" | "reddit")),
        _ => false,
    });
    if let Some((cut, _)) = cut {
        all.push(folded(whole.get(..cut).unwrap_or_default()).into_owned());
    }
    // Where words have no spaces between them, the text goes on in another script.
    let ascii = whole.find(|c: char| !c.is_ascii() && !is_wide(c)).unwrap_or(whole.len());
    all.push(folded(whole.get(..ascii).unwrap_or_default()).into_owned());
    all.retain(|name| !name.is_empty());
    all.dedup();
    all
}

/// Returns the names that Reddit's `u/NAME` stands for.
fn reddit_names(text: &str) -> impl Iterator<Item = Vec<String>> {
    text.match_indices("u/").filter_map(|(at, mark)| {
        let before = text.get(..at)?.trim_end_matches('/');
        let is_free = before.chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '.' && c != '_');
        Some(candidates(Some("reddit"), text.get(at + mark.len()..)?)).filter(|_| is_free)
    })
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-') || is_wide(c)
}

/// Returns whether a character is a wide form of an ASCII letter, digit or low line.
fn is_wide(c: char) -> bool {
    matches!(c, '\u{ff10}'..='\u{ff19}' | '\u{ff21}'..='\u{ff3a}' | '\u{ff41}'..='\u{ff5a}' | '\u{ff3f}')
}

/// Returns whether a character has no width: some programs put one behind the at-sign.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Returns a name in lower case, with wide forms as common ones.
pub(super) fn folded(name: &str) -> Cow<'_, str> {
    if let Some(same) = plain_lower_case(name) {
        return same.into();
    }
    let narrow = |c: char| {
        let common = u32::from(c).checked_sub(0xfee0).and_then(char::from_u32);
        common.filter(|_| is_wide(c)).unwrap_or(c)
    };
    name.chars().map(narrow).flat_map(char::to_lowercase).collect()
}

/// Returns a text in lower case.
pub(super) fn lower_case(text: &str) -> Cow<'_, str> {
    plain_lower_case(text).map_or_else(|| text.to_lowercase().into(), Cow::from)
}

/// Returns a text that is ASCII in lower case already: nearly every handle and platform.
fn plain_lower_case(text: &str) -> Option<&str> {
    text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::Policy;

    fn is_found(platform: &str, text: &str) -> bool {
        let policy = Policy::parse("p", "[brands.bolt]\nhandles = [\"@bolt_7\"]\n").unwrap();
        policy.accounts.mentioned(Some(platform), text).is_some()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn punctuation_of_any_script_may_touch_a_mention(
            before in r"[\p{P}\p{S}\p{Z}\n--@＠﹫_/\p{Sk}]{0,3}",
            after in r"([\p{Po}\p{Pe}\p{Pf}\p{Sm}\p{So}\p{Z}\n--@＠﹫_.·/][\p{L}\p{N} ]{0,5})?",
            platform in "x|mastodon|bluesky|instagram|reddit|threads",
            sign in "[@＠﹫]",
        ) {
            let text = format!("{before}{sign}Bolt_7{after}");
            prop_assert!(is_found(&platform, &text), "{text}");
        }

        #[test]
        fn no_mention_is_found_in_a_word_or_an_address(
            before in r"[a-z0-9][a-z0-9._+-]{0,5}[a-z0-9]",
            after in r"[a-z0-9_]{1,3}",
            platform in "x|mastodon|bluesky|instagram|reddit|threads",
        ) {
            let texts = [
                format!("{before}@bolt_7.example"),
                format!("https://{before}.example/@bolt_7"),
                format!("@bolt_7{after}"),
                format!("@{before}bolt_7"),
            ];
            for text in texts {
                prop_assert!(!is_found(&platform, &text), "{text}");
            }
        }
    }
}
