//! Finds the private channels that a reply offers.

use firewatch_domain::Channel;

use super::folded::{FoldedText, blank_out};
use crate::text::patterns::{Pattern, PatternFile};

/// Compiled patterns for channels.
pub(super) struct Channels {
    named: Vec<(Channel, Pattern)>,
    /// A private place without a named channel, such as a secure form.
    private: Pattern,
    denied: Pattern,
}

impl Channels {
    /// Reads the patterns of a file.
    pub fn new(patterns: PatternFile) -> Self {
        Self {
            named: vec![
                (Channel::Dm, patterns.joined("dm")),
                (Channel::Email, patterns.joined("email")),
                (Channel::Phone, patterns.joined("phone")),
            ],
            private: patterns.joined("private"),
            denied: patterns.joined("denied"),
        }
    }

    /// Returns the channels that a text names and does not deny.
    pub fn named(&self, text: &str) -> Vec<Channel> {
        let text = self.without_denied(&FoldedText::new(text).text);
        self.named.iter().filter(|(_, form)| form.is_match(&text)).map(|(channel, _)| *channel).collect()
    }

    /// Returns a folded text with the denied channels blanked out.
    pub fn without_denied(&self, folded: &str) -> String {
        blank_out(folded, &self.denied)
    }

    /// Returns whether a folded text without denied channels offers a private one.
    pub fn is_private(&self, text: &str) -> bool {
        self.private.is_match(text) || self.named.iter().any(|(_, form)| form.is_match(text))
    }
}
