//! `crlog tail`: the end of a log, and what is added to it, through rotations.

use crate::console::{Console, Failure};
use crate::paths::real_path;
use clap::Args;
use memchr::memrchr_iter;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Only reads files: it sees what is in them, which is some milliseconds behind the writers. Lines are counted across archives, as far
as they are not packed. Exit status: 0, or 1 if there is no such log, 2 for wrong arguments.

Examples:
  crlog tail app.log
  crlog tail -n 100 -f app.log";

/// How often new bytes are looked for; and files that have come without the present one being moved.
const LOOK: Duration = Duration::from_millis(50);
const LIST: Duration = Duration::from_secs(1);
const PIECE: usize = 64 * 1024;

/// Show the last lines of a log, and follow it through rotations
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TailArgs {
    /// The log file
    #[arg(value_name = "LOGFILE")]
    path: PathBuf,

    /// How many of the last lines are shown first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: u64,

    /// Go on with what is added, until a signal ends it
    #[arg(short, long)]
    follow: bool,
}

/// Prints until the end, or for ever.
pub fn main(args: &TailArgs, console: Console) -> Result<u8, Failure> {
    match show(args, console, &mut io::stdout().lock()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(0), // the reader has seen enough
        Err(e) => Err(Failure::failed(format!("cannot read {}: {e}", args.path.display()))),
        Ok(()) => Ok(0),
    }
}

fn show(args: &TailArgs, console: Console, out: &mut impl Write) -> io::Result<()> {
    let log = real_path(&args.path);
    let mut files = open_all(&log)?;
    let from = last_lines(&mut files, args.lines)?;
    for (file, at) in files.iter_mut().zip(from) {
        if let Some(at) = at {
            file.seek(SeekFrom::Start(at))?;
            io::copy(file, out)?;
        }
    }
    out.flush()?;
    match files.pop() {
        Some(current) if args.follow => follow(&log, current, console, out),
        _ => Ok(()),
    }
}

/// The plain files of a log, the oldest first. A rotation in between may take one away; then it is listed again.
fn open_all(log: &Path) -> io::Result<Vec<File>> {
    loop {
        let paths = crlog::names::files(log);
        if paths.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no such log"));
        }
        let packed = |path: &&PathBuf| path.extension().is_some_and(|e| e == "gz" || e == "zst");
        let plain = paths.iter().rev().take_while(|path| !packed(path)).collect::<Vec<_>>();
        match plain.into_iter().rev().map(File::open).collect::<io::Result<Vec<_>>>() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
    }
}

/// Where in each file the last `lines` lines begin; `None` for files that have none of them.
fn last_lines(files: &mut [File], lines: u64) -> io::Result<Vec<Option<u64>>> {
    let mut from = vec![None; files.len()];
    let mut missing = lines;
    for (file, from) in files.iter_mut().zip(&mut from).rev() {
        let end = file.metadata()?.len();
        let at = begin_of_last(file, end, &mut missing)?;
        *from = Some(at);
        if missing == 0 {
            break;
        }
    }
    Ok(from)
}

/// Where the last `missing` lines before `end` begin, or 0; less what was found.
fn begin_of_last(file: &mut File, end: u64, missing: &mut u64) -> io::Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut at = end;
    // The line feed at the very end ends a line, and begins none.
    while at > 0 && *missing > 0 {
        let len = PIECE.min(usize::try_from(at).unwrap_or(PIECE));
        at -= len as u64;
        file.seek(SeekFrom::Start(at))?;
        let piece = &mut piece[..len];
        file.read_exact(piece)?;
        for found in memrchr_iter(b'\n', piece) {
            let next = at + found as u64 + 1;
            if next == end {
                continue;
            }
            *missing -= 1;
            if *missing == 0 {
                return Ok(next);
            }
        }
    }
    if *missing == 0 {
        return Ok(end);
    }
    *missing -= u64::from(end > 0); // the first line of the file
    Ok(0)
}

/// Copies what is added to a file, and to those that come after it.
fn follow(log: &Path, mut current: File, console: Console, out: &mut impl Write) -> io::Result<()> {
    let mut listed = Instant::now();
    loop {
        if current.metadata()?.len() < current.stream_position()? {
            console.err("the file was emptied");
            current.rewind()?;
        }
        let copied = io::copy(&mut current, out)?;
        out.flush()?;
        if copied > 0 {
            continue;
        }
        let same = std::fs::metadata(log).is_ok_and(|found| is(&current, &found));
        if !same || listed.elapsed() >= LIST {
            listed = Instant::now();
            let later = after(log, &current, console)?;
            for next in later {
                // Nothing is added to a file that has a successor; what came since the last look is read first.
                io::copy(&mut current, out)?;
                current = next;
            }
        }
        std::thread::sleep(LOOK);
    }
}

/// The files that came after this one.
fn after(log: &Path, current: &File, console: Console) -> io::Result<Vec<File>> {
    let files = match open_all(log) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()), // between two files
        files => files?,
    };
    let place = files.iter().position(|file| file.metadata().is_ok_and(|found| is(current, &found)));
    if place.is_none() {
        console.err("the file that was being shown has gone: lines may be missing here");
    }
    Ok(files.into_iter().skip(place.map_or(0, |at| at + 1)).collect())
}

fn is(file: &File, found: &std::fs::Metadata) -> bool {
    file.metadata().is_ok_and(|this| (this.dev(), this.ino()) == (found.dev(), found.ino()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn files(contents: &[&str]) -> Vec<File> {
        let with = |text: &&str| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file
        };
        contents.iter().map(with).collect()
    }

    fn last(contents: &[&str], lines: u64) -> String {
        let mut files = files(contents);
        let from = last_lines(&mut files, lines).unwrap();
        let mut text = String::new();
        for (file, from) in files.iter_mut().zip(from) {
            if let Some(from) = from {
                file.seek(SeekFrom::Start(from)).unwrap();
                file.read_to_string(&mut text).unwrap();
            }
        }
        text
    }

    #[test]
    fn the_last_lines_are_counted_across_files() {
        let all = ["a\nb\n", "", "c\nd\n"];
        for (lines, text) in
            [(0, ""), (1, "d\n"), (2, "c\nd\n"), (3, "b\nc\nd\n"), (4, "a\nb\nc\nd\n"), (9, "a\nb\nc\nd\n")]
        {
            assert_eq!(last(&all, lines), text, "{lines}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_a_line_and_an_empty_one_too() {
        assert_eq!(last(&["a\nb"], 1), "b");
        assert_eq!(last(&["a\n\n"], 1), "\n");
        assert_eq!(last(&["a\n\n"], 2), "a\n\n");
        assert_eq!(last(&[""], 5), "");
    }

    #[test]
    fn long_files_are_read_from_their_end() {
        let long: String = (0..20_000).map(|i| format!("line {i}\n")).collect();
        assert_eq!(last(&[&long], 2), "line 19998\nline 19999\n");
        assert_eq!(last(&["first\n", &long], 20_001), format!("first\n{long}"));
        assert_eq!(last(&["first\n", &long], 20_000), long);
    }
}
