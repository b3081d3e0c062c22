//! A program is run after each rotation: in order, one at a time, and nobody who logs waits for it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unsafe_code)]

mod common;

use common::{LOG, NAME, Place, ROLE, until};
use crlog::{Compression, Control, Event, Log, Options};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let out = std::env::var(NAME).unwrap();
    let options = Options::new(std::env::var(LOG).unwrap()).backups(9).after_rotate_in_thread(true);
    assert_eq!(role, "a host that ignores the end of its children");
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let log = options.after_rotate(&hook("exit 3", Path::new(&out))).open().unwrap();
    until_thread(&log);
    rotate(&log, "one");
    until(LONG, "the program", || lines(Path::new(&out)).len() == 1);
    rotate(&log, "two");
    until(LONG, "the program", || lines(Path::new(&out)).len() == 2);
    assert_eq!(
        log.stats().unwrap().counters.hook_errors,
        0,
        "how it ended is not known, so it is not run again"
    );
}

/// A shell's words that write to `out` for which file it runs and what that holds, and then do something more. With
/// numbered names the file may be called something else by the time it is read.
fn hook(more: &str, out: &Path) -> Vec<String> {
    let script = format!("echo \"${{CRLOG_FILE##*/}} $(cat $CRLOG_CONTENT)\" >>{0}; {more}", out.display());
    ["sh", "-c", &script].map(str::to_owned).to_vec()
}

