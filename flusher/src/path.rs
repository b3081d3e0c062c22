//! `crlog path`: which file a log is written to.

use crate::args::PlaceArgs;
use crate::console::{Console, Failure};
use clap::Args;
use crlog::Options;
use std::path::PathBuf;

const EXAMPLES: &str = "\
With --direct this is another file after each rotation; else it is the log itself.
Exit status: 0, or 1 if no process has this log open or there is no file yet, 2 for wrong arguments.

Examples:
  tail -f \"$(crlog path app.log)\"";

/// Print the path of the file that a log that is open is written to
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct PathArgs {
    /// The log file
    #[arg(value_name = "LOGFILE")]
    path: PathBuf,

    #[command(flatten)]
    place: PlaceArgs,
}

/// Prints it.
pub fn main(args: &PathArgs, console: Console) -> Result<u8, Failure> {
    let options = args.place.apply(Options::new(&args.path).name("crlog path"));
    let log = options.attach().map_err(Failure::failed)?;
    match log.current() {
        Some(path) => {
            console.out(&path.display().to_string());
            Ok(0)
        }
        None => Err(Failure::failed(format!("{}: no file was written yet", log.path().display()))),
    }
}
