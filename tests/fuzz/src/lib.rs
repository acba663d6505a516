//! What holds for any bytes that are taken for a platform's payload.

mod wire;

pub use wire::wire;

use std::sync::LazyLock;

use firewatch_domain::EventTime;
use firewatch_ingest::{Frames, Intake, Mapping, Platform, Reader, decode_event};

const ARRIVAL: EventTime = EventTime::from_millis(1_800_000_000_000);

/// By the mapping of the tests' cases.
static FORUM: LazyLock<Reader> = LazyLock::new(|| {
    let mapping = Mapping::parse("mapping", include_str!("../../platforms/generic.toml"));
    Reader::by(mapping.expect("the mapping of the cases is sound"))
});

/// The payload has an outcome, and every event of it is one that the engine reads.
pub fn platform(platform: Platform, bytes: &[u8]) {
    let reader = match platform {
        Platform::Generic => FORUM.clone(),
        platform => Reader::new(platform),
    };
    let mut frames = Frames::default();
    let mut intake = Intake::new(reader.clone(), 100);
    let mut take = |frame: firewatch_ingest::Frame<'_>| {
        let decoded = reader.decode(frame.payload, ARRIVAL);
        let told = decoded.events.len() + decoded.rejections.len() + decoded.gone.len();
        assert!(told > 0, "it came to nothing");
        let placed = intake.take(frame.payload, ARRIVAL);
        for event in decoded.events.iter().chain(&placed.events) {
            let json = serde_json::to_vec(event).expect("an event is plain JSON");
            let key = event.conversation.as_bytes();
            assert_eq!(decode_event(&json, Some(key), ARRIVAL).as_ref(), Ok(event));
        }
    };
    for line in bytes.split(|byte| *byte == b'\n') {
        frames.line(line, &mut take);
    }
    frames.finish(&mut take);
    intake.rewind();
    assert_eq!(intake.changes().count(), 0);
}
