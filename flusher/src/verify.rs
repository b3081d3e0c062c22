//! `crlog verify`: is the log complete, and if not, what is missing?

use crate::args::PlaceArgs;
use crate::console::{Console, Failure};
use crate::units::{self, show_count, show_time};
use clap::Args;
use crlog::{Finding, Options, Reason, Severity, Span, Verdict};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Say whether a log is complete, or which records of which process are missing
///
/// Compares the log and its archives with the index (see --index of the programs that write the log) and, if the
/// log is in use, with what is in shared memory. Only looks; may run while the log is written.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit status: 0 complete, 1 something is missing or damaged, 2 wrong arguments, 3 it cannot be said (the log changes too fast).\n\nExamples:\n  crlog verify app.log\n  crlog verify --json app.log | jq .findings"
)]
pub struct VerifyArgs {
    /// The log file
    #[arg(value_name = "LOGFILE")]
    path: PathBuf,

    /// One JSON object instead of sentences
    #[arg(long)]
    json: bool,

    /// How long to try to see a log that is written and rotated in one state
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "10s")]
    timeout: Duration,

    #[command(flatten)]
    place: PlaceArgs,
}

/// Exit status when nothing can be said.
const UNKNOWN: u8 = 3;

/// Prints the verdict.
pub fn main(args: &VerifyArgs, console: Console) -> Result<u8, Failure> {
    let options = args.place.apply(Options::new(&args.path).name("crlog verify"));
    crate::paths::allow_all_open_files();
    let verdict = options.verify_within(args.timeout).map_err(Failure::failed)?;
    let unsettled = verdict.findings.iter().any(|f| matches!(f, Finding::Unsettled { .. }));
    if verdict.files.is_empty() && !verdict.indexed && verdict.segment.is_none() && !unsettled {
        return Err(Failure::failed(format!("there is no log {}", args.path.display())));
    }
    if args.json {
        console.out(&to_json(&verdict).to_string());
    } else {
        console.out(sentences(&verdict).join("\n").trim_end());
    }
    Ok(if unsettled { UNKNOWN } else { u8::from(!verdict.is_complete()) })
}

/// All of it, with the library's names.
pub fn to_json(v: &Verdict) -> Value {
    let files = v
        .files
        .iter()
        .map(|f| json!({"name": f.name, "bytes": f.bytes, "covered": f.covered, "records": f.records}));
    let segment = v.segment.map(|s| {
        json!({"records": s.records, "waiting": s.waiting, "skipped": s.skipped, "drops": by_severity(&s.drops)})
    });
    json!({
        "complete": v.is_complete(),
        "indexed": v.indexed,
        "records": v.records,
        "writers": v.writers,
        "processes": v.processes,
        "from_unix_ns": v.from_unix_ns,
        "to_unix_ns": v.to_unix_ns,
        "findings": v.findings.iter().map(finding_json).collect::<Vec<_>>(),
        "waiting": spans_json(&v.waiting),
        "ring_seen": v.ring_seen,
        "retired_files": v.retired,
        "bytes_before_index": v.before,
        "not_compared": v.packed,
        "died": v.died,
        "unfinished": v.unfinished,
        "files": files.collect::<Vec<_>>(),
        "segment": segment,
    })
}

fn span_json(span: &Span) -> Value {
    let p = span.producer;
    json!({"pid": p.pid, "start": p.start, "writer": p.writer, "first": span.first, "last": span.last})
}

fn spans_json(spans: &[Span]) -> Value {
    spans.iter().map(span_json).collect::<Vec<_>>().into()
}

fn by_severity(n: &[u64; 6]) -> Value {
    let each = Severity::ALL.iter().zip(n).map(|(s, n)| (s.to_string(), json!(n)));
    each.collect::<serde_json::Map<_, _>>().into()
}

