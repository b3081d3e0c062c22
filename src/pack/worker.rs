//! The thread that packs: one file, at the lowest priority, on open handles. It gives nothing a name and takes none away.
//!
//! It ends at its end, or soon after nobody waits for it any more: whoever waits holds a sender, and letting go of that
//! is the sign. What it has written by then goes with its last handle, since the flusher has taken the name away.

use super::{Compression, Halt, Origin, is_same, origin, pack};
use crate::index::{HEADER_BYTES, Header, name, parse_name};
use crate::rotate::name::Packing;
use crate::sys::{self, LogFile, Looks};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

/// What was written is handed to the disk so often, so that the last sync is short.
const SYNC_BYTES: u64 = 4 << 20;

/// What is to be done with two files.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) plain: LogFile,
    /// What the plain one was when the job was given.
    pub(crate) looks: Looks,
    pub(crate) packed: LogFile,
    pub(crate) what: What,
    /// Where the log's index is, if there is one.
    pub(crate) index: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The packed one is empty, and is to be made.
    Pack(Compression),
    /// It is there: is it whole, and the same?
    Compare(Packing),
}

/// How it went; the handles come back.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) job: Job,
    /// Whether the packed file holds what the plain one does.
    pub(crate) result: Result<bool, Halt>,
}

/// A job under way. Dropped, it is cancelled.
#[derive(Debug)]
pub(crate) struct Worker {
    done: Receiver<Done>,
    _goes_on: Sender<()>,
}

impl Worker {
    /// Starts a thread for the job, and has it call `wake` at the end.
    pub(crate) fn start(job: Job, wake: impl FnOnce() + Send + 'static) -> io::Result<Worker> {
        let (tell, done) = channel();
        let (_goes_on, wanted) = channel();
        let run = move || {
            sys::block_signals();
            sys::give_way();
            let result = job.run(|| matches!(wanted.try_recv(), Err(TryRecvError::Empty)));
            // If nobody listens, nobody wants it.
            let _ = tell.send(Done { job, result });
            wake();
        };
        std::thread::Builder::new().name("crlog-packer".into()).spawn(run)?;
        Ok(Worker { done, _goes_on })
    }

    /// The result, if there is one by now; `Some(None)` if the thread ended without.
    pub(crate) fn poll(&self) -> Option<Option<Done>> {
        match self.done.try_recv() {
            Ok(done) => Some(Some(done)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(None),
        }
    }
}

impl Job {
    pub(crate) fn origin(&self) -> Origin {
        let id = self.plain.identity();
        let Looks { bytes, modified_ns, .. } = self.looks;
        Origin { dev: id.dev, ino: id.ino, bytes, modified_ns, begun: 0 }
    }

    /// Which file of the index the plain one is: the last that was begun with its identity, which nobody else has as
    /// long as there is a handle of it.
    fn begun(&self) -> u64 {
        let mut serials: Vec<u64> =
            sys::dir::list(&self.index).unwrap_or_default().iter().filter_map(|n| parse_name(n)).collect();
        serials.sort_unstable();
        let header = |serial: u64| {
            let mut bytes = Vec::new();
            let file = File::open(self.index.join(name(serial))).ok()?;
            file.take(HEADER_BYTES).read_to_end(&mut bytes).ok()?;
            Header::decode(&bytes)
        };
        let id = self.plain.identity();
        let mut headers = serials.into_iter().rev().filter_map(header);
        headers.find(|h| (h.dev, h.ino) == (id.dev, id.ino)).map_or(0, |h| h.begun)
    }

    /// Whether the plain file is still what it was.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.plain.looks().is_ok_and(|now| now == self.looks)
    }

    fn run(&self, goes_on: impl FnMut() -> bool) -> Result<bool, Halt> {
        let from = Reader::new(&self.plain);
        match self.what {
            What::Compare(packing) => is_same(packing, Reader::new(&self.packed), from, goes_on),
            What::Pack(how) => {
                let done = self.pack(from, how, goes_on);
                if done.is_err() {
                    // Its room is given back at once: the disk may be full.
                    let _ = self.packed.truncate(0);
                }
                done.map(|()| true)
            }
        }
    }

    fn pack(&self, from: Reader<'_>, how: Compression, goes_on: impl FnMut() -> bool) -> Result<(), Halt> {
        let to = Writer { file: &self.packed, at: 0, synced: 0 };
        let origin = Origin { begun: self.begun(), ..self.origin() };
        pack(from, to, how, &origin, goes_on)?;
        if !self.is_unchanged() {
            return Err(Halt::Changed);
        }
        Ok(self.packed.resemble(&self.looks)?)
    }
}

/// A file from its beginning.
struct Reader<'a> {
    file: &'a LogFile,
    at: u64,
}

impl Reader<'_> {
    fn new(file: &LogFile) -> Reader<'_> {
        Reader { file, at: 0 }
    }
}

/// What a packed file was made of, if it says so.
pub(crate) fn origin_of(packing: Packing, packed: &LogFile) -> Option<Origin> {
    origin(packing, Reader::new(packed)).ok()?
}

impl Read for Reader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(bytes, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

struct Writer<'a> {
    file: &'a LogFile,
    at: u64,
    synced: u64,
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.at += self.file.write_bytes(bytes, self.at).map_err(|e| e.cause)?;
        if self.at - self.synced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.synced = self.at;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
