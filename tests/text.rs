//! Robustness of the text model: capitals, links, names, spaces, emoji variants, negation, and bytes that are
//! not language.

use firewatch_domain::Redaction;
use firewatch_engine::ModelFiles;
use firewatch_scoring::{Scratch, SentimentModel, Unread};
use firewatch_tests::data;
use firewatch_train::figures::likeliest_class;
use firewatch_train::posts::{LabelledPosts, PostSelection};
use proptest::prelude::*;

fn model() -> SentimentModel {
    SentimentModel::from_bytes(ModelFiles::SHIPPED.sentiment).unwrap()
}

struct Labels(SentimentModel, Scratch);

impl Labels {
    fn new() -> Self {
        Self(model(), Scratch::default())
    }

    fn label(&mut self, text: &str) -> usize {
        likeliest_class(&self.0.predict(&mut self.1, text)).0
    }
}

/// Replaces emoji by variants with the same look: the coloured form, or another skin tone.
fn other_variants(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match u32::from(c) {
            0xFE0E | 0xFE0F | 0x1F3FB..=0x1F3FF => {}
            0x2600..=0x27BF => out.extend([c, '\u{FE0F}']),
            0x1F44A..=0x1F450 | 0x1F64B..=0x1F64F => out.extend([c, '\u{1F3FD}']),
            _ => out.push(c),
        }
    }
    out
}

