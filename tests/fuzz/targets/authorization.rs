//! See `beckn_receiver::fuzzing::authorization`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| beckn_receiver::fuzzing::authorization(data));
