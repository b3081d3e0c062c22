//! `crlog recover`.

use super::common::*;
use rustix::process::Signal;
use std::path::PathBuf;

/// Lines that are in memory only: whoever logged them, and whoever could have written them, is killed.
fn left_in_memory(place: &Place, args: &str, lines: &[String]) {
    let mut sidecar = place.start(FLUSHER, args);
    let stat = format!("stat --json {}", places(args));
    let sees = |what: &str| String::from_utf8_lossy(&place.run(CRLOG, &stat, b"").stdout).contains(what);
    eventually("it is at work", || sees("\"sidecar\":true"));
    sidecar.signal(Signal::STOP);
    let mut pipe = place.start(CRLOG, &format!("pipe {}", places(args)));
    pipe.type_in(format!("{}\n", lines.join("\n")).as_bytes());
    let waits = format!("\"lag_records\":{},", lines.len());
    eventually("it waits in the ring", || sees(&waits));
    pipe.signal(Signal::KILL);
    sidecar.signal(Signal::KILL);
}

/// Of some arguments, those that say where the segment is.
fn places(args: &str) -> String {
    let words: Vec<&str> = args.split_whitespace().collect();
    let at = words.iter().position(|w| *w == "--segment");
    at.map_or(String::new(), |i| words[i..i + 2].join(" "))
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("line {i:04}")).collect()
}

