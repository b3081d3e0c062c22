//! `crlog set`: changes what can be changed while a log is open.

use crate::args::PlaceArgs;
use crate::console::{Console, Failure};
use crate::units::{self, show_when_full};
use clap::Args;
use crlog::{Compression, Fsync, Live, Names, Notes, Options, Severity, SizeRule, WhenFull};
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    #[arg(long, value_name = "[SEVERITY=]POLICY", value_parser = units::when_full)]
    when_full: Vec<(Option<Severity>, WhenFull)>,

    /// How much of the ring is kept for records of severity warn and above, at most half of it
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    reserve: Option<u64>,

    /// Rotate before the file grows beyond this size; 0 never
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    max_bytes: Option<u64>,

    /// Keep this many numbered archives; with 0 a full file is emptied
    #[arg(long, value_name = "N")]
    backups: Option<u32>,

    /// strict or check-before
    #[arg(long, value_name = "RULE", value_parser = units::size_rule)]
    size_rule: Option<SizeRule>,

    /// Rotate at times, such as 'daily 03:00 Europe/Berlin', or never
    #[arg(long, value_name = "TIMES", value_parser = units::times)]
    rotate_at: Option<String>,

    /// What archives are called from now on: numbered or dated
    #[arg(long, value_name = "HOW", value_parser = units::names)]
    names: Option<Names>,

    /// Remove archives that are older than this; 0s never
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    keep_age: Option<Duration>,

    /// Remove the oldest archives when all files together have more bytes; 0 no limit
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    keep_bytes: Option<u64>,

    /// Remove the oldest archives when the file system has less free; 0 no limit
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    min_free: Option<u64>,

    /// Pack archives from now on: none, gzip[:LEVEL] or zstd[:LEVEL]
    #[arg(long, value_name = "HOW", value_parser = units::compress)]
    compress: Option<Compression>,

    /// Leave the N newest archives as they are
    #[arg(long, value_name = "N")]
    compress_delay: Option<u32>,

    /// A symbolic link that points to the current log file; none for none
    #[arg(long, value_name = "PATH")]
    link: Option<PathBuf>,

    /// Permissions of the files that are made from now on, in octal
    #[arg(long, value_name = "MODE", value_parser = units::mode)]
    mode: Option<u32>,

    /// User and group of the files that are made from now on: USER, USER:GROUP, :GROUP or none
    #[arg(long, value_name = "USER:GROUP", value_parser = units::owner)]
    owner: Option<units::Owner>,

    /// Make the file reach the disk: none, interval:TIME or batch
    #[arg(long, value_name = "WHEN", value_parser = units::fsync)]
    fsync: Option<Fsync>,

    /// How crlog's own lines in the log look: text, json or off
    #[arg(long, value_name = "HOW", value_parser = units::notes)]
    notes: Option<Notes>,

    /// Whether there is a line in the log for each process that died without leaving
    #[arg(long, value_name = "yes|no", value_parser = units::yes)]
    death_notes: Option<bool>,

    #[command(flatten)]
    place: PlaceArgs,
}

impl SetArgs {
    /// What is to be changed.
    fn wanted(&self) -> Options {
        fn with<T>(o: Options, asked: Option<T>, set: impl FnOnce(Options, T) -> Options) -> Options {
            match asked {
                Some(value) => set(o, value),
                None => o,
            }
        }
        let mut o = Options::new(&self.path);
        for &(severity, policy) in &self.when_full {
            o = match severity {
                Some(severity) => o.when_full_for(severity, policy),
                None => o.when_full(policy),
            };
        }
        let o = with(o, self.reserve, Options::reserve_bytes);
        let o = with(o, self.max_bytes, Options::max_bytes);
        let o = with(o, self.backups, Options::backups);
        let o = with(o, self.size_rule, Options::size_rule);
        let o = with(o, self.rotate_at.as_deref(), |o, times| o.rotate_at(times));
        let o = with(o, self.names, Options::names);
        let o = with(o, self.keep_age, Options::keep_age);
        let o = with(o, self.keep_bytes, Options::keep_bytes);
        let o = with(o, self.min_free, Options::min_free);
        let o = with(o, self.compress, Options::compress);
        let o = with(o, self.compress_delay, Options::compress_delay);
        let o = with(o, self.mode, Options::mode);
        let link =
            self.link.as_deref().map(|link| if link == Path::new("none") { Path::new("") } else { link });
        let o = with(o, link, Options::link);
        let owner = self.owner.as_ref();
        let o = with(o, owner, |o, (user, group)| o.owner(user.as_deref(), group.as_deref()));
        let o = with(o, self.fsync, Options::fsync);
        let o = with(o, self.notes, Options::notes);
        with(o, self.death_notes, Options::death_notes)
    }
}

/// Changes what was asked for, and prints what was and what is.
pub fn main(args: &SetArgs, console: Console) -> Result<u8, Failure> {
    let options = args.place.apply(Options::new(&args.path).name("crlog set"));
    let log = options.attach().map_err(Failure::failed)?;
    let (before, was) = (log.stats().live, log.settings());
    let left = log.change(&args.wanted()).map_err(Failure::failed)?;
    let mut lines = vec![changes(&before, &log.stats().live)];
    for ((name, is), (_, was)) in log.settings().into_iter().zip(was) {
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
