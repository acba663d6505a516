//! Recognises emoji, emoticons and the HTML entities that encode them.

/// Returns whether a character is an emoji or symbol. Variation selectors, joiners and skin tones are not, so
/// that variants of an emoji become the same token.
pub(super) fn is_pictograph(c: char) -> bool {
    let c = u32::from(c);
    matches!(c, 0x2190..=0x2BFF | 0x1F000..=0x1FAFF) && !matches!(c, 0x1F3FB..=0x1F3FF)
}

/// Decodes the HTML entity at the start of a text. Returns its character and its length in bytes.
pub(super) fn entity(text: &str) -> Option<(char, usize)> {
    const NAMED: [(&str, char); 7] = [
        ("&amp;", '&'),
        ("&lt;", '<'),
        ("&gt;", '>'),
        ("&quot;", '"'),
        ("&apos;", '\''),
        ("&nbsp;", ' '),
        ("&hellip;", '\u{2026}'),
    ];
    if let Some((name, c)) = NAMED.iter().find(|(name, _)| text.starts_with(name)) {
        return Some((*c, name.len()));
    }
    let digits = text.strip_prefix("&#")?;
    let end = digits.bytes().take(8).position(|b| b == b';')?;
    let (radix, number) = match digits.get(..end)?.strip_prefix(['x', 'X']) {
        Some(hex) => (16, hex),
        None => (10, digits.get(..end)?),
    };
    let c = char::from_u32(u32::from_str_radix(number, radix).ok()?)?;
    Some((c, end + 3))
}

/// Emoticons by mood. An emoticon that is a prefix of another follows it. Letters are in lower case.
const EMOTICONS: [(&str, &[&str]); 12] = [
    (":)", &[":-))", ":-)", ":))", ":)", "=)", "=]", ":]", ":-]", "(:", "^_^", "^.^", "^^", ":3"]),
    (":d", &[":-d", ":d", "=d", "xd", "x-d"]),
    (";)", &[";-)", ";)", ";d"]),
    (":p", &[":-p", ":p", "=p", "xp"]),
    ("<3", &["<3", "&lt;3"]),
    ("</3", &["</3", "&lt;/3"]),
    (":'(", &[":'-(", ":'(", "t_t", ";_;", ";("]),
    (">:(", &[">:-(", ">:(", "&gt;:(", ">:|", ":@", ">_<", ">.<"]),
    (":(", &[":-((", ":-(", ":((", ":(", "=(", "=[", ":[", "):"]),
    (":/", &[":-/", ":/", ":-\\", ":\\", "=/", ":-s", ":s"]),
    (":|", &[":-|", ":|", "=|", "-_-", "-.-"]),
    (":o", &[":-o", ":o", "o_o"]),
];

/// The possible first two bytes of an emoticon: for each first byte a bit set of second bytes.
const BEGINNINGS: [u128; 128] = {
    let mut beginnings = [0; 128];
    let (mut mood, mut face) = (0, 0);
    while mood < EMOTICONS.len() {
        let bytes = EMOTICONS[mood].1[face].as_bytes();
        let seconds = 1 << bytes[1] | 1 << bytes[1].to_ascii_uppercase();
        beginnings[bytes[0] as usize] |= seconds;
        beginnings[bytes[0].to_ascii_uppercase() as usize] |= seconds;
        face += 1;
        if face == EMOTICONS[mood].1.len() {
            (mood, face) = (mood + 1, 0);
        }
    }
    beginnings
};

/// Returns the mood of the emoticon at the start of a text and its length in bytes. `fresh` tests that no
/// letter or digit precedes it.
pub(super) fn emoticon(text: &str, fresh: impl Fn() -> bool) -> Option<(&'static str, usize)> {
    let [first @ ..128, second @ ..128, ..] = *text.as_bytes() else { return None };
    if BEGINNINGS[first as usize] & 1 << second == 0 || (first.is_ascii_alphabetic() && !fresh()) {
        return None;
    }
    for (mood, faces) in EMOTICONS {
        for face in faces {
            let here = text.get(..face.len()).is_some_and(|t| t.eq_ignore_ascii_case(face));
            if here && ends(face, &text[face.len()..]) {
                return Some((mood, face.len()));
            }
        }
    }
    None
}

/// Returns whether an emoticon may end before `rest`. A slash must never follow, as in `://`, and after one
/// with a letter at its end or of two characters no letter or digit.
fn ends(face: &str, rest: &str) -> bool {
    let lettered = face.ends_with(|c: char| c.is_ascii_alphanumeric());
    !rest.starts_with(|c: char| c == '/' || (c.is_alphanumeric() && (lettered || face.len() == 2)))
}