fn finding_json(finding: &Finding) -> Value {
    match finding {
        Finding::Missing { span, reason } => {
            json!({"kind": "missing", "reason": reason_name(*reason), "records": span_json(span)})
        }
        Finding::Twice { span } => json!({"kind": "twice", "records": span_json(span)}),
        Finding::Dropped { pid, start, records } => {
            json!({"kind": "dropped", "pid": pid, "start": start, "records": by_severity(records)})
        }
        Finding::Changed { file, from, to, spans } => {
            json!({"kind": "changed", "file": file, "from": from, "to": to, "records": spans_json(spans)})
        }
        Finding::FileGone { age, spans } => {
            json!({"kind": "file gone", "number": age, "records": spans_json(spans)})
        }
        Finding::Uncovered { file, from, to } => {
            json!({"kind": "uncovered", "file": file, "from": from, "to": to})
        }
        Finding::Interrupted { from, to } => {
            let place = |p: &Option<(u64, u64)>| p.map(|(age, at)| json!({"number": age, "offset": at}));
            json!({"kind": "index interrupted", "from": place(from), "to": place(to)})
        }
        Finding::IndexGone { first, last } => json!({"kind": "index gone", "first": first, "last": last}),
        Finding::IndexDamaged { serial, at } => {
            json!({"kind": "index damaged", "serial": serial, "at": at})
        }
        Finding::SegmentLost { uuid } => json!({"kind": "segment lost", "uuid": hex(uuid)}),
        Finding::Short { file, len, committed } => {
            json!({"kind": "short", "file": file, "bytes": len, "committed": committed})
        }
        Finding::Skipped { records } => json!({"kind": "skipped", "records": records}),
        Finding::Torn { file } => json!({"kind": "torn", "file": file}),
        Finding::Unsettled { limit } => json!({"kind": "unsettled", "seconds": limit.as_secs_f64()}),
        other => json!({"kind": format!("{other:?}")}),
    }
}

fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::Corrupt => "corrupt chunk",
        Reason::Checksum => "checksum",
        Reason::Interrupted => "index interrupted",
        Reason::IndexLost => "index lost",
        _ => "unknown",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The verdict first, then one line for everything that is to be said.
fn sentences(v: &Verdict) -> Vec<String> {
    let mut lines = vec![headline(v)];
    let known = |f: &&Finding| !matches!(f, Finding::Unsettled { .. });
    lines.extend(v.findings.iter().filter(known).map(|f| format!("  {}", in_words(f))));
    lines.extend(remarks(v).into_iter().map(|r| format!("  note: {r}")));
    lines
}

fn headline(v: &Verdict) -> String {
    if let [Finding::Unsettled { limit }] = v.findings[..] {
        return format!(
            "completeness unknown: within {} the files were never all seen in one state, since they are rotated too fast; repeat it with a longer --timeout, or when the log is less busy",
            show_time(limit)
        );
    }
    if !v.indexed {
        let what = if v.is_complete() { "nothing amiss is found" } else { "something is wrong" };
        return format!(
            "there is no index, so nobody can say that no record is missing (write the log with --index); {what}"
        );
    }
    let all = format!(
        "{} records of {} producers ({} processes), from {} to {}",
        show_count(v.records),
        show_count(v.writers),
        show_count(v.processes),
        utc(v.from_unix_ns),
        utc(v.to_unix_ns)
    );
    if v.is_complete() {
        format!("no gaps: {all}")
    } else {
        format!(
            "NOT complete: {all} are as written; {} finding{}:",
            v.findings.len(),
            if v.findings.len() == 1 { "" } else { "s" }
        )
    }
}

