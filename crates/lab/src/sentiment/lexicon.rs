//! VADER's lexicon (MIT): the mood of words, emoticons and emoji.

use std::collections::BTreeMap;
use std::path::Path;

use firewatch_scoring::text::{Tokens, token_key};

use crate::{LabError, read};

/// Moods of -4..4 by the key of the token; entries of more than one token are left out.
pub(super) fn moods(data: &Path) -> Result<BTreeMap<u64, f32>, LabError> {
    let folder = data.join("lexicons");
    let mut moods = BTreeMap::new();
    let mut words: BTreeMap<String, f32> = BTreeMap::new();
    for line in read(&folder.join("vader_lexicon.txt"))?.lines() {
        let mut fields = line.split('\t');
        if let (Some(entry), Some(Ok(mood))) = (fields.next(), fields.next().map(str::parse::<f32>)) {
            words.insert(entry.to_owned(), mood);
            if let Some(key) = one_token(entry) {
                moods.entry(key).or_insert(mood);
            }
        }
    }
    // An emoji's mood is that of its description, as VADER has it.
    for line in read(&folder.join("vader_emoji.txt"))?.lines() {
        let Some((emoji, description)) = line.split_once('\t') else { continue };
        let mood: f32 = description.split_whitespace().filter_map(|word| words.get(word)).sum();
        if let Some(key) = one_token(emoji).filter(|_| mood != 0.0) {
            moods.entry(key).or_insert(mood.clamp(-4.0, 4.0));
        }
    }
    Ok(moods)
}

fn one_token(text: &str) -> Option<u64> {
    let (mut key, mut count) = (None, 0);
    Tokens::default().visit(text, &mut |token| {
        count += 1;
        key = Some(token_key(&token))
            .filter(|_| token.start == 0 && token.end >= text.trim_end_matches('\u{fe0f}').len());
    });
    key.filter(|_| count == 1)
}
