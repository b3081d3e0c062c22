//! `CRLOG_MAX_BYTES` and its like: settings for every log of a process, over what a file says.

use super::given::{Given, What};
use super::keys::{self, KEYS, PATH};
use super::settings::{Origin, Problem, Settings};
use std::ffi::OsString;
use std::path::Path;

const PREFIX: &str = "CRLOG_";
/// What tests and benchmarks use for themselves.
const OTHERS: &[&str] = &["TEST_", "BENCH_", "BASELINE_", "RAW_SYNC_"];

/// What an environment says.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// The settings.
    pub settings: Settings,
    /// What cannot be used.
    pub problems: Vec<Problem>,
    /// What looks as if it were meant for us and is not.
    pub warnings: Vec<String>,
}

/// Reads variables. One that is empty says nothing.
pub fn read<'a>(variables: impl IntoIterator<Item = &'a (OsString, OsString)>) -> Said {
    let mut said = Said::default();
    for (name, value) in variables {
        let name = name.to_string_lossy();
        if let Some(rest) = name.strip_prefix(PREFIX)
            && !OTHERS.iter().any(|others| rest.starts_with(others))
            && !value.is_empty()
        {
            one(&mut said, rest, &name, value);
        }
    }
    said
}

fn one(said: &mut Said, rest: &str, name: &str, value: &OsString) {
    let Some(key) = KEYS.iter().find(|key| key.variable() == name) else {
        said.warnings.push(unknown(rest, name));
        return;
    };
    let read = match value.to_str() {
        Some(text) => key.read(&Given { what: &What::Text(text.into()), base: Path::new("") }),
        None => Err("not UTF-8".into()),
    };
    match read {
        Ok(setting) => said.settings.put(setting, Origin::Environment),
        Err(text) => {
            said.problems.push(Problem { origin: Origin::Environment, key: key.name.into(), text });
        }
    }
}

fn unknown(rest: &str, name: &str) -> String {
    let hint = match keys::meant(rest).map(keys::find) {
        Some(Some(key)) => format!(": did you mean {}?", key.variable()),
        Some(None) => format!(": the {PATH} of a log is said in the file or on the command line"),
        None => String::new(),
    };
    format!("{name} is in the environment, means nothing and is ignored{hint}")
}
