//! `crlog soak`: round after round of real processes that write while everything happens to them that is
//! known to happen, all of it drawn from one seed, each round verified completely.
//!
//! [`draw`] is what a round is, [`fault`] what can happen, [`round`] the engine, `strike` what each fault
//! does, [`offspring`] forked children, [`disk`] a disk that can be filled, [`order`] where files stand that
//! were moved by hand, [`report`] the words. The rest is [`crate::stress`]'s.

pub mod disk;
pub mod draw;
pub mod fault;
pub mod offspring;
pub mod order;
pub mod report;
pub mod round;
mod strike;

use crate::console::{Console, Failure};
use crate::stress::{new_directory, seed_of_the_clock};
use clap::Args;
use disk::Disk;
use draw::Script;
use report::Total;
use round::Broken;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Rounds of 20 to 40 s, each with other sizes of ring, records and files, other numbers of processes and other
faults. After each round all files are read: every record whose call returned must be in them exactly once,
whole, and in order; of a killed process at most one more.

The seed decides what is done; when exactly it hits is up to the machine, so a failure may need several runs
to come again.

Exit status: 0 only if every round was verified; 1 if not, with the evidence kept; 2 for wrong arguments.

Examples:
  crlog soak --minutes 20 --seed 7
  crlog soak --seed 7 --round 12        that round alone, again";

/// Rounds of every known fault at random, each verified
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct SoakArgs {
    /// How long to go on
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    minutes: u64,

    /// Of all that is random [default: from the clock; it is printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Only this round, to see again what it did
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    round: Option<u32>,

    /// Directory for the files [default: a new one in $TMPDIR]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Exit status of a run that was ended by SIGINT or SIGTERM.
pub const INTERRUPTED: u8 = 130;
/// Shorter than this a round is not worth its start.
const ROUND_MIN: Duration = Duration::from_secs(5);

/// Runs and judges.
pub fn main(args: &SoakArgs, console: Console) -> Result<u8, Failure> {
    let seed = args.seed.unwrap_or_else(seed_of_the_clock);
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).map_err(Failure::failed)?;
    }
    // Orphans of workers become ours, and are buried.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(Failure::failed)?;
    let no_mounts = disk::own_mounts().err();
    console.out(&format!("seed {seed}, {} minutes; again with: {}", args.minutes, args.again(seed)));
    if let Some(why) = &no_mounts {
        console.out(&format!("LEFT OUT: the full disk: {why}"));
    }
    let within = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let soak = Soak { seed, dir: new_directory(&within)?, no_mounts, interrupted, console };
    let mut total = Total::new(soak.no_mounts.clone());
    let done = soak.rounds(args, &mut total);
    console.out(total.table().trim_end());
    let result = done.map(|()| 0).map_err(|broken| Failure {
        message: format!("{}; again with: {}", broken.message, args.again(seed)),
        ..broken
    });
    console.out(&format!("result        {}", if result.is_ok() { "verified" } else { "FAILED" }));
    console.out(&format!("seed {seed}; again with: {}", args.again(seed)));
    if result.is_ok() {
        let _ = std::fs::remove_dir(&soak.dir);
    }
    result
}

impl SoakArgs {
    fn again(&self, seed: u64) -> String {
        let round = self.round.map(|n| format!(" --round {n}")).unwrap_or_default();
        format!("crlog soak --minutes {} --seed {seed}{round}", self.minutes)
    }
}

struct Soak {
    seed: u64,
    dir: PathBuf,
    no_mounts: Option<String>,
    interrupted: Arc<AtomicBool>,
    console: Console,
}

impl Soak {
    fn rounds(&self, args: &SoakArgs, total: &mut Total) -> Result<(), Failure> {
        let end = Instant::now() + Duration::from_secs(60 * args.minutes);
        let mut number = args.round.unwrap_or(1);
        loop {
            self.round(number, end, total)?;
            number += 1;
            let over = end.saturating_duration_since(Instant::now()) < ROUND_MIN;
            if over || args.round.is_some() || self.interrupted.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    }

    fn round(&self, number: u32, end: Instant, total: &mut Total) -> Result<(), Failure> {
        let dir = self.dir.join(format!("round-{number}"));
        std::fs::create_dir(&dir).map_err(Failure::failed)?;
        let script = Script::draw(self.seed, number, &dir, &dir.join("disk"));
        let time = script.time.min(end.saturating_duration_since(Instant::now()).max(ROUND_MIN));
        let bytes = self.no_mounts.is_none().then(|| script.disk_bytes());
        let disk = Disk::new(&dir.join("disk"), bytes)?;
        let begun = Instant::now();
        let done = round::run(&script, &disk, time, &self.interrupted);
        match &done {
            Ok(outcome) if outcome.verdict.verified() => {
                self.console.out(&format!("{}: {}", script.words(), report::round(outcome, begun.elapsed())));
                total.add(outcome);
                remove(disk, &dir)
            }
            Ok(outcome) => {
                self.console.out(&format!("{}: {}", script.words(), report::round(outcome, begun.elapsed())));
                total.add(outcome);
                Err(self.keep(&script, &dir, &Failure::failed("records are missing or wrong"), None))
            }
            Err(Broken { failure, .. }) if failure.status == INTERRUPTED => {
                total.broken();
                round::clean_up(&script);
                remove(disk, &dir)?;
                let _ = std::fs::remove_dir(&self.dir);
                Err(failure.clone())
            }
            Err(Broken { failure, stats }) => {
                total.broken();
                self.console.out(&format!("{}: {}", script.words(), failure.message));
                Err(self.keep(&script, &dir, failure, stats.as_deref()))
            }
        }
    }

    /// Keeps what a broken round has left where it outlives this program, and says where that is.
    fn keep(&self, script: &Script, dir: &Path, failure: &Failure, stats: Option<&crlog::Stats>) -> Failure {
        let seen = stats.map(|s| crate::stat::table(s, std::time::SystemTime::now())).unwrap_or_default();
        let story = format!("{}\n{}\n\n{seen}\n{script:#?}\n", script.words(), failure.message);
        self.console.out(seen.trim_end());
        let kept = dir.join("evidence");
        let copied = copy_all(&dir.join("disk"), &kept)
            .and_then(|()| std::fs::write(kept.join("story.txt"), story))
            .and_then(|()| std::fs::rename(dir.join("said"), kept.join("said.txt")))
            .and_then(|()| std::fs::rename(dir.join("acks"), kept.join("acks")));
        round::clean_up(script);
        let what = match copied {
            Ok(()) => format!("evidence in {}", kept.display()),
            Err(e) => format!("its evidence cannot be kept in {}: {e}", kept.display()),
        };
        Failure {
            message: format!("round {}: {}; {what}", script.number, failure.message),
            ..failure.clone()
        }
    }
}

fn copy_all(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn remove(disk: Disk, dir: &Path) -> Result<(), Failure> {
    drop(disk);
    std::fs::remove_dir_all(dir).map_err(|e| Failure::failed(format!("{}: {e}", dir.display())))
}
