//! A full ring: what each policy does, and what the log tells of records that were dropped and of processes
//! that died.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

#[path = "overflow/deaths.rs"]
mod deaths;
#[path = "overflow/gaps.rs"]
mod gaps;
#[path = "overflow/policies.rs"]
mod policies;

use common::{LOG, NAME, Place, ROLE, Role, until};
use crlog::{KIB, Log, Options};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let name = std::env::var(NAME).unwrap();
    let options = Options::new(std::env::var(LOG).unwrap()).name(&name);
    match role.as_str() {
        "sidecar" => options.sidecar().unwrap().run(&crlog::Control::default()).unwrap(),
        "drop and leave" => drop(gaps::write_and_count(options, &name)),
        "drop and stay" => {
            let _log = gaps::write_and_count(options, &name);
            std::thread::sleep(Duration::from_secs(120));
        }
        "write and stay" | "stop in a record" | "stop in a large record" => {
            deaths::write_and_stay(options, &name, &role);
        }
        other => panic!("no such role: {other}"),
    }
}

/// The smallest ring; nobody flushes it but who is asked to.
fn small(place: &Place) -> Options {
    place.options().ring_bytes(256 * KIB).flusher_thread(false)
}

/// A sidecar at work.
fn sidecar(place: &Place, log: &Log) -> Role {
    let sidecar = place.child("sidecar", "f");
    until(LONG, "a sidecar at work", || {
        log.stats().unwrap().flusher.is_some_and(|f| f.sidecar && f.pid as i32 == sidecar.pid())
    });
    sidecar
}

/// The same, stopped while it waits, so that nobody else can flush.
fn stopped_sidecar(place: &Place, log: &Log) -> Role {
    let sidecar = sidecar(place, log);
    sidecar.signal(libc::SIGSTOP);
    until(LONG, "the stop", || sidecar.is_stopped());
    sidecar
}
