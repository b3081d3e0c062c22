//! `crlog stress`: real processes write, are killed and stopped at random, and what they wrote is
//! compared with what they were told.
//!
//! [`plan`] is what to do, [`herd`] the processes, [`chaos`] who suffers next, [`watch`] what is
//! measured meanwhile, [`run`] the whole, [`verify`] the judgement, [`report`] the words.

pub mod acks;
pub mod chaos;
pub mod errand;
pub mod herd;
pub mod plan;
pub mod record;
pub mod report;
pub mod rng;
pub mod run;
pub mod story;
pub mod verify;
pub mod watch;
pub mod worker;

use crate::args::PlaceArgs;
use crate::console::{Console, Failure};
use crate::units;
use clap::Args;
use plan::Plan;
use record::Text;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const EXAMPLES: &str = "\
Each line is a record that tells whether it is whole: process, number, length, text that follows from these.
Afterwards all files are read: every record whose call returned must be in them exactly once, whole, and in
order; of a killed process at most one more.

Exit status: 0 only if that is so; 1 if not, or if the run failed; 2 for wrong arguments.

Examples:
  crlog stress --seconds 10 --kill-producers --kill-flushers --stop-producers
  crlog stress --processes 8 --records 100000 --bytes 32-2000 --max-bytes 64MiB --backups 30
  crlog stress --seconds 30 --sidecars 2 --kill-flushers --seed 7 --json";

/// Kill and stop processes while they log, then check every line
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct StressArgs {
    /// A log file that does not exist yet, or a directory [default: a new directory in $TMPDIR]
    #[arg(value_name = "LOGFILE|DIR")]
    target: Option<PathBuf>,

    /// Processes that write at the same time
    #[arg(long, value_name = "N", default_value_t = 4)]
    processes: u32,

    /// Records that each of them writes, over all its lives [default: as many as it can]
    #[arg(long, value_name = "M")]
    records: Option<u64>,

    /// Lengths of the records
    #[arg(long, value_name = "MIN-MAX", default_value = "32-512", value_parser = units::size_range)]
    bytes: (u64, u64),

    /// Seconds to go on [default: 10, or with --records until they are written]
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,

    /// Kill processes that write, with SIGKILL, and start them again
    #[arg(long)]
    kill_producers: bool,

    /// Kill whoever writes the file, with SIGKILL
    #[arg(long)]
    kill_flushers: bool,

    /// Stop processes that write, half of them inside a record, and let them go on
    #[arg(long)]
    stop_producers: bool,

    /// Write the log with an index, and see to it that `crlog verify` finds it complete
    #[arg(long)]
    index: bool,

    /// Mean time between two such blows
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = units::duration)]
    every: Duration,

    /// Processes that only flush; with 0 a thread of one that writes does
    #[arg(long, value_name = "N", default_value_t = 0)]
    sidecars: u32,

    /// Size of the ring: small, so that it is often full
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = units::size)]
    ring_size: u64,

    /// Size at which the file is rotated
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = units::size)]
    max_bytes: u64,

    /// Rotated files that are kept; together they must hold everything, so a run without --records
    /// writes no faster than they allow
    #[arg(long, value_name = "N", default_value_t = 32)]
    backups: u32,

    /// Of all that is random [default: from the clock; it is printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Leave the files where they are
    #[arg(long)]
    keep: bool,

    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: PlaceArgs,
}

/// Runs and judges.
pub fn main(args: &StressArgs, console: Console) -> Result<u8, Failure> {
    let seed = args.seed.unwrap_or_else(seed_of_the_clock);
    let place = Place::choose(args.target.as_deref(), "stress.log", args.keep)?;
    let plan = args.plan(seed, &place);
    plan.check()?;
    if !args.json {
        console.out(&report::beginning(&plan));
    }
    let outcome = run::run(&plan, &mut |_| ())?;
    if args.json {
        console.out(&report::to_json(&plan, &outcome).to_string());
    } else {
        console.out(report::table(&outcome).trim_end());
        if let Some(dir) = place.kept() {
            console.out(&format!("files         {}", dir.display()));
        }
    }
    match outcome.verdict.verified() {
        true => Ok(0),
        false => Err(Failure::failed(format!("not verified; again with --seed {seed}"))),
    }
}