fn capitals(text: &str) -> String {
    // Links and names keep their case: they are not words.
    let word =
        |w: &str| if w.starts_with(['@', 'h']) && w.len() > 8 { w.to_owned() } else { w.to_uppercase() };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

type Change<'a> = (&'a str, &'a dyn Fn(&str) -> String);

#[test]
fn changes_without_meaning_keep_the_label() {
    let Some(data) = data() else { return };
    let posts = LabelledPosts::read(&data, PostSelection::default()).unwrap().held_out;
    let changes: [Change<'_>; 6] = [
        ("upper case", &capitals),
        ("lower case", &|t| t.to_lowercase()),
        ("a link", &|t| format!("{t} https://example.org/a1B2")),
        ("two mentions", &|t| format!("@someone @another_1 {t}")),
        ("doubled spaces", &|t| t.replace(' ', "  ")),
        ("other variants of emoji", &other_variants),
    ];
    let mut labels = Labels::new();
    for (name, change) in changes {
        let same = posts.iter().filter(|p| labels.label(&p.text) == labels.label(&change(&p.text))).count();
        let share = same as f64 / posts.len() as f64;
        println!("{name}: {:.2}% of {} posts keep their label", 100.0 * share, posts.len());
        assert!(share >= 0.97, "{name}: {share}");
    }
    let changed = posts.iter().filter(|p| other_variants(&p.text) != p.text).count();
    assert!(changed >= 20, "only {changed} posts contain emoji with variants");
}

const SUBJECTS: [&str; 8] = [
    "the service",
    "this app",
    "the new plan",
    "the staff",
    "my flight",
    "the food",
    "your support team",
    "this phone",
];
const PRAISE: [&str; 8] = ["good", "great", "helpful", "amazing", "happy", "friendly", "awesome", "reliable"];

#[test]
fn negating_a_clause_changes_the_label() {
    let mut labels = Labels::new();
    let (mut clauses, mut turned) = (0, 0);
    for subject in SUBJECTS {
        for word in PRAISE {
            let pairs = [
                (format!("{subject} is {word}"), format!("{subject} is not {word}")),
                (
                    format!("{subject} was really {word} today"),
                    format!("{subject} wasn't really {word} today"),
                ),
            ];
            for (plain, negated) in pairs {
                if labels.label(&plain) == 2 {
                    clauses += 1;
                    turned += usize::from(labels.label(&negated) == 0);
                }
            }
        }
    }
    println!("{turned} of {clauses} positive clauses become negative when negated");
    assert!(clauses >= 100, "only {clauses} clauses were labelled positive");
    assert!(turned * 100 >= clauses * 97, "{turned} of {clauses}");
}

#[test]
fn the_word_cache_changes_no_prediction() {
    let mut once = Labels::new();
    let texts: Vec<String> = (0..40_000).map(|i| format!("word{i} #tag{i} not fine{i}, good")).collect();
    let last = texts.last().unwrap();
    let fresh = once.0.predict(&mut Scratch::default(), last);
    for text in &texts {
        once.0.predict(&mut once.1, text);
    }
    assert_eq!(once.0.predict(&mut once.1, last), fresh);
    // The same word as a tag, negated and plain.
    for text in ["#goodnews today", "not #goodnews today", "goodnewss today", "#goodnewss today"] {
        assert_eq!(
            once.0.predict(&mut once.1, text),
            once.0.predict(&mut Scratch::default(), text),
            "{text}"
        );
    }
}

#[test]
fn unsupported_languages_are_marked_unknown() {
    let (model, mut scratch) = (model(), Scratch::default());
    let mut read = |text: &str, lang: Option<&str>| {
        let analysis = model.read(&mut scratch, text, lang);
        (analysis.prediction.err(), analysis.lang)
    };
    let other = |lang: &'static str| (Some(Unread::OtherLanguage), lang.into());
    assert_eq!(
        read("completamente inaceptable, nunca contestan el teléfono y no me ayudan", None),
        other("es")
    );
    assert_eq!(
        read("C'est une honte, deux heures d'attente et personne ne répond au téléphone", None),
        other("fr")
    );
    assert_eq!(read("Seit zwei Stunden in der Warteschleife und niemand hilft mir", None), other("de"));
    assert_eq!(read("電話がつながらない、もう二時間です", None), other("ja"));
    // A tag is a hint; the words decide, when there are enough of them.
    assert_eq!(read("worst service ever", Some("pt-BR")), other("pt-BR"));
    assert_eq!(read("I will sue you for this", Some("nl")), (None, "en".into()));
    assert_eq!(read("Hah hah no.", Some("in")), other("in"));
    assert_eq!(read("ze nemen nooit op, twee uur gewacht", Some("nl")), other("nl"));
    let spanish = "Mi madre se quedó sin insulina por culpa de esta aseguradora. ¡Casi se muere!";
    assert_eq!(read(spanish, Some("en")), other("es"));
    assert_eq!(read("smh ur app sux bigly rn fr fr ngl", Some("en")), (None, "en".into()));
    assert_eq!(read("worst service ever, two hours on hold", Some("und")), (None, "en".into()));
    assert_eq!(read("grr lol", None), (None, "en".into()));
    assert_eq!(read("", None), (Some(Unread::NoText), "und".into()));
    assert_eq!(read("@you https://a.b", None), (Some(Unread::NoText), "und".into()));
}

#[test]
fn stars_are_part_of_what_a_review_says() {
    let (model, mut scratch) = (model(), Scratch::default());
    let mut read = |text: &str, lang: Option<&str>, stars: u8| {
        let mut reading = model.read(&mut scratch, text, lang);
        let plain = reading.prediction.map(|words| words.complaint);
        reading.rate(stars);
        let rated = reading.prediction.unwrap();
        (plain.ok(), rated.complaint, rated.sentiment.negative)
    };
    let (plain, complaint, negative) = read("Wow.", Some("en"), 1);
    assert!(plain.unwrap() < 0.3 && complaint >= 0.9 && negative >= 0.9);
    let (plain, complaint, _) = read("Great app, I love it", Some("en"), 5);
    assert!((complaint - plain.unwrap()).abs() < 1e-6, "good stars leave the words");
    let (plain, complaint, _) = read("Anmeldung geht nicht", Some("de"), 1);
    assert!(plain.is_none() && complaint >= 0.9, "words in another language are not read; the stars are");
    assert!(read("", None, 2).1 >= 0.7 && read("", None, 5).1 <= 0.1);
}

#[test]
fn a_damaged_or_newer_model_is_refused() {
    let bytes = ModelFiles::SHIPPED.sentiment;
    let refused = |bytes: &[u8]| SentimentModel::from_bytes(bytes).err().unwrap().to_string();
    assert!(refused(&bytes[..bytes.len() / 2]).contains("cut off"));
    let mut altered = bytes.to_vec();
    altered[bytes.len() / 2] ^= 4;
    assert!(refused(&altered).contains("checksum"));
    let mut newer = bytes.to_vec();
    newer[8] = 9;
    assert!(refused(&newer).contains("version 9"));
    assert!(refused(b"{}").contains("not a text model"));
    assert!(bytes.len() <= 16 << 20);
}

proptest! {
    #[test]
    fn any_text_can_be_read(text in "\\PC{0,400}", bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (model, mut scratch) = (model(), Scratch::default());
        for text in [text, String::from_utf8_lossy(&bytes).into_owned()] {
            let prediction = model.predict(&mut scratch, &text);
            let s = prediction.sentiment;
            prop_assert!((s.negative + s.neutral + s.positive - 1.0).abs() < 1e-4);
            prop_assert!((0.0..=1.0).contains(&prediction.complaint) && (0.0..=1.0).contains(&prediction.arousal));
            for flag in scratch.flags() {
                prop_assert!(text.get(flag.start..flag.end).is_some());
            }
            let mut analysis = model.read(&mut scratch, &text, None);
            analysis.keep_words(&mut scratch, &text, Redaction::Balanced);
            prop_assert!(analysis.evidence.len() <= 3 && analysis.topics.len() <= 12);
        }
    }
}
