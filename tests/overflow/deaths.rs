//! Processes that die without leaving: what is known of them afterwards.

use crate::common::{Place, Role, until};
use crate::{LONG, sidecar};
use crlog::{KIB, Log, Options};
use std::time::Duration;

const RECORDS: u64 = 700;

pub fn write_and_stay(options: Options, name: &str, role: &str) {
    let log = options.flusher_thread(false).open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0..RECORDS {
        w.append(format!("{name} {i}").as_bytes()).unwrap();
    }
    match role {
        "stop in a record" => w.append_stopping_in_the_middle(b"unfinished").unwrap(),
        "stop in a large record" => w.append_stopping_in_the_middle(&vec![b'x'; 100_000]).unwrap(),
        _ => {}
    }
    std::thread::sleep(Duration::from_secs(120));
}

fn start_time(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap()
}

/// A process that has written all its records, and is where its role says.
fn victim(place: &Place, log: &Log, role: &str) -> Role {
    let victim = place.child(role, "victim");
    if role == "write and stay" {
        until(LONG, "its records", || {
            log.stats().unwrap().counters.records + log.stats().unwrap().lag_records >= RECORDS
        });
    } else {
        until(LONG, "its stop", || victim.is_stopped());
    }
    victim
}

/// Kills a process; the report, and what the log says of it.
fn death(role: &str, unfinished: u64) {
    for death_notes in [true, false] {
        let place = Place::new();
        let log = place
            .options()
            .ring_bytes(1024 * KIB)
            .death_notes(death_notes)
            .flusher_thread(false)
            .open()
            .unwrap();
        let mut flusher = sidecar(&place, &log);
        let mut victim = victim(&place, &log, role);
        let (pid, start) = (victim.pid(), start_time(victim.pid()));
        victim.kill();
        until(LONG, "the report", || log.flush(LONG).is_ok() && !log.stats().unwrap().deaths.is_empty());
        // A flusher that comes after it does not tell it again.
        flusher.kill();
        let again = sidecar(&place, &log);
        log.flush(LONG).unwrap();
        let s = log.stats().unwrap();
        assert_eq!(s.deaths.len(), 1, "{:?}", s.deaths);
        let d = &s.deaths[0];
        assert_eq!((d.pid as i32, d.start, d.name.as_str()), (pid, start, "victim"));
        assert_eq!((d.records, d.unfinished), (RECORDS, unfinished), "{role}");
        assert!(d.attached_unix_ns > 0 && d.died_unix_ns > d.attached_unix_ns, "{d:?}");
        assert_eq!((s.counters.reaped, s.counters.lost_unfinished), (1, unfinished));
        assert_eq!(s.chunks_in_use, 0, "nothing of it is left in the ring");

        let lines = place.lines_now();
        let own: Vec<usize> = (0..lines.len()).filter(|&i| lines[i].starts_with("crlog: ")).collect();
        assert_eq!(lines.len() as u64 - own.len() as u64, RECORDS);
        if death_notes {
            assert_eq!(own, [RECORDS as usize], "once, and after its last record");
            let lost = if unfinished > 0 { ", and was writing another one, which is lost" } else { "" };
            let want = format!(
                "crlog: process {pid} (victim) died without leaving; it had written {RECORDS} records{lost}"
            );
            assert_eq!(lines[RECORDS as usize], want);
        } else {
            assert!(own.is_empty(), "{:?}", lines[own[0]]);
        }
        drop((again, log));
    }
}

#[test]
fn a_killed_process_is_reported_with_what_it_had_written() {
    death("write and stay", 0);
}

#[test]
fn a_process_killed_in_the_middle_of_a_record_is_reported_as_such() {
    death("stop in a record", 1);
}

#[test]
fn a_process_killed_while_it_fills_a_large_record_is_reported_as_such() {
    death("stop in a large record", 1);
}
