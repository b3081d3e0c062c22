//! A disk that remembers everything and a driver that can be killed, for the tests.
//!
//! Files hold record numbers instead of bytes, so loss, doubling and disorder can be seen. What is
//! destroyed is remembered with its reason: `dropped` by the machine, `lost` by someone else.
#![allow(clippy::panic)]
use super::name::{Member, Packing};
use super::schedule::{Dated, Precision};
use super::{
    Action, At, Backoff, Failure, Machine, Naming, Outcome, Policy, Scheme, Shift, Stage, Standing, View,
};
use jiff::civil::date;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const LOG: &str = "app.log";
/// All dated archives are of one day.
pub(super) const DAY: &str = "2026-05-01";
/// The number of the first dated archive, higher than that of any other.
const DATED: u32 = 1_000_000;

thread_local! {
    /// Whether the machine makes names from templates.
    static TEMPLATES: Cell<bool> = const { Cell::new(false) };
}

/// From here on, in this thread.
pub(super) fn with_templates(yes: bool) {
    TEMPLATES.set(yes);
}

/// What the files of a log with this policy are called.
pub(super) fn naming(policy: &Policy) -> Naming {
    let template = match policy.names {
        Scheme::Numbered => "{stem}.{n}{ext}",
        Scheme::Dated => "{{old}} {name}, {date:%d.%m.%Y}-{seq}",
    };
    Naming::new(LOG, policy.names, Some(template).filter(|_| TEMPLATES.get()))
}

/// The disk has names without a template, and the machine its own: one for one.
fn machine_name(naming: &Naming, name: &str) -> String {
    let day = date(2026, 5, 1).at(0, 0, 0, 0);
    match (naming.scheme(), Member::parse(LOG, name), Dated::parse(LOG, name)) {
        (Scheme::Numbered, Some(member), _) => naming.member(member),
        (Scheme::Dated, _, Some(dated)) if dated.packing == Packing::Plain => {
            naming.dated(day, Precision::Day, dated.copy)
        }
        _ => name.to_owned(),
    }
}

fn disk_name(naming: &Naming, name: &str) -> String {
    match naming.present(name) {
        Some(Standing::Numbered(member)) => member.name(LOG),
        Some(Standing::Dated(Reverse(dated))) => Dated { stamp: DAY.to_owned(), ..dated }.name(LOG),
        Some(Standing::Log) | None => name.to_owned(),
    }
}

fn rename_for_disk(naming: &Naming, action: &mut Action) {
    match action {
        Action::Rename { from, to } => {
            [from, to].into_iter().for_each(|name| *name = disk_name(naming, name));
        }
        Action::Remove { name } => *name = disk_name(naming, name),
        _ => {}
    }
}

type FileId = usize;
/// A record: its number and its length.
type Record = (u64, u64);

thread_local! {
    /// How many archives the drivers of this thread move at once; more are moved later, one before each record.
    pub(super) static AT_ONCE: Cell<u32> = const { Cell::new(u32::MAX) };
}

/// How a call fails: without an effect, or having had its effect all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Instead(Failure),
    After(Failure),
}

/// What befalls a run: the driver is killed before action `kill_at`, and action `fault.0` fails.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fate {
    pub(super) kill_at: Option<usize>,
    pub(super) fault: Option<(usize, Fault)>,
}

impl Fate {
    pub(super) fn killed_at(action: usize) -> Self {
        Self { kill_at: Some(action), fault: None }
    }

    pub(super) fn fails_at(action: usize, fault: Fault) -> Self {
        Self { kill_at: None, fault: Some((action, fault)) }
    }
}

/// The driver was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Killed;

#[derive(Clone, Copy, Debug)]
struct Journal {
    stage: Stage,
    file: FileId,
    end: usize,
}

