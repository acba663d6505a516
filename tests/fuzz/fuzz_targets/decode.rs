//! Decodes any bytes as records of our own topics.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| firewatch_fuzz::records(bytes));