fn says(place: &Place, args: &str) -> String {
    let said = place.run(CRLOG, &format!("recover {args}"), b"");
    assert_ended(&said, 0, "");
    let text = String::from_utf8(said.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn what_killed_processes_left_is_written_and_the_memory_given_back() {
    let place = Place::new();
    let lines = numbered(1000);
    left_in_memory(&place, "", &lines);
    assert_eq!(place.lines(), Vec::<String>::new());
    assert_eq!(segments_of(&place.log()).len(), 2);
    let text = says(&place, "");
    assert!(text.starts_with("wrote 1,000 records (10.0 kB) to "), "{text}");
    assert!(text.contains("segment and lock file are removed") && !text.contains("damaged"), "{text}");
    assert_eq!(place.lines(), lines);
    assert_eq!(segments_of(&place.log()), Vec::<PathBuf>::new());
    assert!(says(&place, "").starts_with("nothing to recover: nothing of "));
    assert_eq!(place.lines(), lines);
}

#[test]
fn the_options_that_the_log_was_made_with_hold() {
    let place = Place::new();
    let lines = numbered(25);
    left_in_memory(&place, "--max-bytes 100 --backups 5 --mode 0600", &lines);
    assert!(says(&place, "").starts_with("wrote 25 records"));
    assert_eq!(std::fs::metadata(place.log()).unwrap().len(), 50);
    for n in 1..=2 {
        assert_eq!(std::fs::metadata(place.path().join(format!("app.log.{n}"))).unwrap().len(), 100);
    }
    assert_eq!(place.lines(), lines);
}

#[test]
fn a_mapped_file_that_was_kept_elsewhere_is_recovered() {
    let place = Place::new();
    let (ring, kept) = (place.path().join("ring"), place.path().join("kept"));
    let lines = numbered(100);
    left_in_memory(&place, &format!("--segment {}", ring.display()), &lines);
    std::fs::copy(&ring, &kept).unwrap();
    std::fs::remove_file(&ring).unwrap();
    std::fs::remove_file(place.path().join("ring.lock")).unwrap();
    let text = says(&place, &format!("--segment {}", kept.display()));
    assert!(text.starts_with("wrote 100 records"), "{text}");
    assert_eq!(place.lines(), lines);
    assert!(!kept.exists() && !place.path().join("kept.lock").exists(), "left behind");
}

#[test]
fn a_log_that_runs_is_left_to_those_who_have_it_open() {
    let place = Place::new();
    let mut sidecar = place.sidecar("");
    sidecar.signal(Signal::STOP);
    let mut pipe = place.start(CRLOG, "pipe");
    pipe.type_in(b"one\n");
    place.until("it waits in the ring", |s| s["lag_records"] == 1);
    let stat = place.stat().unwrap();
    let said = place.run(CRLOG, "recover", b"");
    for who in [&stat["producers"][0]["pid"], &stat["flusher"]["pid"]] {
        assert_ended(&said, 1, &format!("process {who} ("));
    }
    assert!(said.stdout.is_empty());
    assert_eq!(place.lines(), Vec::<String>::new(), "it was written behind their backs");
    sidecar.signal(Signal::CONT);
    assert_ended(&pipe.end(b""), 0, "");
    sidecar.signal(Signal::TERM);
    assert_ended(&sidecar.end(b""), 0, "");
    assert_eq!(place.lines(), ["one"]);
}

#[test]
fn damaged_records_are_refused_and_counted_and_the_others_are_written() {
    let place = Place::new();
    let ring = place.path().join("ring");
    let args = format!("--segment {}", ring.display());
    // A chunk holds 16 KiB with the records' headers, so these are in several.
    let lines: Vec<String> = (0..40).map(|i| format!("{i:02} {}", "x".repeat(1500))).collect();
    left_in_memory(&place, &args, &lines);
    let mut bytes = std::fs::read(&ring).unwrap();
    let chunk = bytes.windows(5).position(|w| w == b"00 xx").unwrap();
    // The length of the chunk's fourth record: the headers grow down from its end.
    let header = chunk + 16 * 1024 - 4 * 16 + 8;
    assert_eq!(bytes[header..header + 3], 1504u32.to_le_bytes()[..3]);
    bytes[header..header + 3].fill(0xff);
    std::fs::write(&ring, &bytes).unwrap();
    let text = says(&place, &args);
    let left = place.lines();
    let refused = lines.len() - left.len();
    assert!((1..=10).contains(&refused), "{text}");
    assert!(text.contains(&format!("refused {refused} record")), "{text}");
    assert!(text.contains("as damaged, in 1 chunk"), "{text}");
    assert_eq!(left[..3], lines[..3]);
    assert_eq!(left[3..], lines[3 + refused..]);
}

#[test]
fn a_record_whose_bytes_were_altered_is_refused_by_its_checksum_and_no_other() {
    let place = Place::new();
    let ring = place.path().join("ring");
    let args = format!("--segment {}", ring.display());
    let mut lines = numbered(100);
    left_in_memory(&place, &args, &lines);
    let mut bytes = std::fs::read(&ring).unwrap();
    let at = bytes.windows(9).position(|w| w == b"line 0042").unwrap();
    bytes[at + 2] = b'k';
    std::fs::write(&ring, &bytes).unwrap();
    let text = says(&place, &args);
    assert!(text.starts_with("wrote 99 records") && text.contains("refused 1 record as damaged;"), "{text}");
    lines.remove(42);
    assert_eq!(place.lines(), lines);
}

#[test]
fn a_file_that_cannot_be_written_leaves_the_records_where_they_are() {
    let place = Place::new();
    let lines = numbered(10);
    left_in_memory(&place, "", &lines);
    // A program may write at most this much to any file.
    let said = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" recover \"$1\"", CRLOG])
        .arg(place.log())
        .output()
        .unwrap();
    assert_ended(&said, 1, "10 records are still in memory");
    assert_ended(&said, 1, "File too large");
    assert_eq!(segments_of(&place.log()).len(), 2, "thrown away");
    assert_eq!(place.lines(), Vec::<String>::new());
    assert!(says(&place, "").starts_with("wrote 10 records"));
    assert_eq!(place.lines(), lines);
}

#[test]
fn a_half_made_segment_holds_nothing_to_recover() {
    let place = Place::new();
    let ring = place.path().join("ring");
    std::fs::write(&ring, vec![0; 1 << 20]).unwrap();
    let text = says(&place, &format!("--segment {}", ring.display()));
    assert!(text.starts_with("nothing to recover"), "{text}");
    assert!(!place.path().join("ring.lock").exists(), "it left a lock file behind");
    assert!(ring.exists() && !place.log().exists(), "it made or removed something");
}
