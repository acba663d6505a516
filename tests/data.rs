//! On the real data sets: what the model cards say holds, and what is shipped can be made again.

use firewatch_lab::posts::Posts;
use firewatch_lab::{recording, train_sentiment, train_virality};
use firewatch_scoring::{SentimentModel, ViralityModel};
use firewatch_tests::{data, root};

/// The figure that a model card states, as `| set | ... | figure |` in the column given.
fn stated(card: &str, set: &str, column: usize) -> f64 {
    let text = std::fs::read_to_string(root().join("models").join(card)).unwrap();
    let mut rows = text.lines().filter(|l| l.starts_with(&format!("| {set} |")));
    let figure = rows.find_map(|row| row.split('|').nth(column + 1)?.trim().parse().ok());
    figure.unwrap_or_else(|| panic!("no figure for {set} in {card}"))
}

#[test]
fn the_sentiment_model_is_as_good_as_its_card_says() {
    let Some(data) = data() else { return };
    let bytes = std::fs::read(root().join("models/sentiment.json")).unwrap();
    let model = SentimentModel::from_bytes(&bytes).unwrap();
    let figures = train_sentiment::evaluate(&model, &Posts::read(&data, true).unwrap());
    assert_eq!(figures.len(), 2);
    for f in figures {
        println!("{f:?}");
        assert!((100.0 * f.macro_recall - stated("sentiment.md", &f.set, 2)).abs() < 0.06, "{f:?}");
        assert!((f.negative_ap - stated("sentiment.md", &f.set, 4)).abs() < 0.0006, "{f:?}");
    }
}

#[test]
fn training_twice_gives_the_same_bytes() {
    let Some(data) = data() else { return };
    let train = || {
        let folder = tempfile::tempdir().unwrap();
        let options =
            train_sentiment::Options { every: 25, vocabulary: 300, ..train_sentiment::Options::default() };
        train_sentiment::train(&data, folder.path(), &options, &mut |_| ()).unwrap();
        std::fs::read(folder.path().join("sentiment.json")).unwrap()
    };
    assert_eq!(train(), train());
}

#[test]
fn the_virality_model_and_the_recording_are_what_their_makers_make() {
    let Some(data) = data() else { return };
    let folder = tempfile::tempdir().unwrap();
    train_virality::train(&data, folder.path(), &mut |_| ()).unwrap();
    let same = |made: &str, shipped: &str| {
        let made = std::fs::read(folder.path().join(made)).unwrap();
        assert!(
            made == std::fs::read(root().join(shipped)).unwrap(),
            "{shipped} is not what the command makes"
        );
    };
    same("virality.json", "models/virality.json");
    recording::record(&data, &folder.path().join("recording.jsonl"), 7).unwrap();
    same("recording.jsonl", "demo/recording.jsonl");
}

#[test]
fn the_virality_model_ranks_held_out_cascades_as_its_card_says() {
    let Some(data) = data() else { return };
    let bytes = std::fs::read(root().join("models/virality.json")).unwrap();
    let model = ViralityModel::from_bytes(&bytes).unwrap();
    for f in train_virality::evaluate(&model, &data).unwrap() {
        let row = format!("{}, {} min", f.set, f.age_min);
        println!("{row}: {f:?}");
        assert!((f.ap - stated("virality.md", &row, 3)).abs() < 0.0006, "{f:?}");
        assert!((f.mean_stated - stated("virality.md", &row, 4)).abs() < 0.0006, "{f:?}");
    }
}

#[test]
fn no_raw_post_of_the_data_sets_is_in_the_recording() {
    let Some(data) = data() else { return };
    let recorded = std::fs::read_to_string(root().join("demo/recording.jsonl")).unwrap();
    let posts = Posts::read(&data, true).unwrap();
    let long = posts.train.iter().filter(|p| p.text.len() > 60);
    assert!(long.into_iter().all(|p| !recorded.contains(&p.text)));
}
