#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mb_encode::fuzz::http(bytes));
