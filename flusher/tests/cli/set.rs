//! `crlog set`.

use super::common::*;
use crlog::{AppendError, KIB, Options, Severity};
use std::time::Duration;

fn said(place: &Place, args: &str) -> Vec<String> {
    let output = place.run(CRLOG, args, b"");
    assert_ended(&output, 0, "");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn it_says_what_was_and_what_is_and_changes_only_what_was_asked_for() {
    let place = Place::new();
    let log = Options::new(place.log()).ring_bytes(1024 * KIB).open().unwrap();
    let all = |policy: &str| Severity::ALL.map(|s| format!("when-full {s}={policy}")).to_vec();
    let mut want = all("block");
    let others = |backups: &str, fsync: &str| {
        let text = format!(
            "max-bytes 0;backups {backups};size-rule strict;rotate-at never;names numbered;keep-age 0s;keep-bytes 0;min-free 0;compress none;compress-delay 0;link none;mode 0640;owner none;fsync {fsync};notes text;death-notes no"
        );
        text.split(';').map(str::to_owned).collect::<Vec<_>>()
    };
    want.push("reserve 65536 bytes".into());
    want.extend(others("10", "none"));
    assert_eq!(said(&place, "set"), want);

    let changed = said(
        &place,
        "set --when-full drop --when-full info=block:250ms --reserve 100kB --backups 9 --fsync batch",
    );
    want = all("drop (was block)");
    want[2] = "when-full info=block:250ms (was block)".into();
    want.push("reserve 114688 bytes (was 65536 bytes)".into());
    want.extend(others("9 (was 10)", "batch (was none)"));
    assert_eq!(changed, want);
    let live = log.stats().unwrap().live;
    assert_eq!(live.when_full[2], crlog::WhenFull::BlockFor(Duration::from_millis(250)));
    assert_eq!((live.when_full[5], live.reserve_bytes), (crlog::WhenFull::Drop, 114_688));
    let s = place.stat().unwrap();
    assert_eq!((&s["when_full"]["info"], &s["reserve_bytes"]), (&"block:250ms".into(), &114_688.into()));
}

#[test]
fn a_reserve_that_is_not_possible_changes_nothing() {
    let place = Place::new();
    let log = Options::new(place.log()).ring_bytes(1024 * KIB).open().unwrap();
    let before = log.stats().unwrap().live;
    let output = place.run(CRLOG, "set --when-full drop --reserve 600KiB", b"");
    assert_ended(&output, 1, "at most half of the ring");
    assert_eq!(log.stats().unwrap().live, before);
}

#[test]
fn a_call_that_waits_for_a_stopped_flusher_is_freed_by_it() {
    let place = Place::new();
    let log = Options::new(place.log()).ring_bytes(256 * KIB).flusher_thread(false).open().unwrap();
    let mut sidecar = place.sidecar("");
    sidecar.signal(rustix::process::Signal::STOP);
    let mut w = log.writer().unwrap();
    let call = std::thread::spawn(move || {
        for i in 0u64.. {
            if let Err(e) = w.append(format!("{i} {:0>200}", 0).as_bytes()) {
                return (i, e);
            }
        }
        unreachable!("the ring has an end");
    });
    // All but the reserve, which is one chunk of sixteen.
    eventually("the ring is full", || log.stats().unwrap().chunks_in_use == 15);
    std::thread::sleep(Duration::from_millis(100));
    assert!(!call.is_finished());
    said(&place, "set --when-full info=drop");
    eventually("the call is back", || call.is_finished());
    let (taken, e) = call.join().unwrap();
    assert_eq!(e, AppendError::Full);
    sidecar.signal(rustix::process::Signal::CONT);
    log.flush(Duration::from_secs(20)).unwrap();
    drop(log);
    sidecar.signal(rustix::process::Signal::TERM);
    assert_ended(&sidecar.end(b""), 0, "");
    let lines = place.lines();
    assert_eq!(lines.len() as u64, taken + 1, "and the line that tells of the one that was dropped");
}
