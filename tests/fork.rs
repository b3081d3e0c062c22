//! Fork: a child that writes through its parent's handles, and one that only lives on.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, unsafe_code)]

mod common;

use common::{LOG, NAME, Place, ROLE, assert_complete, by_name, until};
use crlog::Options;
use std::time::Duration;

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let log = Options::new(std::env::var(LOG).unwrap()).open().unwrap();
    let name = std::env::var(NAME).unwrap();
    let mut w = log.writer().unwrap();
    let line = |who: &str, i: u32| format!("{name}.{who} {i}").into_bytes();
    match role.as_str() {
        // The child goes on with the parent's writer, and leaves without any cleaning up.
        "both write" => {
            for i in 0..100 {
                w.append(&line("parent", i)).unwrap();
            }
            let child = fork(|| {
                for i in 0..1000 {
                    w.append(&line("child", i)).unwrap();
                }
            });
            for i in 100..1000 {
                w.append(&line("parent", i)).unwrap();
            }
            assert_eq!(wait(child), 0);
        }
        // A thread is in the middle of its own records while another one forks, again and again.
        "forks while a thread writes" => {
            let (log2, name2) = (log.clone(), name.clone());
            let busy = std::thread::spawn(move || {
                let mut w = log2.writer().unwrap();
                for i in 0..200_000 {
                    w.append(format!("{name2}.thread {i}").as_bytes()).unwrap();
                }
            });
            for round in 0..20 {
                let child = fork(|| {
                    for i in 0..10 {
                        w.append(&line(&format!("child{round}"), i)).unwrap();
                    }
                });
                assert_eq!(wait(child), 0);
            }
            busy.join().unwrap();
        }
        // The child never touches the log, and outlives its parent by a minute.
        "leaves a silent child" => {
            w.append(&line("parent", 0)).unwrap();
            log.flush(Duration::from_secs(5)).unwrap();
            let child = fork(|| std::thread::sleep(Duration::from_secs(60)));
            std::fs::write(format!("{}.child", std::env::var(LOG).unwrap()), child.to_string()).unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
        other => panic!("no such role: {other}"),
    }
}

fn fork(child: impl FnOnce()) -> i32 {
    // SAFETY: the child runs `child` and leaves by _exit; what it uses of the process (allocator, files,
    // the log) is made to be used after a fork: that is what is tested.
    match unsafe { libc::fork() } {
        0 => {
            child();
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) }
        }
        pid => {
            assert!(pid > 0);
            pid
        }
    }
}

fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: waits for our own child, into a local.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    status
}

#[test]
fn a_forked_child_goes_on_with_its_parents_writer() {
    let place = Place::new();
    assert!(place.child("both write", "p").wait());
    let got = by_name(&place.lines());
    assert_complete(&got);
    assert_eq!((got["p.parent"].len(), got["p.child"].len()), (1000, 1000));
}

#[test]
fn forks_in_the_middle_of_another_threads_records_lose_nothing() {
    let place = Place::new();
    assert!(place.child("forks while a thread writes", "p").wait());
    let got = by_name(&place.lines());
    assert_complete(&got);
    assert_eq!(got["p.thread"].len(), 200_000);
    assert_eq!(got.len(), 21);
}

#[test]
fn a_silent_child_does_not_keep_its_dead_parents_locks() {
    let place = Place::new();
    let log = place.options().flusher_thread(false).open().unwrap();
    let mut parent = place.child("leaves a silent child", "p");
    let note = place.log().with_extension("log.child");
    until(Duration::from_secs(10), "the fork", || {
        std::fs::read_to_string(&note).is_ok_and(|s| !s.is_empty())
    });
    let child: i32 = std::fs::read_to_string(&note).unwrap().parse().unwrap();
    until(Duration::from_secs(1), "the parent's turn", || {
        log.stats().unwrap().flusher.is_some_and(|f| f.pid as i32 == parent.pid())
    });
    parent.kill();
    // SAFETY: signal 0 only asks whether the process is there.
    assert_eq!(unsafe { libc::kill(child, 0) }, 0, "the child lives");
    until(Duration::from_secs(1), "the flusher's lock to be free", || log.stats().unwrap().flusher.is_none());
    until(Duration::from_secs(1), "the parent to be known for dead", || {
        log.stats().unwrap().producers.iter().all(|p| p.pid as i32 != parent.pid() || !p.alive)
    });
    let mut w = log.writer().unwrap();
    w.append(b"q 0").unwrap();
    log.flush(Duration::from_secs(5)).unwrap();
    // SAFETY: ends the child, which is ours.
    unsafe { libc::kill(child, libc::SIGKILL) };
    assert_eq!(place.lines_now(), ["p.parent 0", "q 0"]);
}
