//! The processes of a run: this program again, under commands that the help does not show.

use super::acks::{Acks, Word};
use super::record::{HEADER_BYTES, Maker, Text};
use crate::args::PlaceArgs;
use crate::console::{Console, Failure};
use crate::sidecar::Told;
use crate::units;
use clap::Args;
use crlog::{AppendError, Options, Severity, Writer};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What all processes of a run must know.
#[derive(Args, Clone, Debug)]
pub struct ShareArgs {
    /// The log file.
    pub path: PathBuf,
    /// Size of the ring.
    #[arg(long)]
    pub ring_size: u64,
    /// Size at which the file is rotated.
    #[arg(long)]
    pub max_bytes: u64,
    /// Rotated files that are kept.
    #[arg(long)]
    pub backups: u32,
    /// Where the shared parts live.
    #[command(flatten)]
    pub place: PlaceArgs,
}

impl ShareArgs {
    /// The library's options.
    pub fn options(&self, name: &str) -> Options {
        let options = Options::new(&self.path).name(name).ring_bytes(self.ring_size);
        self.place.apply(options.max_bytes(self.max_bytes).backups(self.backups))
    }

    /// As they would be typed.
    pub fn typed(&self) -> Vec<OsString> {
        let mut words = vec![self.path.clone().into_os_string()];
        words.extend(typed("--ring-size", &self.ring_size));
        words.extend(typed("--max-bytes", &self.max_bytes));
        words.extend(typed("--backups", &self.backups));
        words.extend(self.place.typed());
        words
    }
}

fn typed(option: &str, value: &impl ToString) -> [OsString; 2] {
    [option.into(), value.to_string().into()]
}

/// One process that writes.
#[derive(Args, Debug)]
pub struct WorkerArgs {
    #[command(flatten)]
    share: ShareArgs,
    /// File of acknowledgements.
    #[arg(long)]
    acks: PathBuf,
    /// Number of this incarnation.
    #[arg(long)]
    id: u32,
    /// Records to write; without it, until told to stop.
    #[arg(long)]
    records: Option<u64>,
    /// Seed of the records.
    #[arg(long)]
    seed: u64,
    /// Lengths of the records.
    #[arg(long, value_parser = units::size_range, conflicts_with = "story")]
    bytes: Option<(u64, u64)>,
    /// Lines of a web site of so many processes instead.
    #[arg(long)]
    story: Option<u32>,
}

/// What a new worker is told.
pub fn command_line(
    share: &ShareArgs,
    acks: &Path,
    id: u32,
    records: Option<u64>,
    maker: &Maker,
) -> Vec<OsString> {
    let mut words = vec![OsString::from("stress-worker")];
    words.extend(share.typed());
    words.extend(["--acks".into(), acks.into()]);
    words.extend(typed("--id", &id));
    words.extend(records.iter().flat_map(|n| typed("--records", n)));
    words.extend(typed("--seed", &maker.seed));
    match maker.text {
        Text::Filler { min, max } => words.extend(typed("--bytes", &format!("{min}-{max}"))),
        Text::Story { processes } => words.extend(typed("--story", &processes)),
    }
    words
}

/// Writes record after record, and acknowledges each when its call has returned.
pub fn main(args: &WorkerArgs) -> Result<u8, Failure> {
    let acks = Acks::open(&args.acks).map_err(Failure::failed)?;
    let stop_in_the_middle = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&stop_in_the_middle))
        .map_err(Failure::failed)?;
    let log = args.share.options(&format!("worker {}", args.id)).open().map_err(Failure::failed)?;
    let mut writer = log.writer().map_err(Failure::failed)?;
    let maker = args.maker();
    let mut record = Vec::new();
    let (mut seq, mut bytes, mut stops) = (0, 0, 0);
    while Some(seq) != args.records && !acks.stopped() {
        if acks.paused() {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        }
        maker.make(args.id, seq, &mut record);
        if stop_in_the_middle.swap(false, Ordering::AcqRel) {
            stops += 1;
            acks.set(args.id, Word::StopsBegun, stops);
            writer.append_stopping_in_the_middle(&record).map_err(Failure::failed)?;
            acks.set(args.id, Word::StopsOver, stops);
        } else {
            append(&mut writer, seq, &record).map_err(Failure::failed)?;
        }
        seq += 1;
        bytes += record.len() as u64 + 1;
        acks.set(args.id, Word::Bytes, bytes);
        acks.set(args.id, Word::Records, seq);
    }
    Ok(0)
}

/// By each of the ways there are.
fn append(writer: &mut Writer, seq: u64, record: &[u8]) -> Result<(), AppendError> {
    match seq % 16 {
        0 => writer.append(record),
        1 => {
            let (head, text) = record.split_at(HEADER_BYTES.min(record.len()));
            writer.append_vectored(Severity::Debug, &[head, b"", text])
        }
        _ => writer.log(Severity::Info, record),
    }
}

impl WorkerArgs {
    fn maker(&self) -> Maker {
        let text = match (self.story, self.bytes) {
            (Some(processes), _) => Text::Story { processes },
            (None, Some((min, max))) => Text::Filler { min, max },
            (None, None) => Text::Filler { min: 32, max: 512 },
        };
        Maker { seed: self.seed, text }
    }
}

/// A process that only flushes.
pub fn sidecar(args: &ShareArgs, console: Console) -> Result<u8, Failure> {
    crate::sidecar::run(args.options("sidecar"), Told::Errors, console)
}
