//! `crlog-flusher` and its signals.

use super::common::*;
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;

fn numbered(count: usize) -> (Vec<String>, Vec<u8>) {
    let lines: Vec<String> = (0..count).map(|i| format!("line {i}")).collect();
    let text = format!("{}\n", lines.join("\n")).into_bytes();
    (lines, text)
}

#[test]
fn term_writes_what_a_killed_process_has_logged_and_ends_with_0() {
    let place = Place::new();
    let mut sidecar = place.sidecar("");
    sidecar.signal(Signal::STOP);
    let (lines, text) = numbered(1000);
    let mut pipe = place.start(CRLOG, "pipe");
    pipe.type_in(&text);
    place.until("it waits in the ring", |s| s["lag_records"] == 1000);
    drop(pipe);
    assert_eq!(place.lines(), Vec::<String>::new());
    sidecar.signal(Signal::CONT);
    sidecar.signal(Signal::TERM);
    assert_ended(&sidecar.end(b""), 0, "");
    assert_eq!(place.lines(), lines);
}

#[test]
fn int_ends_it_like_term() {
    let place = Place::new();
    let mut sidecar = place.sidecar("");
    sidecar.signal(Signal::INT);
    assert_ended(&sidecar.end(b""), 0, "");
}

#[test]
fn usr1_rotates() {
    let place = Place::new();
    let mut sidecar = place.sidecar("--backups 3");
    assert_ended(&place.run(CRLOG, "pipe", b"old\n"), 0, "");
    sidecar.signal(Signal::USR1);
    place.until("it is rotated", |s| s["counters"]["rotations"] == 1);
    assert_ended(&place.run(CRLOG, "pipe", b"new\n"), 0, "");
    sidecar.signal(Signal::TERM);
    assert_ended(&sidecar.end(b""), 0, "");
    assert_eq!(std::fs::read(place.path().join("app.log.1")).unwrap(), b"old\n");
    assert_eq!(std::fs::read(place.log()).unwrap(), b"new\n");
}

#[test]
fn a_rotated_file_is_compressed_and_it_says_so() {
    let place = Place::new();
    let mut sidecar = place.sidecar("-v --backups 3 --compress gzip:9 --compress-delay 1");
    for line in ["one\n", "two\n", "three\n"] {
        assert_ended(&place.run(CRLOG, "pipe", line.as_bytes()), 0, "");
        assert_ended(&place.run(CRLOG, "rotate", b""), 0, "");
    }
    place.until("two of three are packed", |s| s["counters"]["packed"] == 2);
    let names: Vec<_> =
        place.stat().unwrap()["files"].as_array().unwrap().iter().map(|f| f["name"].clone()).collect();
    assert_eq!(names, ["app.log", "app.log.1", "app.log.2.gz", "app.log.3.gz"]);
    sidecar.signal(Signal::TERM);
    let ended = sidecar.end(b"");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("compressed: app.log.2.gz, "), "{said}");
    assert!(ended.status.success());
}

#[cfg(not(feature = "zstd"))]
#[test]
fn a_build_without_zstd_says_that_archives_stay_as_they_are() {
    let place = Place::new();
    let mut sidecar = place.sidecar("--backups 3 --compress zstd");
    assert_ended(&place.run(CRLOG, "pipe", b"one\n"), 0, "");
    assert_ended(&place.run(CRLOG, "rotate", b""), 0, "");
    place.until("it is counted", |s| s["counters"]["pack_errors"] != 0);
    sidecar.signal(Signal::TERM);
    let said = String::from_utf8(sidecar.end(b"").stderr).unwrap();
    assert!(
        said.contains("this build of crlog has no such compression; archives stay as they are"),
        "{said}"
    );
    assert!(place.path().join("app.log.1").exists());
}

#[test]
fn hup_makes_a_new_file_after_mv() {
    let place = Place::new();
    let mut sidecar = place.sidecar("");
    assert_ended(&place.run(CRLOG, "pipe", b"old\n"), 0, "");
    let moved = place.path().join("moved");
    std::fs::rename(place.log(), &moved).unwrap();
    sidecar.signal(Signal::HUP);
    eventually("there is a new file", || place.log().exists());
    assert_ended(&place.run(CRLOG, "pipe", b"new\n"), 0, "");
    sidecar.signal(Signal::TERM);
    assert_ended(&sidecar.end(b""), 0, "");
    assert_eq!(std::fs::read(moved).unwrap(), b"old\n");
    assert_eq!(std::fs::read(place.log()).unwrap(), b"new\n");
}

#[test]
fn the_second_sidecar_waits_and_takes_over_when_the_first_is_killed() {
    let place = Place::new();
    let mut first = place.sidecar("");
    let mut second = place.start(FLUSHER, "-v");
    let of_first = place.stat().unwrap()["flusher"]["pid"].clone();
    std::thread::sleep(std::time::Duration::from_millis(200));
    first.signal(Signal::KILL);
    drop(first);
    place.until("the second is at work", |s| {
        s["flusher"]["sidecar"] == true && s["flusher"]["pid"] != of_first
    });
    assert_ended(&place.run(CRLOG, "pipe", b"a\n"), 0, "");
    second.signal(Signal::TERM);
    let said = second.end(b"");
    assert_eq!(said.status.code(), Some(0));
    let text = String::from_utf8(said.stderr).unwrap();
    for part in [&format!("another sidecar, process {of_first}"), "as flusher number 2", "stopped"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(text.lines().all(|l| l.starts_with("crlog-flusher: ")), "{text}");
    assert_eq!(place.lines(), ["a"]);
}

#[test]
fn a_segment_truncated_under_it_ends_it_with_its_reason_and_is_then_refused_and_kept() {
    let place = Place::new();
    let ring = place.path().join("ring");
    let args = format!("--segment {}", ring.display());
    let mut sidecar = place.start(FLUSHER, &args);
    eventually("it is at work", || place.run(CRLOG, &format!("stat {args}"), b"").status.success());
    std::fs::OpenOptions::new().write(true).open(&ring).unwrap().set_len(8192).unwrap();
    sidecar.signal(Signal::USR1);
    let said = sidecar.end(b"");
    let text = String::from_utf8(said.stderr).unwrap();
    assert_eq!(said.status.signal(), Some(Signal::BUS.as_raw()), "{text}");
    assert!(text.contains("somebody truncated the segment") && text.lines().count() == 1, "{text}");
    assert_ended(&place.run(FLUSHER, &args, b""), 1, "remove it once nobody uses it");
    assert_eq!(std::fs::metadata(&ring).unwrap().len(), 8192);
}

#[test]
fn a_bus_error_that_somebody_sends_ends_it_too() {
    let place = Place::new();
    let mut sidecar = place.sidecar("");
    sidecar.signal(Signal::BUS);
    let said = sidecar.end(b"");
    assert_eq!((said.status.signal(), said.stderr), (Some(Signal::BUS.as_raw()), Vec::new()));
}
