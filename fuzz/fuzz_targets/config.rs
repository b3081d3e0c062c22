//! Any text as a configuration file.
#![no_main]

use crlog_flusher::config::file::{self, Layers};
use crlog_flusher::config::settings::Settings;
use std::path::Path;

/// What is said, key by key.
fn said(settings: &Settings) -> Vec<String> {
    settings.keys().filter_map(|key| settings.get(key)).map(|(s, _)| format!("{} = {}", s.key, s.value)).collect()
}

/// What was read is shown so that it is read again as the same.
fn again(layers: &Layers) {
    for table in &layers.logs {
        let all = said(&table.settings.over(&layers.top));
        let text = format!("{}\n[[log]]\npath = \"x\"", all.join("\n"));
        let read = file::read("f", &text, Path::new("/other"));
        assert_eq!(read.map(|layers| said(&layers.top)).ok(), Some(all), "{text}");
    }
}

libfuzzer_sys::fuzz_target!(|text: &str| match file::read("f", text, Path::new("/base")) {
    Ok(layers) => {
        assert!(!layers.logs.is_empty());
        again(&layers);
    }
    Err(problems) => assert!(problems.iter().all(|p| p.to_string().starts_with("f:")) && !problems.is_empty()),
});
