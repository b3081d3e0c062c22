//! `crlog demo`: what this is about, in a minute.

use crate::args::PlaceArgs;
use crate::console::{Console, Failure};
use crate::stress::plan::Plan;
use crate::stress::record::Text;
use crate::stress::run::{self, News, Outcome};
use crate::stress::worker::ShareArgs;
use crate::stress::{Place, report, seed_of_the_clock, verify};
use crate::units::{show_bytes, show_count, show_time};
use clap::Args;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

const PROCESSES: u32 = 4;
const FILE_BYTES: u64 = 8_000_000;
const BACKUPS: u32 = 60;
/// Longer than any line of the story.
const LINE_BYTES_MAX: u64 = 512;

/// See in some seconds what crlog does
///
/// Four processes write to one log that is rotated while they do. One of them is killed on the way,
/// and then the one that writes the file. Afterwards every line is checked. Leaves nothing behind.
#[derive(Args, Debug)]
#[command(after_help = "Exit status: 0 only if every acknowledged record is in the files exactly once.")]
pub struct DemoArgs {
    /// Seconds of writing
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
}

/// Plays it.
pub fn main(args: &DemoArgs, console: Console) -> Result<u8, Failure> {
    let place = Place::choose(None, "app.log", false)?;
    let plan = plan(&place, args.seconds);
    console
        .out(&format!("{PROCESSES} processes (web, app, db, auth) write to one log for {} s.", args.seconds));
    console.out(&format!(
        "A sidecar writes the file and rotates it at {}; all {} files are kept, to be checked.",
        show_bytes(FILE_BYTES),
        BACKUPS + 1
    ));
    console.out("Now and then one of these processes is killed with SIGKILL.");
    console.out("");
    let begun = Instant::now();
    let mut told = 0;
    let outcome = run::run(&plan, &mut |news| tell(console, begun, &mut told, news))?;
    console.out("");
    show_files(&plan.share.path, console);
    console.out("");
    conclude(&outcome, console)
}

fn plan(place: &Place, seconds: u64) -> Plan {
    Plan {
        share: ShareArgs {
            path: place.log.clone(),
            ring_size: 4 << 20,
            max_bytes: FILE_BYTES,
            backups: BACKUPS,
            index: false,
            place: PlaceArgs::default(),
        },
        acks: place.acks.clone(),
        said: None,
        processes: PROCESSES,
        sidecars: 1,
        records: None,
        time: Some(Duration::from_secs(seconds)),
        text: Text::Story { processes: PROCESSES },
        record_bytes_max: LINE_BYTES_MAX,
        kill_producers: true,
        kill_flushers: true,
        stop_producers: false,
        every: Duration::from_millis(seconds * 1000 / 8),
        seed: seed_of_the_clock(),
    }
}

fn tell(console: Console, begun: Instant, told: &mut u32, news: News) {
    *told += 1;
    let what = match news {
        News::ProducerKilled(pid) => {
            format!("kill -9 {pid}: a process that was writing; it is started again")
        }
        News::FlusherKilled(pid) => {
            format!("kill -9 {pid}: the process that writes the file; another one takes over")
        }
        News::Written => "all processes have ended".into(),
    };
    if *told <= 12 || matches!(news, News::Written) {
        console.out(&format!("{:>6.2} s  {what}", begun.elapsed().as_secs_f64()));
    }
}

fn show_files(log: &Path, console: Console) {
    let mut files = verify::files_of(log).unwrap_or_default();
    files.reverse();
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for (i, path) in files.iter().enumerate() {
        let bytes = std::fs::metadata(path).map(|m| m.len()).unwrap_or_default();
        match i {
            0..3 => console.out(&format!("{:<16} {:>12} bytes", name(path), show_count(bytes))),
            3 if files.len() > 4 => console.out("..."),
            _ if i + 1 == files.len() => {
                console.out(&format!("{:<16} {:>12} bytes", name(path), show_count(bytes)));
            }
            _ => {}
        }
    }
    console.out("");
    for line in some_lines(log) {
        console.out(&line);
    }
}

/// Four lines of the file, of different processes if there are.
fn some_lines(log: &Path) -> Vec<String> {
    let Ok(file) = File::open(log) else { return Vec::new() };
    let mut shown: Vec<String> = Vec::new();
    for line in BufReader::new(file).lines().map_while(Result::ok).take(100_000) {
        let new = !shown.iter().any(|s| s.get(..6) == line.get(..6));
        if new && shown.len() < 4 {
            shown.push(line);
        }
    }
    shown
}

fn conclude(o: &Outcome, console: Console) -> Result<u8, Failure> {
    let v = &o.verdict;
    console.out(&format!(
        "{} records ({}) in {}: {} records a second{}, {} rotations",
        show_count(v.acknowledged),
        show_bytes(v.bytes),
        show_time(o.writing),
        show_count(report::rate(o)),
        report::pace(o),
        o.stats.counters.rotations
    ));
    console.out(&format!(
        "killed: {} that wrote, {} that wrote the file; the longest wait for any record was {}",
        o.blows.producers_killed,
        o.blows.flushers_killed,
        show_time(o.silence)
    ));
    console.out(report::judgement(o).trim_end());
    match v.verified() {
        true => Ok(0),
        false => Err(Failure::failed("not verified: this is a fault of crlog, please report it")),
    }
}
