//! Bringing manifest and directory together: after a crash, and when somebody asks for it.
use super::matching::{dated, is_file_of, is_named, is_same, member, packing};
use super::{Directory, Now, Seen, Verdict, explain};
use crate::rotate::Naming;
use crate::rotate::manifest::{Ended, Entry, Form, Manifest, Name, Serial, Stamped, State};
use crate::rotate::name::Packing;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet, VecDeque};

/// What a take-over has to tell the manifest: a crash, or somebody else, has changed files that it knows. Packing must not be under
/// way. The live file itself is not taken in: the driver does that, if the manifest has it not.
#[must_use]
pub fn reconcile(manifest: &Manifest, directory: &Directory) -> Vec<Entry> {
    let mut by_inode: BTreeMap<u64, Vec<&Seen>> = BTreeMap::new();
    for seen in directory.seen {
        by_inode.entry(seen.id.ino).or_default().push(seen);
    }
    let news = |entry: &Entry| {
        let inodes = entry.forms().filter_map(|(form, _)| by_inode.get(&form.id.ino)).flatten();
        let files: Vec<&Seen> = inodes.copied().filter(|seen| is_file_of(entry, seen)).collect();
        let now = reconciled(entry, directory, &files);
        (now != *entry).then_some(now)
    };
    manifest.entries().filter_map(news).collect()
}

/// The entry as it is, whose files are these.
fn reconciled(entry: &Entry, directory: &Directory, files: &[&Seen]) -> Entry {
    let is_live = files.iter().any(|seen| directory.is_live(seen));
    match entry.state {
        _ if files.is_empty() => return entry.clone().removed(),
        State::Live if is_live => return entry.clone(),
        State::Live => return found(entry, directory, files),
        // Somebody has put it back, or the log has got its inode: the youngest file, so it is begun anew.
        _ if is_live => return entry.clone().removed(),
        _ => {}
    }
    let stands =
        |form: Option<&Form>| form.is_some_and(|form| files.iter().any(|seen| is_same(entry, form, seen)));
    match (stands(entry.plain.as_ref()), stands(entry.packed.as_ref())) {
        (true, false) if entry.state == State::Archived => Entry { packed: None, ..entry.clone() },
        (false, true) => entry.clone().packed(),
        _ => entry.clone(),
    }
}

/// It was the log, and is an archive by now, if it stands under the name that it was to get.
fn found(entry: &Entry, directory: &Directory, files: &[&Seen]) -> Entry {
    let Some(form) = entry.plain.as_ref() else { return entry.clone() };
    let named = |seen: &&&Seen| is_named(form, false, directory.naming, &seen.name);
    // A dated name was reserved, then names were switched, and it got a number.
    let numbered = |seen: &&&Seen| is_in_chain(directory.naming, &seen.name);
    let Some(seen) = files.iter().find(named).or_else(|| files.iter().find(numbered)) else {
        return entry.clone();
    };
    let name = match &form.name {
        Name::Fixed(name) if *name == seen.name => Name::Fixed(name.clone()),
        Name::Fixed(_) | Name::Log | Name::Chain => Name::Chain,
    };
    let end = Ended { bytes: seen.bytes, keys: entry.keys, ns: seen.modified_ns };
    entry.clone().archived(name, end)
}

fn is_in_chain(naming: &Naming, name: &str) -> bool {
    member(naming, name).is_some_and(|member| member.packing == Packing::Plain)
}

