//! Any bytes as a segment's first page, and as a configuration.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _sound = crlog::hostile::header(input);
    let _sound = crlog::hostile::config(input);
});
