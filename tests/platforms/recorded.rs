//! Payloads that others recorded, from the data sets: how many events and rejections of each kind they give.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use firewatch_domain::EventTime;
use firewatch_ingest::{Frames, Platform};
use firewatch_tests::data;
use serde_json::Value;

use super::{events, reader};

/// Arrival time of the real payloads, later than all of them.
const LATER: EventTime = EventTime::from_millis(1_793_500_000_000);

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "json" || e == "jsonl" || e == "txt") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Counts the events of each kind and the rejections of each class over all payloads of a file.
fn kinds_decoded(platform: Platform, bytes: &[u8]) -> BTreeMap<String, usize> {
    let (mut frames, mut kinds) = (Frames::default(), BTreeMap::new());
    let reader = reader(platform);
    let mut take = |frame: firewatch_ingest::PayloadFrame<'_>| {
        let decoded = reader.decode(frame.payload, LATER);
        for event in &decoded.events {
            *kinds.entry(event.kind().to_owned()).or_default() += 1;
        }
        for rejection in &decoded.rejections {
            *kinds.entry(rejection.code.to_string()).or_default() += 1;
        }
    };
    for line in bytes.split(|b| *b == b'\n') {
        frames.line(line, &mut take);
    }
    frames.finish(&mut take);
    kinds
}

fn check(platform: Platform, folder: &str, expected: &[(&str, &str)]) {
    let Some(data) = data() else { return };
    let folder = data.join("payloads").join(folder);
    let mut left: BTreeMap<&str, &str> = expected.iter().copied().collect();
    for path in files(&folder) {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        let kinds = kinds_decoded(platform, &std::fs::read(&path).unwrap());
        let kinds: Vec<String> = kinds.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        let expected = left.remove(name.as_str()).unwrap_or_else(|| panic!("no expectation for {name}"));
        assert_eq!(kinds.join(", "), expected, "{name}");
    }
    assert!(left.is_empty(), "missing files: {left:?}");
}

#[test]
fn x_api_v2() {
    check(
        Platform::X,
        "x_api_v2__sns-sdks_python-twitter",
        &[
            ("apis/searches/search_tweets_for_nyc.json", "7 engagement, 3 post"),
            ("apis/searches/search_tweets_query.json", "6 post"),
            ("apis/timeline/timeline_mentions.json", "3 counters, 5 post"),
            ("apis/timeline/timeline_reverse_chronological.json", "5 post"),
            ("apis/timeline/timeline_tweets.json", "5 counters, 5 post"),
            ("apis/tweet/create_tweet_resp.json", "1 post"),
            ("apis/tweet/tweet_liking_users_resp.json", "1 not_relevant"),
            ("apis/tweet/tweet_quote_tweets_resp.json", "1 counters, 13 missing_field, 2 post"),
            ("apis/tweet/tweet_resp.json", "1 post"),
            ("apis/tweet/tweet_retweed_users_resp.json", "1 not_relevant"),
            ("apis/tweet/tweet_retweet_tweets_resp.json", "8 missing_field"),
            ("apis/tweet/tweets_by_user_bookmark.json", "5 post"),
            ("apis/tweet/tweets_counts_all_resp.json", "1 not_relevant"),
            ("apis/tweet/tweets_counts_recent_resp.json", "1 not_relevant"),
            ("apis/tweet/tweets_resp.json", "2 post"),
            ("models/compliance_job.json", "1 unknown_payload"),
            ("models/expansions.json", "1 post"),
            ("models/list.json", "1 unknown_payload"),
            ("models/media.json", "1 unknown_payload"),
            ("models/meta.json", "1 unknown_payload"),
            ("models/meta_stream.json", "1 unknown_payload"),
            ("models/place.json", "1 unknown_payload"),
            ("models/poll.json", "1 unknown_payload"),
            ("models/rule.json", "1 not_relevant"),
            ("models/space.json", "1 unknown_payload"),
            ("models/tweet.json", "1 post"),
            ("models/user.json", "1 not_relevant"),
            ("streams/delete_error.json", "1 unknown_payload"),
            ("streams/delete_rules.json", "1 not_relevant"),
            ("streams/get_rules.json", "1 not_relevant"),
            ("streams/post_rules.json", "1 not_relevant"),
        ],
    );
}

