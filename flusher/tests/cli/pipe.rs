//! `crlog pipe`.

use super::common::*;
use rustix::process::Signal;
use std::time::{Duration, Instant};

const ROTATING: &str = "pipe --max-bytes 500kB --backups 60";

fn four_at_once(place: &Place) {
    let inputs = four_inputs();
    let running: Vec<_> = inputs
        .iter()
        .map(|lines| {
            let pipe = place.start(CRLOG, ROTATING);
            let text = format!("{}\n", lines.join("\n"));
            std::thread::spawn(move || pipe.end(text.as_bytes()))
        })
        .collect();
    for pipe in running {
        assert_ended(&pipe.join().unwrap(), 0, "");
    }
    let found = place.lines();
    for (p, lines) in inputs.iter().enumerate() {
        let tag = format!("{p} ");
        let of_this_one: Vec<&String> = found.iter().filter(|l| l.starts_with(&tag)).collect();
        assert!(of_this_one.iter().copied().eq(lines), "process {p}: not its lines in their order");
    }
    assert_eq!(found.len(), inputs.iter().map(Vec::len).sum::<usize>(), "lines of nobody");
    let files = crlog_flusher::stress::verify::files_of(&place.log()).unwrap();
    assert!(files.len() > 5, "{} files", files.len());
    for file in files {
        assert!(file.metadata().unwrap().len() <= 500_000, "{file:?}");
    }
}

#[test]
fn four_pipes_at_once_lose_and_mix_nothing() {
    four_at_once(&Place::new());
}

#[test]
fn four_pipes_at_once_with_a_sidecar_lose_and_mix_nothing() {
    let place = Place::new();
    let mut sidecar = place.sidecar("--max-bytes 500kB --backups 60");
    four_at_once(&place);
    sidecar.signal(Signal::TERM);
    assert_ended(&sidecar.end(b""), 0, "");
}

#[test]
fn bytes_are_kept_as_they_are_and_the_last_line_needs_no_end() {
    let place = Place::new();
    let input = b"one\n\nwindows\r\n\xff\xfe \0 not text\n  blanks  \nlast";
    assert_ended(&place.run(CRLOG, "pipe", input), 0, "");
    assert_eq!(place.bytes(), [&input[..], b"\n"].concat());
}

#[test]
fn escaped_input_steers_no_terminal_and_a_later_pipe_escapes_too() {
    let place = Place::new();
    let mut sidecar = place.sidecar("--escape lines");
    assert_ended(&place.run(CRLOG, "pipe", b"a\x1b[2J\r\n\xc2\x85"), 0, "");
    assert_eq!(place.bytes(), b"a\\x1b[2J\\r\n\\x85\n");
    sidecar.signal(Signal::TERM);
    assert_ended(&sidecar.end(b""), 0, "");
}

#[test]
fn no_input_is_no_record() {
    let place = Place::new();
    assert_ended(&place.run(CRLOG, "pipe", b""), 0, "");
    assert_eq!(place.bytes(), b"");
}

#[test]
fn a_terminator_can_be_chosen() {
    let place = Place::new();
    assert_ended(&place.run(CRLOG, "pipe --terminator nul --severity debug", b"a\nb\n"), 0, "");
    assert_eq!(place.bytes(), b"a\0b\0");
}

#[test]
fn a_slow_line_is_in_the_file_while_the_input_goes_on() {
    let place = Place::new();
    let mut pipe = place.start(CRLOG, "pipe");
    for line in ["first", "second"] {
        pipe.type_in(format!("{line}\n").as_bytes());
        eventually(line, || place.log().exists() && place.lines().last().is_some_and(|l| l == line));
    }
    assert_ended(&pipe.end(b"third"), 0, "");
    assert_eq!(place.lines(), ["first", "second", "third"]);
}

#[test]
fn lines_that_are_too_long_are_left_out_whole_and_counted() {
    let place = Place::new();
    let long = "x".repeat(300_000);
    // At the limit the terminator decides.
    let limit = "y".repeat(64 * 1024);
    let input = format!("before\n{long}\nbetween\n{limit}\nafter\n{}\n", &limit[1..]);
    let said = place.run(CRLOG, "pipe --ring-size 256KiB", input.as_bytes());
    assert_ended(&said, 1, "crlog: 2 lines were too long");
    assert_eq!(place.lines(), ["before", "between", "after", &limit[1..]]);
}

#[test]
fn a_signal_ends_it_after_what_it_had_read_is_in_the_file() {
    for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let place = Place::new();
        let mut pipe = place.start(CRLOG, "pipe");
        pipe.type_in(b"whole\nbegun");
        eventually("the line is there", || place.log().exists() && place.lines() == ["whole"]);
        std::thread::sleep(Duration::from_millis(50));
        pipe.signal(signal);
        // Its input stays open: it must not wait for more.
        eventually("the begun line is there", || place.lines() == ["whole", "begun"]);
        assert_ended(&pipe.end(b""), status, "");
    }
}

