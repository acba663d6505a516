//! Reads VADER's lexicon (MIT licence): the mood of words, emoticons and emoji.

use std::collections::BTreeMap;
use std::path::Path;

use firewatch_scoring::text::{TokenKind, Tokenizer, token_key};

use firewatch_report::{AnalysisError, files::read};

/// The entries of the lexicon that are single tokens.
#[derive(Debug, Default)]
pub(super) struct Lexicon {
    /// Mood, -4 to 4, by token key.
    pub moods: BTreeMap<u64, f32>,
    /// The tokens that are words.
    pub words: Vec<Box<str>>,
}

impl Lexicon {
    fn add_entry(&mut self, text: &str, mood: f32) {
        let mut tokens = Vec::new();
        Tokenizer::default().visit(text, &mut |token| {
            let whole = token.start == 0 && token.end >= text.trim_end_matches('\u{fe0f}').len();
            tokens.push((
                token_key(&token),
                (token.kind == TokenKind::Word).then(|| token.word.into()),
                whole,
            ));
        });
        if let [(key, word, true)] = tokens.as_slice() {
            self.moods.entry(*key).or_insert(mood);
            self.words.extend(word.clone());
        }
    }
}

/// Reads the lexicon under `data`.
pub(super) fn read_lexicon(data: &Path) -> Result<Lexicon, AnalysisError> {
    let folder = data.join("lexicons");
    let mut lexicon = Lexicon::default();
    let mut words: BTreeMap<String, f32> = BTreeMap::new();
    for line in read(&folder.join("vader_lexicon.txt"))?.lines() {
        let mut fields = line.split('\t');
        if let (Some(entry), Some(Ok(mood))) = (fields.next(), fields.next().map(str::parse::<f32>)) {
            words.insert(entry.to_owned(), mood);
            lexicon.add_entry(entry, mood);
        }
    }
    // As in VADER, the mood of an emoji is that of the words in its description.
    for line in read(&folder.join("vader_emoji.txt"))?.lines() {
        let Some((emoji, description)) = line.split_once('\t') else { continue };
        let mood: f32 = description.split_whitespace().filter_map(|word| words.get(word)).sum();
        if mood != 0.0 {
            lexicon.add_entry(emoji, mood.clamp(-4.0, 4.0));
        }
    }
    Ok(lexicon)
}
