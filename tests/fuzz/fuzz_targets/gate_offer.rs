#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| mb_encode::fuzz::sdp(text));