#[test]
fn a_signal_ends_it_also_while_its_lines_wait_for_room() {
    let place = Place::new();
    let mut sidecar = place.sidecar("--ring-size 256KiB");
    sidecar.signal(Signal::STOP);
    let lines: Vec<String> = (0..20_000).map(|i| format!("{i:06} {i:060}")).collect();
    let pipe = place.start(CRLOG, "pipe");
    let pid = pipe.pid();
    let input = format!("{}\n", lines.join("\n")).into_bytes();
    let ending = std::thread::spawn(move || pipe.end(&input));
    let used = std::cell::Cell::new(0);
    place.until("its lines wait for room", |s| {
        std::thread::sleep(Duration::from_millis(200));
        let now = s["chunks_in_use"].as_u64().unwrap();
        now > 8 && used.replace(now) == now
    });
    let begun = Instant::now();
    send(pid, Signal::TERM);
    let said = ending.join().unwrap();
    let took = begun.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(10)).contains(&took), "{took:?}");
    assert_ended(
        &said,
        143,
        "that had been read did not get into the ring, which was full, and are not in the log",
    );
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(text.contains("is it stopped?; "), "{text}");
    sidecar.signal(Signal::CONT);
    place.until("all is written", |s| s["lag_records"] == 0);
    let got = place.lines();
    assert!(got.len() > 1000 && got == lines[..got.len()], "{} lines", got.len());
    let lost = text.split("; ").last().unwrap().split(' ').next().unwrap().replace(',', "");
    assert!(lost.parse::<usize>().unwrap() <= lines.len() - got.len(), "{text}, {} are there", got.len());
}

#[test]
fn what_a_running_log_does_not_take_over_is_said() {
    let place = Place::new();
    let mut first = place.start(CRLOG, "pipe --max-bytes 1MB --backups 5");
    first.type_in(b"a\n");
    place.until("it is open", |s| s["counters"]["records"] == 1);
    let second = place.run(CRLOG, "pipe --max-bytes 1MB --backups 4", b"b\n");
    assert_ended(&second, 0, "crlog: warning: the log is open already: backups stays 5");
    assert_ended(&first.end(b"c\n"), 0, "");
    assert_eq!(place.lines(), ["a", "b", "c"]);
}

#[test]
fn the_segment_can_be_a_file_and_the_lock_elsewhere() {
    let place = Place::new();
    let ring = place.path().join("ring");
    let locks = place.path().join("locks");
    let args = format!("pipe --segment {} --lock-dir {}", ring.display(), locks.display());
    let mut pipe = place.start(CRLOG, &args);
    pipe.type_in(b"a\n");
    eventually("the record is there", || place.log().exists() && place.lines() == ["a"]);
    assert!(ring.exists());
    assert_eq!(segments_of(&place.log()), Vec::<std::path::PathBuf>::new());
    let place_args = args.replacen("pipe", "stat --json", 1);
    let said = place.run(CRLOG, &place_args, b"");
    assert_ended(&said, 0, "");
    assert_ended(&pipe.end(b"b\n"), 0, "");
    assert_eq!(place.lines(), ["a", "b"]);
}

/// strace sees each sync and the end, in the order in which they happened.
#[test]
fn a_durable_pipe_has_its_lines_on_the_disk_when_it_ends() {
    let place = Place::new();
    let trace = place.path().join("trace");
    let works = std::process::Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    if !works.is_ok_and(|o| o.status.success()) {
        eprintln!("SKIPPED: strace is missing, or may not trace here (`make setup`)");
        return;
    }
    for durable in [true, false] {
        let mut command = std::process::Command::new("strace");
        command
            .args(["-f", "-qq", "-y", "-e", "trace=pwritev,fdatasync", "-o"])
            .arg(&trace)
            .arg(CRLOG)
            .arg("pipe");
        command.args(durable.then_some("--durable")).arg(place.log());
        assert_ended(&Running::spawn(&mut command).end(b"one\ntwo\nthree\n"), 0, "");
        let seen = std::fs::read_to_string(&trace).unwrap();
        let calls: Vec<&str> = seen.lines().filter(|l| l.contains("app.log>")).collect();
        let syncs = calls.iter().filter(|l| l.contains("fdatasync(")).count();
        let last_is_sync = calls.last().is_some_and(|l| l.contains("fdatasync("));
        assert_eq!((syncs > 0, last_is_sync), (durable, durable), "{calls:?}");
    }
    assert_eq!(place.lines(), ["one", "two", "three"].repeat(2));
}

#[test]
fn the_lines_of_a_durable_pipe_are_synced_while_its_input_goes_on() {
    let place = Place::new();
    let mut pipe = place.start(CRLOG, "pipe --durable");
    for (i, line) in ["first", "second", "third"].into_iter().enumerate() {
        pipe.type_in(format!("{line}\n").as_bytes());
        place.until("it is synced", |s| s["counters"]["syncs"].as_u64().unwrap() > i as u64);
        assert_eq!(place.lines().last().unwrap(), line);
    }
    assert_ended(&pipe.end(b""), 0, "");
}
