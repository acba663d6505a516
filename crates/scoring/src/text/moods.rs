//! Post-level features from a sentiment lexicon and the style of writing: the features that are not sums over
//! words.
//!
//! The mood of a word is its mean rating in the VADER lexicon (Hutto and Gilbert 2014), -4..4. As in VADER, a
//! negation multiplies it by -0.74 and capitals add 0.73.

use super::{Token, TokenKind};

/// Number of mood features.
pub const MOOD_FEATURES: usize = 13;
/// The factor of a negated word's mood.
const NEGATION: f32 = -0.74;
/// The absolute amount that capitals add to a mood.
const CAPITALS: f32 = 0.73;
/// The constant a of the normalisation x / sqrt(x^2 + a), as in VADER.
const SOFT: f32 = 15.0;

/// Accumulates the features token by token.
#[derive(Debug, Default, Clone, Copy)]
pub struct MoodFeatures {
    positive: f32,
    negative: f32,
    best: f32,
    worst: f32,
    first: f32,
    last: f32,
    words: f32,
    capitals: f32,
    stretched: f32,
    exclamations: f32,
    questions: f32,
    numbers: f32,
}

impl MoodFeatures {
    /// Adds a token and the mood of its word; 0 if the lexicon does not rate it.
    pub fn push(&mut self, token: &Token<'_>, mood: f32) {
        self.stretched += f32::from(u8::from(token.stretched));
        match token.kind {
            TokenKind::Word => self.words += 1.0,
            TokenKind::Number | TokenKind::Money => self.numbers += 1.0,
            TokenKind::Punctuation if token.word == "?" => self.questions += 1.0,
            TokenKind::Punctuation if token.word == "!" => self.exclamations += 1.0,
            TokenKind::Punctuation if token.word == "?!" => {
                self.questions += 1.0;
                self.exclamations += 1.0;
            }
            _ => {}
        }
        self.capitals += f32::from(u8::from(token.capitals));
        if mood != 0.0 {
            self.rate(mood, token);
        }
    }

    fn rate(&mut self, mood: f32, token: &Token<'_>) {
        let loud = if token.capitals { CAPITALS.copysign(mood) } else { 0.0 };
        let mood = (mood + loud) * if token.negated { NEGATION } else { 1.0 };
        self.positive += mood.max(0.0);
        self.negative += mood.min(0.0);
        self.best = self.best.max(mood);
        self.worst = self.worst.min(mood);
        if self.first == 0.0 {
            self.first = mood;
        }
        self.last = mood;
    }

    /// Returns the features, each roughly in -1..1: the sums of all, positive and negative moods
    /// (normalised), the best, worst, first and last mood, the logarithm of the word count, and the counts of
    /// capitalised words, elongations, exclamation marks, question marks and numbers, each capped at 3.
    #[must_use]
    pub fn values(&self) -> [f32; MOOD_FEATURES] {
        let soft = |x: f32| x / (x * x + SOFT).sqrt();
        let few = |n: f32| n.min(3.0) / 3.0;
        [
            soft(self.positive + self.negative),
            soft(self.positive),
            soft(self.negative),
            self.best / 4.0,
            self.worst / 4.0,
            self.first / 4.0,
            self.last / 4.0,
            (self.words + 1.0).ln() / 4.0,
            few(self.capitals),
            few(self.stretched),
            few(self.exclamations),
            few(self.questions),
            few(self.numbers),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Tokenizer;

    fn values(text: &str) -> [f32; MOOD_FEATURES] {
        let mut moods = MoodFeatures::default();
        Tokenizer::default().visit(text, &mut |token| {
            let mood = match token.word {
                "good" => 2.0,
                "awful" => -3.0,
                _ => 0.0,
            };
            moods.push(&token, mood);
        });
        moods.values()
    }

    #[test]
    fn negation_turns_and_capitals_strengthen() {
        assert!(values("good")[0] > 0.0 && values("not good")[0] < 0.0);
        assert!(values("so AWFUL here")[4] < values("so awful here")[4]);
        assert_eq!(values("SO AWFUL HERE"), values("so awful here"));
    }

    #[test]
    fn the_last_word_counts_and_all_is_bounded() {
        let long = "good awful! ".repeat(500);
        assert!(values("awful, then good")[6] > 0.0);
        assert!(values(&long).iter().all(|v| v.abs() <= 2.5));
    }
}
