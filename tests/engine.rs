//! The topology on streams of events: which records it emits, and that order and repeats do not matter.

use firewatch_domain::{EventTime, ReasonKind, Reasons, Score, SignalBody};
use firewatch_engine::{
    Effect, Fold, Input, LineSource, LocalTopology, Outcome, Ruleset, Stream, Tally, Task,
};
use firewatch_escalation::Policy;
use firewatch_tests::{event, post, reshare, run_lines};
use serde_json::{Value, json};

const NOW: EventTime = EventTime::from_millis(1_790_000_000_000);
const ANGRY: &str = "This is terrible, the worst service ever, I am so angry and disgusted";

fn ruleset() -> Ruleset {
    let policy = Policy::parse("p", "[brands.aldermere]\nhandles = [\"@AldermereCare\"]\n").unwrap();
    Ruleset::shipped(policy).unwrap()
}

fn run(events: &[Value]) -> (Vec<Effect>, Tally) {
    run_with(&ruleset(), events)
}

fn run_with(ruleset: &Ruleset, events: &[Value]) -> (Vec<Effect>, Tally) {
    let lines = events.iter().map(Value::to_string);
    run_lines(ruleset, LineSource { name: "test", arrival: NOW }, lines)
}

fn summarize(effects: &[Effect]) -> Vec<String> {
    let lines = effects.iter().filter_map(|e| match e {
        Effect::Escalation(e) => Some(format!("{} {} {}", e.id, e.state, e.level)),
        _ => None,
    });
    lines.collect()
}

fn viral(n: u32) -> Vec<Value> {
    let mut all = vec![event("p", "c", 0.0, &post(900, ANGRY))];
    all.extend(
        (0..n).map(|i| event(&format!("r{i}"), "c", 5.0 + f64::from(i), &reshare(&format!("a{i}"), 400))),
    );
    all
}

#[test]
fn a_complaint_that_spreads_goes_to_pr_level_by_level_and_to_support_once() {
    let (effects, tally) = run(&viral(600));
    let summaries = summarize(&effects);
    assert!(summaries.contains(&"c/2026-03-10T14:00:00.000Z/pr/1/0 open medium".to_owned()), "{summaries:?}");
    assert!(summaries.iter().any(|t| t.ends_with("open critical")), "{summaries:?}");
    assert_eq!(summaries.iter().filter(|t| t.contains("/support/1/0")).count(), 1, "{summaries:?}");
    assert_eq!(tally.records, tally.scored + tally.folded + tally.rejected);
    for effect in &effects {
        let Effect::Escalation(e) = effect else { continue };
        assert!(!e.reasons.is_empty());
        let points: i32 = e.contributions.iter().map(|c| c.points.0).sum();
        assert!(e.contributions.is_empty() || Some(points) == e.risk.map(|r| r.0), "{e:?}");
    }
}

#[test]
fn passing_the_bar_is_emitted_even_when_the_risk_was_near_its_maximum() {
    let mut policy = ruleset().policy;
    // No change of risk reaches this step.
    policy.score_step = 50.0;
    let (effects, _) = run_with(&ruleset().with_policy(policy), &viral(1100));
    let crossing: Vec<u64> = scores(&effects)
        .into_iter()
        .filter(|score| score.viral >= 1.0)
        .map(|score| score.engagements.reshares)
        .collect();
    assert_eq!(crossing, [1000]);
}

#[test]
fn a_brand_replies_from_its_accounts_on_the_platform() {
    let policy = "[brands.aldermere]\nhandles = [\"@AldermereCare\"]\n\
                  [brands.aldermere.on.instagram]\nhandles = [\"17841400000\"]\n";
    let ruleset = Ruleset::shipped(Policy::parse("p", policy).unwrap()).unwrap();
    let answered = |platform: &str, author: &Value| {
        let reply = json!({ "post": { "id": "a", "in_reply_to": "p", "author": author, "text": "Sorry!" } });
        let mut events = [event("p", "c", 0.0, &post(90, ANGRY)), event("a", "c", 300.0, &reply)];
        events.iter_mut().for_each(|event| event["platform"] = platform.into());
        summarize(&run_with(&ruleset, &events).0).iter().any(|line| line.contains(" answered "))
    };
    let (by_id, by_handle) =
        (json!({ "id": "17841400000" }), json!({ "id": "7", "handle": "AldermereCare" }));
    assert!(answered("instagram", &by_id) && answered("x", &by_handle));
    assert!(!answered("x", &by_id) && !answered("instagram", &by_handle));
}

