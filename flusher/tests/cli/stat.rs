//! `crlog stat`.

use super::common::*;

#[test]
fn the_numbers_agree_with_the_files() {
    let place = Place::new();
    let mut pipe = place.start(CRLOG, "pipe --max-bytes 1kB --backups 9");
    let text = "0123456789\n".repeat(300);
    pipe.type_in(text.as_bytes());
    place.until("all is written", |s| s["counters"]["records"] == 300 && s["lag_records"] == 0);
    let s = place.stat().unwrap();
    assert_eq!(s["path"], place.log().to_str().unwrap());
    assert_eq!(s["counters"]["bytes"], 3300);
    let one = &s["producers"][0];
    assert_eq!((&one["records"], &one["bytes"]), (&300.into(), &3300.into()));
    assert_eq!((&one["alive"], &one["name"]), (&true.into(), &"crlog pipe".into()));
    assert_eq!(s["producers"].as_array().unwrap().len(), 1, "the one who looks is not one of them");
    assert_eq!((&s["flusher"]["pid"], &s["flusher"]["sidecar"]), (&one["pid"], &false.into()));
    assert_eq!(s["counters"]["rotations"], 3);
    let files: Vec<(String, u64)> = s["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["name"].as_str().unwrap().to_string(), f["bytes"].as_u64().unwrap()))
        .collect();
    let want = [("app.log", 330), ("app.log.1", 990), ("app.log.2", 990), ("app.log.3", 990)];
    assert_eq!(files, want.map(|(name, bytes)| (name.to_string(), bytes)));
    assert_ended(&pipe.end(b""), 0, "");
}

#[test]
fn the_table_shows_the_same() {
    let place = Place::new();
    let mut pipe = place.start(CRLOG, "pipe");
    pipe.type_in(b"one\ntwo\n");
    place.until("all is written", |s| s["counters"]["records"] == 2);
    let said = place.run(CRLOG, "stat", b"");
    assert_ended(&said, 0, "");
    let text = String::from_utf8(said.stdout).unwrap();
    for part in ["a thread of a producer", "crlog pipe", "8 B", "app.log", "truncated_bytes"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(text.lines().all(|l| l.len() <= 110 || l.starts_with("log ")), "{text}");
    assert_ended(&pipe.end(b""), 0, "");
}

#[test]
fn it_starts_nothing_and_leaves_no_trace() {
    let place = Place::new();
    let mut pipe = place.start(CRLOG, "pipe");
    pipe.type_in(b"one\n");
    place.until("it is written", |s| s["counters"]["records"] == 1);
    let epoch = place.stat().unwrap()["flusher"]["epoch"].clone();
    for _ in 0..5 {
        assert_eq!(place.stat().unwrap()["flusher"]["epoch"], epoch);
    }
    assert_ended(&pipe.end(b""), 0, "");
    assert!(place.stat().is_none());
}
