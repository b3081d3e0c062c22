//! Somebody removes the segment and its lock file while they are in use, as systemd's `RemoveIPC` does.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use common::{LOG, NAME, Place, ROLE, assert_complete, by_name, until};
use crlog::{Options, WhenFull};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let options = Options::new(std::env::var(LOG).unwrap());
    let name = std::env::var(NAME).unwrap();
    match role.as_str() {
        "write until the file stop" => {
            let log = options.max_bytes(1_000_000).backups(1000).open().unwrap();
            let mut w = log.writer().unwrap();
            let stop = std::env::var(LOG).unwrap() + "-stop";
            w.append(format!("{name} 0").as_bytes()).unwrap();
            log.flush(Duration::from_secs(30)).unwrap();
            std::fs::write(std::env::var(LOG).unwrap() + "-" + &name, "").unwrap();
            for i in 1u64.. {
                w.append(format!("{name} {i}").as_bytes()).unwrap();
                if i % 64 == 0 {
                    if std::path::Path::new(&stop).exists() {
                        break;
                    }
                    std::thread::sleep(Duration::from_micros(300));
                }
            }
        }
        "write one and wait" => {
            let log = options.open().unwrap();
            let mut w = log.writer().unwrap();
            w.append(format!("{name} 0").as_bytes()).unwrap();
            log.flush(Duration::from_secs(10)).unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
        "stop in the middle" => {
            let log = options.flusher_thread(false).open().unwrap();
            let mut w = log.writer().unwrap();
            w.append(format!("{name} 0").as_bytes()).unwrap();
            w.append_stopping_in_the_middle(format!("{name} 1 {}", "x".repeat(12_000)).as_bytes()).unwrap();
            w.append(format!("{name} 2").as_bytes()).unwrap();
        }
        "sidecar" => options.sidecar().unwrap().run(&crlog::Control::default()).unwrap(),
        other => panic!("no such role: {other}"),
    }
}

/// The segment and the lock file, as they are called now.
fn names(place: &Place) -> [PathBuf; 2] {
    let id = crlog::names::segment_id(&crlog::names::canonical(&place.log()).unwrap());
    let shm = PathBuf::from("/dev/shm");
    [shm.join(&id), shm.join(format!("{id}.lock"))]
}

fn wipe(place: &Place, what: &[usize]) {
    let names = names(place);
    for &i in what {
        let _ = std::fs::remove_file(&names[i]);
    }
}

fn stop(place: &Place, roles: &mut [common::Role]) {
    std::fs::write(place.path().join("app.log-stop"), "").unwrap();
    for role in roles {
        assert!(role.wait(), "a writer failed");
    }
}

fn last_line(place: &Place) -> Option<String> {
    let file = std::fs::File::open(place.log()).ok()?;
    BufReader::new(file).lines().map_while(Result::ok).last()
}

fn wiped_while_they_write(what: &[usize], sidecar: bool) {
    let place = Place::new();
    let side = sidecar.then(|| place.child("sidecar", ""));
    let mut roles: Vec<_> =
        (0..3).map(|i| place.child("write until the file stop", &format!("p{i}"))).collect();
    for round in 0..5 {
        until(Duration::from_secs(20), "there is a segment again", || {
            names(&place).iter().all(|name| name.exists())
        });
        wipe(&place, what);
        let late = format!("late{round}");
        roles.push(place.child("write until the file stop", &late));
        until(Duration::from_secs(20), "the newcomer's records are in the file", || {
            place.path().join(format!("app.log-{late}")).exists()
        });
    }
    stop(&place, &mut roles);
    let got = by_name(&place.lines());
    assert_complete(&got);
    assert_eq!(got.len(), 8, "{:?}", got.keys());
    drop(side);
}

#[test]
fn writers_move_to_a_new_segment_when_both_files_are_removed() {
    wiped_while_they_write(&[0, 1], false);
}

#[test]
fn so_they_do_when_only_the_segment_is_removed() {
    wiped_while_they_write(&[0], false);
}

#[test]
fn so_they_do_with_a_sidecar() {
    wiped_while_they_write(&[0, 1], true);
}

