//! Files that have their own names from the beginning: which one is the log, and what the next one is called.
//!
//! The journal says which file is the log by device and inode; its name is looked for in the directory, and remembered. A rotation
//! makes the next file ([`rotate`](crate::rotate)); that its name is given is written into the manifest before.
//!
//! | found | done |
//! |---|---|
//! | no journal: the first process | it goes on in the youngest file, if that is plain; whether its period is over is seen before anything is written |
//! | the youngest file is empty, and called after another period | a new one; the empty one, if it is ours, is removed |
//! | the journal's file, under whatever name of ours | it is the log |
//! | the journal's file has gone, or has a name that is none of ours | a new one, with a name that none had |
//! | an empty file that the manifest does not know, with the last name of the period | what a killed flusher has made: it is taken |

use super::{Event, Flusher, Trouble};
use crate::attached::Attached;
use crate::ring::journal::{self, Found, Period};
use crate::ring::layout::Counter;
use crate::ring::sweep::bump;
use crate::rotate::manifest::{Manifest, Name, Stamped, State};
use crate::rotate::name::{Packing, Standing};
use crate::rotate::schedule::Dated;
use crate::rotate::{At, Naming, View};
use crate::sys::{self, Create, FileId, LogFile};
use std::cmp::Reverse;

/// The file that is to be made.
#[derive(Clone, Debug)]
pub(super) struct Next {
    pub(super) name: String,
    period: Period,
    /// It is there: what an attempt before this one left.
    left: bool,
}

impl Attached {
    /// Name of the file that the journal says is the log, if it stands.
    pub(crate) fn current_name(&self) -> Option<String> {
        let config = self.configuration().0;
        if !config.policy.direct {
            let stands =
                |name: &String| sys::dir::look(&self.dir.join(name)).is_ok_and(|seen| seen.is_some());
            return Some(self.name.clone()).filter(stands);
        }
        let Found::Cell(cell) = journal::read(self.mem()).1 else { return None };
        let id = FileId { dev: cell.dev, ino: cell.ino };
        let is_it = |name: &String| sys::dir::identity_at(&self.dir.join(name)).ok().flatten() == Some(id);
        let naming = config.naming(&self.name);
        sys::dir::list(&self.dir).ok()?.into_iter().find(|name| plain(&naming, name).is_some() && is_it(name))
    }
}

/// The period and the number of a file that may be the log.
fn plain(naming: &Naming, name: &str) -> Option<Dated> {
    match naming.standing(name) {
        Some(Standing::Dated(Reverse(dated))) => Some(dated).filter(|dated| dated.packing == Packing::Plain),
        Some(Standing::Log | Standing::Numbered(_)) | None => None,
    }
}

