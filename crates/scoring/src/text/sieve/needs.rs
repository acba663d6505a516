//! What a text must have to match a regular expression: words, digits, and digits in a row.
//!
//! Words are taken where one is known to begin, so that a text is looked at only at the beginnings of its words.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::literal::{ExtractKind, Extractor, Literal};
use regex_syntax::hir::{
    Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look,
};

/// Shortest beginning of a word that is looked for, in bytes.
const MIN_WORD_BYTES: usize = 3;
/// Longest one. So many bytes are compared at once, and more would be hardly rarer.
const MAX_WORD_BYTES: usize = 8;
/// Most words of which one is needed. More are in nearly every text.
const MAX_WORDS: usize = 700;
/// Words that most texts have.
const COMMON_WORDS: [&str; 30] = [
    "and", "are", "but", "can", "for", "from", "get", "had", "has", "have", "her", "his", "how", "just",
    "my", "not", "now", "our", "that", "the", "they", "this", "was", "what", "when", "who", "will", "with",
    "you", "your",
];
/// Most groups of words that are looked for.
const MAX_GROUPS: usize = 4;

/// What a text must have to match a pattern.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Groups of beginnings of words, in lower case. A match has one of each group.
    pub words: Vec<Vec<String>>,
    /// The ends of words, in lower case, of which a match ends with one. Only taken if there is neither word nor digit.
    pub endings: Vec<String>,
    /// Digits in all.
    pub digits: usize,
    /// Digits in a row.
    pub digits_in_a_row: usize,
}

impl Needs {
    /// Takes from an expression that ignores case what its matches have.
    ///
    /// # Errors
    /// If it is not a valid regular expression.
    pub fn of(expression: &str) -> Result<Self, Box<regex_syntax::Error>> {
        let hir = ParserBuilder::new().utf8(false).build().parse(expression)?;
        let hir = in_lower_case(hir);
        let mut words = groups(&hir, false);
        words.sort_by_key(|group| (group.len(), std::cmp::Reverse(shortest(group))));
        let mut words = without_supersets(words);
        if !words.iter().all(|group| is_common(group)) {
            words.retain(|group| !is_common(group));
        }
        words.truncate(MAX_GROUPS);
        let digits = digits(&hir);
        let endings = if words.is_empty() && digits == 0 { endings(&hir) } else { vec![] };
        Ok(Self { words, endings, digits, digits_in_a_row: digits_in_a_row(&hir) })
    }
}

/// Whether a group has a word that most texts have, so that it says little.
fn is_common(group: &[String]) -> bool {
    group.iter().any(|word| COMMON_WORDS.contains(&word.trim_end()))
}

/// Returns groups of words of which a match has one each. `at_start` says whether a word can only begin where the match
/// does.
fn groups(hir: &Hir, at_start: bool) -> Vec<Vec<String>> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => vec![],
        HirKind::Capture(capture) => groups(&capture.sub, at_start),
        HirKind::Repetition(repetition) if repetition.min == 0 => vec![],
        HirKind::Repetition(repetition) => groups(&repetition.sub, at_start),
        HirKind::Literal(_) | HirKind::Class(_) => beginnings(hir, at_start).into_iter().collect(),
        HirKind::Alternation(branches) => match beginnings(hir, at_start) {
            Some(words) => vec![words],
            None => of_branches(branches, at_start).into_iter().collect(),
        },
        HirKind::Concat(parts) => of_parts(parts, at_start),
    }
}

/// Returns the groups, the smallest first, without those that say no more than one before them.
fn without_supersets(groups: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let mut kept: Vec<Vec<String>> = Vec::new();
    for group in groups {
        if !kept.iter().any(|smaller| smaller.iter().all(|word| group.contains(word))) {
            kept.push(group);
        }
    }
    kept
}

/// Returns the words of which each branch needs one.
fn of_branches(branches: &[Hir], at_start: bool) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for branch in branches {
        words.extend(groups(branch, at_start).into_iter().max_by_key(|group| shortest(group))?);
    }
    (words.len() <= MAX_WORDS).then_some(words)
}