/// Takes in what retention does not touch although it is called like an archive: files that the manifest does not know, files
/// that were replaced, files that were changed. They are put in the order of their numbers or dates, and among
/// those that are known by the time of their last write.
#[must_use]
pub fn adopt(manifest: &Manifest, directory: &Directory) -> Vec<Entry> {
    let mut changes = Vec::new();
    let mut strays = HashSet::new();
    for row in explain(manifest, directory, &super::Limits::default(), &Now::default()) {
        let entry = row.serial.and_then(|serial| manifest.get(serial));
        match (row.verdict, entry) {
            (Verdict::Changed { .. }, Some(entry)) => changes.push(as_long_as(entry, row.id.ino, row.bytes)),
            (Verdict::Replaced, Some(entry)) => {
                changes.push(entry.clone().removed());
                strays.insert(row.name);
            }
            (Verdict::Unknown, _) => {
                strays.insert(row.name);
            }
            _ => {}
        }
    }
    let removed: HashSet<Serial> =
        changes.iter().filter(|e| e.state == State::Removed).map(|e| e.serial).collect();
    let known: Vec<&Entry> =
        manifest.entries().filter(|e| e.is_closed() && !removed.contains(&e.serial)).collect();
    let mut parts: BTreeMap<u64, u32> = BTreeMap::new();
    for entry in manifest.entries() {
        let part = parts.entry(entry.serial.number).or_default();
        *part = entry.serial.part.max(*part);
    }
    let mut last = 0;
    for seen in in_order(directory, &strays) {
        let before = known.iter().filter(|e| e.ended_ns <= seen.modified_ns).map(|e| e.serial.number).max();
        last = before.unwrap_or_default().max(last);
        let part = parts.entry(last).or_default();
        *part = part.saturating_add(1);
        changes.push(taken_in(Serial { number: last, part: *part }, directory.naming, seen));
    }
    changes
}

/// The files of these names, oldest first. One file is taken once, whatever names it has.
fn in_order<'a>(directory: &Directory<'a>, names: &HashSet<String>) -> Vec<&'a Seen> {
    let mut ids = HashSet::new();
    let strays = directory.seen.iter().filter(|seen| names.contains(&seen.name) && ids.insert(seen.id));
    let (mut chain, mut others, mut stamped) = (Vec::new(), Vec::new(), Vec::new());
    for seen in strays {
        if let Some(member) = member(directory.naming, &seen.name) {
            chain.push(((Reverse(member.age()), member.packing), seen));
        } else if let Some(dated) = dated(directory.naming, &seen.name) {
            stamped.push((dated, seen));
        } else {
            others.push((seen.modified_ns, seen));
        }
    }
    // The keys differ but for `others`.
    chain.sort_by_key(|(key, _)| *key);
    stamped.sort_by(|(a, _), (b, _)| a.cmp(b));
    others.sort_by_key(|(key, _)| *key);
    merge([without_keys(chain), without_keys(stamped), without_keys(others)])
}

fn without_keys<K>(list: Vec<(K, &Seen)>) -> VecDeque<&Seen> {
    list.into_iter().map(|(_, seen)| seen).collect()
}

/// Each list keeps its order; which list is next is a matter of time.
fn merge(mut lists: [VecDeque<&Seen>; 3]) -> Vec<&Seen> {
    let mut merged = Vec::new();
    loop {
        let heads = lists.iter().enumerate().filter_map(|(i, list)| Some((list.front()?.modified_ns, i)));
        let Some((_, next)) = heads.min() else { return merged };
        merged.extend(lists[next].pop_front());
    }
}

fn as_long_as(entry: &Entry, ino: u64, bytes: u64) -> Entry {
    let mut entry = entry.clone();
    for form in [&mut entry.plain, &mut entry.packed].into_iter().flatten() {
        if form.id.ino == ino {
            form.bytes = bytes;
        }
    }
    entry
}

fn taken_in(serial: Serial, naming: &Naming, seen: &Seen) -> Entry {
    let dated = dated(naming, &seen.name).map(|dated| Stamped { stamp: dated.stamp, copy: dated.copy });
    let in_chain = member(naming, &seen.name).is_some();
    let name = if in_chain { Name::Chain } else { Name::Fixed(seen.name.clone()) };
    let form = Form { id: seen.id, born_ns: seen.born_ns, bytes: seen.bytes, name };
    let end = Ended { bytes: seen.bytes, keys: None, ns: seen.modified_ns };
    let entry = Entry::begun(serial, 0, 0, form.clone(), seen.modified_ns).archived(form.name.clone(), end);
    let entry = Entry { dated, ..entry };
    match packing(naming, &seen.name) {
        None | Some(Packing::Plain) => entry,
        Some(_) => Entry { plain: None, ..entry.packing(form).packed() },
    }
}
