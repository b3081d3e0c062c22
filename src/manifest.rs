//! The manifest on the disk: loaded at a take-over, a line added for each change, rewritten when it has grown.
//!
//! **Constraints.** One writer: the flusher, while it holds its lock. Others only read ([`Store::load`] changes nothing). The
//! file is opened anew for each change, which happens a few times per rotation, so no descriptor is kept.
//!
//! **Algorithm.** What was told is taken into memory first, then written. If that fails, memory is ahead of the file, and the next
//! change writes the file as a whole: to a temporary name, synced, then renamed over the old one. The same happens when the
//! file has grown to twice its shortest form, when lines in it were damaged, and when it is not as long as we left it.
//!
//! | killed | the next start reads |
//! |---|---|
//! | while lines are added | those that are whole; the rest of one is skipped and counted, then the file is rewritten |
//! | while it is rewritten, before the rename | the old file; the new one's leftover is overwritten by the next rewriting |
//! | after the rename | the new file |
//!
//! | found | done |
//! |---|---|
//! | no file | empty: nothing is known of the archives, so none is removed ([`retention`](crate::rotate::retention)) |
//! | damaged lines | skipped and counted in [`Store::damaged`]; the file is rewritten with the next change |
//! | a file of another version, or larger than [`BYTES_MAX`] | refused, untouched |
//! | removed, shortened or prolonged by somebody | rewritten with the next change |

use crate::index::directory;
use crate::options::Config;
use crate::rotate::manifest::{
    Entry, FILE, Manifest, NEW_FILE, line::put_entry, line::put_period, line::put_stamp,
};
use crate::rotate::{Naming, Scheme};
use crate::sys::{self, Create, FileError, LogFile};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// No manifest of ours gets larger.
pub const BYTES_MAX: u64 = 64 << 20;
/// Not worth rewriting.
const SMALL_BYTES: u64 = 64 * 1024;

/// The names of a log's files, as the configuration makes them, and as they once were. A manifest that cannot be read knows nothing.
/// Without a configuration the youngest names that it knows count as the present ones.
pub(crate) fn naming(dir: &Path, log: &str, config: Option<&Config>) -> Naming {
    let store = Store::load(Hidden::new(&dir.join(directory(log)), 0, false)).ok();
    let known: Vec<&str> = store.iter().flat_map(|store| store.manifest().templates()).collect();
    let youngest = || known.last().and_then(|text| Naming::from_template(log, text).ok());
    let unsaid = || youngest().unwrap_or_else(|| Naming::plain(log, Scheme::Dated));
    config.map_or_else(unsaid, |config| config.naming(log)).with_former(known.iter().copied())
}

/// What the store needs of the world: each is one step, before and after which it may be killed.
pub trait Disk {
    /// All of the file; empty if there is none.
    fn read(&mut self) -> io::Result<Vec<u8>>;
    /// Adds bytes behind the first `at` of the file, which must be all there are; else `false`.
    fn append(&mut self, bytes: &[u8], at: u64) -> io::Result<bool>;
    /// Writes the temporary file, whole and for good.
    fn write_new(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Gives it the file's name.
    fn put_in_place(&mut self) -> io::Result<()>;
}

/// The manifest of a log, in memory and on the disk.
#[derive(Debug)]
pub struct Store<D> {
    disk: D,
    manifest: Manifest,
    /// Length of the file; `None` if it must be rewritten.
    end: Option<u64>,
    /// Rewritten when it is longer than this.
    end_max: u64,
    damaged: u64,
}

impl<D: Disk> Store<D> {
    /// Reads what there is. Changes nothing.
    pub fn load(mut disk: D) -> io::Result<Self> {
        let bytes = disk.read()?;
        let loaded = Manifest::decode(&bytes).map_err(io::Error::other)?;
        let whole = loaded.damaged == 0 && loaded.lines > 0;
        let end = Some(bytes.len() as u64).filter(|_| whole);
        let end_max = grown(loaded.manifest.encode().len());
        Ok(Self { disk, manifest: loaded.manifest, end, end_max, damaged: loaded.damaged })
    }

    /// What is known.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Lines that could not be believed when it was loaded.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Takes changes in, in this order. After an error they hold as long as this process lives, and are written with the next ones;
    /// tell nothing ([]) to try again.
    pub fn tell(&mut self, news: &[Entry]) -> io::Result<()> {
        let mut lines = Vec::new();
        for entry in news {
            self.manifest.apply(entry);
            put_entry(entry, &mut lines);
        }
        self.add(&lines)
    }

