//! What is varied in a policy: a key, and a template with the values to try in braces.

use firewatch_escalation::Policy;
use toml_edit::{DocumentMut, Item, Value};

/// Policies that are tried at once, at most.
const MAX_CANDIDATES: usize = 64;

/// A key of the policy, and the texts that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variation {
    /// The dotted key.
    pub key: String,
    /// What it is set to, one after the other.
    pub values: Vec<String>,
}

/// A policy to try.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What it sets, as `key = value`.
    pub name: String,
    /// Its file.
    pub text: String,
    /// The policy.
    pub policy: Policy,
}

impl Variation {
    /// Reads `KEY=TEMPLATE`, with `{a,b,c}` or `{from..to/step}` in the template.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shape = "give KEY=TEMPLATE with values in braces, such as \
                     routes.viral.when.medium=risk >= {5..40/5} or routes.viral.for={0s,60s}";
        let (key, template) = text.split_once('=').ok_or_else(|| format!("`{text}`: {shape}"))?;
        let (before, rest) = template.split_once('{').ok_or_else(|| format!("`{text}`: {shape}"))?;
        let (values, after) = rest.split_once('}').ok_or_else(|| format!("`{text}`: {shape}"))?;
        let values = match range(values) {
            Some(range) => range?,
            None => values.split(',').map(|value| value.trim().to_owned()).collect(),
        };
        if key.trim().is_empty() || values.iter().any(String::is_empty) || after.contains('{') {
            return Err(format!("`{text}`: {shape}"));
        }
        let values = values.into_iter().map(|value| format!("{before}{value}{after}").trim().to_owned());
        Ok(Self { key: key.trim().into(), values: values.collect() })
    }
}

/// `from..to/step` as its values; none for what is no range.
fn range(text: &str) -> Option<Result<Vec<String>, String>> {
    let (from, rest) = text.split_once("..")?;
    let (to, step) = rest.split_once('/').unwrap_or((rest, "1"));
    let [from, to, step] = [from, to, step].map(|number| number.trim().parse::<f64>());
    Some(match (from, to, step) {
        (Ok(from), Ok(to), Ok(step))
            if step > 0.0 && to >= from && (to - from) / step < MAX_CANDIDATES as f64 =>
        {
            let n = ((to - from) / step + 1e-9) as usize;
            // As many digits as it takes, and no remainders of binary fractions.
            Ok((0..=n).map(|i| format!("{}", ((from + i as f64 * step) * 1e6).round() / 1e6)).collect())
        }
        _ => Err(format!(
            "`{{{text}}}` is no range; give one such as {{5..40/5}}, of at most {MAX_CANDIDATES} values"
        )),
    })
}

/// All combinations of what is varied in a policy's file.
///
/// # Errors
/// Which key is not there, or what makes one of the policies unsound.
pub fn candidates(text: &str, vary: &[Variation]) -> Result<Vec<Candidate>, String> {
    let n: usize = vary.iter().map(|vary| vary.values.len()).product();
    if n > MAX_CANDIDATES {
        return Err(format!(
            "{n} policies are too many to try at once; give fewer values, {MAX_CANDIDATES} in all at most"
        ));
    }
    let file: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| e.to_string())?;
    (0..n).map(|i| candidate(&file, vary, i)).collect()
}

fn candidate(file: &DocumentMut, vary: &[Variation], mut i: usize) -> Result<Candidate, String> {
    let mut file = file.clone();
    let mut name = Vec::new();
    for Variation { key, values } in vary {
        let value = &values[i % values.len()];
        i /= values.len();
        set(&mut file, key, value)?;
        name.push(format!("{key} = {value}"));
    }
    let (name, text) = (name.join(", "), file.to_string());
    let policy = Policy::parse(&name, &text).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        format!("with {name}: {}", faults.join("; "))
    })?;
    Ok(Candidate { name, text, policy })
}

fn set(file: &mut DocumentMut, key: &str, value: &str) -> Result<(), String> {
    let (section, last) = key.rsplit_once('.').unwrap_or(("", key));
    let mut at: &mut Item = file.as_item_mut();
    for part in section.split('.').filter(|part| !part.is_empty()) {
        at = at.get_mut(part).filter(|item| !item.is_none()).ok_or_else(|| {
            format!(
                "{key}: the policy's file has no `{part}`; write what is to be varied into the file first"
            )
        })?;
    }
    let table = at.as_table_like_mut().ok_or_else(|| format!("{key}: `{section}` is no section"))?;
    let new: Value = match (value.parse::<i64>(), value.parse::<f64>()) {
        (Ok(whole), _) => whole.into(),
        (_, Ok(number)) => number.into(),
        _ => value.into(),
    };
    match table.get_mut(last) {
        Some(old) => {
            // What stands around the value, such as a comment, stays.
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

/// The lines in which two files differ, as `- before` and `+ after`.
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
        let problem_with = |text: &str| candidates(FILE, &[Variation::parse(text).unwrap()]).unwrap_err();
        assert!(problem_with("routes.other.for={0s}").contains("the policy's file has no `other`"));
        assert!(
            problem_with("routes.viral.when.medium=risk > {15..16} &&")
                .contains("with routes.viral.when.medium")
        );
        assert!(problem_with("storms.nonsense={1}").contains("no `storms`"));
    }
}