/// Survives a kill: directory, files, journal.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) dir: BTreeMap<String, FileId>,
    pub(super) files: Vec<Vec<Record>>,
    journal: Journal,
    pub(super) written: u64,
    pub(super) dropped: BTreeSet<u64>,
    pub(super) lost: BTreeSet<u64>,
    /// Someone else, or a fault, made the directory differ from what the machine can know.
    pub(super) disturbed: bool,
    /// Under another policy something gave way that was not yet removed: archives above the old limit,
    /// which are older, may count by now.
    mixed: bool,
}

/// Does not survive a kill: the open descriptor, the back-off.
#[derive(Clone, Debug)]
pub(super) struct Driver {
    policy: Policy,
    open: Option<FileId>,
    /// The last run left no file to write to.
    held: bool,
    pub(super) backoff: Backoff,
    pub(super) now_ms: u64,
}

impl Disk {
    /// A log beside files that were there before. The archives among them hold two records each,
    /// numbered by age.
    pub(super) fn with(before: &[&str]) -> Self {
        let journal = Journal { stage: Stage::None, file: 0, end: 0 };
        let (dir, files) = (BTreeMap::from([(LOG.to_owned(), 0)]), vec![vec![]]);
        let (dropped, lost) = (BTreeSet::new(), BTreeSet::new());
        let mut disk =
            Self { dir, files, journal, written: 0, dropped, lost, disturbed: false, mixed: false };
        let mut archives = archives_in(before.iter().copied());
        archives.retain(|(_, name)| *name != LOG);
        for (_, name) in archives {
            let records = vec![disk.new_record(1), disk.new_record(1)];
            disk.add(&name, records);
        }
        for name in before.iter().filter(|name| Member::parse(LOG, name).is_none()) {
            disk.add(name, vec![]);
        }
        disk
    }

    fn new_record(&mut self, len: u64) -> Record {
        self.written += 1;
        (self.written - 1, len)
    }

    pub(super) fn add(&mut self, name: &str, records: Vec<Record>) -> FileId {
        self.files.push(records);
        let id = self.files.len() - 1;
        assert!(self.dir.insert(name.to_owned(), id).is_none(), "{name} was there");
        id
    }

    /// Another policy is in force from now on.
    pub(super) fn reconfigured(&mut self) {
        self.mixed |= self.has_out();
    }

    fn has_out(&self) -> bool {
        self.archives().iter().any(|(member, _)| member.number == Member::OUT)
    }

    pub(super) fn journal_is_at_rest(&self) -> bool {
        self.journal.stage == Stage::None
    }

    /// Someone else removes a file.
    pub(super) fn lose(&mut self, name: &str) {
        if let Some(id) = self.dir.remove(name) {
            self.lost.extend(self.files[id].iter().map(|record| record.0));
            self.disturbed = true;
        }
    }

    fn view(&self, names: Scheme) -> View {
        let journalled = Some(self.journal.file);
        let dated: Vec<Dated> = self.dir.keys().filter_map(|name| Dated::parse(LOG, name)).collect();
        let stands = |dated: &&Dated| self.dir.get(&dated.name(LOG)).copied() == journalled;
        let waits = self.dir.get("app.log.newest").copied() == journalled;
        let archive = match (names, dated.iter().find(stands)) {
            (Scheme::Numbered, _) if waits => "app.log.newest".to_owned(),
            (Scheme::Numbered, _) => "app.log.1".to_owned(),
            (Scheme::Dated, Some(archived)) => archived.name(LOG),
            (Scheme::Dated, None) => Dated::next(DAY, &dated).map_or_else(String::new, |next| next.name(LOG)),
        };
        let at = match self.dir.get(LOG) {
            id if id.copied() == journalled => At::Same,
            Some(_) => At::Other,
            None if self.dir.get(&archive).copied() == journalled => At::Archived,
            None => At::Missing,
        };
        View { names: self.dir.keys().cloned().collect(), at, archive }
    }