impl Flusher<'_> {
    /// What the log file is called now.
    pub(super) fn live_name(&self) -> &str {
        self.live.as_deref().unwrap_or(&self.at.name)
    }

    /// What the manifest says that it is called, and which number is given with that.
    pub(super) fn live_as_told(&self) -> (Name, Option<Stamped>) {
        let Some(live) = &self.live else { return (Name::Log, None) };
        let dated = plain(&self.naming, live).map(|dated| Stamped { stamp: dated.stamp, copy: dated.copy });
        (Name::Fixed(live.clone()), dated)
    }

    fn set_live(&mut self, name: String) {
        *self.at.direct_name() = Some(name.clone());
        self.live = Some(name);
    }

    /// Where the file `id` is. At [`At::Same`] its name is known. What the next file is called is decided when it is made.
    pub(super) fn look_directly(&mut self, id: FileId) -> Result<View, Trouble> {
        let known = self.live.clone().or_else(|| self.at.direct_name().clone());
        if let Some(name) = known
            && self.identity_of(&name)? == Some(id)
        {
            self.set_live(name.clone());
            return Ok(View { names: vec![name], at: At::Same, archive: String::new() });
        }
        let names = sys::dir::list(&self.at.dir).map_err(|e| Trouble::Io("list the directory of", e))?;
        let mut at = At::Missing;
        for name in names.iter().filter(|name| plain(&self.naming, name).is_some()) {
            if self.identity_of(name)? == Some(id) {
                self.set_live(name.clone());
                at = At::Same;
                break;
            }
        }
        Ok(View { names, at, archive: String::new() })
    }

    fn choose_next(&mut self) -> Result<Next, Trouble> {
        let period = self.next_period();
        if let Some(name) = self.next_copy(period) {
            return Ok(Next { name, period, left: false });
        }
        self.know_of_files();
        let names = sys::dir::list(&self.at.dir).map_err(|e| Trouble::Io("list the directory of", e))?;
        if let Some(name) = self.left_behind(&names, period)? {
            return Ok(Next { name, period, left: true });
        }
        let name = self.free_name(&names, period)?;
        Ok(Next { name, period, left: false })
    }

    /// The last name of this period, if an empty file has it of which the manifest knows nothing.
    fn left_behind(&self, names: &[String], period: Period) -> Result<Option<String>, Trouble> {
        let stamp = self.stamp_of(period);
        let of_period = |name: &String| {
            Some((plain(&self.naming, name).filter(|d| d.stamp == stamp)?.copy, name.clone()))
        };
        let Some((_, name)) = names.iter().filter_map(of_period).max() else { return Ok(None) };
        let seen = sys::dir::look(&self.at.dir.join(&name)).map_err(|e| Trouble::Io("look at", e))?;
        let manifest = self.keeper.manifest();
        let known = |seen: &sys::Seen| {
            seen.id == self.log_id() || manifest.is_some_and(|m| m.by_inode(seen.id.ino).next().is_some())
        };
        let is_left = manifest.is_some() && seen.is_some_and(|seen| seen.bytes == 0 && !known(&seen));
        Ok(is_left.then_some(name))
    }

    /// Makes the next file.
    pub(super) fn make_next(&mut self) -> Result<LogFile, Trouble> {
        let next = self.choose_next()?;
        self.reserve(&next.name);
        let how = if next.left { Create::IfMissing } else { Create::New };
        let made = self.open_as(&next.name, how);
        self.next = Some(next);
        made
    }

    /// It is the log from here on.
    pub(super) fn next_is_live(&mut self) {
        if let Some(next) = self.next.take() {
            self.cell.period = next.period;
            self.set_live(next.name);
        }
    }

    /// The first process of a log: the youngest file goes on, or a new one is made.
    pub(super) fn first_file(&mut self) -> Result<(), Trouble> {
        self.know_of_files();
        let names = sys::dir::list(&self.at.dir).map_err(|e| Trouble::Io("list the directory of", e))?;
        let period = self.next_period();
        let youngest = self.youngest(&names)?;
        let (mut empty, stamp) = (None, self.stamp_of(period));
        if let Some(name) = youngest {
            let file = self.open_as(&name, Create::Never)?;
            let is_empty = file.size().map_err(|e| Trouble::Io("read the size of", e))? == 0;
            if !is_empty || plain(&self.naming, &name).is_some_and(|dated| dated.stamp == stamp) {
                self.set_live(name);
                self.arm(&file);
                self.adopt(file, 1)?;
                self.tell_first();
                return Ok(());
            }
            empty = Some((name, file.identity()));
        }
        let file = self.make_next()?;
        self.next_is_live();
        self.adopt(file, 1)?;
        self.tell_first();
        empty.into_iter().for_each(|(name, id)| self.remove_empty(&name, id));
        Ok(())
    }

    /// The file that was written last: as the manifest says, or a later one of which it knows only that its name was given, by a
    /// flusher that was killed before it could tell more; without a manifest by its name; if it is not packed.
    fn youngest(&self, names: &[String]) -> Result<Option<String>, Trouble> {
        let dated = |name: &String| match self.naming.present(name)? {
            Standing::Dated(Reverse(dated)) => Some((dated, name.clone())),
            Standing::Log | Standing::Numbered(_) => None,
        };
        let plain_only =
            |last: Option<(Dated, String)>| last.filter(|(dated, _)| dated.packing == Packing::Plain);
        let Some((told, known)) = self.youngest_told()? else {
            return Ok(plain_only(names.iter().filter_map(dated).max()).map(|(_, name)| name));
        };
        let mut later = None;
        for (dated, name) in names.iter().filter_map(dated).filter(|(dated, _)| Some(dated) > told.as_ref()) {
            let id = self.identity_of(&name)?;
            let is_new = |m: &Manifest| {
                let unknown = id.is_some_and(|id| m.by_inode(id.ino).next().is_none());
                unknown && m.was_given(&dated.stamp, dated.copy)
            };
            if told.is_some() && self.keeper.manifest().is_some_and(is_new) {
                later = later.max(Some((dated, name)));
            }
        }
        Ok(Some(plain_only(later).map_or(known, |(_, name)| name)))
    }

    /// What the manifest says is the log, if it stands.
    fn youngest_told(&self) -> Result<Option<(Option<Dated>, String)>, Trouble> {
        let entries = self.keeper.manifest().into_iter().flat_map(|m| m.entries().rev());
        for entry in entries.filter(|entry| entry.state == State::Live) {
            let form = entry.plain.as_ref();
            let name = form.and_then(|form| form.fixed()).filter(|name| plain(&self.naming, name).is_some());
            if let (Some(form), Some(name)) = (form, name)
                && self.identity_of(name)?.is_some_and(|id| id.ino == form.id.ino)
            {
                return Ok(Some((plain(&self.naming, name), name.to_owned())));
            }
        }
        Ok(None)
    }

    /// A file of ours in which nothing was ever written, and in which nothing will be. Should it stay, it is an archive without a record.
    pub(super) fn remove_empty(&mut self, name: &str, id: FileId) {
        let path = self.at.dir.join(name);
        let ours = self.keeper.manifest().is_some_and(|m| {
            m.by_inode(id.ino).any(|entry| {
                entry.forms().any(|(form, _)| form.id.ino == id.ino && form.fixed() == Some(name))
            })
        });
        let is_empty =
            sys::dir::look(&path).is_ok_and(|seen| seen.is_some_and(|seen| seen.bytes == 0 && seen.id == id));
        if ours && is_empty && self.retire(name).is_ok() {
            if let Err(e) = sys::dir::remove_if(&path, id) {
                bump(self.at.mem(), Counter::IoErrors, 1);
                let what = format!("cannot remove {}, which is empty: {e}", path.display());
                (self.tell)(Event::Error {
                    what,
                    errno: e.raw_os_error().unwrap_or(0),
                    retry: std::time::Duration::ZERO,
                });
            }
            self.keep_anew(); // the manifest is told that it has gone
            self.forget_seen();
        }
    }
}
