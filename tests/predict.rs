//! `firewatch predict` as a user runs it: answers in order, flags with their positions, invalid lines
//! reported.

use firewatch_tests::{json_lines, piped};
use serde_json::{Value, json};

fn predict(args: &[&str], input: &[u8]) -> (bool, Vec<Value>, String) {
    let out = piped(&[&["predict", "sentiment"], args].concat(), input);
    (out.status.success(), json_lines(&out.stdout), String::from_utf8_lossy(&out.stderr).into_owned())
}

fn predict_texts(args: &[&str], texts: &[&str]) -> Vec<Value> {
    let lines: String =
        texts.iter().enumerate().map(|(i, t)| format!("{}\n", json!({ "id": i, "text": t }))).collect();
    let (done, answers, stderr) = predict(args, lines.as_bytes());
    assert!(done, "{stderr}");
    assert_eq!(answers.len(), texts.len());
    answers
}

fn p(answer: &Value, key: &str) -> f64 {
    answer[key].as_f64().unwrap_or_else(|| panic!("no {key} in {answer}"))
}

#[test]
fn every_line_is_answered_in_order() {
    let texts = [
        "worst airline ever, two hours on hold",
        "thanks, you were so helpful!",
        "",
        "@x what time do you open?",
    ];
    for tier in ["fast", "best"] {
        let answers = predict_texts(&["--tier", tier], &texts);
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
fn invalid_lines_are_reported_with_their_number() {
    let input = b"{\"id\":\"a\",\"text\":\"fine\"}\nnot json\n\n{\"id\":\"b\"}\n{\"id\":[],\"text\":\"x\"}\n\xff\xfe\n{\"id\":\"c\",\"text\":\"fine\"}\n";
    let (done, answers, _) = predict(&[], input);
    assert!(done);
    let lines: Vec<Value> = answers.iter().map(|a| a["line"].clone()).collect();
    assert_eq!(lines, [json!(null), json!(2), json!(3), json!(4), json!(5), json!(6), json!(null)]);
    assert_eq!((&answers[0]["id"], &answers[6]["id"]), (&json!("a"), &json!("c")));
    assert!(answers[3]["error"].as_str().unwrap().contains("missing field `text`"));
}

#[test]
fn flags_have_positions_in_characters() {
    let text = "caf\u{e9} \u{1F621} my lawyer will call. Mail jo@example.org";
    let answer = &predict_texts(&[], &[text])[0];
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
fn unsupported_languages_get_no_prediction() {
    let texts = ["completamente inaceptable, nunca contestan el teléfono y no me ayudan", ""];
    let answers = predict_texts(&["--tier", "best"], &texts);
    assert_eq!((&answers[0]["lang"], &answers[1]["lang"]), (&json!("es"), &json!("und")));
    assert!(answers[0]["why"][0].as_str().unwrap().contains("`es` is not supported"));
    assert!((p(&answers[0], "negative") - 1.0 / 3.0).abs() < 1e-3);
}

#[test]
fn a_file_that_is_not_a_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.fwm");
    std::fs::write(&path, b"FWTEXT\r\n and no more").unwrap();
    let (done, _, stderr) = predict(&["--model", path.to_str().unwrap()], b"");
    assert!(!done && stderr.contains("--model") && stderr.contains("not a text model"), "{stderr}");
    let (done, _, stderr) = predict(&["--tier", "best", "--encoder", path.to_str().unwrap()], b"");
    assert!(!done && stderr.contains("--encoder"), "{stderr}");
    let (done, _, stderr) = predict(&["--model", "absent.fwm"], b"");
    assert!(!done && stderr.contains("absent.fwm"), "{stderr}");
}

/// Returns the rows of `predict virality`: name, observed, predicted, low80, high80, p_viral.
fn cascades(args: &[&str], csv: &str) -> (bool, Vec<(String, [f64; 5])>, String) {
    let out = piped(&[&["predict", "virality"], args].concat(), csv.as_bytes());
    let text = String::from_utf8(out.stdout).unwrap();
    let mut lines = text.lines();
    if out.status.code() != Some(2) {
        assert_eq!(lines.next(), Some("cascade,observed,predicted,low80,high80,p_viral"));
    }
    let rows = lines.map(|line| {
        let (name, numbers) = line.split_once(',').unwrap();
        let numbers: Vec<f64> = numbers.split(',').map(|n| n.parse().unwrap()).collect();
        (name.to_owned(), numbers.try_into().unwrap())
    });
    (out.status.success(), rows.collect(), String::from_utf8_lossy(&out.stderr).into_owned())
}

/// Returns a cascade that slows down, with or without users and followers in its rows.
fn cascade(name: &str, reshares: u32, has_accounts: bool) -> Vec<String> {
    let row = |i: u32| {
        let (t, who) = (
            f64::from(i) * f64::from(i) / 4.0,
            if has_accounts { format!("{},u{i}", i % 900) } else { ",".into() },
        );
        format!("{name},{t},{who}")
    };
    (0..=reshares).map(row).collect()
}

fn csv(rows: &[String]) -> String {
    format!("cascade,t_s,followers,user\n{}\n", rows.join("\n"))
}

#[test]
fn forecasts_use_only_rows_up_to_the_given_age() {
    let all = csv(&[cascade("a", 100, true), cascade("b", 300, false)].concat());
    let (done, rows, stderr) = cascades(&["--at", "600"], &all);
    assert!(done && stderr.is_empty(), "{stderr}");
    assert_eq!(rows.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    for (name, [observed, predicted, low, high, p]) in &rows {
        assert_eq!(*observed, 48.0, "{name}");
        assert!(observed <= low && low <= predicted && predicted < high, "{name}: {low} {predicted} {high}");
        assert!((0.0..1.0).contains(p));
    }
    let early: Vec<String> = cascade("a", 48, true).into_iter().chain(cascade("b", 48, false)).collect();
    assert_eq!(cascades(&["--at", "600"], &csv(&early)).1, rows, "later rows must not be used");
    let (_, low_bar, _) = cascades(&["--at", "600", "--bar", "60"], &all);
    assert!(low_bar[0].1[4] > rows[0].1[4]);
    let larger = csv(&[cascade("a", 48, false), cascade("b", 490, false)].concat());
    let (_, crossed, _) = cascades(&["--at", "60000", "--bar", "48"], &larger);
    let [just, tenfold] = [&crossed[0].1, &crossed[1].1].map(|n| n[4]);
    assert!(
        1.0 - 2e-6 < just && just < tenfold && tenfold < 1.0,
        "cascades past the bar are still ordered: {crossed:?}"
    );
}

#[test]
fn shuffled_and_repeated_rows_change_no_forecast() {
    let rows = cascade("a", 200, true);
    let (_, plain, _) = cascades(&["--at", "3600"], &csv(&rows));
    let mut mixed = [rows.clone(), rows].concat();
    mixed[1..]
        .sort_by_key(|row| row.bytes().fold(7_u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b))));
    assert_eq!(cascades(&["--at", "3600"], &csv(&mixed)).1, plain);
}

#[test]
fn new_and_idle_cascades_have_a_forecast_too() {
    let rows = ["a,0,235,u".to_owned(), "b,0,,".to_owned(), "c,0,1000000,v".to_owned()];
    for share in ["1", "0.03"] {
        let (done, forecasts, _) = cascades(&["--at", "0", "--takes-off", share], &csv(&rows));
        assert!(done && forecasts.len() == 3);
        assert!(forecasts.iter().all(|(_, n)| n[0] == 0.0 && n[2] <= n[1] && n[1] <= n[3]), "{forecasts:?}");
    }
    let (_, forecasts, _) = cascades(&["--at", "60", "--takes-off", "0.03"], &csv(&rows));
    assert!(
        forecasts[0].1[1] == 0.0 && forecasts[0].1[4] < 0.01,
        "235 followers, no reshares: {:?}",
        forecasts[0]
    );
    assert!(forecasts[2].1[4] > forecasts[0].1[4], "more followers raise the forecast: {forecasts:?}");
}

#[test]
fn invalid_cascade_rows_are_reported_and_the_others_forecast() {
    let text = "cascade,t_s,followers,user\na,0,10,u\na,soon,10,u\na,5,10,w\n";
    let (done, rows, stderr) = cascades(&["--at", "60"], text);
    assert!(!done && rows.len() == 1 && rows[0].1[0] == 1.0);
    assert!(stderr.contains("standard input, line 3: `t_s` is `soon`; give seconds from 0"), "{stderr}");
    assert!(stderr.contains("1 invalid row left out"), "{stderr}");
    let (done, rows, stderr) = cascades(&["--at", "60"], "id,when\n1,2\n");
    assert!(!done && rows.is_empty() && stderr.contains("give `cascade,t_s,followers,user`"), "{stderr}");
    assert!(cascades(&["--at", "-1"], text).2.contains("give a number of seconds, 0 or more"));
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("m");
    std::fs::write(&model, [b"FWVIRA\r\n".as_slice(), &[9; 40]].concat()).unwrap();
    let (done, _, stderr) = cascades(&["--at", "60", "--model", model.to_str().unwrap()], text);
    assert!(!done && stderr.contains("--model: a virality model of version"), "{stderr}");
}
