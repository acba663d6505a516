//! Finds flags: phrases and personal data that make a post urgent or harmful regardless of its mood, with
//! their position.
//!
//! Phrases are matched against the tokens, so that spacing, capitals and elongation do not hide them.
//! Personal identifiers (e-mail, phone, card, social security number) are matched against the text itself.

use aho_corasick::automaton::OverlappingState;
use aho_corasick::{AhoCorasick, AhoCorasickKind, Anchored, Input, MatchKind, StartKind};
use firewatch_domain::FlagKind;

use super::personal::digits;
use super::{PersonalDataDetector, PersonalSpan, Token, TokenKind};
use crate::ModelError;

/// The phrases by kind.
const PHRASES: &str = include_str!("phrases.txt");
/// Minimum number of digits for a text to contain a personal number.
const MIN_DIGITS: usize = 6;
/// Maximum number of flags of a post.
const MAX_FLAGS: usize = 16;

/// A flagged span of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlagSpan {
    /// Start in the text, in bytes.
    pub start: usize,
    /// End in the text, in bytes, exclusive.
    pub end: usize,
    /// The kind of flag.
    pub kind: FlagKind,
}

/// An automaton over all phrases.
pub struct FlagMatcher {
    phrases: AhoCorasick,
    prefixes: PrefixFilter,
    /// For each phrase its kind, and whether any ending of its last word matches.
    kinds: Vec<(FlagKind, bool)>,
}

/// The words of a text separated by blanks, with their positions in the text. Reused between texts.
#[derive(Debug, Default)]
pub struct WordLine {
    line: String,
    /// For each word its start in the line, and its start and end in the text.
    places: Vec<(usize, usize, usize)>,
}

impl WordLine {
    /// Removes all words.
    pub fn clear(&mut self) {
        self.line.clear();
        self.places.clear();
    }

    /// Appends a token. Punctuation becomes `.`, which no phrase matches across; other kinds are ignored.
    pub fn push(&mut self, token: &Token<'_>) {
        let word = match token.kind {
            TokenKind::Word | TokenKind::Number | TokenKind::Money => token.word,
            TokenKind::Punctuation => ".",
            _ => return,
        };
        self.line.push(' ');
        self.places.push((self.line.len(), token.start, token.end));
        self.line.push_str(word);
    }

    /// Returns the start and end in the text of the words from `start` to `end` of the line.
    fn place(&self, start: usize, end: usize) -> (usize, usize) {
        let first = self.places.partition_point(|(at, ..)| *at < start);
        let last = self.places.partition_point(|(at, ..)| *at < end).saturating_sub(1);
        let at = |i: usize| self.places.get(i).copied().unwrap_or_default();
        (at(first).1, at(last.max(first)).2)
    }
}

impl FlagMatcher {
    /// Builds the matcher for the phrases of this build.
    ///
    /// # Errors
    /// If the phrase list has an unknown heading, which is a bug.
    pub fn shipped() -> Result<Self, ModelError> {
        let (mut phrases, mut kinds, mut kind) = (Vec::new(), Vec::new(), None);
        let mut prefixes = PrefixFilter([0; 64]);
        for line in PHRASES.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            if let Some(heading) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                kind = FlagKind::ALL.into_iter().find(|kind| kind.name() == heading);
            } else if let Some(kind) = kind {
                let open = line.ends_with('*');
                let phrase = line.trim_end_matches('*');
                prefixes.insert(phrase);
                phrases.push(phrase);
                kinds.push((kind, open));
            } else {
                return Err(ModelError::File(format!("the phrase `{line}` is not under a kind of flag")));
            }
        }
        let phrases = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .start_kind(StartKind::Anchored)
            .build(phrases)
            .map_err(|e| ModelError::File(e.to_string()))?;
        Ok(Self { phrases, prefixes, kinds })
    }

    /// Writes the flags of a text to `found`, in order of position; at most 16. `words` must hold its tokens. Returns the
    /// identifiers of persons in it if it was searched for them.
    pub fn find(&self, text: &str, words: &WordLine, found: &mut Vec<FlagSpan>) -> Option<Vec<PersonalSpan>> {
        found.clear();
        for (at, ..) in &words.places {
            let rest = words.line.as_bytes().get(*at..).unwrap_or_default();
            if self.prefixes.has(rest) {
                self.find_at(*at, words, found);
            }
        }
        let detector = PersonalDataDetector::shipped().ok().filter(|_| could_identify(text));
        let identifiers = detector.map(|detector| detector.identifiers(text));
        found.extend(identifiers.iter().flatten().map(|identifier| FlagSpan {
            start: identifier.start,
            end: identifier.end,
            kind: FlagKind::PersonalData,
        }));
        merge_overlapping(found);
        found.truncate(MAX_FLAGS);
        identifiers
    }

    /// Adds the phrases that begin with the word at position `at` of the line.
    fn find_at(&self, at: usize, words: &WordLine, found: &mut Vec<FlagSpan>) {
        let rest = Input::new(&words.line).span(at..words.line.len()).anchored(Anchored::Yes);
        let mut state = OverlappingState::start();
        loop {
            self.phrases.find_overlapping(rest.clone(), &mut state);
            let Some(hit) = state.get_match() else { return };
            let Some((kind, open)) = self.kinds.get(hit.pattern().as_usize()).copied() else { return };
            let ends = open || matches!(words.line.as_bytes().get(hit.end()), None | Some(b' '));
            if ends && found.len() < 4 * MAX_FLAGS {
                let (start, end) = words.place(hit.start(), hit.end());
                found.push(FlagSpan { start, end, kind });
            }
        }
    }
}

