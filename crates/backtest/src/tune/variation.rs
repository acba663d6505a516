//! Variations of a policy file: a key, and a template with the values to try in braces.

use firewatch_escalation::Policy;
use thiserror::Error;
use toml_edit::{DocumentMut, Item, TomlError, Value};

use crate::policy::InvalidPolicy;

/// Maximum number of candidates tried at once.
const MAX_CANDIDATES: usize = 64;

/// The shape of a variation.
const SHAPE: &str = "use KEY=TEMPLATE with values in braces, such as \
                     routes.viral.when.medium=risk >= {5..40/5} or routes.viral.for={0s,60s}";

/// Why a variation cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VariationError {
    /// The text has another shape than `KEY=TEMPLATE`.
    #[error("`{0}`: {SHAPE}")]
    Shape(String),
    /// The text in braces is not a range, or the range has too many values.
    #[error("`{{{0}}}`: not a range; use one such as {{5..40/5}}, with at most {MAX_CANDIDATES} values")]
    Range(String),
}

/// Why a policy file cannot be varied.
#[derive(Debug, Error)]
pub enum CandidateError {
    /// There are too many combinations: their number.
    #[error("{0} candidates are too many; use fewer values, for at most {MAX_CANDIDATES} combinations")]
    TooMany(usize),
    /// The policy file is not valid TOML.
    #[error(transparent)]
    Syntax(#[from] TomlError),
    /// The policy file lacks a part of a varied key.
    #[error("{key}: the policy file has no `{part}`; write the key into the file first")]
    MissingPart {
        /// The varied key.
        key: String,
        /// The part that is missing.
        part: String,
    },
    /// What holds a varied key is not a section.
    #[error("{key}: `{section}` is not a section")]
    NotASection {
        /// The varied key.
        key: String,
        /// What holds it.
        section: String,
    },
    /// A candidate is not a valid policy.
    #[error("with {name}: {cause}")]
    Policy {
        /// The candidate's name.
        name: String,
        /// What is wrong.
        #[source]
        cause: InvalidPolicy,
    },
}

/// A key of the policy and the values to try for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variation {
    /// The dotted key.
    pub key: String,
    /// The values to try, as TOML text.
    pub values: Vec<String>,
}

/// A candidate policy.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What it sets, as `key = value`.
    pub name: String,
    /// Text of its policy file.
    pub text: String,
    /// The parsed policy.
    pub policy: Policy,
}

impl Variation {
    /// Parses `KEY=TEMPLATE`, with `{a,b,c}` or `{from..to/step}` in the template.
    ///
    /// # Errors
    /// When the text has another shape, or the range is not valid.
    pub fn parse(text: &str) -> Result<Self, VariationError> {
        let other_shape = || VariationError::Shape(text.to_owned());
        let (key, template) = text.split_once('=').ok_or_else(other_shape)?;
        let (before, rest) = template.split_once('{').ok_or_else(other_shape)?;
        let (values, after) = rest.split_once('}').ok_or_else(other_shape)?;
        let values = match range(values) {
            Some(range) => range?,
            None => values.split(',').map(|value| value.trim().to_owned()).collect(),
        };
        if key.trim().is_empty() || values.iter().any(String::is_empty) || after.contains('{') {
            return Err(other_shape());
        }
        let values = values.into_iter().map(|value| format!("{before}{value}{after}").trim().to_owned());
        Ok(Self { key: key.trim().into(), values: values.collect() })
    }
}

/// Expands `from..to/step` into its values; `None` if the text is not a range.
fn range(text: &str) -> Option<Result<Vec<String>, VariationError>> {
    let (from, rest) = text.split_once("..")?;
    let (to, step) = rest.split_once('/').unwrap_or((rest, "1"));
    let [from, to, step] = [from, to, step].map(|number| number.trim().parse::<f64>());
    Some(match (from, to, step) {
        (Ok(from), Ok(to), Ok(step))
            if step > 0.0 && to >= from && (to - from) / step < MAX_CANDIDATES as f64 =>
        {
            let n = ((to - from) / step + 1e-9) as usize;
            // Round away the remainders of binary fractions, such as 0.30000000000000004.
            Ok((0..=n).map(|i| format!("{}", ((from + i as f64 * step) * 1e6).round() / 1e6)).collect())
        }
        _ => Err(VariationError::Range(text.to_owned())),
    })
}

/// Returns a candidate for each combination of the varied values in a policy file.
///
/// # Errors
/// When there are too many combinations, a key is missing in the file, or a candidate is not a valid policy.
pub fn candidates(text: &str, vary: &[Variation]) -> Result<Vec<Candidate>, CandidateError> {
    let n: usize = vary.iter().map(|vary| vary.values.len()).product();
    if n > MAX_CANDIDATES {
        return Err(CandidateError::TooMany(n));
    }
    let file: DocumentMut = text.parse()?;
    (0..n).map(|i| candidate(&file, vary, i)).collect()
}

