//! `crlog rotate`: rotates a log that is open.

use crate::args::PlaceArgs;
use crate::console::{Console, Failure};
use crate::units;
use clap::Args;
use crlog::{Log, Options};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
What was logged before stands in the archive. An empty file is not rotated.
Exit status: 0 done, 1 if no process has this log open or it was not done in time, 2 for wrong arguments.

Examples:
  crlog rotate app.log
  crlog rotate --timeout 1m app.log
  crlog rotate --discard app.log     empties a log that keeps no archives";

/// Rotate the file of a log that is open, and wait until it is done
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct RotateArgs {
    /// The log file
    #[arg(value_name = "LOGFILE")]
    path: PathBuf,

    /// How long to wait
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "10s")]
    timeout: Duration,

    /// Also a log that keeps no archives: its file is emptied, and what was in it is gone
    #[arg(long)]
    discard: bool,

    #[command(flatten)]
    place: PlaceArgs,
}

/// Asks, waits, and says what the newest archive is called.
pub fn main(args: &RotateArgs, console: Console) -> Result<u8, Failure> {
    let options = args.place.apply(Options::new(&args.path).name("crlog rotate"));
    let log = options.attach().map_err(Failure::failed)?;
    let before = log.stats().map_err(Failure::failed)?;
    let rotate = if args.discard { Log::rotate_or_discard } else { Log::rotate };
    rotate(&log, args.timeout).map_err(Failure::failed)?;
    let after = log.stats().map_err(Failure::failed)?;
    console.out(&match after.files.get(1) {
        _ if after.counters.rotations == before.counters.rotations => {
            "the file was empty: not rotated".to_owned()
        }
        Some((name, bytes)) => format!("rotated: {name}, {bytes} bytes"),
        None => "rotated: no archives are kept, the file was emptied".to_owned(),
    });
    Ok(0)
}
