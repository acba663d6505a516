//! `firewatch predict sentiment` as a user runs it: answers in order, flags in their place, bad lines told.

use firewatch_tests::{json_lines, piped};
use serde_json::{Value, json};

fn predict(args: &[&str], input: &[u8]) -> (bool, Vec<Value>, String) {
    let out = piped(&[&["predict", "sentiment"], args].concat(), input);
    (out.status.success(), json_lines(&out.stdout), String::from_utf8_lossy(&out.stderr).into_owned())
}

fn ask(args: &[&str], texts: &[&str]) -> Vec<Value> {
    let lines: String =
        texts.iter().enumerate().map(|(i, t)| format!("{}\n", json!({ "id": i, "text": t }))).collect();
    let (done, answers, said) = predict(args, lines.as_bytes());
    assert!(done, "{said}");
    assert_eq!(answers.len(), texts.len());
    answers
}

fn p(answer: &Value, key: &str) -> f64 {
    answer[key].as_f64().unwrap_or_else(|| panic!("no {key} in {answer}"))
}

#[test]
fn every_line_has_its_answer_in_order() {
    let texts = [
        "worst airline ever, two hours on hold",
        "thanks, you were so helpful!",
        "",
        "@x what time do you open?",
    ];
    for tier in ["fast", "best"] {
        let answers = ask(&["--tier", tier], &texts);
        for (i, answer) in answers.iter().enumerate() {
            assert_eq!(answer["id"], i);
            let sum = p(answer, "negative") + p(answer, "neutral") + p(answer, "positive");
            assert!((sum - 1.0).abs() < 1e-3, "{answer}");
            assert!(!answer["why"].as_array().unwrap().is_empty(), "{answer}");
            assert!(p(answer, "complaint") <= 1.0 && p(answer, "arousal") <= 1.0);
        }
        assert!(p(&answers[0], "negative") > 0.6 && p(&answers[0], "complaint") > 0.5, "{}", answers[0]);
        assert!(p(&answers[1], "positive") > 0.6 && p(&answers[1], "complaint") < 0.5, "{}", answers[1]);
        assert!(answers[0]["why"].to_string().contains("worst"), "{}", answers[0]);
    }
}

#[test]
fn broken_lines_are_answered_with_their_number() {
    let input = b"{\"id\":\"a\",\"text\":\"fine\"}\nnot json\n\n{\"id\":\"b\"}\n{\"id\":[],\"text\":\"x\"}\n\xff\xfe\n{\"id\":\"c\",\"text\":\"fine\"}\n";
    let (done, answers, _) = predict(&[], input);
    assert!(done);
    let lines: Vec<Value> = answers.iter().map(|a| a["line"].clone()).collect();
    assert_eq!(lines, [json!(null), json!(2), json!(3), json!(4), json!(5), json!(6), json!(null)]);
    assert_eq!((&answers[0]["id"], &answers[6]["id"]), (&json!("a"), &json!("c")));
    assert!(answers[3]["error"].as_str().unwrap().contains("missing field `text`"));
}

#[test]
fn flags_say_where_they_stand_in_characters() {
    let text = "caf\u{e9} \u{1F621} my lawyer will call. Mail jo@example.org";
    let answer = &ask(&[], &[text])[0];
    let cut = |flag: &Value| -> String {
        let at = |key: &str| flag[key].as_u64().unwrap() as usize;
        text.chars().skip(at("start")).take(at("end") - at("start")).collect()
    };
    let flags: Vec<(String, String)> = answer["flags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["kind"].as_str().unwrap().to_owned(), cut(f)))
        .collect();
    let flag = |kind: &str, text: &str| (kind.to_owned(), text.to_owned());
    assert_eq!(flags, [flag("legal_threat", "my lawyer"), flag("personal_data", "jo@example.org")]);
    assert!(!answer["why"].to_string().contains("example.org"));
}

#[test]
fn a_language_that_is_not_read_is_not_guessed_at() {
    let texts = ["completamente inaceptable, nunca contestan el teléfono y no me ayudan", ""];
    let answers = ask(&["--tier", "best"], &texts);
    assert_eq!((&answers[0]["lang"], &answers[1]["lang"]), (&json!("es"), &json!("und")));
    assert!(answers[0]["why"][0].as_str().unwrap().contains("`es` is not read"));
    assert!((p(&answers[0], "negative") - 1.0 / 3.0).abs() < 1e-3);
}

#[test]
fn a_file_that_is_no_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.fwm");
    std::fs::write(&path, b"FWTEXT\r\n and no more").unwrap();
    let (done, _, said) = predict(&["--model", path.to_str().unwrap()], b"");
    assert!(!done && said.contains("--model") && said.contains("not a text model"), "{said}");
    let (done, _, said) = predict(&["--tier", "best", "--encoder", path.to_str().unwrap()], b"");
    assert!(!done && said.contains("--encoder"), "{said}");
    let (done, _, said) = predict(&["--model", "absent.fwm"], b"");
    assert!(!done && said.contains("absent.fwm"), "{said}");
}
