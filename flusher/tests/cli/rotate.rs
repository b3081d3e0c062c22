//! `crlog rotate`.

use super::common::*;
use crlog::Options;

fn said(place: &Place) -> String {
    let output = place.run(CRLOG, "rotate", b"");
    assert_ended(&output, 0, "");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_was_logged_before_stands_in_the_archive() {
    for flusher_thread in [true, false] {
        let place = Place::new();
        let log = Options::new(place.log()).backups(3).flusher_thread(flusher_thread).open().unwrap();
        let mut w = log.writer().unwrap();
        for i in 0..20 {
            w.append(format!("before {i}").as_bytes()).unwrap();
            assert!(said(&place).starts_with("rotated: app.log.1, "));
            let archive = std::fs::read_to_string(place.log().with_extension("log.1")).unwrap();
            assert_eq!(archive, format!("before {i}\n"));
        }
        assert_eq!(said(&place), "the file was empty: not rotated\n");
    }
}

#[test]
fn a_dated_archive_is_named() {
    let place = Place::new();
    let log = Options::new(place.log()).rotate_at("daily UTC").open().unwrap();
    log.writer().unwrap().append(b"x").unwrap();
    let said = said(&place);
    let name = said.trim_start_matches("rotated: ").split(',').next().unwrap();
    assert_eq!(std::fs::read_to_string(place.log().with_file_name(name)).unwrap(), "x\n", "{said}");
}

#[test]
fn names_from_a_template_are_set_while_the_log_is_open_and_named() {
    let place = Place::new();
    let log = Options::new(place.log()).backups(3).open().unwrap();
    let set = |names: &str, status: i32, says: &str| {
        let mut command = std::process::Command::new(CRLOG);
        let output = Running::spawn(command.args(["set", "--names", names]).arg(place.log())).end(b"");
        assert_ended(&output, status, says);
        String::from_utf8(output.stdout).unwrap()
    };
    let out = set("{stem}-{date:%Y}.{seq}{ext}", 0, "");
    assert!(out.contains("names {stem}-{date:%Y}.{seq}{ext} (was numbered)"), "{out}");
    log.writer().unwrap().append(b"x").unwrap();
    let said = said(&place);
    let name = said.trim_start_matches("rotated: ").split(',').next().unwrap();
    assert!(name.starts_with("app-") && name.ends_with(".1.log"), "{said}");
    let listed = place.run(CRLOG, "retention --dry-run", b"");
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.lines().any(|line| line.starts_with(name) && line.ends_with("kept")), "{listed}");
    set("{stem}.{seq}.gz", 2, "ends like a packed file");
    set("app{ext}.{seq}", 1, "is a name of numbered archives");
    set("{stem}.{n}{ext}", 0, "");
    log.writer().unwrap().append(b"y").unwrap();
    assert!(place.run(CRLOG, "rotate", b"").stdout.starts_with(b"rotated: app.1.log, "));
}

#[test]
fn a_log_that_nobody_has_open_is_left_alone() {
    let place = Place::new();
    std::fs::write(place.log(), "x\n").unwrap();
    assert_ended(&place.run(CRLOG, "rotate", b""), 1, "no process has");
    assert_eq!(place.bytes(), b"x\n");
}

#[test]
fn a_flusher_that_does_not_get_on_is_named_in_time() {
    let place = Place::new();
    let log = Options::new(place.log()).backups(3).flusher_thread(false).open().unwrap();
    let mut sidecar = place.sidecar("--backups 3");
    log.writer().unwrap().append(b"x").unwrap();
    sidecar.signal(rustix::process::Signal::STOP);
    let why = "flushes, but is stopped: continue it";
    assert_ended(&place.run(CRLOG, "rotate --timeout 300ms", b""), 1, why);
    sidecar.signal(rustix::process::Signal::CONT);
    assert_eq!(said(&place), "rotated: app.log.1, 2 bytes\n");
    sidecar.signal(rustix::process::Signal::TERM);
    assert_ended(&sidecar.end(b""), 0, "");
}

#[test]
fn log_without_archives_is_emptied_only_with_discard() {
    let place = Place::new();
    let log = Options::new(place.log()).backups(0).open().unwrap();
    log.writer().unwrap().append(b"kept").unwrap();
    assert_ended(&place.run(CRLOG, "rotate", b""), 1, "--discard");
    assert_eq!(std::fs::read_to_string(place.log()).unwrap(), "kept\n");
    assert_ended(&place.run(CRLOG, "rotate --discard", b""), 0, "");
    assert_eq!(std::fs::read_to_string(place.log()).unwrap(), "");
}