/// Again before all have moved: the order between the segments is not promised then, everything else is.
#[test]
fn nothing_is_lost_when_it_happens_again_and_again() {
    let place = Place::new();
    let mut roles: Vec<_> =
        (0..3).map(|i| place.child("write until the file stop", &format!("p{i}"))).collect();
    until(Duration::from_secs(20), "they write", || place.path().join("app.log-p2").exists());
    for round in 0..20 {
        std::thread::sleep(Duration::from_millis(7 * round % 40));
        wipe(&place, &[0, 1]);
    }
    stop(&place, &mut roles);
    let mut got = by_name(&place.lines());
    got.values_mut().for_each(|numbers| numbers.sort_unstable());
    assert_complete(&got);
    assert_eq!(got.len(), 3);
}

#[test]
fn a_sleeping_log_hears_of_it_at_once() {
    let place = Place::new();
    let old = place.child("write one and wait", "old");
    until(Duration::from_secs(20), "the first record", || place.lines_now().len() == 1);
    std::thread::sleep(Duration::from_millis(300)); // the flusher sleeps by now
    wipe(&place, &[0, 1]);
    let log = place.options().open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"new 0").unwrap();
    let begun = Instant::now();
    log.flush(Duration::from_secs(10)).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(place.lines_now(), ["old 0", "new 0"]);
    drop((w, log, old));
}

#[test]
fn a_newcomer_that_is_to_begin_anew_empties_no_log_that_is_in_use() {
    let place = Place::new();
    let old = place.options().open().unwrap();
    let mut w = old.writer().unwrap();
    w.append(b"old 0").unwrap();
    until(Duration::from_secs(10), "a thread flushes", || old.stats().unwrap().flusher.is_some());
    old.flush(Duration::from_secs(10)).unwrap();
    wipe(&place, &[0, 1]);
    let log = place.options().on_start(crlog::OnStart::Truncate).open().unwrap();
    log.writer().unwrap().append(b"new 0").unwrap();
    log.flush(Duration::from_secs(10)).unwrap();
    assert_eq!(place.lines_now(), ["old 0", "new 0"]);
    drop((w, old, log));
}

#[test]
fn one_that_is_about_to_sleep_hears_of_it_too() {
    // It sleeps 50 ms after the last record.
    for delay in (20..=80).step_by(4) {
        let place = Place::new();
        let log = place.options().open().unwrap();
        let mut w = log.writer().unwrap();
        w.append(b"a 0").unwrap();
        until(Duration::from_secs(10), "a thread flushes", || log.stats().unwrap().flusher.is_some());
        log.flush(Duration::from_secs(10)).unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        wipe(&place, &[0, 1]);
        until(Duration::from_secs(5), &format!("the move, {delay} ms later"), || {
            !log.stats().unwrap().removed
        });
    }
}

#[test]
fn one_that_was_stopped_in_the_middle_of_a_record_follows_later() {
    let place = Place::new();
    let mut others = vec![place.child("write until the file stop", "p")];
    let mut stopped = place.child("stop in the middle", "s");
    until(Duration::from_secs(20), "it stops", || stopped.is_stopped());
    until(Duration::from_secs(20), "a record", || last_line(&place).is_some_and(|l| l.starts_with("p ")));
    wipe(&place, &[0, 1]);
    let log = place.options().when_full(WhenFull::Block).open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"new 0").unwrap();
    log.flush(Duration::from_secs(20)).unwrap();
    stopped.signal(libc::SIGCONT);
    assert!(stopped.wait());
    stop(&place, &mut others);
    drop((w, log));
    let got = by_name(&place.lines());
    assert_complete(&got);
    assert_eq!(got["s"].len(), 3);
    assert_eq!(got["new"].len(), 1);
}

#[test]
fn the_new_segment_inherits_what_was_configured_and_changed() {
    let place = Place::new();
    let log = place.options().ring_bytes(crlog::MIB).max_bytes(1_000_000).backups(3).open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"a 0").unwrap();
    log.flush(Duration::from_secs(10)).unwrap();
    log.set_when_full(crlog::Severity::Debug, WhenFull::Drop).unwrap();
    wipe(&place, &[0, 1]);
    until(Duration::from_secs(10), "the move", || !log.stats().unwrap().removed && names(&place)[0].exists());
    w.append(b"a 1").unwrap();
    let stats = log.stats().unwrap();
    assert_eq!(stats.ring_bytes, crlog::MIB);
    assert_eq!(stats.live.when_full[1], WhenFull::Drop);
    let other = place.options().open().unwrap();
    assert_eq!(other.differences().unwrap(), []);
    drop((other, w, log));
    assert_eq!(place.lines_now(), ["a 0", "a 1"]);
    assert!(!names(&place)[0].exists() && !names(&place)[1].exists(), "the last one out removes the new one");
}