fn of_parts(parts: &[Hir], mut at_start: bool) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let mut is_covered = false;
    for (at, part) in parts.iter().enumerate() {
        // Between the parts of one word no other begins.
        let rest = Hir::concat(parts.get(at..).unwrap_or_default().to_vec());
        let own = if is_covered { None } else { beginnings(&rest, at_start) };
        match own {
            Some(words) => {
                all.push(words);
                is_covered = matches!(part.kind(), HirKind::Literal(_) | HirKind::Class(_));
            }
            None => {
                is_covered = false;
                all.extend(groups(part, at_start));
            }
        }
        at_start = starts_after(part, at_start);
    }
    all
}

/// Returns the words with which a match begins, or those within its beginning.
fn beginnings(hir: &Hir, at_start: bool) -> Option<Vec<String>> {
    let mut extractor = Extractor::new();
    extractor.limit_class(6).limit_repeat(4).limit_literal_len(24).limit_total(MAX_WORDS);
    let sequence = extractor.extract(hir);
    let mut words = Vec::new();
    for literal in sequence.literals()? {
        let literal = String::from_utf8_lossy(literal.as_bytes());
        let literal = literal.trim_end_matches(char::REPLACEMENT_CHARACTER);
        words.push(first_word(literal, at_start)?.to_owned());
    }
    words.sort_unstable();
    // A word that begins with another one says nothing more.
    words.dedup_by(|longer, shorter| longer.starts_with(shorter.as_str()));
    (!words.is_empty()).then_some(words)
}

/// Returns the ends of the words with which matches end; none if they are not known.
fn endings(hir: &Hir) -> Vec<String> {
    let ends_word = matches!(hir.kind(), HirKind::Concat(parts)
        if matches!(parts.last().map(Hir::kind), Some(HirKind::Look(Look::WordAscii))));
    let mut extractor = Extractor::new();
    extractor.kind(ExtractKind::Suffix).limit_class(6).limit_total(MAX_WORDS);
    let sequence = extractor.extract(hir);
    let ending = |literal: &Literal| {
        let all = str::from_utf8(literal.as_bytes()).ok()?;
        let ending = all.rsplit(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
        (ending.len() >= MIN_WORD_BYTES).then(|| ending.to_owned())
    };
    let endings = sequence.literals().filter(|_| ends_word);
    endings.and_then(|literals| literals.iter().map(ending).collect()).unwrap_or_default()
}

/// Returns a literal from where a word begins in it; `None` if what is left is short.
fn first_word(literal: &str, at_start: bool) -> Option<&str> {
    let mut before_is_word = !at_start;
    let start = literal.char_indices().find_map(|(at, c)| {
        let is_word = is_word_char(c);
        let begins = !c.is_ascii() || (is_word && !before_is_word);
        before_is_word = is_word;
        begins.then_some(at)
    })?;
    let word = literal.get(start..)?;
    let word = word.get(..word.floor_char_boundary(MAX_WORD_BYTES))?;
    (word.len() >= MIN_WORD_BYTES).then_some(word)
}

fn shortest(words: &[String]) -> usize {
    words.iter().map(String::len).min().unwrap_or(0)
}

/// Whether after a part a word can only begin, not go on.
fn starts_after(part: &Hir, before: bool) -> bool {
    match part.kind() {
        HirKind::Look(
            Look::WordAscii | Look::WordStartAscii | Look::Start | Look::StartLF | Look::StartCRLF,
        ) => true,
        HirKind::Empty | HirKind::Look(_) => before,
        _ if part.properties().minimum_len() == Some(0) => before && ends_outside(part),
        _ => ends_outside(part),
    }
}

/// Whether a match ends with a character outside words if it is not empty.
fn ends_outside(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => literal.0.last().is_some_and(|byte| !is_word_byte(*byte)),
        HirKind::Class(Class::Unicode(class)) => {
            class.iter().all(|range| (range.start()..=range.end()).take(128).all(|c| !is_word_char(c)))
        }
        HirKind::Class(Class::Bytes(class)) => {
            class.iter().all(|range| (range.start()..=range.end()).all(|byte| !is_word_byte(byte)))
        }
        HirKind::Repetition(repetition) => ends_outside(&repetition.sub),
        HirKind::Capture(capture) => ends_outside(&capture.sub),
        HirKind::Alternation(branches) => branches.iter().all(ends_outside),
        HirKind::Concat(parts) => {
            let last = parts.iter().rposition(|part| part.properties().minimum_len() != Some(0));
            parts.get(last.unwrap_or(0)..).unwrap_or_default().iter().all(ends_outside)
        }
    }
}

