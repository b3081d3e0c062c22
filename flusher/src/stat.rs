//! `crlog stat`: what can be seen of a log from outside.

use crate::args::PlaceArgs;
use crate::console::{Console, Failure};
use crate::units::{printable, show_bytes, show_count, show_time, show_when_full};
use clap::Args;
use crlog::{DeathInfo, Options, ProducerInfo, Severity, Stats};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Show who writes to a log and how it fares
///
/// Only looks: starts nothing, and does not slow the log down.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit status: 0, or 1 if no process has this log open.\n\nExamples:\n  crlog stat app.log\n  crlog stat --json app.log | jq .lag_records"
)]
pub struct StatArgs {
    /// The log file
    #[arg(value_name = "LOGFILE")]
    path: PathBuf,

    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: PlaceArgs,
}

/// Prints the table or the object.
pub fn main(args: &StatArgs, console: Console) -> Result<u8, Failure> {
    let options = args.place.apply(Options::new(&args.path).name("crlog stat"));
    let log = options.attach().map_err(Failure::failed)?;
    let stats = log.stats().map_err(Failure::failed)?;
    if args.json {
        console.out(&to_json(&stats).to_string());
    } else {
        console.out(table(&stats, SystemTime::now()).trim_end());
    }
    Ok(0)
}

/// All of it, with the library's names; times in nanoseconds.
pub fn to_json(stats: &Stats) -> Value {
    let flusher = stats
        .flusher
        .as_ref()
        .map(|f| json!({"pid": f.pid, "start": f.start, "sidecar": f.sidecar, "epoch": f.epoch}));
    let files: Vec<Value> =
        stats.files.iter().map(|(name, bytes)| json!({"name": name, "bytes": bytes})).collect();
    json!({
        "path": stats.path.to_string_lossy(),
        "segment": stats.segment,
        "lock_file": stats.lock_file,
        "layout_version": stats.layout_version,
        "removed": stats.removed,
        "segment_bytes": stats.segment_bytes,
        "ring_bytes": stats.ring_bytes,
        "record_bytes_max": stats.record_bytes_max,
        "chunks": stats.chunks,
        "chunks_in_use": stats.chunks_in_use,
        "flusher": flusher,
        "producers": stats.producers.iter().map(producer_json).collect::<Vec<_>>(),
        "lag_records": stats.lag_records,
        "lag_bytes": stats.lag_bytes,
        "counters": counters(stats).into_iter().map(|(name, n)| (name.to_string(), json!(n))).collect::<serde_json::Map<_, _>>(),
        "drops": by_severity(&stats.drops),
        "drops_told": by_severity(&stats.drops_told),
        "deaths": stats.deaths.iter().map(death_json).collect::<Vec<_>>(),
        "when_full": Severity::ALL.iter().zip(stats.live.when_full).map(|(s, p)| (s.to_string(), json!(show_when_full(p)))).collect::<serde_json::Map<_, _>>(),
        "reserve_bytes": stats.live.reserve_bytes,
        "error": stats.error,
        "error_text": stats.error_text,
        "max_bytes": stats.max_bytes,
        "backups": stats.backups,
        "file_bytes": stats.file_bytes,
        "current": stats.current.as_ref().map(|path| path.to_string_lossy()),
        "files": files,
    })
}

fn producer_json(p: &ProducerInfo) -> Value {
    json!({
        "slot": p.slot,
        "pid": p.pid,
        "start": p.start,
        "name": p.name,
        "alive": p.alive,
        "records": p.records,
        "bytes": p.bytes,
        "drops": by_severity(&p.drops),
        "too_long": p.too_long,
        "inside": p.inside,
        "blocked_ns": u64::try_from(p.blocked.as_nanos()).unwrap_or(u64::MAX),
        "attached_unix_ns": p.attached_unix_ns,
    })
}

