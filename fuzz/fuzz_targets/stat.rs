//! Any words as a segment that `crlog stat` looks at.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _waiting = crlog::ring::hostile::look(input);
});
