//! The processes that write records.

use super::{Looks, count};
use crate::doctor::finding::Finding;
use crlog::ProducerInfo;

/// A process with no more free descriptors than this cannot attach again, or make a new file.
const FILES_LEFT: u64 = 16;

pub(super) fn examine(looks: &Looks<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = looks.last.producers.iter().filter_map(|p| one(looks, p)).collect();
    found.extend(looks.last.producers.iter().filter_map(|p| files(looks, p)));
    if found.is_empty() {
        found.push(Finding::ok("producers", format!("{} may log", count(looks.alive() as u64, "process"))));
    }
    found
}

fn named(p: &ProducerInfo) -> String {
    format!("process {} ({})", p.pid, p.name)
}

fn one(looks: &Looks<'_>, p: &ProducerInfo) -> Option<Finding> {
    let before =
        looks.first.producers.iter().find(|b| (b.slot, b.pid, b.start) == (p.slot, p.pid, p.start))?;
    if !p.alive {
        let what = format!("{} died without leaving, and is not cleaned up yet", named(p));
        let advice = "nothing: a flusher does that within a second while others log, or at its next wake-up";
        return (!before.alive).then(|| Finding::note("dead", what, advice));
    }
    let state = looks.facts.process(p.pid, p.start).map(|found| found.state);
    let inside = before.inside.min(p.inside);
    let held = format!("in the middle of {}, and keeps as many chunks", count(u64::from(inside), "record"));
    match state {
        Some('T' | 't') if inside > 0 => Some(Finding::warning(
            "producer-stopped",
            format!("{} is stopped {held}; others are not delayed", named(p)),
            format!("kill -CONT {0}, or kill -9 {0}", p.pid),
        )),
        Some('T' | 't') => Some(Finding::note(
            "producer-stopped",
            format!("{} is stopped; others are not delayed", named(p)),
            format!("kill -CONT {} when it is to go on", p.pid),
        )),
        // While the flusher gets on, whoever writes gets on.
        _ if inside > 0 && p.records == before.records && looks.progress() > 0 => Some(Finding::warning(
            "producer-stuck",
            format!("{} is {held}, since the last look", named(p)),
            "is it in a debugger, frozen, or starved of processor time?",
        )),
        _ => None,
    }
}

fn files(looks: &Looks<'_>, p: &ProducerInfo) -> Option<Finding> {
    let (used, limit) = looks.facts.process(p.pid, p.start)?.files?;
    (used + FILES_LEFT > limit).then(|| {
        Finding::warning(
            "open-files",
            format!("{} has {used} of at most {limit} files open", named(p)),
            "raise its limit (ulimit -n, LimitNOFILE=): without a free one it cannot write or rotate the file",
        )
    })
}