    /// The machine destroys a file's records: the oldest there are up to number `backups`.
    fn drop_file(&mut self, id: FileId, backups: u32) {
        let numbers: Vec<u64> = self.files[id].iter().map(|record| record.0).collect();
        let kept = self.records(backups).into_iter().find(|number| !numbers.contains(number));
        let last = numbers.iter().max();
        assert!(kept.is_none() || last < kept.as_ref() || self.mixed, "{last:?} dropped before {kept:?}");
        self.dropped.extend(numbers);
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), Failure> {
        let id = *self.dir.get(from).ok_or(Failure::NotFound)?;
        if self.dir.contains_key(to) {
            assert!(self.disturbed, "{from} was to be renamed onto {to}");
            return Err(Failure::Exists);
        }
        self.dir.remove(from);
        self.dir.insert(to.to_owned(), id);
        Ok(())
    }

    fn remove(&mut self, name: &str, backups: u32) -> Result<(), Failure> {
        let id = *self.dir.get(name).ok_or(Failure::NotFound)?;
        self.assert_fallen(name, backups);
        self.dir.remove(name);
        self.drop_file(id, backups);
        Ok(())
    }

    /// Only what gave way before may be removed, and only when a rotation has succeeded, or from a chain
    /// that is full without it.
    fn assert_fallen(&self, name: &str, backups: u32) {
        let number = Member::parse(LOG, name).map(|member| member.number);
        assert_eq!(number, Some(Member::OUT), "{name} has not fallen off");
        let numbers: BTreeSet<u32> = self.archives().iter().map(|(n, _)| n.number).collect();
        let full = (1..=backups).all(|number| numbers.contains(&number));
        let succeeded = self.journal.stage == Stage::None;
        assert!(succeeded || full || self.disturbed, "{name} is removed too early: {:?}", self.dir);
    }

    /// Oldest first.
    pub(super) fn archives(&self) -> Vec<(Member, String)> {
        archives_in(self.dir.keys().map(String::as_str))
    }

    /// The numbers of all records of the archives up to `backups` and the log, oldest first; with
    /// `u32::MAX`, of all.
    pub(super) fn records(&self, backups: u32) -> Vec<u64> {
        let archives = self.archives();
        let (out, chain): (Vec<_>, Vec<_>) = archives.into_iter().partition(|(m, _)| m.number == Member::OUT);
        let waits = |member: &Member| member.number == Member::WAITING && backups > 0;
        let chain = chain.iter().filter(|(member, _)| member.number <= backups || waits(member));
        let names = chain.map(|(_, name)| name.as_str()).chain([LOG]);
        let mut files: Vec<FileId> = names.filter_map(|name| self.dir.get(name).copied()).collect();
        // What is on its way out stands where it was, if archives above the limit are older still.
        for id in out.iter().map(|(_, name)| self.dir[name]).filter(|_| backups == u32::MAX) {
            let newer = |there: &FileId| self.files[*there].first() > self.files[id].first();
            files.insert(files.iter().position(newer).unwrap_or(files.len()), id);
        }
        files.iter().flat_map(|id| self.files[*id].iter().map(|record| record.0)).collect()
    }
}

/// Archives of the log among the names, the oldest first; of one number the plain one first.
fn archives_in<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(Member, String)> {
    // With dated names the numbered ones are from before. The number of a dated one falls with its age, too.
    let numbered = |name| Member::parse(LOG, name);
    let dated =
        |name| Some(Member { number: DATED - Dated::parse(LOG, name)?.copy, packing: Packing::Plain });
    let parse = |name: &'a str| Some((numbered(name).or_else(|| dated(name))?, name.to_owned()));
    let mut archives: Vec<_> = names.filter_map(parse).collect();
    let is_dated = |member: &Member| (DATED / 2..=DATED).contains(&member.number);
    archives.sort_by_key(|(member, _)| {
        (is_dated(member), std::cmp::Reverse(member.age()), member.packing == Packing::Gzip)
    });
    archives
}

