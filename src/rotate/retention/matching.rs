//! Which file of the directory is which of the manifest.
use super::{Seen, Verdict};
use crate::rotate::Naming;
use crate::rotate::manifest::{Entry, Form, Manifest, Name, Serial, State};
use crate::rotate::name::{Member, Packing, Standing};
use crate::rotate::schedule::stamp::Dated;
use std::cmp::Reverse;
use std::collections::HashMap;

/// What the manifest says of a file that is not the live log.
pub(super) enum Match<'a> {
    Ours(&'a Entry),
    Not(Option<Serial>, Verdict),
}

/// A number of a chain, if the file is called like one.
pub(super) fn member(naming: &Naming, name: &str) -> Option<Member> {
    match naming.standing(name) {
        Some(Standing::Numbered(member)) => Some(member),
        Some(Standing::Dated(_) | Standing::Log) | None => None,
    }
}

/// Period and number, if the file is called like an archive with a date, or with a number for good.
pub(super) fn dated(naming: &Naming, name: &str) -> Option<Dated> {
    match naming.standing(name) {
        Some(Standing::Dated(Reverse(dated))) => Some(dated),
        Some(Standing::Numbered(_) | Standing::Log) | None => None,
    }
}

/// How a file of that name is packed, if it is called like an archive.
pub(super) fn packing(naming: &Naming, name: &str) -> Option<Packing> {
    naming.standing(name).filter(|standing| *standing != Standing::Log).map(|standing| standing.packing())
}

/// Who has which fixed name.
pub(super) type Names<'a> = HashMap<&'a str, Serial>;

pub(super) fn match_file<'a>(
    manifest: &'a Manifest,
    names: &Names,
    naming: &Naming,
    seen: &Seen,
) -> Match<'a> {
    let Some((entry, form, packed)) = owner(manifest, seen) else {
        return match names.get(seen.name.as_str()) {
            Some(&serial) => Match::Not(Some(serial), Verdict::Replaced),
            None if packing(naming, &seen.name).is_some() => Match::Not(None, Verdict::Unknown),
            None => Match::Not(None, Verdict::Strange),
        };
    };
    let serial = Some(entry.serial);
    if !is_named(form, packed, naming, &seen.name) {
        return Match::Not(serial, Verdict::Elsewhere);
    }
    if has_other_length(entry, form, seen) {
        return Match::Not(serial, Verdict::Changed { was: form.bytes });
    }
    Match::Ours(entry)
}

/// The entry that has this file.
fn owner<'a>(manifest: &'a Manifest, seen: &Seen) -> Option<(&'a Entry, &'a Form, bool)> {
    manifest.by_inode(seen.id.ino).find_map(|entry| {
        let same = entry.forms().find(|(form, _)| is_same(entry, form, seen));
        same.map(|(form, packed)| (entry, form, packed))
    })
}

/// Whether it is a file of this archive, whatever it is called and whatever its length.
pub(super) fn is_file_of(entry: &Entry, seen: &Seen) -> bool {
    entry.forms().any(|(form, _)| is_same(entry, form, seen))
}

/// The same file: by inode and time of birth; where that is not known, by device, inode and length.
pub(super) fn is_same(entry: &Entry, form: &Form, seen: &Seen) -> bool {
    if form.id.ino != seen.id.ino {
        return false;
    }
    if form.born_ns != 0 && seen.born_ns != 0 {
        return form.born_ns == seen.born_ns;
    }
    form.id.dev == seen.id.dev && !has_other_length(entry, form, seen)
}

/// A closed file that has not the length that we left it with.
fn has_other_length(entry: &Entry, form: &Form, seen: &Seen) -> bool {
    entry.is_closed() && form.bytes != seen.bytes
}

/// Whether that is a name that we gave it.
pub(super) fn is_named(form: &Form, packed: bool, naming: &Naming, name: &str) -> bool {
    match &form.name {
        Name::Fixed(fixed) => fixed == name,
        Name::Chain | Name::Log => {
            member(naming, name).is_some_and(|member| (member.packing != Packing::Plain) == packed)
        }
    }
}

/// What it was called, as far as that is known.
pub(super) fn last_name(entry: &Entry, naming: &Naming) -> String {
    let form = entry.forms().last().map(|(form, _)| form);
    match form.map(|form| &form.name) {
        Some(Name::Fixed(name)) => name.clone(),
        Some(Name::Log) if entry.state == State::Live => naming.log().to_owned(),
        _ => format!("{}.?", naming.log()),
    }
}
