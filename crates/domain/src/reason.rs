//! Reasons of scores and escalations: a kind for programs, a text for people.
//!
//! On the wire they are two fields of equal length, `reasons` and `reason_kinds`: readers of the texts alone
//! need not know of the kinds.

use std::ops::Deref;

use schemars::JsonSchema;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

/// What a reason is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// The condition of the policy's route that decided.
    Route,
    /// The complaints that made a storm.
    Storm,
    /// What a digest lists, and why it was not emitted by itself.
    Digest,
    /// A silence, and what it hides.
    Silence,
    /// What preceded the opening of an escalation that had ended.
    Reopened,
    /// The complaint is a reply in the conversation.
    Reply,
    /// Probability that the post is a complaint, with the words of the post that weigh most.
    Complaint,
    /// Number of reshares and replies.
    Size,
    /// How fast it spreads.
    Velocity,
    /// Number of accounts that could have seen it.
    Reach,
    /// Verdicts on earlier alerts.
    Feedback,
    /// Large accounts that posted or shared it.
    LargeAccounts,
    /// Forecast of its spread.
    Forecast,
    /// Each reshare causes more than one other.
    SelfSustaining,
    /// A flag of the post, such as the mention of a lawyer.
    Flag,
    /// Something is unknown.
    Unknown,
    /// A conversation that cross-posts or quotes this one, or the reverse.
    Related,
    /// A conversation in a group or digest.
    Member,
    /// Number of near-copies of one text.
    Copies,
    /// Alerts for individual posts are muted.
    Muted,
    /// The post was deleted.
    Deleted,
    /// A kind that this version does not know.
    #[serde(other)]
    Other,
}

impl ReasonKind {
    /// Returns whether the text can quote the post, and so must go when the post is deleted.
    #[must_use]
    pub fn quotes_post(self) -> bool {
        matches!(self, Self::Complaint | Self::Other)
    }
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What it is about.
    pub kind: ReasonKind,
    /// One sentence or phrase in plain words.
    pub text: String,
}

impl Reason {
    /// Creates a reason.
    #[must_use]
    pub fn new(kind: ReasonKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

/// The reasons of a record, the most important first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(from = "ReasonFields")]
#[schemars(with = "ReasonFields")]
pub struct Reasons(Vec<Reason>);

/// The fields of a record that hold its reasons.
#[derive(Deserialize, JsonSchema)]
struct ReasonFields {
    /// Reasons in plain words, the most important first; of an escalation, why it was opened or last raised.
    /// Never empty. Records that open or raise an escalation, or list what is in it, have all reasons; its
    /// other records only the decisive one.
    #[schemars(length(min = 1))]
    reasons: Vec<String>,
    /// What each of the reasons is about. Records of earlier versions lack it.
    #[serde(default)]
    reason_kinds: Vec<ReasonKind>,
}

impl From<ReasonFields> for Reasons {
    fn from(fields: ReasonFields) -> Self {
        let ReasonFields { reasons, reason_kinds } = fields;
        let kinds = reason_kinds.into_iter().chain(std::iter::repeat(ReasonKind::Other));
        Self(reasons.into_iter().zip(kinds).map(|(text, kind)| Reason { kind, text }).collect())
    }
}

impl Serialize for Reasons {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Reasons", 2)?;
        fields.serialize_field("reasons", &Texts(&self.0))?;
        fields.serialize_field("reason_kinds", &Kinds(&self.0))?;
        fields.end()
    }
}

struct Texts<'a>(&'a [Reason]);
struct Kinds<'a>(&'a [Reason]);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|reason| &reason.text))
    }
}

impl Serialize for Kinds<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|reason| reason.kind))
    }
}

impl Reasons {
    /// Returns the texts in order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|reason| reason.text.as_str())
    }

    /// Returns the text of the first reason of a kind.
    #[must_use]
    pub fn text_of(&self, kind: ReasonKind) -> Option<&str> {
        self.0.iter().find(|reason| reason.kind == kind).map(|reason| reason.text.as_str())
    }

    /// Returns the text of the decisive reason; empty when there is none.
    #[must_use]
    pub fn decisive(&self) -> &str {
        self.0.first().map_or("", |reason| &reason.text)
    }

    /// Removes and returns the decisive reason.
    pub fn take_decisive(&mut self) -> Option<Reason> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    /// Removes what can quote a post that was deleted. The decisive reason of a record without kinds stays: it
    /// states what the policy matched.
    pub fn erase_quotes(&mut self) {
        let mut is_first = true;
        self.0.retain(|reason| {
            let is_decisive = std::mem::take(&mut is_first) && reason.kind == ReasonKind::Other;
            is_decisive || !reason.kind.quotes_post()
        });
    }
}

impl Deref for Reasons {
    type Target = [Reason];

    fn deref(&self) -> &[Reason] {
        &self.0
    }
}

impl From<Vec<Reason>> for Reasons {
    fn from(reasons: Vec<Reason>) -> Self {
        Self(reasons)
    }
}

impl From<Reasons> for Vec<Reason> {
    fn from(reasons: Reasons) -> Self {
        reasons.0
    }
}

impl Extend<Reason> for Reasons {
    fn extend<I: IntoIterator<Item = Reason>>(&mut self, reasons: I) {
        self.0.extend(reasons);
    }
}

impl IntoIterator for Reasons {
    type Item = Reason;
    type IntoIter = std::vec::IntoIter<Reason>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(record: &str) -> Reasons {
        serde_json::from_str(record).expect("a record")
    }

    #[test]
    fn kinds_stand_beside_the_texts_and_may_be_missing_or_new() {
        let reasons = Reasons(vec![
            Reason::new(ReasonKind::Route, "risk 41"),
            Reason::new(ReasonKind::Complaint, "88% likely a complaint"),
        ]);
        let record = serde_json::to_string(&reasons).expect("JSON");
        assert_eq!(
            record,
            r#"{"reasons":["risk 41","88% likely a complaint"],"reason_kinds":["route","complaint"]}"#
        );
        assert_eq!(parse(&record), reasons);
        let kinds = |record| parse(record).iter().map(|reason| reason.kind).collect::<Vec<_>>();
        assert_eq!(kinds(r#"{"reasons":["a","b"]}"#), [ReasonKind::Other; 2]);
        assert_eq!(
            kinds(r#"{"reasons":["a","b"],"reason_kinds":["reach","of_a_later_version"]}"#),
            [ReasonKind::Reach, ReasonKind::Other]
        );
    }

    #[test]
    fn what_quotes_a_deleted_post_goes_in_whatever_place() {
        let mut new = parse(r#"{"reasons":["a","b","c"],"reason_kinds":["complaint","route","forecast"]}"#);
        new.erase_quotes();
        assert_eq!(new.texts().collect::<Vec<_>>(), ["b", "c"]);
        let mut without_kinds = parse(r#"{"reasons":["decisive","quotes"]}"#);
        without_kinds.erase_quotes();
        assert_eq!(without_kinds.texts().collect::<Vec<_>>(), ["decisive"]);
    }
}
