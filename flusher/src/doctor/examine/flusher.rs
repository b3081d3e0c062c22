//! Who writes the file, and whether it gets on.

use super::memory::two_segments;
use super::{Looks, count};
use crate::doctor::finding::{Finding, Severity};
use crate::units::{show_bytes, show_time};
use crlog::FlusherInfo;
use std::time::Duration;

/// That many changes of flusher between two looks are too many.
const CHANGES: u64 = 3;

pub(super) fn examine(looks: &Looks<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = match (&looks.first.flusher, &looks.last.flusher) {
        (None, None) => vec![nobody(looks)],
        (_, Some(flusher)) => vec![somebody(looks, flusher)],
        // It has just ended; another will come, or is not needed.
        (Some(_), None) => vec![],
    };
    if looks.last.flusher.is_some() || !looks.facts.written {
        found.extend(error(looks));
    }
    found.extend(changes(looks));
    // A full ring is what each of these leads to.
    if found.iter().all(|f| f.severity < Severity::Warning) {
        found.extend(ring(looks));
    }
    found
}

fn nobody(looks: &Looks<'_>) -> Finding {
    let waiting = count(looks.last.lag_records, "record");
    match (looks.last.lag_records, looks.alive()) {
        _ if looks.facts.written => two_segments(looks.facts),
        (0, 0) => Finding::note(
            "left-over",
            "the segment was left by processes that were killed; nothing waits in it",
            format!("crlog recover {} removes it", looks.facts.path),
        ),
        (_, 0) => Finding::problem(
            "left-over",
            format!("{waiting} of killed processes wait in memory, and nobody is there to write them"),
            format!("crlog recover {}, or start a program of the log again", looks.facts.path),
        ),
        (0, _) => Finding::ok("flusher", "nobody writes the file at the moment, and nothing waits"),
        (_, _) => Finding::warning(
            "no-flusher",
            format!("{waiting} in memory, and nobody writes them: no program has a flusher thread"),
            "start crlog-flusher, or open the log with flusher_thread(true) in some program",
        ),
    }
}

fn somebody(looks: &Looks<'_>, flusher: &FlusherInfo) -> Finding {
    let pid = flusher.pid;
    let waiting = count(looks.last.lag_records, "record");
    let still = looks.stands_still() && looks.last.error.is_none();
    let for_ms = show_time(looks.apart);
    match looks.facts.process(pid, flusher.start).map(|p| p.state) {
        Some('T' | 't') => Finding::problem(
            "flusher-stopped",
            format!("process {pid}, which writes the file, is stopped; {waiting} wait"),
            format!(
                "kill -CONT {pid}; or kill -9 {pid}, and another takes its place: as long as it lives, nobody can"
            ),
        ),
        Some('D') if still => Finding::warning(
            "flusher-waits",
            format!(
                "process {pid}, which writes the file, waits for the disk; none of {waiting} was written in {for_ms}"
            ),
            "look at the disk (dmesg, iostat): the ring fills meanwhile",
        ),
        state if still => Finding::warning(
            "stands-still",
            format!(
                "none of {waiting} was written in {for_ms} (process {pid}, state {})",
                state.unwrap_or('?')
            ),
            "look again; if it stays so, look at the disk and at that process, and kill it if it hangs: another takes its place",
        ),
        None => Finding::note(
            "flusher-unseen",
            format!("process {pid} writes the file, but is not to be seen from here"),
            "its pid is one of another container or pid namespace: look there whether it is stopped",
        ),
        Some(_) => {
            let kind = if flusher.sidecar { "a sidecar" } else { "a thread of a program" };
            let bytes = show_bytes(looks.last.lag_bytes);
            Finding::ok(
                "flusher",
                format!("process {pid}, {kind}, writes the file; {waiting} ({bytes}) not yet in it"),
            )
        }
    }
}

/// What stands for an error without a number.
const EIO: i32 = 5;

fn error(looks: &Looks<'_>) -> Option<Finding> {
    let errno = looks.last.error?;
    let system = std::io::Error::from_raw_os_error(errno).to_string();
    let why = looks.last.error_text.clone().unwrap_or_else(|| system.clone());
    // A rotator's own error has no number, and says itself what is wrong.
    let errno = if why.contains("os error") || errno != EIO { errno } else { 0 };
    let what =
        format!("the flusher's last action failed: {why}; {} wait", count(looks.last.lag_records, "record"));
    Some(Finding::problem("error", what, advice(errno)))
}

/// What to do about an error of the file (Linux's numbers).
fn advice(errno: i32) -> &'static str {
    match errno {
        1 | 13 => "give the flusher's user the right to write to the log file and its directory",
        5 => "the disk fails (see dmesg): move the log to another one",
        16 => "another flusher has the log file: give all programs the same --segment and --lock-dir",
        22 => "something that is no regular file stands in the way of the log or an archive: move it away",
        2 | 20 => "the log's directory is gone: make it again",
        17 | 21 | 39 => "a directory bears the name of an archive: move it away",
        27 => "the file may not grow further (ulimit -f): raise the limit of the flusher's process",
        28 => "make room on the disk; what waits is written then",
        30 => "the file system is read-only: see dmesg, mount it writable",
        122 => "the user's disk quota is used up: make room",
        _ => "mend that; it is tried again by itself, at least once in 30 s",
    }
}

fn changes(looks: &Looks<'_>) -> Option<Finding> {
    let n = looks.last.counters.takeovers.wrapping_sub(looks.first.counters.takeovers);
    (n >= CHANGES).then(|| {
        Finding::warning(
            "take-overs",
            format!("the flusher changed {n} times in {}", show_time(looks.apart)),
            "programs die, or help themselves because the ring is full and no flusher is there: start crlog-flusher",
        )
    })
}

fn ring(looks: &Looks<'_>) -> Option<Finding> {
    let (first, last) = (looks.first, looks.last);
    let full = |used: u32| used > last.chunks / 8 * 7;
    if full(first.chunks_in_use) && full(last.chunks_in_use) {
        return Some(Finding::warning(
            "ring-full",
            format!("the ring is nearly full: {} of {} chunks", last.chunks_in_use, last.chunks),
            "the disk is slower than the programs: log less, make --ring-size larger, or find a faster disk",
        ));
    }
    let bytes = last.counters.bytes.wrapping_sub(first.counters.bytes) + 16 * looks.progress();
    let rate = bytes as f64 / looks.apart.as_secs_f64();
    let bridges = Duration::try_from_secs_f64(last.ring_bytes as f64 / rate).ok()?;
    (bridges < Duration::from_secs(1)).then(|| {
        Finding::note(
            "ring-small",
            format!(
                "at {} per second, as just now, the ring holds {}",
                show_bytes(rate as u64),
                show_time(bridges)
            ),
            "a larger --ring-size bridges longer rotations and slow disks",
        )
    })
}