impl Driver {
    /// Takes over and recovers, as every new flusher does.
    pub(super) fn take_over(disk: &mut Disk, policy: Policy, fate: Fate) -> Result<Self, Killed> {
        let backoff = Backoff::default();
        let mut driver = Self { policy, open: None, held: false, backoff, now_ms: 0 };
        if disk.dir.values().any(|there| *there == disk.journal.file) {
            driver.open = Some(disk.journal.file);
        }
        if let (Some(id), Stage::None) = (driver.open, disk.journal.stage) {
            disk.files[id].truncate(disk.journal.end);
        }
        driver.run(disk, disk.journal.stage, fate)?;
        Ok(driver)
    }

    pub(super) fn policy(&self) -> Policy {
        self.policy
    }

    /// Rotates now, whatever the size.
    pub(super) fn rotate(&mut self, disk: &mut Disk, fate: Fate) -> Result<Outcome, Killed> {
        self.run(disk, self.policy.stage(), fate)
    }

    /// Runs the machine to its end.
    fn run(&mut self, disk: &mut Disk, stage: Stage, fate: Fate) -> Result<Outcome, Killed> {
        disk.disturbed = false;
        disk.mixed &= disk.has_out();
        let naming = naming(&self.policy);
        let mut view = disk.view(self.policy.names);
        view.names.iter_mut().chain([&mut view.archive]).for_each(|name| *name = machine_name(&naming, name));
        let machine = Machine::start(&self.policy, &naming, stage, &view);
        let mut machine = machine.moving_at_once(AT_ONCE.get());
        let mut fresh = None;
        for count in 0..10_000 {
            let mut action = machine.next();
            rename_for_disk(&naming, &mut action);
            if let Action::Done(outcome) = action {
                self.end(disk, outcome);
                return Ok(outcome);
            }
            if fate.kill_at == Some(count) {
                return Err(Killed);
            }
            let fault = fate.fault.filter(|fault| fault.0 == count);
            let result = self.act_or_fail(disk, &action, &mut fresh, fault.map(|fault| fault.1));
            machine.report(result);
        }
        panic!("the machine does not come to an end: {machine:?}");
    }

    /// Makes moves that were put off, so many at most; true if none are left.
    pub(super) fn shift(&mut self, disk: &mut Disk, moves: usize, fate: Fate) -> Result<bool, Killed> {
        disk.disturbed = false;
        let (policy, naming) = (self.policy, naming(&self.policy));
        let start = |disk: &Disk| {
            let names: Vec<String> = disk.dir.keys().map(|name| machine_name(&naming, name)).collect();
            Shift::start(&policy, &naming, &names)
        };
        let Some(mut shift) = start(disk) else { return Ok(true) };
        assert_eq!(disk.journal.stage, Stage::None, "it moves beside a rotation");
        for count in 0..moves {
            let Some(mut action) = shift.next() else { break };
            rename_for_disk(&naming, &mut action);
            if fate.kill_at == Some(count) {
                return Err(Killed);
            }
            let fault = fate.fault.filter(|fault| fault.0 == count);
            shift.report(self.act_or_fail(disk, &action, &mut None, fault.map(|fault| fault.1)));
        }
        Ok(shift.next().is_none() && start(disk).is_none())
    }

    /// A file is not found only if it is not there, so for that failure someone removes it. (A
    /// network drive may rename and then say so; logs on those are not for this machine.)
    fn act_or_fail(
        &mut self,
        disk: &mut Disk,
        action: &Action,
        fresh: &mut Option<FileId>,
        fault: Option<Fault>,
    ) -> Result<(), Failure> {
        disk.disturbed |= fault.is_some();
        match (fault, action) {
            (None, _) => self.act(disk, action, fresh),
            (
                Some(Fault::Instead(Failure::NotFound) | Fault::After(Failure::NotFound)),
                Action::Rename { from: name, .. } | Action::Remove { name },
            ) => {
                disk.lose(name);
                self.act(disk, action, fresh)
            }
            (Some(Fault::After(failure)), _) => self.act(disk, action, fresh).and(Err(failure)),
            (Some(Fault::Instead(failure)), _) => Err(failure),
        }
    }