/// Whether a character is of a word for `\b`.
const fn is_word_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether a byte is of a word for `\b`.
pub(super) const fn is_word_byte(byte: u8) -> bool {
    is_word_char(byte as char)
}

/// Returns the expression with its letters in lower case, and without the curly apostrophe, which folded texts lack.
fn in_lower_case(hir: Hir) -> Hir {
    match hir.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Literal(literal) => Hir::literal(literal.0.to_ascii_lowercase()),
        HirKind::Class(Class::Unicode(class)) => Hir::class(Class::Unicode(lower_chars(&class))),
        HirKind::Class(Class::Bytes(class)) => Hir::class(Class::Bytes(lower_bytes(&class))),
        HirKind::Repetition(mut repetition) => {
            repetition.sub = Box::new(in_lower_case(*repetition.sub));
            Hir::repetition(repetition)
        }
        // Groups matter not.
        HirKind::Capture(capture) => in_lower_case(*capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(in_lower_case).collect()),
        HirKind::Alternation(branches) => Hir::alternation(branches.into_iter().map(in_lower_case).collect()),
    }
}

fn lower_chars(class: &ClassUnicode) -> ClassUnicode {
    const CURLY: char = '\u{2019}';
    let of = |from: char, to: char| ClassUnicode::new([ClassUnicodeRange::new(from, to)]);
    let mut upper = class.clone();
    upper.intersect(&of('A', 'Z'));
    let mut lower = class.clone();
    lower.difference(&of('A', 'Z'));
    if class.ranges().len() > 1 && class.iter().any(|range| range.start() == CURLY && range.end() == CURLY) {
        lower.difference(&of(CURLY, CURLY));
    }
    for range in upper.iter() {
        let (from, to) = (range.start().to_ascii_lowercase(), range.end().to_ascii_lowercase());
        lower.push(ClassUnicodeRange::new(from, to));
    }
    lower
}

fn lower_bytes(class: &ClassBytes) -> ClassBytes {
    let mut upper = class.clone();
    let letters = ClassBytes::new([ClassBytesRange::new(b'A', b'Z')]);
    upper.intersect(&letters);
    let mut lower = class.clone();
    lower.difference(&letters);
    for range in upper.iter() {
        let (from, to) = (range.start().to_ascii_lowercase(), range.end().to_ascii_lowercase());
        lower.push(ClassBytesRange::new(from, to));
    }
    lower
}

/// Returns the fewest digits of a match.
fn digits(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.iter().filter(|byte| byte.is_ascii_digit()).count(),
        HirKind::Class(class) => usize::from(has_only_digits(class)),
        HirKind::Repetition(repetition) => repetition.min as usize * digits(&repetition.sub),
        HirKind::Capture(capture) => digits(&capture.sub),
        HirKind::Alternation(branches) => branches.iter().map(digits).min().unwrap_or(0),
        HirKind::Concat(parts) => parts.iter().map(digits).sum(),
    }
}

/// Returns the length of the longest row of digits that each match has.
fn digits_in_a_row(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Concat(parts) => {
            let (mut longest, mut row) = (0, 0);
            for part in parts {
                if let HirKind::Look(_) = part.kind() {
                    continue;
                }
                let own = digits_in_a_row(part);
                row = if is_digits(part) { row + own } else { 0 };
                longest = longest.max(own).max(row);
            }
            longest
        }
        HirKind::Alternation(branches) => branches.iter().map(digits_in_a_row).min().unwrap_or(0),
        HirKind::Capture(capture) => digits_in_a_row(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min == 0 => 0,
        HirKind::Repetition(repetition) if is_digits(&repetition.sub) => {
            repetition.min as usize * digits_in_a_row(&repetition.sub)
        }
        HirKind::Repetition(repetition) => digits_in_a_row(&repetition.sub),
        HirKind::Literal(literal) => {
            let rows = literal.0.split(|byte| !byte.is_ascii_digit());
            rows.map(<[u8]>::len).max().unwrap_or(0)
        }
        _ => digits(hir),
    }
}

