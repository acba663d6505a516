//! The tables of a text model's card: figures by set, figures by slice, and the reliability of probabilities.
//!
//! A slice is a group of posts with a common trait, such as a negation; models tend to fail on slices first.

use std::fmt;

use firewatch_scoring::TextPrediction;
use firewatch_scoring::text::{TokenKind, Tokenizer};

use crate::figures::{ClassifierFigures, measure};
use crate::posts::LabelledPost;

/// Minimum number of posts in a slice.
const MIN_SLICE_POSTS: usize = 40;
/// Posts with fewer words than this are short.
const SHORT_POST_WORDS: usize = 9;

/// The name of a slice, and whether a post belongs to it.
type Slice = (&'static str, fn(&Traits) -> bool);

const SLICES: [Slice; 6] = [
    ("short", |t| t.words < SHORT_POST_WORDS),
    ("with a negation", |t| t.negated),
    ("with a question", |t| t.question),
    ("with a tag", |t| t.tag),
    ("with an emoji or emoticon", |t| t.face),
    ("with capitals or stretched words", |t| t.loud),
];

#[derive(Default)]
struct Traits {
    words: usize,
    negated: bool,
    question: bool,
    tag: bool,
    face: bool,
    loud: bool,
}

impl Traits {
    fn from_text(text: &str) -> Self {
        let mut traits = Self::default();
        Tokenizer::default().visit(text, &mut |token| {
            traits.words += usize::from(token.kind == TokenKind::Word);
            traits.negated |= token.negated;
            traits.question |= token.kind == TokenKind::Punctuation && token.word.starts_with('?');
            traits.tag |= token.tag;
            traits.face |= matches!(token.kind, TokenKind::Emoji | TokenKind::Emoticon);
            traits.loud |= token.capitals || (token.kind == TokenKind::Word && token.stretched);
        });
        traits
    }
}

/// Figures on held-out posts; displayed as the tables of a model card.
#[derive(Debug, Clone)]
pub struct TextModelReport {
    /// Figures by set.
    pub sets: Vec<ClassifierFigures>,
    /// Figures by set and slice.
    pub slices: Vec<ClassifierFigures>,
}

impl TextModelReport {
    /// Measures predictions of held-out posts.
    #[must_use]
    pub fn measure(posts: &[LabelledPost], predictions: &[TextPrediction]) -> Self {
        Self { sets: measure(posts, predictions), slices: measure_slices(posts, predictions) }
    }
}

impl fmt::Display for TextModelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rows in [&self.sets, &self.slices] {
            writeln!(
                f,
                "| set | posts | macro recall | macro F1 | AP negative | F1 complaint | AP complaint | AP anger | ECE |"
            )?;
            writeln!(f, "|---|---|---|---|---|---|---|---|---|")?;
            rows.iter().try_for_each(|row| writeln!(f, "{row}"))?;
            writeln!(f)?;
        }
        writeln!(f, "Observed percentage by predicted probability in percent (posts):\n")?;
        writeln!(
            f,
            "| set, head | 0-10 | 10-20 | 20-30 | 30-40 | 40-50 | 50-60 | 60-70 | 70-80 | 80-90 | 90-100 |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|---|---|")?;
        for ClassifierFigures { set, reliability, .. } in &self.sets {
            for (what, reliability) in ["class", "complaint", "anger"].iter().zip(reliability) {
                let Some(reliability) = reliability else { continue };
                let cells: Vec<String> = reliability.curve().map(|(_, so, n)| cell(so, n)).collect();
                writeln!(f, "| {set}, {what} | {} |", cells.join(" | "))?;
            }
        }
        Ok(())
    }
}

/// Formats a percentage and its number of posts; empty for fewer than ten posts.
fn cell(so: f64, posts: usize) -> String {
    if posts < 10 { String::new() } else { format!("{:.0} ({posts})", 100.0 * so) }
}

/// Measures every slice of the sets with sentiment labels.
fn measure_slices(posts: &[LabelledPost], predictions: &[TextPrediction]) -> Vec<ClassifierFigures> {
    let traits: Vec<Traits> = posts.iter().map(|p| Traits::from_text(&p.text)).collect();
    let mut all = Vec::new();
    for (name, is_in) in SLICES {
        let chosen = || traits.iter().enumerate().filter(|(_, t)| is_in(t)).map(|(i, _)| i);
        let (posts, predictions): (Vec<LabelledPost>, Vec<TextPrediction>) =
            chosen().map(|i| (posts[i].clone(), predictions[i])).unzip();
        let figures = measure(&posts, &predictions)
            .into_iter()
            .filter(|f| f.sentiment.is_some() && f.posts >= MIN_SLICE_POSTS);
        all.extend(figures.map(|f| ClassifierFigures { set: format!("{}, {name}", f.set), ..f }));
    }
    all.sort_by(|a, b| a.set.cmp(&b.set));
    all
}

#[cfg(test)]
mod tests {
    use firewatch_domain::Sentiment;

    use super::*;
    use crate::posts::DataSet;

    #[test]
    fn a_slice_has_its_posts_and_no_others() {
        let post = |text: &str, class| LabelledPost {
            text: text.into(),
            set: DataSet::Airline,
            class: Some(class),
            complaint: None,
            angry: None,
        };
        let few = [post("not good", 0), post("so good", 2), post("just #late?", 1)];
        let odd = [post("meh :/", 0), post("why?", 0)];
        let posts: Vec<LabelledPost> = (0..MIN_SLICE_POSTS).flat_map(|_| few.clone()).chain(odd).collect();
        let sentiment = Sentiment { negative: 0.1, neutral: 0.2, positive: 0.7 };
        let predictions = vec![TextPrediction { sentiment, complaint: 0.0, arousal: 0.0 }; posts.len()];
        let found = measure_slices(&posts, &predictions);
        let posts_in =
            |name: &str| found.iter().find(|f| f.set == format!("airline, {name}")).map(|f| f.posts);
        assert_eq!(
            (posts_in("short"), posts_in("with a negation")),
            (Some(3 * MIN_SLICE_POSTS + 2), Some(MIN_SLICE_POSTS))
        );
        assert_eq!(
            (posts_in("with a question"), posts_in("with a tag")),
            (Some(MIN_SLICE_POSTS + 1), Some(MIN_SLICE_POSTS))
        );
        assert_eq!(
            (posts_in("with capitals or stretched words"), posts_in("with an emoji or emoticon")),
            (None, None)
        );
    }
}
