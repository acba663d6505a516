//! Tokenizer for posts: words, numbers, links, mentions, hashtags, emoji, emoticons and punctuation.
//!
//! It allocates nothing per token and runs in linear time. Capitals and elongation do not change a token;
//! they are recorded as its attributes. Variants of an emoji become the same token.

use super::marks::{emoticon, entity, is_pictograph};
use super::negation::Scope;

/// Maximum length of a word, in bytes. Longer words are truncated.
const LONGEST_WORD: usize = 40;

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A word, or a hashtag.
    Word,
    /// Digits, with `.`, `,` or `:` between them.
    Number,
    /// A number before or after a currency sign.
    Money,
    /// A link.
    Link,
    /// `@` and a name.
    Mention,
    /// An emoji, without its variant, skin tone and joiners.
    Emoji,
    /// An emoticon, represented by one of the same mood.
    Emoticon,
    /// `!`, `?`, `?!` or `...`; a run of them is one token.
    Punctuation,
}

impl TokenKind {
    /// Returns whether the text model weighs tokens of this kind. It ignores links and mentions, because
    /// their relation to a mood does not last.
    #[must_use]
    pub fn weighs(self) -> bool {
        !matches!(self, Self::Link | Self::Mention)
    }
}

/// One token.
#[derive(Debug, Clone, Copy)]
pub struct Token<'a> {
    /// The kind.
    pub kind: TokenKind,
    /// The word in lower case, with runs of a letter shortened to two. For other kinds a fixed name, such as
    /// `http` for a link.
    pub word: &'a str,
    /// Start in the text, in bytes.
    pub start: usize,
    /// End in the text, in bytes, exclusive.
    pub end: usize,
    /// Whether a negation affects the word.
    pub negated: bool,
    /// Whether the word has two or more letters, all capitals, in a text that is not mostly capitals.
    pub capitals: bool,
    /// Whether a letter is repeated three or more times, or a punctuation mark two or more times.
    pub stretched: bool,
    /// Whether the word is a hashtag.
    pub tag: bool,
}

impl Token<'_> {
    /// A word without attributes.
    const PLAIN: Self = Token {
        kind: TokenKind::Word,
        word: "",
        start: 0,
        end: 0,
        negated: false,
        capitals: false,
        stretched: false,
        tag: false,
    };
}

/// Splits texts into tokens. It reuses a buffer between texts.
#[derive(Debug, Default)]
pub struct Tokenizer {
    word: String,
}

impl Tokenizer {
    /// Calls `visit` with every token of the text, in order.
    pub fn visit(&mut self, text: &str, visit: &mut impl FnMut(Token<'_>)) {
        let mut scanner =
            Scanner { text, at: 0, word: &mut self.word, scope: Scope::default(), shouting: None, visit };
        while scanner.at < text.len() {
            scanner.step();
        }
    }
}

/// The state of one pass over a text.
struct Scanner<'t, 'w, V> {
    text: &'t str,
    at: usize,
    word: &'w mut String,
    scope: Scope,
    /// Whether most of the text is in capitals, so that capitals carry no meaning. Computed on first use.
    shouting: Option<bool>,
    visit: &'w mut V,
}

impl<V: FnMut(Token<'_>)> Scanner<'_, '_, V> {
    /// Reads the next token, or skips a character.
    fn step(&mut self) {
        if self.plain_word() {
            return;
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some(c) = rest.chars().next() else {
            self.at = self.text.len();
            return;
        };
        match c {
            ' ' | '\n' | '\t' | '\r' => self.at += 1,
            '@' if self.is_word_start() && starts_name(rest) => self.name(TokenKind::Mention),
            '#' if starts_name(rest) => self.tag(),
            'h' | 'H' | 'w' | 'W' if is_link(rest) && self.is_word_start() => self.link(rest),
            _ if let Some((mood, length)) = emoticon(rest, || self.is_word_start()) => {
                self.plain(TokenKind::Emoticon, mood, length);
            }
            '0'..='9' if self.is_word_start() && is_number(rest) => self.number(rest, false),
            '$' | '£' | '€' if rest[c.len_utf8()..].starts_with(|d: char| d.is_ascii_digit()) => {
                self.number(rest, true);
            }
            '&' if let Some((_, length)) = entity(rest) => self.at += length,
            '!' | '?' => self.mark(rest, c),
            '.' | ',' | ';' | ':' | '\u{2026}' => self.pause(rest, c),
            _ if c.is_alphanumeric() => self.word(false),
            _ if is_pictograph(c) => self.emoji(c),
            _ => self.at += c.len_utf8(),
        }
    }

    /// Returns whether the character before the position is not a letter or digit.
    fn is_word_start(&self) -> bool {
        let before = self.text.get(..self.at).and_then(|t| t.chars().next_back());
        before.is_none_or(|c| !c.is_alphanumeric())
    }

    /// Reads a word of lower-case ASCII letters without copying it; most words are such. Returns whether
    /// there was one.
    fn plain_word(&mut self) -> bool {
        let bytes = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let (mut length, mut run, mut last) = (0, 0, 0);
        while let Some(b @ b'a'..=b'z') = bytes.get(length).copied() {
            run = if b == last { run + 1 } else { 1 };
            if run > 2 {
                return false;
            }
            last = b;
            length += 1;
        }
        let ends = bytes.get(length).is_none_or(|b| {
            b.is_ascii() && !b.is_ascii_alphanumeric() && !matches!(b, b'_' | b'\'' | b'`' | b'&')
        });
        // Possible starts of a link or an emoticon take the slow path.
        let odd = matches!(
            bytes,
            [b'h', b't', b't', b'p', ..] | [b'w', b'w', b'w', ..] | [b'x', b'-' | b'd' | b'p', ..]
        );
        if length == 0 || length > LONGEST_WORD || !ends || odd {
            return false;
        }
        let (start, end) = (self.at, self.at + length);
        let Some(word) = self.text.get(start..end) else { return false };
        self.at = end;
        let negated = self.scope.negates(word);
        (self.visit)(Token { kind: TokenKind::Word, word, start, end, negated, ..Token::PLAIN });
        true
    }

    /// Emits a token without attributes, `length` bytes long.
    fn plain(&mut self, kind: TokenKind, word: &str, length: usize) {
        let (start, end) = (self.at, self.at + length);
        self.at = end;
        (self.visit)(Token { kind, word, start, end, ..Token::PLAIN });
    }

    fn name(&mut self, kind: TokenKind) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = 1 + rest[1..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len() - 1);
        self.plain(kind, "@", length);
    }

    fn tag(&mut self) {
        self.at += 1;
        self.word(true);
    }

    fn link(&mut self, rest: &str) {
        self.plain(TokenKind::Link, "http", rest.find(char::is_whitespace).unwrap_or(rest.len()));
    }

    fn emoji(&mut self, c: char) {
        self.plain(TokenKind::Emoji, c.encode_utf8(&mut [0; 4]), c.len_utf8());
    }

    fn number(&mut self, rest: &str, sign: bool) {
        let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | ':');
        let skip = if sign { rest.chars().next().map_or(0, char::len_utf8) } else { 0 };
        let end = skip + rest[skip..].find(|c| !digits(c)).unwrap_or(rest.len() - skip);
        let end = rest[..end].trim_end_matches(['.', ',', ':']).len();
        let money = sign || rest[end..].starts_with(['$', '£', '€']);
        let (kind, word) = if money { (TokenKind::Money, "0$") } else { (TokenKind::Number, "0") };
        self.scope.reaches();
        self.plain(kind, word, end);
    }