#[test]
fn x_api_v11() {
    check(
        Platform::X,
        "x_api_v11__bear_python-twitter",
        &[
            ("3.2__extended_tweet_in_compat_mode.json", "1 not_public"),
            ("3.2__extended_tweet_in_extended_mode.json", "1 not_public"),
            ("get_retweets.json", "14 counters, 14 engagement, 14 post"),
            ("get_search.json", "1 counters, 1 post"),
            ("get_search_raw.json", "83 counters, 90 engagement, 115 post"),
            ("get_status.json", "1 counters, 1 post"),
            ("get_statuses.1.json", "100 counters, 100 post"),
            ("models__status_quoted_tweet.json", "2 counters, 1 engagement, 2 post"),
            ("retweets_of_me.json", "1 counters, 1 post"),
            ("streaming__lines.json", "7 counters, 8 engagement, 80 post"),
            ("streaming__streaming_extended_tweet.json", "1 post"),
        ],
    );
}

#[test]
fn facebook_webhooks() {
    check(
        Platform::Facebook,
        "facebook_webhooks__restfb",
        &[
            ("feed-album-add.json", "1 not_relevant"),
            ("feed-album-edited.json", "1 not_relevant"),
            ("feed-comment-add-211.json", "1 post"),
            ("feed-comment-add-25.json", "1 post"),
            ("feed-comment-add-with-photo.json", "1 post"),
            ("feed-comment-add-with-video.json", "1 post"),
            ("feed-comment-edited-25.json", "1 post"),
            ("feed-comment-edited-with-photo.json", "1 post"),
            ("feed-comment-edited-with-video.json", "1 post"),
            ("feed-comment-hide.json", "1 not_relevant"),
            ("feed-comment-remove-25.json", "1 delete"),
            ("feed-comment-unhide.json", "1 not_relevant"),
            ("feed-event-add.json", "1 not_relevant"),
            ("feed-like-add-25.json", "1 engagement"),
            ("feed-like-add-comment-25.json", "1 engagement"),
            ("feed-like-add-page-25.json", "1 not_relevant"),
            ("feed-like-remove-25.json", "1 not_relevant"),
            ("feed-photo-add-25.json", "1 post"),
            ("feed-photo-add-message.json", "1 post"),
            ("feed-photo-edited-message.json", "1 post"),
            ("feed-photo-edited.json", "1 post"),
            ("feed-photo-hide-message.json", "1 not_relevant"),
            ("feed-photo-hide.json", "1 not_relevant"),
            ("feed-photo-remove-25.json", "1 delete"),
            ("feed-post-add-25.json", "1 post"),
            ("feed-post-edit.json", "1 post"),
            ("feed-post-hide.json", "1 not_relevant"),
            ("feed-post-remove-25.json", "1 delete"),
            ("feed-post-unhide.json", "1 not_relevant"),
            ("feed-reaction-add-comment.json", "1 engagement"),
            ("feed-reaction-add-reply.json", "1 engagement"),
            ("feed-reaction-add.json", "1 engagement"),
            ("feed-reaction-edit.json", "1 not_relevant"),
            ("feed-reaction-remove.json", "1 not_relevant"),
            ("feed-share-add-25.json", "1 post"),
            ("feed-share-hide.json", "1 not_relevant"),
            ("feed-share-unhide.json", "1 not_relevant"),
            ("feed-status-add-25.json", "1 post"),
            ("feed-status-add-photos.json", "1 post"),
            ("feed-status-edited-25.json", "1 post"),
            ("feed-status-edited-photos.json", "1 post"),
            ("feed-status-hide-25.json", "1 not_relevant"),
            ("feed-status-unhide.json", "1 not_relevant"),
            ("feed-two-entries-25.json", "2 not_relevant"),
            ("feed-video-add.json", "1 post"),
            ("feed-video-block.json", "1 not_relevant"),
            ("feed-video-edited.json", "1 post"),
            ("feed-video-hide.json", "1 not_relevant"),
            ("feed-video-mute.json", "1 not_relevant"),
            ("feed-video-remove-25.json", "1 delete"),
            ("feed-video-unblock.json", "1 not_relevant"),
            ("mention-comment-add.json", "1 post"),
            ("mention-post-add-real.json", "1 post"),
            ("mention-post-add.json", "1 missing_field"),
        ],
    );
}

#[test]
fn instagram_webhooks() {
    check(
        Platform::Instagram,
        "instagram_webhooks__restfb",
        &[
            ("comment.json", "2 post"),
            ("mentioned-media.json", "1 not_relevant"),
            ("wh-comments-2021.json", "1 post"),
            ("wh-comments.json", "1 post"),
            ("wh-livecomments.json", "1 post"),
            ("wh-mentions.json", "1 not_relevant"),
            ("wh-story_insights.json", "1 counters"),
        ],
    );
}

