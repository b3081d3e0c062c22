//! `crlog stress` and `crlog demo`, short.

use super::common::*;
use serde_json::Value;
use std::process::{Command, Output};

fn run(place: &Place, args: &str) -> Output {
    let mut command = Command::new(CRLOG);
    command.args(args.split_whitespace()).env("TMPDIR", place.path());
    let output = Running::spawn(&mut command).end(b"");
    let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().flatten().map(|entry| entry.path()).collect();
    if !left.is_empty() {
        let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        panic!("{args}: left {left:?} behind, {}: {err}{out}", output.status);
    }
    output
}

fn stress(args: &str) -> Value {
    let place = Place::new();
    let output = run(&place, &format!("stress --json {args}"));
    let said = String::from_utf8_lossy(&output.stderr);
    let found = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{args}: {said}{found}");
    let v: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(v["verified"], true);
    assert!(!std::path::Path::new(v["log"]["segment"].as_str().unwrap()).exists(), "segment left behind");
    v
}

#[test]
fn nothing_is_lost_when_everybody_is_killed_and_stopped() {
    let v = stress("--seconds 3 --kill-producers --kill-flushers --stop-producers --seed 1");
    for what in ["producers_killed", "flushers_killed", "stopped", "stopped_inside", "takeovers"] {
        assert!(v[what].as_u64().unwrap() > 0, "{what}: {v}");
    }
    assert!(v["acknowledged"].as_u64().unwrap() > 1000, "{v}");
}

#[test]
fn nothing_is_lost_when_sidecars_are_killed() {
    let v = stress("--seconds 3 --sidecars 2 --kill-flushers --seed 2");
    assert!(v["takeovers"].as_u64().unwrap() > 0, "{v}");
}

#[test]
fn a_number_of_records_is_written_exactly_also_across_deaths() {
    let v = stress(
        "--processes 3 --records 5000 --kill-producers --every 20ms --max-bytes 1MB --backups 120 --seed 3",
    );
    assert_eq!(v["acknowledged"], 15_000);
    assert_eq!(v["lines"].as_u64().unwrap(), 15_000 + v["finished_after_death"].as_u64().unwrap());
}

#[test]
fn long_records_survive_kills() {
    let v =
        stress("--seconds 2 --bytes 100-60000 --ring-size 512KiB --kill-producers --kill-flushers --seed 4");
    assert!(v["incarnations"].as_u64().unwrap() > 4, "{v}");
}

#[test]
fn a_run_can_be_kept_and_read_again() {
    let place = Place::new();
    let output = place.run(CRLOG, "stress --processes 2 --records 100 --keep --seed 5", b"");
    assert_ended(&output, 0, "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("verified      every acknowledged record"), "{text}");
    assert_eq!(place.lines().len(), 200);
    std::fs::remove_file(place.log()).unwrap();
}

/// A round of its own takes 5 s at least: too long for the other rounds of every day, which CI runs.
#[test]
fn a_soak_that_is_told_to_end_says_its_seed_first_and_last_and_leaves_nothing() {
    let place = Place::new();
    let mut command = Command::new(CRLOG);
    command.args("soak --minutes 1 --seed 41".split_whitespace()).env("TMPDIR", place.path());
    let mut soak = Running::spawn(&mut command);
    eventually("a round runs", || {
        std::fs::read_dir(place.path()).unwrap().flatten().any(|d| d.path().join("round-1/acks").exists())
    });
    soak.signal(rustix::process::Signal::TERM);
    let output = soak.end(b"");
    let text = String::from_utf8(output.stdout).unwrap();
    let again = "again with: crlog soak --minutes 1 --seed 41";
    assert!(text.lines().next().unwrap().contains(again), "{text}");
    assert!(text.lines().last().unwrap().contains(again), "{text}");
    assert_eq!(output.status.code(), Some(130), "nothing was verified");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("interrupted") && said.contains(again), "{said}");
    assert!(std::fs::read_dir(place.path()).unwrap().next().is_none(), "left something behind");
}

#[test]
fn the_demo_tells_its_story_in_less_than_forty_lines() {
    let place = Place::new();
    let output = run(&place, "demo --seconds 2");
    assert_ended(&output, 0, "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.is_ascii() && text.lines().count() < 40, "{text}");
    for part in ["kill -9", "app.log ", "INFO", "verified      every acknowledged record"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.lines().all(|l| l.len() <= 160), "{text}");
}
