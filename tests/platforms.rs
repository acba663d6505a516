//! Payloads of every platform, decoded into events or rejections. The cases are data (`platforms/`); the real
//! payloads are in the data sets.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use firewatch_domain::EventTime;
use firewatch_ingest::{DecodedPayload, Frames, Ingester, Mapping, PayloadDecoder, Platform};
use firewatch_tests::{data, json_lines, piped, root};
use serde_json::Value;

/// Arrival time of the cases.
const NOW: &str = "2026-06-01T12:00:00Z";
/// Arrival time of the real payloads, later than all of them.
const LATER: EventTime = EventTime::from_millis(1_793_500_000_000);

fn now() -> EventTime {
    EventTime::parse(NOW).unwrap()
}

fn reader(platform: Platform) -> PayloadDecoder {
    if platform != Platform::Generic {
        return PayloadDecoder::new(platform);
    }
    let text = std::fs::read_to_string(root().join("tests/platforms/generic.toml")).unwrap();
    PayloadDecoder::with_mapping(Mapping::parse("generic.toml", &text).unwrap())
}

fn cases(platform: Platform) -> Vec<Value> {
    let path = root().join(format!("tests/platforms/{platform}.json"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap()
}

fn payload(case: &Value) -> Vec<u8> {
    case["raw"].as_str().map_or_else(|| case["payload"].to_string(), Into::into).into_bytes()
}

fn events(decoded: &DecodedPayload) -> Value {
    serde_json::to_value(&decoded.events).unwrap()
}

#[test]
fn every_case_gives_its_events_and_rejections() {
    let mut all = 0;
    for platform in Platform::ALL {
        for case in cases(platform) {
            let decoded = reader(platform).decode(&payload(&case), now());
            let reasons: Vec<String> = decoded.rejections.iter().map(ToString::to_string).collect();
            let expected: Vec<String> =
                serde_json::from_value(case.get("rejected").cloned().unwrap_or_default()).unwrap_or_default();
            let without_column = |reasons: Vec<String>| -> Vec<String> {
                reasons.iter().map(|r| r.split(" at line ").next().unwrap_or_default().to_owned()).collect()
            };
            let (reasons, expected) = (without_column(reasons), without_column(expected));
            assert_eq!(reasons, expected, "{platform}: {}", case["it"]);
            assert_eq!(events(&decoded), case["events"], "{platform}: {}", case["it"]);
            all += 1;
        }
    }
    assert!(all > 100, "{all}");
}

#[test]
fn a_list_of_payloads_gives_what_each_of_them_gives() {
    for platform in Platform::ALL.into_iter().filter(|platform| *platform != Platform::Generic) {
        let reader = reader(platform);
        let has_events = |case: &Value| case["payload"].is_object() && case["events"][0].is_object();
        for case in cases(platform).into_iter().filter(has_events) {
            let alone = reader.decode(&payload(&case), now());
            let list = [payload(&case), b"null".to_vec(), payload(&case)].join(&b',');
            let listed = reader.decode(&[b"[", &list[..], b"]"].concat(), now());
            let twice = [alone.events.clone(), alone.events].concat();
            assert_eq!(listed.events, twice, "{platform}: {}", case["it"]);
        }
    }
}

#[test]
fn the_command_prints_the_same_on_standard_output_and_error() {
    for platform in Platform::ALL {
        let mut args = vec!["ingest", "--platform", platform.as_str(), "--now", NOW];
        if platform == Platform::Generic {
            args.extend(["--mapping", "tests/platforms/generic.toml"]);
        }
        let cases: Vec<Value> =
            cases(platform).into_iter().filter(|case| case.get("raw").is_none()).collect();
        // First over several lines, as a person saves a payload, then one on each line.
        for spread in [true, false] {
            let text = |case: &Value| {
                let payload = &case["payload"];
                if spread { serde_json::to_string_pretty(payload).unwrap() } else { payload.to_string() }
            };
            let input: Vec<String> = cases.iter().map(text).collect();
            let out = piped(&args, input.join("\n").as_bytes());
            assert!(out.status.success());
            // Later payloads use what earlier ones contained.
            let mut intake = Ingester::new(reader(platform), 1000);
            let expected: Vec<Value> = cases
                .iter()
                .flat_map(|case| intake.ingest(&payload(case), now()).events)
                .map(|event| serde_json::to_value(event).unwrap())
                .collect();
            assert_eq!(json_lines(&out.stdout), expected, "{platform}");
            let stderr = String::from_utf8(out.stderr).unwrap();
            let rejected = stderr.lines().filter(|line| line.starts_with("rejected line ")).count();
            let expected: usize =
                cases.iter().filter_map(|case| case.get("rejected")?.as_array().map(Vec::len)).sum();
            assert_eq!(rejected, expected, "{platform}: {stderr}");
            assert!(stderr.ends_with(&format!("{expected} rejected\n")), "{stderr}");
        }
    }
}

#[test]
fn a_mapping_is_explained_field_by_field() {
    let args = ["ingest", "--platform", "generic", "--mapping", "tests/platforms/generic.toml", "--explain"];
    let long = "on hold ".repeat(20);
    let input = serde_json::json!({ "page": { "things": [
        { "type": "topic", "id": 7, "at": "2026-05-30T09:00:00Z", "body": long, "user": { "id": "ann" } },
    ] } });
    let out = piped(&args, format!("{input}\n{{\"page\":{{}}}}").as_bytes());
    let output = String::from_utf8(out.stdout).unwrap();
    let found = |key: &str| {
        let line = output
            .lines()
            .find(|line| line.trim_start().starts_with(key))
            .unwrap_or_else(|| panic!("{output}"));
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(output.starts_with("line 1, /page/things/0\n"), "{output}");
    assert_eq!(
        (found("id "), found("author.id")),
        (vec!["/id".into(), "7".into()], vec!["/user/id".into(), "\"ann\"".into()])
    );
    assert_eq!(found("title")[1], "nothing");
    assert_eq!(found("text").last().unwrap(), "…");
    assert!(output.contains("line 2, /page/things is no list\n"), "{output}");
    assert!(out.status.success());
}

#[test]
fn the_account_is_part_of_the_conversation_id() {
    let reader = PayloadDecoder::new(Platform::Zendesk).with_scope(Some("northcare".into()));
    let decoded = reader.decode(&payload(&cases(Platform::Zendesk)[0]), now());
    assert_eq!(decoded.events[0].conversation, "zendesk:northcare/28");
}

#[test]
fn no_rejection_repeats_the_text_of_a_post() {
    let secret = "my-diagnosis-is-a-secret";
    for platform in Platform::ALL {
        for case in cases(platform) {
            let mut broken = case["payload"].clone();
            spoil(&mut broken, secret);
            let decoded = reader(platform).decode(broken.to_string().as_bytes(), now());
            for rejection in decoded.rejections {
                // An invalid time is quoted, as it is not text of a post.
                let is_time = rejection.code == firewatch_domain::RejectionCode::BadTime;
                assert!(is_time || !rejection.detail.contains(secret), "{platform}: {rejection}");
            }
        }
    }
}

/// Replaces the numbers, lists and objects one level down by a text, one at a time.
fn spoil(value: &mut Value, text: &str) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|value| spoil(value, text)),
        Value::Array(items) => items.iter_mut().for_each(|value| spoil(value, text)),
        other => *other = text.into(),
    }
}

// Payloads that others recorded.

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