/// Whether all matches are digits only.
fn is_digits(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => false,
        HirKind::Literal(literal) => literal.0.iter().all(u8::is_ascii_digit),
        HirKind::Class(class) => has_only_digits(class),
        HirKind::Repetition(repetition) => is_digits(&repetition.sub),
        HirKind::Capture(capture) => is_digits(&capture.sub),
        HirKind::Alternation(branches) => branches.iter().all(is_digits),
        HirKind::Concat(parts) => parts.iter().all(is_digits),
    }
}

fn has_only_digits(class: &Class) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    match class {
        Class::Unicode(class) => class.iter().all(|range| is_digit(range.start()) && is_digit(range.end())),
        Class::Bytes(class) => class.iter().all(|range| range.start() >= b'0' && range.end() <= b'9'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(expression: &str) -> Vec<Vec<String>> {
        Needs::of(expression).unwrap().words
    }

    #[test]
    fn words_are_known_where_they_begin() {
        const B: &str = r"(?-u:\b)";
        for (expression, expected) in [
            (format!("{B}(?:born|dob|b-day){B}"), vec![vec!["b-day", "born", "dob"]]),
            // Nobody knows where it begins.
            ("(?:born|dob)".into(), vec![]),
            (format!("{B}[a-z]{{3}}itis"), vec![]),
            // Where a space is before a word, it begins.
            ("[a-z]+ (?:in|on) +(?:icu|coma)".into(), vec![vec!["in ", "on "], vec!["coma", "icu"]]),
            (format!("{B}(?:my )?dog"), vec![vec!["dog"]]),
            (format!("{B}(?:my )?(?:[a-z]+ )?dog"), vec![vec!["dog"]]),
            (format!("{B}[Mm]y['\u{2019}]s? (?-i:DOG)"), vec![vec!["dog"], vec!["my' dog", "my's dog"]]),
            (format!("{B}his[ :]+ssn{B}.*{B}number"), vec![vec!["number"], vec!["ssn"]]),
            (format!("{B}(?:[0-9]+ weeks|stage [0-9])"), vec![vec!["weeks", "stage "]]),
            ("\u{4eca}\u{65e5}".into(), vec![vec!["\u{4eca}\u{65e5}"]]),
        ] {
            let expected: Vec<Vec<String>> = expected
                .into_iter()
                .map(|group: Vec<&str>| group.into_iter().map(String::from).collect())
                .collect();
            assert_eq!(words(&expression), expected, "{expression}");
        }
    }

    #[test]
    fn words_are_known_where_they_end() {
        let endings = |expression: &str| Needs::of(expression).unwrap().endings;
        assert_eq!(
            endings(r"(?-u:\b)(?:[a-z]{3,}(?:itis|oma)|[a-z]+MAB|x major)(?-u:\b)"),
            ["itis", "oma", "mab", "major"]
        );
        for unknown in
            [r"[a-z]{3,}itis", r"[a-z]{3,}itis[a-z]*(?-u:\b)", r"(?-u:\b)[a-z]*(?:itis|ma)(?-u:\b)"]
        {
            assert!(endings(unknown).is_empty(), "{unknown}");
        }
    }

    #[test]
    fn digits_are_counted_in_all_and_in_a_row() {
        for (expression, in_all, in_a_row) in [
            ("[0-9]{3}-?[0-9]{2}-?[0-9]{4}", 9, 4),
            ("[0-9]{2,4}|x[0-9]", 1, 1),
            ("(?:[0-9]{4} ){4}", 16, 4),
            ("(?:[0-9]{2}){2}[0-9]", 5, 5),
            ("(?:[0-9]a){3}", 3, 1),
            ("19[0-9]{2}", 4, 4),
        ] {
            let needs = Needs::of(expression).unwrap();
            assert_eq!((needs.digits, needs.digits_in_a_row), (in_all, in_a_row), "{expression}");
        }
    }
}
