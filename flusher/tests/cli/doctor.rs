//! `crlog doctor` on real states.

use super::common::*;
use rustix::process::Signal;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What it found; its exit status and its verdict agree.
fn verdict(said: &Output) -> Value {
    let found: Value = serde_json::from_slice(&said.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said.stderr)));
    let status = if found["well"] == true { 0 } else { 1 };
    assert_ended(said, status, "");
    found
}

fn doctor(place: &Place, args: &str) -> Value {
    verdict(&place.run(CRLOG, &format!("doctor --json {args}"), b""))
}

/// The one finding of this name and severity; it says all this, and what to do.
fn says(found: &Value, id: &str, severity: &str, parts: &[&str]) {
    let all = found["findings"].as_array().unwrap();
    let one = all.iter().find(|f| f["id"] == id).unwrap_or_else(|| panic!("no {id} in {found:#}"));
    assert_eq!(one["severity"], severity, "{one}");
    for part in parts {
        assert!(one["what"].as_str().unwrap().contains(part), "{one} does not say {part:?}");
    }
    assert_ne!(one["do"], "", "{one}");
}

/// What may be wrong with the machine and user that run the tests.
const OF_THE_MACHINE: &[&str] = &["remove-ipc", "disk-low", "shm-small"];

/// Nothing of the log's needs attention; and nothing at all, unless this machine has its own troubles.
fn is_well(found: &Value) {
    let bad = |f: &&Value| f["severity"] == "warning" || f["severity"] == "problem";
    let bad: Vec<&Value> = found["findings"].as_array().unwrap().iter().filter(bad).collect();
    assert!(bad.iter().all(|f| OF_THE_MACHINE.iter().any(|id| f["id"] == *id)), "{found:#}");
    assert_eq!(found["well"], bad.is_empty());
}

#[test]
fn a_healthy_log_is_well_in_words_and_in_json() {
    let place = Place::new();
    let mut sidecar = place.sidecar("--max-bytes 1MB --backups 3");
    let mut pipe = place.start(CRLOG, "pipe");
    pipe.type_in(b"one\n");
    place.until("it is written", |s| s["counters"]["records"] == 1);
    let found = doctor(&place, "");
    is_well(&found);
    assert_eq!(found["path"], place.log().to_str().unwrap());
    let stat = place.stat().unwrap();
    assert_eq!((&found["layout_version"], &found["segment"]), (&stat["layout_version"], &stat["segment"]));
    let said = place.run(CRLOG, "doctor", b"");
    let well = found["well"] == true;
    assert_ended(&said, if well { 0 } else { 1 }, "");
    let text = String::from_utf8(said.stdout).unwrap();
    let flusher = format!("ok       process {}, a sidecar, writes the file", stat["flusher"]["pid"]);
    let verdict = if well { "All is well." } else { "attention." };
    for part in [verdict, &flusher, "ok       1 process may log"] {
        assert!(text.contains(part), "{text}");
    }
    assert_ended(&pipe.end(b""), 0, "");
    sidecar.signal(Signal::TERM);
    assert_ended(&sidecar.end(b""), 0, "");
}

#[test]
fn a_log_that_nobody_has_open_is_well() {
    let place = Place::new();
    let found = doctor(&place, "");
    is_well(&found);
    says(&found, "not-open", "note", &["no process has the log open"]);
    assert!(std::fs::read_dir(place.path()).unwrap().next().is_none(), "it left something behind");
}

#[test]
fn a_stopped_flusher_is_named_and_well_again_when_it_goes_on() {
    let place = Place::new();
    let mut sidecar = place.sidecar("");
    let pid = place.stat().unwrap()["flusher"]["pid"].clone();
    sidecar.signal(Signal::STOP);
    let mut pipe = place.start(CRLOG, "pipe");
    pipe.type_in(b"one\ntwo\n");
    place.until("it waits in the ring", |s| s["lag_records"] == 2);
    let found = doctor(&place, "");
    says(&found, "flusher-stopped", "problem", &[&format!("process {pid}"), "2 records wait"]);
    assert_eq!(found["findings"][0]["id"], "flusher-stopped", "the worst comes first");
    sidecar.signal(Signal::CONT);
    place.until("it is written", |s| s["lag_records"] == 0);
    is_well(&doctor(&place, ""));
    assert_ended(&pipe.end(b""), 0, "");
    sidecar.signal(Signal::TERM);
    assert_ended(&sidecar.end(b""), 0, "");
}

#[test]
fn a_stopped_program_is_told_as_something_to_know() {
    let place = Place::new();
    let mut sidecar = place.sidecar("");
    let mut pipe = place.start(CRLOG, "pipe");
    pipe.type_in(b"one\n");
    place.until("it is written", |s| s["counters"]["records"] == 1);
    pipe.signal(Signal::STOP);
    let found = doctor(&place, "");
    is_well(&found);
    says(&found, "producer-stopped", "note", &["(crlog pipe) is stopped", "others are not delayed"]);
    pipe.signal(Signal::CONT);
    assert_ended(&pipe.end(b""), 0, "");
    sidecar.signal(Signal::TERM);
    assert_ended(&sidecar.end(b""), 0, "");
}

#[test]
fn records_of_a_killed_crowd_are_told_and_its_advice_brings_them_back() {
    let place = Place::new();
    let mut sidecar = place.sidecar("");
    sidecar.signal(Signal::STOP);
    let mut pipe = place.start(CRLOG, "pipe");
    pipe.type_in(b"one\n");
    place.until("it waits in the ring", |s| s["lag_records"] == 1);
    drop((pipe, sidecar));
    let found = doctor(&place, "");
    says(&found, "left-over", "problem", &["1 record of killed processes"]);
    let advice = found["findings"][0]["do"].as_str().unwrap();
    assert!(advice.starts_with(&format!("crlog recover {}", place.log().display())), "{advice}");
    assert_ended(&place.run(CRLOG, "recover", b""), 0, "");
    assert_eq!(place.lines(), ["one"]);
    is_well(&doctor(&place, ""));
}

