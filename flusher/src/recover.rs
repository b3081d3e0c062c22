//! `crlog recover`: writes what a killed crowd left in memory.

use crate::args::PlaceArgs;
use crate::console::{Console, Failure};
use crate::units::{printable, show_bytes, show_count};
use clap::Args;
use crlog::{FlusherInfo, Options, ProducerInfo, Recovered, Rescued};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Exit status: 0 if everything that was in memory is in the file, or nothing was there; 1 if running processes have
the log open (they write it themselves), or something failed; 2 for wrong arguments.

Examples:
  crlog recover /var/log/app/app.log
  crlog recover --segment /shared/app.ring --lock-dir /shared/locks /logs/app.log";

/// Write what is left in memory after all processes of a log were killed
///
/// Takes the options the log was made with, rotation included. Makes nothing if nothing is left.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct RecoverArgs {
    /// The log file
    #[arg(value_name = "LOGFILE")]
    path: PathBuf,

    #[command(flatten)]
    place: PlaceArgs,
}

/// Recovers, and says what came of it in a sentence.
pub fn main(args: &RecoverArgs, console: Console) -> Result<u8, Failure> {
    let options = args.place.apply(Options::new(&args.path));
    match options.recover().map_err(Failure::failed)? {
        Recovered::Nothing => {
            console.out(&format!("nothing to recover: nothing of {} is left in memory", args.path.display()));
        }
        Recovered::Done(rescued) => console.out(&done(&args.path, &rescued)),
        Recovered::InUse { producers, flusher } => {
            return Err(Failure::failed(in_use(&args.path, &producers, flusher.as_ref())));
        }
        other => console.out(&format!("{other:?}")),
    }
    Ok(0)
}

fn done(path: &Path, r: &Rescued) -> String {
    let path = path.display();
    let mut text = match r.records {
        0 => format!("nothing to recover: no record of {path} was left in memory"),
        n => format!("wrote {} ({}) to {path}", count(n, "record"), show_bytes(r.bytes)),
    };
    if r.lost_corrupt + r.corrupt_chunks > 0 {
        text += &format!("; refused {} as damaged", count(r.lost_corrupt, "record"));
    }
    if r.corrupt_chunks > 0 {
        text += &format!(", in {} that could not be read to the end", count(r.corrupt_chunks, "chunk"));
    }
    if r.lost_unfinished > 0 {
        text += &format!("; left out {} that never got finished", count(r.lost_unfinished, "record"));
    }
    text += match r.removed {
        true => "; segment and lock file are removed",
        false => "; the segment stays, because another process has opened the log meanwhile",
    };
    text
}

fn in_use(path: &Path, producers: &[ProducerInfo], flusher: Option<&FlusherInfo>) -> String {
    let mut who: Vec<String> =
        producers.iter().map(|p| format!("process {} ({})", p.pid, printable(&p.name))).collect();
    if let Some(f) = flusher.filter(|f| producers.iter().all(|p| p.pid != f.pid)) {
        who.push(format!("process {} (which writes the file)", f.pid));
    }
    let have = if who.len() == 1 { "has" } else { "have" };
    format!(
        "nothing recovered: {} {have} {} open, and what is in memory is written by who has it open",
        who.join(", "),
        path.display()
    )
}

fn count(n: u64, what: &str) -> String {
    format!("{} {what}{}", show_count(n), if n == 1 { "" } else { "s" })
}