impl StressArgs {
    fn plan(&self, seed: u64, place: &Place) -> Plan {
        let seconds = match (self.seconds, self.records) {
            (None, Some(_)) => None,
            (seconds, _) => Some(seconds.unwrap_or(10)),
        };
        Plan {
            share: worker::ShareArgs {
                path: place.log.clone(),
                ring_size: self.ring_size,
                max_bytes: self.max_bytes,
                backups: self.backups,
                index: self.index,
                place: self.place.clone(),
            },
            acks: place.acks.clone(),
            said: None,
            processes: self.processes,
            sidecars: self.sidecars,
            records: self.records,
            time: seconds.map(Duration::from_secs),
            text: Text::Filler { min: self.bytes.0, max: self.bytes.1 },
            record_bytes_max: self.bytes.1,
            kill_producers: self.kill_producers,
            kill_flushers: self.kill_flushers,
            stop_producers: self.stop_producers,
            every: self.every,
            seed,
        }
    }
}

/// A number that differs from run to run.
pub fn seed_of_the_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    rng::mix(now.as_nanos() as u64) % 1_000_000_000
}

/// The files of a run, removed when it is over.
#[derive(Debug)]
pub struct Place {
    /// The log.
    pub log: PathBuf,
    /// The acknowledgements.
    pub acks: PathBuf,
    /// A directory of its own.
    own: Option<PathBuf>,
    keep: bool,
}

impl Place {
    /// In this place, or in a new directory under this name.
    pub fn choose(target: Option<&Path>, name: &str, keep: bool) -> Result<Place, Failure> {
        let Some(path) = target else {
            let dir = new_directory(&std::env::temp_dir())?;
            return Ok(Place { log: dir.join(name), acks: dir.join("acks"), own: Some(dir), keep });
        };
        if path.is_dir() {
            let dir = new_directory(path)?;
            return Ok(Place { log: dir.join(name), acks: dir.join("acks"), own: Some(dir), keep });
        }
        let mut acks = path.as_os_str().to_owned();
        acks.push("-acks");
        match verify::files_of(path) {
            Ok(files) if files.is_empty() => {
                Ok(Place { log: path.to_owned(), acks: acks.into(), own: None, keep })
            }
            Ok(_) => Err(Failure::usage(format!(
                "{} exists already: choose a new file, or a directory",
                path.display()
            ))),
            Err(e) => Err(Failure::failed(format!("{}: its directory cannot be read: {e}", path.display()))),
        }
    }

    fn kept(&self) -> Option<&Path> {
        self.keep.then(|| self.own.as_deref().unwrap_or(&self.log))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.acks);
        if self.keep {
            return;
        }
        for file in verify::files_of(&self.log).unwrap_or_default() {
            let _ = std::fs::remove_file(file);
        }
        if let (Some(dir), Some(name)) = (self.log.parent(), self.log.file_name()) {
            let _ = std::fs::remove_dir_all(dir.join(format!(".{}.crlog", name.display())));
        }
        if let Some(dir) = &self.own {
            remove_half_made(dir);
            let _ = std::fs::remove_dir(dir);
        }
    }
}

/// Who is killed between making a file or directory and giving it its name leaves it, empty.
fn remove_half_made(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        if name.starts_with(".crlog-") && name.ends_with(".new") {
            let _ = if path.is_dir() { std::fs::remove_dir(path) } else { std::fs::remove_file(path) };
        }
    }
}

/// A new directory for nobody but us.
pub fn new_directory(within: &Path) -> Result<PathBuf, Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let mut error = None;
    for _ in 0..100 {
        let dir = within.join(format!("crlog-{}-{}", std::process::id(), seed_of_the_clock()));
        match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => return Ok(dir),
            Err(e) => error = Some(e),
        }
    }
    let reason = error.map(|e| e.to_string()).unwrap_or_default();
    Err(Failure::failed(format!("no directory can be made in {}: {reason}", within.display())))
}