fn in_words(finding: &Finding) -> String {
    match finding {
        Finding::Missing { span, reason } => {
            let why = match reason {
                Reason::Corrupt => "their chunk in the ring was corrupt",
                Reason::Checksum => "their checksum in the ring was wrong",
                Reason::Interrupted => "the index was interrupted, they may be in the file",
                Reason::IndexLost => "a part of the index is lost, they may be in the file",
                _ => "they never came out of the ring",
            };
            format!("missing: {span}: {why}")
        }
        Finding::Twice { span } => format!("written twice: {span}"),
        Finding::Dropped { pid, start, records } => {
            let each = Severity::ALL.iter().zip(records).filter(|(_, n)| **n > 0);
            let each: Vec<String> = each.map(|(s, n)| format!("{} {s}", show_count(*n))).collect();
            let who =
                if *pid == 0 { String::new() } else { format!(" of process {pid} (start time {start})") };
            format!("dropped because the ring was full: {}{who}", each.join(", "))
        }
        Finding::Changed { file, from, to, spans } => {
            format!("changed: {file}, somewhere in bytes {from} to {to}, where stood {}", list(spans))
        }
        Finding::FileGone { age, spans } => {
            format!(
                "removed by somebody, not by rotation: the file that would be number {age}, with {}",
                list(spans)
            )
        }
        Finding::Uncovered { file, from, to } => {
            format!("not written with this index: {file}, bytes {from} to {to}")
        }
        Finding::Interrupted { from, to } => {
            let place = |p: &Option<(u64, u64)>, or: &str| match p {
                Some((age, at)) => format!("byte {at} of file number {age}"),
                None => or.to_owned(),
            };
            format!(
                "the index was interrupted from {} to {}: nothing is known of what was logged then",
                place(from, "its beginning"),
                place(to, "now")
            )
        }
        Finding::IndexGone { first, last } => {
            format!("index files {first} to {last} are gone, or those of them that retention had left")
        }
        Finding::IndexDamaged { serial, at } => format!("index file {serial} is damaged from byte {at} on"),
        Finding::SegmentLost { uuid } => format!(
            "segment {} has gone before it was drained (reboot, or removed): what was only in memory is lost",
            hex(uuid)
        ),
        Finding::Short { file, len, committed } => {
            format!("cut off: {file} has {len} bytes, {committed} were written")
        }
        Finding::Skipped { records } => {
            format!("{} records were skipped: corrupt chunks or wrong checksums", show_count(*records))
        }
        Finding::Torn { file } => format!("{file} does not end at the end of a record"),
        other => format!("{other:?}"),
    }
}

/// At most some of them: a file holds records of everybody.
fn list(spans: &[Span]) -> String {
    const SHOWN: usize = 8;
    let records: u64 = spans.iter().map(Span::records).fold(0, u64::saturating_add);
    let shown: Vec<String> = spans.iter().take(SHOWN).map(Span::to_string).collect();
    let more = spans.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("; and {more} more (--json has all)") } else { String::new() };
    format!("{} records: {}{more}", show_count(records), shown.join("; "))
}

fn remarks(v: &Verdict) -> Vec<String> {
    let mut r = Vec::new();
    let waiting: u64 = v.waiting.iter().map(Span::records).fold(0, u64::saturating_add);
    if waiting > 0 {
        r.push(format!("still in the ring, not yet in the file: {}", list(&v.waiting)));
    }
    if v.segment.is_some() && !v.ring_seen {
        r.push("the log is too busy to look at the ring; what is in it is not counted".into());
    }
    if v.retired > 0 {
        r.push(format!("{} files were removed by rotation", v.retired));
    }
    if v.before > 0 && v.indexed {
        r.push(format!("{} bytes were written before the index was begun", show_count(v.before)));
    }
    for name in &v.packed {
        r.push(format!("{name} is compressed: its bytes are not compared"));
    }
    if v.died > 0 {
        let unfinished = show_count(v.unfinished);
        r.push(format!(
            "{} processes died without leaving; {unfinished} records that they were writing were never acknowledged",
            show_count(v.died)
        ));
    }
    if let (Some(s), false) = (v.segment, v.indexed) {
        r.push(format!(
            "since the segment was made: {} records in the files, {} in the ring",
            show_count(s.records),
            show_count(s.waiting)
        ));
    }
    r
}

/// A time as people write it. The days are those of the Gregorian calendar (H. Hinnant, "chrono-compatible
/// low-level date algorithms", `civil_from_days`).
fn utc(unix_ns: u64) -> String {
    let seconds = unix_ns / 1_000_000_000;
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let in_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let in_month = in_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!(
        "{:04}-{month:02}-{in_month:02} {:02}:{:02}:{:02} UTC",
        year + era * 400 + later,
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199, "2024-02-29 23:59:59 UTC"),
            (4_102_444_800, "2100-01-01 00:00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(seconds * 1_000_000_000), text);
        }
    }
}
