//! Records that are on the disk when the call returns, and records that carry checksums: group commit, syncs
//! that fail, flushers that die, pages of different ages after a power cut.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

#[path = "durable/checksums.rs"]
mod checksums;
#[path = "disks/harness.rs"]
#[allow(dead_code)]
mod harness;
#[path = "durable/syncs.rs"]
mod syncs;

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(common::ROLE) else { return };
    harness::die_with_parent();
    let options = crlog::Options::new(std::env::var(common::LOG).unwrap());
    let name = std::env::var(common::NAME).unwrap_or_default();
    match role.as_str() {
        "sidecar" => options.sidecar().unwrap().run(&crlog::Control::default()).unwrap(),
        "write durably" => syncs::write_durably(options, &name),
        other => panic!("no such role: {other}"),
    }
}
