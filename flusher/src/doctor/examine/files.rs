//! The log file and its archives, against what was asked for.

use super::Looks;
use crate::doctor::finding::Finding;
use crate::units::show_bytes;
use crlog::Stats;

pub(super) fn examine(looks: &Looks<'_>) -> Vec<Finding> {
    [too_large(looks), too_short(looks), beyond(looks.last), room(looks)].into_iter().flatten().collect()
}

/// Size of the log file itself.
fn size(stats: &Stats) -> Option<u64> {
    let name = stats.path.file_name()?.to_str()?;
    stats.files.iter().find(|(n, _)| n == name).map(|(_, bytes)| *bytes)
}

/// A file may be larger by one long record.
fn too_large(looks: &Looks<'_>) -> Option<Finding> {
    let (max, now) = (looks.last.max_bytes, size(looks.last)?);
    let excess = if looks.last.error.is_some() { 0 } else { looks.last.record_bytes_max };
    let large = |bytes: u64| max > 0 && bytes > max.saturating_add(excess);
    (large(size(looks.first)?) && large(now)).then(|| {
        Finding::warning(
            "too-large",
            format!(
                "the log file has {}, more than its limit of {}: rotation fails",
                show_bytes(now),
                show_bytes(max)
            ),
            "look for an error above, and for directories or files of others that bear the names of archives",
        )
    })
}

fn too_short(looks: &Looks<'_>) -> Option<Finding> {
    let short = |s: &Stats| size(s).is_some_and(|bytes| bytes < s.file_bytes);
    (short(looks.first) && short(looks.last)).then(|| {
        Finding::warning(
            "truncated",
            "the log file is shorter than what was written to it: somebody truncated it",
            "find out who (copytruncate of logrotate?): what was cut off is gone; writing goes on at its new end",
        )
    })
}

/// Archives that no rotation will ever remove.
fn beyond(stats: &Stats) -> Option<Finding> {
    let log = stats.path.file_name()?.to_str()?;
    let number = |name: &str| name.strip_prefix(log)?.strip_prefix('.')?.parse::<u64>().ok();
    let names: Vec<&str> = stats.files.iter().map(|(n, _)| n.as_str()).collect();
    let left: Vec<&str> =
        names.into_iter().filter(|n| number(n).is_some_and(|i| i > u64::from(stats.backups))).collect();
    let (first, last) = (left.first()?, left.last()?);
    let what = match left.len() {
        1 => format!(
            "{first} is an archive beyond the {} that are kept: no rotation removes it",
            stats.backups
        ),
        n => format!(
            "{n} archives ({first} to {last}) are beyond the {} that are kept: no rotation removes them",
            stats.backups
        ),
    };
    Some(Finding::note("archives", what, "remove them by hand if nobody needs them"))
}

/// Will the archives that are to be kept fit?
fn room(looks: &Looks<'_>) -> Option<Finding> {
    let stats = looks.last;
    let free = looks.facts.directory.as_ref().filter(|d| d.system.bytes > 0)?.system.bytes_free;
    let wanted = stats.max_bytes.saturating_mul(u64::from(stats.backups) + 1);
    let have: u64 = stats.files.iter().map(|(_, bytes)| bytes).sum();
    let more = wanted.saturating_sub(have);
    (more > free).then(|| {
        Finding::warning(
            "room",
            format!(
                "log and archives may still grow by {}, but {} are free",
                show_bytes(more),
                show_bytes(free)
            ),
            "lower --max-bytes or --backups, or make room",
        )
    })
}
