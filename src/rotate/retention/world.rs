//! A directory, a flusher that can be killed between any two actions, and strangers. It knows what really is in each file.
use super::{Directory, Limits, Now, Removal, Seen, decide, reconcile};
use crate::rotate::manifest::{Ended, Entry, Form, Manifest, Name, Stamped, State, line::put_entry};
use crate::rotate::name::{Member, Packing, Standing};
use crate::rotate::schedule::{Dated, Precision};
use crate::rotate::{Naming, Scheme};
use crate::sys::FileId;
use jiff::civil::{Date, date};
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const LOG: &str = "app.log";

thread_local! {
    /// Whether names are made from templates.
    static TEMPLATES: Cell<bool> = const { Cell::new(false) };
}

/// From here on, in this thread.
pub(super) fn with_templates(yes: bool) {
    TEMPLATES.set(yes);
}

const NUMBERED: &str = "{stem}.{n}{ext}";

/// As dates are made now, and numbers were; and in the other order.
fn naming() -> Naming {
    let dated = "{{{stem}}} {date:%d.%m.%Y} {seq}{ext}";
    if !TEMPLATES.get() {
        return Naming::plain(LOG, Scheme::Dated);
    }
    Naming::from_template(LOG, dated).unwrap().with_former([NUMBERED])
}

pub(super) fn chained(name: &str) -> Option<Member> {
    match naming().standing(name) {
        Some(Standing::Numbered(member)) => Some(member),
        _ => None,
    }
}

pub(super) fn dated(name: &str) -> Option<Dated> {
    match naming().standing(name) {
        Some(Standing::Dated(Reverse(dated))) => Some(dated),
        _ => None,
    }
}

fn chain_name(member: Member) -> String {
    if TEMPLATES.get() {
        Naming::from_template(LOG, NUMBERED).unwrap().member(member)
    } else {
        member.name(LOG)
    }
}

pub(super) const DAY_NS: u64 = 86_400_000_000_000;
const DISK_BYTES: u64 = 4_000;

/// The flusher was killed.
#[derive(Debug)]
pub(super) struct Killed;

#[derive(Clone, Debug)]
pub(super) struct File {
    pub id: FileId,
    pub born_ns: u64,
    pub bytes: u64,
    pub modified_ns: u64,
    /// Names in other directories.
    pub elsewhere: u64,
    /// The how manieth log file it is; `None`: a stranger's.
    pub ours: Option<u64>,
    /// It is a packed copy.
    pub packed: bool,
    /// A stranger has written to it.
    pub touched: bool,
}

/// What survives a kill.
#[derive(Debug)]
pub(super) struct World {
    pub dir: BTreeMap<String, usize>,
    pub files: Vec<File>,
    pub live: usize,
    pub manifest: Vec<u8>,
    pub now_ns: u64,
    /// Whether the file system knows when a file was made.
    pub knows_birth: bool,
    /// Names that our files got, by stranger's hands or ours.
    pub names: BTreeMap<usize, BTreeSet<String>>,
    /// Dated names that were ever given.
    given: BTreeSet<String>,
    begun: u64,
    births: u64,
    /// Actions that are left before the flusher is killed.
    pub fuse: Option<u32>,
    /// Inodes of files that are no more, to be used again.
    freed: Vec<u64>,
}

pub(super) fn day(now_ns: u64) -> Date {
    let day = now_ns / DAY_NS;
    date(2026, (day / 28 % 12 + 1) as i8, (day % 28 + 1) as i8)
}

impl World {
    pub(super) fn new(knows_birth: bool) -> Self {
        let mut world = Self {
            dir: BTreeMap::new(),
            files: Vec::new(),
            live: 0,
            manifest: Manifest::default().encode(),
            now_ns: 100 * DAY_NS,
            knows_birth,
            names: BTreeMap::new(),
            given: BTreeSet::new(),
            begun: 0,
            births: 0,
            fuse: None,
            freed: Vec::new(),
        };
        world.live = world.make_log();
        world
    }