#[test]
fn a_conversation_that_returns_after_expiry_gets_new_escalations() {
    let (three_days, mut events) = (259_200.0, viral(600));
    events.push(event("other", "d", three_days - 1.0, &reshare("x", 1)));
    let again = (0..1500).map(|i| {
        event(&format!("s{i}"), "c", three_days + f64::from(i) / 10.0, &reshare(&format!("b{i}"), 900))
    });
    events.extend(again);
    let (effects, _) = run(&events);
    let ids: Vec<&str> =
        effects.iter().filter(|e| matches!(e, Effect::Escalation(_))).map(Effect::id).collect();
    let of = |day: &str| {
        ids.iter().filter(|id| id.starts_with(&format!("c/{day}")) && id.contains("/pr/")).count()
    };
    assert!(of("2026-03-10") > 1 && of("2026-03-13") > 0, "{ids:?}");
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len(), "{ids:?}");
}

#[test]
fn a_complaint_that_does_not_spread_goes_to_support_alone() {
    let (effects, _) =
        run(&[event("p", "c", 0.0, &post(235, ANGRY)), event("r", "c", 60.0, &reshare("x", 50))]);
    assert_eq!(summarize(&effects).len(), 1);
    assert!(summarize(&effects)[0].contains("/support/1/0 open"));
}

fn joined(reasons: &Reasons) -> String {
    reasons.texts().collect::<Vec<_>>().join("; ")
}

#[test]
fn the_first_reason_for_support_quotes_the_post() {
    let (effects, _) = run(&[event("p", "c", 0.0, &post(2_000_000, ANGRY))]);
    let cases = effects.iter().filter_map(|e| match e {
        Effect::Escalation(e) if e.team == "support" => Some(e),
        _ => None,
    });
    let reasons: Vec<_> = cases.map(|e| e.reasons.clone()).collect();
    let [support_reasons] = reasons.as_slice() else { panic!("{reasons:?}") };
    let kinds: Vec<ReasonKind> = support_reasons.iter().map(|reason| reason.kind).collect();
    assert_eq!(kinds[..2], [ReasonKind::Route, ReasonKind::Complaint], "{support_reasons:?}");
    assert!(kinds[2..].iter().all(|kind| !kind.quotes_post()), "{support_reasons:?}");
    let (percent, quote) = support_reasons[1].text.split_once("% likely a complaint: ").unwrap();
    assert!(percent.parse::<u8>().is_ok() && quote.contains("worst"), "{support_reasons:?}");
    let reach = support_reasons.text_of(ReasonKind::Reach).unwrap();
    assert!(reach.starts_with("estimated reach: "), "{support_reasons:?}");
}

#[test]
fn only_complaints_are_quoted() {
    let reasons_text = |text: &str| {
        let (effects, _) = run(&[event("p", "c", 0.0, &post(235, text))]);
        let reasons = effects.iter().filter_map(|e| match e {
            Effect::Score(score) => Some(joined(&score.reasons)),
            _ => None,
        });
        reasons.collect::<String>()
    };
    assert!(reasons_text(ANGRY).contains("\u{201c}worst\u{201d}"), "{}", reasons_text(ANGRY));
    let calm = "Thank you for the quick help today, you are great";
    assert!(!reasons_text(calm).contains('\u{201c}'), "{}", reasons_text(calm));
}

#[test]
fn repeats_change_nothing() {
    let once = viral(600);
    let twice: Vec<Value> = once.iter().flat_map(|e| [e.clone(), e.clone()]).collect();
    let (a, _) = run(&once);
    let (b, tally) = run(&twice);
    assert_eq!(a, b);
    assert_eq!(tally.folded - once.len() as u64, tally.records - once.len() as u64 - tally.scored);
}

#[test]
fn an_engagement_without_its_post_is_scored_and_marked() {
    let orphans: Vec<Value> = (0..800)
        .map(|i| event(&format!("r{i}"), "c", f64::from(i), &reshare(&format!("a{i}"), None)))
        .collect();
    let (effects, tally) = run(&orphans);
    assert_eq!((tally.rejected, tally.records), (0, 800));
    let last =
        effects.iter().rev().find_map(|e| if let Effect::Score(s) = e { Some(s) } else { None }).unwrap();
    assert!(last.sentiment.is_none());
    assert!(last.risk_low < last.risk && last.risk < last.risk_high, "{last:?}");
    let reasons_text = joined(&last.reasons);
    assert!(reasons_text.contains("the original post was not received"), "{reasons_text}");
    assert!(
        reasons_text.contains("the follower counts of 800 accounts are unknown")
            || reasons_text.contains("accounts are unknown"),
        "{reasons_text}"
    );
}

