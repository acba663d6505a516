//! Relations between conversations: one cross-posts or quotes another.

use firewatch_domain::{Reason, ReasonKind};
use serde::{Deserialize, Serialize};

/// Why two conversations are related.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RelationKind {
    /// The same author wrote nearly the same text on another network.
    SameAuthor,
    /// The same text is on another network, and at least one author is unknown.
    SameText,
    /// It quotes the other conversation.
    Quote,
}

/// A related conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Related {
    pub conversation: String,
    pub kind: RelationKind,
}

impl Related {
    /// Returns the reason that mentions it.
    pub fn reason(&self) -> Reason {
        let Self { conversation, kind } = self;
        let text = match kind {
            RelationKind::SameAuthor => {
                format!("same complaint by the same author on another network: {conversation}")
            }
            RelationKind::SameText => format!("same text on another network, author unknown: {conversation}"),
            RelationKind::Quote => format!("quotes {conversation}"),
        };
        Reason::new(ReasonKind::Related, text)
    }
}