#[test]
fn mastodon() {
    check(
        Platform::Mastodon,
        "mastodon__documentation",
        &[
            ("account_2.json", "1 not_relevant"),
            ("account_3.json", "1 not_relevant"),
            ("status_1.json", "1 counters, 1 post"),
            ("streaming_5.txt", "1 not_relevant"),
        ],
    );
}

#[test]
fn bluesky() {
    check(
        Platform::Bluesky,
        "bluesky_jetstream",
        &[
            ("car_expected_commit.txt", "5 malformed_json"),
            ("expected_v1.jsonl", "1 delete, 120 engagement, 14 not_relevant, 17 post"),
            ("manifest.json", "1 unknown_payload"),
        ],
    );
}

#[test]
fn reddit() {
    check(
        Platform::Reddit,
        "reddit__snoo-wrapped",
        &[
            ("oauth.reddit.com__api__info.json", "2 counters, 3 post"),
            ("r__public_sfw_sub__comments__article.json", "1 counters, 1 post"),
        ],
    );
}

/// Replies of the help desk are inside recordings of whole HTTP exchanges.
#[test]
fn zendesk() {
    let Some(data) = data() else { return };
    let folder = data.join("payloads/zendesk__zenpy");
    let mut all = BTreeMap::<String, usize>::new();
    for path in files(&folder) {
        let text = std::fs::read(&path).unwrap();
        let recording: Value = serde_json::from_slice(&text).unwrap();
        let Some(exchanges) = recording.get("http_interactions") else {
            assert_eq!(kinds_decoded(Platform::Zendesk, &text), BTreeMap::from([("post".to_owned(), 50)]));
            continue;
        };
        for exchange in exchanges.as_array().unwrap() {
            for (kind, n) in kinds_decoded(Platform::Zendesk, &body(&exchange["response"]["body"])) {
                *all.entry(kind).or_default() += n;
            }
        }
    }
    let kinds: Vec<String> = all.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    // 2,698 tickets, most of the older ones deleted, and views.
    assert_eq!(kinds.join(", "), "1032 delete, 1666 post, 4 unknown_payload");
}

fn body(exchange_part: &Value) -> Vec<u8> {
    let Some(packed) = exchange_part["base64_string"].as_str() else {
        return exchange_part["string"].as_str().unwrap_or_default().as_bytes().to_vec();
    };
    let packed = STANDARD.decode(packed.replace('\n', "")).unwrap();
    let mut text = Vec::new();
    if packed.starts_with(&[0x1f, 0x8b]) {
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut text).unwrap();
    }
    text
}

/// Some of the real payloads, field by field: numbers and names, no texts.
#[test]
fn fields_of_real_payloads() {
    let Some(data) = data() else { return };
    let first = |platform, path: &str| {
        let bytes = std::fs::read(data.join("payloads").join(path)).unwrap();
        events(&reader(platform).decode(&bytes, LATER))
    };
    let status = first(Platform::Mastodon, "mastodon__documentation/status_1.json");
    assert_eq!(status[0]["at"], "2019-12-08T03:48:33.901Z");
    assert_eq!(status[0]["post"]["author"]["followers"], 322_930);
    assert_eq!(
        status[1]["counters"],
        serde_json::json!({ "reshares": 6, "replies": 5, "quotes": 2, "likes": 11 })
    );
    let page =
        first(Platform::X, "x_api_v2__sns-sdks_python-twitter/apis/searches/search_tweets_for_nyc.json");
    assert_eq!(page[0]["conversation"], "x:1275809336988557314");
    assert_eq!(
        page[0]["engagement"],
        serde_json::json!({ "kind": "reshare", "actor": "1176828691365736451" })
    );
    assert_eq!(page[1]["post"]["in_reply_to"], "1275781448855891968");
    let comment = first(Platform::Instagram, "instagram_webhooks__restfb/wh-comments-2021.json");
    assert_eq!(comment[0]["conversation"], "instagram:76543987");
    assert_eq!(comment[0]["post"]["author"], serde_json::json!({ "id": "1234536447", "handle": "testuser" }));
    let stream = first(Platform::X, "x_api_v11__bear_python-twitter/get_status.json");
    assert_eq!(stream[0]["at"], "2006-03-26T19:17:08.000Z");
    assert_eq!(stream[0]["post"]["author"]["verified"], true);
}
