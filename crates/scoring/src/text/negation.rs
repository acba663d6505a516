//! Negation scope: a negation affects the next four words, up to punctuation or "but".
//!
//! After Das and Chen 2001 and Pang, Lee and Vaithyanathan 2002, who extend the scope to the next punctuation
//! mark.

/// Length of a negation's scope, in words.
const SCOPE: u8 = 4;

/// The number of words that the last negation still affects.
#[derive(Default)]
pub(super) struct Scope(u8);

impl Scope {
    /// Ends the scope.
    pub fn end(&mut self) {
        self.0 = 0;
    }

    /// Returns whether the scope covers the next word, and consumes one word of it.
    pub fn reaches(&mut self) -> bool {
        let reached = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        reached
    }

    /// Returns whether a word is negated. A negation starts a new scope and is not negated itself.
    pub fn negates(&mut self, word: &str) -> bool {
        if word == "but" {
            self.end();
        }
        if is_negation(word) {
            self.0 = SCOPE;
            return false;
        }
        self.reaches()
    }
}

fn is_negation(word: &str) -> bool {
    word.ends_with("n't")
        || matches!(
            word,
            "not"
                | "no"
                | "never"
                | "cannot"
                | "cant"
                | "dont"
                | "wont"
                | "didnt"
                | "doesnt"
                | "isnt"
                | "wasnt"
                | "arent"
                | "aint"
                | "havent"
                | "hasnt"
                | "wouldnt"
                | "couldnt"
                | "shouldnt"
                | "without"
                | "nothing"
                | "nobody"
                | "none"
                | "nor"
                | "neither"
                | "nowhere"
                | "hardly"
                | "barely"
        )
}
