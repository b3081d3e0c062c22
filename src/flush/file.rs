//! The driver's hands on the file: bring it in line with the journal, rotate it, notice what others do to it.

use super::keep::Left;
use super::{Event, Flusher, Kind, MS, Trouble};
use crate::pack::worker::origin_of;
use crate::ring::journal::{Cell, Found};
use crate::ring::layout::{Counter, Geometry, word};
use crate::ring::mem::Mem;
use crate::ring::numbers::Numbers;
use crate::ring::sweep::{BATCH_BYTES, bump};
use crate::rotate::name::Packing;
use crate::rotate::{Action, At, Failure, Machine, Member, Outcome, Stage, Standing, View};
use crate::sys::{self, Create, FileId, LogFile};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

impl Flusher<'_> {
    /// Brings the file in line with the journal, once per turn, again until it succeeds.
    pub(super) fn settled(&mut self) -> bool {
        let Some(found) = self.found else { return true };
        match self.settle(found) {
            Ok(()) => {
                self.found = None;
                self.keep_link();
                true
            }
            Err(trouble) => {
                self.note(&trouble);
                false
            }
        }
    }

    pub(super) fn settle(&mut self, found: Found) -> Result<(), Trouble> {
        let Found::Cell(cell) = found else {
            if found == Found::Damaged {
                bump(self.at.mem(), Counter::FileSurprises, 1);
            }
            if self.config.policy.direct {
                self.first_file()?;
                return self.rotate_at_start();
            }
            let file = self.open(Create::IfMissing);
            self.contended |= matches!(file, Err(Trouble::Busy));
            let file = file?;
            if found == Found::Nothing && self.empties_at_start() {
                file.truncate(0).map_err(|e| Trouble::Io("truncate", e))?;
            }
            self.arm(&file);
            self.adopt(file, 1)?;
            return self.rotate_at_start();
        };
        self.cell = cell;
        self.resume_index();
        let id = FileId { dev: cell.dev, ino: cell.ino };
        self.last_copy = None; // the names are needed, too
        let view = self.look(id)?;
        self.file = self.find(id, &view)?;
        if let Some(file) = &self.file {
            own(file)?;
            if self.at.is_orphaned() && self.at.successor().is_ok() {
                // Another segment's flusher may have had the file: what stands in it need not be ours to cut.
                self.file = None;
                return Err(Trouble::Busy);
            }
        }
        let stage = Stage::try_from(cell.op).unwrap_or(Stage::None);
        if stage == Stage::None {
            if self.file.is_none() && cell.end > 0 {
                self.not_found();
            }
            self.align()?;
        }
        match self.run_machine(stage, &view)? {
            Outcome::Kept(failure) | Outcome::Held(failure) if self.file.is_none() => {
                Err(Trouble::Rotation(failure))
            }
            Outcome::Held(failure) => Err(Trouble::Rotation(failure)),
            _ if self.file.is_none() => Err(Trouble::Rotation(Failure::NotFound)),
            _ => {
                self.arm_again()?;
                self.check_end()
            }
        }
    }

    /// Cuts the half-written batch of a dead flusher; believes no journal that wants more than that.
    /// While a rotation is under way nothing is written, so there is nothing to cut. What the file has beyond its journalled
    /// end though no batch was being written is another program's, and stays.
    pub(super) fn align(&mut self) -> Result<(), Trouble> {
        let Some(file) = self.file.as_ref().filter(|_| self.drainer.was_writing(self.at.mem())) else {
            return Ok(());
        };
        let size = file.size().map_err(|e| Trouble::Io("read the size of", e))?;
        if size > self.cell.end && size - self.cell.end <= batch_max(&self.at.geometry) {
            file.truncate(self.cell.end).map_err(|e| Trouble::Io("truncate", e))?;
            self.truncated = size - self.cell.end;
            bump(self.at.mem(), Counter::TruncatedBytes, self.truncated);
        }
        self.drainer.end_writing(self.at.mem());
        Ok(())
    }

    pub(super) fn open(&self, create: Create) -> Result<LogFile, Trouble> {
        self.open_as(&self.at.name, create)
    }

    pub(super) fn open_as(&self, name: &str, create: Create) -> Result<LogFile, Trouble> {
        let file = LogFile::open(&self.at.dir.join(name), self.config.rights(), create)?;
        own(&file)?;
        Ok(file)
    }

    /// A file of ours is not whose it should be: nothing is lost by that, so the log goes on.
    fn tell_owner(&mut self, file: &LogFile) {
        let Some(e) = file.owner_refused() else { return };
        bump(self.at.mem(), Counter::OwnerErrors, 1);
        let (what, owner) = (self.at.log_path.display(), self.config.owner);
        let what = format!("cannot give {what} to {owner}: {e}");
        (self.tell)(Event::OwnerRefused { what, errno: e.raw_os_error().unwrap_or(0) });
    }

    /// Goes on at the end of this file, and says so in the journal.
    pub(super) fn adopt(&mut self, file: LogFile, number: u64) -> Result<(), Trouble> {
        let end = self.end_of(&file)?;
        self.tell_owner(&file);
        if self.syncs_archives() {
            sys::dir::sync(&self.at.dir).map_err(|e| Trouble::Io("sync the directory of", e))?;
        }
        let id = file.identity();
        let numbers = Numbers::found_with(end);
        self.cell = Cell { file: number, end, dev: id.dev, ino: id.ino, op: 0, numbers, ..self.cell };
        self.file = Some(file);
        self.begin_index(self.found);
        self.commit()
    }

    /// Where writing goes on in a file that somebody else, or a crash, has left as it is: on a line of its
    /// own. A kill behind the write leaves a whole line, whoever comes next.
    fn end_of(&self, file: &LogFile) -> Result<u64, Trouble> {
        file.end_line(&self.config.terminator).map_err(|e| Trouble::Io("end the last line of", e))
    }

    /// What the directory holds, and where in it the file `id` is.
    pub(super) fn look(&mut self, id: FileId) -> Result<View, Trouble> {
        if self.config.policy.direct {
            return self.look_directly(id);
        }
        let here = self.identity_of(&self.at.name)?;
        if here == Some(id)
            && let Some(archive) = self.next_copy(self.cell.period)
        {
            return Ok(View { names: Vec::new(), at: At::Same, archive });
        }
        let names = sys::dir::list(&self.at.dir).map_err(|e| Trouble::Io("list the directory of", e))?;
        let archived = if here.is_none() { self.archived_as(id, &names)? } else { None };
        let at = match here {
            Some(found) if found == id => At::Same,
            Some(_) => At::Other,
            None if archived.is_some() => At::Archived,
            None => At::Missing,
        };
        let archive = match archived {
            Some(archive) => archive,
            None => self.archive_name(&names)?,
        };
        Ok(View { names, at, archive })
    }

    /// The name that a rotation has given to the file `id`, if one has.
    fn archived_as(&self, id: FileId, names: &[String]) -> Result<Option<String>, Trouble> {
        let may_be = |name: &&String| match self.naming.present(name) {
            Some(Standing::Dated(_)) => true,
            Some(Standing::Numbered(member)) => [1, Member::WAITING].contains(&member.number),
            Some(Standing::Log) | None => false,
        };
        for name in names.iter().filter(may_be) {
            if self.identity_of(name)? == Some(id) {
                return Ok(Some(name.clone()));
            }
        }
        Ok(None)
    }

    /// The file that the journal says is the log.
    pub(super) fn log_id(&self) -> FileId {
        FileId { dev: self.cell.dev, ino: self.cell.ino }
    }

    pub(super) fn identity_of(&self, name: &str) -> Result<Option<FileId>, Trouble> {
        sys::dir::identity_at(&self.at.dir.join(name)).map_err(|e| Trouble::Io("look at", e))
    }

    /// Opens the journalled file, under whatever name of the directory it has by now.
    pub(super) fn find(&self, id: FileId, view: &View) -> Result<Option<LogFile>, Trouble> {
        let ours = |name: &&String| name.starts_with(&self.at.name) || self.naming.standing(name).is_some();
        for name in view.names.iter().filter(ours) {
            if self.identity_of(name)? == Some(id) {
                let file = LogFile::open(&self.at.dir.join(name), self.config.mode, Create::Never)?;
                if file.identity() == id {
                    return Ok(Some(file));
                }
            }
        }
        Ok(None)
    }

    /// Rotates now.
    pub(super) fn rotate(&mut self, stage: Stage) -> Result<(), Trouble> {
        if self.at.is_elsewhere() {
            self.cannot_rotate_here();
            return Ok(());
        }
        let (id, file_bytes) = (self.log_id(), self.cell.end);
        let own_name = self.live.clone();
        self.know();
        let guessed = self.last_copy.is_some();
        let mut view = self.look(id)?;
        self.reserve(&view.archive);
        let mut outcome = self.run_machine(stage, &view)?;
        if guessed && outcome == Outcome::Kept(Failure::Exists) {
            self.last_copy = None; // somebody took the name
            view = self.look(id)?;
            self.reserve(&view.archive);
            outcome = self.run_machine(stage, &view)?;
        }
        self.backoff.note(outcome, sys::monotonic_ns() / MS);
        match outcome {
            Outcome::Rotated | Outcome::Truncated => {
                let archive = own_name.as_deref().unwrap_or(&view.archive);
                self.tell_rotated(Some(archive).filter(|_| outcome == Outcome::Rotated));
                if let Some(name) = own_name.filter(|_| file_bytes == 0 && !self.config.empty_files) {
                    self.remove_empty(&name, id);
                }
                self.at.mem().store(word::FLUSHER_ERROR, 0, Relaxed);
                self.keep_link();
                (self.tell)(Event::Rotated { file_bytes });
                Ok(())
            }
            Outcome::Kept(failure) => {
                self.last_copy = None;
                self.complain(
                    &Trouble::Rotation(failure),
                    Duration::from_millis(self.backoff.due_ms().saturating_sub(sys::monotonic_ns() / MS)),
                );
                Ok(())
            }
            Outcome::Held(failure) => {
                self.found = Some(Found::Cell(self.cell));
                Err(Trouble::Rotation(failure))
            }
            Outcome::Reopened => {
                (self.tell)(Event::Reopened);
                Ok(())
            }
            Outcome::Unchanged => Ok(()),
        }
    }

    /// Runs the rotation machine to its end. What it decides is done here, one system call at a time.
    pub(super) fn run_machine(&mut self, stage: Stage, view: &View) -> Result<Outcome, Trouble> {
        let machine = Machine::start(&self.config.policy, &self.naming, stage, view);
        let mut machine = machine.moving_at_once(self.moves_at_once());
        let (old, bytes, numbers) = (self.log_id(), self.cell.end, self.cell.numbers);
        let number = self.cell.file;
        let old_name = self.live.clone().unwrap_or_else(|| view.archive.clone());
        loop {
            let action = machine.next();
            if let Action::Done(outcome) = action {
                self.shift_anew(outcome == Outcome::Rotated && machine.has_put_off());
                if matches!(outcome, Outcome::Rotated | Outcome::Truncated) {
                    bump(self.at.mem(), Counter::Rotations, 1);
                    self.pack_soon();
                }
                if matches!(outcome, Outcome::Rotated | Outcome::Truncated | Outcome::Reopened) {
                    let left = Left { id: old, number, bytes, keys: numbers.known() };
                    self.keep_soon(left, outcome == Outcome::Reopened);
                }
                if outcome == Outcome::Rotated && (bytes > 0 || !self.config.policy.direct) {
                    self.hook_soon(old, &old_name, bytes);
                }
                return Ok(outcome);
            }
            let done = match self.act(&action) {
                Err(Trouble::Deposed) => return Err(Trouble::Deposed),
                Err(trouble) => Err(self.failed(&trouble)),
                Ok(()) => Ok(()),
            };
            machine.report(done);
        }
    }

    pub(super) fn act(&mut self, action: &Action) -> Result<(), Trouble> {
        let path = |name: &String| self.at.dir.join(name);
        match action {
            Action::Journal(stage) => {
                self.cell.op = u64::from(*stage);
                self.commit()
            }
            Action::Rename { from, to } => {
                let done = match self.at.rotator().filter(|_| *from == self.at.name) {
                    Some(rotator) => rotator.rotate(&path(from), &path(to)),
                    None => sys::dir::rename_new(&path(from), &path(to)),
                };
                done.map_err(|e| Trouble::Io("rename", e))
            }
            Action::Remove { name } => {
                self.retire(name)?;
                let oldest = self.hold(name);
                let done = sys::dir::remove(&path(name)).map_err(|e| Trouble::Io("remove", e));
                self.let_go(oldest);
                done
            }
            Action::Truncate => {
                self.index_retires(self.log_id())?;
                match &self.file {
                    Some(file) => file.truncate(0).map_err(|e| Trouble::Io("truncate", e)),
                    None => Err(Trouble::Busy),
                }
            }
            Action::Create => {
                // What an attempt that failed later on has left would be in the way: it owns the file.
                self.new_file = None;
                let direct = self.config.policy.direct;
                self.new_file = Some(if direct { self.make_next()? } else { self.open(Create::IfMissing)? });
                Ok(())
            }
            Action::Finish => self.finish(),
            Action::Abandon => {
                self.cell.op = 0;
                self.check_end()?;
                self.commit()
            }
            Action::Done(_) => Ok(()),
        }
    }

    /// The archive is to fall off: the index tells it before it is done.
    pub(super) fn retire(&mut self, name: &str) -> Result<(), Trouble> {
        if self.index.is_none() {
            return Ok(());
        }
        match self.logged_as(name)? {
            Some(id) => self.index_retires(id),
            None => Ok(()),
        }
    }

    /// Which file of the index an archive is: of a packed one, what it was made of.
    fn logged_as(&self, name: &str) -> Result<Option<FileId>, Trouble> {
        let packing = self.naming.standing(name).map_or(Packing::Plain, |place| place.packing());
        let origin = self.hold(name).filter(|_| packing != Packing::Plain);
        let origin = origin.and_then(|file| origin_of(packing, &file));
        match origin {
            Some(origin) => Ok(Some(FileId { dev: origin.dev, ino: origin.ino })),
            None => self.identity_of(name),
        }
    }

    /// A handle of the archive that is to fall off. While there is one, taking its name away is quick.
    pub(super) fn hold(&self, name: &str) -> Option<LogFile> {
        LogFile::open(&self.at.dir.join(name), self.config.mode, Create::Never).ok()
    }

    /// Gives the space of a nameless file back, which takes the file system long for a large one (about
    /// 100 ms for 200 MB): on a thread of its own, so that the drain goes on meanwhile.
    pub(super) fn let_go(&self, file: Option<LogFile>) {
        let Some(file) = file.filter(|_| self.kind != Kind::Helper) else { return };
        let close = move || {
            sys::block_signals();
            drop(file);
        };
        // Without a thread the closure is dropped here, and the file with it: slower, not wrong.
        let _ = std::thread::Builder::new().name("crlog-closer".into()).spawn(close);
    }

    /// The new file, or the truncated one, is the log from here on.
    pub(super) fn finish(&mut self) -> Result<(), Trouble> {
        if self.syncs_archives() && self.file.is_some() {
            self.sync_file().map_err(|e| Trouble::Io("sync", e))?;
            self.sync_index();
        }
        if self.config.policy.direct && self.new_file.is_some() {
            self.next_is_live();
        } else {
            self.arm_new_file();
        }
        match self.new_file.take().or_else(|| self.file.take()) {
            Some(file) => self.adopt(file, self.cell.file.wrapping_add(1)),
            None => Err(Trouble::Busy),
        }
    }

    /// Has somebody moved, replaced, deleted, truncated or prolonged the file?
    pub(super) fn check_file(&mut self) -> Result<(), Trouble> {
        let id = self.log_id();
        match self.identity_of(self.live_name()) {
            Ok(Some(found)) if found == id => return self.check_end(),
            Err(trouble) if !self.may_go_on_unseen() => return Err(trouble),
            Ok(_) if !self.at.is_elsewhere() => {}
            _ => return self.check_end(),
        }
        bump(self.at.mem(), Counter::FileSurprises, 1);
        self.tell_removed();
        self.know(); // while it is still the log: as an archive it would be a stranger's
        let view = self.look(id)?;
        let at = if view.at == At::Archived { At::Missing } else { view.at };
        match self.run_machine(Stage::None, &View { at, ..view })? {
            Outcome::Kept(failure) | Outcome::Held(failure) => Err(Trouble::Rotation(failure)),
            _ => {
                (self.tell)(Event::Reopened);
                Ok(())
            }
        }
    }

    pub(super) fn check_end(&mut self) -> Result<(), Trouble> {
        let Some(file) = &self.file else { return Ok(()) };
        let size = file.size().map_err(|e| Trouble::Io("read the size of", e))?;
        if size == self.cell.end {
            return Ok(());
        }
        self.cell.end = self.end_of(file)?;
        self.cell.numbers = Numbers::found_with(self.cell.end);
        // Right before the commit: who is killed in between leaves it to be counted again.
        bump(self.at.mem(), Counter::FileSurprises, 1);
        // Never while a batch is prepared: this commit would count it as written.
        self.commit()
    }
}

fn own(file: &LogFile) -> Result<(), Trouble> {
    match file.try_own() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Trouble::Busy),
        Err(e) => Err(Trouble::Io("lock", e)),
    }
}

/// What a dead flusher can have written beyond the journal.
fn batch_max(geometry: &Geometry) -> u64 {
    BATCH_BYTES.max(geometry.record_max() as u64)
}
