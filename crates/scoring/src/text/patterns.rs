//! Pattern files: regular expressions under headings, one a line, so that they can be reviewed and extended
//! without code changes.

use std::ops::Deref;
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

/// Maximum size of a compiled pattern, in bytes.
const MAX_COMPILED_BYTES: usize = 64 << 20;
/// Maximum size of the states that a search keeps, in bytes. Below it the largest patterns drop and rebuild theirs in
/// each text, and take ten times as long.
const MAX_STATES_BYTES: usize = 32 << 20;
/// Maximum nesting of `{name}` references.
const MAX_DEPTH: usize = 3;

/// A pattern file: `[heading]`, then one pattern a line. `# ` starts a comment, and `{name}` stands for all
/// lines of `[name]` as alternatives. Patterns are for folded texts: `\d`, `\w`, `\s` and `\b` are those of ASCII.
#[derive(Clone, Copy)]
pub(super) struct PatternFile(pub &'static str);

impl PatternFile {
    /// Returns a pattern for each line under a heading. They ignore case and accept straight and curly apostrophes.
    pub fn each(self, heading: &str) -> Vec<Pattern> {
        self.lines(heading).map(|line| self.pattern(line.into())).collect()
    }

    /// Returns the lines under a heading as alternatives of one pattern.
    pub fn joined(self, heading: &str) -> Pattern {
        self.pattern(self.alternatives(heading))
    }

    /// Returns a pattern that refers to headings of this file.
    pub fn pattern(self, source: String) -> Pattern {
        Pattern { file: self, source, compiled: OnceLock::new() }
    }

    /// Returns the lines under a heading as alternatives.
    fn alternatives(self, heading: &str) -> String {
        self.lines(heading).collect::<Vec<_>>().join("|")
    }

    fn lines(self, heading: &str) -> impl Iterator<Item = &'static str> {
        let wanted = heading.to_owned();
        let under =
            self.0.lines().skip_while(move |line| parse_heading(line) != Some(wanted.as_str())).skip(1);
        let own = under.take_while(|line| parse_heading(line).is_none());
        own.filter(|line| !line.is_empty() && !line.starts_with("# "))
    }
}

/// A regular expression that is compiled when it is first used, since most texts need few.
pub(super) struct Pattern {
    file: PatternFile,
    source: String,
    compiled: OnceLock<Regex>,
}

impl Pattern {
    /// Returns the regular expression, with what its names stand for.
    pub fn expression(&self) -> String {
        let mut expression = self.source.clone();
        for _ in 0..MAX_DEPTH {
            for name in self.file.0.lines().filter_map(parse_heading) {
                let place = format!("{{{name}}}");
                if expression.contains(&place) {
                    expression = expression.replace(&place, &format!("(?:{})", self.file.alternatives(name)));
                }
            }
        }
        // Accepts both apostrophes. Inside a character class this becomes a nested class. With the classes and word
        // boundaries of Unicode the fast engine needs many more states, or gives up at the first curly quote.
        for (short, long) in [
            ("'", "['\u{2019}]"),
            (r"\b", r"(?-u:\b)"),
            (r"\d", "[0-9]"),
            (r"\w", "[0-9A-Za-z_]"),
            (r"\W", "[^0-9A-Za-z_]"),
            (r"\s", r"[ \t\r\n]"),
        ] {
            expression = expression.replace(short, long);
        }
        expression
    }

    fn compile(&self) -> Regex {
        let expression = self.expression();
        let mut builder = RegexBuilder::new(&expression);
        builder.case_insensitive(true).size_limit(MAX_COMPILED_BYTES).dfa_size_limit(MAX_STATES_BYTES);
        builder.build().unwrap_or_else(|e| unreachable!("a test compiles all patterns: {e}"))
    }
}

impl Deref for Pattern {
    type Target = Regex;

    fn deref(&self) -> &Regex {
        self.compiled.get_or_init(|| self.compile())
    }
}

/// Patterns that are tried in one pass, each with its number among others.
pub(super) struct PatternSet {
    numbers: Vec<usize>,
    expressions: Vec<String>,
    compiled: OnceLock<RegexSet>,
}

impl PatternSet {
    /// Takes numbers and expressions.
    pub fn new(patterns: Vec<(usize, String)>) -> Self {
        let (numbers, expressions) = patterns.into_iter().unzip();
        Self { numbers, expressions, compiled: OnceLock::new() }
    }

    /// Of the candidates keeps those of the set that match a text. Others stay as they are.
    pub fn retain_matching(&self, text: &str, candidates: &mut [bool]) {
        if !self.numbers.iter().any(|at| candidates.get(*at) == Some(&true)) {
            return;
        }
        let matches = self.compiled.get_or_init(|| self.compile()).matches(text);
        for (place, at) in self.numbers.iter().enumerate() {
            if let Some(candidate) = candidates.get_mut(*at) {
                *candidate &= matches.matched(place);
            }
        }
    }

    fn compile(&self) -> RegexSet {
        let mut builder = RegexSetBuilder::new(&self.expressions);
        builder.case_insensitive(true).size_limit(MAX_COMPILED_BYTES).dfa_size_limit(MAX_STATES_BYTES);
        builder.build().unwrap_or_else(|e| unreachable!("a test compiles all patterns: {e}"))
    }
}

fn parse_heading(line: &str) -> Option<&str> {
    let heading = line.strip_prefix('[')?.strip_suffix(']')?;
    heading.bytes().all(|b| b.is_ascii_lowercase() || b == b'_').then_some(heading)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_their_lines_and_either_apostrophe_will_do() {
        let forms = PatternFile("# of\n[day]\nmon|tue\n\nwed\n[spoken]\nit's (?:{day})\n");
        let pattern = forms.joined("spoken");
        assert!(
            pattern.is_match("IT'S wed")
                && pattern.is_match("it\u{2019}s tue")
                && !pattern.is_match("its mon")
        );
        assert_eq!(forms.each("day").len(), 2);
    }

    #[test]
    fn all_patterns_of_this_build_compile() {
        let mut compiled = 0;
        for file in [
            include_str!("replies.txt"),
            include_str!("personal/identifiers.txt"),
            include_str!("personal/health_words.txt"),
            include_str!("reply/confirmations.txt"),
            include_str!("reply/exposure.txt"),
            include_str!("reply/requests.txt"),
        ] {
            for heading in file.lines().filter_map(parse_heading) {
                for pattern in PatternFile(file).each(heading) {
                    assert!(pattern.captures_len() > 0, "[{heading}]");
                    assert!(!pattern.expression().contains("{c"), "[{heading}] refers to nothing");
                    compiled += 1;
                }
            }
        }
        assert!(compiled > 500, "{compiled}");
    }
}
