//! Decodes any bytes as payloads of this platform.
#![no_main]

use firewatch_ingest::Platform;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| firewatch_fuzz::platform(Platform::Freshdesk, bytes));
