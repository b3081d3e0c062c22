//! Any text as what people type for sizes, times and names.
#![no_main]

use crlog_flusher::units::{self, show_bytes, show_count, show_time};

/// What is wrong is said in one line that is not empty.
fn told<T>(said: Result<T, String>) -> Option<T> {
    said.map_err(|why| assert!(!why.is_empty() && !why.contains('\n'), "{why:?}")).ok()
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Some(bytes) = told(units::size(text)) {
        assert_eq!(units::size(&format!("{bytes}B")), Ok(bytes));
        assert!(!show_bytes(bytes).is_empty() && show_count(bytes).replace(',', "") == bytes.to_string());
    }
    if let Some(time) = told(units::duration(text)) {
        assert_eq!(units::duration(&format!("{}ms", time.as_millis())), Ok(time));
        assert!(!show_time(time).is_empty());
    }
    if let Some((low, high)) = told(units::size_range(text)) {
        assert!(low <= high);
    }
    assert!(told(units::mode(text)).is_none_or(|mode| mode <= 0o777));
    assert!(told(units::terminator(text)).is_none_or(|end| end.len() <= 7));
    told(units::size_rule(text));
    told(units::fsync(text));
    told(units::segment(text));
    told(units::severity(text));
});
