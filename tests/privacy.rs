//! Personal data in posts written for this test, hard ones among them, is found and hidden.

use std::collections::BTreeMap;

use firewatch_domain::EventTime;
use firewatch_engine::{Effect, LineSource, Ruleset};
use firewatch_escalation::Policy;
use firewatch_scoring::text::{PersonalDataDetector, PersonalKind, PersonalSpan, ReplyChecker};
use firewatch_tests::generated::{self, GeneratedText, Part};
use firewatch_tests::{event, piped, post, reshare, run_lines};
use serde_json::Value;

/// A post without its marks, and the spans that were marked.
struct Marked {
    text: String,
    spans: Vec<PersonalSpan>,
}

fn kind(name: &str) -> PersonalKind {
    match name {
        "email" => PersonalKind::Email,
        "phone" => PersonalKind::Phone,
        "number" => PersonalKind::Number,
        "ssn" => PersonalKind::SocialSecurity,
        "card" => PersonalKind::Card,
        "birth" => PersonalKind::Birth,
        "address" => PersonalKind::Address,
        "health" => PersonalKind::Health,
        other => panic!("unknown kind {other}"),
    }
}

fn posts() -> Vec<Marked> {
    let lines = include_str!("privacy/posts.txt").lines().filter(|l| !l.starts_with("# "));
    lines.map(marked).collect()
}

fn marked(line: &str) -> Marked {
    let (mut text, mut spans, mut rest) = (String::new(), Vec::new(), line);
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let (name, after) = after.split_once('|').unwrap();
        let (it, after) = after.split_once('}').unwrap();
        spans.push(PersonalSpan { start: text.len(), end: text.len() + it.len(), kind: kind(name) });
        text.push_str(it);
        rest = after;
    }
    text.push_str(rest);
    Marked { text, spans }
}

/// Numbers of spans of a kind: found, marked, right and reported.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    found: f64,
    marked: f64,
    right: f64,
    reported: f64,
}

/// Whether a marked span counts as found. An identifier is found when all its letters and digits are hidden;
/// of a number only the words with digits count, because "file no." identifies nobody. A condition is found
/// when any part of it is hidden: the words around it, such as "stage 3", reveal nothing alone.
fn is_found(text: &str, span: &PersonalSpan, reported: &[PersonalSpan]) -> bool {
    let hidden = |at: usize| reported.iter().any(|t| t.start <= at && at < t.end);
    let it = &text[span.start..span.end];
    let names = |word: &str| span.kind != PersonalKind::Number || word.contains(|c: char| c.is_ascii_digit());
    let mut letters = it
        .match_indices(|c: char| c.is_alphanumeric())
        .filter(|(at, _)| names(word_at(it, *at)))
        .map(|(at, _)| hidden(span.start + at));
    if span.kind == PersonalKind::Health { letters.any(|h| h) } else { letters.all(|h| h) }
}

fn word_at(text: &str, at: usize) -> &str {
    let start = text[..at].rfind(' ').map_or(0, |space| space + 1);
    text[start..].split(' ').next().unwrap_or_default()
}

fn measure(posts: &[Marked], finder: &PersonalDataDetector, prints: bool) -> BTreeMap<PersonalKind, Counts> {
    let mut counts: BTreeMap<PersonalKind, Counts> = BTreeMap::new();
    for Marked { text, spans } in posts {
        let reported = finder.find(text);
        for span in spans {
            let of = counts.entry(span.kind).or_default();
            of.marked += 1.0;
            if is_found(text, span, &reported) {
                of.found += 1.0;
            } else if prints {
                println!("missed {:?} in: {text}", &text[span.start..span.end]);
            }
        }
        for t in &reported {
            let of = counts.entry(t.kind).or_default();
            of.reported += 1.0;
            if spans.iter().any(|s| s.start < t.end && t.start < s.end) {
                of.right += 1.0;
            } else if prints {
                println!("wrongly {:?} {:?} in: {text}", t.kind, &text[t.start..t.end]);
            }
        }
    }
    counts
}

/// Returns recall and precision over some kinds.
fn rates(counts: &BTreeMap<PersonalKind, Counts>, of: impl Fn(PersonalKind) -> bool) -> (f64, f64) {
    let mut all = Counts::default();
    for (_, c) in counts.iter().filter(|(kind, _)| of(**kind)) {
        all.found += c.found;
        all.marked += c.marked;
        all.right += c.right;
        all.reported += c.reported;
    }
    (all.found / all.marked, all.right / all.reported)
}