    /// These lines say what is known in memory already.
    fn add(&mut self, lines: &[u8]) -> io::Result<()> {
        // Whatever becomes of it, the file is ours again only when it is known how long it is.
        let Some(end) = self.end.take() else { return self.rewrite() };
        let longer = end.saturating_add(lines.len() as u64);
        if longer > self.end_max || (!lines.is_empty() && !self.disk.append(lines, end)?) {
            return self.rewrite();
        }
        self.end = Some(longer);
        Ok(())
    }

    /// This number of this period is about to be given.
    pub fn give(&mut self, stamp: &str, copy: u32) -> io::Result<()> {
        self.manifest.give(stamp, copy);
        let mut line = Vec::new();
        put_stamp(stamp, copy, &mut line);
        self.add(&line)
    }

    /// The log file has this period now.
    ///
    /// # Errors
    /// It could not be written; it is then known to this process, and written with the next change.
    pub fn set_period(&mut self, from: i64, until: i64) -> io::Result<()> {
        if self.manifest.period() == Some((from, until)) {
            return Ok(());
        }
        self.manifest.set_period(from, until);
        let mut line = Vec::new();
        put_period(from, until, &mut line);
        self.add(&line)
    }

    /// The log has names from this template now: written at once, so that whoever reads the manifest knows them.
    pub fn learn(&mut self, template: &str) -> io::Result<()> {
        if self.manifest.learn(template) {
            self.end = None;
            return self.tell(&[]);
        }
        Ok(())
    }

    fn rewrite(&mut self) -> io::Result<()> {
        self.manifest.tidy();
        let bytes = self.manifest.encode();
        self.disk.write_new(&bytes)?;
        self.disk.put_in_place()?;
        self.end = Some(bytes.len() as u64);
        self.end_max = grown(bytes.len());
        Ok(())
    }
}

fn grown(bytes: usize) -> u64 {
    (bytes as u64).saturating_mul(2).max(SMALL_BYTES)
}

/// The files in the log's hidden directory.
#[derive(Clone, Debug)]
pub struct Hidden {
    dir: PathBuf,
    mode: u32,
    sync: bool,
}

impl Hidden {
    /// In this directory, which is made when it is needed; `mode` is that of the log files. With `sync`, each change survives a
    /// power loss, not only rewriting.
    pub fn new(dir: &Path, mode: u32, sync: bool) -> Self {
        Self { dir: dir.to_owned(), mode, sync }
    }

    fn open(&self, name: &str, create: Create) -> io::Result<LogFile> {
        LogFile::open(&self.dir.join(name), self.mode, create).map_err(|e| match e {
            FileError::Io { cause, .. } => cause,
            other => io::Error::other(other.to_string()),
        })
    }
}

impl Disk for Hidden {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let path = self.dir.join(FILE);
        match sys::dir::look(&path)? {
            Some(seen) if seen.bytes > BYTES_MAX => {
                Err(io::Error::other(format!("{} bytes are too many for a manifest", seen.bytes)))
            }
            Some(_) => {
                let mut bytes = Vec::new();
                File::open(&path)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
                Ok(bytes)
            }
            None => Ok(Vec::new()),
        }
    }

    fn append(&mut self, bytes: &[u8], at: u64) -> io::Result<bool> {
        let file = match self.open(FILE, Create::Never) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        if file.size()? != at {
            return Ok(false);
        }
        file.write_bytes(bytes, at).map_err(|e| e.cause)?;
        if self.sync {
            file.sync_data()?;
        }
        Ok(true)
    }

    fn write_new(&mut self, bytes: &[u8]) -> io::Result<()> {
        sys::make_private_dir(&self.dir, self.mode)?;
        let file = self.open(NEW_FILE, Create::IfMissing)?;
        file.truncate(0)?;
        file.write_bytes(bytes, 0).map_err(|e| e.cause)?;
        file.sync_data()
    }

    fn put_in_place(&mut self) -> io::Result<()> {
        sys::dir::replace(&self.dir.join(NEW_FILE), &self.dir.join(FILE))?;
        if self.sync {
            sys::dir::sync(&self.dir)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::print_stdout)]
mod tests;
