//! `crlog set`: changes what can be changed while a log is open.

use crate::args::PlaceArgs;
use crate::console::{Console, Failure};
use crate::units::{self, show_when_full};
use clap::Args;
use crlog::{Live, Log, Options, Severity, WhenFull};
use std::path::PathBuf;

const EXAMPLES: &str = "\
It holds for all processes at once, also for calls that wait at this moment, and until it is changed again or the
last process has left. Exit status: 0, or 1 if no process has this log open or a value is not possible, 2 for wrong
arguments. Without options it prints what holds.

Examples:
  crlog set --when-full debug=drop --when-full info=block:1s app.log
  crlog set --reserve 1MiB app.log";

/// Change what a log that is open does when its ring is full
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct SetArgs {
    /// The log file
    #[arg(value_name = "LOGFILE")]
    path: PathBuf,

    /// What to do with a record when the ring is full: block, block:TIME, drop or write-through; after SEVERITY=
    /// for records of one severity. May be given several times; the last one counts
    #[arg(long, value_name = "[SEVERITY=]POLICY", value_parser = units::when_full)]
    when_full: Vec<(Option<Severity>, WhenFull)>,

    /// How much of the ring is kept for records of severity warn and above, at most half of it
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    reserve: Option<u64>,

    #[command(flatten)]
    place: PlaceArgs,
}

/// Changes what was asked for, and prints what was and what is.
pub fn main(args: &SetArgs, console: Console) -> Result<u8, Failure> {
    let options = args.place.apply(Options::new(&args.path).name("crlog set"));
    let log = options.attach().map_err(Failure::failed)?;
    let before = log.stats().live;
    // First what can be refused: either all is done or nothing.
    if let Some(bytes) = args.reserve {
        log.set_reserve_bytes(bytes).map_err(Failure::failed)?;
    }
    for (severity, policy) in &args.when_full {
        set_policy(&log, *severity, *policy)?;
    }
    console.out(&changes(&before, &log.stats().live));
    Ok(0)
}

fn set_policy(log: &Log, severity: Option<Severity>, policy: WhenFull) -> Result<(), Failure> {
    let one = severity.as_ref().map(std::slice::from_ref);
    for &severity in one.unwrap_or(&Severity::ALL) {
        log.set_when_full(severity, policy).map_err(Failure::failed)?;
    }
    Ok(())
}

/// A line for each severity and one for the reserve: what is, and what was if it was something else.
fn changes(before: &Live, after: &Live) -> String {
    let was = |is: &str, was: String| if is == was { String::new() } else { format!(" (was {was})") };
    let mut lines: Vec<String> = Severity::ALL
        .iter()
        .zip(after.when_full.into_iter().zip(before.when_full))
        .map(|(severity, (is, before))| {
            let is = show_when_full(is);
            format!("when-full {severity}={is}{}", was(&is, show_when_full(before)))
        })
        .collect();
    let is = format!("{} bytes", after.reserve_bytes);
    lines.push(format!("reserve {is}{}", was(&is, format!("{} bytes", before.reserve_bytes))));
    lines.join("\n")
}
