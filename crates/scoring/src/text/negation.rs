//! Which words a negation reaches: the next four, up to a mark or "but".
//!
//! After Das and Chen 2001, as in Pang, Lee and Vaithyanathan 2002, who let it reach to the next mark.

/// Words that a negation reaches.
const SCOPE: u8 = 4;

/// How many words the last negation still reaches.
#[derive(Default)]
pub(super) struct Scope(u8);

impl Scope {
    pub fn end(&mut self) {
        self.0 = 0;
    }

    /// Whether the last negation reaches here; uses up one word of its scope.
    pub fn reaches(&mut self) -> bool {
        let reached = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        reached
    }

    /// Whether a word is negated; it may be a negation itself, or end one.
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