fn by_severity(n: &[u64; 6]) -> Value {
    Severity::ALL
        .iter()
        .zip(n)
        .map(|(s, n)| (s.to_string(), json!(n)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn death_json(d: &DeathInfo) -> Value {
    json!({
        "pid": d.pid,
        "start": d.start,
        "name": d.name,
        "attached_unix_ns": d.attached_unix_ns,
        "died_unix_ns": d.died_unix_ns,
        "records": d.records,
        "unfinished": d.unfinished,
    })
}

fn counters(stats: &Stats) -> [(&'static str, u64); 23] {
    let c = &stats.counters;
    [
        ("records", c.records),
        ("bytes", c.bytes),
        ("batches", c.batches),
        ("rotations", c.rotations),
        ("takeovers", c.takeovers),
        ("truncated_bytes", c.truncated_bytes),
        ("reaped", c.reaped),
        ("lost_unfinished", c.lost_unfinished),
        ("revoked", c.revoked),
        ("corrupt_chunks", c.corrupt_chunks),
        ("lost_corrupt", c.lost_corrupt),
        ("io_errors", c.io_errors),
        ("file_surprises", c.file_surprises),
        ("bad_checksums", c.bad_checksums),
        ("notes", c.notes),
        ("syncs", c.syncs),
        ("index_errors", c.index_errors),
        ("packed", c.packed),
        ("pack_errors", c.pack_errors),
        ("removed", c.removed),
        ("owner_errors", c.owner_errors),
        ("hook_errors", c.hook_errors),
        ("files_removed", c.files_removed),
    ]
}

/// The same for people.
pub fn table(stats: &Stats, now: SystemTime) -> String {
    let mut t = String::new();
    let flusher = match &stats.flusher {
        Some(f) => {
            let kind = if f.sidecar { "a sidecar" } else { "a thread of a producer" };
            format!("process {}, {kind}, number {} of this log", f.pid, f.epoch)
        }
        None => "none".into(),
    };
    let error = match (&stats.error_text, stats.error) {
        (Some(text), _) => text.clone(),
        (None, Some(errno)) => std::io::Error::from_raw_os_error(errno).to_string(),
        (None, None) => "none".into(),
    };
    let lag = format!(
        "{} records, {} not yet in the file",
        show_count(stats.lag_records),
        show_bytes(stats.lag_bytes)
    );
    let ring = format!(
        "{}, {} of {} chunks in use, records up to {} bytes",
        show_bytes(stats.ring_bytes),
        stats.chunks_in_use,
        stats.chunks,
        show_count(stats.record_bytes_max)
    );
    let gone = if stats.removed { ", removed by somebody" } else { "" };
    let segment = format!("{}, {}{gone}", stats.segment, show_bytes(stats.segment_bytes));
    let path = match stats.current.as_ref().filter(|current| **current != stats.path) {
        Some(current) => format!("{}, written to {}", stats.path.display(), current.display()),
        None => stats.path.display().to_string(),
    };
    let rows = [
        ("log", path),
        ("segment", segment),
        ("ring", ring),
        ("flusher", flusher),
        ("lag", lag),
        ("error", error),
    ];
    for (name, value) in rows {
        let _ = writeln!(t, "{name:<9} {value}");
    }
    let _ = writeln!(t, "{:<9} {}", "when full", policies(stats));
    let _ = writeln!(t, "{:<9} {}", "dropped", dropped(stats));
    producers(&mut t, &stats.producers, now);
    deaths(&mut t, &stats.deaths, now);
    let _ = writeln!(t, "\nfiles");
    for (name, bytes) in &stats.files {
        let _ = writeln!(t, "  {name:<40} {:>16} bytes", show_count(*bytes));
    }
    let _ = writeln!(t, "\nsince the segment was made");
    for (name, number) in counters(stats) {
        let _ = writeln!(t, "  {name:<17} {:>18}", show_count(number));
    }
    t
}

fn producers(t: &mut String, producers: &[ProducerInfo], now: SystemTime) {
    let _ = writeln!(
        t,
        "\n{:<10} {:<16} {:<6} {:>13} {:>10} {:>8} {:>8} {:>9} {:>9}",
        "process", "name", "alive", "records", "bytes", "drops", "too long", "blocked", "attached"
    );
    let now_ns = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    for p in producers {
        let since = now_ns.saturating_sub(Duration::from_nanos(p.attached_unix_ns));
        let _ = writeln!(
            t,
            "{:<10} {:<16} {:<6} {:>13} {:>10} {:>8} {:>8} {:>9} {:>9}",
            p.pid,
            printable(&p.name),
            if p.alive { "yes" } else { "no" },
            show_count(p.records),
            show_bytes(p.bytes),
            show_count(p.drops.iter().sum()),
            show_count(p.too_long),
            show_time(p.blocked),
            show_time(since)
        );
    }
}

/// What happens when the ring is full: one policy if it is the same for all.
fn policies(stats: &Stats) -> String {
    let all = stats.live.when_full;
    let reserve = format!("{} kept for warn and above", show_bytes(stats.live.reserve_bytes));
    let each = Severity::ALL.iter().zip(all).map(|(s, p)| format!("{s}={}", show_when_full(p)));
    let policy =
        if all == [all[0]; 6] { show_when_full(all[0]) } else { each.collect::<Vec<_>>().join(", ") };
    format!("{policy}; {reserve}")
}

fn dropped(stats: &Stats) -> String {
    let total: u64 = stats.drops.iter().sum();
    if total == 0 {
        return "none".into();
    }
    let each = Severity::ALL.iter().zip(stats.drops).filter(|(_, n)| *n > 0);
    let each: Vec<String> = each.map(|(s, n)| format!("{} {s}", show_count(n))).collect();
    let told: u64 = stats.drops_told.iter().sum();
    let told = if told == total { "all".into() } else { show_count(told) };
    format!("{} records: {}; the log tells of {told}", show_count(total), each.join(", "))
}

fn deaths(t: &mut String, deaths: &[DeathInfo], now: SystemTime) {
    if deaths.is_empty() {
        return;
    }
    let _ =
        writeln!(t, "\n{:<10} {:<16} {:>13} {:>11} {:>9}", "died", "name", "records", "unfinished", "ago");
    let now_ns = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    for d in deaths {
        let ago = now_ns.saturating_sub(Duration::from_nanos(d.died_unix_ns));
        let _ = writeln!(
            t,
            "{:<10} {:<16} {:>13} {:>11} {:>9}",
            d.pid,
            printable(&d.name),
            show_count(d.records),
            show_count(d.unfinished),
            show_time(ago)
        );
    }
}
