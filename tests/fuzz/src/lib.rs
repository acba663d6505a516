//! Properties that hold for any bytes decoded as a platform's payload, or as a record of our own.

mod wire;

pub use wire::wire;

use std::sync::LazyLock;

use firewatch_domain::EventTime;
use firewatch_ingest::{
    Frames, Ingester, Mapping, PayloadDecoder, PayloadFrame, Platform, decode_action, decode_event,
    decode_signals_record,
};

const ARRIVAL: EventTime = EventTime::from_millis(1_800_000_000_000);

/// Decodes with the mapping of the generic test cases.
static FORUM: LazyLock<PayloadDecoder> = LazyLock::new(|| {
    let mapping = Mapping::parse("mapping", include_str!("../../platforms/generic.toml"));
    PayloadDecoder::with_mapping(mapping.expect("the mapping of the cases is valid"))
});

/// Checks that bytes are an event, an action, a signal or none, and that an encoded event decodes to itself.
pub fn records(bytes: &[u8]) {
    let _ = decode_action(bytes, None, ARRIVAL);
    let _ = decode_signals_record(bytes, None);
    if let Ok(event) = decode_event(bytes, None, ARRIVAL) {
        let json = serde_json::to_vec(&event).expect("an event is plain JSON");
        assert_eq!(decode_event(&json, None, ARRIVAL).as_ref(), Ok(&event));
    }
}

/// Checks that the payload has an outcome and that the engine can read each of its events.
pub fn platform(platform: Platform, bytes: &[u8]) {
    let decoder = match platform {
        Platform::Generic => FORUM.clone(),
        platform => PayloadDecoder::new(platform),
    };
    let mut frames = Frames::default();
    let mut ingester = Ingester::new(decoder.clone(), 100);
    let mut check = |frame: PayloadFrame<'_>| {
        let decoded = decoder.decode(frame.payload, ARRIVAL);
        let outcomes = decoded.events.len() + decoded.rejections.len() + decoded.deleted_accounts.len();
        assert!(outcomes > 0, "the payload has no outcome");
        let placed = ingester.ingest(frame.payload, ARRIVAL);
        for event in decoded.events.iter().chain(&placed.events) {
            let json = serde_json::to_vec(event).expect("an event is plain JSON");
            let key = event.conversation.as_bytes();
            assert_eq!(decode_event(&json, Some(key), ARRIVAL).as_ref(), Ok(event));
        }
    };
    for line in bytes.split(|byte| *byte == b'\n') {
        frames.line(line, &mut check);
    }
    frames.finish(&mut check);
    ingester.rewind();
    assert_eq!(ingester.changes().count(), 0);
}
