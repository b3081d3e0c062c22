//! `crlog retention`.

use super::common::*;
use crlog::Options;
use crlog::manifest::{Hidden, Store};
use crlog::retention::Limits;
use crlog::rotate::manifest::{Ended, Entry, Form, Name};
use serde_json::Value;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Archives `.N` (the oldest) to `.1` with 1000 bytes each and a live log with 10, made by nobody in particular.
fn files(place: &Place, archives: u32) {
    for n in 1..=archives {
        std::fs::write(place.path().join(format!("app.log.{n}")), [b'x'; 1000]).unwrap();
    }
    std::fs::write(place.path().join("app.log"), "123456789\n").unwrap();
}

/// The manifest as a flusher would have written it.
fn told(place: &Place, archives: u32) {
    let said = Options::new(place.log()).retention(Limits::default(), false).unwrap();
    let hidden = place.path().canonicalize().unwrap().join(".app.log.crlog");
    let mut store = Store::load(Hidden::new(&hidden, 0o640, false)).unwrap();
    for n in (0..=archives).rev() {
        let name = if n == 0 { "app.log".into() } else { format!("app.log.{n}") };
        let row = said.rows.iter().find(|row| row.name == name).unwrap();
        let born = std::fs::metadata(place.path().join(&name)).unwrap().created().ok();
        let born_ns = born.map_or(0, |born| born.duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64);
        let form = Form { id: row.id, born_ns, bytes: row.bytes, name: Name::Log };
        let entry = Entry::begun(store.manifest().next_serial(), 1, 1, form, row.ended_ns);
        let end = Ended { bytes: row.bytes, keys: None, ns: row.ended_ns };
        store.tell(&[if n == 0 { entry } else { entry.archived(Name::Chain, end) }]).unwrap();
    }
}

fn said(place: &Place, args: &str) -> String {
    let output = place.run(CRLOG, &format!("retention --dry-run {args}"), b"");
    assert_ended(&output, 0, "");
    String::from_utf8(output.stdout).unwrap()
}

fn verdicts(place: &Place, args: &str) -> Vec<(String, String)> {
    let said: Value = serde_json::from_str(&said(place, &format!("--json {args}"))).unwrap();
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let files = said["files"].as_array().unwrap();
    files.iter().map(|file| (text(&file["name"]), text(&file["verdict"]))).collect()
}

fn pairs(want: &[(&str, &str)]) -> Vec<(String, String)> {
    want.iter().map(|(name, verdict)| ((*name).into(), (*verdict).into())).collect()
}

fn listing(dir: &Path) -> Vec<(std::ffi::OsString, u64)> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap());
    let mut all: Vec<_> = entries.map(|e| (e.file_name(), e.metadata().unwrap().len())).collect();
    all.sort();
    all
}

#[test]
fn it_says_of_each_file_what_would_become_of_it_and_changes_nothing() {
    let place = Place::new();
    files(&place, 4);
    told(&place, 4);
    std::fs::write(place.path().join("app.log.bak"), "").unwrap();
    std::fs::write(place.path().join("app.log.2"), "changed").unwrap();
    let before = listing(place.path());
    let text = said(&place, "--backups 2 --keep-bytes 1500");
    let want = [
        "limits: at most 2 archives, at most 1.5 kB with the live log",
        "app.log.2         7 B    S  left alone: somebody changed it, it had 1.0 kB",
        "app.log.bak       0 B    S  left alone: not called like an archive",
        "app.log.4      1.0 kB    S  would go: 3 archives, 2 are kept",
        "app.log.3      1.0 kB    S  would go: 2.0 kB in all, 1.5 kB are kept",
        "app.log.1      1.0 kB    S  kept",
        "app.log          10 B    S  the live log",
        "2 files would go (2.0 kB), nothing was changed",
        "1 file called like an archive and left alone: --adopt takes it in",
    ];
    // How long ago it was is another matter.
    let words = |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    let without_age = |line: &str| -> Vec<String> {
        let mut words = words(line);
        if words[0].starts_with("app") {
            words.drain(3..5);
        }
        words
    };
    let want: Vec<Vec<String>> = want.iter().map(|line| words(&line.replace("  S  ", " "))).collect();
    let got: Vec<Vec<String>> = text.lines().map(without_age).collect();
    assert_eq!(got, want, "{text}");
    assert_eq!(listing(place.path()), before);
}

#[test]
fn archives_that_nobody_knows_stay_unless_they_are_adopted() {
    let place = Place::new();
    files(&place, 2);
    let want = pairs(&[("app.log.1", "unknown"), ("app.log.2", "unknown"), ("app.log", "live")]);
    assert_eq!(verdicts(&place, "--backups 1"), want);
    let want = pairs(&[("app.log.2", "goes"), ("app.log.1", "kept"), ("app.log", "live")]);
    assert_eq!(verdicts(&place, "--backups 1 --adopt"), want);
    assert!(!place.path().join(".app.log.crlog").exists(), "it only looks");
}

#[test]
fn limits_that_are_not_given_are_those_of_the_running_log() {
    let place = Place::new();
    let mut pipe = place.start(CRLOG, "pipe --max-bytes 1kB --backups 9");
    pipe.type_in("0123456789\n".repeat(300).as_bytes());
    place.until("all is written", |s| s["counters"]["records"] == 300 && s["lag_records"] == 0);
    assert!(said(&place, "").starts_with("limits: at most 9 archives\n"));
    assert!(
        said(&place, "--backups 1 --keep-age 1h --min-free 1kB")
            .starts_with("limits: at most 1 archive, none older than 60 min, 1.0 kB free on the disk\n")
    );
    let want = [("app.log.3", "goes"), ("app.log.2", "goes"), ("app.log.1", "kept"), ("app.log", "live")];
    assert_eq!(verdicts(&place, "--adopt --backups 1"), pairs(&want));
    assert_ended(&pipe.end(b""), 0, "");
    assert!(said(&place, "").starts_with("limits: none, everything is kept\n"));
}

#[test]
fn the_object_has_the_figures() {
    let place = Place::new();
    files(&place, 2);
    told(&place, 2);
    let said: Value = serde_json::from_str(&said(&place, "--json --keep-bytes 2009")).unwrap();
    assert_eq!(said["limits"]["bytes"], 2009);
    assert_eq!((&said["known"], &said["adopted"], &said["damaged_lines"]), (&3.into(), &0.into(), &0.into()));
    let oldest = &said["files"][0];
    assert_eq!(
        (&oldest["name"], &oldest["serial"], &oldest["bytes"]),
        (&"app.log.2".into(), &"1".into(), &1000.into())
    );
    assert_eq!(oldest["reason"], serde_json::json!({"kind": "bytes", "found": 2010, "limit": 2009}));
}