#[test]
fn records_out_of_order_lead_to_the_same_score() {
    let mut shuffled = viral(300);
    // Neighbours change places, as deliveries do, and the root comes late.
    for i in (0..shuffled.len() - 9).step_by(9) {
        shuffled[i..i + 9].reverse();
    }
    let every_change = "score_step = 0.1\nviral_bar = 6000\n[brands.aldermere]\n";
    let ruleset = Ruleset::shipped(Policy::parse("p", every_change).unwrap()).unwrap();
    let more = event("more", "c", 400.0, &json!({ "counters": { "reshares": 600 } }));
    let last = |events: &[Value]| {
        let (effects, _) = run_with(&ruleset, &[events, std::slice::from_ref(&more)].concat());
        effects.into_iter().rev().find_map(|e| if let Effect::Score(s) = e { Some(s) } else { None }).unwrap()
    };
    let (a, b) = (last(&viral(300)), last(&shuffled));
    assert_eq!((a.engagements.reshares, b.engagements.reshares), (600, 600), "{a:?}");
    assert_eq!((a.reach, a.velocity.per_minute_60.round()), (b.reach, b.velocity.per_minute_60.round()));
    let end = |s: &Score| s.engagements.reshares as f64 + s.forecast[3].reshares.point as f64;
    assert!((end(&a) / end(&b) - 1.0).abs() < 0.05, "{a:?} {b:?}");
}

#[test]
fn a_reply_from_any_account_of_the_brand_ends_the_wait() {
    let care = json!({ "post": { "id": "b", "author": { "id": "brand", "handle": "aldermerecare" }, "text": "Please DM us", "in_reply_to": "p" } });
    for body in [care, json!({ "brand_reply": { "account": "@AldermereCare", "text": "Please DM us" } })] {
        let early = [event("p", "c", 0.0, &post(235, ANGRY)), event("b", "c", 20.0, &body)];
        assert_eq!(summarize(&run(&early).0), Vec::<String>::new(), "answered before an escalation was due");
        let mut late = vec![event("p", "c", 0.0, &post(235, ANGRY)), event("b", "c", 540.0, &body)];
        late.insert(1, event("q", "d", 120.0, &post(10, "Where is the form?")));
        let summaries = summarize(&run(&late).0);
        assert_eq!(summaries.len(), 2, "{summaries:?}");
        assert!(summaries[1].contains("/support/1/1 hand_off_asked"), "the reply asks for a direct message");
    }
}

#[test]
fn the_brands_own_posts_are_not_complaints() {
    let own = json!({ "post": { "id": "b", "author": { "id": "brand", "handle": "@aldermerecare" }, "text": ANGRY } });
    let (effects, tally) = run(&[event("b", "c", 0.0, &own), event("r", "c", 1.0, &reshare("x", 9))]);
    assert!(effects.is_empty(), "{effects:?}");
    assert_eq!(tally.folded, 2);
}

#[test]
fn a_complaint_in_reply_to_the_brand_reaches_support() {
    let own = json!({ "brand": "aldermere", "post": { "id": "b", "author": { "id": "brand", "handle": "@aldermerecare" }, "text": "Enrolment is open" } });
    let mut reply = post(80, ANGRY);
    reply["post"]["in_reply_to"] = json!("b");
    let summaries = summarize(&run(&[event("b", "c", 0.0, &own), event("r", "c", 9.0, &reply)]).0);
    assert_eq!(summaries.len(), 1, "{summaries:?}");
    assert!(summaries[0].contains("/support/1/0 open"));
}

#[test]
fn an_unlisted_brand_still_has_its_complaints_escalated() {
    let mut stranger = post(50, ANGRY);
    stranger["brand"] = json!("somebody else");
    assert_eq!(summarize(&run(&[event("p", "c", 0.0, &stranger)]).0).len(), 1);
}

/// A local topology that collects its effects, except signals.
struct TaskHarness {
    ruleset: Ruleset,
    topology: LocalTopology,
    out: Vec<Effect>,
}

impl TaskHarness {
    fn new() -> Self {
        Self { ruleset: ruleset(), topology: LocalTopology::default(), out: vec![] }
    }

    fn handle(&mut self, stream: Stream, json: &Value) -> Outcome {
        let value = json.to_string().into_bytes();
        let input = Input { arrival: NOW, ..Input::new(stream, "t", &value) };
        let out = &mut self.out;
        let mut sink = |effect: &Effect| {
            if !matches!(effect, Effect::Signal(_)) {
                out.push(effect.clone());
            }
        };
        self.topology.handle(&input, &self.ruleset, &mut sink).outcome
    }