#[test]
fn personal_data_is_found_with_few_false_positives() {
    let (posts, finder) = (posts(), PersonalDataDetector::shipped().unwrap());
    assert!(posts.len() >= 300);
    let counts = measure(&posts, finder, true);
    println!("{} posts\n| kind | marked | recall | precision |\n|---|---|---|---|", posts.len());
    for kind in PersonalKind::ALL {
        let (recall, precision) = rates(&counts, |k| k == kind);
        let marked = counts.get(&kind).map_or(0.0, |c| c.marked);
        println!("| {kind:?} | {marked} | {recall:.3} | {precision:.3} |");
        assert!(
            recall >= 0.97
                && precision
                    >= if matches!(kind, PersonalKind::Health | PersonalKind::Card) { 0.85 } else { 0.9 },
            "{kind:?}: {recall} {precision}"
        );
    }
    let (recall, precision) = rates(&counts, |k| k != PersonalKind::Health);
    println!("| identifiers | | {recall:.3} | {precision:.3} |");
}

/// Returns generated posts with their marks.
fn generated_posts(part: Part) -> Vec<Marked> {
    let marked = |generated: GeneratedText| {
        let spans = generated.spans.into_iter();
        let spans = spans.map(|(name, start, end)| PersonalSpan { start, end, kind: kind(&name) }).collect();
        Marked { text: generated.text, spans }
    };
    generated::posts(part, 6).into_iter().map(marked).collect()
}

/// Prints the figures of a part and returns recall and precision of identifiers and of health data.
fn figures(part: Part) -> [(f64, f64); 2] {
    let counts =
        measure(&generated_posts(part), PersonalDataDetector::shipped().unwrap(), part == Part::Known);
    for (kind, of) in &counts {
        println!("{part:?} {kind:?}: {} marked, recall {:.3}", of.marked, of.found / of.marked);
    }
    let [identifiers, health] =
        [rates(&counts, |k| k != PersonalKind::Health), rates(&counts, |k| k == PersonalKind::Health)];
    println!(
        "{part:?}: identifiers {:.3} {:.3}, health {:.3} {:.3}",
        identifiers.0, identifiers.1, health.0, health.1
    );
    [identifiers, health]
}

/// The bounds are a little below what was measured; the docs have the figures. Nothing is mended on the part that is
/// held out, and its posts are not printed.
#[test]
fn personal_data_is_found_in_generated_posts() {
    let [identifiers, health] = figures(Part::Known);
    assert!(identifiers.0 >= 0.97 && identifiers.1 >= 0.98, "{identifiers:?}");
    assert!(health.0 >= 0.95 && health.1 >= 0.95, "{health:?}");
    let [identifiers, health] = figures(Part::HeldOut);
    assert!(identifiers.0 >= 0.93 && identifiers.1 >= 0.96, "{identifiers:?}");
    assert!(health.0 >= 0.83 && health.1 >= 0.81, "{health:?}");
}

/// Prints the figures of a part and returns which share of the drafts with faults is refused and which share of the
/// others passes.
fn draft_figures(part: Part) -> (f64, f64) {
    let checker = ReplyChecker::shipped().unwrap();
    let mut kinds: BTreeMap<&str, [f64; 2]> = BTreeMap::new();
    let (mut bad, mut refused, mut good, mut passed) = (0.0, 0.0, 0.0, 0.0);
    for (faults, draft) in generated::drafts(part, 6) {
        let found: Vec<&str> = checker.faults(&draft).iter().map(|fault| fault.kind.name()).collect();
        for fault in &faults {
            let [marked, right] = kinds.entry(fault).or_default();
            *marked += 1.0;
            *right += f64::from(u8::from(found.contains(fault)));
        }
        let (all, right) =
            if faults.is_empty() { (&mut good, &mut passed) } else { (&mut bad, &mut refused) };
        *all += 1.0;
        *right += f64::from(u8::from(found.is_empty() == faults.is_empty()));
    }
    for (kind, [marked, right]) in &kinds {
        println!("{part:?} {kind}: {marked} marked, recall {:.3}", right / marked);
    }
    println!("{part:?}: {bad} bad, refused {:.3}; {good} good, passed {:.3}", refused / bad, passed / good);
    (refused / bad, passed / good)
}

/// The bounds are a little below what was measured. Nothing is mended on the part that is held out, and its drafts are
/// not printed.
#[test]
fn drafts_are_judged_in_generated_sets() {
    let (refused, passed) = draft_figures(Part::Known);
    assert!(refused >= 0.97 && passed >= 0.97, "{refused} {passed}");
    let (refused, passed) = draft_figures(Part::HeldOut);
    assert!(refused >= 0.85 && passed >= 0.87, "{refused} {passed}");
}

