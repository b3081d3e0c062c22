//! The segment, its lock file, and where they are.

use super::place::network;
use crate::doctor::facts::{Facts, Seen, Trust};
use crate::doctor::finding::Finding;
use crate::units::show_bytes;

/// What a segment of the default size takes.
const DEFAULT_SEGMENT: u64 = 10 << 20;

/// `hopeless`: the log cannot be opened anyway, and that was told.
pub(super) fn examine(facts: &Facts, hopeless: bool) -> Vec<Finding> {
    let mut found = places(facts);
    found.extend(removed(facts));
    match &facts.seen {
        Seen::Nothing if found.is_empty() => found.push(absent(facts)),
        Seen::Refused(why) if !hopeless => found.push(Finding::problem(
            "segment",
            format!("the segment cannot be used: {why}"),
            "as it says; until then no program can open this log",
        )),
        Seen::Twice(stats, _) if found.is_empty() => {
            let bytes = show_bytes(stats[1].segment_bytes);
            found.push(Finding::ok("segment", format!("segment and lock file are there and fit ({bytes})")));
        }
        _ => {}
    }
    if facts.removes_ipc {
        found.push(Finding::warning(
            "remove-ipc",
            format!("systemd-logind removes shared memory of user {} when its last session ends", facts.uid),
            "RemoveIPC=no in logind.conf, or loginctl enable-linger, or run the programs as a system user, \
             or use --segment FILE elsewhere",
        ));
    }
    found
}

fn places(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    match &facts.memory {
        None if facts.named => found.push(Finding::problem(
            "shm-missing",
            "/dev/shm is missing, so there is no shared memory here",
            "mount a tmpfs there, or use --segment FILE",
        )),
        None => found.push(Finding::problem(
            "shm-missing",
            format!("the directory of {} does not exist", facts.segment),
            "make it, or choose another --segment",
        )),
        Some(fs) if fs.trust == Trust::Remote => found.push(network(&facts.segment, &fs.name)),
        Some(fs)
            if matches!(facts.seen, Seen::Nothing) && fs.bytes > 0 && fs.bytes_free < DEFAULT_SEGMENT =>
        {
            found.push(Finding::warning(
                "shm-small",
                format!("a ring of the default size does not fit beside {}: {} free", facts.segment, show_bytes(fs.bytes_free)),
                "make it larger (--shm-size in Docker, else mount -o remount,size=), or use a smaller --ring-size \
                 or a --segment FILE elsewhere",
            ));
        }
        Some(_) => {}
    }
    if let Some(fs) = facts.locks.as_ref().filter(|fs| fs.trust == Trust::Remote) {
        found.push(network("the lock file", &fs.name));
    }
    found
}

fn removed(facts: &Facts) -> Option<Finding> {
    let removed = matches!(&facts.seen, Seen::Twice(stats, _) if stats[1].removed);
    if facts.nameless.is_empty() && !removed {
        return None;
    }
    let pids: Vec<String> = facts.nameless.iter().map(ToString::to_string).collect();
    let who = if pids.is_empty() { "some process".into() } else { format!("process {}", pids.join(", ")) };
    Some(Finding::problem(
        "removed",
        format!(
            "{who} uses a segment of this log that somebody removed: whoever starts now does not find it"
        ),
        "restart these processes; find out who removes files there (see RemoveIPC in docs/operating.md)",
    ))
}

fn absent(facts: &Facts) -> Finding {
    if facts.written {
        return two_segments(facts);
    }
    Finding::note(
        "not-open",
        "no process has the log open, and nothing of it is left in memory",
        "nothing is wrong if no program is to log now; else check the path, the user, --segment and --lock-dir",
    )
}

pub(super) fn two_segments(facts: &Facts) -> Finding {
    Finding::problem(
        "two-segments",
        format!("{} is being written by a flusher that does not belong to {}", facts.path, facts.segment),
        "give all programs of the log, and this one, the same --segment and --lock-dir, then restart them",
    )
}
