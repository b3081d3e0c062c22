//! The processes of a run: this program again, under commands that the help does not show.

use super::acks::{Acks, Word};
use super::errand::{self, Errand, Order, Who};
use super::record::{HEADER_BYTES, Maker, Text};
use crate::args::PlaceArgs;
use crate::console::{Console, Failure};
use crate::sidecar::Told;
use crate::units;
use clap::Args;
use crlog::{AppendError, Log, Options, Severity, Writer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
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
    /// The log has an index.
    #[arg(long)]
    pub index: bool,
    /// Where the shared parts live.
    #[command(flatten)]
    pub place: PlaceArgs,
}

impl ShareArgs {
    /// The library's options.
    pub fn options(&self, name: &str) -> Options {
        let options = Options::new(&self.path).name(name).ring_bytes(self.ring_size).index(self.index);
        self.place.apply(options.max_bytes(self.max_bytes).backups(self.backups))
    }

    /// As they would be typed.
    pub fn typed(&self) -> Vec<OsString> {
        let mut words = vec![self.path.clone().into_os_string()];
        words.extend(typed("--ring-size", &self.ring_size));
        words.extend(typed("--max-bytes", &self.max_bytes));
        words.extend(typed("--backups", &self.backups));
        if self.index {
            words.push("--index".into());
        }
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
    errand::bury_children();
    let log = args.share.options(&format!("worker {}", args.id)).open().map_err(Failure::failed)?;
    let writer = log.writer().map_err(Failure::failed)?;
    let maker = args.maker();
    let mut worker = Worker {
        acks,
        maker,
        id: args.id,
        records: args.records,
        stop_in_the_middle,
        handles: Some((writer, log)),
    };
    worker.write()?;
    Ok(0)
}

struct Worker {
    acks: Acks,
    maker: Maker,
    id: u32,
    records: Option<u64>,
    stop_in_the_middle: Arc<AtomicBool>,
    /// None when they were dropped.
    handles: Option<(Writer, Log)>,
}

impl Worker {
    fn write(&mut self) -> Result<(), Failure> {
        let mut record = Vec::new();
        let (mut seq, mut bytes, mut stops) = (0, 0, 0);
        while Some(seq) != self.records && !self.acks.stopped() {
            if seq % 1024 == 0 && nobody_watches() {
                break;
            }
            self.fork_if_asked()?;
            self.maker.make(self.id, seq, &mut record);
            if !self.may_write(record.len() as u64 + 1) {
                std::thread::sleep(Duration::from_micros(200));
                if nobody_watches() {
                    break;
                }
                continue;
            }
            let Some((writer, _)) = &mut self.handles else { return Ok(()) };
            if self.stop_in_the_middle.swap(false, Ordering::AcqRel) {
                stops += 1;
                self.acks.set(self.id, Word::StopsBegun, stops);
                writer.append_stopping_in_the_middle(&record).map_err(Failure::failed)?;
                self.acks.set(self.id, Word::StopsOver, stops);
            } else {
                append(writer, seq, &record).map_err(Failure::failed)?;
            }
            seq += 1;
            bytes += record.len() as u64 + 1;
            self.acks.set(self.id, Word::Bytes, bytes);
            self.acks.set(self.id, Word::Records, seq);
        }
        Ok(())
    }

    fn may_write(&self, bytes: u64) -> bool {
        if self.acks.get(self.id, Word::Resting) != 0 {
            if self.acks.paused() {
                return false;
            }
            self.acks.set(self.id, Word::Resting, 0);
        }
        // Looked at after Resting was cleared: who saw it set before does not count on it any more.
        let may = !self.acks.paused() && self.acks.take(bytes);
        if !may {
            self.acks.set(self.id, Word::Resting, 1);
        }
        may
    }

    fn fork_if_asked(&mut self) -> Result<(), Failure> {
        if self.acks.get(self.id, Word::Fork) == 0 {
            return Ok(());
        }
        let Some(order) = Order::decode(self.acks.swap(self.id, Word::Fork, 0)) else { return Ok(()) };
        match errand::fork() {
            Ok(Who::Parent) => Ok(()),
            Ok(Who::Child) => self.be_child(order),
            Err(e) => Err(Failure::failed(format!("cannot fork: {e}"))),
        }
    }

    /// The child's whole life. What it inherits of its parent's is used, or dropped, or neither.
    fn be_child(&mut self, order: Order) -> ! {
        self.acks.set(order.child, Word::Pid, u64::from(std::process::id()));
        self.id = order.child;
        self.records = Some(order.records);
        self.stop_in_the_middle.store(false, Ordering::Release);
        if order.errand == Errand::BeSilent {
            while !self.acks.stopped() && !nobody_watches() {
                std::thread::sleep(Duration::from_millis(1));
            }
        } else if let Err(e) = self.write() {
            Console::new("stress-worker").err(&format!("a forked child: {}", e.message));
            errand::exit(1);
        }
        if order.errand == Errand::Leave {
            self.handles = None;
        }
        self.acks.set(self.id, Word::Done, 1);
        errand::exit(0)
    }
}

/// True if the run has died: it reads the pipe that is our standard output.
fn nobody_watches() -> bool {
    let stdout = rustix::stdio::stdout();
    let mut wanted = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut wanted, Some(&now)).is_ok() && wanted[0].revents().contains(PollFlags::ERR)
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