    /// Advances time to `secs` seconds after the first post.
    fn pass(&mut self, secs: f64) {
        let id = format!("clock{secs}");
        self.handle(Stream::Events, &event(&id, "clock", secs, &reshare(&id, 1)));
    }
}

fn action(id: &str, at: &str, kind: &str) -> Value {
    json!({ "v": 1, "id": id, "conversation": "c", "at": at, "by": "kim", "kind": kind, "until": "2026-03-11T15:00:00Z" })
}

#[test]
fn actions_change_an_escalation_and_a_silence_mutes_it() {
    let mut harness = TaskHarness::new();
    for e in viral(600) {
        harness.handle(Stream::Events, &e);
    }
    harness.pass(700.0);
    harness.out.clear();
    let acknowledge = action("a1", "2026-03-10T14:12:00Z", "acknowledge");
    assert_eq!(harness.handle(Stream::Actions, &acknowledge), Outcome::Folded(Fold::Action));
    assert_eq!(harness.handle(Stream::Actions, &acknowledge), Outcome::Folded(Fold::Duplicate));
    harness.handle(Stream::Actions, &action("a2", "2026-03-10T14:13:00Z", "resolve"));
    harness.pass(900.0);
    let summaries = summarize(&harness.out);
    for (team, state) in
        [("pr", "acknowledged critical"), ("support", "acknowledged medium"), ("pr", "resolved critical")]
    {
        let of = |t: &&String| t.contains(&format!("/{team}/")) && t.ends_with(state);
        assert_eq!(summaries.iter().filter(of).count(), 1, "{team} {state}: {summaries:?}");
    }

    let mut quiet = TaskHarness::new();
    let mut events = viral(600);
    quiet.handle(Stream::Events, &events.remove(0));
    quiet.handle(Stream::Actions, &action("s", "2026-03-10T14:00:01Z", "silence"));
    for e in &events {
        quiet.handle(Stream::Events, e);
    }
    quiet.pass(900.0);
    assert!(!quiet.out.iter().any(|e| matches!(e, Effect::Escalation(_))), "silenced");
}

#[test]
fn an_inactive_conversation_expires_and_its_state_is_deleted() {
    let mut all = TaskHarness::new();
    for e in viral(600).iter().chain([&event("later", "d", 25.0 * 3600.0, &post(9, "Hello there"))]) {
        all.handle(Stream::Events, e);
    }
    let summaries = summarize(&all.out);
    assert!(summaries.iter().any(|t| t.contains("/pr/") && t.ends_with("expired critical")), "{summaries:?}");
    assert_eq!((all.topology.task().conversations(), all.topology.task().complaints()), (1, 0));
}

#[test]
fn one_clock_far_ahead_does_not_advance_stream_time() {
    let ruleset = ruleset();
    let mut task = Task::new(0, 1);
    let mut out = Vec::new();
    let mut take = |e: &Value, arrival: i64| {
        let value = e.to_string().into_bytes();
        let arrival = EventTime::from_millis(1_773_151_200_000 + arrival * 1000);
        let input = Input {
            stream: Stream::Events,
            topic: "t",
            partition: 0,
            offset: 0,
            arrival,
            key: None,
            trace: None,
            value: &value,
        };
        task.handle(&input, &ruleset, &mut out);
    };
    take(&event("p", "c", -3600.0, &post(9, "Hello there")), 1);
    take(&event("x", "future", 86_000.0, &post(9, "Hello there")), 2);
    assert_eq!(task.conversations(), 2, "nothing expires: only one sender's clock moved on");
}

fn scores(effects: &[Effect]) -> Vec<&Score> {
    effects.iter().filter_map(|e| if let Effect::Score(s) = e { Some(&**s) } else { None }).collect()
}

#[test]
fn forecasts_never_decrease_with_the_horizon() {
    let (effects, _) = run(&viral(600));
    let scores = scores(&effects);
    assert!(scores.len() > 10);
    for score in &scores {
        assert_eq!(
            score.forecast.iter().map(|o| o.hours).collect::<Vec<_>>(),
            [Some(1), Some(6), Some(24), None]
        );
        for o in &score.forecast {
            for range in [o.reshares, o.reach] {
                assert!(range.low <= range.point && range.point <= range.high, "{score:?}");
            }
        }
        assert!(score.forecast.is_sorted_by_key(|o| (o.reshares.point, o.reshares.high)), "{score:?}");
    }
    let fresh = scores[0].forecast[3].reshares;
    assert_eq!((fresh.low, fresh.point), (0, 0), "most posts get no reshares");
    let grown = scores.iter().rev().find(|s| s.engagements.reshares < 1000).unwrap();
    assert!(grown.forecast[3].reshares.low > 50 && grown.forecast[3].reach.point > 10_000, "{grown:?}");
    assert!(joined(&grown.reasons).contains(" reshares (80% interval "), "{:?}", grown.reasons);
}

