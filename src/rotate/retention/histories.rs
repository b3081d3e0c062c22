//! Random histories: rotations in both ways of naming, packing, limits that change, kills after any action, clocks that are
//! set, and strangers who remove, replace, change, move and link files. Checked after each retention: only ours went, the
//! oldest first, the limits hold; and at every rename that no name is given twice.
use super::world::{DAY_NS, Flusher, Killed, LOG, World, chained, dated, day, with_templates};
use super::*;
use crate::rotate::manifest::{Manifest, State};
use crate::rotate::name::Packing;
use crate::rotate::schedule::stamp::Dated;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Event {
    Log(u64),
    Wait {
        ns: u64,
    },
    SetClock {
        day: u64,
    },
    RotateDated,
    RotateChain,
    Pack,
    Retain,
    Limits(Limits),
    TakeOver,
    KillIn(u32),
    /// Strangers, at the how manieth name of the directory.
    Remove(prop::sample::Index),
    Replace(prop::sample::Index, u64),
    Overwrite(prop::sample::Index, u64),
    Move(prop::sample::Index, usize),
    Link(prop::sample::Index),
    LinkElsewhere(prop::sample::Index),
    Put(usize, u64),
}

/// Names that strangers use, some of them exactly like ours.
const NAMES: [&str; 9] = [
    "app.1.log",
    "{app} 17.04.2026 1.log",
    "app.log.1",
    "app.log.3",
    "app.log.2.gz",
    "app.log.bak",
    "app.log.2026-04-17",
    "app.log.old.1",
    "app.log.01",
];

