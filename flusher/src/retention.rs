//! `crlog retention`: what would be removed of a log's archives, and why; or has it removed.

use crate::args::PlaceArgs;
use crate::console::{Console, Failure};
use crate::units::{self, printable, show_bytes, show_count, show_time};
use clap::Args;
use crlog::Options;
use crlog::retention::{Applied, Limits, Reason, Retention, Row, Verdict};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
All limits hold together, and the oldest archives go first. Only files that crlog made and nobody has changed are ever
removed. Limits that are not given are those of the log, if it is open.

Without --dry-run what has to go is removed at once, by the process that flushes the log. A log that is open has
its own limits (change them with `crlog set`); those given here are for one that nobody has open.

Exit status: 0, or 1 if something cannot be read or was not done, 2 for wrong arguments.

Examples:
  crlog retention app.log
  crlog retention --adopt app.log
  crlog retention --dry-run --backups 10 --keep-age 168h app.log
  crlog retention --dry-run --keep-bytes 5GB --min-free 1GB --json app.log | jq '.files[] | select(.verdict == \"goes\")'
  crlog retention --dry-run --adopt --backups 10 app.log";

/// Remove the archives that the limits want gone, or show which those are, and why
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct RetentionArgs {
    /// The log file
    #[arg(value_name = "LOGFILE")]
    path: PathBuf,

    /// Only show it: nothing is changed here. Whoever flushes the log removes what has to go by itself
    #[arg(long)]
    dry_run: bool,

    /// Take in the files that are called like archives, but that crlog does not know, was not told of or that others changed: from
    /// now on they are its own. With --dry-run: as if they were
    #[arg(long)]
    adopt: bool,

    /// How long to wait for the process that flushes the log
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "10s", conflicts_with = "dry_run")]
    timeout: Duration,

    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,

    /// Keep at most this many archives
    #[arg(long, value_name = "N")]
    backups: Option<u32>,

    /// Keep archives that were last written to within this time, such as 168h
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    keep_age: Option<Duration>,

    /// Keep at most this many bytes, the live log included, such as 5GB
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    keep_bytes: Option<u64>,

    /// Keep as many archives as leave this much free on the disk, such as 1GB
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    min_free: Option<u64>,

    #[command(flatten)]
    place: PlaceArgs,
}

/// Prints the table or the object, or does it and says what was done.
pub fn main(args: &RetentionArgs, console: Console) -> Result<u8, Failure> {
    let limits = Limits {
        archives: args.backups,
        age_ns: args.keep_age.map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)),
        bytes: args.keep_bytes,
        free_bytes: args.min_free,
    };
    let options = args.place.apply(Options::new(&args.path).name("crlog retention"));
    if !args.dry_run {
        return apply(args, options, limits, console);
    }
    let said = options.retention(limits, args.adopt).map_err(Failure::failed)?;
    if args.json {
        console.out(&to_json(&said).to_string());
    } else {
        console.out(&table(&said));
    }
    Ok(0)
}

fn apply(args: &RetentionArgs, options: Options, limits: Limits, console: Console) -> Result<u8, Failure> {
    let done = options.apply_retention(limits, args.adopt, args.timeout).map_err(Failure::failed)?;
    if args.json {
        let rows = |rows: &[Row]| rows.iter().map(row_json).collect::<Vec<_>>();
        let (removed, left) = (rows(&done.removed), rows(&done.left));
        console.out(&json!({"adopted": done.adopted, "removed": removed, "left": left}).to_string());
    } else {
        console.out(&report(&done).join("\n"));
    }
    Ok(u8::from(!done.left.is_empty()))
}

/// A line for each archive that went or should have, and the sums.
fn report(done: &Applied) -> Vec<String> {
    let mut lines = vec![format!("limits: {}", limits(&done.limits))];
    for (rows, what) in
        [(&done.removed, "removed"), (&done.left, "could not be removed, or stays with an older one")]
    {
        for row in rows {
            let why = match &row.verdict {
                Verdict::Goes(reason) => why(reason),
                other => in_words(other),
            };
            lines.push(format!("{} {what}: {why}", printable(&row.name)));
        }
    }
    let (files, bytes) = (done.removed.len(), done.removed.iter().map(|row| row.bytes).sum());
    let removed = format!("{} removed ({})", count(files, "file"), show_bytes(bytes));
    let adopted = (done.adopted > 0).then(|| format!("{} taken in, ", count(done.adopted, "file")));
    lines.push(format!("{}{removed}", adopted.unwrap_or_default()));
    lines
}

fn to_json(said: &Retention) -> Value {
    let l = &said.limits;
    json!({
        "limits": {"archives": l.archives, "age_ns": l.age_ns, "bytes": l.bytes, "free_bytes": l.free_bytes},
        "known": said.known,
        "adopted": said.adopted,
        "damaged_lines": said.damaged,
        "free_bytes": said.free_bytes,
        "files": said.rows.iter().map(row_json).collect::<Vec<_>>(),
    })
}