#[test]
fn large_accounts_are_named_as_a_reason_and_bots_are_recognised() {
    let mut events = viral(40);
    for (i, followers) in [250_000, 180_000].into_iter().enumerate() {
        let e = reshare(&format!("loud{i}"), followers);
        events.push(event(&format!("l{i}"), "c", 60.0 + i as f64, &e));
    }
    let every_change = Policy::parse("p", "score_step = 0.1\n[brands.aldermere]\n").unwrap();
    let (effects, _) = run_with(&Ruleset::shipped(every_change).unwrap(), &events);
    let reasons_text = joined(&scores(&effects).last().unwrap().reasons);
    assert!(
        reasons_text
            .contains("2 accounts with 100,000 or more followers posted or shared it in the last minute"),
        "{reasons_text}"
    );

    let mut bots = vec![event("p", "c", 0.0, &post(900, ANGRY))];
    bots.extend(
        (0..300).map(|i| event(&format!("r{i}"), "c", 900.0 + f64::from(i), &reshare(&format!("b{i}"), 0))),
    );
    let (effects, _) = run(&bots);
    let scores = scores(&effects);
    let last = scores.last().unwrap();
    assert!(last.velocity.per_minute_5 > 20.0 && last.velocity.discounted_5 == 0.0, "{last:?}");
    let reasons: Vec<&str> = scores.iter().flat_map(|s| s.reasons.texts()).collect();
    assert!(
        reasons.iter().any(|text| text.contains("only 0.0 per minute by distinct accounts with followers")),
        "{reasons:?}"
    );
}

#[test]
fn danger_reaches_pr_at_once_at_any_reach_until_a_person_ends_it() {
    let text = "Your brakes failed on the motorway and my daughter nearly died. Nobody answers.";
    let later = event("r", "c", 80_000.0, &reshare("a", 5));
    let (effects, _) = run(&[event("p", "c", 0.0, &post(3, text)), later]);
    let pr: Vec<_> = effects
        .iter()
        .filter_map(|e| if let Effect::Escalation(e) = e { Some(e) } else { None })
        .filter(|e| e.team == "pr")
        .collect();
    assert_eq!((pr.len(), pr[0].level.to_string().as_str()), (1, "medium"), "{pr:?}");
    assert!(
        pr[0].reasons.decisive().starts_with("mentions danger to somebody's health or safety: medium"),
        "{:?}",
        pr[0].reasons
    );
    let none = "[brands.aldermere]\n[routes.viral]\nteam = \"pr\"\nwhen = { medium = \"risk >= 15\" }\n";
    let none = Policy::parse("p", none).unwrap();
    let (effects, _) = run_with(&Ruleset::shipped(none).unwrap(), &[event("p", "c", 0.0, &post(3, text))]);
    assert!(summarize(&effects).iter().all(|t| !t.contains("/pr/")), "{:?}", summarize(&effects));
}

#[test]
fn an_answer_to_what_is_not_followed_is_counted_when_no_dispatcher_receives_it() {
    let outcome = |brands: usize| {
        let policy: String = (0..brands).map(|i| format!("[brands.b{i}]\n")).collect();
        let ruleset = Ruleset::shipped(Policy::parse("p", &policy).unwrap()).unwrap();
        let answer = json!({ "brand_reply": { "account": "@somebody", "text": "Please DM us" } });
        let line = event("a", "forgotten", 0.0, &answer).to_string();
        let input = Input { arrival: NOW, ..Input::new(Stream::Events, "test", line.as_bytes()) };
        let mut effects = Vec::new();
        let outcome = Task::new(0, 1).handle(&input, &ruleset, &mut effects).outcome;
        let received = effects.iter().filter(|effect| {
            matches!(effect, Effect::Signal(signal) if !matches!(signal.body, SignalBody::Watermark { .. }))
        });
        (received.count(), outcome)
    };
    assert_eq!(outcome(64), (65, Outcome::Folded(Fold::BrandSpoke)));
    assert_eq!(outcome(65), (0, Outcome::Folded(Fold::UnknownConversation)));
}
