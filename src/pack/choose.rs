//! Which archive is packed next, and which two files may be one archive. Pure: names in, names out.
//!
//! The newest comes first: the oldest may be about to fall off, and then the work would be for nothing.

use crate::rotate::Member;
use crate::rotate::name::Packing;

/// An archive that may be packed, or is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Its file name.
    pub name: String,
    /// How many archives are newer. Two files of one number have the same.
    pub rank: u32,
    /// How it is packed.
    pub packing: Packing,
}

impl Archive {
    /// Its name when it is packed so.
    #[must_use]
    pub fn packed(&self, packing: Packing) -> String {
        format!("{}{}", self.name, packing.ending())
    }
}

/// The archives of a numbered chain of at most `backups`, newest first. What is on its way out, or stands beyond the chain,
/// is left alone.
#[must_use]
pub fn archives(log: &str, names: &[String], backups: u32) -> Vec<Archive> {
    let member = |name: &String| Some((Member::parse(log, name)?, name.clone()));
    let mut members: Vec<(Member, String)> = names.iter().filter_map(member).collect();
    members.retain(|(member, _)| member.number <= backups && member.number != Member::OUT);
    members.sort();
    let (mut rank, mut last) = (0, None);
    let mut archives = Vec::new();
    for (member, name) in members {
        rank += u32::from(last.is_some_and(|number| number != member.number));
        last = Some(member.number);
        archives.push(Archive { name, rank, packing: member.packing });
    }
    archives
}

/// What is to be packed, newest first, but for the `delay` newest archives. A plain file beside a packed one of its number
/// stays: its new name is taken.
pub fn candidates(archives: &[Archive], delay: u32) -> impl Iterator<Item = &Archive> {
    let alone =
        |plain: &Archive| !archives.iter().any(|a| a.rank == plain.rank && a.packing != Packing::Plain);
    archives.iter().filter(move |a| a.packing == Packing::Plain && a.rank >= delay && alone(a))
}

/// A plain file and a packed one that may be made of it: one number has both, or a rotation since has moved
/// the plain one, which is shifted first, one place further.
pub fn pairs(archives: &[Archive]) -> impl Iterator<Item = (&Archive, &Archive)> {
    let near = |plain: &Archive, packed: &Archive| {
        packed.packing != Packing::Plain && plain.rank.wrapping_sub(packed.rank) <= 1
    };
    let of = move |plain| archives.iter().filter(move |packed| near(plain, packed)).map(move |p| (plain, p));
    archives.iter().filter(|a| a.packing == Packing::Plain).flat_map(of)
}
