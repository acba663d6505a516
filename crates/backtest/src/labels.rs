//! Labels of conversations: CSV with the columns `conversation` and `label`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use firewatch_report::AnalysisError;

/// The labels of a file, by conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, Label>);

/// A label and the number of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Label {
    is_wanted: bool,
    line: u64,
}

#[derive(Deserialize)]
struct Row {
    conversation: String,
    label: String,
}

impl Labels {
    /// Reads a file of labels: 1, true or yes for a conversation worth an alert, 0, false or no for others.
    ///
    /// # Errors
    /// When the file cannot be read or a row is not valid; names the line and the problem.
    pub fn read(path: &Path) -> Result<Self, AnalysisError> {
        let wrong = |line: u64, problem: String| AnalysisError::Line(path.into(), line as usize, problem);
        let mut rows = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(|e| match e
            .into_kind()
        {
            csv::ErrorKind::Io(e) => AnalysisError::File(path.into(), e),
            other => wrong(1, format!("{other:?}")),
        })?;
        let columns = rows.headers().map_err(|e| wrong(1, e.to_string()))?.clone();
        for wanted in ["conversation", "label"] {
            if !columns.iter().any(|column| column == wanted) {
                let there = columns.iter().collect::<Vec<_>>().join(", ");
                return Err(wrong(1, format!("there is no column `{wanted}`; the columns are {there}")));
            }
        }
        let mut labels = BTreeMap::new();
        for row in rows.records() {
            let row = row.map_err(|e| wrong(e.position().map_or(0, csv::Position::line), e.to_string()))?;
            let line = row.position().map_or(0, csv::Position::line);
            let Row { conversation, label } =
                row.deserialize(Some(&columns)).map_err(|e| wrong(line, e.to_string()))?;
            let is_wanted = match label.to_lowercase().as_str() {
                "1" | "true" | "yes" => true,
                "0" | "false" | "no" => false,
                _ => {
                    return Err(wrong(
                        line,
                        format!("label: `{label}`: unknown; use 1, true or yes, or 0, false or no"),
                    ));
                }
            };
            if let Some(before) = labels.insert(conversation.clone(), Label { is_wanted, line }) {
                let before = before.line;
                return Err(wrong(
                    line,
                    format!("conversation: {conversation:?} has a label on line {before} already"),
                ));
            }
        }
        Ok(Self(labels))
    }

    /// Creates labels from pairs of conversation and label.
    #[must_use]
    pub fn from_pairs(known: impl IntoIterator<Item = (String, bool)>) -> Self {
        Self(known.into_iter().map(|(id, is_wanted)| (id, Label { is_wanted, line: 0 })).collect())
    }

    /// Returns the label of a conversation: whether it is worth an alert; `None` without a label.
    #[must_use]
    pub fn label_of(&self, conversation: &str) -> Option<bool> {
        self.0.get(conversation).map(|label| label.is_wanted)
    }

    /// Returns the labelled conversations, each with the number of its line.
    pub fn conversations(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(conversation, label)| (conversation.as_str(), label.line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Labels, String> {
        let folder = std::env::temp_dir().join(format!("firewatch-labels-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("labels.csv");
        std::fs::write(&path, text).unwrap();
        Labels::read(&path).map_err(|e| e.to_string().split_once("labels.csv").unwrap().1.to_owned())
    }

    #[test]
    fn labels_are_read_and_faults_name_their_line() {
        let labels = read("label,conversation,note\n1,a,\nNo,b,x\n").unwrap();
        assert_eq!(
            (labels.label_of("a"), labels.label_of("b"), labels.label_of("c")),
            (Some(true), Some(false), None)
        );
        for (text, wanted) in [
            ("id,label\na,1\n", ", line 1: there is no column `conversation`; the columns are id, label"),
            (
                "conversation,label\na,1\nb,maybe\n",
                ", line 3: label: `maybe`: unknown; use 1, true or yes, or 0, false or no",
            ),
            ("conversation,label\na,1\na,0\n", ", line 3: conversation: \"a\" has a label on line 2 already"),
            ("conversation,label\na\n", ", line 2: CSV error"),
        ] {
            let problem = read(text).unwrap_err();
            assert!(problem.starts_with(wanted), "{problem}");
        }
    }
}
