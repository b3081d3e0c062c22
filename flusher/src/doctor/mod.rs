//! `crlog doctor`: everything an operator would have to know about a log, and what to do.
//!
//! | module | what |
//! |---|---|
//! | [`facts`], [`collect`] | what is, as plain data; the system calls that find it out |
//! | [`finding`], [`examine`] | what that means; pure |

use crate::args::PlaceArgs;
use crate::console::{Console, Failure};
use clap::Args;
use finding::{Finding, Severity};
use serde_json::{Value, json};
use std::path::PathBuf;

pub mod collect;
pub mod examine;
pub mod facts;
pub mod finding;

use facts::{Facts, Seen};

const EXAMPLES: &str = "\
Exit status: 0 all is well (notes aside), 1 something needs attention, 2 wrong arguments.

Examples:
  crlog doctor /var/log/app/app.log
  crlog doctor --json app.log | jq -r '.findings[] | select(.severity == \"problem\") | .id'";

/// Check a log, the place it lives in and its processes, and say what to do
///
/// Only looks, for about a third of a second. Run it as the user of the programs that log, with the same
/// --segment and --lock-dir.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArgs {
    /// The log file
    #[arg(value_name = "LOGFILE")]
    path: PathBuf,

    /// One JSON object instead of sentences
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: PlaceArgs,
}

/// Examines, and tells.
pub fn main(args: &DoctorArgs, console: Console) -> Result<u8, Failure> {
    let facts = collect::facts(&args.path, &args.place);
    let findings = examine::examine(&facts);
    if args.json {
        console.out(&to_json(&facts, &findings).to_string());
    } else {
        console.out(to_text(&facts, &findings).trim_end());
    }
    Ok(u8::from(attention(&findings) > 0))
}

fn attention(findings: &[Finding]) -> usize {
    findings.iter().filter(|f| f.severity >= Severity::Warning).count()
}

fn layout(facts: &Facts) -> Option<u32> {
    match &facts.seen {
        Seen::Twice(stats, _) => Some(stats[0].layout_version),
        _ => None,
    }
}

fn to_json(facts: &Facts, findings: &[Finding]) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "layout_version": layout(facts),
        "path": facts.path,
        "segment": facts.segment,
        "well": attention(findings) == 0,
        "findings": findings.iter().map(Finding::json).collect::<Vec<_>>(),
    })
}

fn to_text(facts: &Facts, findings: &[Finding]) -> String {
    let layout = layout(facts).map_or(String::new(), |v| format!(", layout version {v}"));
    let mut lines = vec![
        format!("log      {}", facts.path),
        format!("segment  {}{layout}", facts.segment),
        format!("crlog    {}", env!("CARGO_PKG_VERSION")),
        String::new(),
    ];
    for f in findings {
        lines.push(format!("{:<8} {}", f.severity.word(), f.what));
        if !f.advice.is_empty() {
            lines.push(format!("         -> {}", f.advice));
        }
    }
    lines.push(String::new());
    lines.push(match attention(findings) {
        0 => "All is well.".into(),
        1 => "One thing needs attention.".into(),
        n => format!("{n} things need attention."),
    });
    // Names of files and programs may hold anything.
    let clean = |line: &String| crate::units::printable(line);
    lines.iter().map(clean).collect::<Vec<_>>().join("\n")
}