#[test]
fn the_guard_passes_safe_drafts_and_refuses_others_with_reasons() {
    let drafts = include_str!("privacy/replies.txt").lines().filter(|l| !l.starts_with("# "));
    for (expected, draft) in drafts.map(|line| line.split_once(" | ").unwrap()) {
        let out = piped(&["guard", "--json"], draft.as_bytes());
        let verdict: Value = serde_json::from_slice(&out.stdout).unwrap();
        let mut kinds: Vec<&str> =
            verdict["faults"].as_array().unwrap().iter().map(|f| f["kind"].as_str().unwrap()).collect();
        kinds.dedup();
        let ok = expected == "ok";
        assert_eq!(kinds.join(","), if ok { "" } else { expected }, "{draft}: {verdict}");
        assert_eq!(
            (out.status.code(), verdict["send"].as_bool()),
            (Some(i32::from(!ok)), Some(ok)),
            "{draft}"
        );
        assert!(!ok || verdict["channels"].as_array().is_some(), "{verdict}");
    }
    let out = piped(&["guard"], b"Sorry! What's your member ID?");
    let output = String::from_utf8(out.stdout).unwrap();
    assert!(
        output.starts_with("must not be sent: \u{201c}member ID\u{201d} asks for identifiers in public;"),
        "{output}"
    );
    assert!(output.contains("offers no private channel; add one"), "{output}");
    let out = piped(&["guard"], b"Please DM us.");
    let output = String::from_utf8(out.stdout).unwrap();
    assert!(
        output.starts_with("nothing found; it offers direct messages\nlooked for words that"),
        "{output}"
    );
}

#[test]
fn a_draft_that_is_not_text_is_refused() {
    for draft in [b"please DM us \xff".as_slice(), &b"DM us ".repeat(20_000)] {
        let out = piped(&["guard"], draft);
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.code() == Some(1) && stderr.contains("the draft on standard input"), "{stderr}");
    }
}

#[test]
fn no_personal_data_reaches_any_output_topic() {
    let policy = Policy::parse("p", "[brands.aldermere]\n").unwrap();
    let ruleset = Ruleset::shipped(policy).unwrap();
    let (posts, mut lines) = (posts(), Vec::new());
    for (i, marked) in posts.iter().enumerate() {
        let (conversation, secs) = (format!("c{i}"), 60.0 * i as f64);
        // Angry, so that its text is kept, and reshared, so that PR is notified.
        let text = format!("{} The worst, so angry and disgusted!", marked.text);
        let mut events = vec![event("p", &conversation, secs, &post(900, &text))];
        events.extend((0..700).map(|r| {
            event(
                &format!("r{r}"),
                &conversation,
                secs + 0.05 * f64::from(r),
                &reshare(&format!("a{r}"), 900),
            )
        }));
        lines.extend(events.iter().map(Value::to_string));
    }
    let file = LineSource { name: "test", arrival: EventTime::from_millis(1_790_000_000_000) };
    let (effects, tally) = run_lines(&ruleset, file, lines);
    assert_eq!(tally.rejected, 0);
    let (mut reported, mut leaks) = (0, Vec::new());
    for effect in &effects {
        let mut record = Vec::new();
        serde_json::to_writer(&mut record, &effect).unwrap();
        let record = String::from_utf8(record).unwrap();
        let pr = matches!(effect, Effect::Escalation(e) if e.team == "pr" && e.conversation.starts_with('c'));
        reported += usize::from(pr && record.contains("\"excerpt\":"));
        let Some(key) = effect.key().and_then(|k| std::str::from_utf8(k).ok()?.strip_prefix('c')) else {
            continue;
        };
        let Some(marked) = key.parse().ok().and_then(|i: usize| posts.get(i)) else { continue };
        for span in marked.spans.iter().filter(|s| s.kind != PersonalKind::Health || pr) {
            let secret = &marked.text[span.start..span.end];
            // Four digits occur in any record.
            if secret.len() > 4 && record.contains(secret) {
                leaks.push(secret);
            }
        }
    }
    assert!(reported > posts.len(), "{reported}");
    assert_eq!(leaks, Vec::<&str>::new());
}

#[test]
fn a_strict_policy_hides_what_may_be_nobodys() {
    let text = "Why does insulin cost that much, care@aldermere.example? Gate 4521, the worst, so angry and disgusted!";
    let excerpt = |policy: &str| {
        let ruleset = Ruleset::shipped(Policy::parse("p", policy).unwrap()).unwrap();
        let mut events = vec![event("p", "c", 0.0, &post(900, text))];
        events.extend(
            (0..700)
                .map(|r| event(&format!("r{r}"), "c", 0.05 * f64::from(r), &reshare(&format!("a{r}"), 900))),
        );
        let file = LineSource { name: "test", arrival: EventTime::from_millis(1_790_000_000_000) };
        let (effects, _) = run_lines(&ruleset, file, events.iter().map(Value::to_string));
        let mut excerpts = effects.iter().filter_map(|effect| match effect {
            Effect::Escalation(escalation) if escalation.team == "pr" => escalation.excerpt.clone(),
            _ => None,
        });
        excerpts.next_back().unwrap().to_string()
    };
    assert_eq!(excerpt("[brands.aldermere]\n"), text);
    assert_eq!(
        excerpt("redaction = \"strict\"\n[brands.aldermere]\n"),
        "Why does [health] cost that much, [e-mail]? Gate [number], the worst, so angry and disgusted!"
    );
}