    fn mark(&mut self, rest: &str, c: char) {
        let length = rest.len() - rest.trim_start_matches(['!', '?']).len();
        let both = rest[..length].contains('!') && rest[..length].contains('?');
        self.scope.end();
        let word = if both {
            "?!"
        } else if c == '!' {
            "!"
        } else {
            "?"
        };
        let (start, end) = (self.at, self.at + length);
        self.at = end;
        (self.visit)(Token {
            kind: TokenKind::Punctuation,
            word,
            start,
            end,
            stretched: length > 1,
            ..Token::PLAIN
        });
    }

    fn pause(&mut self, rest: &str, c: char) {
        self.scope.end();
        let length = rest.len() - rest.trim_start_matches(c).len();
        if c == '\u{2026}' || (c == '.' && length > 1) {
            self.plain(TokenKind::Punctuation, "...", length);
        } else {
            self.at += length;
        }
    }

    /// Reads a word letter by letter into the buffer.
    fn word(&mut self, tag: bool) {
        let start = self.at - usize::from(tag);
        self.word.clear();
        let (mut upper, mut letters, mut run, mut stretched, mut last) = (0_u32, 0_u32, 0_u32, false, '\0');
        while let Some((c, length)) = self.letter(tag) {
            let apostrophe = is_apostrophe(c);
            self.at += length;
            letters += u32::from(c.is_alphabetic());
            upper += u32::from(c.is_uppercase());
            if c == '_' {
                continue;
            }
            let lower = if apostrophe { '\'' } else { lower(c) };
            run = if lower == last { run + 1 } else { 1 };
            last = lower;
            stretched |= run > 2 && c.is_alphabetic();
            if (run <= 2 || !c.is_alphabetic()) && self.word.len() + lower.len_utf8() <= LONGEST_WORD {
                self.word.push(lower);
            }
        }
        while self.word.ends_with('\'') {
            self.word.pop();
        }
        if self.word.is_empty() {
            return;
        }
        let text = self.text;
        let mut shouting = || *self.shouting.get_or_insert_with(|| is_all_capitals(text));
        let capitals = letters >= 2 && upper == letters && !shouting();
        let (end, negated) = (self.at, self.scope.negates(self.word));
        let word = &*self.word;
        (self.visit)(Token { kind: TokenKind::Word, word, start, end, negated, capitals, stretched, tag });
    }

