//! Varied posts and drafts from templates, slots and noise, with what is to be found in them.
//!
//! A third of the templates and slots is held out: no rule is mended on it, and its figures are those of texts that the
//! rules have not seen.

use std::collections::HashMap;

/// Which part of the templates a text comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The rules are mended on it.
    Known,
    /// Nobody looks at it.
    HeldOut,
}

/// A text and the spans marked in it, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedText {
    /// The text without marks.
    pub text: String,
    /// The kind, start and end of each marked span.
    pub spans: Vec<(String, usize, usize)>,
}

/// Returns `times` posts from each template of a part.
#[must_use]
pub fn posts(part: Part, times: usize) -> Vec<GeneratedText> {
    let (slots, templates) = match part {
        Part::Known => (
            include_str!("../privacy/generated/slots_known.txt"),
            concat!(
                include_str!("../privacy/generated/posts_known.txt"),
                include_str!("../privacy/generated/posts_known_2.txt"),
                include_str!("../privacy/generated/posts_known_3.txt"),
                include_str!("../privacy/generated/posts_known_4.txt"),
                include_str!("../privacy/generated/posts_known_5.txt"),
                include_str!("../privacy/generated/posts_known_6.txt")
            ),
        ),
        Part::HeldOut => (
            include_str!("../privacy/generated/slots_held_out.txt"),
            include_str!("../privacy/generated/posts_held_out.txt"),
        ),
    };
    let mut generator = Generator::new(slots);
    let templates = templates.lines().filter(|line| !line.is_empty());
    let many = templates.flat_map(|template| std::iter::repeat_n(template, times));
    many.map(|template| generator.post(template)).collect()
}

/// Returns `times` drafts from each template of a part, each with the faults that it has.
#[must_use]
pub fn drafts(part: Part, times: usize) -> Vec<(Vec<&'static str>, String)> {
    let (slots, templates) = match part {
        Part::Known => (
            include_str!("../privacy/generated/slots_known.txt"),
            concat!(
                include_str!("../privacy/generated/drafts_known.txt"),
                include_str!("../privacy/generated/drafts_known_2.txt"),
                include_str!("../privacy/generated/drafts_known_3.txt"),
                include_str!("../privacy/generated/drafts_known_4.txt")
            ),
        ),
        Part::HeldOut => (
            include_str!("../privacy/generated/slots_held_out.txt"),
            include_str!("../privacy/generated/drafts_held_out.txt"),
        ),
    };
    let mut generator = Generator::new(slots);
    let templates = templates.lines().filter_map(|line| line.split_once(" | "));
    let many = templates.flat_map(|template| std::iter::repeat_n(template, times));
    many.map(|(faults, template)| {
        let faults = faults.split(',').filter(|fault| *fault != "ok").collect();
        (faults, generator.expand(template).text)
    })
    .collect()
}

struct Generator {
    slots: HashMap<&'static str, Vec<&'static str>>,
    /// State of the random numbers (splitmix64), the same in each run.
    random: u64,
}

impl Generator {
    fn new(slots: &'static str) -> Self {
        let (mut by_name, mut name) = (HashMap::<_, Vec<_>>::new(), "");
        for line in slots.lines().filter(|line| !line.is_empty() && !line.starts_with("// ")) {
            match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                Some(heading) => name = heading,
                None => by_name.entry(name).or_default().push(line),
            }
        }
        Self { slots: by_name, random: 20_261_130 }
    }

    /// Returns a random number below `n`.
    fn below(&mut self, n: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    /// Expands a template, and adds what people add: line breaks, emoji, hashtags and no full stop at the end.
    fn post(&mut self, template: &str) -> GeneratedText {
        let mut post = self.expand(template);
        if self.below(8) == 0 {
            let inside = |at: usize, post: &GeneratedText| post.spans.iter().any(|s| s.1 <= at && at < s.2);
            if let Some(at) = post.text.find(". ").filter(|at| !inside(*at, &post)) {
                post.text.replace_range(at + 1..at + 2, "\n");
            }
        }
        if self.below(8) == 0 && post.text.ends_with('.') && post.spans.iter().all(|s| s.2 < post.text.len())
        {
            post.text.pop();
        }
        match self.below(12) {
            0 => post.text.push_str(" \u{1f621}"),
            1 => post.text.push_str(" #fail"),
            2 => post.text.push_str("\n\nThanks for nothing"),
            _ => {}
        }
        post
    }

    fn expand(&mut self, template: &str) -> GeneratedText {
        let mut made = GeneratedText { text: String::new(), spans: vec![] };
        self.expand_into(template, &mut made);
        made
    }

    fn expand_into(&mut self, template: &str, made: &mut GeneratedText) {
        let mut chars = template.chars();
        let mut open: Option<(String, usize)> = None;
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some('n') => made.text.push('\n'),
                    Some('u') => {
                        let code: String =
                            chars.by_ref().skip_while(|c| *c == '{').take_while(|c| *c != '}').collect();
                        let code = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                        made.text.push(code.unwrap_or_else(|| panic!("no code point in {template}")));
                    }
                    Some(escaped) => made.text.push(escaped),
                    None => panic!("a template ends with a backslash: {template}"),
                },
                '#' => self.push_from(made, b"0123456789"),
                '%' => self.push_from(made, b"23456789"),
                '~' => self.push_from(made, b"ABCDEFGHJKLMNPQRSTUVWXYZ"),
                '^' => self.push_from(made, b"abcdefghijklmnopqrstuvwxyz"),
                '<' => {
                    let name: String = chars.by_ref().take_while(|c| *c != '>').collect();
                    let of =
                        self.slots.get(name.as_str()).unwrap_or_else(|| panic!("no slot {name}")).clone();
                    let chosen = of[self.below(of.len())];
                    self.expand_into(chosen, made);
                }
                '{' => {
                    let kind = chars.by_ref().take_while(|c| *c != '|').collect();
                    open = Some((kind, made.text.len()));
                }
                '}' => {
                    let (kind, start) = open.take().unwrap_or_else(|| panic!("a stray brace in {template}"));
                    made.spans.push((kind, start, made.text.len()));
                }
                other => made.text.push(other),
            }
        }
    }

    fn push_from(&mut self, made: &mut GeneratedText, of: &[u8]) {
        made.text.push(of[self.below(of.len())] as char);
    }
}