    /// One action of the flusher.
    fn step(&mut self) -> Result<(), Killed> {
        match &mut self.fuse {
            Some(0) => Err(Killed),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A file without a name. Inodes are used again as soon as that is possible.
    pub(super) fn make(&mut self, bytes: u64, ours: Option<u64>) -> usize {
        let ino = self.freed.pop().unwrap_or(self.files.len() as u64 + 1000);
        self.births += 1;
        let born_ns = if self.knows_birth { self.births } else { 0 };
        let id = FileId { dev: 1, ino };
        let modified_ns = self.now_ns;
        self.files.push(File {
            id,
            born_ns,
            bytes,
            modified_ns,
            elsewhere: 0,
            ours,
            packed: false,
            touched: false,
        });
        self.files.len() - 1
    }

    fn make_log(&mut self) -> usize {
        self.begun += 1;
        let file = self.make(0, Some(self.begun));
        self.dir.insert(LOG.into(), file);
        file
    }

    pub(super) fn unlink(&mut self, name: &str) {
        let Some(file) = self.dir.remove(name) else { return };
        let stands = self.dir.values().any(|other| *other == file) || self.files[file].elsewhere > 0;
        if !stands && file != self.live {
            self.freed.push(self.files[file].id.ino);
        }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        let links = |file| self.dir.values().filter(|other| **other == file).count() as u64;
        let seen = |(name, &file): (&String, &usize)| {
            let f = &self.files[file];
            let (id, born_ns, bytes, modified_ns) = (f.id, f.born_ns, f.bytes, f.modified_ns);
            Seen { name: name.clone(), id, born_ns, bytes, modified_ns, links: links(file) + f.elsewhere }
        };
        self.dir.iter().map(seen).collect()
    }

    pub(super) fn now(&self) -> Now {
        let stands = |file: &usize| self.dir.values().any(|other| other == file) || *file == self.live;
        let used = (0..self.files.len()).filter(|file| stands(file) || self.files[*file].elsewhere > 0);
        let used: u64 = used.map(|file| self.files[file].bytes).sum();
        Now { ns: self.now_ns, free_bytes: DISK_BYTES.saturating_sub(used) }
    }

    /// Whether it is a name that the file got from us, and that says rightly whether it is packed.
    pub(super) fn is_named(&self, file: usize, name: &str) -> bool {
        let packed = chained(name).is_none_or(|m| (m.packing != Packing::Plain) == self.files[file].packed);
        packed && self.names.get(&file).is_some_and(|names| names.contains(name))
    }

    fn form(&self, file: usize, name: Name) -> Form {
        let f = &self.files[file];
        Form { id: f.id, born_ns: f.born_ns, bytes: f.bytes, name }
    }
}

/// The flusher, with what it has in memory.
#[derive(Debug)]
pub(super) struct Flusher {
    pub manifest: Manifest,
}

impl Flusher {
    /// Every start is this.
    pub(super) fn take_over(world: &mut World) -> Result<Self, Killed> {
        let loaded = Manifest::decode(&world.manifest).unwrap();
        let mut flusher = Self { manifest: loaded.manifest };
        if loaded.damaged > 0 {
            world.step()?;
            world.manifest = flusher.manifest.encode();
        }
        if world.dir.get(LOG) != Some(&world.live) {
            // The machine's part: the live file was put away, or somebody has taken it.
            world.step()?;
            world.live = world.dir.get(LOG).copied().unwrap_or_else(|| world.make_log());
        }
        flusher.settle(world)?;
        Ok(flusher)
    }

    fn settle(&mut self, world: &mut World) -> Result<(), Killed> {
        let (seen, live) = (world.seen(), Some(world.files[world.live].id));
        let news = reconcile(&self.manifest, &Directory { naming: &naming(), live, seen: &seen });
        self.tell(world, &news)?;
        if self.live(world).is_none() {
            let begun = self.begun(world);
            self.tell(world, &[begun])?;
        }
        Ok(())
    }

    fn begun(&self, world: &World) -> Entry {
        let form = world.form(world.live, Name::Log);
        Entry::begun(self.manifest.next_serial(), 9, world.begun, form, world.now_ns)
    }

    fn live(&self, world: &World) -> Option<Entry> {
        let live = &world.files[world.live];
        let is = |e: &&Entry| {
            e.state == State::Live && e.plain.as_ref().is_some_and(|p| p.born_ns == live.born_ns)
        };
        self.manifest.by_inode(live.id.ino).find(is).cloned()
    }

    /// Killed in the middle, half a line is written.
    fn tell(&mut self, world: &mut World, news: &[Entry]) -> Result<(), Killed> {
        for entry in news {
            let mut line = Vec::new();
            put_entry(entry, &mut line);
            if world.step().is_err() {
                world.manifest.extend(&line[..line.len() / 2]);
                return Err(Killed);
            }
            world.manifest.extend(line);
            self.manifest.apply(entry);
        }
        if world.manifest.len() > 6_000 {
            self.manifest.tidy();
            world.step()?;
            world.manifest = self.manifest.encode();
        }
        Ok(())
    }

    pub(super) fn log(world: &mut World, bytes: u64) {
        let now_ns = world.now_ns;
        let live = &mut world.files[world.live];
        (live.bytes, live.modified_ns) = (live.bytes + bytes, now_ns);
    }

    fn rename(world: &mut World, from: &str, to: &str) -> Result<bool, Killed> {
        world.step()?;
        if world.dir.contains_key(to) {
            return Ok(false);
        }
        let file = world.dir.remove(from).unwrap();
        world.dir.insert(to.into(), file);
        world.names.entry(file).or_default().insert(to.into());
        Ok(true)
    }

    /// The old log has this name now: a new one, and the manifest is told.
    fn finish(&mut self, world: &mut World, old: &Entry, name: Name) -> Result<(), Killed> {
        let file = &world.files[world.live];
        let end = Ended { bytes: file.bytes, keys: None, ns: file.modified_ns };
        world.step()?;
        world.live = world.make_log();
        self.tell(world, &[old.clone().archived(name, end), self.begun(world)])
    }

    pub(super) fn rotate_dated(&mut self, world: &mut World) -> Result<(), Killed> {
        let Some(live) = self.live(world).filter(|_| world.dir.get(LOG) == Some(&world.live)) else {
            return self.settle(world);
        };
        let day = day(world.now_ns).at(0, 0, 0, 0);
        let stamp = naming().stamp(day, Precision::Day);
        let dated = world.dir.keys().filter_map(|name| dated(name));
        let copies: Vec<u32> = dated.filter(|d| d.stamp == stamp).map(|d| d.copy).collect();
        let copy = self.manifest.next_copy(&stamp, copies, Some(live.serial)).unwrap();
        let name = naming().dated(day, Precision::Day, copy);
        let live = live.reserved(&name, Stamped { stamp, copy });
        self.tell(world, std::slice::from_ref(&live))?;
        if Self::rename(world, LOG, &name)? {
            assert!(world.given.insert(name.clone()), "{name} was given before");
            self.finish(world, &live, Name::Fixed(name))?;
        }
        Ok(())
    }

    pub(super) fn rotate_chain(&mut self, world: &mut World) -> Result<(), Killed> {
        let Some(live) = self.live(world).filter(|_| world.dir.get(LOG) == Some(&world.live)) else {
            return self.settle(world);
        };
        let ours = |name: &&String| chained(name).is_some_and(|member| chain_name(member) == **name);
        let members = world.dir.keys().filter(ours).filter_map(|name| chained(name));
        let members: BTreeSet<Member> = members.filter(|m| m.number < 1_000).collect();
        let gap = (1..).find(|n| members.iter().all(|m| m.number != *n)).unwrap();
        for member in members.iter().rev().filter(|m| m.number < gap) {
            Self::rename(world, &chain_name(*member), &chain_name(member.at(member.number + 1)))?;
        }
        if Self::rename(world, LOG, &chain_name(Member::NEWEST))? {
            self.finish(world, &live, Name::Chain)?;
        }
        Ok(())
    }

    /// Packs the oldest archive that is not.
    pub(super) fn pack(&mut self, world: &mut World) -> Result<(), Killed> {
        let plain = |entry: &&Entry| entry.state == State::Archived && entry.packed.is_none();
        let Some(entry) = self.manifest.entries().find(plain).cloned() else { return Ok(()) };
        let Some(plain) = entry.plain.clone() else { return Ok(()) };
        let here = |name: &str| match plain.fixed() {
            Some(fixed) => fixed == name,
            None => chained(name).is_some_and(|member| member.packing == Packing::Plain),
        };
        let is_it = |(_, file): &(&String, &usize)| world.form(**file, plain.name.clone()) == plain;
        let mut names = world.dir.iter().filter(|(name, _)| here(name));
        let Some((name, &file)) = names.rfind(|x| is_it(x)) else { return Ok(()) };
        let (name, packed_name) = (name.clone(), format!("{name}.gz"));
        if world.dir.contains_key(&packed_name) {
            return Ok(());
        }
        let copy = world.make(world.files[file].bytes / 3 * 2, world.files[file].ours);
        (world.files[copy].modified_ns, world.files[copy].packed) = (world.files[file].modified_ns, true);
        let form_name = plain.fixed().map_or(Name::Chain, |_| Name::Fixed(packed_name.clone()));
        let entry = entry.packing(world.form(copy, form_name));
        self.tell(world, std::slice::from_ref(&entry))?;
        world.step()?;
        world.dir.insert(packed_name.clone(), copy);
        world.names.entry(copy).or_default().insert(packed_name);
        world.step()?;
        world.unlink(&name);
        self.tell(world, &[entry.packed()])
    }

    /// Removes what has to go; what was removed is returned, also if it is killed on the way.
    pub(super) fn retain(&mut self, world: &mut World, limits: &Limits) -> (Vec<usize>, Result<(), Killed>) {
        let (seen, live) = (world.seen(), Some(world.files[world.live].id));
        let plan =
            decide(&self.manifest, &Directory { naming: &naming(), live, seen: &seen }, limits, &world.now());
        let mut removed = Vec::new();
        let mut done = Ok(());
        for (i, removal) in plan.iter().enumerate() {
            let is_last = plan.get(i + 1).is_none_or(|next| next.serial != removal.serial);
            done = self.remove(world, removal, is_last, &mut removed);
            if done.is_err() {
                break;
            }
        }
        (removed, done)
    }

    fn remove(
        &mut self,
        world: &mut World,
        removal: &Removal,
        is_last: bool,
        removed: &mut Vec<usize>,
    ) -> Result<(), Killed> {
        world.step()?;
        let file = world.dir[&removal.name];
        assert_eq!(world.files[file].id, removal.id);
        assert!(world.files[file].ours.is_some() && !world.files[file].touched, "a stranger's: {removal:?}");
        assert!(world.is_named(file, &removal.name), "not a name of ours: {removal:?}");
        assert_ne!(file, world.live, "the live log: {removal:?}");
        world.unlink(&removal.name);
        removed.push(file);
        if is_last {
            let entry = self.manifest.get(removal.serial).unwrap().clone();
            self.tell(world, &[entry.removed()])?;
        }
        Ok(())
    }
}
