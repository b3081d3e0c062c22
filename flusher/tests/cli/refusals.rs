//! Bad input: an exact exit status, and one line that says what to do.

use super::common::*;
use std::process::Command;

/// Arguments with `LOG` for the log, the exit status, and a part of what is said.
const BOTH: &[(&str, i32, &str)] = &[
    ("", 2, "<LOGFILE>"),
    ("--frobnicate LOG", 2, "unexpected argument '--frobnicate'"),
    ("LOG LOG", 2, "unexpected argument"),
    ("--max-bytes 1.5MB --backups 1 LOG", 2, "no fractions"),
    ("--max-bytes 10mb --backups 1 LOG", 2, "use B, kB"),
    ("--max-bytes many --backups 1 LOG", 2, "digits and a unit"),
    ("--max-bytes 99999999999GiB --backups 1 LOG", 2, "too large"),
    ("--rotate-at daily --names numbered --backups 0 LOG", 2, "--rotate-at: needs --backups"),
    ("--durable=maybe LOG", 2, "use yes or no"),
    ("--durable yes LOG", 2, "unexpected argument"),
    ("--ring-size 256KiB --reserve 1MiB LOG", 2, "at most half of the ring"),
    ("--backups -1 LOG", 2, "-1"),
    ("--backups 5000000000 LOG", 2, "--backups"),
    ("--mode 999 LOG", 2, "0640"),
    ("--mode 0440 LOG", 2, "owner must be able to write"),
    ("--fsync always LOG", 2, "interval:1s"),
    ("--fsync interval:0s LOG", 2, "use batch"),
    ("--size-rule loose LOG", 2, "strict or check-before"),
    ("--terminator cr LOG", 2, "lf, crlf, nul or none"),
    ("--compress bzip2 LOG", 2, "use none, gzip"),
    ("--compress gzip:0 LOG", 2, "levels of gzip are 1 to 9"),
    ("--compress-delay few LOG", 2, "--compress-delay"),
    ("--ring-size 2GiB LOG", 2, "512 MiB"),
    ("--ring-size 1 LOG", 2, "256 KiB"),
    ("--lock-dir /proc/none LOG", 1, "/proc/none"),
    ("--segment /nonexistent/ring LOG", 1, "/nonexistent"),
    ("/nonexistent/app.log", 1, "directory does not exist"),
    ("/proc/app.log", 1, "/proc/app.log"),
    ("/proc", 1, "is a directory"),
];

const TOOL: &[(&str, i32, &str)] = &[
    ("", 2, "--help"),
    ("frobnicate", 2, "unrecognized subcommand"),
    ("pipe --severity loud LOG", 2, "trace, debug, info"),
    ("stat LOG", 1, "no process has"),
    ("stat --json LOG", 1, "no process has"),
    ("stat", 2, "<LOGFILE>"),
    ("doctor", 2, "<LOGFILE>"),
    ("doctor --frobnicate LOG", 2, "unexpected argument"),
    ("set", 2, "<LOGFILE>"),
    ("set --when-full loud=drop LOG", 2, "trace, debug, info"),
    ("set --when-full never LOG", 2, "block:TIME"),
    ("set --reserve 1.5MB LOG", 2, "no fractions"),
    ("set --when-full drop LOG", 1, "no process has"),
    ("recover", 2, "<LOGFILE>"),
    ("recover --frobnicate LOG", 2, "unexpected argument"),
    ("recover /nonexistent/app.log", 1, "directory does not exist"),
    ("recover --segment /dev/null LOG", 1, "is a device"),
    ("retention", 2, "<LOGFILE>"),
    ("retention --dry-run --timeout 1s LOG", 2, "cannot be used with"),
    ("retention --backups 3 LOG", 1, "and no process has it open"),
    ("retention --dry-run --keep-age long LOG", 2, "digits and a unit"),
    ("retention --dry-run /nonexistent/app.log", 1, "directory does not exist"),
    ("stat /nonexistent/app.log", 1, "/nonexistent"),
    ("stress --bytes 1-20", 2, "at least 32 bytes"),
    ("stress --bytes 50-40", 2, "smaller number comes first"),
    ("stress --bytes 32-300000", 2, "--ring-size"),
    ("stress --processes 0", 2, "1 to 1000"),
    ("stress --every 0ms", 2, "above 0"),
    ("stress --records 100000000", 2, "use --backups"),
    ("stress --backups 0", 2, "--backups must be 1"),
    ("stress /nonexistent/x/app.log", 1, "/nonexistent"),
    ("demo --seconds 0", 2, "--seconds"),
];

fn refuse(program: &str, begins: &str, first: &str, table: &[(&str, i32, &str)]) {
    for (args, status, says) in table {
        let place = Place::new();
        let log = place.log().display().to_string();
        let words = args.split_whitespace().map(|w| w.replace("LOG", &log));
        let mut command = Command::new(program);
        command.args((!first.is_empty()).then_some(first)).args(words).env("TMPDIR", place.path());
        let said = Running::spawn(&mut command).end(b"line\n");
        assert_ended(&said, *status, says);
        let text = String::from_utf8(said.stderr).unwrap();
        assert!(text.starts_with(&format!("{begins}: ")), "{args}: {text:?}");
        assert!(said.stdout.is_empty(), "{args}");
        assert!(std::fs::read_dir(place.path()).unwrap().next().is_none(), "{args}: left something behind");
    }
}

#[test]
fn the_sidecar_refuses_with_one_line() {
    refuse(FLUSHER, "crlog-flusher", "", BOTH);
}

#[test]
fn the_pipe_refuses_with_one_line() {
    refuse(CRLOG, "crlog", "pipe", BOTH);
}

#[test]
fn the_tool_refuses_with_one_line() {
    refuse(CRLOG, "crlog", "", TOOL);
}

#[test]
fn stress_does_not_touch_a_log_that_exists() {
    let place = Place::new();
    std::fs::write(place.log(), "precious\n").unwrap();
    assert_ended(&place.run(CRLOG, "stress --seconds 1", b""), 2, "exists already");
    assert_eq!(place.lines(), ["precious"]);
}

#[test]
fn help_and_version_go_to_standard_output() {
    for (program, args, says) in [
        (FLUSHER, "--help", "Examples:"),
        (FLUSHER, "--version", "crlog-flusher 0."),
        (CRLOG, "--help", "stress"),
        (CRLOG, "--version", "crlog 0."),
        (CRLOG, "pipe --help", "Exit status:"),
        (CRLOG, "stat --help", "Examples:"),
        (CRLOG, "recover --help", "Examples:"),
        (CRLOG, "doctor --help", "Exit status:"),
        (CRLOG, "stress --help", "--kill-producers"),
        (CRLOG, "demo --help", "--seconds"),
    ] {
        let said = Running::spawn(Command::new(program).args(args.split_whitespace())).end(b"");
        assert_ended(&said, 0, "");
        assert!(String::from_utf8(said.stdout).unwrap().contains(says), "{program} {args}");
    }
}
