//! See `beckn_receiver::fuzzing::intake`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| beckn_receiver::fuzzing::intake(data));
