//! Decodes any bytes: each input gives an event or a rejection, and an encoded event decodes to itself.
#![no_main]

use firewatch_domain::EventTime;
use firewatch_ingest::{decode_action, decode_event, decode_signal};
use libfuzzer_sys::fuzz_target;

const ARRIVAL: EventTime = EventTime::from_millis(1_800_000_000_000);

fuzz_target!(|bytes: &[u8]| {
    let _ = decode_action(bytes, None, ARRIVAL);
    let _ = decode_signal(bytes, None);
    if let Ok(event) = decode_event(bytes, None, ARRIVAL) {
        let json = serde_json::to_vec(&event).expect("an event is plain JSON");
        assert_eq!(decode_event(&json, None, ARRIVAL).as_ref(), Ok(&event));
    }
});
