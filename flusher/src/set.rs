//! `crlog set`: changes what can be changed while a log is open.

use crate::args::PlaceArgs;
use crate::config::keys::typed;
use crate::config::setting::Setting;
use crate::console::{Console, Failure};
use crate::units::show_when_full;
use clap::Args;
use crlog::{Live, Options, Severity};
use std::path::PathBuf;

const EXAMPLES: &str = "\
It holds for all processes at once, also for calls that wait at this moment, and until it is changed again or the
last process has left. Exit status: 0, or 1 if no process has this log open or a value is not possible, 2 for wrong
arguments. Without options it prints what holds.

Examples:
  crlog set --when-full debug=drop --when-full info=block:1s app.log
  crlog set --max-bytes 100MB --backups 9 app.log
  crlog set --rotate-at 'daily 00:00 Europe/Berlin' app.log";

/// Change what a log that is open does
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct SetArgs {
    /// The log file
    #[arg(value_name = "LOGFILE")]
    path: PathBuf,

    /// What to do with a record when the ring is full: block, block:TIME, drop or write-through; after SEVERITY=
    /// for records of one severity. May be given several times; the last one counts
    #[arg(long, value_name = "[SEVERITY=]POLICY", value_parser = typed("when_full"))]
    when_full: Vec<Setting>,

    /// How much of the ring is kept for records of severity warn and above, at most half of it
    #[arg(long, value_name = "SIZE", value_parser = typed("reserve"))]
    reserve: Option<Setting>,

    /// Rotate before the file grows beyond this size; 0 never
    #[arg(long, value_name = "SIZE", value_parser = typed("max_bytes"))]
    max_bytes: Option<Setting>,

    /// Keep this many numbered archives; with 0 a full file is emptied
    #[arg(long, value_name = "N", value_parser = typed("backups"))]
    backups: Option<Setting>,

    /// strict or check-before
    #[arg(long, value_name = "RULE", value_parser = typed("size_rule"))]
    size_rule: Option<Setting>,

    /// Rotate at times, such as 'daily 03:00 Europe/Berlin', or never
    #[arg(long, value_name = "TIMES", value_parser = typed("rotate_at"))]
    rotate_at: Option<Setting>,

    /// What archives are called from now on: numbered, dated, or a template
    #[arg(long, value_name = "HOW", value_parser = typed("names"))]
    names: Option<Setting>,

    /// Remove archives that are older than this; 0s never
    #[arg(long, value_name = "TIME", value_parser = typed("keep_age"))]
    keep_age: Option<Setting>,

    /// Remove the oldest archives when all files together have more bytes; 0 no limit
    #[arg(long, value_name = "SIZE", value_parser = typed("keep_bytes"))]
    keep_bytes: Option<Setting>,

    /// Remove the oldest archives when the file system has less free; 0 no limit
    #[arg(long, value_name = "SIZE", value_parser = typed("min_free"))]
    min_free: Option<Setting>,

    /// Pack archives from now on: none, gzip[:LEVEL] or zstd[:LEVEL]
    #[arg(long, value_name = "HOW", value_parser = typed("compress"))]
    compress: Option<Setting>,

    /// Leave the N newest archives as they are
    #[arg(long, value_name = "N", value_parser = typed("compress_delay"))]
    compress_delay: Option<Setting>,

    /// A symbolic link that points to the current log file; none for none
    #[arg(long, value_name = "PATH", value_parser = typed("link"))]
    link: Option<Setting>,

    /// Permissions of the files that are made from now on, in octal
    #[arg(long, value_name = "MODE", value_parser = typed("mode"))]
    mode: Option<Setting>,

    /// User and group of the files that are made from now on: USER, USER:GROUP, :GROUP or none
    #[arg(long, value_name = "USER:GROUP", value_parser = typed("owner"))]
    owner: Option<Setting>,

    /// Make the file reach the disk: none, interval:TIME or batch
    #[arg(long, value_name = "WHEN", value_parser = typed("fsync"))]
    fsync: Option<Setting>,

    /// How crlog's own lines in the log look: text, json or off
    #[arg(long, value_name = "HOW", value_parser = typed("notes"))]
    notes: Option<Setting>,

    /// Whether there is a line in the log for each process that died without leaving
    #[arg(long, value_name = "yes|no", value_parser = typed("death_notes"))]
    death_notes: Option<Setting>,

    #[command(flatten)]
    place: PlaceArgs,
}

impl SetArgs {
    /// What is to be changed.
    fn wanted(&self) -> Options {
        let each = [
            &self.reserve,
            &self.max_bytes,
            &self.backups,
            &self.size_rule,
            &self.rotate_at,
            &self.names,
            &self.keep_age,
            &self.keep_bytes,
            &self.min_free,
            &self.compress,
            &self.compress_delay,
            &self.link,
            &self.mode,
            &self.owner,
            &self.fsync,
            &self.notes,
            &self.death_notes,
        ];
        let all = self.when_full.iter().chain(each.into_iter().flatten());
        all.fold(Options::new(&self.path), |options, setting| setting.apply(options))
    }
}

/// Changes what was asked for, and prints what was and what is.
pub fn main(args: &SetArgs, console: Console) -> Result<u8, Failure> {
    let options = args.place.apply(Options::new(&args.path).name("crlog set"));
    let log = options.attach().map_err(Failure::failed)?;
    let stats = || log.stats().map_err(Failure::failed);
    let settings = || log.settings().map_err(Failure::failed);
    let (before, was) = (stats()?.live, settings()?);
    let left = log.change(&args.wanted()).map_err(Failure::failed)?;
    let mut lines = vec![changes(&before, &stats()?.live)];
    for ((name, is), (_, was)) in settings()?.into_iter().zip(was) {
        let was = if is == was { String::new() } else { format!(" (was {was})") };
        lines.push(format!("{} {is}{was}", name.replace('_', "-")));
    }
    console.out(&lines.join("\n"));
    match left.first() {
        None => Ok(0),
        Some(difference) => Err(Failure::failed(difference)),
    }
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
