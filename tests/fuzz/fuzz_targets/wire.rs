//! Decodes any bytes with our schemas, and with schemas that have every type of Avro and Protobuf.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| firewatch_fuzz::wire(bytes));