fn any_limits() -> impl Strategy<Value = Limits> {
    let some = |range: std::ops::Range<u64>| prop::option::weighted(0.4, range);
    (some(0..6), some(0..20), some(0..400), some(3_500..4_000)).prop_map(|(n, days, bytes, free)| Limits {
        archives: n.map(|n| n as u32),
        age_ns: days.map(|days| days * DAY_NS),
        bytes,
        free_bytes: free,
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    let at = || any::<prop::sample::Index>();
    prop_oneof![
        // Ours have even lengths.
        8 => (1..45u64).prop_map(|half| Event::Log(2 * half)),
        4 => (0..2 * DAY_NS).prop_map(|ns| Event::Wait { ns }),
        1 => (0..200u64).prop_map(|day| Event::SetClock { day }),
        8 => Just(Event::RotateDated),
        4 => Just(Event::RotateChain),
        4 => Just(Event::Pack),
        5 => Just(Event::Retain),
        2 => any_limits().prop_map(Event::Limits),
        1 => Just(Event::TakeOver),
        4 => (0..12u32).prop_map(Event::KillIn),
        1 => at().prop_map(Event::Remove),
        1 => (at(), 0..90u64).prop_map(|(at, bytes)| Event::Replace(at, bytes)),
        1 => (at(), 0..90u64).prop_map(|(at, bytes)| Event::Overwrite(at, bytes)),
        1 => (at(), 0..NAMES.len()).prop_map(|(at, to)| Event::Move(at, to)),
        1 => at().prop_map(Event::Link),
        1 => at().prop_map(Event::LinkElsewhere),
        1 => (0..NAMES.len(), 0..90u64).prop_map(|(name, bytes)| Event::Put(name, bytes)),
    ]
}

struct Run {
    world: World,
    flusher: Option<Flusher>,
    limits: Limits,
    removed: u64,
}

impl Run {
    /// The flusher that is at work: a new one, as often as it takes.
    fn flusher(&mut self) -> &mut Flusher {
        if self.flusher.is_none() {
            self.flusher = Flusher::take_over(&mut self.world).ok();
        }
        self.flusher.get_or_insert_with(|| {
            self.world.fuse = None;
            Flusher::take_over(&mut self.world).unwrap()
        })
    }

    fn work(&mut self, work: impl FnOnce(&mut Flusher, &mut World) -> Result<(), Killed>) {
        self.flusher();
        let Some(flusher) = &mut self.flusher else { return };
        if work(flusher, &mut self.world).is_err() {
            self.flusher = None;
            self.world.fuse = None;
        }
    }

    fn happen(&mut self, event: &Event) {
        let knows_birth = self.world.knows_birth;
        if matches!(event, Event::Overwrite(..))
            || matches!(event, Event::Replace(..) | Event::Put(..) if !knows_birth)
        {
            // A log that was put away by a flusher that died before it said so, and changed before its successor has looked:
            // nobody knows how long it was.
            self.flusher();
        }
        let world = &mut self.world;
        match event.clone() {
            Event::Log(bytes) => Flusher::log(world, bytes),
            Event::Wait { ns } => world.now_ns += ns,
            Event::SetClock { day } => world.now_ns = day * DAY_NS,
            Event::RotateDated => self.work(Flusher::rotate_dated),
            Event::RotateChain => self.work(Flusher::rotate_chain),
            Event::Pack => self.work(Flusher::pack),
            Event::Retain => self.retain(),
            Event::Limits(limits) => self.limits = limits,
            Event::TakeOver => self.flusher = None,
            Event::KillIn(actions) => world.fuse = Some(actions),
            Event::Put(name, bytes) => put(world, NAMES[name], bytes | 1),
            Event::Remove(at) => stranger(world, &at, |world, name, _| world.unlink(name)),
            Event::Replace(at, bytes) => stranger(world, &at, |world, name, _| {
                world.unlink(name);
                // Where births are not known, a file of the same inode and length cannot be told from the old one.
                put(world, name, if world.knows_birth { bytes } else { bytes | 1 });
            }),
            Event::Overwrite(at, bytes) => stranger(world, &at, |world, _, file| {
                let now_ns = world.now_ns;
                let file = &mut world.files[file];
                (file.bytes, file.touched, file.modified_ns) = (bytes | 1, true, now_ns);
            }),
            Event::Move(at, to) => stranger(world, &at, |world, name, file| {
                if !world.dir.contains_key(NAMES[to]) {
                    world.dir.remove(name);
                    world.dir.insert(NAMES[to].into(), file);
                    allow_chain_name(world, file, NAMES[to]);
                }
            }),
            Event::Link(at) => stranger(world, &at, |world, name, file| {
                let link = format!("{name}.copy");
                world.dir.entry(link).or_insert(file);
            }),
            Event::LinkElsewhere(at) => {
                stranger(world, &at, |world, _, file| world.files[file].elsewhere += 1);
            }
        }
    }

    /// Retention, and what must hold of it.
    fn retain(&mut self) {
        self.flusher();
        let Some(flusher) = &mut self.flusher else { return };
        let before: Vec<usize> = standing(&self.world, &flusher.manifest);
        let (removed, done) = flusher.retain(&mut self.world, &self.limits);
        self.removed += removed.len() as u64;
        let (world, ours) = (&self.world, |file: &usize| self.world.files[*file].ours);
        assert!(removed.is_sorted_by_key(ours), "not the oldest first: {removed:?}");
        let after = standing(world, &flusher.manifest);
        if let (Some(youngest), Some(oldest)) =
            (removed.iter().filter_map(ours).max(), after.iter().filter_map(ours).min())
        {
            // A copy of the last one may be left if it was killed in between.
            assert!(youngest < oldest || (done.is_err() && youngest == oldest), "{before:?} {after:?}");
        }
        match done {
            Err(Killed) => {
                self.flusher = None;
                self.world.fuse = None;
            }
            Ok(()) => assert_limits_hold(world, &self.limits, &after, &removed),
        }
    }
}

fn put(world: &mut World, name: &str, bytes: u64) {
    if !world.dir.contains_key(name) {
        let file = world.make(bytes, None);
        world.dir.insert(name.into(), file);
    }
}

/// Does it to an archive or another file, but not to the live log.
fn stranger(world: &mut World, at: &prop::sample::Index, what: impl FnOnce(&mut World, &str, usize)) {
    let names: Vec<(String, usize)> = world.dir.iter().map(|(name, file)| (name.clone(), *file)).collect();
    let names: Vec<_> = names.into_iter().filter(|(_, file)| *file != world.live).collect();
    if !names.is_empty() {
        let (name, file) = at.get(&names);
        what(world, name, *file);
    }
}

/// A member of the chain that somebody gave another number is a member of the chain: so does the machine see it.
fn allow_chain_name(world: &mut World, file: usize, name: &str) {
    let chain = |name: &str| chained(name);
    let packed = |name: &str| chain(name).map(|member| member.packing);
    let was = world.names.get(&file).is_some_and(|names| names.iter().any(|n| packed(n) == packed(name)));
    // And so is one that was to get a date, and of which it was not told any more that it did.
    let id = world.files[file].id;
    let manifest = Manifest::decode(&world.manifest).unwrap().manifest;
    let reserved = manifest.by_inode(id.ino).any(|e| e.state == State::Live && e.dated.is_some());
    let plain = chain(name).is_some_and(|member| member.packing == Packing::Plain);
    if (chain(name).is_some() && was) || (reserved && plain) {
        world.names.entry(file).or_default().insert(name.into());
    }
}

/// Our archives that stand untouched under a name of ours.
fn standing(world: &World, manifest: &Manifest) -> Vec<usize> {
    let is = |(name, file): (&String, &usize)| {
        let f = &world.files[*file];
        let named = world.is_named(*file, name);
        // What was moved away and back, or found again after it was missed, is not known any more.
        let known = manifest.by_inode(f.id.ino).any(|e| {
            e.forms().any(|(form, _)| {
                form.born_ns == f.born_ns && (form.fixed().is_none() || form.fixed() == Some(name))
            })
        });
        (f.ours.is_some() && !f.touched && named && known && *file != world.live).then_some(*file)
    };
    let mut files: Vec<usize> = world.dir.iter().filter_map(is).collect();
    files.sort_unstable();
    files.dedup();
    files
}

fn assert_limits_hold(world: &World, limits: &Limits, after: &[usize], removed: &[usize]) {
    let archives: std::collections::BTreeSet<u64> =
        after.iter().filter_map(|f| world.files[*f].ours).collect();
    if let Some(limit) = limits.archives {
        assert!(archives.len() <= limit as usize, "{archives:?} of {limit}");
    }
    let bytes: u64 = after.iter().map(|f| world.files[*f].bytes).sum();
    if let Some(limit) = limits.bytes.filter(|_| !after.is_empty()) {
        assert!(bytes + world.files[world.live].bytes <= limit, "{bytes} of {limit}");
    }
    if let Some(limit) = limits.free_bytes.filter(|_| !after.is_empty()) {
        let linked: u64 =
            removed.iter().filter(|f| world.files[**f].elsewhere > 0).map(|f| world.files[*f].bytes).sum();
        assert!(world.now().free_bytes + linked >= limit, "{} of {limit}", world.now().free_bytes);
    }
    let oldest = after.iter().min_by_key(|f| world.files[**f].ours).map(|f| world.files[*f].modified_ns);
    if let (Some(limit), Some(ns)) = (limits.age_ns, oldest) {
        assert!(world.now_ns.saturating_sub(ns) <= limit, "older than {limit}");
    }
}

/// For one period the higher number is the younger file.
fn assert_names_sort_by_time(world: &World) {
    let mut last: BTreeMap<String, (u32, u64)> = BTreeMap::new();
    let dated = |(name, file): (&String, &usize)| {
        let named = world.is_named(*file, name);
        let ours = world.files[*file].ours.filter(|_| named)?;
        dated(name).map(|dated| (dated, ours))
    };
    let mut all: Vec<(Dated, u64)> = world.dir.iter().filter_map(dated).collect();
    all.sort();
    for (dated, ours) in all {
        if let Some((copy, before)) = last.insert(dated.stamp.clone(), (dated.copy, ours)) {
            assert!(before < ours || (copy == dated.copy && before == ours), "{dated:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_200) })]

    #[test]
    fn only_ours_go_the_oldest_first_until_the_limits_hold(
        knows_birth: bool,
        templates: bool,
        limits in any_limits(),
        events in prop::collection::vec(any_event(), 1..60),
    ) {
        with_templates(templates);
        let mut run = Run { world: World::new(knows_birth), flusher: None, limits, removed: 0 };
        for event in &events {
            run.happen(event);
            assert_names_sort_by_time(&run.world);
            assert!(run.world.dir.get(LOG).is_none_or(|file| world_is_ours(&run.world, *file)));
        }
        // Whatever happened, it goes on, and what it says at the end is done.
        run.world.fuse = None;
        run.happen(&Event::TakeOver);
        run.happen(&Event::RotateDated);
        run.happen(&Event::Limits(Limits { archives: Some(1), ..Limits::default() }));
        run.happen(&Event::Retain);
    }
}

fn world_is_ours(world: &World, file: usize) -> bool {
    world.files[file].ours.is_some()
}

/// The histories are worth their time only if things happen in them.
#[test]
fn histories_rotate_pack_and_remove() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut removed, mut packed, mut stamps) = (0, 0, std::collections::BTreeSet::new());
    for _ in 0..100 {
        let events = prop::collection::vec(any_event(), 60..80).new_tree(&mut runner).unwrap().current();
        let limits = any_limits().new_tree(&mut runner).unwrap().current();
        let mut run = Run { world: World::new(true), flusher: None, limits, removed: 0 };
        for event in &events {
            run.happen(event);
            stamps.insert(day(run.world.now_ns));
        }
        removed += run.removed;
        let gz = |names: &std::collections::BTreeSet<String>| names.iter().any(|name| name.ends_with(".gz"));
        packed += run.world.names.values().filter(|names| gz(names)).count();
    }
    assert!(removed > 100 && packed > 100 && stamps.len() > 50, "{removed} {packed} {}", stamps.len());
}
