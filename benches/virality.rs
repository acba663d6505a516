//! Measures the cost of an engagement and of a forecast, as a ratio to parsing an engagement's JSON. The size
//! of the cascade must not change either.

use std::hint::black_box;

use firewatch_benches::report;
use firewatch_domain::{Engagement, EngagementKind, EventTime};
use firewatch_engine::ModelFiles;
use firewatch_scoring::virality::Opening;
use firewatch_scoring::{Cascade, ViralityModel};
use serde_json::{Value, json};

const CALM: Opening = Opening { followers: 300.0, arousal: 0.1, complaint: 0.9 };

fn main() {
    let model = ViralityModel::from_bytes(ModelFiles::SHIPPED.virality).unwrap_or_else(|e| panic!("{e}"));
    let reshares = reshares(100_000);
    let lines: Vec<Vec<u8>> = reshares.iter().take(10_000).map(|(e, at)| line(e, *at)).collect();
    let [few, many, very_many] = [100, 10_000, 100_000].map(|n| grown(&reshares[..n]));
    let bytes = [&few, &many, &very_many].map(|c| postcard::to_allocvec(c).map_or(0, |b| b.len()));
    println!("the summary after 100, 10,000 and 100,000 reshares: {bytes:?} bytes in the store\n");
    let at = |n: usize| (&reshares[..n], n);
    let (hundred, all) = (at(100), at(100_000));
    let times = 1000;
    report([
        ("parse the engagement's JSON", lines.len(), &mut || {
            lines.iter().for_each(|l| drop(black_box(serde_json::from_slice::<Value>(l))));
        }),
        ("update, cascades of 100", hundred.1 * times, &mut || {
            (0..times).for_each(|_| _ = black_box(grown(hundred.0)));
        }),
        ("update, a cascade of 100,000", all.1, &mut || _ = black_box(grown(all.0))),
        ("forecast after 100", times, &mut || {
            (0..times).for_each(|_| _ = black_box(model.forecast_day(black_box(&few), &CALM)));
        }),
        ("forecast after 100,000", times, &mut || {
            (0..times).for_each(|_| _ = black_box(model.forecast_day(black_box(&very_many), &CALM)));
        }),
    ]);
}

/// Returns `n` reshares at growing intervals, by accounts with all follower counts.
fn reshares(n: u32) -> Vec<(Engagement, EventTime)> {
    (0..n)
        .map(|i| {
            let (kind, actor) = (EngagementKind::Reshare, Some(format!("account-{i}")));
            let followers = Some(u64::from(i.wrapping_mul(2_654_435_761) >> 18));
            let at = EventTime::from_millis(1_790_000_000_000 + (f64::from(i).powf(1.6)) as i64);
            (Engagement::new(kind, actor, followers), at)
        })
        .collect()
}

fn line(e: &Engagement, at: EventTime) -> Vec<u8> {
    let engagement = json!({ "kind": "reshare", "actor": e.actor, "followers": e.followers });
    json!({ "v": 1, "id": "event-1", "conversation": "c", "at": at, "engagement": engagement })
        .to_string()
        .into_bytes()
}

fn grown(reshares: &[(Engagement, EventTime)]) -> Cascade {
    let mut cascade = Cascade::default();
    cascade.observe_author("author", Some(500), EventTime::from_millis(1_790_000_000_000));
    for (engagement, at) in reshares {
        cascade.observe_engagement(engagement, *at);
    }
    cascade
}