#[test]
fn a_removed_segment_is_told_with_those_who_use_it() {
    let place = Place::new();
    let mut pipe = place.start(CRLOG, "pipe");
    pipe.type_in(b"one\n");
    place.until("it is written", |s| s["counters"]["records"] == 1 && s["lag_records"] == 0);
    let pid = place.stat().unwrap()["producers"][0]["pid"].clone();
    pipe.signal(Signal::STOP);
    for path in segments_of(&place.log()) {
        std::fs::remove_file(path).unwrap();
    }
    let found = doctor(&place, "");
    says(&found, "removed", "problem", &[&format!("process {pid} uses a segment"), "somebody removed"]);
    assert_eq!(segments_of(&place.log()), Vec::<PathBuf>::new(), "it made a new one");
}

#[test]
fn a_lost_lock_file_is_told_and_none_is_left_in_its_place() {
    let place = Place::new();
    let mut sidecar = place.sidecar("");
    let lock = PathBuf::from(place.stat().unwrap()["lock_file"].as_str().unwrap());
    sidecar.signal(Signal::STOP); // else it would notice, and move to a new segment with a new lock file
    std::fs::remove_file(&lock).unwrap();
    let found = doctor(&place, "");
    says(&found, "segment", "problem", &["was removed and made anew", "end all processes"]);
    assert!(!lock.exists(), "it left a lock file behind");
    sidecar.signal(Signal::CONT);
    eventually("it moves, and all is well", || lock.exists() && place.stat().is_some());
    sidecar.signal(Signal::TERM);
    assert!(sidecar.end(b"").status.success());
}

#[test]
fn a_second_segment_for_one_file_is_told() {
    let place = Place::new();
    let args = format!("--segment {}", place.path().join("ring").display());
    let mut sidecar = place.start(FLUSHER, &args);
    eventually("it is at work", || doctor(&place, &args).to_string().contains("a sidecar, writes the file"));
    let found = doctor(&place, "");
    says(&found, "two-segments", "problem", &["does not belong to /dev/shm/crlog-"]);
    sidecar.signal(Signal::TERM);
    assert_ended(&sidecar.end(b""), 0, "");
}

#[test]
fn a_directory_that_may_not_be_written_is_told() {
    let place = Place::new();
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o555)).unwrap();
    let mut command = Command::new(CRLOG);
    command.args(["doctor", "--json"]).arg(place.log());
    if rustix::process::geteuid().is_root() {
        // Root may write anywhere.
        command.uid(65534);
    }
    let said = command.output();
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let Ok(said) = said else {
        eprintln!("SKIPPED: this program cannot be run by another user");
        return;
    };
    let found = verdict(&said);
    says(&found, "directory", "problem", &["may not write to", place.path().to_str().unwrap()]);
    let problems = found["findings"].as_array().unwrap().iter().filter(|f| f["severity"] == "problem");
    assert_eq!(problems.count(), 1, "told twice: {found:#}");
}

#[test]
fn a_missing_directory_is_told() {
    let said = Command::new(CRLOG).args(["doctor", "--json", "/nonexistent/app.log"]).output().unwrap();
    says(&verdict(&said), "directory", "problem", &["the directory of /nonexistent/app.log does not exist"]);
}

/// A small file system; `None`, said loudly, where this user may not mount.
struct Small(PathBuf);

impl Small {
    fn mount(dir: &Path) -> Option<Small> {
        std::fs::create_dir_all(dir).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(dir).output();
        if done.is_ok_and(|o| o.status.success()) {
            return Some(Small(dir.to_owned()));
        }
        eprintln!("SKIPPED: may not mount a small tmpfs (needs root)");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_is_told_with_its_error_and_is_well_again_when_there_is_room() {
    let place = Place::new();
    let Some(small) = Small::mount(&place.path().join("small")) else { return };
    let log = small.0.canonicalize().unwrap().join("app.log");
    let run = |args: &[&str]| {
        let mut command = Command::new(CRLOG);
        command.args(args).arg(&log);
        Running::spawn(&mut command)
    };
    let examined = || verdict(&run(&["doctor", "--json"]).end(b""));
    let mut pipe = run(&["pipe"]);
    pipe.type_in(b"one\n");
    eventually("it is written", || std::fs::read(&log).is_ok_and(|b| b == b"one\n"));
    std::fs::write(small.0.join("ballast"), vec![0; 2 << 20]).unwrap_err();
    pipe.type_in(&b"another line\n".repeat(1000));
    eventually("the error is seen", || examined().to_string().contains("\"error\""));
    let found = examined();
    says(&found, "disk-full", "problem", &["small is full"]);
    says(&found, "error", "problem", &["No space left on device", "records wait"]);
    std::fs::remove_file(small.0.join("ballast")).unwrap();
    eventually("it is written", || std::fs::metadata(&log).is_ok_and(|m| m.len() == 13_004));
    let mut found = Value::Null;
    eventually("the error is gone", || {
        found = examined();
        let mut all = found["findings"].as_array().unwrap().iter();
        all.all(|f| f["id"] != "error" && f["id"] != "disk-full")
    });
    says(&found, "past-errors", "note", &["works again"]);
    assert_ended(&pipe.end(b""), 0, "");
}
