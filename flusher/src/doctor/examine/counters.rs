//! What was lost or damaged since the segment was made.

use super::{Looks, count};
use crate::doctor::finding::Finding;
use crate::units::show_time;
use crlog::Severity;
use std::time::Duration;

/// Waiting for less than this, all calls together, is nothing to tell.
const BLOCKED: Duration = Duration::from_secs(1);

pub(super) fn examine(looks: &Looks<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        [drops(looks), too_long(looks), damage(looks)].into_iter().flatten().collect();
    if found.is_empty() {
        found
            .push(Finding::ok("losses", "no record was refused, damaged or lost since the segment was made"));
    }
    found.extend(
        [deaths(looks), errors(looks), surprises(looks), revoked(looks), blocked(looks)]
            .into_iter()
            .flatten(),
    );
    found
}

fn drops(looks: &Looks<'_>) -> Option<Finding> {
    let total: u64 = looks.last.drops.iter().sum();
    let now = total.saturating_sub(looks.first.drops.iter().sum());
    let each = Severity::ALL.iter().zip(looks.last.drops).filter(|(_, n)| *n > 0);
    let each: Vec<String> = each.map(|(s, n)| format!("{n} {s}")).collect();
    (total > 0).then(|| {
        let now = if now > 0 { format!("; {now} of them just now") } else { String::new() };
        Finding::warning(
            "drops",
            format!("{} were refused because the ring was full ({}){now}", count(total, "record"), each.join(", ")),
            "see what holds the flusher up; a larger --ring-size bridges longer pauses; or wait instead of drop (when_full)",
        )
    })
}

fn too_long(looks: &Looks<'_>) -> Option<Finding> {
    let all = looks.last.producers.iter().filter(|p| p.too_long > 0);
    let who: Vec<String> = all.map(|p| format!("{} of process {} ({})", p.too_long, p.pid, p.name)).collect();
    (!who.is_empty()).then(|| {
        Finding::warning(
            "too-long",
            format!(
                "records longer than {} bytes were refused: {}",
                looks.last.record_bytes_max,
                who.join(", ")
            ),
            "a larger --ring-size (a quarter of it is the longest record), or split them",
        )
    })
}

fn damage(looks: &Looks<'_>) -> Option<Finding> {
    let c = &looks.last.counters;
    (c.corrupt_chunks + c.lost_corrupt + c.bad_checksums > 0).then(|| {
        Finding::warning(
            "damage",
            format!(
                "{} and {} were found damaged and left out ({} by checksum)",
                count(c.lost_corrupt, "record"),
                count(c.corrupt_chunks, "chunk"),
                c.bad_checksums
            ),
            "something writes into the segment that should not: a program with a wild pointer, or a disk under a mapped file",
        )
    })
}

fn deaths(looks: &Looks<'_>) -> Option<Finding> {
    let c = &looks.last.counters;
    (c.reaped > 0).then(|| {
        Finding::note(
            "deaths",
            format!(
                "{} ended without leaving; {} never got finished",
                count(c.reaped, "process"),
                count(c.lost_unfinished, "record")
            ),
            "crlog stat names the last ones; nothing that was acknowledged is lost",
        )
    })
}

fn errors(looks: &Looks<'_>) -> Option<Finding> {
    let n = looks.last.counters.io_errors;
    (n > 0 && looks.last.error.is_none()).then(|| {
        let what = format!("writing, syncing or rotating failed {n} times, and works again");
        Finding::note("past-errors", what, "the sidecar's messages say what it was")
    })
}

fn surprises(looks: &Looks<'_>) -> Option<Finding> {
    let n = looks.last.counters.file_surprises;
    (n > 0).then(|| {
        Finding::note(
            "surprises",
            format!(
                "the log file was found moved, deleted, truncated or prolonged by somebody else {n} times"
            ),
            "expected with logrotate; else find out who: what others truncate is gone",
        )
    })
}

fn revoked(looks: &Looks<'_>) -> Option<Finding> {
    let n = looks.last.counters.revoked.wrapping_sub(looks.first.counters.revoked);
    (n > 0).then(|| {
        let what = format!("{n} idle leases were taken back just now, because chunks are scarce");
        Finding::note(
            "revoked",
            what,
            "a larger --ring-size if that goes on: twice as many chunks as threads that log",
        )
    })
}

fn blocked(looks: &Looks<'_>) -> Option<Finding> {
    let longest = looks.last.producers.iter().max_by_key(|p| p.blocked)?;
    (longest.blocked >= BLOCKED).then(|| {
        let (pid, name, time) = (longest.pid, &longest.name, show_time(longest.blocked));
        let what = format!("process {pid} ({name}) has waited {time} for room in the ring since it came");
        Finding::note("blocked", what, "a larger --ring-size, a faster disk, or fewer records")
    })
}