fn lines(out: &Path) -> Vec<String> {
    std::fs::read_to_string(out).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn rotate(log: &Log, text: &str) {
    log.writer().unwrap().append(text.as_bytes()).unwrap();
    log.rotate(LONG).unwrap();
}

/// Else the call that rotates may do it itself, and runs nothing.
fn until_thread(log: &Log) {
    let _writer = log.writer().unwrap();
    until(LONG, "a flusher", || log.stats().unwrap().flusher.is_some());
}

/// A sidecar in a thread, and a log that it flushes.
struct Pair {
    log: Log,
    control: Control,
    events: Receiver<Event>,
    sidecar: Option<std::thread::JoinHandle<()>>,
}

impl Pair {
    fn new(options: &Options, hook: &[String]) -> Pair {
        let (tell, events) = channel();
        let control = Control::default();
        let mut sidecar = options.clone().after_rotate(hook).sidecar().unwrap();
        sidecar.on_event(move |event| drop(tell.send(event)));
        let theirs = control.clone();
        let sidecar = Some(std::thread::spawn(move || sidecar.run(&theirs).unwrap()));
        let log = options.clone().flusher_thread(false).open().unwrap();
        until(LONG, "the sidecar", || log.stats().unwrap().flusher.is_some_and(|f| f.sidecar));
        Pair { log, control, events, sidecar }
    }

    /// What was told of the program until it has ended well so often.
    fn told_until(&self, ran: usize) -> Vec<Event> {
        let (mut told, mut left) = (Vec::new(), ran);
        while left > 0 {
            let event = self.events.recv_timeout(LONG).unwrap();
            if matches!(event, Event::HookRan { .. } | Event::HookFailed { .. } | Event::HooksLeft { .. }) {
                left -= usize::from(matches!(event, Event::HookRan { .. }));
                told.push(event);
            }
        }
        told
    }

    fn stop(&mut self) {
        self.control.stop();
        if let Some(sidecar) = self.sidecar.take() {
            sidecar.join().unwrap();
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.stop();
    }
}

#[test]
fn each_rotation_is_followed_by_one_run_in_their_order_with_the_file_where_it_is_by_then() {
    let place = Place::new();
    let out = place.path().join("out");
    let inside = place.path().join("inside");
    // Fails if another one is under way.
    let alone = format!("mkdir {0} || exit 1; sleep 0.1; rmdir {0}", inside.display());
    let pair = Pair::new(&place.options().backups(20), &hook(&alone, &out));
    for i in 0..8 {
        rotate(&pair.log, &format!("record {i}"));
    }
    let told = pair.told_until(8);
    assert!(told.iter().all(|event| matches!(event, Event::HookRan { .. })), "{told:?}");
    let seen = lines(&out);
    let records: Vec<&str> = seen.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(records, (0..8).map(|i| format!("record {i}")).collect::<Vec<_>>());
    assert_eq!(seen[0].split(' ').next(), Some("app.log.1"));
    assert!(seen[7].starts_with("app.log.1 "), "nothing was shifted after the last one: {seen:?}");
    assert!(!seen[4].starts_with("app.log.1 "), "it waited while others were rotated: {seen:?}");
    assert_eq!(pair.log.stats().unwrap().counters.hook_errors, 0);
}

#[test]
fn nobody_waits_for_a_program_that_hangs_and_its_time_is_limited() {
    let place = Place::new();
    let out = place.path().join("out");
    let options = place.options().backups(20).after_rotate_timeout(Duration::from_secs(2));
    let pair = Pair::new(&options, &hook("if [ $CRLOG_ATTEMPT = 1 ]; then exec sleep 1234; fi", &out));
    rotate(&pair.log, "one");
    until(LONG, "it hangs", || lines(&out).len() == 1);
    let begun = Instant::now();
    let mut writer = pair.log.writer().unwrap();
    let mut slowest = Duration::ZERO;
    while begun.elapsed() < Duration::from_millis(1500) {
        let start = Instant::now();
        writer.append(b"more").unwrap();
        pair.log.flush(LONG).unwrap();
        slowest = slowest.max(start.elapsed());
    }
    assert!(slowest < Duration::from_millis(1000), "a flush took {slowest:?}");
    let told = pair.told_until(1);
    let Event::HookFailed { what, retry } = &told[0] else { panic!("{told:?}") };
    assert!(what.contains("the program sh for app.log.1: killed after 2s"), "{what}");
    assert_eq!(*retry, Some(Duration::from_secs(1)));
    assert_eq!(pair.log.stats().unwrap().counters.hook_errors, 1);
    assert_eq!(lines(&out).len(), 2, "two attempts");
}

#[test]
fn a_failure_is_told_with_what_it_said_and_tried_again_before_the_file_is_packed() {
    let place = Place::new();
    let out = place.path().join("out");
    let options = place.options().backups(9).compress(Compression::GZIP);
    let more = "echo not today >&2; sleep 0.3; exit $((2 - CRLOG_ATTEMPT))";
    let pair = Pair::new(&options, &hook(more, &out));
    rotate(&pair.log, "one");
    rotate(&pair.log, "two");
    let told = pair.told_until(2);
    assert_eq!(told.len(), 4, "{told:?}");
    let Event::HookFailed { what, .. } = &told[0] else { panic!("{told:?}") };
    assert!(what.ends_with("exit status: 1: not today"), "{what}");
    let seen = lines(&out);
    assert_eq!(seen, ["app.log.1 one", "app.log.2 one", "app.log.1 two", "app.log.1 two"], "always plain");
    until(LONG, "both are packed", || pair.log.stats().unwrap().counters.packed == 2);
    assert_eq!(pair.log.stats().unwrap().counters.hook_errors, 2);
}

#[test]
fn a_file_that_has_gone_by_then_is_told_of() {
    let place = Place::new();
    let out = place.path().join("out");
    let pair = Pair::new(&place.options().backups(1), &hook("sleep 1", &out));
    rotate(&pair.log, "one");
    until(LONG, "it runs", || lines(&out).len() == 1);
    rotate(&pair.log, "two");
    rotate(&pair.log, "three");
    let told = pair.told_until(2);
    let gone = "the program sh for app.log.1: its file has gone".to_owned();
    assert_eq!(told[1], Event::HookFailed { what: gone, retry: None }, "{told:?}");
    assert_eq!(lines(&out), ["app.log.1 one", "app.log.1 three"]);
}

#[test]
fn what_was_not_run_when_the_flusher_ends_is_told_and_the_one_under_way_may_end() {
    let place = Place::new();
    let out = place.path().join("out");
    let mut pair = Pair::new(
        &place.options().backups(9),
        &hook(&format!("sleep 1; echo done >>{}", out.display()), &out),
    );
    rotate(&pair.log, "one");
    until(LONG, "it runs", || lines(&out).len() == 1);
    rotate(&pair.log, "two");
    rotate(&pair.log, "three");
    pair.stop();
    assert_eq!(lines(&out), ["app.log.1 one", "done"]);
    let told: Vec<Event> = pair.events.try_iter().collect();
    assert!(told.contains(&Event::HooksLeft { rotations: 2 }), "{told:?}");
    assert!(told.contains(&Event::HookRan { name: "app.log.1".into() }), "{told:?}");
    assert_eq!(told.last(), Some(&Event::Stopped));
    assert_eq!(pair.log.stats().unwrap().counters.hook_errors, 2);
}

#[test]
fn a_process_that_logs_has_no_children_unless_it_is_allowed() {
    for allowed in [false, true] {
        let place = Place::new();
        let out = place.path().join("out");
        let options =
            place.options().backups(9).after_rotate(&hook("", &out)).after_rotate_in_thread(allowed);
        let log = options.open().unwrap();
        until_thread(&log);
        rotate(&log, "one");
        rotate(&log, "two");
        if allowed {
            until(LONG, "both", || lines(&out).len() == 2);
        }
        drop(log);
        assert_eq!(lines(&out).len(), if allowed { 2 } else { 0 });
    }
}

#[test]
fn nobody_who_attaches_makes_another_process_run_a_program() {
    let place = Place::new();
    let out = place.path().join("out");
    let pair = Pair::new(&place.options().backups(9), &[]);
    let other = place.options().after_rotate(&hook("", &out)).after_rotate_in_thread(true).open().unwrap();
    rotate(&other, "one");
    rotate(&other, "two");
    drop(other);
    drop(pair);
    assert!(!out.exists());
}

#[test]
fn no_other_file_of_the_log_is_open_in_it() {
    let place = Place::new();
    let out = place.path().join("out");
    let list = format!("ls -l /proc/$$/fd >{}.fds", out.display());
    let pair = Pair::new(&place.options().backups(9).index(true), &hook(&list, &out));
    rotate(&pair.log, "one");
    pair.told_until(1);
    let open = std::fs::read_to_string(place.path().join("out.fds")).unwrap();
    assert!(open.contains("/dev/null"), "{open}");
    let ours: Vec<&str> = open.lines().filter(|l| l.contains("app.log") || l.contains("crlog-")).collect();
    assert!(ours.len() == 1 && ours[0].ends_with("/app.log.1"), "only what it is run for: {open}");
}

#[test]
fn a_host_that_ignores_the_end_of_its_children_has_it_run_once() {
    let place = Place::new();
    let out = place.path().join("out");
    let name = "a host that ignores the end of its children";
    assert!(place.child(name, out.to_str().unwrap()).ends_well(LONG));
    assert_eq!(lines(&out), ["app.log.1 one", "app.log.1 two"]);
}