/// A Bloom filter of the first three letters of all phrases. Few words pass it, and only those need the
/// automaton.
#[derive(Debug)]
struct PrefixFilter([u64; 64]);

impl PrefixFilter {
    fn insert(&mut self, phrase: &str) {
        let (word, bit) = Self::place(phrase.as_bytes());
        self.0[word] |= bit;
    }

    fn has(&self, rest: &[u8]) -> bool {
        let (word, bit) = Self::place(rest);
        self.0[word] & bit != 0
    }

    /// Returns the word and bit of a text's first three bytes. A shorter text counts as followed by blanks.
    fn place(text: &[u8]) -> (usize, u64) {
        let letter = |i: usize| u32::from(text.get(i).copied().unwrap_or(b' '));
        let hash = (letter(0) | letter(1) << 8 | letter(2) << 16).wrapping_mul(0x9e37_79b1) >> 20;
        (hash as usize / 64, 1 << (hash % 64))
    }
}

/// Merges overlapping spans of the same kind and sorts by position.
fn merge_overlapping(found: &mut Vec<FlagSpan>) {
    found.sort_unstable_by_key(|f| (f.kind, f.start, f.end));
    found.dedup_by(|next, last| {
        let same = next.kind == last.kind && next.start < last.end;
        if same {
            last.end = last.end.max(next.end);
        }
        same
    });
    found.sort_unstable();
}

fn could_identify(text: &str) -> bool {
    // Counts all digits first: that is fast, and most texts have few.
    (text.bytes().filter(u8::is_ascii_digit).count() >= MIN_DIGITS && digits(text) >= MIN_DIGITS)
        || text.match_indices('@').any(|(at, _)| text[..at].ends_with(|c: char| c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Tokenizer;

    fn flags(text: &str) -> Vec<(FlagKind, String)> {
        let (flags, mut words, mut found) =
            (FlagMatcher::shipped().unwrap(), WordLine::default(), Vec::new());
        Tokenizer::default().visit(text, &mut |t| words.push(&t));
        flags.find(text, &words, &mut found);
        found.into_iter().map(|f| (f.kind, text[f.start..f.end].to_owned())).collect()
    }

    fn check(text: &str, expected: &[(FlagKind, &str)]) {
        let found = flags(text);
        let found: Vec<(FlagKind, &str)> = found.iter().map(|(k, t)| (*k, &**t)).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn phrases_are_found_however_they_are_spaced_and_written() {
        check("Talk to MY  LAWYERS then", &[(FlagKind::LegalThreat, "MY  LAWYERS")]);
        check(
            "#racist staff, never flying with you",
            &[(FlagKind::Discrimination, "#racist"), (FlagKind::ChurnThreat, "never flying")],
        );
        check(
            "my meds are late and I almost died",
            &[(FlagKind::PersonalData, "my meds"), (FlagKind::SafetyHarm, "almost died")],
        );
    }

    #[test]
    fn parts_of_words_and_sentences_are_none() {
        check("the scampi pursuing a tissue you like", &[]);
        check("sue! you there", &[]);
        check("", &[]);
    }

    #[test]
    fn identities_are_found_and_toll_free_lines_are_none() {
        check("mail me: jo.doe@mail.example.org pls", &[(FlagKind::PersonalData, "jo.doe@mail.example.org")]);
        check("ssn 123-45-6789", &[(FlagKind::PersonalData, "123-45-6789")]);
        check("call 415-555-0132", &[(FlagKind::PersonalData, "415-555-0132")]);
        check("call 1-800-555-0132 or 0800", &[]);
        check("card 4111 1111 1111 1111", &[(FlagKind::PersonalData, "4111 1111 1111 1111")]);
        check("since 2019, 4 112 seats, 100%", &[]);
        check("claim number: AB1234567", &[(FlagKind::PersonalData, "AB1234567")]);
        check("@someone hi, 45 minutes", &[]);
    }

    #[test]
    fn flags_of_a_long_text_are_bounded() {
        assert_eq!(flags(&"scam, ".repeat(10_000)).len(), MAX_FLAGS);
    }
}
