//! Any bytes as a segment, and someone who scribbles on it between the flusher's steps.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _owed = crlog::ring::hostile::run(input);
});
