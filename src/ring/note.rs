//! Lines of crlog's own in the log: what was dropped, and who died.
//!
//! A note stands where what it tells of is missing. It is part of a batch like a record, so it is written
//! exactly once, too.

use super::layout::LEVELS;

/// How crlog's own lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notes {
    /// A sentence that begins with `crlog: `.
    #[default]
    Text,
    /// A JSON object with the key `crlog`.
    Json,
    /// There are none; `crlog stat` has the numbers.
    Off,
}

/// Names of the severities, as they stand in notes and statistics.
pub const LEVEL_NAMES: [&str; LEVELS] = ["trace", "debug", "info", "warn", "error", "critical"];

/// Which process a note tells of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// Its id, in its own pid namespace.
    pub pid: u64,
    /// Its name; empty if not known.
    pub name: String,
}

/// What a note tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Records were dropped because the ring was full, by severity.
    Dropped([u64; LEVELS]),
    /// The process died without leaving: how many records it had written, and how many it was writing.
    Died {
        /// Committed records.
        records: u64,
        /// Records that were never committed.
        unfinished: u64,
    },
}

impl Notes {
    /// The line, without terminator; `None` if there is to be none.
    pub fn line(self, who: &Who, fact: &Fact) -> Option<String> {
        match self {
            Notes::Text => Some(text(who, fact)),
            Notes::Json => Some(json(who, fact)),
            Notes::Off => None,
        }
    }
}

fn text(who: &Who, fact: &Fact) -> String {
    let name = plain(&who.name);
    let who = if name.is_empty() {
        format!("process {}", who.pid)
    } else {
        format!("process {} ({name})", who.pid)
    };
    match fact {
        Fact::Dropped(drops) => {
            let total: u64 = drops.iter().fold(0, |sum, n| sum.saturating_add(*n));
            let parts: Vec<String> = nonzero(drops).map(|(name, n)| format!("{n} {name}")).collect();
            let (s, are) = if total == 1 { ("", "is") } else { ("s", "are") };
            format!(
                "crlog: {total} record{s} of {who} {are} missing here, dropped because the ring was full or the process was not attached: {}",
                parts.join(", ")
            )
        }
        Fact::Died { records, unfinished } => {
            let lost = match unfinished {
                0 => "",
                _ => ", and was writing another one, which is lost",
            };
            let s = if *records == 1 { "" } else { "s" };
            format!("crlog: {who} died without leaving; it had written {records} record{s}{lost}")
        }
    }
}

fn json(who: &Who, fact: &Fact) -> String {
    let who = format!("\"pid\":{},\"name\":\"{}\"", who.pid, plain(&who.name));
    match fact {
        Fact::Dropped(drops) => {
            let parts: Vec<String> = nonzero(drops).map(|(name, n)| format!("\"{name}\":{n}")).collect();
            format!("{{\"crlog\":\"dropped\",{who},\"dropped\":{{{}}}}}", parts.join(","))
        }
        Fact::Died { records, unfinished } => {
            format!("{{\"crlog\":\"died\",{who},\"records\":{records},\"unfinished\":{unfinished}}}")
        }
    }
}

fn nonzero(drops: &[u64; LEVELS]) -> impl Iterator<Item = (&'static str, u64)> {
    LEVEL_NAMES.into_iter().zip(*drops).filter(|(_, n)| *n > 0)
}

/// A name chosen by another process, without what could forge a line, end a string or steer a terminal.
fn plain(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() || matches!(c, '"' | '\\' | '\u{2028}' | '\u{2029}') { '?' } else { c })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn who(name: &str) -> Who {
        Who { pid: 77, name: name.into() }
    }

    #[test]
    fn a_gap_names_process_number_and_levels() {
        let drops = Fact::Dropped([0, 40, 12, 0, 0, 0]);
        let line = Notes::Text.line(&who("worker"), &drops).unwrap();
        assert_eq!(
            line,
            "crlog: 52 records of process 77 (worker) are missing here, dropped because the ring was full or the process was not attached: 40 debug, 12 info"
        );
        let line = Notes::Json.line(&who("worker"), &drops).unwrap();
        assert_eq!(line, r#"{"crlog":"dropped","pid":77,"name":"worker","dropped":{"debug":40,"info":12}}"#);
        assert_eq!(Notes::Off.line(&who("worker"), &drops), None);
    }

    #[test]
    fn a_death_says_how_far_the_process_had_come() {
        let line = |unfinished| Notes::Text.line(&who(""), &Fact::Died { records: 1, unfinished }).unwrap();
        assert_eq!(line(0), "crlog: process 77 died without leaving; it had written 1 record");
        assert!(line(1).ends_with("it had written 1 record, and was writing another one, which is lost"));
    }

    #[test]
    fn a_name_cannot_forge_a_line() {
        for notes in [Notes::Text, Notes::Json] {
            let line = notes.line(&who("a\nb\"c\\d\x1b[2J\u{2028}"), &Fact::Dropped([1; LEVELS])).unwrap();
            assert!(!line.contains(['\n', '\x1b', '\u{2028}', '\\']), "{line:?}");
            assert!(line.contains("a?b?c?d?[2J?"), "{line:?}");
        }
    }
}