fn row_json(row: &Row) -> Value {
    json!({
        "name": row.name,
        "serial": row.serial.map(|serial| serial.to_string()),
        "bytes": row.bytes,
        "written_unix_ns": row.ended_ns,
        "order_numbers": row.keys.map(|(lowest, highest)| json!({"lowest": lowest, "highest": highest})),
        "verdict": verdict_name(&row.verdict),
        "reason": match &row.verdict {
            Verdict::Goes(reason) => reason_json(reason),
            Verdict::Changed { was } => json!({"was_bytes": was}),
            _ => Value::Null,
        },
    })
}

fn verdict_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Live => "live",
        Verdict::Kept => "kept",
        Verdict::Goes(_) => "goes",
        Verdict::Changed { .. } => "changed",
        Verdict::Replaced => "replaced",
        Verdict::Elsewhere => "elsewhere",
        Verdict::Unknown => "unknown",
        Verdict::Strange => "strange",
        Verdict::Gone => "gone",
    }
}

fn reason_json(reason: &Reason) -> Value {
    let (what, found, limit) = match *reason {
        Reason::Archives { found, limit } => ("archives", u64::from(found), u64::from(limit)),
        Reason::Age { found_ns, limit_ns } => ("age_ns", found_ns, limit_ns),
        Reason::Bytes { found, limit } => ("bytes", found, limit),
        Reason::Free { found, limit } => ("free_bytes", found, limit),
    };
    json!({"kind": what, "found": found, "limit": limit})
}

/// The limits, a line for each file, and the sum.
fn table(said: &Retention) -> String {
    let mut lines = vec![format!("limits: {}", limits(&said.limits))];
    let width = said.rows.iter().map(|row| printable(&row.name).chars().count()).max().unwrap_or_default();
    for row in &said.rows {
        let age = show_time(Duration::from_nanos(said.now_ns.saturating_sub(row.ended_ns)));
        let (name, bytes) = (printable(&row.name), show_bytes(row.bytes));
        lines.push(format!("{name:<width$}  {bytes:>8}  {age:>8}  {}", in_words(&row.verdict)));
    }
    lines.extend(sums(said));
    lines.join("\n")
}

fn limits(limits: &Limits) -> String {
    let mut words = Vec::new();
    words.extend(limits.archives.map(|n| format!("at most {}", count(n, "archive"))));
    words.extend(limits.age_ns.map(|ns| format!("none older than {}", show_time(Duration::from_nanos(ns)))));
    words.extend(limits.bytes.map(|bytes| format!("at most {} with the live log", show_bytes(bytes))));
    words.extend(limits.free_bytes.map(|bytes| format!("{} free on the disk", show_bytes(bytes))));
    if words.is_empty() { "none, everything is kept".into() } else { words.join(", ") }
}

fn in_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Live => "the live log".into(),
        Verdict::Kept => "kept".into(),
        Verdict::Goes(reason) => format!("would go: {}", why(reason)),
        Verdict::Changed { was } => format!("left alone: somebody changed it, it had {}", show_bytes(*was)),
        Verdict::Replaced => "left alone: not the file that had this name".into(),
        Verdict::Elsewhere => "left alone: an archive under a name that is not its own".into(),
        Verdict::Unknown => "left alone: called like an archive, but crlog does not know it".into(),
        Verdict::Strange => "left alone: not called like an archive".into(),
        Verdict::Gone => "somebody has removed it".into(),
    }
}

/// Why an archive goes.
pub fn why(reason: &Reason) -> String {
    match *reason {
        Reason::Archives { found, limit } => format!("{found} archives, {limit} are kept"),
        Reason::Age { found_ns, limit_ns } => {
            let time = |ns| show_time(Duration::from_nanos(ns));
            format!("last written {} ago, {} are kept", time(found_ns), time(limit_ns))
        }
        Reason::Bytes { found, limit } => {
            format!("{} in all, {} are kept", show_bytes(found), show_bytes(limit))
        }
        Reason::Free { found, limit } => {
            format!("{} free, {} are wanted", show_bytes(found), show_bytes(limit))
        }
    }
}

fn sums(said: &Retention) -> Vec<String> {
    let of = |is: fn(&Verdict) -> bool| said.rows.iter().filter(move |row| is(&row.verdict));
    let goes = || of(|verdict| matches!(verdict, Verdict::Goes(_)));
    let (files, bytes) = (goes().count(), goes().map(|row| row.bytes).sum());
    let mut lines =
        vec![format!("{} would go ({}), nothing was changed", count(files, "file"), show_bytes(bytes))];
    let strays = of(|v| matches!(v, Verdict::Unknown | Verdict::Replaced | Verdict::Changed { .. })).count();
    if strays > 0 {
        let them = if strays == 1 { "it in" } else { "them in" };
        lines.push(format!(
            "{} called like an archive and left alone: --adopt takes {them}",
            count(strays, "file")
        ));
    }
    if said.damaged > 0 {
        let damaged = usize::try_from(said.damaged).unwrap_or(usize::MAX);
        lines.push(format!(
            "{} of the manifest could not be read and counted for nothing",
            count(damaged, "line")
        ));
    }
    lines
}

fn count(n: impl TryInto<u64>, what: &str) -> String {
    let n = n.try_into().unwrap_or(u64::MAX);
    format!("{} {what}{}", show_count(n), if n == 1 { "" } else { "s" })
}