    /// Returns the next character of a word and its length in the text; an HTML entity counts as one
    /// character.
    fn letter(&self, tag: bool) -> Option<(char, usize)> {
        let rest = self.text.get(self.at..)?;
        let c = rest.chars().next()?;
        if c.is_alphanumeric() || (tag && c == '_') || (!tag && is_apostrophe(c)) {
            return Some((c, c.len_utf8()));
        }
        entity(rest).filter(|(c, _)| is_apostrophe(*c))
    }
}

fn lower(c: char) -> char {
    if c.is_ascii() { c.to_ascii_lowercase() } else { c.to_lowercase().next().unwrap_or(c) }
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{2018}' | '\u{b4}' | '`')
}

fn starts_name(rest: &str) -> bool {
    rest[1..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

fn is_link(rest: &str) -> bool {
    let begins = |scheme: &str| rest.get(..scheme.len()).is_some_and(|r| r.eq_ignore_ascii_case(scheme));
    begins("http://") || begins("https://") || begins("www.")
}

/// Returns whether a text starts with digits that no letter follows: `45` and `4:30`, but not `4th`.
fn is_number(rest: &str) -> bool {
    let end = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ',' | ':')).unwrap_or(rest.len());
    !rest[end..].starts_with(|c: char| c.is_alphabetic()) || rest[..end].ends_with(['.', ',', ':'])
}

/// Returns whether more than half of the letters, outside links and mentions, are capitals.
fn is_all_capitals(text: &str) -> bool {
    let (mut upper, mut lower) = (0_usize, 0_usize);
    for word in text.split_ascii_whitespace().filter(|w| !w.starts_with('@') && !w.starts_with("http")) {
        upper += word.bytes().filter(u8::is_ascii_uppercase).count();
        lower += word.bytes().filter(u8::is_ascii_lowercase).count();
    }
    upper > lower
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        Tokenizer::default().visit(text, &mut |t| {
            words.push(if t.negated { format!("not_{}", t.word) } else { t.word.to_owned() });
        });
        words
    }

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(words(text), expected, "{text}");
    }

    fn find(text: &str, word: &str) -> Token<'static> {
        let mut found = None;
        Tokenizer::default().visit(text, &mut |t| {
            if t.word == word {
                found = Some(Token { word: "", ..t });
            }
        });
        found.unwrap()
    }

    #[test]
    fn words_numbers_money_links_and_mentions() {
        check("@aldermere 45 min, $30.50 gone https://x.y/z", &["@", "0", "min", "0$", "gone", "http"]);
        check("on the 4th at 4:30, paid 20€.", &["on", "the", "4th", "at", "0", "paid", "0$"]);
        check("WWW.x.org me@home.org", &["http", "me", "home", "org"]);
        check("www.x.org http:x https://x wwax httpx", &["http", "http", "x", "http", "wwax", "httpx"]);
        check(
            "it isn`t so&#39;s caf\u{e9}s na\u{ef}ve",
            &["it", "isn't", "not_so's", "not_caf\u{e9}s", "not_na\u{ef}ve"],
        );
        check("caf\u{c9} &amp; it\u{2019}s &#39;ok&#39; don&#39;t", &["caf\u{e9}", "it's", "ok", "don't"]);
    }

    #[test]
    fn negation_reaches_four_words_or_to_a_mark_or_but() {
        check("not at all good now. bad", &["not", "not_at", "not_all", "not_good", "not_now", "bad"]);
        check("don't like it, works", &["don't", "not_like", "not_it", "works"]);
        check("never late but rude", &["never", "not_late", "but", "rude"]);
    }

    #[test]
    fn elongation_capitals_and_tags_are_noted() {
        check("SOOOOO slow!!! #PortalDown", &["soo", "slow", "!", "portaldown"]);
        assert!(find("it is SOOO slow today", "soo").stretched);
        assert!(find("it is SOOO slow today", "soo").capitals);
        assert!(!find("SOOO SLOW TODAY", "slow").capitals);
        assert!(find("so #slow", "slow").tag);
    }

    #[test]
    fn emoji_lose_their_variants_and_emoticons_have_a_mood() {
        check("\u{1F44D}\u{1F3FD}\u{1F621}\u{FE0F}", &["\u{1F44D}", "\u{1F621}"]);
        check("great :-) so sad :'( meh:/", &["great", ":)", "so", "sad", ":'(", "meh", ":/"]);
        check("hm o_O x-d xD T_T xd9 tt_t", &["hm", ":o", ":d", ":d", ":'(", "xd9", "tt", "t"]);
        check("&lt;3 <3 see: this 8 (no)", &["<3", "<3", "see", "this", "0", "no"]);
    }

    #[test]
    fn spans_are_where_the_token_stands() {
        let text = "so #Slow \u{1F621} today";
        let (tag, today) = (find(text, "slow"), find(text, "today"));
        assert_eq!((&text[tag.start..tag.end], &text[today.start..today.end]), ("#Slow", "today"));
    }

    #[test]
    fn any_text_is_cut() {
        let words = words(&"\u{0}a\u{301}\u{feff}\u{4e2d}".repeat(100));
        assert!(words.iter().all(|w| w.len() <= LONGEST_WORD));
        check("", &[]);
        check("'''' ---- ____", &[]);
    }
}
