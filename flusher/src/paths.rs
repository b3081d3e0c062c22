//! Paths of logs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::{Path, PathBuf};

/// The one name of a file, also where the library refuses it.
pub fn real_path(typed: &Path) -> PathBuf {
    if let Ok(path) = crlog::names::canonical(typed) {
        return path;
    }
    let parent = typed.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (typed.canonicalize(), parent.canonicalize(), typed.file_name()) {
        (Ok(path), _, _) => path,
        (_, Ok(parent), Some(name)) => parent.join(name),
        _ => typed.to_owned(),
    }
}

/// Raises this process's limit of open files to what it may have: most systems allow few unless asked.
pub fn allow_all_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Where it is refused, what needs more files says so when it has none left.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
