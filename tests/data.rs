//! On the real data sets: what the model cards say holds, and what is shipped can be made again.

use firewatch_engine::Models;
use firewatch_lab::encoder::say_all;
use firewatch_lab::figures::Figures;
use firewatch_lab::posts::{CLASSES, Choice, Post, Posts, Set};
use firewatch_lab::report::Report;
use firewatch_lab::{recording, sentiment, virality};
use firewatch_scoring::encoder::Encoder;
use firewatch_scoring::{Said, Scratch, SentimentModel};
use firewatch_tests::{data, root};
use vader_sentiment::SentimentIntensityAnalyzer;

/// The figure that a model card states, as `| set | ... | figure |` in the column given.
fn stated(card: &str, set: &str, column: usize) -> f64 {
    let text = std::fs::read_to_string(root().join("models").join(card)).unwrap();
    let mut rows = text.lines().filter(|l| l.starts_with(&format!("| {set} |")));
    let figure = rows.find_map(|row| row.split('|').nth(column + 1)?.trim().parse().ok());
    figure.unwrap_or_else(|| panic!("no figure for {set} in {card}"))
}

fn held_out(figures: &[Figures], set: &str) -> Figures {
    figures.iter().find(|f| f.set == set).cloned().unwrap_or_else(|| panic!("no figures for {set}"))
}

/// Holds figures to the table of a card whose sets are named with `prefix`.
fn hold(figures: &[Figures], card: &str, prefix: &str) {
    let near = |figure: f64, set: &str, column: usize, by: f64| {
        let stated = stated(card, &format!("{prefix}{set}"), column);
        assert!(
            (figure - stated).abs() < by,
            "{card}, {prefix}{set}, column {column}: {figure} is not {stated}"
        );
    };
    for f in figures {
        if let Some((recall, f1, negative)) = f.sentiment {
            near(100.0 * recall, &f.set, 2, 0.06);
            near(100.0 * f1, &f.set, 3, 0.06);
            near(negative, &f.set, 4, 0.0006);
        }
        if let Some((f1, ap)) = f.complaint {
            near(100.0 * f1, &f.set, 5, 0.06);
            near(ap, &f.set, 6, 0.0006);
        }
        if let Some(ap) = f.anger {
            near(ap, &f.set, 7, 0.0006);
        }
    }
}

#[test]
fn the_text_models_are_as_good_as_their_cards_say() {
    let Some(data) = data() else { return };
    let model = SentimentModel::from_bytes(Models::SHIPPED.sentiment).unwrap();
    let encoder = Encoder::from_bytes(&std::fs::read(root().join("models/encoder.fwm")).unwrap()).unwrap();
    let posts = Posts::read(&data, Choice::default()).unwrap().held_out;
    let fast = sentiment::evaluate(&model, &posts);
    println!("{fast}");
    hold(&fast.sets, "sentiment.md", "");
    hold(&fast.slices, "sentiment.md", "");
    let texts: Vec<&str> = posts.iter().map(|p| p.text.as_str()).collect();
    let second = say_all(&encoder, &texts, &mut |_| ()).unwrap();
    let report = Report::of(&posts, &second);
    println!("{report}");
    hold(&report.sets, "encoder.md", "");
    let mut scratch = Scratch::default();
    let both: Vec<Said> =
        texts.iter().zip(&second).map(|(text, said)| model.say(&mut scratch, text).mean(said)).collect();
    let report = Report::of(&posts, &both);
    println!("{report}");
    hold(&report.sets, "encoder.md", "both tiers, ");
}

#[test]
fn the_text_model_beats_vader_on_the_same_posts() {
    let Some(data) = data() else { return };
    let model = SentimentModel::from_bytes(Models::SHIPPED.sentiment).unwrap();
    let posts = Posts::read(&data, Choice::default()).unwrap().held_out;
    let figures = sentiment::evaluate(&model, &posts).sets;
    for (name, set) in [("SemEval 2016test", Set::SemevalMeasured), ("airline", Set::Airline)] {
        let of_set: Vec<&Post> = posts.iter().filter(|p| p.set == set).collect();
        let (ours, vader) = (held_out(&figures, name).sentiment.unwrap().0, vader_recall(&of_set));
        println!("{name}: macro recall {:.1}, VADER {:.1}", 100.0 * ours, 100.0 * vader);
        assert!(ours > vader + 0.08, "{name}: {ours} against {vader}");
    }
}

/// Macro recall of VADER with its customary bounds of 0.05.
fn vader_recall(posts: &[&Post]) -> f64 {
    let vader = SentimentIntensityAnalyzer::new();
    let (mut hits, mut all) = ([0.0; CLASSES.len()], [0.0; CLASSES.len()]);
    for post in posts {
        let Some(truth) = post.class else { continue };
        let compound = vader.polarity_scores(&post.text)["compound"];
        let said = if compound >= 0.05 { 2 } else { usize::from(compound > -0.05) };
        all[truth] += 1.0;
        hits[truth] += if said == truth { 1.0 } else { 0.0 };
    }
    hits.iter().zip(all).map(|(hits, all)| hits / all).sum::<f64>() / CLASSES.len() as f64
}

#[test]
fn training_twice_gives_the_same_bytes() {
    let Some(data) = data() else { return };
    let train = || {
        let folder = tempfile::tempdir().unwrap();
        let choice = Choice { every: 40, ..Choice::default() };
        let options = sentiment::Options { teacher: Some(root().join("models/encoder.fwm")), choice };
        sentiment::train(&data, folder.path(), &options, &mut |_| ()).unwrap();
        std::fs::read(folder.path().join("sentiment.fwm")).unwrap()
    };
    let first = train();
    assert!(first.len() > 100_000, "{} bytes", first.len());
    assert!(first == train(), "another model");
}

#[test]
fn the_virality_model_and_the_recording_are_what_their_makers_make() {
    let Some(data) = data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let text = SentimentModel::from_bytes(Models::SHIPPED.sentiment).unwrap();
    virality::train(&data, folder.path(), &text, &mut |_| ()).unwrap();
    let same = |made: &str, shipped: &str| {
        let made = std::fs::read(folder.path().join(made)).unwrap();
        assert!(
            made == std::fs::read(root().join(shipped)).unwrap(),
            "{shipped} is not what the command makes"
        );
    };
    same("virality.fwm", "models/virality.fwm");
    recording::record(&data, &folder.path().join("recording.jsonl"), 7).unwrap();
    same("recording.jsonl", "demo/recording.jsonl");
}

#[test]
fn no_raw_post_of_the_data_sets_is_in_the_recording() {
    let Some(data) = data() else { return };
    let recorded = std::fs::read_to_string(root().join("demo/recording.jsonl")).unwrap();
    let posts = Posts::read(&data, Choice::default()).unwrap();
    let long = posts.train.iter().filter(|p| p.text.len() > 60);
    assert!(long.into_iter().all(|p| !recorded.contains(&p.text)));
}
