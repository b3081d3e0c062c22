//! The effective configuration as a file that says the same: everything that somebody said, where, and the rest as
//! comments.

use super::LogConfig;
use super::keys::{Default, KEYS, Key, shown_path};
use super::setting::quoted;

/// All logs.
pub fn file(logs: &[LogConfig]) -> String {
    logs.iter().map(log).collect::<Vec<_>>().join("\n\n")
}

fn log(log: &LogConfig) -> String {
    let path = (format!("path = {}", quoted(&shown_path(&log.path))), log.origin.of("path"));
    let (said, unsaid): (Vec<&Key>, Vec<&Key>) =
        KEYS.iter().partition(|key| log.settings.get(key.name).is_some());
    let mut lines = vec![path];
    lines.extend(said.iter().filter_map(|key| {
        let (setting, origin) = log.settings.get(key.name)?;
        Some((format!("{} = {}", key.name, setting.value), origin.of(key.name)))
    }));
    lines.extend(unsaid.iter().map(|key| match key.default {
        Default::Is(value) => (format!("# {} = {value}", key.name), "default".into()),
        Default::Words(words) => (format!("# {}: {words}", key.name), "default".into()),
    }));
    let lines = lines.iter().map(|(line, origin)| format!("{line:<40} # {}", comment(origin)));
    format!("[[log]]\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// A file's name may contain anything.
fn comment(text: &str) -> String {
    crate::units::printable(text)
}