fn candidate(file: &DocumentMut, vary: &[Variation], mut i: usize) -> Result<Candidate, CandidateError> {
    let mut file = file.clone();
    let mut name = Vec::new();
    for Variation { key, values } in vary {
        let value = &values[i % values.len()];
        i /= values.len();
        set(&mut file, key, value)?;
        name.push(format!("{key} = {value}"));
    }
    let (name, text) = (name.join(", "), file.to_string());
    let policy = crate::policy::parse(&name, &text)
        .map_err(|cause| CandidateError::Policy { name: name.clone(), cause })?;
    Ok(Candidate { name, text, policy })
}

fn set(file: &mut DocumentMut, key: &str, value: &str) -> Result<(), CandidateError> {
    let (section, last) = key.rsplit_once('.').unwrap_or(("", key));
    let mut at: &mut Item = file.as_item_mut();
    for part in section.split('.').filter(|part| !part.is_empty()) {
        at = at
            .get_mut(part)
            .filter(|item| !item.is_none())
            .ok_or_else(|| CandidateError::MissingPart { key: key.to_owned(), part: part.to_owned() })?;
    }
    let table = at
        .as_table_like_mut()
        .ok_or_else(|| CandidateError::NotASection { key: key.to_owned(), section: section.to_owned() })?;
    let new: Value = match (value.parse::<i64>(), value.parse::<f64>()) {
        (Ok(whole), _) => whole.into(),
        (_, Ok(number)) => number.into(),
        _ => value.into(),
    };
    match table.get_mut(last) {
        Some(old) => {
            // Keep the decoration of the value, such as a comment.
            let decor = old.as_value().map(|old| old.decor().clone());
            *old = Item::Value(new);
            if let (Some(decor), Some(new)) = (decor, old.as_value_mut()) {
                *new.decor_mut() = decor;
            }
        }
        None => drop(table.insert(last, Item::Value(new))),
    }
    Ok(())
}

/// Returns the lines in which two files differ, as `- before` and `+ after`. The order of lines is not
/// compared.
#[must_use]
pub fn changed_lines(before: &str, after: &str) -> Vec<String> {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let gone = before.iter().filter(|line| !after.contains(line)).map(|line| format!("- {line}"));
    let new = after.iter().filter(|line| !before.contains(line)).map(|line| format!("+ {line}"));
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[brands.acme]\n[routes.viral]   # ours\nteam = \"pr\"\n\
                        when = { medium = \"risk >= 15\", high = \"risk >= 60\" } # two levels\n\
                        for = \"0s\"   # at once\n";

    #[test]
    fn values_are_lists_and_ranges_within_a_template() {
        let values = |text: &str| Variation::parse(text).map(|vary| vary.values);
        assert_eq!(values("a.b=risk >= {5..15/5}").unwrap(), ["risk >= 5", "risk >= 10", "risk >= 15"]);
        assert_eq!(values("a={0.1..0.3/0.1}").unwrap(), ["0.1", "0.2", "0.3"]);
        assert_eq!(values("for={0s, 60s}").unwrap(), ["0s", "60s"]);
        for wrong in ["a", "a=1", "a={", "={1}", "a={}", "a={1,}", "a={5..1}", "a={1..2/0}", "a={1}{2}"] {
            assert!(values(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn candidates_change_nothing_but_what_is_varied() {
        let vary = ["routes.viral.when.medium=risk >= {15,20}", "routes.viral.for={0s,60s}"];
        let vary: Vec<Variation> = vary.iter().map(|text| Variation::parse(text).unwrap()).collect();
        let all = candidates(FILE, &vary).unwrap();
        assert_eq!(all.len(), 4);
        assert_eq!(all[3].name, "routes.viral.when.medium = risk >= 20, routes.viral.for = 60s");
        assert!(all[3].text.contains("[routes.viral]   # ours") && all[3].text.contains("# two levels"));
        assert_eq!(
            changed_lines(FILE, &all[3].text),
            [
                "- when = { medium = \"risk >= 15\", high = \"risk >= 60\" } # two levels",
                "- for = \"0s\"   # at once",
                "+ when = { medium = \"risk >= 20\", high = \"risk >= 60\" } # two levels",
                "+ for = \"60s\"   # at once",
            ]
        );
    }

    #[test]
    fn what_cannot_be_varied_is_reported() {
        let problem_with =
            |text: &str| candidates(FILE, &[Variation::parse(text).unwrap()]).unwrap_err().to_string();
        assert!(problem_with("routes.other.for={0s}").contains("the policy file has no `other`"));
        assert!(
            problem_with("routes.viral.when.medium=risk > {15..16} &&")
                .contains("with routes.viral.when.medium")
        );
        assert!(problem_with("storms.nonsense={1}").contains("no `storms`"));
    }
}