    fn end(&mut self, disk: &Disk, outcome: Outcome) {
        self.backoff.note(outcome, self.now_ms);
        self.held = matches!(outcome, Outcome::Held(_));
        if !self.held {
            assert_eq!(disk.journal.stage, Stage::None, "{outcome:?}");
            assert_eq!(self.open, Some(disk.journal.file), "{outcome:?}");
        }
    }

    /// One action, as a driver does it. `fresh` is the new file while the old one is still open.
    fn act(&mut self, disk: &mut Disk, action: &Action, fresh: &mut Option<FileId>) -> Result<(), Failure> {
        let backups = self.policy.backups;
        if let Action::Rename { from, .. } = action {
            assert!(disk.journal.stage == Stage::Rotate || from != LOG, "{action:?}");
        }
        match action {
            Action::Journal(stage) => disk.journal.stage = *stage,
            Action::Rename { from, to } => disk.rename(from, to)?,
            Action::Remove { name } => disk.remove(name, backups)?,
            Action::Truncate => {
                assert_eq!((backups, disk.journal.stage), (0, Stage::Truncate));
                let id = self.open.ok_or(Failure::Other)?;
                assert_eq!(id, disk.journal.file, "only the journalled file may be truncated");
                disk.drop_file(id, backups);
                disk.files[id].clear();
            }
            Action::Create => {
                let there = disk.dir.get(LOG).copied();
                *fresh = Some(there.unwrap_or_else(|| disk.add(LOG, vec![])));
            }
            Action::Finish => {
                self.open = fresh.take().or(self.open);
                self.commit_end(disk)?;
            }
            Action::Abandon => self.commit_end(disk)?,
            Action::Done(_) => unreachable!("nothing to do"),
        }
        Ok(())
    }

    fn commit_end(&self, disk: &mut Disk) -> Result<(), Failure> {
        let file = self.open.ok_or(Failure::Other)?;
        disk.journal = Journal { stage: Stage::None, file, end: disk.files[file].len() };
        Ok(())
    }

    /// Logs one record: rotates if it must and may, writes, commits. A driver that is killed
    /// between the last two leaves a tail, which its successor cuts; the record is then not logged.
    pub(super) fn log(&mut self, disk: &mut Disk, len: u64, kill: bool) -> Result<bool, Killed> {
        self.follow(disk)?;
        if disk.journal_is_at_rest() {
            self.shift(disk, 1, Fate::default())?;
        }
        let size = self.open.map_or(0, |id| disk.files[id].iter().map(|record| record.1).sum());
        let must = self.policy.must_rotate_before(size, len);
        if must && self.backoff.is_due(self.now_ms) {
            self.rotate(disk, Fate::default())?;
        }
        let Some(id) = self.open.filter(|_| !self.held) else {
            return Ok(false);
        };
        assert_eq!(disk.journal.stage, Stage::None, "a record in the midst of a rotation");
        disk.files[id].push((disk.written, len));
        if kill {
            return Err(Killed);
        }
        disk.journal.end += 1;
        disk.written += 1;
        if !disk.dir.values().any(|there| *there == id) {
            disk.lost.insert(disk.written - 1);
        }
        Ok(true)
    }

    /// Before each write: goes on with what was held, and follows a log that was moved.
    fn follow(&mut self, disk: &mut Disk) -> Result<(), Killed> {
        let stage = disk.journal.stage;
        let wants = self.held || stage != Stage::None || disk.view(self.policy.names).at != At::Same;
        if wants && self.backoff.is_due(self.now_ms) {
            self.run(disk, stage, Fate::default())?;
        }
        Ok(())
    }
}
