//! Records from outside that try to look like two, through every call that writes.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use crlog::{Escape, Log, Options, Severity};
use std::path::PathBuf;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);
const FORGED: &[u8] = b"name=x\nERROR root: all is lost\x1b[2J\r\n";

struct Bed(tempfile::TempDir);

impl Bed {
    fn new() -> Bed {
        Bed(tempfile::tempdir().unwrap())
    }
    fn log(&self) -> PathBuf {
        self.0.path().join("app.log")
    }
    fn open(&self, escape: Escape) -> Log {
        Options::new(self.log()).escape(escape).open().unwrap()
    }
    fn text(&self, log: &Log) -> String {
        log.flush(LONG).unwrap();
        std::fs::read_to_string(self.log()).unwrap()
    }
}

/// One record through each call; the bytes of each are those given.
fn write_everywhere(log: &Log, record: &[u8]) -> usize {
    let mut w = log.writer().unwrap();
    w.append(record).unwrap();
    w.log(Severity::Warn, record).unwrap();
    w.try_log(Severity::Info, record).unwrap();
    w.append_durable(Severity::Info, record, LONG).unwrap();
    let (head, tail) = record.split_at(record.len() / 2);
    w.append_vectored(Severity::Info, &[head, b"", tail]).unwrap();
    assert_eq!(w.append_batch(Severity::Info, &[record, record]).unwrap(), 2);
    7
}

#[test]
fn no_call_lets_a_record_look_like_two_when_lines_are_escaped() {
    let bed = Bed::new();
    let log = bed.open(Escape::Lines);
    let count = write_everywhere(&log, FORGED);
    assert_eq!(bed.text(&log), "name=x\\nERROR root: all is lost\\x1b[2J\\r\\n\n".repeat(count));
}

#[test]
fn lines_of_a_record_stay_lines_when_controls_are_escaped() {
    let bed = Bed::new();
    let log = bed.open(Escape::Controls);
    let count = write_everywhere(&log, FORGED);
    assert_eq!(bed.text(&log), "name=x\nERROR root: all is lost\\x1b[2J\\r\n\n".repeat(count));
}

#[test]
fn nothing_is_changed_unless_it_is_asked_for() {
    let bed = Bed::new();
    let log = Options::new(bed.log()).open().unwrap();
    let count = write_everywhere(&log, FORGED);
    assert_eq!(bed.text(&log).as_bytes(), [FORGED, b"\n"].concat().repeat(count));
}

#[test]
fn a_character_that_lies_in_two_parts_is_still_found() {
    let bed = Bed::new();
    let log = bed.open(Escape::Lines);
    log.writer()
        .unwrap()
        .append_vectored(Severity::Info, &[b"a\xe2", b"\x80", b"\xa8b\xc2", b"\x9b"])
        .unwrap();
    assert_eq!(bed.text(&log), "a\\u2028b\\x9b\n");
}

#[test]
fn a_record_longer_than_a_chunk_is_escaped_whole() {
    let bed = Bed::new();
    let log = bed.open(Escape::Lines);
    let record = "one\ntwo\u{2028}".repeat(10_000);
    log.writer().unwrap().append(record.as_bytes()).unwrap();
    assert_eq!(bed.text(&log), r"one\ntwo\u2028".repeat(10_000) + "\n");
}

#[test]
fn a_record_that_only_its_escapes_make_too_long_is_refused_with_its_real_length() {
    let bed = Bed::new();
    let log = Options::new(bed.log()).escape(Escape::Lines).ring_bytes(crlog::RING_BYTES_MIN).open().unwrap();
    let max = log.record_bytes_max();
    let mut w = log.writer().unwrap();
    let record = vec![0; max / 2];
    let refused = w.append(&record);
    assert_eq!(refused, Err(crlog::AppendError::TooLong { len: max / 2 * 4 + 1, max }));
    assert_eq!(log.stats().unwrap().producers[0].too_long, 1);
}

#[test]
fn whoever_comes_later_escapes_as_the_log_says() {
    let bed = Bed::new();
    let first = bed.open(Escape::Lines);
    let second = bed.open(Escape::None);
    assert_eq!(second.differences().unwrap().len(), 1);
    assert_eq!(second.differences().unwrap()[0].to_string(), "escape stays Lines, None was asked for");
    second.writer().unwrap().append(b"a\nb").unwrap();
    assert_eq!(bed.text(&first), "a\\nb\n");
}
