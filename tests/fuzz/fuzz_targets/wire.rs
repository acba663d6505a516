//! Bytes behind the id of a schema, by ours and by one that has every type of Avro.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| firewatch_fuzz::wire(bytes));
