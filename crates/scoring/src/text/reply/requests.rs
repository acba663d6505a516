//! Finds requests for identifiers or health details that are not confined to a private channel.
//!
//! A request is judged clause by clause: a public place ("below") makes it a fault, a private channel in the
//! clause excuses it, and a channel named before excuses what follows from it, but no question.

use std::ops::Range;

use super::channels::Channels;
use super::folded::{blank_out, clauses};
use crate::text::patterns::{Pattern, PatternFile};

const PATTERNS: PatternFile = PatternFile(include_str!("requests.txt"));

/// Compiled patterns for requests.
pub(super) struct Requests {
    request: Vec<Pattern>,
    anybody: Pattern,
    question: Vec<Pattern>,
    required: Vec<Pattern>,
    identifier: Vec<Pattern>,
    public: Pattern,
    no_place: Pattern,
    brand_writes: Pattern,
    negated: Pattern,
    follow_up: Pattern,
    answer: Vec<Pattern>,
    answer_with: Vec<Pattern>,
    private_matter: Pattern,
    redirects: Pattern,
    also: Pattern,
    breaks: Pattern,
}

/// A folded text in the forms in which it is searched. Positions are the same in all.
struct Views<'a> {
    text: &'a str,
    /// Without the words that look like a public place.
    places: String,
    /// Without denied channels and those in which the brand writes.
    offers: String,
}

/// A request that is a fault.
pub(super) struct Requested {
    /// The place of what is requested.
    pub object: Range<usize>,
    /// The clause of the request.
    pub clause: Range<usize>,
    /// The clause names a public place.
    public: bool,
}

/// What precedes a clause.
#[derive(Clone, Copy)]
struct Context {
    /// An earlier sentence offers a private channel.
    offered: bool,
    /// An earlier clause of the sentence offers one.
    directed: bool,
    /// The sentence offers one.
    confined: bool,
    /// The sentence before asks about a private matter.
    asked: bool,
    /// An identifier was named before, in this sentence or the one before.
    named: bool,
}

impl Requests {
    /// Reads the patterns.
    pub fn new() -> Self {
        let open = PATTERNS.each("open");
        let foreign = PATTERNS.each("foreign");
        Self {
            request: PATTERNS.each("request").into_iter().chain(foreign).chain(open).collect(),
            anybody: PATTERNS.joined("anybody"),
            question: PATTERNS.each("question"),
            required: PATTERNS.each("required"),
            identifier: PATTERNS.each("public_identifier"),
            public: PATTERNS.joined("public"),
            no_place: PATTERNS.joined("no_place"),
            brand_writes: PATTERNS.joined("brand_writes"),
            negated: PATTERNS.joined("negated"),
            follow_up: PATTERNS.joined("follow_up"),
            answer: PATTERNS.each("answer"),
            answer_with: PATTERNS.each("answer_with"),
            private_matter: PATTERNS.joined("private_matter"),
            redirects: PATTERNS.joined("redirects"),
            also: PATTERNS.joined("also"),
            breaks: PATTERNS.joined("breaks"),
        }
    }

    /// Returns the requests in the sentences of a folded text.
    pub fn find(&self, text: &str, sentences: &[Range<usize>], channels: &Channels) -> Vec<Requested> {
        let views = Views {
            text,
            places: blank_out(text, &self.no_place),
            offers: blank_out(&channels.without_denied(text), &self.brand_writes),
        };
        let mut found: Vec<Requested> = Vec::new();
        let (mut offered, mut asked, mut named, mut previous) = (false, false, false, 0);
        for sentence in sentences {
            let confined = channels.is_private(part(&views.offers, sentence));
            let mut context = Context { offered, directed: false, confined, asked, named };
            for clause in clauses(text, sentence, &self.breaks) {
                found.extend(self.find_in_clause(&views, &clause, context, channels));
                let words = part(text, &clause);
                context.named |= self.names_identifier(words) && !self.negated.is_match(words);
                context.directed |= channels.is_private(part(&views.offers, &clause));
            }
            if context.directed && self.redirects(&views, sentence) {
                found.pop_if(|last| last.clause.start >= previous && !last.public);
            }
            offered |= context.directed;
            let words = part(text, sentence);
            asked = words.ends_with('?') && self.private_matter.is_match(words);
            named = self.names_identifier(words) && !self.negated.is_match(words);
            previous = sentence.start;
        }
        found
    }

    fn names_identifier(&self, words: &str) -> bool {
        self.identifier.iter().any(|form| form.is_match(words))
    }

    /// Returns whether a sentence with a private channel moves the request before it there.
    fn redirects(&self, views: &Views, sentence: &Range<usize>) -> bool {
        let words = part(views.text, sentence);
        self.redirects.is_match(words)
            && !self.also.is_match(words)
            && !self.public.is_match(part(&views.places, sentence))
    }

    /// Returns whether the part of a clause around a match, between commas, is negated.
    fn is_negated(&self, words: &str, (whole, it): &(Range<usize>, Range<usize>)) -> bool {
        let start = words.get(..whole.start).and_then(|before| before.rfind(',')).unwrap_or(0);
        let after = words.get(it.end..).unwrap_or_default();
        let end = after.find(',').map_or(words.len(), |comma| it.end + comma);
        words.get(start..end).is_some_and(|part| self.negated.is_match(part))
    }

    fn find_in_clause(
        &self,
        views: &Views,
        clause: &Range<usize>,
        context: Context,
        channels: &Channels,
    ) -> Option<Requested> {
        let words = part(views.text, clause);
        let public = self.public.is_match(part(&views.places, clause));
        let at = |it: Range<usize>| Requested {
            object: clause.start + it.start..clause.start + it.end,
            clause: clause.clone(),
            public,
        };
        let required = find_object(&self.required, words);
        if let Some((_, it)) = required.filter(|_| !context.offered && !context.confined) {
            return Some(at(it));
        }
        let named = blank_out(words, &self.anybody);
        let find = |forms| find_object(forms, &named).filter(|it| !self.is_negated(words, it)).map(|it| it.1);
        let request = find(&self.request);
        let question = find(&self.question).or_else(|| {
            let asked = words.trim_end().ends_with('?');
            request.clone().filter(|_| asked)
        });
        let it = if public {
            let answer = || find(&self.answer).filter(|_| context.asked);
            let answer_with = || find(&self.answer_with).filter(|_| context.named);
            question.or(request).or_else(|| find(&self.identifier)).or_else(answer).or_else(answer_with)
        } else if channels.is_private(part(&views.offers, clause)) {
            None
        } else {
            let follows = context.directed || (context.offered && self.follow_up.is_match(words));
            question.or(request.filter(|_| !follows))
        };
        it.map(at)
    }
}

fn part<'a>(text: &'a str, range: &Range<usize>) -> &'a str {
    text.get(range.clone()).unwrap_or_default()
}

/// Returns the first match with its group `it`, the latter without a pronoun before it.
fn find_object(forms: &[Pattern], words: &str) -> Option<(Range<usize>, Range<usize>)> {
    let objects = forms.iter().filter_map(|form| {
        let groups = form.captures(words)?;
        let (whole, it) = (groups.get(0)?, groups.name("it")?);
        let pronoun = ["your ", "the "].iter().find(|word| it.as_str().starts_with(**word));
        Some((whole.range(), it.start() + pronoun.map_or(0, |word| word.len())..it.end()))
    });
    objects.min_by_key(|(_, it)| it.start)
}
