//! Disks that fail, fill up, stall, or change under the log: whatever happens to the files, each
//! acknowledged record arrives once, whole and in order; nobody hangs or dies of it.
//!
//! Small file systems are mounted and system calls made to fail by `strace`, which takes root and strace;
//! where these are missing, a test says that it is skipped, and why.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

#[path = "disks/errors.rs"]
mod errors;
#[path = "disks/full.rs"]
mod full;
#[path = "disks/hands.rs"]
mod hands;
#[path = "disks/harness.rs"]
mod harness;
#[path = "disks/names.rs"]
mod names;
#[path = "disks/slow.rs"]
mod slow;

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(common::ROLE) else { return };
    harness::die_with_parent();
    let options = crlog::Options::new(std::env::var(common::LOG).unwrap());
    match role.as_str() {
        "sidecar" => options.sidecar().unwrap().run(&crlog::Control::default()).unwrap(),
        "calls with a limit" => slow::calls_with_a_limit(options),
        "write past the limit of file sizes" => full::write_past_the_limit_of_file_sizes(options),
        "write for ever" => hands::write_for_ever(options),
        other => panic!("no such role: {other}"),
    }
}
