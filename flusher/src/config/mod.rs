//! What the logs of a sidecar are to be: a file, the environment and the command line put together.
//!
//! | stronger than those below | said |
//! |---|---|
//! | an argument | on the command line, for every log |
//! | a variable `CRLOG_…` | in the environment, for every log |
//! | a key of a table `[[log]]` | in the file, for one log |
//! | a key at the top | in the file, for every log |
//! | the default | nowhere |
//!
//! | module | what |
//! |---|---|
//! | [`keys`] | **the one list** of what can be configured |
//! | [`given`], [`setting`] | a value as it was written; what it does |
//! | [`settings`] | all that is said of a log, and where |
//! | [`mod@file`], [`environment`] | where it is read from |
//! | [`possible`] | what is not possible together, or not in this place |
//! | [`show`] | the effective configuration as a file |

pub mod environment;
pub mod file;
pub mod given;
pub mod keys;
pub mod possible;
pub mod setting;
pub mod settings;
pub mod show;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;

use crate::paths::real_path;
use crlog::Options;
use settings::{Origin, Problem, Settings};
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

/// No configuration is longer; whatever is, was named by mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The name under which a sidecar appears in statistics.
const NAME: &str = "crlog-flusher";

/// All that is known of a log before it is opened.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Its path, as it was written.
    pub path: PathBuf,
    /// Its canonical path, by which two are known to be the same.
    pub real: PathBuf,
    /// Where it was named.
    pub origin: Origin,
    /// Its settings.
    pub settings: Settings,
}

impl LogConfig {
    fn new(path: &Path, origin: Origin, settings: Settings) -> LogConfig {
        LogConfig { path: path.to_owned(), real: real_path(path), origin, settings }
    }

    /// The library's options.
    pub fn options(&self) -> Options {
        self.settings.apply(Options::new(&self.path).name(NAME))
    }

    /// Whether everything is told.
    pub fn is_verbose(&self) -> bool {
        self.settings.is_true("verbose")
    }
}

/// Where a configuration comes from; it can be read again.
#[derive(Clone, Debug)]
pub struct Sources {
    /// A file, or one log.
    pub from: From,
    /// What the command line says.
    pub line: Settings,
    /// The environment.
    pub variables: Vec<(OsString, OsString)>,
}

/// What names the logs.
#[derive(Clone, Debug)]
pub enum From {
    /// A configuration file.
    File(PathBuf),
    /// The one log.
    Log(PathBuf),
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The logs; or all that keeps the configuration from being used.
    pub logs: Result<Vec<LogConfig>, Vec<Problem>>,
    /// What is odd about it.
    pub warnings: Vec<String>,
}

impl Sources {
    /// Reads it.
    pub fn load(&self) -> Loaded {
        let environment::Said { settings: said, mut problems, warnings } = environment::read(&self.variables);
        let over_all = self.line.over(&said);
        let mut logs = Vec::new();
        match &self.from {
            From::Log(path) => logs.push(LogConfig::new(path, Origin::CommandLine, over_all)),
            From::File(file) => match read_file(file) {
                Err(more) => problems.extend(more),
                Ok(layers) => logs.extend(layers.logs.into_iter().map(|table| {
                    let settings = over_all.over(&table.settings.over(&layers.top));
                    LogConfig::new(&table.path, table.origin, settings)
                })),
            },
        }
        problems.extend(possible::together(&logs));
        problems.sort_by(|a, b| a.origin.cmp(&b.origin));
        Loaded { logs: if problems.is_empty() { Ok(logs) } else { Err(problems) }, warnings }
    }
}

fn read_file(path: &Path) -> Result<file::Layers, Vec<Problem>> {
    let name = path.display().to_string();
    let unreadable = |text: String| {
        let text = format!("cannot read the configuration {name}: {text}");
        vec![Problem { origin: Origin::CommandLine, key: String::new(), text }]
    };
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path).and_then(|f| f.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    opened.map_err(|e| unreadable(e.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        vec![Problem {
            origin: Origin::File(name.as_str().into(), line),
            key: String::new(),
            text: "not UTF-8, so not TOML".into(),
        }]
    })?;
    file::read(&name, &text, path.parent().unwrap_or(Path::new("")))
}
