//! What is not possible: settings of one log together, several logs together, a log in its place.

use super::LogConfig;
use super::keys;
use super::setting::Value;
use super::settings::{Origin, Problem, Settings};
use crate::paths::real_path;
use crlog::Options;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use std::path::Path;

/// What cannot be true at once, each said one time.
pub fn together(logs: &[LogConfig]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    let twice = logs.iter().enumerate().filter_map(|(i, log)| named_twice(log, logs.get(..i)?));
    for problem in logs.iter().flat_map(|log| of_one(&log.settings, &log.origin, &log.real)).chain(twice) {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    problems
}

/// What cannot be true at once of a log that was named there, and has that path.
pub fn of_one(settings: &Settings, log: &Origin, path: &Path) -> Vec<Problem> {
    missing(settings).into_iter().chain(refused(settings, log, path)).collect()
}

/// What one key needs another one for, and is not possible or not meant without it.
fn missing(settings: &Settings) -> Vec<Problem> {
    let is =
        |key: &str, text: &str| settings.get(key).is_some_and(|(s, _)| s.value == Value::Text(text.into()));
    let has = |key: &str| settings.get(key).is_some();
    let at_times = has("rotate_at") && !is("rotate_at", "never");
    let names = settings.get("names").map(|(names, _)| &names.value);
    let dated = match names {
        Some(Value::Text(names)) => names == "dated" || names.contains('{') && !names.contains("{n}"),
        _ => at_times || settings.is_true("direct"),
    };
    let limited = settings.get("max_bytes").is_some_and(|(limit, _)| limit.value != Value::Number(0));
    let none = settings.get("backups").is_some_and(|(backups, _)| backups.value == Value::Number(0));
    let rotates = [("rotate_at", at_times), ("on_start", is("on_start", "rotate"))];
    let emptied = rotates.into_iter().filter(|(_, rotates)| *rotates && none && !dated && !limited);
    let why = ": with 0 nothing is kept, and only max_bytes empties the file";
    let emptied = emptied.map(|(key, _)| (key, "backups", why));
    let unused = (settings.is_true("empty_files") && !at_times).then_some(("empty_files", "rotate_at", ""));
    emptied.chain(unused).filter_map(|(key, needs, why)| lacking(settings, key, needs, why)).collect()
}

fn lacking(settings: &Settings, key: &str, needs: &str, why: &str) -> Option<Problem> {
    let (_, origin) = settings.get(key)?;
    let needs = match keys::find(needs) {
        Some(needs) if *origin == Origin::CommandLine => needs.argument(),
        _ => needs.to_owned(),
    };
    Some(Problem { origin: origin.clone(), key: key.into(), text: format!("needs {needs}, too{why}") })
}

/// What the library refuses, each with the keys without any one of which it would not say that.
fn refused(settings: &Settings, log: &Origin, path: &Path) -> Vec<Problem> {
    let complaint =
        |settings: &Settings| settings.apply(Options::new(path)).check().err().map(|e| e.to_string());
    let mut rest = settings.clone();
    let mut problems = Vec::new();
    while let Some(text) = complaint(&rest) {
        let guilty: Vec<&str> =
            rest.keys().filter(|key| complaint(&rest.without(&[key])).as_ref() != Some(&text)).collect();
        let origins = guilty.iter().filter_map(|key| Some(rest.get(key)?.1.clone()));
        let origin = origins.max().unwrap_or_else(|| log.clone());
        problems.push(Problem { origin, key: guilty.join(" and "), text });
        if guilty.is_empty() {
            break;
        }
        rest = rest.without(&guilty);
    }
    problems
}

fn named_twice(log: &LogConfig, before: &[LogConfig]) -> Option<Problem> {
    let problem = |key: &str, origin: &Origin, text: String| {
        Some(Problem { origin: origin.clone(), key: key.into(), text })
    };
    if let Some(first) = before.iter().find(|other| other.real == log.real) {
        let text = format!("{} is named at {} already", log.real.display(), first.origin.of("path"));
        return problem("path", &log.origin, text);
    }
    let (ring, origin) = log.settings.get("segment")?;
    let first = before.iter().find(|other| {
        ring.value != Value::Text("shm".into())
            && other.settings.get("segment").is_some_and(|(other, _)| other.value == ring.value)
    })?;
    let text = format!(
        "{} and {} cannot share one: each log has a ring of its own",
        first.path.display(),
        log.path.display()
    );
    problem("segment", origin, text)
}

/// What keeps a log from being opened here and now, as far as it can be seen without opening it.
pub fn in_place(log: &LogConfig) -> Vec<Problem> {
    let problem =
        |key: &str, origin: &Origin, text| Problem { origin: origin.clone(), key: key.into(), text };
    let mut problems = Vec::new();
    match crlog::names::canonical(&log.path) {
        Err(e) => problems.push(problem("path", &log.origin, e.to_string())),
        // Perhaps a link to the current file.
        Ok(path) if log.settings.is_true("direct") && std::fs::read_link(&path).is_ok() => {}
        Ok(path) => problems.extend(unusable(&path).map(|text| problem("path", &log.origin, text))),
    }
    if let Some((setting, origin)) = log.settings.get("segment")
        && let Value::Text(path) = &setting.value
        && path != "shm"
    {
        let found =
            crlog::names::canonical(Path::new(path)).map_or_else(|e| Some(e.to_string()), |p| unusable(&p));
        problems.extend(found.map(|text| problem("segment", origin, text)));
    }
    if let Some((setting, origin)) = log.settings.get("lock_dir")
        && let Value::Text(dir) = &setting.value
    {
        problems
            .extend(no_directory(&real_path(Path::new(dir))).map(|text| problem("lock_dir", origin, text)));
    }
    problems
}

/// Why a file that is there cannot be written.
fn unusable(path: &Path) -> Option<String> {
    let found = path.symlink_metadata().ok()?;
    if !found.is_file() {
        return Some(format!("{} is not a regular file: choose another path", path.display()));
    }
    let e = accessat(CWD, path, Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS).err()?;
    Some(format!("{} cannot be written: {e}", path.display()))
}

/// Why no file can be made in a directory; one that is missing is made where it can be.
fn no_directory(dir: &Path) -> Option<String> {
    let there = dir.ancestors().find(|d| d.symlink_metadata().is_ok())?;
    if !there.is_dir() {
        return Some(format!("{} is not a directory", there.display()));
    }
    let e = accessat(CWD, there, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).err()?;
    Some(format!("{} may not be written to: {e}", there.display()))
}
