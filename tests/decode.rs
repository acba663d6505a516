//! Decoding is total: any bytes give an event or a reason for rejection, and encoded events decode to
//! themselves.

use firewatch_domain::{
    AccountKind, Author, Body, BrandReply, Counters, Delete, Engagement, EngagementKind, Event, EventTime,
    Post, SCHEMA_VERSION,
};
use firewatch_ingest::{decode_action, decode_event, decode_signals_record};
use proptest::prelude::*;

const ARRIVAL: EventTime = EventTime::from_millis(1_800_000_000_000);

fn id() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9:/_é-]{1,40}"
}

fn body() -> impl Strategy<Value = Body> {
    let kind = prop_oneof![
        Just(EngagementKind::Reshare),
        Just(EngagementKind::Reply),
        Just(EngagementKind::Quote),
        Just(EngagementKind::Like)
    ];
    let followers = || proptest::option::of(0_u64..10_000_000_000);
    let count = || proptest::option::of(0_u64..1_000_000_000_000);
    let account = || {
        let all = [AccountKind::Person, AccountKind::Bot, AccountKind::Brand];
        proptest::option::of(proptest::sample::select(all.to_vec()))
    };
    let time = || {
        let millis = 946_684_800_000_i64..1_800_000_000_000;
        proptest::option::of(millis.prop_map(EventTime::from_millis))
    };
    let flag = proptest::option::of(any::<bool>());
    let author = (id(), proptest::option::of(id()), (followers(), time()), flag, account()).prop_map(
        |(id, handle, (followers, followers_at), verified, account)| Author {
            id,
            handle,
            followers,
            followers_at,
            url: None,
            verified,
            account,
        },
    );
    let link = || proptest::option::of(id());
    let url = proptest::option::of("https://[a-z]{1,9}\\.example/[a-z0-9/]{0,20}");
    let links = (link(), link(), link(), time(), url, proptest::option::of(1..=5_u8));
    prop_oneof![
        (id(), proptest::option::of(author), ".{0,200}", proptest::option::of("[a-z]{2}"), links).prop_map(
            |(id, author, text, lang, (in_reply_to, quotes, related, edited_at, url, stars))| {
                let restored = stars == Some(3);
                let post = Post {
                    id,
                    author,
                    text,
                    lang,
                    in_reply_to,
                    quotes,
                    related,
                    url,
                    stars,
                    edited_at,
                    restored,
                };
                Body::Post(Box::new(post))
            }
        ),
        (kind, proptest::option::of(id()), followers(), account()).prop_map(
            |(kind, actor, followers, account)| {
                Body::Engagement(Engagement { kind, actor, followers, account })
            }
        ),
        id().prop_map(|post| Body::Delete(Delete { post })),
        (count(), count(), count(), count(), count()).prop_map(
            |(reshares, replies, quotes, likes, views)| {
                Body::Counters(Counters { reshares, replies, quotes, likes, views })
            }
        ),
        (id(), ".{0,80}").prop_map(|(account, text)| Body::BrandReply(BrandReply { account, text })),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let at = 946_684_800_000_i64..1_800_000_000_000;
    (id(), id(), at, proptest::option::of(id()), proptest::option::of(id()), body()).prop_map(
        |(id, conversation, at, brand, platform, body)| Event {
            v: SCHEMA_VERSION,
            id,
            conversation,
            at: EventTime::from_millis(at),
            brand,
            platform,
            body,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn encoded_events_decode_to_themselves(event in event()) {
        let json = serde_json::to_vec(&event).unwrap();
        prop_assert_eq!(decode_event(&json, Some(event.conversation.as_bytes()), ARRIVAL).unwrap(), event);
    }

    #[test]
    fn any_bytes_give_an_event_or_a_rejection(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode_event(&bytes, None, ARRIVAL);
        let _ = decode_action(&bytes, None, ARRIVAL);
        let _ = decode_signals_record(&bytes, None);
    }

    /// Valid records with some bytes changed, cut or inserted, as real senders damage them.
    #[test]
    fn damaged_records_give_an_event_or_a_rejection(
        event in event(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut json = serde_json::to_vec(&event).unwrap();
        let at = at.index(json.len());
        if cut { json.truncate(at); } else { json[at] = byte; }
        if let Err(rejection) = decode_event(&json, None, ARRIVAL) {
            prop_assert!(!rejection.detail.is_empty());
            prop_assert!(rejection.detail.len() < 1000);
        }
    }
}
