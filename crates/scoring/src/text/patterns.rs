//! Pattern files: regular expressions under headings, one a line, so that they can be reviewed and extended
//! without code changes.

use regex::{Regex, RegexBuilder};

use crate::ModelError;

/// Health terms, where a trailing "*" matches any ending. Patterns refer to them as `{condition}`.
const CONDITIONS: &str = include_str!("personal/conditions.txt");
/// Maximum size of a compiled pattern, in bytes.
const MAX_COMPILED_BYTES: usize = 64 << 20;
/// Maximum nesting of `{name}` references.
const MAX_DEPTH: usize = 3;

/// A pattern file: `[heading]`, then one pattern a line. `# ` starts a comment, and `{name}` stands for all
/// lines of `[name]` as alternatives.
pub(super) struct PatternFile(pub &'static str);

impl PatternFile {
    /// Compiles each line under a heading, ignoring case and accepting straight and curly apostrophes.
    pub fn compile_each(&self, heading: &str) -> Result<Vec<Regex>, ModelError> {
        self.lines(heading).map(|line| self.compile(heading, line.into())).collect()
    }

    /// Compiles the lines under a heading as alternatives of one pattern.
    pub fn compile_joined(&self, heading: &str) -> Result<Regex, ModelError> {
        self.compile(heading, self.joined(heading))
    }

    fn lines(&self, heading: &str) -> impl Iterator<Item = &'static str> {
        let wanted = heading.to_owned();
        let under =
            self.0.lines().skip_while(move |line| parse_heading(line) != Some(wanted.as_str())).skip(1);
        let own = under.take_while(|line| parse_heading(line).is_none());
        own.filter(|line| !line.is_empty() && !line.starts_with("# "))
    }

    /// Returns the lines under a heading as alternatives.
    pub fn joined(&self, heading: &str) -> String {
        self.lines(heading).collect::<Vec<_>>().join("|")
    }

    /// Compiles a pattern that refers to headings of this file.
    pub fn compile(&self, heading: &str, mut form: String) -> Result<Regex, ModelError> {
        for _ in 0..MAX_DEPTH {
            for name in self.0.lines().filter_map(parse_heading) {
                let place = format!("{{{name}}}");
                if form.contains(&place) {
                    form = form.replace(&place, &self.joined(name));
                }
            }
        }
        // Accepts both apostrophes. Inside a character class this becomes a nested class.
        let form = form.replace("{condition}", &conditions()).replace('\'', "['\u{2019}]");
        // ASCII word boundaries: with Unicode ones the fast engine gives up at the first curly quote.
        let form = form.replace(r"\b", r"(?-u:\b)");
        let built = RegexBuilder::new(&form).case_insensitive(true).size_limit(MAX_COMPILED_BYTES).build();
        built.map_err(|e| ModelError::File(format!("the pattern [{heading}]: {e}")))
    }
}

fn parse_heading(line: &str) -> Option<&str> {
    let heading = line.strip_prefix('[')?.strip_suffix(']')?;
    heading.bytes().all(|b| b.is_ascii_lowercase() || b == b'_').then_some(heading)
}

/// Returns the health terms of all languages in lower case. A trailing `*` matches any ending.
pub(super) fn health_terms() -> impl Iterator<Item = &'static str> {
    CONDITIONS.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with(['#', '[']))
}

/// Returns the health terms as one regular expression.
fn conditions() -> String {
    let form = |word: &str| match word.strip_suffix('*') {
        Some(stem) => format!("{}[a-z]*", regex::escape(stem)),
        None => regex::escape(word),
    };
    health_terms().map(form).collect::<Vec<_>>().join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_their_lines_and_either_apostrophe_will_do() {
        let forms = PatternFile("# of\n[day]\nmon|tue\n\nwed\n[said]\nit's (?:{day})\n");
        let pattern = forms.compile_joined("said").unwrap();
        assert!(
            pattern.is_match("IT'S wed")
                && pattern.is_match("it\u{2019}s tue")
                && !pattern.is_match("its mon")
        );
        assert_eq!(forms.compile_each("day").unwrap().len(), 2);
        let fault = PatternFile("[a]\n(b\n").compile_joined("a").unwrap_err().to_string();
        assert!(fault.contains("the pattern [a]"), "{fault}");
    }
}
