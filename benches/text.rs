//! Measures the cost of reading a post, as a ratio to parsing its JSON and to the `vader_sentiment` crate on
//! the same posts in the same run, and its growth with the length of the text.
//!
//! Uses the posts of the data sets in `FIREWATCH_DATA` if there are any, else those of the recording.

use std::hint::black_box;
use std::path::PathBuf;

use firewatch_benches::report;
use firewatch_domain::{Body, EventTime, Redaction};
use firewatch_engine::ModelFiles;
use firewatch_ingest::decode_event;
use firewatch_scoring::encoder::Encoder;
use firewatch_scoring::{Scratch, SentimentModel};
use firewatch_train::posts::{LabelledPosts, PostSelection};
use serde_json::{Value, json};
use vader_sentiment::SentimentIntensityAnalyzer;

const RECORDING: &str = include_str!("../demo/recording.jsonl");
const ENCODER: &[u8] = include_bytes!("../models/encoder.fwm");
const NOW: EventTime = EventTime::from_millis(1_790_000_000_000);

fn main() {
    let posts = posts();
    let lines: Vec<Vec<u8>> =
        posts.iter().map(|text| json!({"id": "1", "text": text}).to_string().into_bytes()).collect();
    let bytes: usize = posts.iter().map(String::len).sum();
    println!("{} posts of {:.0} bytes\n", posts.len(), bytes as f64 / posts.len() as f64);
    let model = SentimentModel::from_bytes(ModelFiles::SHIPPED.sentiment).unwrap_or_else(|e| panic!("{e}"));
    let encoder = Encoder::from_bytes(ENCODER).unwrap_or_else(|e| panic!("{e}"));
    let vader = SentimentIntensityAnalyzer::new();
    let few: Vec<&String> = posts.iter().step_by(posts.len() / 20).collect();
    let [mut one, mut two, mut three] = [(); 3].map(|()| Scratch::default());
    report([
        ("parse the post's JSON (serde_json::Value)", lines.len(), &mut || {
            lines.iter().for_each(|l| drop(black_box(serde_json::from_slice::<Value>(l))));
        }),
        ("say: probabilities and flags", posts.len(), &mut || {
            posts.iter().for_each(|p| _ = black_box(model.predict(&mut one, p)));
        }),
        ("read: with the language", posts.len(), &mut || {
            posts.iter().for_each(|p| drop(black_box(model.read(&mut two, p, None))));
        }),
        ("read, and keep every post's words", posts.len(), &mut || {
            for post in &posts {
                let mut analysis = model.read(&mut three, post, None);
                analysis.keep_words(&mut three, post, Redaction::Balanced);
                drop(black_box(analysis));
            }
        }),
        ("vader_sentiment", posts.len(), &mut || {
            posts.iter().for_each(|p| drop(black_box(vader.polarity_scores(p))));
        }),
        ("the second tier", few.len(), &mut || {
            few.iter().for_each(|p| _ = black_box(encoder.predict(p)));
        }),
        ("load the model", 1, &mut || {
            drop(black_box(SentimentModel::from_bytes(ModelFiles::SHIPPED.sentiment)))
        }),
    ]);
    println!("\nA text of n bytes; a record is one byte.");
    let long: String = posts.iter().flat_map(|p| [p, " "]).collect();
    let cut = |n: usize| long.get(..(n..).find(|i| long.is_char_boundary(*i)).unwrap_or(n)).unwrap_or(&long);
    let [a, b, c] = [1_000, 10_000, 100_000].map(cut);
    let mut scratch = [(); 3].map(|()| Scratch::default());
    let [x, y, z] = &mut scratch;
    report([
        ("1,000 bytes", a.len(), &mut || drop(black_box(model.read(x, a, None)))),
        ("10,000 bytes", b.len(), &mut || drop(black_box(model.read(y, b, None)))),
        ("100,000 bytes", c.len(), &mut || drop(black_box(model.read(z, c, None)))),
    ]);
}

fn posts() -> Vec<String> {
    let data = std::env::var_os("FIREWATCH_DATA").map_or_else(|| "../../shared/data".into(), PathBuf::from);
    if let Ok(posts) = LabelledPosts::read(&data, PostSelection::default()) {
        return posts.held_out.into_iter().map(|p| p.text).collect();
    }
    RECORDING
        .lines()
        .filter_map(|l| decode_event(l.as_bytes(), None, NOW).ok())
        .filter_map(|e| if let Body::Post(post) = e.body { Some(post.text) } else { None })
        .collect()
}
